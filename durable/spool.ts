// The spool, from the ledger's side: records that the edge could not bring it wait in the object store as promises,
// signed by the receipt key, and the ledger enters them in the order of their paths.
//
// A promise is deleted only after its entry is durable, and entering it again changes nothing, so it may stop
// anywhere and begin anew. Whoever can write to the store can put anything there: what is not signed, not for this
// ledger, or refused by it is neither entered nor dropped, but set aside for a person to look at.
import { parseHeader } from "../src/receipt/entry.ts";
import { timeOfJti } from "../src/receipt/jti.ts";
import type { TrustedKey } from "../src/receipt/key.ts";
import type { Placement } from "../src/receipt/placement.ts";
import { type AuditPromise, PROMISE_BYTES_MAX, parsePromise, verifyPromise } from "../src/receipt/promise.ts";
import { formatControl, formatStep } from "../src/receipt/record.ts";
import { formatSpoolPath, formatSpoolPrefix, REFUSED_FOLDER, SPOOL_FOLDER } from "../src/receipt/spool.ts";
import { encodeBase64url } from "../src/tlog/base64.ts";
import { Fault } from "../src/tlog/fault.ts";
import { leafHash } from "../src/tlog/hash.ts";
import { describeTrouble } from "./trouble.ts";

/** The part of an object store that a spool needs. */
export interface SpoolStore {
  /** The first keys below a prefix, sorted, at most `count` of them. */
  list(prefix: string, count: number): Promise<string[]>;
  /** The first `bytesMax` bytes of an object, or undefined when there is none. */
  read(key: string, bytesMax: number): Promise<Uint8Array | undefined>;
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  delete(keys: readonly string[]): Promise<void>;
}

export interface SpoolOptions {
  readonly store: SpoolStore;
  /** The ledger's name and origin. */
  readonly name: string;
  readonly origin: string;
  /** The keys that may have signed what waits. */
  readonly keys: readonly TrustedKey[];
  /** The ledger's clock, in ms of Unix time. */
  readonly now: () => number;
  /** Takes records as `Ledger.append` does, and answers when they are durable. */
  readonly append: (records: readonly string[]) => Promise<Placement[]>;
  /** Tells a person of what has failed, or was set aside. */
  readonly report: (what: string, error: unknown) => void;
}

/** What was found at the last look. */
export interface SpoolState {
  /** How many records wait, and of when the oldest exchange among them is; up to DRAIN_RECORDS_MAX are counted. */
  readonly waiting: number;
  readonly oldest?: string;
  /** The times by which those were promised to be on record, as the promises say, oldest first. */
  readonly deadlines: readonly string[];
  /** How many were set aside, up to SET_ASIDE_COUNT_MAX. */
  readonly refused: number;
  /** Why the last attempt did not come to its end, if it did not. */
  readonly trouble?: string;
}

/** The most records that are entered at once, and the most that were set aside that are counted. */
export const DRAIN_RECORDS_MAX = 250;
const SET_ASIDE_COUNT_MAX = 1000;

/** How long what a retired key has signed may wait: no promise states a longer delay. Later, it may be a thief's. */
const RETIRED_WAIT_MS = 7 * 24 * 3600 * 1000;

/** How long what an unknown key has signed is left: while keys are replaced, an edge may know one before its ledger. */
const UNKNOWN_WAIT_MS = 3600 * 1000;

/** How many objects are read at once. */
const READS_AT_ONCE = 25;

/** A record that waits. */
interface Waiting {
  readonly key: string;
  readonly promise: AuditPromise;
}

/**
 * How much of its key an object keeps that is set aside; a genuine one is shorter, and a hash of the bytes follows. With
 * that it is no longer than a filesystem can name.
 */
const REFUSED_NAME_LENGTH_MAX = 200;

export class Spool {
  readonly #options: SpoolOptions;
  #state: SpoolState = { waiting: 0, deadlines: [], refused: 0 };
  /** The deadlines of what waits, by path, so that none is read again while it waits. */
  #deadlines = new Map<string, string>();

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  get state(): SpoolState {
    return this.#state;
  }

  /** Enters what waits, some at a time. @returns whether something waits still. Never rejects. */
  async drain(): Promise<boolean> {
    const { store, name, report } = this.#options;
    let trouble: string | undefined;
    try {
      const keys = await store.list(formatSpoolPrefix(name), DRAIN_RECORDS_MAX);
      for (let at = 0; at < keys.length; at += READS_AT_ONCE) {
        await this.#enter(keys.slice(at, at + READS_AT_ONCE));
      }
    } catch (error) {
      trouble = describeTrouble(error as Error).reason;
      report(`draining the spool of ledger "${name}"`, error);
    }
    return this.look(trouble);
  }

