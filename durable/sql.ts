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
