// The proxy: passes an exchange through unchanged and lets nothing out before its record is durable.
//
// A response that fits the route's `hold` is held back until its `complete` record is durable, so its
// receipt covers the body. Any other gets a `started` receipt in its header, and its ending is recorded
// when the stream ends.
import { admit, isBodiless, type Refusal, refuseBody } from "./admission.ts";
import { type Ending, pump, readWhole } from "./body.ts";
import { Exchange, type Sources } from "./exchange.ts";
import { clientAddress, exposeOwn, requestHeaders, responseHeaders } from "./headers.ts";
import { LedgerFailure } from "./ledger.ts";
import type { Policy, Route } from "./policy.ts";
import { problem } from "./problem.ts";
import type { Context, Marks, Recorder } from "./recorder.ts";
import { upstreamUrl } from "./route.ts";

/** What the platform does better than the Web interfaces say. */
export interface Platform {
  /** Sends a request up without following redirects; the response body comes as the bytes on the wire. */
  send(url: string, init: RequestInit): Promise<Response>;
  /** Makes a response whose body is passed on as the bytes on the wire. */
  respond(body: BodyInit | null, init: ResponseInit): Response;
  /**
   * An unbuffered pass-through; of a known length where there is one, so that Content-Length survives. When a write
   * has resolved, its bytes have been taken, and their buffer may be used again.
   */
  passThrough(bytes: number | undefined): TransformStream<Uint8Array, Uint8Array>;
}

export interface ProxyOptions {
  readonly policy: Policy;
  readonly recorder: Recorder;
  readonly platform: Platform;
  readonly sources: Sources;
}

/** How many bytes of responses one isolate may hold back in all: it has 128 MB for everything. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;

/** A request body up to this long is sent on as one piece. */
const WHOLE_REQUEST_BYTES_MAX = 64 * 1024;

/** How long an upstream may take for the head of its response, and then for a body that is held, in ms. */
const UPSTREAM_WAIT_MS = 60_000;

const CLIENT_GONE: Refusal = {
  stage: "aborted",
  status: 400,
  title: "Incomplete",
  error: "the client went away",
};

export class AuditProxy {
  readonly #options: ProxyOptions;
  #held = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
  }

  /** Passes one exchange through. @returns the response, or the problem that took its place. */
  handle(request: Request, context: Context): Promise<Response> {
    const response = this.#exchange(request, context);
    // A client that goes away cancels its request, but what was begun must still get onto the record.
    context.waitUntil(response);
    return response;
  }

  async #exchange(request: Request, context: Context): Promise<Response> {
    const { policy, sources } = this.#options;
    const { route, refusal } = admit(request, policy);
    const address = clientAddress(request.headers, policy.client_address);
    const exchange = new Exchange(request, address, route, policy, sources);
    const pass = new Pass(request, exchange, context);
    this.#options.recorder.keep(exchange, context);
    try {
      if (refusal !== undefined) return await this.#answer(pass, refusal);
      return await this.#forward(pass, route);
    } catch (error) {
      if (!(error instanceof LedgerFailure)) throw error;
      return problem(503, "Not recorded", `Nothing is released that is not on record: ${error.message}.`, {
        "retry-after": "1",
      });
    } finally {
      pass.close();
    }
  }

  /** Calls the upstream and lets its response out as soon as what it says of itself is durable. */
  async #forward(pass: Pass, route: Route): Promise<Response> {
    const response = await this.#send(pass, route);
    if (response === undefined) return this.#answer(pass, pass.blame(`no answer came from ${hostOf(route)}`));
    if (response.status < 200 || response.status > 599) {
      const error = `${hostOf(route)} answered with a status that cannot be passed on`;
      return this.#answer(pass, { stage: "failed", status: 502, title: "Bad gateway", error });
    }
    const length = bodyLength(response);
    if (length === undefined || length > route.hold || this.#held + length > HELD_BYTES_MAX) {
      return this.#stream(pass, response);
    }
    this.#held += length;
    try {
      return await this.#hold(pass, response, length);
    } finally {
      this.#held -= length;
    }
  }

  /** @returns undefined when the upstream or the client broke off: no accident, but a result. */
  async #send(pass: Pass, route: Route): Promise<Response | undefined> {
    const { request, exchange, signal } = pass;
    const url = upstreamUrl(route, new URL(request.url));
    const { method } = request;
    const address = clientAddress(request.headers, this.#options.policy.client_address);
    const { jti, trace } = exchange;
    const headers = requestHeaders(request, { address, jti, trace, policy: this.#options.policy });
    try {
      const body = await this.#requestBody(pass);
      return await this.#options.platform.send(url, { method, headers, body, redirect: "manual", signal });
    } catch {
      return undefined;
    }
  }

  async #requestBody(pass: Pass): Promise<BodyInit | null> {
    const { request, exchange, context, signal } = pass;
    const seen = exchange.requestBody;
    const length = contentLength(request.headers);
    if (request.body === null || (length !== undefined && length <= WHOLE_REQUEST_BYTES_MAX)) {
      const body = await readWhole(request.body, length ?? 0, seen);
      if (body === undefined) throw new Error("the client broke off");
      exchange.pick("request", request.headers, body);
      return isBodiless(request.method) ? null : request.body && body;
    }
    exchange.pick("request", request.headers, undefined);
    const { readable, writable } = this.#options.platform.passThrough(length);
    // Not waited for: an upstream may answer before it has read everything, or without reading at all.
    context.waitUntil(
      pump(request.body, writable, seen, signal).then(() => {
        if (seen.isOver) pass.abort();
      }),
    );
    return readable;
  }

  /** Holds a short response until the record that ends its exchange is durable. */
  async #hold(pass: Pass, response: Response, length: number): Promise<Response> {
    const { exchange } = pass;
    const body = await readWhole(response.body, length, exchange.responseBody);
    if (body === undefined || exchange.requestBody.isOver)
      return this.#answer(pass, pass.blame("the upstream did not send what it announced"));
    exchange.pick("response", response.headers, body);
    const marks = await this.#record(pass, exchange.record("complete", { status: response.status }));
    // A response without a body, to HEAD or of status 204 or 304, may not be given an empty one instead.
    return this.#finish(response, response.body && body, exchange, marks);
  }

  /** Ends an exchange with an answer of the edge's own. */
  async #answer(pass: Pass, { stage, status, title, error }: Refusal): Promise<Response> {
    const { request, exchange } = pass;
    const response = problem(status, title, `${error[0]!.toUpperCase()}${error.slice(1)}.`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const body = request.method === "HEAD" ? null : bytes;
    if (body !== null) exchange.responseBody.update(body);
    exchange.responseBody.end();
    const marks = await this.#record(pass, exchange.record(stage, { status, error }));
    return this.#finish(response, body, exchange, marks);
  }

  /** Passes a long or endless response on, and records how it ended. */
  async #stream(pass: Pass, response: Response): Promise<Response> {
    const { request, exchange, context } = pass;
    const { status } = response;
    exchange.pick("response", response.headers, undefined);
    const marks = await this.#record(pass, exchange.record("started", { status }));
    const { readable, writable } = this.#options.platform.passThrough(contentLength(response.headers));
    const ended = pump(response.body!, writable, exchange.responseBody, request.signal).then(ending =>
      this.#record(pass, exchange.record(...pass.endingOf(ending, status))),
    );
    context.waitUntil(
      ended.catch(error =>
        console.error(`exchange ${exchange.jti} has no ending on record: ${error.message}`),
      ),
    );
    return this.#finish(response, readable, exchange, marks);
  }

  #finish(response: Response, body: BodyInit | null, exchange: Exchange, marks: Marks): Response {
    const headers = responseHeaders(response);
    const { issuer, prefix } = this.#options.policy;
    for (const [name, value] of Object.entries(marks)) headers.set(name, value);
    headers.set("audit-receipt-seed", exchange.seed);
    headers.set("audit-id", exchange.jti);
    headers.append("link", `<${new URL(`${prefix}receipts/${exchange.jti}`, issuer)}>; rel="audit-receipt"`);
    exposeOwn(headers);
    const { status, statusText } = response;
    return this.#options.platform.respond(body, { status, statusText, headers });
  }

  #record({ exchange, context }: Pass, record: string): Promise<Marks> {
    if (exchange.hasEnded && exchange.hasMore) this.#options.recorder.keep(exchange, context);
    return this.#options.recorder.record(exchange, record, context);
  }
}

