// A fetch that verifies. It is called like the platform's own and answers like it; between the response and its
// caller stand the receipt, kept before anything is judged by it, and the verdict. In strict mode nothing that
// was not proven ends well; in the other modes nothing that the caller sees is changed or held up.

import type { Body } from "../receipt/digest.ts";
import { isPromise } from "../receipt/promise.ts";
import { parseReceipt } from "../receipt/receipt.ts";
import { isFinal } from "../receipt/record.ts";
import type { Trust } from "../receipt/trust.ts";
import type { Verdict } from "../receipt/verify.ts";
import { Fault } from "../tlog/fault.ts";
import { type MadeExchange, takeReceipt, verifyHead, verifyMade } from "./exchange.ts";
import { evidenceKey, type Store } from "./memory.ts";
import { describeFailure, type Outcome, Undecided } from "./outcome.ts";
import type { Sender } from "./platform.ts";
import { redeemPromise } from "./promise.ts";
import { concatenate } from "./remote.ts";
import { prefixOf, requireTrust, wrongInput } from "./sdk.ts";
import {
  findTraceId,
  makeTraceparent,
  passOn,
  readBody,
  type Sent,
  seeExchange,
  TRACE_BYTES,
} from "./seen.ts";
import { type Fetch, sendBy } from "./sender.ts";

/** What became of one exchange. */
export interface ExchangeReport {
  readonly method: string;
  /** The URL that was asked for. */
  readonly url: string;
  readonly status: number;
  readonly outcome: Outcome;
  /** Of an exchange that was proven. */
  readonly verdict?: Verdict;
  /** Of any other: a Fault, an Undecided, or what a store threw. */
  readonly error?: unknown;
}

export interface ReceiptOptions {
  /** Whom to believe. */
  readonly trust: Trust;
  /** `strict` when it is left out. */
  readonly mode?: "strict" | "report" | "sample" | undefined;
  /** In mode `sample`: whether to verify this exchange. Asked before it is sent; must be nothing that the API can foresee. */
  readonly sample?: ((request: Request) => boolean) | undefined;
  /** Is told of every exchange that was verified, or was to be. Needed in the modes `report` and `sample`. */
  readonly onReport?: ((report: ExchangeReport) => unknown) | undefined;
  /** Keeps every receipt, also of exchanges that are not verified, as JSON with `receipt` (or `promise`) and `seed`. */
  readonly store?: Store | undefined;
  /** In mode `strict`: the largest body that is held back until it is proven, in bytes; 1 MiB when it is left out. */
  readonly holdBytes?: number | undefined;
  /** The URL of the edge's reserved prefix; `/.well-known/audit/` at the issuer when it is left out. */
  readonly prefix?: string | undefined;
  /**
   * Whether a receipt must be of this very request. Each request is sent in a trace of its own (`traceparent`), unless it
   * names one, and a record that does not name that trace is `not-covered`. But a page sends no such field to another
   * origin, and compares nothing then, unless this is `true`: the API must allow the field. `false`: no field is sent
   * and nothing is compared, for an API that records no traces, or where a cache may answer.
   */
  readonly fresh?: boolean | undefined;
  /** Is given what goes on after a response was handed over, for platforms that would end it (Workers: `ctx.waitUntil`). */
  readonly waitUntil?: ((work: Promise<unknown>) => unknown) | undefined;
}

const HOLD_BYTES = 1024 * 1024;
const EMPTY: Body = new Uint8Array();

/**
 * A fetch that verifies the receipt of each response.
 *
 * - `strict`: the caller gets a response once its receipt has been verified against the request, the status and the
 *   body; else the call rejects. A body that is longer than `holdBytes`, or that left the API with a `started` receipt
 *   only (of unknown length, or too long for the API to hold back), is handed on as it comes, after all else was
 *   verified; it ends only after the receipt of its ending was fetched and verified, and breaks off with the error
 *   otherwise. So `response.json()` and its like never resolve with what was not proven; who reads chunk by chunk
 *   sees chunks that are not proven yet.
 * - `report`: the response is handed on at once, and `onReport` is told when its body has been read to its end. A body
 *   that nobody reads is not verified.
 * - `sample`: as `report`, for the exchanges that `sample` picks.
 *
 * Of a WebSocket (101, on Workers), the upgrade is verified before it is handed on, and not what passes over it.
 *
 * The request asks for no content coding (`accept-encoding: identity`) unless it names one itself: the receipt is for
 * the bytes on the wire, and fetch undoes codings. No receipt says where a redirect leads: `strict` follows none, and
 * rejects with `not-covered`, unless the call says `redirect: "follow"`; then the last response is verified.
 *
 * @param fetch what to send with.
 * @returns a function with the signature of fetch. It rejects as fetch does, and in strict mode with a Fault when
 *   something is wrong, or an Undecided (`no-receipt`, `not-covered`, `no-answer`, …) when it cannot be told.
 * @throws Undecided `wrong-input` at once, for options that do not go together.
 * @see https://fetch.spec.whatwg.org/#fetch-method, docs/sdk.md
 * @example
 * import { createTrust, withReceipts } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const receipts = new Map();
 * const api = withReceipts(fetch, { trust, store: receipts });
 * const response = await api("https://api.example.com/v1/orders", { method: "POST", body: "tea" });
 * console.log(await response.text(), receipts.size); // POST /v1/orders tea 1
 */
