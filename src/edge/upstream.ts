// The call of the upstream: one attempt, or several where that can do no harm and the route wants it.
//
// Sent again is only what is idempotent by its method and still wholly at hand, and only when no answer came or
// the upstream says that it is out of order for now. An upstream that is silent for too long is not asked again.
import { isBodiless } from "./admission.ts";
import { pump, readWhole } from "./body.ts";
import type { Sources } from "./exchange.ts";
import { clientAddress, requestHeaders, withhold } from "./headers.ts";
import type { Pass } from "./pass.ts";
import type { Platform } from "./platform.ts";
import type { Policy, Route } from "./policy.ts";
import { hostOf, upstreamUrl } from "./route.ts";
import { askForSocket, asksForSocket } from "./websocket.ts";

export interface UpstreamOptions {
  readonly policy: Policy;
  readonly platform: Platform;
  readonly sources: Sources;
}

/** A request body up to this long is sent on as one piece. */
const WHOLE_REQUEST_BYTES_MAX = 64 * 1024;

/** Methods that may be repeated without effect (RFC 9110 section 9.2.2), of those that upstreams know. */
const IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/** What an upstream answers, or a balancer before it, that is out of order for now. */
const OUT_OF_ORDER = [502, 503, 504];

/** How long to wait before the first repetition, doubled for the next one, and how long at most if asked to, in ms. */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 2000;

/**
 * Sends the request of a pass up.
 * @returns the response, or undefined when the upstream or the client broke off: no accident, but a result.
 */
export async function callUpstream(
  pass: Pass,
  route: Route,
  { policy, platform, sources }: UpstreamOptions,
): Promise<Response | undefined> {
  const { head, exchange, signal } = pass;
  const { method } = head;
  pass.limitSilence(hostOf(route), route.upstream_timeout_ms);
  const body = await requestBody(pass, platform);
  if (body === undefined) return undefined;
  const url = upstreamUrl(route, head.url!);
  const address = hopAddress(pass, policy);
  const { jti, trace } = exchange;
  const headers = requestHeaders(head, { address, jti, trace, policy });
  withhold(headers, exchange.identity?.strip ?? []);
  if (asksForSocket(head)) askForSocket(headers);
  const init = { method, headers, body, redirect: "manual", signal } as const;
  // Whatever it throws, at once or later, is no answer.
  const send = async () => platform.send(url, init);
  const retries = IDEMPOTENT.includes(method) && !(body instanceof ReadableStream) ? route.retries : 0;
  for (let repetition = 0; ; repetition++) {
    const began = sources.now();
    const response = await send().catch(() => undefined);
    const ms = sources.now() - began;
    exchange.attempts.push(response ? { status: response.status, ms } : { error: "no answer came", ms });
    const pauseMs = pauseBefore(repetition, response, sources);
    if (repetition === retries || pauseMs === undefined || signal.aborted) return response;
    await response?.body?.cancel().catch(() => {});
    await pause(pauseMs, signal);
    if (signal.aborted) return undefined;
    pass.move();
  }
}

/** The address that goes up as the one before the edge: a front that has told of the client is that itself. */
function hopAddress({ head, context }: Pass, policy: Policy): string | undefined {
  const isTold = policy.client_address === "x-forwarded-for" && policy.forwarded === "append";
  return isTold ? context.address : clientAddress(head.headers, context.address, policy.client_address);
}

/** @returns what is sent as the body, null if there is none, or undefined when the client broke off. */
async function requestBody(
  pass: Pass,
  platform: Platform,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null | undefined> {
  const { request, head, exchange, signal } = pass;
  const { headers, method } = head;
  const source = head.hasBody ? request.body : null;
  const seen = exchange.requestBody;
  const length = contentLength(headers);
  if (source === null || (length !== undefined && length <= WHOLE_REQUEST_BYTES_MAX)) {
    const body = await readWhole(source, length ?? 0, seen, signal);
    if (body === undefined) return undefined;
    exchange.pick("request", headers, body);
    return isBodiless(method) ? null : source && body;
  }
  exchange.pick("request", headers, undefined);
  const { readable, writable } = platform.passThrough(length);
  // Not waited for: an upstream may answer before it has read everything, or without reading at all.
  pass.upload(pump(source, writable, seen, signal, () => pass.move()));
  return readable;
}

/** How long to wait before a repetition, in ms; undefined when this answer is the one to pass on. */
function pauseBefore(
  repetition: number,
  response: Response | undefined,
  { now, random }: Sources,
): number | undefined {
  if (response !== undefined && !OUT_OF_ORDER.includes(response.status)) return undefined;
  const asked = response?.headers.get("retry-after");
  if (asked == null) return PAUSE_MS * 2 ** repetition * (0.5 + random(1)[0]! / 256);
  const pauseMs = /^\d{1,9}$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - now();
  return pauseMs <= PAUSE_MAX_MS ? Math.max(0, pauseMs) : undefined;
}

/** Waits, or until the pass is cut. */
export async function pause(ms: number, cut: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  cut.addEventListener("abort", () => resolve());
  await promise;
  clearTimeout(timer);
}

/** The length that a message announces; several fields that agree are one (RFC 9110 section 8.6). */
export function contentLength(headers: Headers): number | undefined {
  const text = /^(\d{1,15})(?:, *\1)*$/.exec(headers.get("content-length") ?? "")?.[1];
  return text === undefined ? undefined : Number(text);
}