/** One request on its pass through the edge, and the signal that ends the upstream's part in it. */
class Pass {
  readonly request: Request;
  readonly exchange: Exchange;
  readonly context: Context;
  readonly #upstream = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  /** Ends the call of the upstream. */
  readonly abort = () => this.#upstream.abort();

  constructor(request: Request, exchange: Exchange, context: Context) {
    this.request = request;
    this.exchange = exchange;
    this.context = context;
    this.#timer = setTimeout(this.abort, UPSTREAM_WAIT_MS);
    request.signal.addEventListener("abort", this.abort);
  }

  /** Aborted when the client goes away, or when the upstream has taken too long. */
  get signal(): AbortSignal {
    return this.#upstream.signal;
  }

  /** Who broke off: the client, if it is known to have, and else the upstream. */
  blame(error: string): Refusal {
    if (this.request.signal.aborted) return CLIENT_GONE;
    if (this.exchange.requestBody.isOver) return refuseBody(this.exchange.route!);
    if (this.exchange.requestBody.isBroken)
      return { ...CLIENT_GONE, error: "the client broke off its request" };
    return { stage: "failed", status: 502, title: "Bad gateway", error };
  }

  /** The stage and the error by which an exchange ends whose response was being passed on. */
  endingOf(ending: Ending, status: number): Parameters<Exchange["record"]> {
    if (ending === "source" && this.exchange.requestBody.isOver) {
      const { stage, error } = refuseBody(this.exchange.route!);
      return [stage, { status, error }];
    }
    return [STAGE_OF[ending], { status, ...ERROR_OF[ending] }];
  }

  /** The response has its head, and if it was held its body: from here on it may take as long as it likes. */
  close(): void {
    clearTimeout(this.#timer);
  }
}

const STAGE_OF = { whole: "complete", source: "failed", sink: "aborted" } as const;
const ERROR_OF = {
  whole: {},
  source: { error: "the upstream ended its response too early" },
  sink: { error: CLIENT_GONE.error },
} as const;

function hostOf(route: Route): string {
  return new URL(route.upstream).host;
}

/** The length that a message announces; several fields that agree are one (RFC 9110 section 8.6). */
function contentLength(headers: Headers): number | undefined {
  const text = /^(\d{1,15})(?:, *\1)*$/.exec(headers.get("content-length") ?? "")?.[1];
  return text === undefined ? undefined : Number(text);
}

/** How many bytes of body a response has, or undefined when only its end will tell. */
function bodyLength(response: Response): number | undefined {
  return response.body === null ? 0 : contentLength(response.headers);
}
