// The proxy: passes an exchange through unchanged and lets nothing out before its record is durable.
//
// A response that fits the route's `hold` is held back until its `complete` record is durable, so its
// receipt covers the body. Any other gets a `started` receipt in its header, and its ending is recorded
// when the stream ends; so does a WebSocket. Whatever happens, an exchange gets one ending on record.
import { admit, type Refusal } from "./admission.ts";
import { type Ending, pump, readWhole } from "./body.ts";
import { Exchange, type Sources } from "./exchange.ts";
import type { Head } from "./head.ts";
import { clientAddress, exposeOwn, responseHeaders } from "./headers.ts";
import { Identifier, Refused } from "./identity.ts";
import { Interim } from "./interim.ts";
import { LedgerFailure } from "./ledger.ts";
import { once } from "./once.ts";
import { CLIENT_GONE, Pass } from "./pass.ts";
import type { Platform } from "./platform.ts";
import type { Policy, Route } from "./policy.ts";
import { problem } from "./problem.ts";
import type { Context, Marks, Recorder } from "./recorder.ts";
import { hostOf } from "./route.ts";
import { callUpstream, contentLength, pause } from "./upstream.ts";
import { dropHandshake, Relay, type RelayEnding, type Socket } from "./websocket.ts";

export interface ProxyOptions {
  readonly policy: Policy;
  readonly recorder: Recorder;
  readonly platform: Platform;
  readonly sources: Sources;
}

/** How many bytes of responses one isolate may hold back in all: it has 128 MB for everything. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;

/** How long a response that could be held waits for the rest of its request to have gone up, in ms. */
const UPLOAD_GRACE_MS = 100;

/** How long it waits then for the platform to send what it has taken of that rest, in ms. */
const UPLOAD_TAIL_MS = 250;

/** How long a response that has ended waits for it, before the rest is cut off, in ms. */
const UPLOAD_WAIT_MS = 10_000;

/** What the URLs of all receipts begin with. */
const receiptsUrl = once(({ issuer, prefix }: Policy) => new URL(`${prefix}receipts/`, issuer).href);

const USED: Refusal = {
  stage: "rejected",
  status: 409,
  title: "Signature used",
  error: "this signature was used before, and is good for one request: sign again, with another nonce",
};

/** How an exchange ended that had started. */
type Outcome = Pick<Refusal, "stage" | "error"> | { readonly stage: "complete" };

/** How much of what went wrong is kept in a record. */
const ERROR_CHARACTERS_MAX = 300;

