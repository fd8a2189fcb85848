// The proxy: passes an exchange through unchanged and lets nothing out before its record is durable.
//
// A response that fits the route's `hold` is held back until its `complete` record is durable, so its
// receipt covers the body. Any other gets a `started` receipt in its header, and its ending is recorded
// when the stream ends.
import { formatEntry } from "../receipt/entry.ts";
import type { SigningKey } from "../receipt/key.ts";
import { issueReceipt } from "../receipt/receipt.ts";
import type { Stage } from "../receipt/record.ts";
import { type BodyDigest, Exchange, type Sources } from "./exchange.ts";
import { type Caller, requestHeaders, responseHeaders } from "./headers.ts";
import { type Batcher, LedgerFailure } from "./ledger.ts";
import { matchRoute, type Policy, type Route } from "./policy.ts";
import { problem } from "./problem.ts";

/** What the platform does better than the Web interfaces say. */
export interface Platform {
  /** Sends a request up without following redirects; the response body comes as the bytes on the wire. */
  send(url: string, init: RequestInit): Promise<Response>;
  /** Makes a response whose body is passed on as the bytes on the wire. */
  respond(body: BodyInit | null, init: ResponseInit): Response;
  /** An unbuffered pass-through; of a known length where there is one, so that Content-Length survives. */
  passThrough(bytes: number | undefined): TransformStream<Uint8Array, Uint8Array>;
}

export interface ProxyOptions {
  readonly policy: Policy;
  readonly receiptKey: SigningKey;
  /** The way to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, Batcher>;
  readonly platform: Platform;
  readonly sources: Sources;
}

/** What comes with each request from the platform. */
export interface Context {
  readonly caller: Caller;
  waitUntil(work: Promise<unknown>): void;
}

/** How many bytes of responses one isolate may hold back in all: it has 128 MB for everything. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;

/** A request body up to this long is sent on as one piece. */
const WHOLE_REQUEST_BYTES_MAX = 64 * 1024;

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
    const path = new URL(request.url).pathname;
    const route = matchRoute(policy, request.method, path);
    const exchange = new Exchange(request, context.caller, route, policy, sources);
    try {
      if (route === undefined) {
        const refusal = problem(404, "No route", `No route of this API takes ${request.method} ${path}.`);
        return await this.#answer(exchange, context, { stage: "rejected" }, refusal);
      }
      const response = await this.#forward(request, route, exchange, context);
      if (response === undefined) return await this.#answerBroken(exchange, context, route);
      return await this.#release(response, route, exchange, context);
    } catch (error) {
      if (!(error instanceof LedgerFailure)) throw error;
      return problem(503, "Not recorded", `Nothing is released that is not on record: ${error.message}.`, {
        "retry-after": "1",
      });
    }
  }

  /** Calls the upstream. @returns undefined when it or the client broke off: no accident, but a result. */
  async #forward(
    request: Request,
    route: Route,
    exchange: Exchange,
    context: Context,
  ): Promise<Response | undefined> {
    const { platform } = this.#options;
    const url = upstreamUrl(request.url, route.upstream);
    const headers = requestHeaders(request, context.caller, exchange.jti);
    try {
      const body = await this.#requestBody(request, exchange, context);
      return await platform.send(url, { method: request.method, headers, body, redirect: "manual" });
    } catch {
      return undefined;
    }
  }

  /** Answers for a request that did not come in whole, or whose upstream gave no answer. */
  #answerBroken(exchange: Exchange, context: Context, route: Route): Promise<Response> {
    if (exchange.requestBody.isBroken) {
      const error = "the client broke off its request";
      return this.#answer(
        exchange,
        context,
        { stage: "aborted", error },
        problem(400, "Incomplete", `Not sent: ${error}.`),
      );
    }
    const error = `no answer came from ${new URL(route.upstream).host}`;
    return this.#answer(
      exchange,
      context,
      { stage: "failed", error },
      problem(502, "Bad gateway", `Sent, but ${error}.`),
    );
  }

  async #requestBody(request: Request, exchange: Exchange, context: Context): Promise<BodyInit | null> {
    const seen = exchange.requestBody;
    if (request.body === null) {
      seen.end();
      return null;
    }
    const length = contentLength(request.headers);
    if (length !== undefined && length <= WHOLE_REQUEST_BYTES_MAX) {
      const body = await readWhole(request, seen);
      if (body === undefined) throw new Error("the client broke off");
      return body;
    }
    const { readable, writable } = this.#options.platform.passThrough(length);
    // Not waited for: an upstream may answer before it has read everything, or without reading at all.
    context.waitUntil(pump(request.body, writable, seen));
    return readable;
  }

  /** Lets a response out as soon as what it says of itself is durable. */
  async #release(response: Response, route: Route, exchange: Exchange, context: Context): Promise<Response> {
    const length = bodyLength(response);
    if (length === undefined || length > route.hold || this.#held + length > HELD_BYTES_MAX) {
      return this.#stream(response, exchange, context);
    }
    this.#held += length;
    try {
      return await this.#hold(response, exchange, context);
    } finally {
      this.#held -= length;
    }
  }

  /** Holds a short response until the record that ends its exchange is durable. */
  async #hold(response: Response, exchange: Exchange, context: Context): Promise<Response> {
    const body = await readWhole(response, exchange.responseBody);
    if (body === undefined) {
      const error = "the upstream ended its response too early";
      return this.#answer(
        exchange,
        context,
        { stage: "failed", error },
        problem(502, "Bad gateway", `Not passed on: ${error}.`),
      );
    }
    const { status } = response;
    const receipt = await this.#record(exchange, context, exchange.record("complete", { status }));
    // A response without a body, to HEAD or of status 204 or 304, may not be given an empty one instead.
    return this.#finish(response, response.body && body, exchange, receipt);
  }

  /** Ends an exchange with an answer of the edge's own. */
  async #answer(
    exchange: Exchange,
    context: Context,
    { stage, error }: { stage: Stage; error?: string },
    response: Response,
  ): Promise<Response> {
    const body = await readWhole(response, exchange.responseBody);
    const seen = { status: response.status, ...(error && { error }) };
    const receipt = await this.#record(exchange, context, exchange.record(stage, seen));
    return this.#finish(response, body!, exchange, receipt);
  }

  /** Passes a long or endless response on, and records how it ended. */
  async #stream(response: Response, exchange: Exchange, context: Context): Promise<Response> {
    const { status } = response;
    const receipt = await this.#record(exchange, context, exchange.record("started", { status }));
    const { readable, writable } = this.#options.platform.passThrough(contentLength(response.headers));
    const ended = pump(response.body!, writable, exchange.responseBody).then(ending =>
      this.#record(exchange, context, exchange.record(STAGE_OF[ending], { status, ...ERROR_OF[ending] })),
    );
    context.waitUntil(
      ended.catch(error =>
        console.error(`exchange ${exchange.jti} has no ending on record: ${error.message}`),
      ),
    );
    return this.#finish(response, readable, exchange, receipt);
  }

  #finish(response: Response, body: BodyInit | null, exchange: Exchange, receipt: string): Response {
    const headers = responseHeaders(response);
    const { issuer, prefix } = this.#options.policy;
    headers.set("audit-receipt", receipt);
    headers.set("audit-receipt-seed", exchange.seed);
    headers.set("audit-id", exchange.jti);
    headers.append("link", `<${new URL(`${prefix}receipts/${exchange.jti}`, issuer)}>; rel="audit-receipt"`);
    const { status, statusText } = response;
    return this.#options.platform.respond(body, { status, statusText, headers });
  }

  /** Makes a record durable and signs its entry. @throws LedgerFailure */
  async #record(exchange: Exchange, context: Context, record: string): Promise<string> {
    const { ledgers, policy, receiptKey } = this.#options;
    const ledger = ledgers.get(exchange.route?.ledger ?? policy.ledgers[0]!.name)!;
    const { header } = await ledger.append(record, work => context.waitUntil(work));
    return issueReceipt(formatEntry(header, record), receiptKey);
  }
}

