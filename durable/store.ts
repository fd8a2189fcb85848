// The ledger's tables and the statements over them. No rule of the ledger lives here.
//
//   head     one row: size, frontier, chain head and clock of the tree, what of it is published, and the
//            identity (keys and policy) that the newest control records told of
//   entry    the entries and their leaf hashes, by index; those in published full bundles are let go
//   node     the tile hashes above level 0, by level and position; let go likewise
//   place    the index and leaf hash of each (jti, step), in the column `stage`: what makes an append idempotent, a receipt findable,
//            and an entry that comes back from the archive recognisable
//   retention  one row: the minimum index that was told, the index of the control record that told it, up to where
//            bundles are deleted, and when to look again
//   open     the exchanges that have begun and not ended, with the newest of the two stages that begin one
//   unopened  exchanges that the vault knew nothing of when it was asked, or is still to be asked about (`late`)
//   asked    one row: the exchange up to which the vault was asked
//   partial  the partial tiles in the archive, until their full tile has taken their place
import { FIRST_PREV } from "../src/receipt/entry.ts";
import { firstJti } from "../src/receipt/jti.ts";
import { FINAL_STAGES, isFinal } from "../src/receipt/record.ts";
import { decodeBase64url } from "../src/tlog/base64.ts";
import { TILE_WIDTH, type Tile } from "../src/tlog/tile.ts";
import { emptyFrontier, type Frontier, HASH_BYTES, type Hash, makeFrontier } from "../src/tlog/tree.ts";
import { formatRows, type Sql, type SqlRow, slices } from "./sql.ts";

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

/** What an exchange has one record of: its id and the step. */
export interface Name {
  readonly jti: string;
  readonly step: string;
}

/** An entry that comes into the ledger, with the name of its record. */
export type NewEntry = StoredEntry & Name;

/** A name in one text. */
export function nameOf({ jti, step }: Name): string {
  return `${jti} ${step}`;
}

/** Where an entry is, and by which hash it is known. */
export interface Place {
  readonly index: number;
  readonly leaf: Hash;
}

/** The stages that end an exchange, as SQL. */
const FINAL = FINAL_STAGES.map(stage => `'${stage}'`).join(", ");

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS head (
     id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL,
     chain BLOB NOT NULL, at INTEGER NOT NULL, published INTEGER NOT NULL, identity TEXT NOT NULL,
     behind INTEGER NOT NULL)`,
  "CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, text TEXT NOT NULL, leaf BLOB NOT NULL)",
  `CREATE TABLE IF NOT EXISTS node (
     level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, n)) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS place (
     jti TEXT NOT NULL, stage TEXT NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL,
     PRIMARY KEY (jti, stage)) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS open (stage TEXT NOT NULL, jti TEXT NOT NULL, PRIMARY KEY (stage, jti)) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS unopened (jti TEXT PRIMARY KEY, late INTEGER NOT NULL) WITHOUT ROWID",
  "CREATE INDEX IF NOT EXISTS unopened_late ON unopened (jti) WHERE late = 1",
  "CREATE TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY CHECK (id = 1), jti TEXT NOT NULL)",
  `CREATE TABLE IF NOT EXISTS partial (
     ends INTEGER NOT NULL, level TEXT NOT NULL, n INTEGER NOT NULL, width INTEGER NOT NULL,
     PRIMARY KEY (ends, level, n, width)) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS retention (
     id INTEGER PRIMARY KEY CHECK (id = 1), minimum INTEGER NOT NULL, told INTEGER NOT NULL,
     deleted INTEGER NOT NULL, due INTEGER NOT NULL)`,
  "INSERT OR IGNORE INTO retention VALUES (1, 0, 0, 0, 0)",
];

/** How far the ledger has let go of published entries. */
export interface Retention {
  /** Entries below it may be gone from the archive. */
  readonly minimum: number;
  /** The index of the control record that tells of it. */
  readonly toldAt: number;
  /** The time of a newest entry, in ms of Unix time, from which on to look again. */
  readonly dueAt: number;
}

/** How long after an exchange began what opens it is in the vault, unless it was lost on its way, in ms. */
export const OPENING_WAIT_MS = 300_000;

/** How many rows of a table one pass of `prune` lets go, so that no transaction grows without bound. */
const PRUNE_ROWS_MAX = 10_000;

export class Store {
  readonly #sql: Sql;

