// The ledger: the one writer of one append-only sequence of entries.
//
// It guarantees that an index that was answered is durable, is never given to another record, and follows
// the entry before it in the chain and in the tree; and that asking again for a record that was already
// taken gives the same answer. `#commit` is synchronous from its first read to its last write, in one
// transaction; memory moves only after the transaction did, and is dropped after any throw.

import { entryHash, formatEntry, formatHeader, RECEIPT_TYPE } from "../src/receipt/entry.ts";
import { parseRecord } from "../src/receipt/record.ts";
import { encodeBase64url } from "../src/tlog/base64.ts";
import { extend, type Hash } from "../src/tlog/tree.ts";
import type { Sql } from "./sql.ts";
import { type Head, Store, type StoredEntry } from "./store.ts";

/** Where a record was placed, or why it was not; answered in the order of the records. */
export type Placement =
  | { readonly index: number; readonly header: string }
  | { readonly refused: "malformed" | "conflict" | "busy"; readonly reason: string };

export interface LedgerOptions {
  readonly sql: Sql;
  readonly origin: string;
  /** The thumbprint of the receipt key: the ledger writes the header that the edge signs. */
  readonly kid: string;
  /** The ledger's clock, in milliseconds of Unix time. */
  readonly now: () => number;
  /** Resolves after whatever else is already waiting to append has been let in. */
  readonly breathe: () => Promise<void>;
}

/** The most records waiting for a commit, and the most in one append call. */
export const POOL_RECORDS_MAX = 5000;
export const APPEND_RECORDS_MAX = 1000;

const BUSY: Placement = {
  refused: "busy",
  reason: `${POOL_RECORDS_MAX} records are waiting already; try again in a second`,
};

interface Waiting {
  readonly records: readonly string[];
  readonly resolve: (placements: Placement[]) => void;
  readonly reject: (error: unknown) => void;
}

export class Ledger {
  readonly store: Store;
  readonly #options: LedgerOptions;
  #head: Head | undefined;
  #pool: Waiting[] = [];
  #pooled = 0;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.store = new Store(options.sql, options.origin);
  }

  /**
   * Appends records, each the JSON text of an AuditRecord, and answers when all of them are durable.
   * Calls that arrive while others wait share one transaction. A record whose `jti` and `stage` are in the
   * ledger already is answered with the place it has. When the pool is full, all are refused as `busy`.
   * @throws when the transaction failed: then nothing is known to be placed, and asking again is safe.
   */
  append(records: readonly string[]): Promise<Placement[]> {
    if (records.length > APPEND_RECORDS_MAX) {
      throw new RangeError(`ledger: ${records.length} records in one append, at most ${APPEND_RECORDS_MAX}`);
    }
    if (this.#pooled + records.length > POOL_RECORDS_MAX) return Promise.resolve(records.map(() => BUSY));
    const { promise, resolve, reject } = Promise.withResolvers<Placement[]>();
    this.#pool.push({ records, resolve, reject });
    this.#pooled += records.length;
    // The first one in commits for all who come in before it runs.
    if (this.#pool.length === 1)
      this.#options.breathe().then(
        () => this.#flush(),
        () => this.#flush(),
      );
    return promise;
  }

  #flush(): void {
    const pool = this.#pool;
    this.#pool = [];
    this.#pooled = 0;
    try {
      const placements = this.#commit(pool.flatMap(waiting => waiting.records));
      let at = 0;
      for (const { records, resolve } of pool) {
        resolve(placements.slice(at, at + records.length));
        at += records.length;
      }
    } catch (error) {
      // What memory holds may have run ahead of storage: only storage is true.
      this.#head = undefined;
      for (const { reject } of pool) reject(error);
    }
  }

  #commit(records: readonly string[]): Placement[] {
    this.#head ??= this.store.head();
    const before = this.#head;
    const { placements, after } = this.store.transaction(() => {
      const batch = new Batch(before, this.#options, this.store);
      const placements = records.map(record => batch.place(record));
      return { placements, after: batch.close() };
    });
    this.#head = after;
    return placements;
  }
}

/** The records of one transaction on their way into the store. */
class Batch {
  readonly #before: Head;
  readonly #options: LedgerOptions;
  readonly #store: Store;
  readonly #leaves: Hash[] = [];
  readonly #at: number;
  #chain: Hash;

  constructor(before: Head, options: LedgerOptions, store: Store) {
    this.#before = before;
    this.#options = options;
    this.#store = store;
    this.#chain = before.chain;
    this.#at = Math.max(before.at, options.now());
  }

  place(text: string): Placement {
    let jti: string;
    let stage: string;
    try {
      ({ jti, stage } = parseRecord(text));
    } catch (error) {
      return { refused: "malformed", reason: (error as Error).message };
    }
    const present = this.#store.findEntry(jti, stage);
    if (present !== undefined) return answerAgain(present, text);

    const index = this.#before.frontier.size + this.#leaves.length;
    const header = formatHeader({
      alg: "Ed25519",
      kid: this.#options.kid,
      typ: RECEIPT_TYPE,
      origin: this.#options.origin,
      index,
      prev: encodeBase64url(this.#chain),
      at: new Date(this.#at).toISOString(),
    });
    const entry = formatEntry(header, text);
    const leaf = entryHash(entry);
    this.#store.addEntry({ index, text: entry, leaf }, jti, stage);
    this.#leaves.push(leaf);
    this.#chain = leaf;
    return { index, header };
  }

  /** Extends the tree by the leaves placed and moves the stored head. */
  close(): Head {
    if (this.#leaves.length === 0) return this.#before;
    const frontier = extend(this.#before.frontier, this.#leaves, (level, n, hash) =>
      this.#store.addNode(level, n, hash),
    );
    const after = { frontier, chain: this.#chain, at: this.#at };
    this.#store.moveHead(after);
    return after;
  }
}

/** The place of a record that is in the ledger already, unless it is another record of the same name. */
function answerAgain(present: StoredEntry, text: string): Placement {
  const header = present.text.slice(0, present.text.indexOf("."));
  if (formatEntry(header, text) === present.text) return { index: present.index, header };
  return {
    refused: "conflict",
    reason: `another record of the same jti and stage is at index ${present.index}`,
  };
}
