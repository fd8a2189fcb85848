// One request on its pass through the edge: its one signal that ends whatever is still going on for it, and who is
// to blame when it fires.
import { type Refusal, refuseBody } from "./admission.ts";
import type { Exchange } from "./exchange.ts";
import type { Head } from "./head.ts";
import type { Context } from "./recorder.ts";

export const CLIENT_GONE: Refusal = {
  stage: "aborted",
  status: 400,
  title: "Incomplete",
  error: "the client went away",
};

/** What a host aborts a request's signal with when it cannot wait for the end of it. */
export const EDGE_STOPPED: Refusal = {
  stage: "aborted",
  status: 503,
  title: "Stopped",
  error: "the edge was stopped",
};

/** What a host aborts it with when its client has kept the connection, and takes nothing of what it was sent. */
export const CLIENT_STUCK: Refusal = { ...CLIENT_GONE, error: "the client took no more of the response" };

export class Pass {
  readonly request: Request;
  readonly head: Head;
  readonly exchange: Exchange;
  readonly context: Context;
  readonly #now: () => number;
  readonly #controller = new AbortController();
  #refusal: Refusal | undefined;
  #upload: Promise<unknown> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When something last moved. */
  #moved: number;
  /** How long the client has waited for its records, in ms of the edge's clock. */
  auditMs = 0;

  constructor(request: Request, head: Head, exchange: Exchange, context: Context, now: () => number) {
    this.request = request;
    this.head = head;
    this.exchange = exchange;
    this.context = context;
    this.#now = now;
    this.#moved = now();
    const leave = () => {
      const { reason } = request.signal;
      this.cut(reason === EDGE_STOPPED || reason === CLIENT_STUCK ? reason : CLIENT_GONE);
    };
    request.signal.addEventListener("abort", leave);
    if (request.signal.aborted) leave();
  }

  /** Aborted when the pass is cut. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it was cut, if it was, or is about to be. */
  get refusal(): Refusal | undefined {
    const { requestBody, route } = this.exchange;
    return this.#refusal ?? (requestBody.isOver ? refuseBody(route!) : undefined);
  }

  /** Ends whatever is still going on for this request. The first reason is the one that counts. */
  cut(refusal: Refusal): void {
    this.#refusal ??= refusal;
    this.end();
  }

  /** Ends it because all is said. */
  end(): void {
    this.#controller.abort();
  }

  /** Why nothing more came: what it was cut for, a client that broke off, or else an upstream that did. */
  blame(error: string): Refusal {
    if (this.refusal !== undefined) return this.refusal;
    if (this.exchange.requestBody.isBroken)
      return { ...CLIENT_GONE, error: "the client broke off its request" };
    return { stage: "failed", status: 502, title: "Bad gateway", error };
  }

  /** Cuts the pass once nothing has moved for so long, until `close`. */
  limitSilence(upstream: string, ms: number): void {
    const wait = () => {
      const silentMs = this.#now() - this.#moved;
      if (silentMs < ms) this.#timer = setTimeout(wait, ms - silentMs);
      else this.cut(this.exchange.requestBody.isAwaited ? stalled(ms) : late(upstream, ms));
    };
    this.#timer = setTimeout(wait, ms);
  }

  /** Something has moved: the silence begins anew. */
  move(): void {
    this.#moved = this.#now();
  }

  /** The response has its head, and if it was held its body: from here on it may take as long as it likes. */
  close(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  /** The request's body goes up meanwhile. */
  upload(work: Promise<unknown>): void {
    this.#upload = work.then(() => {
      if (this.refusal !== undefined) this.cut(this.refusal);
    });
    this.context.waitUntil(this.#upload);
  }

  /** Waits, but not for longer than this, until no more of the request's body goes up. @returns whether none does. */
  async uploaded(ms: number): Promise<boolean> {
    if (this.#upload === undefined) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), ms);
    const settled = () => resolve(true);
    this.#upload.then(settled, settled);
    const isDone = await promise;
    clearTimeout(timer);
    return isDone;
  }
}

function late(upstream: string, ms: number): Refusal {
  const error = `${upstream} was silent for ${ms} ms`;
  return { stage: "failed", status: 504, title: "Gateway timeout", error };
}

function stalled(ms: number): Refusal {
  const error = `the client was silent for ${ms} ms in the middle of its request`;
  return { stage: "aborted", status: 408, title: "Request timeout", error };
}
