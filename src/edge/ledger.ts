// What the edge asks of a ledger, and how requests share the way to it.
import type { Placement } from "../receipt/placement.ts";
import type { Control } from "../receipt/record.ts";
import type { LedgerStatus } from "../receipt/status.ts";

export interface Ledger {
  /** Appends records (JSON texts); answers when they are durable. Idempotent by jti and step (`formatStep`). */
  append(records: string[]): Promise<Placement[]>;
  /** The entries of one exchange, in the order of the ledger. */
  find(jti: string): Promise<string[]>;
  /** Puts a record of the ledger's own history into it. Only the operator's side may ask for one. */
  control(control: Control): Promise<Placement>;
  /** How far it is, and why it takes no records if it does not. */
  status(): Promise<LedgerStatus>;
}

/** Why a record did not become durable: no answer within the bound, too much at once, or a refusal. */
export type FailureCode = "unreachable" | "overloaded" | "refused";

/**
 * A record did not become durable within the bound, or was refused. Nothing may be released because of it. Callers
 * read its message, and it goes on record; what it was caused by is for the log, and may name files.
 */
export class LedgerFailure extends Error {
  readonly code: FailureCode;

  constructor(code: FailureCode, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = "LedgerFailure";
    this.code = code;
  }
}

/** Where batches go: it answers each item, in their order, when all of them are durable. */
export interface Sink<Item, Answer> {
  append(items: Item[]): Promise<Answer[]>;
}

interface Follower<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** The share of its time for which a request waits for a batch, before it sends its own item. */
const BATCH_SHARE = 0.4;

/** How long a batch waits for the one in flight before it goes by itself, in ms. */
const TURN_WAIT_MS = 250;

/**
 * For how long a batch of several gathers more before it goes, in ms: where there are several there are more, and what
 * a batch costs (its call, its transaction, its wait for the disk) is shared by all who are in it.
 */
const GATHER_MS = 3;

const BATCH_ITEMS_MAX = 500;

/**
 * Batches the appends of one isolate: requests that arrive while an append is in flight go together in the
 * next one, and give others a moment to join them; one that is alone goes at once. The platform ties a promise
 * and a timer to the request that made it, and a request can be cancelled at any moment; so every request waits
 * only for promises and timers of its own, a batch is sent by its first request under `waitUntil`, others hand it
 * nothing but their resolvers, and whatever a cancelled request leaves behind is stepped over after a bounded wait.
 */
export class Batcher<Item, Answer> {
  /** A fresh connection for each call: one that has thrown is never used again. */
  readonly #connect: () => Sink<Item, Answer>;
  #gathering: Follower<Item, Answer>[] | undefined;
  /** The batch in flight; compared by identity, so that a cancelled one cannot end another's turn. */
  #inFlight: Follower<Item, Answer>[] | undefined;
  readonly #turns: (() => void)[] = [];

  constructor(connect: () => Sink<Item, Answer>) {
    this.#connect = connect;
  }

  /**
   * Appends one item.
   * @param waitMs how long to wait, in all.
   * @returns its answer, once it is durable.
   * @throws LedgerFailure within that time; the item may or may not have been taken then.
   */
  async append(item: Item, waitUntil: (work: Promise<unknown>) => void, waitMs: number): Promise<Answer> {
    const batchWaitMs = Math.floor(waitMs * BATCH_SHARE);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    let batch = this.#gathering;
    if (batch === undefined || batch.length >= BATCH_ITEMS_MAX) {
      batch = this.#gathering = [{ item, resolve, reject }];
      waitUntil(this.#send(batch));
    } else {
      batch.push({ item, resolve, reject });
    }
    try {
      return await within(batchWaitMs, promise);
    } catch (error) {
      // The request that was to send this batch may be gone: nobody else shall join it.
      if (this.#gathering === batch) this.#gathering = undefined;
      if (isOverload(error)) throw new LedgerFailure("overloaded", "the ledger is overloaded");
      return this.#appendAlone(item, waitMs - batchWaitMs);
    }
  }

  /** The way out for a request whose batch failed or got lost. Appends are idempotent, so this is safe. */
  async #appendAlone(item: Item, waitMs: number): Promise<Answer> {
    try {
      const [answer] = await within(waitMs, this.#connect().append([item]));
      return answer!;
    } catch (error) {
      throw new LedgerFailure("unreachable", "the ledger could not be reached", { cause: error });
    }
  }

  async #send(batch: Follower<Item, Answer>[]): Promise<void> {
    if (this.#inFlight !== undefined) await this.#turn();
    if (batch.length > 1) await new Promise(resolve => setTimeout(resolve, GATHER_MS));
    // Others may have joined while this batch waited for its turn; from here on it is closed.
    if (this.#gathering === batch) this.#gathering = undefined;
    this.#inFlight = batch;
    try {
      const answers = await this.#connect().append(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, i) => {
        resolve(answers[i]!);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      if (this.#inFlight === batch) {
        this.#inFlight = undefined;
        this.#turns.shift()?.();
      }
    }
  }

  /** Waits until the batch in flight is done, or until it evidently never will be. */
  async #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.push(resolve);
    await within(TURN_WAIT_MS, promise).catch(() => {});
  }
}

/** Rejects after a time. The timer belongs to the request that waits, which also clears it. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Cloudflare marks overload on the error; trying again would only make it worse. */
function isOverload(error: unknown): boolean {
  return (error as { overloaded?: boolean } | undefined)?.overloaded === true;
}