  /** Opens the tables of one ledger. @throws Error when they belong to another origin. */
  constructor(sql: Sql, origin: string) {
    this.#sql = sql;
    sql.transaction(() => {
      for (const statement of SCHEMA) sql.all(statement);
      sql.all(
        "INSERT OR IGNORE INTO head VALUES (1, ?, 0, ?, ?, 0, 0, '', 0)",
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

  /**
   * Moves the head on from one that storage must still have.
   * @throws Error when it has not: another instance of this object has written, or storage was put back.
   */
  moveHead(from: Head, head: Head): void {
    const moved = this.#sql.all(
      "UPDATE head SET size = ?, frontier = ?, chain = ?, at = ? WHERE size = ? AND chain = ? RETURNING size",
      head.frontier.size,
      joinHashes(head.frontier.hashes),
      head.chain,
      head.at,
      from.frontier.size,
      from.chain,
    );
    if (moved.length === 1) return;
    throw new Error(
      `ledger: storage is no longer as it was at size ${from.frontier.size}; nothing was written`,
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

  /** What the newest control records told of keys and policy, as JSON; empty before genesis. */
  identity(): string {
    return this.#one("SELECT identity FROM head").identity as string;
  }

  /** The checkpoint key that those told of; none before genesis. */
  checkpointKey(): string | undefined {
    const identity = this.identity();
    return identity === "" ? undefined : (JSON.parse(identity) as { checkpoint: string }).checkpoint;
  }

  setIdentity(identity: string): void {
    this.#sql.all("UPDATE head SET identity = ?", identity);
  }

  /** Whether the newest control records told of a clock that is behind the newest entry. */
  clockBehind(): boolean {
    return this.#one("SELECT behind FROM head").behind === 1;
  }

  setClockBehind(behind: boolean): void {
    this.#sql.all("UPDATE head SET behind = ?", behind ? 1 : 0);
  }

  /** How far retention is, with the index up to which bundles are deleted. */
  retention(): Retention & { readonly deleted: number } {
    const row = this.#one("SELECT minimum, told, deleted, due FROM retention");
    return {
      minimum: row.minimum as number,
      toldAt: row.told as number,
      dueAt: row.due as number,
      deleted: row.deleted as number,
    };
  }

  setRetention({ minimum, toldAt, dueAt }: Retention): void {
    this.#sql.all("UPDATE retention SET minimum = ?, told = ?, due = ?", minimum, toldAt, dueAt);
  }

  moveDeleted(deleted: number): void {
    this.#sql.all("UPDATE retention SET deleted = ?", deleted);
  }

  /** Adds entries with their places, and keeps track of what has begun and not ended. @param at their time, in ms. */
  addEntries(entries: readonly NewEntry[], at: number): void {
    for (const some of slices(entries)) {
      const values = some.map(({ index, text, leaf }) => [index, text, leaf]);
      this.#sql.all(`INSERT INTO entry ${formatRows(values)}`, ...values.flat());
      const places = some.map(({ jti, step, index, leaf }) => [jti, step, index, leaf]);
      this.#sql.all(`INSERT INTO place ${formatRows(places)}`, ...places.flat());
    }
    for (const { jti, step } of entries)
      if (step === "received" || step === "started") this.#begin(jti, step);
    this.#end(entries.filter(({ step }) => isFinal(step)).map(({ jti }) => jti));
    const asked = firstJti(at - OPENING_WAIT_MS);
    const late = entries.filter(({ jti, step }) => jti < asked && step !== "control");
    for (const { jti } of late) this.#doubt(jti, entries[0]!.index);
  }

  /** Whoever asks the vault about one exchange after the other may be beyond one that comes on record late. */
  #doubt(jti: string, first: number): void {
    const isKnown = "SELECT 1 FROM place WHERE jti = ? AND idx < ?";
    this.#sql.all(
      `INSERT OR IGNORE INTO unopened SELECT ?, 1 WHERE NOT EXISTS (${isKnown})`,
      jti,
      jti,
      first,
    );
  }

  /** An exchange has begun, unless it has got further already: records may come in another order than they were made in. */
  #begin(jti: string, step: "received" | "started"): void {
    const isLate = this.#sql.all(
      `SELECT 1 FROM place WHERE jti = ? AND stage IN (${step === "received" ? "'started', " : ""}${FINAL})`,
      jti,
    );
    if (isLate.length > 0) return;
    this.#sql.all("INSERT INTO open VALUES (?, ?)", step, jti);
    if (step === "started") this.#sql.all("DELETE FROM open WHERE stage = 'received' AND jti = ?", jti);
  }

  /** Exchanges have ended. */
  #end(jtis: readonly string[]): void {
    for (const some of slices(jtis)) {
      const these = some.map(() => "?").join(", ");
      this.#sql.all(`DELETE FROM open WHERE stage IN ('received', 'started') AND jti IN (${these})`, ...some);
    }
  }