export function withReceipts(fetch: Fetch, options: ReceiptOptions): Fetch {
  const settings = checkOptions(fetch, options);
  return async (input, init) => {
    const { request, outgoing, sent } = await prepare(settings, input, init ?? {});
    const isSampled = settings.mode !== "sample" || chooses(settings.sample!, request);
    const response = await fetch(input, outgoing);
    const see = async () => seeExchange({ ...sent, body: await sent.body() }, response);
    const sender = sendBy(fetch, init?.signal ?? (input instanceof Request ? input.signal : undefined));
    const exchange = new VerifiedExchange(settings, sender, await see(), see, request);
    if (settings.mode === "strict") return exchange.handStrictly(response);
    if (isSampled) return exchange.handOn(response);
    settings.waitUntil(exchange.keepOnly());
    return response;
  };
}

type Settings = ReceiptOptions & {
  readonly mode: "strict" | "report" | "sample";
  readonly prefix: string;
  readonly waitUntil: (work: Promise<unknown>) => unknown;
};

function checkOptions(fetch: Fetch, options: ReceiptOptions): Settings {
  if (typeof fetch !== "function") throw wrongInput("a function like fetch", typeof fetch);
  const trust = requireTrust(options?.trust);
  const { mode = "strict", sample, onReport } = options;
  if (!["strict", "report", "sample"].includes(mode)) {
    throw wrongInput("mode strict, report or sample", String(mode));
  }
  if (mode === "sample" && typeof sample !== "function")
    throw wrongInput("a function `sample`", typeof sample);
  if (mode !== "strict" && typeof onReport !== "function") {
    throw wrongInput("a function `onReport`, where the verdicts go", typeof onReport);
  }
  // What goes on by itself has told of its own failures by then.
  const waitUntil = options.waitUntil ?? (() => {});
  return { ...options, mode, prefix: prefixOf(trust, options), waitUntil };
}

/** An answer that comes later would be taken for one, and leave every exchange unverified. @throws Undecided */
function chooses(sample: (request: Request) => boolean, request: Request): boolean {
  const choice: unknown = sample(request);
  if (typeof choice === "boolean") return choice;
  throw wrongInput("true or false from `sample`", Object.prototype.toString.call(choice));
}

/** One exchange, on its way to its caller. */
class VerifiedExchange {
  readonly #settings: Settings;
  readonly #sender: Sender;
  readonly #made: MadeExchange;
  readonly #see: () => Promise<MadeExchange>;
  readonly #request: Request;

  /** @param see what was made, seen once more: the request's body may go on while the response comes. */
  constructor(
    settings: Settings,
    sender: Sender,
    made: MadeExchange,
    see: () => Promise<MadeExchange>,
    request: Request,
  ) {
    this.#settings = settings;
    this.#sender = sender;
    this.#made = made;
    this.#see = see;
    this.#request = request;
  }

  /** The response, once it is proven; or as it comes, with an end that waits for the proof. */
  async handStrictly(response: Response): Promise<Response> {
    try {
      if (isRedirect(response) && this.#request.redirect === "follow") {
        await this.#keepAny();
        throw redirectedAway(response);
      }
      const receipt = await this.#begin();
      if (response.status === 101) return response;
      if (response.body === null) {
        await this.#finish(receipt, EMPTY);
        return response;
      }
      if (this.#isHeld(receipt)) {
        const bytes = await this.#hold(response.body);
        await this.#finish(receipt, bytes);
        return recreate(response, bytes);
      }
      return recreate(
        response,
        passOn(response.body, {
          end: body => this.#finish(receipt, body),
          broken: reason => this.#fail(brokenOff(reason)),
        }),
      );
    } catch (error) {
      this.#fail(error);
      // Not waited for: of a body that the given fetch has kept a copy of, that would take until the copy is read.
      if (response.body !== null && !response.body.locked) response.body.cancel(error).catch(() => {});
      throw error;
    }
  }

