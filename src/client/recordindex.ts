// The records of a pulled copy, in a local SQLite file, so that they can be searched without asking anybody. It holds
// nothing that is not in the copy: deleted, it is filled again by the next pull. Private values are in it only as far
// as somebody handed over what opens them, and each was checked against the digests of its record first.
import { openDisclosure } from "../receipt/disclosure.ts";
import type { Entry } from "../receipt/entry.ts";
import { type AuditRecord, parseRecord, type Text } from "../receipt/record.ts";
import { decodeText } from "../receipt/shape.ts";
import { Fault } from "../tlog/fault.ts";
import { Undecided } from "./outcome.ts";
import type { Database, DatabaseRow, DatabaseValue } from "./platform.ts";

/** The file in the folder of a copy. */
export const INDEX_FILE = "records.sqlite";

const VERSION = 1;

const SCHEMA = [
  "CREATE TABLE meta (version INTEGER NOT NULL)",
  `INSERT INTO meta VALUES (${VERSION})`,
  `CREATE TABLE ledgers (
     id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
     indexed INTEGER NOT NULL, minimum INTEGER NOT NULL)`,
  `CREATE TABLE records (
     ledger INTEGER NOT NULL, idx INTEGER NOT NULL, at TEXT NOT NULL, time TEXT NOT NULL, jti TEXT NOT NULL,
     stage TEXT NOT NULL, route TEXT, method TEXT, host TEXT, path TEXT, status INTEGER, ms REAL, auth TEXT,
     record TEXT NOT NULL, PRIMARY KEY (ledger, idx)) WITHOUT ROWID`,
  "CREATE INDEX by_time ON records (time, ledger, idx)",
  "CREATE INDEX by_jti ON records (jti)",
  "CREATE INDEX by_route ON records (route, time)",
  "CREATE INDEX by_status ON records (status, time)",
  "CREATE INDEX by_path ON records (path, time)",
  `CREATE TABLE disclosed (
     ledger INTEGER NOT NULL, idx INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
     PRIMARY KEY (ledger, idx, name)) WITHOUT ROWID`,
  "CREATE INDEX by_value ON disclosed (name, value)",
] as const;

/** What is asked for; what is not given does not restrict anything. */
export interface RecordFilter {
  /** The edge's clock: not before, and before; RFC 3339, or the beginning of it. */
  readonly since?: string;
  readonly until?: string;
  readonly route?: string;
  /** From, and up to and with. */
  readonly status?: readonly [number, number];
  readonly method?: string;
  readonly stage?: string;
  readonly jti?: string;
  /** What the path begins with. */
  readonly path?: string;
  /** How the caller was identified. */
  readonly auth?: string;
  /** A ledger, by its name or its origin. */
  readonly ledger?: string;
  /** What stands anywhere in the record, or in a value that was disclosed. */
  readonly text?: string;
  /** A value that was disclosed. */
  readonly disclosed?: readonly (readonly [name: string, value: string])[];
}

/** A record as it was found, with the values that were disclosed of it. */
export interface FoundRecord {
  readonly origin: string;
  readonly index: number;
  readonly at: string;
  readonly record: AuditRecord;
  readonly disclosed: Readonly<Record<string, unknown>>;
}

export interface FoundPage {
  readonly records: readonly FoundRecord[];
  /** How many there are in all. */
  readonly count: number;
  /** Where the next page begins; left out when there is none. */
  readonly next?: string;
}

/** How far the records of a ledger are in the index. */
export interface IndexedLedger {
  readonly id: number;
  readonly origin: string;
  readonly name: string;
  /** All its entries before this one, but those that are gone because their retention has ended. */
  readonly indexed: number;
  /** The highest minimum index that one of them tells of. */
  readonly minimum: number;
}

/** What came of disclosures. */
export interface Joined {
  /** How many values were joined to records, counting those that were before. */
  readonly values: number;
  /** The exchanges that have no record in this copy. */
  readonly unknown: readonly string[];
  /** What opens nothing in the records of its exchange. */
  readonly faults: readonly Fault[];
}

export class RecordIndex {
  readonly #database: Database;

  /** @throws Undecided when the file is of another version. */
  constructor(database: Database) {
    this.#database = database;
    const [found] = database.all("SELECT name FROM sqlite_master WHERE name = 'meta'");
    if (found === undefined) {
      database.transaction(() => {
        for (const statement of SCHEMA) database.all(statement);
      });
    }
    const [meta] = database.all("SELECT version FROM meta");
    if (meta?.version === VERSION) return;
    throw new Undecided(`${INDEX_FILE}: of a version that this program does not know`, {
      expected: `version ${VERSION}; delete the file, and the next pull makes it anew`,
      found: `version ${meta?.version}`,
    });
  }

  get ledgers(): IndexedLedger[] {
    return this.#database.all("SELECT * FROM ledgers ORDER BY id") as unknown as IndexedLedger[];
  }

  /** A ledger, which is made when it is not there. */
  ledger(origin: string, name: string): IndexedLedger {
    this.#database.all("INSERT OR IGNORE INTO ledgers VALUES (NULL, ?, ?, 0, 0)", origin, name);
    return this.ledgers.find(ledger => ledger.origin === origin)!;
  }