/** The whole of a body, digested; or undefined when its source broke off. */
async function readWhole(
  source: Request | Response,
  seen: BodyDigest,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const body = new Uint8Array(await source.arrayBuffer());
    seen.update(body);
    seen.end();
    return body;
  } catch {
    seen.breakOff();
    return undefined;
  }
}

/** How the passing on of a body ended: `source` and `sink` say which side broke it off. */
type Ending = "whole" | "source" | "sink";

const STAGE_OF = { whole: "complete", source: "failed", sink: "aborted" } as const;
const ERROR_OF = {
  whole: {},
  source: { error: "the upstream ended its response too early" },
  sink: { error: "the client went away" },
} as const;

/**
 * Passes a body on, chunk by chunk, digested on the way. A loop of its own rather than pipeTo, which on
 * some platforms reports success when the reader has gone.
 */
async function pump(
  source: ReadableStream<Uint8Array>,
  sink: WritableStream<Uint8Array>,
  seen: BodyDigest,
): Promise<Ending> {
  const reader = source.getReader();
  const writer = sink.getWriter();
  for (;;) {
    let chunk: ReadableStreamReadResult<Uint8Array>;
    try {
      chunk = await reader.read();
    } catch (error) {
      // Known before the other side hears of it: whoever asks why it broke gets the true answer.
      seen.breakOff();
      await writer.abort(error).catch(() => {});
      return "source";
    }
    try {
      if (chunk.done) {
        await writer.close();
        seen.end();
        return "whole";
      }
      seen.update(chunk.value);
      await writer.write(chunk.value);
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      return "sink";
    }
  }
}

/** The route's upstream with the path and query that were asked for; host and scheme are the policy's. */
function upstreamUrl(requested: string, upstream: string): string {
  const { pathname, search } = new URL(requested);
  const base = new URL(upstream);
  return `${base.origin}${base.pathname.replace(/\/$/, "")}${pathname}${search}`;
}

function contentLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** How many bytes of body a response has, or undefined when only its end will tell. */
function bodyLength(response: Response): number | undefined {
  return response.body === null ? 0 : contentLength(response.headers);
}
