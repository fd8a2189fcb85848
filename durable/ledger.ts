// The ledger: the one writer of one append-only sequence of entries.
//
// It guarantees that an index that was answered is durable, is never given to another record, and follows
// the entry before it in the chain and in the tree; and that asking again for a record that was already
// taken gives the same answer. `#commit` is synchronous from its first read to its last write, in one
// transaction; memory moves only after the transaction did. After any throw storage is compared anew with what
// the world has seen, and with what this instance has committed itself, before it is written to again. A ledger
// that is contradicted takes nothing more and says so.
import { entryHash, formatEntry, formatHeader, RECEIPT_TYPE } from "../src/receipt/entry.ts";
import { JTI_AHEAD_MS, makeJti, timeOfJti } from "../src/receipt/jti.ts";
import type { Placement } from "../src/receipt/placement.ts";
import {
  type Control,
  FINAL_STAGES,
  formatControl,
  formatStep,
  isFinal,
  parseRecord,
} from "../src/receipt/record.ts";
import { encodeBase64url } from "../src/tlog/base64.ts";
import { Fault } from "../src/tlog/fault.ts";
import type { Sha256 } from "../src/tlog/hash.ts";
import type { Get } from "../src/tlog/reader.ts";
import { equalBytes, extend, type Hash } from "../src/tlog/tree.ts";
import { Bundles } from "./bundles.ts";
import type { Sql } from "./sql.ts";
import { type Head, type NewEntry, nameOf, type Place, Store } from "./store.ts";

/** What the ledger's control records tell of: the keys that sign for it, and the policy in force. */
export interface Identity {
  /** The thumbprint of the receipt key: the ledger writes the header that the edge signs. */
  readonly receipt: string;
  /** The verifier key of the checkpoints. */
  readonly checkpoint: string;
  /** The thumbprint of the anchor key. */
  readonly anchor: string;
  /** The hash of the policy. */
  readonly policy: string;
}

export interface LedgerOptions {
  readonly sql: Sql;
  readonly issuer: string;
  readonly origin: string;
  readonly identity: Identity;
  /** Reads what this ledger has published, by path below its prefix. */
  readonly published: Get;
  /** The ledger's clock, in milliseconds of Unix time. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** The platform's own SHA-256, if it has one. */
  readonly sha256?: Sha256;
  /** Resolves after whatever else is already waiting to append has been let in. */
  readonly breathe: () => Promise<void>;
  /**
   * Compares storage with the archive, before the first append of this instance and after every commit that
   * failed.
   * @returns the head of storage as it was compared.
   * @throws Fault when they contradict each other; any other error when the archive cannot be reached.
   */
  readonly recheck: (store: Store) => Promise<Head>;
}

/** The most records waiting for a commit, and the most in one append call. */
export const POOL_RECORDS_MAX = 5000;
export const APPEND_RECORDS_MAX = 1000;

/**
 * How long the places of an exchange are kept after it began, in ms. Within it a record that comes again is
 * recognised; a record of an exchange that began earlier is refused, so it cannot be taken twice either.
 */
export const PLACE_RETENTION_MS = 30 * 24 * 3600 * 1000;

/** A clock that is this much behind the newest entry is worth a control record, in ms. */
const CLOCK_BEHIND_MIN_MS = 1000;

const BUSY: Placement = {
  refused: "busy",
  reason: `${POOL_RECORDS_MAX} records are waiting already; try again in a second`,
};

const UNREADABLE: Placement = {
  refused: "busy",
  reason: "what is on record under this name is in the archive, which cannot be read; try again in a second",
};

interface Waiting {
  readonly records: readonly string[];
  readonly resolve: (placements: Placed[]) => void;
  readonly reject: (error: unknown) => void;
}

/** A placement, or the place of a record that is known but whose entry only the archive still has. */
type Placed = Placement | { readonly archived: Place };

