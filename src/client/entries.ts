// The entries of one ledger, read in the order of their indexes: each stands where it says, names the entry
// before it, and is not older than that one. On the way it keeps the exchanges that have no ending yet.
import { readErased, readMinimum } from "../receipt/control.ts";
import { type Entry, parseEntry } from "../receipt/entry.ts";
import { type Control, isFinal, type Stage } from "../receipt/record.ts";
import { encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import type { Hash } from "../tlog/hash.ts";
import type { AwaitedRecords } from "./awaited.ts";
import { type ClockDifference, Clocks } from "./clocks.ts";
import { type Ending, Endings } from "./endings.ts";
import { ExchangeId } from "./exchangeid.ts";
import { located } from "./findings.ts";
import { QuickReader } from "./spelling.ts";
import type { EntriesState, Start } from "./state.ts";

/** An exchange that began on record and has no ending there. */
export interface OpenExchange {
  readonly jti: string;
  readonly stage: Stage;
  /** The entry of its newest stage, and when the ledger took it. */
  readonly index: number;
  readonly at: string;
}

// Any byte becomes one character; what is not ASCII then parses as no entry.
const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

/** A control record, in which a ledger tells of its own history. */
export interface ControlNote {
  readonly index: number;
  readonly at: string;
  readonly control: Control;
}

/** How many control records are kept; the rest are counted. */
const CONTROL_MAX = 1000;

/** What of a record tells how far its exchange is. */
interface Followed {
  readonly jti: string;
  readonly stage: Stage;
}

export class EntryReader {
  readonly #origin: string;
  readonly #awaited: AwaitedRecords;
  readonly #open: Map<string, OpenExchange>;
  readonly #erased: Set<string>;
  readonly #quick: QuickReader;
  readonly #clocks = new Clocks();
  readonly #endings: Endings;
  /** Of the entry that is read. */
  readonly #id = new ExchangeId();
  /** The newest `at`, in ms of Unix time; -Infinity before the first entry. */
  #newestMs: number;
  readonly #control: ControlNote[] = [];
  #controlCount = 0;
  #count = 0;
  #minimum = 0;
  #pruned: Entry | undefined;

  /**
   * @param awaited is shown every entry that is read.
   * @param start tells what entries that were read before have told.
   */
  constructor(origin: string, awaited: AwaitedRecords, start?: Start) {
    const { newestAt = "", erased = [], open = [], endings } = start?.entries ?? {};
    this.#origin = origin;
    this.#awaited = awaited;
    this.#quick = new QuickReader(origin);
    this.#newestMs = newestAt === "" ? Number.NEGATIVE_INFINITY : Date.parse(newestAt);
    this.#erased = new Set(erased);
    this.#endings = new Endings(endings);
    this.#open = new Map(open.map(exchange => [exchange.jti, exchange]));
    if (start?.told !== undefined) this.#readControl(start.told);
  }

  /** What the entries have told, to go on from another time. @param pruned how many of them are gone by now. */
  state(pruned: number): EntriesState {
    const told = this.#pruned?.text;
    return {
      ...{ newestAt: this.newestAt, pruned },
      ...(told !== undefined && { told }),
      erased: [...this.#erased],
      open: this.open,
      endings: this.#endings.format(pruned),
    };
  }

  /** How many entries were read. */
  get count(): number {
    return this.#count;
  }

  /** The newest `at`, or an empty text before the first entry. */
  get newestAt(): string {
    return formatTime(this.#newestMs);
  }

  /** The entry that tells of the highest minimum index, if the ledger has not kept all entries. */
  get pruned(): Entry | undefined {
    return this.#pruned;
  }

  /** How many exchanges' private values the ledger says are erased. */
  get erased(): number {
    return this.#erased.size;
  }

  /** The control records that were read, the first thousand of them, and how many there are. */
  get control(): { readonly count: number; readonly list: readonly ControlNote[] } {
    return { count: this.#controlCount, list: this.#control };
  }

  /** Where the clocks of edge and ledger were furthest apart. */
  get clocks(): readonly ClockDifference[] {
    return this.#clocks.furthest;
  }

  /** The exchanges that began and did not end, oldest first. */
  get open(): OpenExchange[] {
    return [...this.#open.values()];
  }

  /**
   * Reads the next entry.
   * @param prev the leaf hash of the entry before it; 32 zero bytes for entry 0.
   * @throws Fault `malformed`, `too-large`, `wrong-origin`, `misplaced`, `broken-chain`, `back-dated` or `ended-twice`,
   *   with the entry's index. It has been read all the same.
   */
  read(bytes: Uint8Array, index: number, prev: Hash): void {
    this.#count++;
    const quick = this.#quick;
    if (this.#awaited.isEmpty && quick.read(bytes, index, prev) && quick.at >= this.#newestMs) {
      this.#newestMs = quick.at;
      quick.readJti(this.#id);
      this.#clocks.add(index, quick.time, quick.at);
      requireOneEnding(quick, index, this.#follow(quick, index, quick.at));
      return;
    }
    const entry = parseAt(bytes, index);
    this.#readAtLength(entry, index, prev);
    quick.learn(entry);
  }

  #readAtLength(entry: Entry, index: number, prev: Hash): void {
    const at = Date.parse(entry.header.at);
    this.#id.read(encoder.encode(entry.record.jti));
    const ended = this.#follow(entry.record, index, at);
    this.#clocks.add(index, Date.parse(entry.record.time), at);
    this.#awaited.see(entry, index);
    const newest = this.#newestMs;
    if (at > newest) this.#newestMs = at;
    this.#checkPlace(entry, index, prev);
    this.#note(entry);
    this.#readControl(entry);
    if (at < newest) {
      const detail = { expected: `${formatTime(newest)} or later`, found: entry.header.at, index };
      throw new Fault("back-dated", `entry ${index}: older than the entry before it`, detail);
    }
    requireOneEnding(entry.record, index, ended);
  }

  #checkPlace({ header }: Entry, index: number, prev: Hash): void {
    if (header.origin !== this.#origin) {
      const detail = { expected: this.#origin, found: header.origin, index };
      throw new Fault("wrong-origin", `entry ${index}: says it belongs to another ledger`, detail);
    }
    if (header.index !== index) {
      const detail = { expected: String(index), found: String(header.index), index };
      throw new Fault("misplaced", `entry ${index}: says it belongs at index ${header.index}`, detail);
    }
    const expected = encodeBase64url(prev);
    if (header.prev !== expected) {
      const detail = { expected, found: header.prev, index };
      throw new Fault("broken-chain", `entry ${index}: does not name the entry before it`, detail);
    }
  }

  #readControl(entry: Entry): void {
    const minimum = readMinimum(entry) ?? 0;
    if (minimum > this.#minimum) [this.#minimum, this.#pruned] = [minimum, entry];
    for (const jti of readErased(entry)) this.#erased.add(jti);
  }

  #note({ header: { index, at }, record: { control } }: Entry): void {
    if (control === undefined) return;
    if (this.#controlCount++ < CONTROL_MAX) this.#control.push({ index, at, control });
  }

  /**
   * @param exchange its id is made into a text only where that is needed; its words are there already.
   * @returns how it had ended before, if this ends it again.
   */
  #follow(exchange: Followed, index: number, at: number): Ending | undefined {
    const { stage } = exchange;
    if (stage === "received" || stage === "started") {
      // Records may come in another order than they were made in.
      if (this.#endings.find(this.#id) !== undefined) return undefined;
      const { jti } = exchange;
      this.#open.set(jti, { jti, stage, index, at: formatTime(at) });
    } else if (isFinal(stage)) {
      if (this.#open.size > 0) this.#open.delete(exchange.jti);
      const ended = this.#endings.find(this.#id);
      if (ended === undefined) this.#endings.add(this.#id, stage, index);
      return ended;
    }
    return undefined;
  }
}

/** @throws Fault `ended-twice` when the exchange of the entry at `index` had ended before. */
function requireOneEnding(exchange: Followed, index: number, ended: Ending | undefined): void {
  if (ended === undefined) return;
  const { jti, stage } = exchange;
  throw new Fault("ended-twice", `entry ${index}: ends exchange ${jti}, which had ended before`, {
    expected: `one ending: ${ended.stage}, at index ${ended.index}`,
    found: `${stage}, at index ${index}`,
    index,
  });
}

function formatTime(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : "";
}

function parseAt(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(decoder.decode(bytes));
  } catch (error) {
    throw located(error, `entry ${index}`, index);
  }
}
