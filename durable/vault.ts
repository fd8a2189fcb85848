// The vault: the operator's copy of what a ledger holds only digests of, the seed and the private values of each
// exchange. It lies apart from the ledger, so that letting go of it breaks no proof: after its retention, or when
// it is erased. An erased exchange stays known as erased, so a late copy of its values is not taken again.
import { firstJti } from "../src/receipt/jti.ts";
import type { Opening, Page, Search } from "../src/receipt/opening.ts";
import { formatRows, type Sql, type SqlRow, slices } from "./sql.ts";

/** The most exchanges on one page, and the most characters of their values: a page is handed over whole. */
export const PAGE_OPENINGS_MAX = 100;
const PAGE_CHARACTERS_MAX = 8 * 1024 * 1024;

/** The most of both that one search in a field without an index looks at, and how many at a time. */
const SCAN_OPENINGS_MAX = 20_000;
const SCAN_CHARACTERS_MAX = 32 * 1024 * 1024;
const SCAN_ROWS = 100;

/** The most exchanges in one call of `keep`, and in one pass of `prune`. */
export const KEEP_OPENINGS_MAX = 1000;
const PRUNE_ROWS_MAX = 10_000;

/** How many bytes the fields of one exchange may take: a Durable Object's rows have at most two million. */
const FIELDS_BYTES_MAX = 1_900_000;

/** The fields that people are searched by; any other is found by looking at everything. */
const INDEXED = ["sub", "client_address"] as const;

/** Sorts after every exchange id. */
const LAST_JTI = "g";

/** How many fields have a value. */
const KNOWN = (fields: string) => `(SELECT count(*) FROM json_each(${fields}) WHERE type <> 'null')`;

/** An exchange is kept when it comes, and again when it ends if more of its private fields have a value by then. */
const KEEP = `ON CONFLICT (jti) DO UPDATE SET fields = excluded.fields
  WHERE opening.seed = excluded.seed AND ${KNOWN("excluded.fields")} > ${KNOWN("opening.fields")}`;