  /** The oldest exchanges that began before a moment, got to this stage and did not end; at most `count`. */
  unfinished(stage: "received" | "started", before: number, count: number): string[] {
    return this.#sql
      .all(
        "SELECT jti FROM open WHERE stage = ? AND jti < ? ORDER BY jti LIMIT ?",
        stage,
        firstJti(before),
        count,
      )
      .map(row => row.jti as string);
  }

  /** The exchange up to which the vault was asked; undefined while it never was. */
  askedTo(): string | undefined {
    return this.#sql.all("SELECT jti FROM asked")[0]?.jti as string | undefined;
  }

  /** Notes up to where the vault was asked, about which exchanges, and which of them it does not know. */
  moveAsked(to: string, jtis: readonly string[], missing: readonly string[]): void {
    const these = "SELECT value FROM json_each(?)";
    this.#sql.transaction(() => {
      this.#sql.all("INSERT OR REPLACE INTO asked VALUES (1, ?)", to);
      this.#sql.all(`DELETE FROM unopened WHERE jti IN (${these})`, JSON.stringify(jtis));
      this.#sql.all(
        `INSERT OR REPLACE INTO unopened SELECT value, 0 FROM json_each(?)`,
        JSON.stringify(missing),
      );
    });
  }

  /** Forgets up to where the vault was asked, and what came of it: there is none any more. */
  forgetAsked(): void {
    for (const table of ["asked", "unopened"]) this.#sql.all(`DELETE FROM ${table}`);
  }

  /** The first thing on record, from an id on. */
  nextExchange(from: string): string | undefined {
    return this.#sql.all("SELECT jti FROM place WHERE jti >= ? ORDER BY jti LIMIT 1", from)[0]?.jti as
      | string
      | undefined;
  }

  /** The first exchanges on record, from one id up to, not including, another; at most `count`. */
  exchanges(from: string, before: string, count: number): string[] {
    return this.#sql
      .all(
        "SELECT DISTINCT jti FROM place WHERE jti >= ? AND jti < ? AND stage <> 'control' ORDER BY jti LIMIT ?",
        from,
        before,
        count,
      )
      .map(row => row.jti as string);
  }

  /** The first exchange that came on record late, and that the vault was not asked about yet. */
  nextLate(): string | undefined {
    const [row] = this.#sql.all("SELECT jti FROM unopened WHERE late = 1 ORDER BY jti LIMIT 1");
    return row?.jti as string | undefined;
  }

  /** The exchanges that the vault is to be asked about (again), up to one; those that it never was first, at most `count`. */
  doubtful(before: string, count: number): string[] {
    return this.#sql
      .all("SELECT jti FROM unopened WHERE jti < ? ORDER BY late DESC, jti LIMIT ?", before, count)
      .map(row => row.jti as string);
  }

  /** The oldest exchanges that the vault knew nothing of; at most `count`. */
  unopened(count: number): string[] {
    return this.#sql
      .all("SELECT jti FROM unopened WHERE late = 0 ORDER BY jti LIMIT ?", count)
      .map(row => row.jti as string);
  }

  /** Forgets those that began before one. */
  forgetUnopened(before: string): void {
    this.#sql.all("DELETE FROM unopened WHERE jti < ?", before);
  }

  addNode(level: number, n: number, hash: Hash): void {
    this.#sql.all("INSERT INTO node VALUES (?, ?, ?)", level, n, hash);
  }

  /** The places that names have already, and those of their exchanges' endings, by `nameOf`. */
  findNamed(names: readonly Name[]): Map<string, Place> {
    const places = new Map<string, Place>();
    for (const some of slices(names)) {
      const values = some.map(({ jti, step }) => [jti, step]);
      const rows = this.#sql.all(
        `WITH name (jti, step) AS (${formatRows(values)})
         SELECT place.jti, stage, idx, leaf FROM name
         CROSS JOIN place ON place.jti = name.jti AND stage IN (step, ${FINAL})`,
        ...values.flat(),
      );
      for (const row of rows) {
        places.set(nameOf({ jti: row.jti as string, step: row.stage as string }), readPlace(row));
      }
    }
    return places;
  }

  /**
   * The places of one exchange, in the order of the ledger: of every stage, but of its interim records only the
   * newest. A connection that lasts for days has thousands of them, and each says all that those before it said.
   */
  findPlaces(jti: string): Place[] {
    return this.#sql
      .all(
        // SQLite takes the other columns from the row that holds the maximum.
        `SELECT max(idx) AS idx, leaf FROM place WHERE jti = ?
         GROUP BY CASE WHEN stage LIKE 'interim/%' THEN 'interim' ELSE stage END ORDER BY idx`,
        jti,
      )
      .map(readPlace);
  }

  /** The entries from index `from` up to, not including, `to`, as far as they are kept here. */
  entries(from: number, to: number): StoredEntry[] {
    return this.#sql
      .all("SELECT idx, text, leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", from, to)
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

  /** Remembers the partial tiles that go into the archive. */
  addPartials(tiles: readonly Tile[]): void {
    this.#sql.transaction(() => {
      for (const { level, n, width } of tiles) {
        this.#sql.all(
          "INSERT OR IGNORE INTO partial VALUES (?, ?, ?, ?)",
          endOf(level, n),
          String(level),
          n,
          width,
        );
      }
    });
  }

  /** Partial tiles whose full tile is part of a tree of `size`; some at a time. */
  superseded(size: number): Tile[] {
    return this.#sql
      .all("SELECT level, n, width FROM partial WHERE ends <= ? ORDER BY ends LIMIT 500", size)
      .map(row => ({
        level: row.level === "entries" ? "entries" : Number(row.level),
        n: row.n as number,
        width: row.width as number,
      }));
  }

  forgetPartials(tiles: readonly Tile[]): void {
    for (const { level, n, width } of tiles) {
      this.#sql.all(
        "DELETE FROM partial WHERE ends = ? AND level = ? AND n = ? AND width = ?",
        endOf(level, n),
        String(level),
        n,
        width,
      );
    }
  }

  /**
   * Lets go what the archive holds in full tiles and bundles of the published tree, and the places of
   * exchanges that began before `before`; some at a time.
   * @returns whether there is more.
   */
  prune(before: number): boolean {
    const published = this.published();
    const full = published - (published % TILE_WIDTH);
    this.#sql.all(
      "DELETE FROM entry WHERE idx IN (SELECT idx FROM entry WHERE idx < ? ORDER BY idx LIMIT ?)",
      full,
      PRUNE_ROWS_MAX,
    );
    for (let level = 1, count = full / TILE_WIDTH; count >= TILE_WIDTH; level++) {
      this.#sql.all("DELETE FROM node WHERE level = ? AND n < ?", level, count - (count % TILE_WIDTH));
      count = Math.floor(count / TILE_WIDTH);
    }
    const first = firstJti(before);
    this.#sql.all(
      "DELETE FROM place WHERE jti IN (SELECT jti FROM place WHERE jti < ? ORDER BY jti LIMIT ?)",
      first,
      PRUNE_ROWS_MAX,
    );
    this.#sql.all("DELETE FROM unopened WHERE jti < ?", first);
    // An ending that comes now is refused as stale: what is open by now stays so, and auditors see it.
    this.#sql.all("DELETE FROM open WHERE stage IN ('received', 'started') AND jti < ?", first);
    const more = "SELECT 1 FROM entry WHERE idx < ? UNION ALL SELECT 1 FROM place WHERE jti < ? LIMIT 1";
    return this.#sql.all(more, full, first).length > 0;
  }

  #one(statement: string): SqlRow {
    const row = this.#sql.all(statement)[0];
    if (row === undefined) throw new Error("ledger: the head row is missing from storage");
    return row;
  }
}

/** The size of the tree in which a tile becomes full. */
function endOf(level: Tile["level"], n: number): number {
  return (n + 1) * TILE_WIDTH ** (level === "entries" ? 1 : level + 1);
}

function readEntry(row: SqlRow): StoredEntry {
  return { index: row.idx as number, text: row.text as string, leaf: row.leaf as Uint8Array };
}

function readPlace(row: SqlRow): Place {
  return { index: row.idx as number, leaf: row.leaf as Uint8Array };
}

function joinHashes(hashes: readonly Hash[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES);
  hashes.forEach((hash, i) => {
    bytes.set(hash, i * HASH_BYTES);
  });
  return bytes;
}

function splitHashes(bytes: Uint8Array): Hash[] {
  const hashes: Hash[] = [];
  for (let at = 0; at < bytes.length; at += HASH_BYTES) hashes.push(bytes.slice(at, at + HASH_BYTES));
  return hashes;
}