export class Ledger {
  readonly store: Store;
  readonly #options: LedgerOptions;
  /** The head that the next commit continues: of what this instance has committed or compared last. */
  #head: Head | undefined;
  /** The comparison that holds for `#head`; none after a throw. */
  #checking: Promise<void> | undefined;
  #halted: Fault | undefined;
  #pool: Waiting[] = [];
  #pooled = 0;
  /** What storage has let go of. */
  readonly #bundles: Bundles;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.store = new Store(options.sql, options.origin);
    this.#bundles = new Bundles(options.published);
  }

  /** Why the ledger takes no records, if it does not. */
  get halted(): Fault | undefined {
    return this.#halted;
  }

  /**
   * Appends records, each the JSON text of an AuditRecord, and answers when all of them are durable.
   * Calls that arrive while others wait share one transaction. A record whose `jti` and `stage` (and for
   * `interim` its `seq`) are in the ledger already is answered with the place it has; another one of that name, or that
   * ends an exchange once more, is a `conflict`. When the pool is full, all are refused as `busy`, and so is one that is in
   * the ledger already while the archive, which alone has its entry, cannot be read.
   * @throws when the transaction failed or the archive could not be compared: then nothing is known to be
   * placed, and asking again is safe; and a Fault when the archive has lost, or has altered, an entry that is asked for.
   */
  async append(records: readonly string[]): Promise<Placement[]> {
    if (records.length > APPEND_RECORDS_MAX) {
      throw new RangeError(`ledger: ${records.length} records in one append, at most ${APPEND_RECORDS_MAX}`);
    }
    if (this.#pooled + records.length > POOL_RECORDS_MAX) return records.map(() => BUSY);
    const placed = await this.#wait(records);
    return Promise.all(
      placed.map((placement, i) =>
        "archived" in placement ? this.#answerArchived(placement.archived, records[i]!) : placement,
      ),
    );
  }

  /** Puts a record of the ledger's own history into it, and answers as `append` does. */
  async control(control: Control): Promise<Placement> {
    const { issuer, now, random } = this.#options;
    const ms = now();
    const [placement] = await this.append([formatControl(issuer, makeJti(ms, random(16)), ms, control)]);
    return placement!;
  }

  /**
   * Tells of keys and policy that have changed, if any have, without waiting for a record that would: a retired key
   * is to be seen as such, and the next checkpoint and anchor to be by the keys in force. Throws as `append`.
   */
  async tell(): Promise<void> {
    const told = this.store.identity();
    if (told !== "" && told !== JSON.stringify(this.#options.identity)) await this.#wait([]);
  }

  /** Compares storage with the archive, unless that holds still. @throws as `recheck`, but for its Faults. */
  async check(): Promise<void> {
    this.#checking ??= this.#compare().catch(error => {
      if (error instanceof Fault) return this.halt(error);
      this.#checking = undefined;
      throw error;
    });
    await this.#checking;
  }

  async #compare(): Promise<void> {
    const head = await this.#options.recheck(this.store);
    if (this.#head !== undefined) checkFollows(this.#head, head);
    this.#head = head;
  }

  /** Takes no more records, because of a contradiction that only a person can resolve. Reading goes on. */
  halt(fault: Fault): void {
    this.#halted ??= fault;
  }

  /** The entries of all stages of one exchange, in the order of the ledger. */
  find(jti: string): Promise<string[]> {
    return Promise.all(this.store.findPlaces(jti).map(place => this.#entry(place)));
  }

  /**
   * Keeps storage bounded: lets go what the archive has, and places past their retention. It is measured by
   * the newest entry's time, which never runs backwards, and not by the clock: what is let go is stale for ever.
   * @returns whether there is more; no call holds up appends for long.
   */
  prune(): boolean {
    return this.store.transaction(() => this.store.prune(this.store.head().at - PLACE_RETENTION_MS));
  }

  #wait(records: readonly string[]): Promise<Placed[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Placed[]>();
    this.#pool.push({ records, resolve, reject });
    this.#pooled += records.length;
    // The first one in commits for all who come in before storage is known to be sound.
    if (this.#pool.length === 1) void this.#flush();
    return promise;
  }

  async #flush(): Promise<void> {
    try {
      await Promise.allSettled([this.#options.breathe()]);
      await this.check();
    } catch (error) {
      for (const { reject } of this.#drain()) reject(error);
      return;
    }
    this.#settle(this.#drain());
  }

  #drain(): readonly Waiting[] {
    const pool = this.#pool;
    this.#pool = [];
    this.#pooled = 0;
    return pool;
  }

  #settle(pool: readonly Waiting[]): void {
    try {
      const placed = this.#commit(pool.flatMap(waiting => waiting.records));
      let at = 0;
      for (const { records, resolve } of pool) {
        resolve(placed.slice(at, at + records.length));
        at += records.length;
      }
    } catch (error) {
      // What memory holds may not be what storage holds, and storage may have been put back: neither is believed.
      this.#checking = undefined;
      for (const { reject } of pool) reject(error);
    }
  }

  #commit(records: readonly string[]): Placed[] {
    if (this.#halted !== undefined) {
      const reason = `the ledger has halted: ${this.#halted.message}`;
      return records.map(() => ({ refused: "halted", reason }));
    }
    const before = this.#head!;
    const { placed, after } = this.store.transaction(() => {
      const batch = new Batch(before, this.#options, this.store);
      batch.tellChanges();
      return { placed: batch.place(records), after: batch.close() };
    });
    this.#head = after;
    return placed;
  }

  /**
   * The entry of a place, from storage or from the published bundle.
   * @throws Fault `tampered` when it is not the one that was placed there: whoever signs what comes from here
   * must not sign what somebody has put into the archive.
   */
  async #entry({ index, leaf }: Place): Promise<string> {
    const text = this.store.entries(index, index + 1)[0]?.text ?? (await this.#archivedEntry(index));
    if (equalBytes(entryHash(text), leaf)) return text;
    throw new Fault("tampered", `entry ${index}: is not the one that was placed there`, { index });
  }

  async #archivedEntry(index: number): Promise<string> {
    try {
      return await this.#bundles.entry(index);
    } catch (error) {
      const { minimum } = this.store.retention();
      if (!(error instanceof Fault) || error.code !== "missing" || index >= minimum) throw error;
      throw new Fault("pruned", error.message, { index });
    }
  }

  /** Whoever sends a record again, or a signature, keeps no others from their answers while the archive cannot be read. */
  async #answerArchived(place: Place, record: string): Promise<Placement> {
    try {
      return answerAgain(place.index, await this.#entry(place), record);
    } catch (error) {
      if (error instanceof Fault) throw error;
      return UNREADABLE;
    }
  }
}

type Refusal = Extract<Placement, { readonly refused: unknown }>;

/** A record that may be placed, and the name that it has only once. */
interface Named {
  readonly text: string;
  readonly jti: string;
  readonly step: string;
}

function isNamed(judged: Named | Refusal): judged is Named {
  return "jti" in judged;
}

/**
 * The records of one transaction on their way into the store. They are placed in memory and written together:
 * a statement costs more than the rows that it is about.
 */
class Batch {
  readonly #before: Head;
  readonly #options: LedgerOptions;
  readonly #store: Store;
  readonly #added: NewEntry[] = [];
  /** Where records of these names are, by `nameOf`: in storage, or here. */
  #places = new Map<string, Place>();
  readonly #now: number;
  readonly #at: number;
  #chain: Hash;

  constructor(before: Head, options: LedgerOptions, store: Store) {
    this.#before = before;
    this.#options = options;
    this.#store = store;
    this.#chain = before.chain;
    this.#now = options.now();
    this.#at = Math.max(before.at, this.#now);
  }

  /** Places records, JSON texts, in their order. */
  place(texts: readonly string[]): Placed[] {
    const judged = texts.map(text => this.#judge(text));
    this.#places = this.#store.findNamed(judged.filter(isNamed));
    return judged.map(each => (isNamed(each) ? this.#place(each) : each));
  }

  /** Writes what was placed, extends the tree by it and moves the stored head. */
  close(): Head {
    if (this.#added.length === 0) return this.#before;
    this.#store.addEntries(this.#added, this.#at);
    const leaves = this.#added.map(({ leaf }) => leaf);
    const frontier = extend(this.#before.frontier, leaves, (level, n, hash) =>
      this.#store.addNode(level, n, hash),
    );
    const after = { frontier, chain: this.#chain, at: this.#at };
    this.#store.moveHead(this.#before, after);
    return after;
  }

  /** Reads a record as far as its name, or refuses it. */
  #judge(text: string): Named | Refusal {
    try {
      const record = parseRecord(text);
      const { jti } = record;
      if (timeOfJti(jti) !== undefined) return { text, jti, step: formatStep(record) };
      return { refused: "malformed", reason: `record: jti: expected a lower-case UUIDv7, found "${jti}"` };
    } catch (error) {
      return { refused: "malformed", reason: (error as Error).message };
    }
  }

  #place(record: Named): Placed {
    const known = this.#places.get(nameOf(record));
    if (known !== undefined) {
      const { index } = known;
      const entry =
        this.#added[index - this.#before.frontier.size] ?? this.#store.entries(index, index + 1)[0];
      return entry === undefined ? { archived: known } : answerAgain(index, entry.text, record.text);
    }
    return this.#checkAge(record.jti) ?? this.#checkOpen(record) ?? this.#add(record);
  }

  #add({ text, jti, step }: Named): Placement {
    const index = this.#before.frontier.size + this.#added.length;
    const header = formatHeader({
      alg: "Ed25519",
      kid: this.#options.identity.receipt,
      typ: RECEIPT_TYPE,
      origin: this.#options.origin,
      index,
      prev: encodeBase64url(this.#chain),
      at: new Date(this.#at).toISOString(),
    });
    const entry = formatEntry(header, text);
    const leaf = entryHash(entry, this.#options.sha256);
    this.#added.push({ index, text: entry, leaf, jti, step });
    this.#places.set(nameOf({ jti, step }), { index, leaf });
    this.#chain = leaf;
    return { index, header };
  }

  /** A refusal for a record that may have been here before its place was let go. */
  #checkAge(jti: string): Placement | undefined {
    const began = timeOfJti(jti)!;
    if (began > this.#at + JTI_AHEAD_MS) {
      return {
        refused: "malformed",
        reason: "record: jti: was made more than an hour ahead of the ledger's clock",
      };
    }
    if (began < this.#at - PLACE_RETENTION_MS) {
      return {
        refused: "stale",
        reason: "the exchange began longer ago than the ledger remembers exchanges",
      };
    }
    return undefined;
  }

  /** A refusal for a second ending: an edge makes one, so somebody else has made the other. */
  #checkOpen({ jti, step }: Named): Placement | undefined {
    if (!isFinal(step)) return undefined;
    for (const other of FINAL_STAGES) {
      const ended = this.#places.get(nameOf({ jti, step: other }));
      if (ended === undefined) continue;
      return { refused: "conflict", reason: `the exchange ended as "${other}" at index ${ended.index}` };
    }
    return undefined;
  }

  /** Puts the ledger's own history before the records: its beginning, changes of keys, policy and clock. */
  tellChanges(): void {
    const told = this.#store.identity();
    const { identity } = this.#options;
    if (told !== JSON.stringify(identity)) {
      this.#tellIdentity(told === "" ? undefined : (JSON.parse(told) as Identity));
      this.#store.setIdentity(JSON.stringify(identity));
    }
    this.#tellClock();
  }

  #tellIdentity(was: Identity | undefined): void {
    const { issuer, origin, identity } = this.#options;
    if (was === undefined) {
      this.#tell({ type: "genesis", v: 1, iss: issuer, origin, ...identity });
      return;
    }
    for (const use of ["receipt", "checkpoint", "anchor"] as const) {
      if (was[use] === identity[use]) continue;
      this.#tell({ type: "key-added", use, key: identity[use] });
      // What was told before anchor keys were told of names none.
      if (was[use] !== undefined) this.#tell({ type: "key-retired", use, key: was[use] });
    }
    if (was.policy !== identity.policy) {
      this.#tell({ type: "policy-changed", from: was.policy, to: identity.policy });
    }
  }

  /** A clock that is behind the newest entry is told of once, until it has caught up. */
  #tellClock(): void {
    const behind = this.#before.at - this.#now;
    const told = this.#store.clockBehind();
    const isBehind = behind > (told ? 0 : CLOCK_BEHIND_MIN_MS);
    if (isBehind && !told) this.#tell({ type: "clock-behind", ms: behind });
    if (isBehind !== told) this.#store.setClockBehind(isBehind);
  }

  #tell(control: Control): void {
    const { issuer, random } = this.#options;
    const jti = makeJti(this.#at, random(16));
    this.#add({ text: formatControl(issuer, jti, this.#at, control), jti, step: "control" });
  }
}

/**
 * Storage never loses what was committed, except when it is put back.
 * @throws Fault when `found`, in storage, has less than `committed`, or as much and something else.
 */
function checkFollows(committed: Head, found: Head): void {
  const [expected, size] = [committed.frontier.size, found.frontier.size];
  if (size < expected) {
    throw new Fault("rolled-back", "storage is older than what this instance has committed", {
      expected: `at least ${expected} entries`,
      found: `${size} entries`,
    });
  }
  if (size === expected && !equalBytes(found.chain, committed.chain)) {
    throw new Fault("forked", "storage holds other entries than this instance has committed", {
      expected: `chain head ${encodeBase64url(committed.chain)}`,
      found: `chain head ${encodeBase64url(found.chain)}`,
    });
  }
}

/** The place of a record that is in the ledger already, unless it is another record of the same name. */
function answerAgain(index: number, entry: string, text: string): Placement {
  const header = entry.slice(0, entry.indexOf("."));
  if (formatEntry(header, text) === entry) return { index, header };
  return { refused: "conflict", reason: `another record of the same jti and stage is at index ${index}` };
}