export class Vault {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.transaction(() => {
      // An erased exchange has neither seed nor fields.
      sql.all(
        "CREATE TABLE IF NOT EXISTS opening (jti TEXT PRIMARY KEY, seed TEXT, fields TEXT) WITHOUT ROWID",
      );
      for (const name of INDEXED) {
        const value = `json_extract(fields, '$.${name}')`;
        sql.all(
          `CREATE INDEX IF NOT EXISTS opening_${name} ON opening (${value}, jti) WHERE ${value} IS NOT NULL`,
        );
      }
    });
  }

  /**
   * Keeps openings. Of two copies of one, that with more fields stays; one that was erased is left as it is. One that no
   * row can hold is left out, and not known afterwards: those that came with it are not lost with it.
   */
  keep(openings: readonly Opening[]): void {
    if (openings.length > KEEP_OPENINGS_MAX) {
      throw new RangeError(`vault: ${openings.length} openings in one call, at most ${KEEP_OPENINGS_MAX}`);
    }
    this.#sql.transaction(() => {
      const all = openings.map(({ jti, seed, fields }) => [jti, seed, JSON.stringify(fields)] as const);
      for (const rows of slices(all.filter(([, , fields]) => fitsRow(fields)))) {
        this.#sql.all(`INSERT INTO opening ${formatRows(rows)} ${KEEP}`, ...rows.flat());
      }
    });
  }

  /** What opens an exchange, `erased`, or undefined when the vault does not know it (any more). */
  find(jti: string): Opening | "erased" | undefined {
    const row = this.#sql.all("SELECT jti, seed, fields FROM opening WHERE jti = ?", jti)[0];
    if (row === undefined) return undefined;
    return row.seed === null ? "erased" : readOpening(row);
  }

  /** Of these exchanges, those that it does not know: an erased one it does. */
  missing(jtis: readonly string[]): string[] {
    const known = "SELECT 1 FROM opening WHERE jti = value";
    return this.#sql
      .all(`SELECT value AS jti FROM json_each(?) WHERE NOT EXISTS (${known})`, JSON.stringify(jtis))
      .map(row => row.jti as string);
  }

  search(search: Search): Page {
    const indexed = (INDEXED as readonly string[]).includes(search.name);
    const { found, next } = indexed ? { found: this.#lookUp(search) } : this.#scan(search);
    const openings = this.#read(firstPage(found));
    if (found.length > openings.length) return { openings, next: openings.at(-1)!.jti };
    return next === undefined ? { openings } : { openings, next };
  }

  /** Erases the values and seeds of exchanges for good; of ones that it does not know as well. */
  erase(jtis: readonly string[]): void {
    this.#sql.transaction(() => {
      for (const jti of jtis) this.#sql.all("INSERT OR REPLACE INTO opening VALUES (?, NULL, NULL)", jti);
    });
  }

  /** Lets go of exchanges that began before a moment; some at a time. @returns whether there is more. */
  prune(beforeMs: number): boolean {
    const first = firstJti(beforeMs);
    return this.#sql.transaction(() => {
      this.#sql.all(
        "DELETE FROM opening WHERE jti IN (SELECT jti FROM opening WHERE jti < ? ORDER BY jti LIMIT ?)",
        first,
        PRUNE_ROWS_MAX,
      );
      return this.#sql.all("SELECT 1 FROM opening WHERE jti < ? LIMIT 1", first).length > 0;
    });
  }

  isEmpty(): boolean {
    return this.#sql.all("SELECT 1 FROM opening LIMIT 1").length === 0;
  }

  #read(jtis: readonly string[]): Opening[] {
    const these = "SELECT value FROM json_each(?)";
    return this.#sql
      .all(
        `SELECT jti, seed, fields FROM opening WHERE jti IN (${these}) ORDER BY jti DESC`,
        JSON.stringify(jtis),
      )
      .map(readOpening);
  }

  #lookUp({ name, value, before = LAST_JTI }: Search): SqlRow[] {
    return this.#sql.all(
      `SELECT jti, length(fields) AS characters FROM opening
       WHERE json_extract(fields, '$.${name}') = ? AND jti < ? ORDER BY jti DESC LIMIT ?`,
      value,
      before,
      PAGE_OPENINGS_MAX + 1,
    );
  }

  /** Looks at one exchange after the other. @returns what it has found, and where it has stopped if there may be more. */
  #scan({ name, value, before = LAST_JTI }: Search): { found: SqlRow[]; next?: string } {
    const found: SqlRow[] = [];
    let [looked, characters, last] = [0, 0, before];
    while (
      found.length <= PAGE_OPENINGS_MAX &&
      looked < SCAN_OPENINGS_MAX &&
      characters < SCAN_CHARACTERS_MAX
    ) {
      const rows = this.#sql.all(
        `SELECT jti, coalesce(length(fields), 0) AS characters, json_extract(fields, ?) = ? AS hit FROM opening
         WHERE jti < ? ORDER BY jti DESC LIMIT ?`,
        `$."${name}"`,
        value,
        last,
        SCAN_ROWS,
      );
      for (const row of rows) {
        characters += row.characters as number;
        if (row.hit === 1) found.push(row);
      }
      if (rows.length < SCAN_ROWS) return { found };
      looked += rows.length;
      last = rows.at(-1)!.jti as string;
    }
    return { found, next: last };
  }
}

/** Whether a row can hold a text, which any storage takes beside what else is in it. */
function fitsRow(text: string): boolean {
  return text.length * 3 <= FIELDS_BYTES_MAX || new TextEncoder().encode(text).length <= FIELDS_BYTES_MAX;
}

/** The ids of as many of these rows as fit a page; of one at least. */
function firstPage(rows: readonly SqlRow[]): string[] {
  let left = PAGE_CHARACTERS_MAX;
  const jtis: string[] = [];
  for (const { jti, characters } of rows.slice(0, PAGE_OPENINGS_MAX)) {
    left -= characters as number;
    if (left < 0 && jtis.length > 0) break;
    jtis.push(jti as string);
  }
  return jtis;
}

function readOpening(row: SqlRow): Opening {
  return { jti: row.jti as string, seed: row.seed as string, fields: JSON.parse(row.fields as string) };
}