  /** Takes in entries that follow each other, and notes how far it has come; all of it or nothing. */
  add({ id }: IndexedLedger, entries: readonly Entry[], indexed: number, minimum: number): void {
    this.#database.transaction(() => {
      for (const { header, record, text } of entries) {
        this.#database.all(
          "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          ...[id, header.index, header.at, record.time, record.jti, record.stage, record.route ?? null],
          ...[plain(record.req?.method), plain(record.req?.host), plain(record.req?.path)],
          ...[
            record.res?.status ?? null,
            record.ms ?? null,
            record.auth?.by ?? null,
            decodeText(text.slice(text.indexOf(".") + 1), "record"),
          ],
        );
      }
      this.#database.all(
        "UPDATE ledgers SET indexed = ?, minimum = max(minimum, ?) WHERE id = ?",
        ...[indexed, minimum, id],
      );
    });
  }

  /** Joins disclosures to the records that committed to them. @param given by the ids of their exchanges. */
  join(given: ReadonlyMap<string, readonly string[]>): Joined {
    const unknown: string[] = [];
    const faults: Fault[] = [];
    let values = 0;
    this.#database.transaction(() => {
      for (const [jti, disclosures] of given) {
        const rows = this.#database.all("SELECT ledger, idx, record FROM records WHERE jti = ?", jti);
        if (rows.length === 0) unknown.push(jti);
        for (const disclosure of rows.length === 0 ? [] : disclosures) {
          const result = this.#joinOne(rows, disclosure);
          if (result instanceof Fault) faults.push(result);
          else values += result;
        }
      }
    });
    return { values, unknown, faults };
  }

  #joinOne(rows: readonly DatabaseRow[], disclosure: string): number | Fault {
    let fault: Fault | undefined;
    let values = 0;
    for (const { ledger, idx, record } of rows) {
      try {
        const { name, value } = openDisclosure(parseRecord(String(record)), disclosure);
        this.#database.all(
          "INSERT OR REPLACE INTO disclosed VALUES (?, ?, ?, ?)",
          ...[ledger!, idx!, name, JSON.stringify(value)],
        );
        values++;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        fault = new Fault(error.code, `entry ${idx}: ${error.message}`, { index: Number(idx) });
      }
    }
    // One exchange has several records, and each commits to what was known when it was made.
    return values > 0 ? values : fault!;
  }

  /** The newest records that fit. @param after where the page before ended. @throws Undecided */
  find(filter: RecordFilter, limit: number, after?: string): FoundPage {
    const { where, values } = conditionsOf(filter);
    const from = `FROM records r JOIN ledgers l ON l.id = r.ledger WHERE ${where}`;
    const [counted] = this.#database.all(`SELECT count(*) AS n ${from}`, ...values);
    const place = after === undefined ? [] : parseCursor(after);
    const beyond = after === undefined ? "" : " AND (r.time, r.ledger, r.idx) < (?, ?, ?)";
    const rows = this.#database.all(
      `SELECT r.*, l.origin ${from}${beyond} ORDER BY r.time DESC, r.ledger DESC, r.idx DESC LIMIT ?`,
      ...[...values, ...place, limit + 1],
    );
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      records: page.map(row => this.#foundOf(row)),
      count: Number(counted!.n),
      ...(rows.length > limit && last && { next: `${last.time}~${last.ledger}~${last.idx}` }),
    };
  }

  #foundOf({ ledger, idx, at, origin, record }: DatabaseRow): FoundRecord {
    const opened = this.#database.all(
      "SELECT name, value FROM disclosed WHERE ledger = ? AND idx = ? ORDER BY name",
      ...[ledger!, idx!],
    );
    return {
      origin: String(origin),
      index: Number(idx),
      at: String(at),
      record: JSON.parse(String(record)) as AuditRecord,
      disclosed: Object.fromEntries(opened.map(({ name, value }) => [name, JSON.parse(String(value))])),
    };
  }
}

function conditionsOf(filter: RecordFilter): { where: string; values: DatabaseValue[] } {
  const { since, until, route, status, method, stage, jti, path, auth, ledger, text, disclosed } = filter;
  const conditions: [string, ...DatabaseValue[]][] = [["1"]];
  const add = (condition: string, ...values: (DatabaseValue | undefined)[]) => {
    if (values[0] !== undefined) conditions.push([condition, ...(values as DatabaseValue[])]);
  };
  add("r.time >= ?", since);
  add("r.time < ?", until);
  add("r.route = ?", route);
  add("r.status BETWEEN ? AND ?", ...(status ?? []));
  add("r.method = ?", method);
  add("r.stage = ?", stage);
  add("r.jti = ?", jti);
  // A prefix as a range, which the index serves; U+10FFFF sorts after whatever else may follow it.
  add("r.path >= ? AND r.path < ?", path, path === undefined ? undefined : `${path}\u{10FFFF}`);
  add("r.auth = ?", auth);
  add("(l.name = ? OR l.origin = ?)", ledger, ledger);
  const ofRecord = "d.ledger = r.ledger AND d.idx = r.idx";
  add(
    `(instr(r.record, ?) > 0 OR EXISTS (SELECT 1 FROM disclosed d WHERE ${ofRecord} AND instr(d.value, ?) > 0))`,
    ...[text, text],
  );
  for (const [name, value] of disclosed ?? []) {
    add(
      `EXISTS (SELECT 1 FROM disclosed d WHERE ${ofRecord} AND d.name = ? AND d.value IN (?, ?))`,
      // A value is kept as JSON: what was typed may be a text, or a number.
      ...[name, JSON.stringify(value), value],
    );
  }
  return {
    where: conditions.map(([condition]) => condition).join(" AND "),
    values: conditions.flatMap(([, ...values]) => values),
  };
}

function parseCursor(text: string): [string, number, number] {
  const match = /^([0-9TZ:.-]{24})~(\d{1,9})~(\d{1,15})$/.exec(text);
  if (match !== null) return [match[1]!, Number(match[2]), Number(match[3])];
  throw new Undecided("this is not where a page ends", { expected: "--after as printed", found: text });
}

/** A text that a record holds as its length and hash cannot be searched for. */
function plain(text: Text | undefined): string | null {
  return typeof text === "string" ? text : null;
}
