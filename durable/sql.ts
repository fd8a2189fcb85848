// The storage port of the ledger: a small synchronous SQL database. A Durable Object's SQLite and
// node:sqlite both fit it. Synchronous, because a commit must not let anything else in between.

export type SqlValue = string | number | null | Uint8Array;
export type SqlRow = Readonly<Record<string, SqlValue>>;

export interface Sql {
  /** Runs one statement and returns all its rows. Integers are safe integers, blobs Uint8Array. */
  all(statement: string, ...values: SqlValue[]): SqlRow[];
  /**
   * Runs `work` as one transaction: after a throw nothing of it remains. `work` must not wait. What was
   * committed is durable before any answer that depends on it leaves the process.
   */
  transaction<T>(work: () => T): T;
}

/** How many rows go into one statement: Durable Objects take a hundred values in one, and no table here has more than four. */
const STATEMENT_ROWS_MAX = 25;

/** Items in as many at a time as go into one statement: it costs more than the rows that it is about. */
export function* slices<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += STATEMENT_ROWS_MAX)
    yield items.slice(at, at + STATEMENT_ROWS_MAX);
}

/** Rows of values to be bound, as SQL. */
export function formatRows(rows: readonly (readonly SqlValue[])[]): string {
  return `VALUES ${rows.map(row => `(${row.map(() => "?").join(", ")})`).join(", ")}`;
}
