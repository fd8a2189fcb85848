// The ledger's tables and the statements over them. No rule of the ledger lives here.
//
//   head   one row: the tree's size, frontier, chain head, clock, and what is published
//   entry  the entries and their leaf hashes, by index
//   node   the tile hashes above level 0, by level and position
//   place  the index of each (jti, stage): what makes an append idempotent, and a receipt findable
import { FIRST_PREV } from "../src/receipt/entry.ts";
import { decodeBase64url } from "../src/tlog/base64.ts";
import { emptyFrontier, type Frontier, HASH_BYTES, type Hash, makeFrontier } from "../src/tlog/tree.ts";
import type { Sql, SqlRow } from "./sql.ts";

/** Everything that an append needs to know of the ledger. */
export interface Head {
  readonly frontier: Frontier;
  /** The leaf hash of the newest entry. */
  readonly chain: Hash;
  /** The newest entry's `at`, in milliseconds of Unix time. */
  readonly at: number;
}

export interface StoredEntry {
  readonly index: number;
  readonly text: string;
  readonly leaf: Hash;
}

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS head (
     id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL,
     chain BLOB NOT NULL, at INTEGER NOT NULL, published INTEGER NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, text TEXT NOT NULL, leaf BLOB NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS node (
     level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, n)) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS place (
     jti TEXT NOT NULL, stage TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (jti, stage)) WITHOUT ROWID`,
];

export class Store {
  readonly #sql: Sql;

  /** Opens the tables of one ledger. @throws Error when they belong to another origin. */
  constructor(sql: Sql, origin: string) {
    this.#sql = sql;
    sql.transaction(() => {
      for (const statement of SCHEMA) sql.all(statement);
      sql.all(
        "INSERT OR IGNORE INTO head VALUES (1, ?, 0, ?, ?, 0, 0)",
        origin,
        new Uint8Array(),
        decodeBase64url(FIRST_PREV),
      );
    });
    const found = this.#one("SELECT origin FROM head").origin;
    if (found !== origin) {
      throw new Error(`ledger: this storage belongs to "${found}", not to "${origin}"`);
    }
  }

  transaction<T>(work: () => T): T {
    return this.#sql.transaction(work);
  }

  head(): Head {
    const row = this.#one("SELECT size, frontier, chain, at FROM head");
    const size = row.size as number;
    return {
      frontier: size === 0 ? emptyFrontier() : makeFrontier(size, splitHashes(row.frontier as Uint8Array)),
      chain: row.chain as Uint8Array,
      at: row.at as number,
    };
  }

  moveHead(head: Head): void {
    const frontier = new Uint8Array(head.frontier.hashes.length * HASH_BYTES);
    head.frontier.hashes.forEach((hash, i) => {
      frontier.set(hash, i * HASH_BYTES);
    });
    const { size } = head.frontier;
    this.#sql.all(
      "UPDATE head SET size = ?, frontier = ?, chain = ?, at = ?",
      size,
      frontier,
      head.chain,
      head.at,
    );
  }

  /** The size of the tree that was last published. */
  published(): number {
    return this.#one("SELECT published FROM head").published as number;
  }

  /** Notes the published size; it never shrinks. */
  movePublished(size: number): void {
    this.#sql.all("UPDATE head SET published = max(published, ?)", size);
  }

  addEntry(entry: StoredEntry, jti: string, stage: string): void {
    this.#sql.all("INSERT INTO entry VALUES (?, ?, ?)", entry.index, entry.text, entry.leaf);
    this.#sql.all("INSERT INTO place VALUES (?, ?, ?)", jti, stage, entry.index);
  }

  addNode(level: number, n: number, hash: Hash): void {
    this.#sql.all("INSERT INTO node VALUES (?, ?, ?)", level, n, hash);
  }

  /** The entry of one stage of one exchange. */
  findEntry(jti: string, stage: string): StoredEntry | undefined {
    const rows = this.#sql.all(
      "SELECT entry.* FROM place JOIN entry USING (idx) WHERE jti = ? AND stage = ?",
      jti,
      stage,
    );
    return rows.map(readEntry)[0];
  }

  /** The entries of all stages of one exchange, in the order of the ledger. */
  findEntries(jti: string): StoredEntry[] {
    return this.#sql
      .all("SELECT entry.* FROM place JOIN entry USING (idx) WHERE jti = ? ORDER BY idx LIMIT 1000", jti)
      .map(readEntry);
  }

  /** The entries from index `from` up to, not including, `to`. */
  entries(from: number, to: number): StoredEntry[] {
    return this.#sql
      .all("SELECT * FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", from, to)
      .map(readEntry);
  }

  /** The hashes of tile level `level`, from position `from` up to, not including, `to`. */
  hashes(level: number, from: number, to: number): Hash[] {
    const rows =
      level === 0
        ? this.#sql.all("SELECT leaf AS hash FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", from, to)
        : this.#sql.all(
            "SELECT hash FROM node WHERE level = ? AND n >= ? AND n < ? ORDER BY n",
            level,
            from,
            to,
          );
    return rows.map(row => row.hash as Uint8Array);
  }

  #one(statement: string): SqlRow {
    const row = this.#sql.all(statement)[0];
    if (row === undefined) throw new Error("ledger: the head row is missing from storage");
    return row;
  }
}

function readEntry(row: SqlRow): StoredEntry {
  return { index: row.idx as number, text: row.text as string, leaf: row.leaf as Uint8Array };
}

function splitHashes(bytes: Uint8Array): Hash[] {
  const hashes: Hash[] = [];
  for (let at = 0; at < bytes.length; at += HASH_BYTES) hashes.push(bytes.slice(at, at + HASH_BYTES));
  return hashes;
}