  /**
   * Looks at what waits, and enters nothing of it. Never rejects.
   * @param trouble what has stopped the last attempt to enter it.
   * @returns whether something waits.
   */
  async look(trouble?: string): Promise<boolean> {
    const { store, name } = this.#options;
    try {
      const left = await store.list(formatSpoolPrefix(name), DRAIN_RECORDS_MAX);
      const refused = await store.list(`${REFUSED_FOLDER}/${name}/`, SET_ASIDE_COUNT_MAX);
      const oldest = left[0] === undefined ? undefined : beganOf(left[0], name);
      this.#state = {
        waiting: left.length,
        deadlines: await this.#readDeadlines(left),
        refused: refused.length,
        ...(oldest !== undefined && { oldest: new Date(oldest).toISOString() }),
        ...(trouble !== undefined && { trouble }),
      };
      return left.length > 0;
    } catch (error) {
      this.#state = { ...this.#state, trouble: describeTrouble(error as Error).reason };
      return true;
    }
  }

  /** Of what is there and is a promise to this ledger: the rest is set aside when its turn comes. */
  async #readDeadlines(keys: readonly string[]): Promise<string[]> {
    const known = new Map<string, string>();
    for (let at = 0; at < keys.length; at += READS_AT_ONCE) {
      const some = keys.slice(at, at + READS_AT_ONCE);
      const found = await Promise.all(some.map(key => this.#deadlines.get(key) ?? this.#readDeadline(key)));
      for (const [i, deadline] of found.entries()) if (deadline !== undefined) known.set(some[i]!, deadline);
    }
    this.#deadlines = known;
    return [...known.values()].sort();
  }

  async #readDeadline(key: string): Promise<string | undefined> {
    try {
      return (await this.#read(key))?.header.promise;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return undefined;
    }
  }

  async #enter(keys: readonly string[]): Promise<void> {
    const opened = await Promise.all(keys.map(key => this.#open(key)));
    const waiting = opened.filter(one => one !== undefined);
    if (waiting.length === 0) return;
    const placements = await this.#options.append(waiting.map(({ promise }) => promise.recordText));
    const entered: Waiting[] = [];
    const late: string[] = [];
    for (const [i, one] of waiting.entries()) {
      const placement = placements[i]!;
      if (!("refused" in placement)) {
        entered.push(one);
        if (parseHeader(placement.header).at > one.promise.header.promise) late.push(tellLate(one.promise));
      } else {
        requireReady(placement);
        await this.#setAside(one.key, `${placement.refused}: ${placement.reason}`);
      }
    }
    // Told before the promise is let go. The ledger refuses a second one about the same exchange: one is enough.
    if (late.length > 0) (await this.#options.append(late)).forEach(requireReady);
    await this.#options.store.delete(entered.map(({ key }) => key));
  }

  /** A record that may be entered; undefined when it may not, or is not there any more. */
  async #open(key: string): Promise<Waiting | undefined> {
    try {
      const promise = await this.#read(key);
      return promise && { key, promise };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (error.code === "unknown-key" && this.#isYoung(key)) return undefined;
      await this.#setAside(key, `${error.code}: ${error.message}`);
      return undefined;
    }
  }

  /** The promise at a path. @throws Fault when what is there is not one that this ledger's edge has put there. */
  async #read(key: string): Promise<AuditPromise | undefined> {
    const { store, name, origin, keys } = this.#options;
    const bytes = await store.read(key, PROMISE_BYTES_MAX + 1);
    if (bytes === undefined) return undefined;
    // Any byte becomes one character; what is not ASCII then parses as no promise.
    const promise = parsePromise(new TextDecoder("latin1").decode(bytes));
    const { exp = Number.POSITIVE_INFINITY } = await verifyPromise(promise, keys);
    if (this.#options.now() > exp * 1000 + RETIRED_WAIT_MS) {
      throw new Fault(
        "key-not-valid",
        "promise: by a key that was retired longer ago than any promise waits",
      );
    }
    if (promise.header.origin !== origin || formatSpoolPath(name, promise.recordText) !== key) {
      throw new Fault("misplaced", "promise: is not the one that belongs at this path");
    }
    const { stage, control } = promise.record;
    // What a ledger tells of itself it tells itself: what it has let go of or erased is nobody else's to say.
    if (stage === "control" && control?.type !== "gap-begun") {
      throw new Fault("unsupported", "promise: of a control record that the edge never makes");
    }
    return promise;
  }

  /** Whether an object is, by its path, of an exchange that began a short while ago. */
  #isYoung(key: string): boolean {
    const began = beganOf(key, this.#options.name);
    return began !== undefined && Math.abs(this.#options.now() - began) < UNKNOWN_WAIT_MS;
  }

  /**
   * Moves an object out of the way, under a name that follows from its bytes: nothing is overwritten. Of one that is
   * larger than any promise only the beginning is kept.
   */
  async #setAside(key: string, reason: string): Promise<void> {
    const { store, name, report } = this.#options;
    const bytes = await store.read(key, PROMISE_BYTES_MAX + 1);
    if (bytes === undefined) return;
    // Whoever may write the bucket chooses the key. One that leaves no room for more would end every drain here.
    const rest = key.slice(SPOOL_FOLDER.length + 1).slice(0, REFUSED_NAME_LENGTH_MAX);
    await store.putIfAbsent(`${REFUSED_FOLDER}/${rest}.${encodeBase64url(leafHash(bytes))}`, bytes);
    await store.delete([key]);
    report(`the spool of ledger "${name}"`, new Error(`${key} was set aside: ${reason}`));
  }
}

/** @throws Error when a ledger refuses for now what it may take later. */
function requireReady(placement: Placement): void {
  if (!("refused" in placement)) return;
  const { refused, reason } = placement;
  if (refused === "busy" || refused === "halted") throw new Error(reason);
}

/** When the exchange began whose record lies at a path, if that is one of the spool's. */
function beganOf(key: string, name: string): number | undefined {
  return timeOfJti(key.slice(formatSpoolPrefix(name).length).split(".")[0]!);
}

/** The control record about a record that was entered later than promised; the same whenever it is told. */
function tellLate({ header, record }: AuditPromise): string {
  const control = { type: "entered-late", step: formatStep(record), promise: header.promise };
  return formatControl(record.iss, record.jti, Date.parse(header.promise), control);
}