  /** The response as it comes, and a report when it has ended. */
  handOn(response: Response): Response {
    const begun = this.#begin();
    const judge = (body: Body) => begun.then(receipt => this.#finish(receipt, body));
    const inBackground = (work: Promise<unknown>) => {
      this.#settings.waitUntil(work.catch(error => this.#fail(error)));
    };
    inBackground(begun);
    if (response.status === 101) return response;
    if (response.body === null) {
      inBackground(judge(EMPTY));
      return response;
    }
    const onlooker = {
      end: async (body: Body) => {
        inBackground(judge(body));
      },
      broken: (reason: unknown) => inBackground(begun.then(() => Promise.reject(brokenOff(reason)))),
    };
    return recreate(response, passOn(response.body, onlooker));
  }

  /** Keeps the receipt of an exchange that is not verified. */
  async keepOnly(): Promise<void> {
    try {
      await this.#keepAny();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #keepAny(): Promise<void> {
    const { headers } = this.#made;
    if (headers.has("audit-receipt") || headers.has("audit-promise"))
      await this.#keep(takeReceipt(this.#made));
  }

  /** Keeps the receipt, and verifies all of the exchange but the body. */
  async #begin(): Promise<string> {
    const token = takeReceipt(this.#made);
    await this.#keep(token);
    const { trust, prefix } = this.#settings;
    if (!isPromise(token)) {
      await verifyHead(this.#made, token, trust);
      return token;
    }
    const receipt = await redeemPromise(this.#sender, token, prefix, trust);
    await this.#keep(receipt);
    await verifyHead(this.#made, receipt, trust);
    return receipt;
  }

  /** Verifies the exchange with its body, and reports it. */
  async #finish(receipt: string, responseBody: Body): Promise<void> {
    const made = await this.#see();
    const whole = { ...made, seen: { ...made.seen, responseBody } };
    const keep = (ending: string) => this.#keep(ending);
    try {
      const verdict = await verifyMade(this.#sender, whole, receipt, this.#settings.trust, keep);
      this.#report({ outcome: "proven", verdict });
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** Whether the whole body is on record already, and small enough to wait for. */
  #isHeld(receipt: string): boolean {
    const { stage, res } = parseReceipt(receipt).entry.record;
    return isFinal(stage) && res?.size !== undefined && res.size <= this.#holdBytes;
  }

  get #holdBytes(): number {
    return this.#settings.holdBytes ?? HOLD_BYTES;
  }

  async #hold(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concatenate(chunks);
      chunks.push(value);
      length += value.length;
      if (length > this.#holdBytes) break;
    }
    reader.cancel().catch(() => {});
    const detail = { expected: `at most ${this.#holdBytes} bytes`, found: `more than ${length - 1} bytes` };
    if (this.#made.altered !== undefined) throw new Undecided(this.#made.altered, detail, "not-covered");
    throw new Fault("mismatched", "the response body is longer than the receipt says", detail);
  }

  async #keep(receipt: string): Promise<void> {
    const seed = this.#made.headers.get("audit-receipt-seed");
    const kind = isPromise(receipt) ? "promise" : "receipt";
    const kept = JSON.stringify({ [kind]: receipt, ...(seed !== null && { seed }) });
    await this.#settings.store?.set(evidenceKey("receipt", kept), kept);
  }

  #isReported = false;

  #fail(error: unknown): void {
    this.#report({ outcome: describeFailure(error).outcome, error });
  }

  /** Reports once. What the caller's function throws is the caller's, and comes out where such things do. */
  #report(what: Pick<ExchangeReport, "outcome" | "verdict" | "error">): void {
    if (this.#isReported) return;
    this.#isReported = true;
    const { method, url } = this.#request;
    const { onReport } = this.#settings;
    if (onReport === undefined) return;
    Promise.resolve().then(() => onReport({ method, url, status: this.#made.seen.status, ...what }));
  }
}

/** Whether fetch would go on to another URL; a page is not shown more than that. */
function isRedirect({ type, status, headers }: Response): boolean {
  return type === "opaqueredirect" || ([301, 302, 303, 307, 308].includes(status) && headers.has("location"));
}

function redirectedAway({ headers }: Response): Undecided {
  const expected = 'the URL that answers itself; or redirect: "manual" and a look, or redirect: "follow"';
  const found = headers.get("location") ?? "a redirect that a page may not see";
  return new Undecided(
    "it redirects, and no receipt says where that leads",
    { expected, found },
    "not-covered",
  );
}

function brokenOff(reason: unknown): Undecided {
  const found = reason instanceof Error ? reason.message : String(reason);
  return new Undecided("the body was not read to its end", { found }, "not-covered");
}

/** A request, as the caller makes it, and as it is sent. */
interface Prepared {
  /** Without its body, where that is a stream. */
  readonly request: Request;
  /** What is given to fetch beside the caller's input. */
  readonly outgoing: RequestInit;
  readonly sent: Omit<Sent, "body"> & { body(): Promise<Body | undefined> };
}

/** Fetch may be given things that cannot be read twice, or that spell the same body differently each time. */
async function prepare(
  { mode, fresh }: Settings,
  input: RequestInfo | URL,
  init: RequestInit,
): Promise<Prepared> {
  const { body: given, ...rest } = init;
  const isStream = given instanceof ReadableStream;
  const request = new Request(
    input instanceof Request ? input.clone() : input,
    isStream ? rest : { ...rest, ...(given !== undefined && { body: given }) },
  );
  const { method, url, headers } = request;
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  const isAllowed = init.redirect === "follow";
  const seen = { method, url, isRedirectAllowed: isAllowed, ...nameTrace(request, fresh) };
  const isRefused = mode === "strict" && request.redirect === "follow" && !isAllowed;
  const outgoing = { ...init, headers, ...(isRefused && { redirect: "manual" as const }) };
  if (isStream) {
    const { stream, digest } = digestStream(given);
    return {
      request,
      outgoing: { ...outgoing, body: stream },
      sent: { ...seen, body: async () => digest() },
    };
  }
  // A file is not read into memory.
  const bytes = given instanceof Blob ? await digestBlob(given) : await readBody(request.clone());
  const isOurs = given !== undefined && given !== null && bytes instanceof Uint8Array;
  return {
    request,
    outgoing: isOurs ? { ...outgoing, body: bytes as BodyInit } : outgoing,
    sent: { ...seen, body: async () => bytes },
  };
}

/** Names the trace of a request in its fields, unless it has one. @throws Undecided for one that is none */
function nameTrace({ headers, url }: Request, fresh: boolean | undefined): Pick<Sent, "traceId"> {
  if (fresh === false) return {};
  // A page would have to ask an API of another origin whether it may send that field, and most would say no.
  const page = (globalThis as { readonly location?: { readonly origin: string } }).location;
  const mayName = fresh === true || page === undefined || page.origin === new URL(url).origin;
  if (!headers.has("traceparent") && mayName) {
    headers.set("traceparent", makeTraceparent(crypto.getRandomValues(new Uint8Array(TRACE_BYTES))));
  }
  const traceId = findTraceId(headers);
  if (fresh === true && traceId === undefined) {
    throw wrongInput("a traceparent as W3C Trace Context has it, or none", headers.get("traceparent")!);
  }
  return { traceId };
}

/** A stream that is digested on its way, and its digest once all of it has passed. */
function digestStream(body: ReadableStream<Uint8Array>) {
  let digest: { readonly digest: string } | undefined;
  const stream = passOn(body, {
    end: async whole => {
      digest = whole;
    },
    broken: () => {},
  });
  return { stream, digest: () => digest };
}

async function digestBlob(blob: Blob): Promise<Body> {
  const { stream, digest } = digestStream(blob.stream());
  await stream.pipeTo(new WritableStream());
  return digest()!;
}

/** The same response with another body. */
function recreate(response: Response, body: Uint8Array | ReadableStream<Uint8Array>): Response {
  return labelLike(response, new Response(body as BodyInit, response));
}

/** Gives a response, and its clones, what none has that a program makes. */
function labelLike(response: Response, copy: Response): Response {
  for (const name of ["url", "redirected", "type"] as const) {
    Object.defineProperty(copy, name, { value: response[name], configurable: true, enumerable: true });
  }
  const clone = () => labelLike(response, Response.prototype.clone.call(copy));
  return Object.defineProperty(copy, "clone", { value: clone, configurable: true });
}