export class AuditProxy {
  readonly #options: ProxyOptions;
  readonly #identifier: Identifier;
  #held = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { platform, sources } = options;
    this.#identifier = new Identifier({
      now: sources.now,
      fetch: (url, init) => platform.fetch(url, init),
    });
  }

  /** Passes one exchange through. @returns the response, or the problem that took its place. */
  handle(request: Request, head: Head, context: Context): Promise<Response> {
    const response = this.#exchange(request, head, context);
    // A client that goes away cancels its request, but what was begun must still get onto the record.
    context.waitUntil(response);
    return response;
  }

  async #exchange(request: Request, head: Head, context: Context): Promise<Response> {
    const { policy, sources } = this.#options;
    const { route, refusal } = admit(head, policy);
    const address = clientAddress(head.headers, context.address, policy.client_address);
    const exchange = new Exchange(head, address, route, policy, sources);
    const pass = new Pass(request, head, exchange, context, sources.now);
    try {
      const refused = refusal ?? (await this.#identify(pass, route));
      this.#options.recorder.keep(exchange, context);
      const unfit = refused ?? (await this.#useUp(pass));
      if (unfit !== undefined) return await this.#answer(pass, unfit);
      await this.#timed(pass, this.#options.recorder.recordAhead(exchange, context));
      return await this.#forward(pass, route!);
    } catch (error) {
      pass.cut(unrecorded(error as Error));
      if (!(error instanceof LedgerFailure)) throw error;
      return this.#withhold(pass, error);
    } finally {
      pass.close();
    }
  }

  /** Establishes who calls. @returns why that is refused, if it is. */
  async #identify(pass: Pass, route: Route): Promise<Refusal | undefined> {
    const { request, exchange, context, signal } = pass;
    const { certificate } = context;
    const identified = await this.#identifier.identify(route.identity, { request, certificate, signal });
    if (identified instanceof Refused) return pass.refusal ?? { stage: "rejected", ...identified };
    if (identified !== undefined) exchange.identify(identified);
    return undefined;
  }

  /** Uses up what the caller is known by, if it is good only once. @returns why that is refused, if it is. */
  async #useUp(pass: Pass): Promise<Refusal | undefined> {
    const { exchange, context } = pass;
    const once = exchange.identity?.once;
    if (once === undefined) return undefined;
    const isUnused = await this.#timed(pass, this.#options.recorder.useUp(exchange, once, context));
    return isUnused ? undefined : USED;
  }

  /** Calls the upstream and lets its response out as soon as what it says of itself is durable. */
  async #forward(pass: Pass, route: Route): Promise<Response> {
    const response = await callUpstream(pass, route, this.#options);
    if (response === undefined) return this.#answer(pass, pass.blame(`no answer came from ${hostOf(route)}`));
    const upstream = this.#options.platform.socketOf(response);
    if (upstream !== undefined) return this.#relay(pass, route, response, upstream);
    if (response.status < 200 || response.status > 599) {
      const error = `${hostOf(route)} answered with a status that cannot be passed on`;
      return this.#answer(pass, { stage: "failed", status: 502, title: "Bad gateway", error });
    }
    const length = bodyLength(response);
    if (length === undefined || length > route.hold || this.#held + length > HELD_BYTES_MAX) {
      return this.#stream(pass, route, response);
    }
    this.#held += length;
    const { requestBody } = pass.exchange;
    const askedBytes = requestBody.size;
    try {
      // An upstream may answer before it has read everything: then this exchange does not end with the response.
      if (!(await pass.uploaded(UPLOAD_GRACE_MS))) return await this.#stream(pass, route, response);
      // Some platforms end the call with the response's last byte, and lose what they have taken and not sent by then.
      if (requestBody.size > askedBytes) await pause(UPLOAD_TAIL_MS, pass.signal);
      return await this.#hold(pass, response, length);
    } finally {
      this.#held -= length;
    }
  }

  /** Holds a short response until the record that ends its exchange is durable. */
  async #hold(pass: Pass, response: Response, length: number): Promise<Response> {
    const { exchange, signal } = pass;
    pass.move();
    const body = await readWhole(response.body, length, exchange.responseBody, signal);
    if (body === undefined)
      return this.#answer(pass, pass.blame("the upstream did not send what it announced"));
    exchange.pick("response", response.headers, body);
    const marks = await this.#record(pass, exchange.record("complete", { status: response.status }));
    // A response without a body, to HEAD or of status 204 or 304, may not be given an empty one instead.
    return this.#finish(pass, response, response.body && body, marks);
  }

  /** Ends an exchange with an answer of the edge's own. */
  async #answer(pass: Pass, { stage, status, title, error, headers }: Refusal): Promise<Response> {
    const { request, exchange } = pass;
    const response = problem(status, title, `${error[0]!.toUpperCase()}${error.slice(1)}.`, headers);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const body = request.method === "HEAD" ? null : bytes;
    if (body !== null) exchange.responseBody.update(body);
    exchange.responseBody.end();
    const marks = await this.#record(pass, exchange.record(stage, { status, error }));
    return this.#finish(pass, response, body, marks);
  }

  /** Answers in place of what may not be released, because it is not on record. */
  async #withhold(pass: Pass, { message }: LedgerFailure): Promise<Response> {
    const { request, exchange } = pass;
    const detail = `Nothing is released that is not on record: ${message}.`;
    const response = problem(503, "Not recorded", detail, { "retry-after": "1" });
    const body = request.method === "HEAD" ? null : new Uint8Array(await response.arrayBuffer());
    if (!exchange.hasEnded) {
      // What was recorded so far may have become durable all the same, so the exchange needs an ending.
      if (body !== null) exchange.responseBody.update(body);
      exchange.responseBody.end();
      const stage = exchange.attempts.length === 0 ? "rejected" : "failed";
      const error = `not recorded in time: ${message}`.slice(0, ERROR_CHARACTERS_MAX);
      this.#recordLater(pass, exchange.record(stage, { status: response.status, error }));
    }
    return this.#finish(pass, response, body, {});
  }

  /** Passes a long or endless response on, and records how it ended. */
  async #stream(pass: Pass, route: Route, response: Response): Promise<Response> {
    const { exchange, signal } = pass;
    const { status, body } = response;
    const length = contentLength(response.headers);
    exchange.pick("response", response.headers, undefined);
    const marks = await this.#record(pass, exchange.record("started", { status }));
    const interim = this.#interim(pass, route, seq => exchange.record("interim", { status, seq }));
    const { readable, writable } = this.#options.platform.passThrough(length);
    const passOn = async (): Promise<Ending> =>
      body === null
        ? "whole"
        : pump(body, writable, exchange.responseBody, signal, bytes => interim.add(bytes));
    this.#follow(pass, async () => {
      const ending = await passOn();
      const askedBytes = exchange.requestBody.size;
      await interim.end();
      const { stage, ...rest } = outcomeOf(ending, pass);
      // What still goes up after the ending is on record would pass unseen.
      if (ending === "whole") await pass.uploaded(UPLOAD_WAIT_MS);
      pass.end();
      // As in #forward; but here nothing could wait, so nobody knows whether what the platform took arrived.
      if (length !== undefined && exchange.requestBody.size > askedBytes) exchange.requestBody.doubt();
      return exchange.record(stage, { status, ...rest });
    });
    return this.#finish(pass, response, body && readable, marks);
  }

  /** Relays a WebSocket, and records how it ended. */
  async #relay(pass: Pass, route: Route, response: Response, upstream: Socket): Promise<Response> {
    const { exchange, signal } = pass;
    const { status } = response;
    exchange.pick("response", response.headers, undefined);
    let marks: Marks;
    try {
      marks = await this.#record(pass, exchange.record("started", { status }));
    } catch (error) {
      upstream.close();
      throw error;
    }
    const { socket, response: answer } = this.#options.platform.upgrade(this.#headers(pass, response, marks));
    const interim = this.#interim(pass, route, seq =>
      exchange.record("interim", { status, seq, ws: relay.read() }),
    );
    const relay = new Relay(socket, upstream, route.digests, bytes => interim.add(bytes));
    const leave = () =>
      pass.refusal === CLIENT_GONE ? relay.lose("client") : relay.cut(pass.refusal!.title);
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    this.#follow(pass, async () => {
      const ending = await relay.ended;
      await interim.end();
      const { stage, ...rest } = outcomeOfRelay(ending, pass);
      return exchange.record(stage, { status, ws: relay.read(ending), ...rest });
    });
    return answer;
  }

  /** Sees to it that an exchange that has started gets the record of its ending. */
  #follow(pass: Pass, end: () => Promise<string>): void {
    const { exchange, context } = pass;
    const ended = end().then(record => this.#recordLater(pass, record));
    context.waitUntil(
      ended.catch(error =>
        console.error(`exchange ${exchange.jti} has no ending on record: ${error.message}`),
      ),
    );
  }

  /** Tells how far an exchange is; what can no longer be told of does not go on. */
  #interim(pass: Pass, route: Route, record: (seq: number) => string): Interim {
    return new Interim(
      { seconds: route.interim_seconds, bytes: route.interim_bytes },
      seq => this.#record(pass, record(seq)),
      error => pass.cut(unrecorded(error)),
    );
  }

  #finish(pass: Pass, response: Response, body: BodyInit | null, marks: Marks): Response {
    const { status, statusText } = response;
    const headers = this.#headers(pass, response, marks);
    return this.#options.platform.respond(body, { status, statusText, headers });
  }

  /** The fields of a response, with those that tell the client what there is on record for it. */
  #headers({ exchange, auditMs }: Pass, response: Response, marks: Marks): Headers {
    const headers = responseHeaders(response);
    if (response.status === 101) dropHandshake(headers);
    for (const [name, value] of Object.entries(marks)) headers.set(name, value);
    headers.set("audit-receipt-seed", exchange.seed);
    headers.set("audit-id", exchange.jti);
    headers.append("link", `<${receiptsUrl(this.#options.policy)}${exchange.jti}>; rel="audit-receipt"`);
    exposeOwn(headers);
    headers.append("server-timing", `audit;dur=${auditMs}`);
    return headers;
  }

  #record(pass: Pass, record: string): Promise<Marks> {
    const { exchange, context } = pass;
    this.#keepMore(pass);
    return this.#timed(pass, this.#options.recorder.record(exchange, record, context));
  }

  /** Records what is out already. */
  #recordLater(pass: Pass, record: string): Promise<void> {
    const { exchange, context } = pass;
    this.#keepMore(pass);
    return this.#options.recorder.recordLater(exchange, record, context);
  }

  #keepMore({ exchange, context }: Pass): void {
    if (exchange.hasEnded && exchange.hasMore) this.#options.recorder.keep(exchange, context);
  }

  /** Counts what is waited for as the audit's own share of the time. */
  async #timed<T>(pass: Pass, work: Promise<T>): Promise<T> {
    const { sources } = this.#options;
    const began = sources.now();
    try {
      return await work;
    } finally {
      pass.auditMs += sources.now() - began;
    }
  }
}

/** How a response that was passed on ended. */
function outcomeOf(ending: Ending, pass: Pass): Outcome {
  if (ending === "whole") return { stage: "complete" };
  if (ending === "source" && pass.refusal === undefined)
    return { stage: "failed", error: "the upstream ended its response too early" };
  const { stage, error } = pass.refusal ?? CLIENT_GONE;
  return { stage, error };
}

function outcomeOfRelay({ kind, by }: RelayEnding, pass: Pass): Outcome {
  if (kind === "closed") return { stage: "complete" };
  if (by === "upstream") return { stage: "failed", error: "the upstream broke off" };
  const { stage, error } = (by === "edge" && pass.refusal) || CLIENT_GONE;
  return { stage, error };
}

function unrecorded(error: Error): Refusal {
  return {
    stage: "failed",
    status: 503,
    title: "Not recorded",
    error: `it could not be kept on record: ${error.message}`,
  };
}

/** How many bytes of body a response has, or undefined when only its end will tell. */
function bodyLength(response: Response): number | undefined {
  return response.body === null ? 0 : contentLength(response.headers);
}
