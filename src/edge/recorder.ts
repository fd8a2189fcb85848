// How a record becomes durable, and what the client gets for it: a receipt when the ledger has it, a promise when
// it will have it, a mark when nobody knows. Nothing that depends on a record may be released before `record` has
// answered, and no record is dropped without a trace.
import { sha256 } from "@noble/hashes/sha2.js";
import { formatEntry } from "../receipt/entry.ts";
import type { SigningKey } from "../receipt/key.ts";
import type { Placement } from "../receipt/placement.ts";
import { issuePromise } from "../receipt/promise.ts";
import { findSigner, issueReceipt } from "../receipt/receipt.ts";
import { formatControl } from "../receipt/record.ts";
import { formatSpoolPath } from "../receipt/spool.ts";
import { encodeBase64url } from "../tlog/base64.ts";
import { assuranceOf } from "./assurance.ts";
import type { ClientCertificate } from "./certificate.ts";
import type { Complaints } from "./complaints.ts";
import type { Exchange, Sources } from "./exchange.ts";
import { Gaps } from "./gap.ts";
import { type Batcher, type FailureCode, LedgerFailure, within } from "./ledger.ts";
import type { Policy } from "./policy.ts";
import type { Spool } from "./spool.ts";
import type { Keeper } from "./vault.ts";

const encoder = new TextEncoder();

/** What comes with each request from the platform. */
export interface Context {
  waitUntil(work: Promise<unknown>): void;
  /** The certificate that the client presented to whoever ends TLS, if it did; the host vouches for that. */
  readonly certificate?: ClientCertificate | undefined;
  /** The address at the other end of the connection, on hosts that see it. */
  readonly address?: string | undefined;
}

export interface RecorderOptions {
  readonly policy: Policy;
  readonly receiptKey: SigningKey;
  /** The way to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, Batcher<string, Placement>>;
  /** Another way there, for signatures that are good only once: who sends one over and over keeps no records waiting. */
  readonly signatures: ReadonlyMap<string, Batcher<string, Placement>>;
  /** The way to the vault of each ledger, by the ledger's name; empty when nothing is kept for the operator. */
  readonly keepers: ReadonlyMap<string, Keeper>;
  readonly spool: Spool;
  readonly complaints: Complaints;
  readonly sources: Sources;
}

/** The response fields that tell a client what there is on record for it. */
export type Marks = Readonly<Record<string, string>>;

/** The way that the records of one exchange take. */
interface Way {
  /** Why they go to the spool, once one of them had to: so the ledger gets them in their order. */
  failed?: FailureCode;
  /** Settles when the record before is dealt with. */
  last: Promise<unknown>;
}

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #ways = new WeakMap<Exchange, Way>();
  /** What this isolate has let go without a record, by ledger. */
  readonly #gaps: ReadonlyMap<string, Gaps>;

  constructor(options: RecorderOptions) {
    this.#options = options;
    const { ledgers, policy, sources } = options;
    this.#gaps = new Map([...ledgers.keys()].map(name => [name, new Gaps(policy.issuer, sources)]));
  }

  /**
   * Makes sure of a record before anything that depends on it is released, as far as the route asks for.
   * @throws LedgerFailure when nothing may be released.
   */
  async record(exchange: Exchange, record: string, context: Context): Promise<Marks> {
    if (assuranceOf(exchange.route).assurance !== "promised") return this.#make(exchange, record, context);
    const promise = await this.#promise(exchange, record);
    this.recordLater(exchange, record, context);
    return { "audit-promise": promise };
  }

  /**
   * Makes sure of a record before the upstream is called, on a route that asks for that.
   * @throws LedgerFailure when the upstream may not be called.
   */
  async recordAhead(exchange: Exchange, context: Context): Promise<void> {
    if (assuranceOf(exchange.route).assurance !== "write-ahead") return;
    await this.#make(exchange, exchange.record("received"), context);
  }

  /**
   * Uses up what is good only once, before anything comes of it. Only the ledger can tell, so whatever the route says of a
   * ledger that cannot be reached, nothing goes on without it.
   * @param jti what all exchanges have in common that would use it.
   * @returns whether it was unused.
   * @throws LedgerFailure when nobody can tell.
   */
  async useUp(exchange: Exchange, jti: string, context: Context): Promise<boolean> {
    const { signatures, policy, sources } = this.#options;
    // The exchange's own id is not for all who have the signed request: they can find this record by it.
    const exchange_sha256 = encodeBase64url(sha256(encoder.encode(exchange.jti)));
    const control = { type: "signature-used", exchange_sha256 };
    const record = formatControl(policy.issuer, jti, sources.now(), control);
    const way = signatures.get(this.#ledgerOf(exchange))!;
    const { waitMs } = assuranceOf(exchange.route);
    const placement = await way.append(record, work => context.waitUntil(work), waitMs);
    // The ledger has another record of this id.
    if ("refused" in placement && placement.refused === "conflict") return false;
    requirePlace(placement);
    return true;
  }

  /**
   * Records what is out already, so that nothing is left to be withheld: in the ledger, or else through the spool,
   * or else as a gap. Settles when that is done, and never rejects.
   */
  recordLater(exchange: Exchange, record: string, context: Context): Promise<void> {
    const way = this.#wayOf(exchange);
    const done = way.last.then(() => this.#rescue(exchange, record, context));
    way.last = done;
    context.waitUntil(done);
    return done;
  }

  /**
   * Keeps what opens an exchange for the operator. Nobody waits for it, and an exchange does not fail with it: the
   * caller has the same from the response, and the record stands without it.
   */
  keep(exchange: Exchange, context: Context): void {
    const keeper = this.#options.keepers.get(this.#ledgerOf(exchange));
    keeper?.keep(exchange.opening, work => context.waitUntil(work));
  }

  async #make(exchange: Exchange, record: string, context: Context): Promise<Marks> {
    const way = this.#wayOf(exchange);
    try {
      return await this.#append(exchange, record, context);
    } catch (error) {
      if (!(error instanceof LedgerFailure)) throw error;
      way.failed = error.code;
      this.#complainOfLedger(exchange, error, context);
      const spooled = this.#spool(exchange, record, context);
      way.last = spooled.catch(() => {});
      const { onFailure } = assuranceOf(exchange.route);
      if (onFailure === "spool") return { "audit-promise": await spooled };
      if (onFailure === "open") {
        context.waitUntil(this.#noteGap(exchange, spooled, context));
        return { "audit-gap": error.code };
      }
      // What the upstream did is on record later, though the client was told that it is not.
      context.waitUntil(spooled.catch(reason => this.#complainOfLoss(exchange, reason, context)));
      throw error;
    }
  }

  async #rescue(exchange: Exchange, record: string, context: Context): Promise<void> {
    const way = this.#wayOf(exchange);
    try {
      await this.#append(exchange, record, context);
    } catch (error) {
      way.failed = error instanceof LedgerFailure ? error.code : "refused";
      this.#complainOfLedger(exchange, error as Error, context);
      const spooled = this.#spool(exchange, record, context);
      await spooled.catch(async reason => {
        this.#complainOfLoss(exchange, reason, context);
        await this.#noteGap(exchange, spooled, context);
      });
    }
  }

  /** Takes a record to the ledger, and signs its entry. @throws LedgerFailure */
  async #append(exchange: Exchange, record: string, context: Context): Promise<Marks> {
    const { failed } = this.#wayOf(exchange);
    if (failed !== undefined) {
      throw new LedgerFailure(failed, "an earlier record of this exchange could not be taken to the ledger");
    }
    const name = this.#ledgerOf(exchange);
    const { waitMs } = assuranceOf(exchange.route);
    const waitUntil = (work: Promise<unknown>) => context.waitUntil(work);
    const header = await this.#place(name, record, waitUntil, waitMs);
    const gaps = this.#gaps.get(name)!;
    if (!gaps.isEmpty) waitUntil(gaps.tell(gap => this.#place(name, gap, waitUntil, waitMs)));
    const entry = formatEntry(header, record);
    const key = findSigner(entry, [this.#options.receiptKey]);
    if (key !== undefined) return { "audit-receipt": await issueReceipt(entry, key) };
    // The keys are being replaced, and this isolate or the ledger has not heard of it yet. The record is durable;
    // what can be signed here is a promise of it, which is kept already. Whoever has the ledger's key gives the receipt.
    return { "audit-promise": await this.#promise(exchange, record) };
  }

  /** @returns the protected header of the entry that is durable. @throws LedgerFailure */
  async #place(
    name: string,
    record: string,
    waitUntil: Context["waitUntil"],
    waitMs: number,
  ): Promise<string> {
    const placement = await this.#options.ledgers.get(name)!.append(record, waitUntil, waitMs);
    return requirePlace(placement);
  }

  /** Puts a record where the ledger will fetch it. @returns the promise that it will. @throws LedgerFailure */
  async #spool(exchange: Exchange, record: string, context: Context): Promise<string> {
    const name = this.#ledgerOf(exchange);
    const promise = await this.#promise(exchange, record);
    const put = this.#options.spool.put(formatSpoolPath(name, record), promise);
    try {
      await within(assuranceOf(exchange.route).waitMs, put);
    } catch (error) {
      const reason = "neither ledger nor spool could take the record";
      throw new LedgerFailure("unreachable", reason, { cause: error });
    }
    // The ledger may be out of reach: then whatever reaches it next makes it look.
    context.waitUntil(this.#options.spool.wake(name).catch(() => {}));
    return promise;
  }

  #promise(exchange: Exchange, record: string): Promise<string> {
    const { policy, receiptKey } = this.#options;
    const { origin } = policy.ledgers.find(({ name }) => name === this.#ledgerOf(exchange))!;
    return issuePromise(record, origin, assuranceOf(exchange.route).promiseSeconds, receiptKey);
  }

  /** Counts a record that was let go, as soon as it is known whether it waits in the spool at least. */
  async #noteGap(exchange: Exchange, spooled: Promise<unknown>, context: Context): Promise<void> {
    const isSpooled = await spooled.then(
      () => true,
      () => false,
    );
    const beginning = this.#gaps.get(this.#ledgerOf(exchange))!.note(isSpooled);
    if (beginning === undefined) return;
    const told = this.#spool(exchange, beginning, context);
    await told.catch(reason => this.#complainOfLoss(exchange, reason, context));
  }

  #wayOf(exchange: Exchange): Way {
    const known = this.#ways.get(exchange);
    if (known !== undefined) return known;
    const way: Way = { last: Promise.resolve() };
    this.#ways.set(exchange, way);
    return way;
  }

  #ledgerOf({ route }: Exchange): string {
    return route?.ledger ?? this.#options.policy.ledgers[0]!.name;
  }

  /** Tells the log what has kept a ledger from taking a record. Callers are told only that it has not. */
  #complainOfLedger(exchange: Exchange, { cause }: Error, context: Context): void {
    if (cause !== undefined) {
      this.#complain(`ledger "${this.#ledgerOf(exchange)}" could not be reached`, exchange, cause, context);
    }
  }

  #complainOfLoss(exchange: Exchange, reason: unknown, context: Context): void {
    const name = this.#ledgerOf(exchange);
    this.#complain(`a record is neither in ledger "${name}" nor in its spool`, exchange, reason, context);
  }

  #complain(what: string, { jti }: Exchange, cause: unknown, context: Context): void {
    this.#options.complaints.make(what, [jti], cause, work => context.waitUntil(work));
  }
}

/** @returns the protected header of the entry that is durable. @throws LedgerFailure */
function requirePlace(placement: Placement): string {
  if (!("refused" in placement)) return placement.header;
  const code = placement.refused === "busy" ? "overloaded" : "refused";
  throw new LedgerFailure(code, `the ledger refused the record: ${placement.reason}`);
}
