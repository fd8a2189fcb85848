// The ledger's storage port over node:sqlite, which Node, Deno and Bun all have.
import { DatabaseSync } from "node:sqlite";
import type { Sql, SqlRow } from "../../durable/sql.ts";

/** Opens a database file (or `:memory:`). A transaction is on disk when it returns. */
export function openSqlite(path: string): Sql {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (text: string) => {
    const known = statements.get(text) ?? database.prepare(text);
    statements.set(text, known);
    return known;
  };
  return {
    all: (statement, ...values) => prepare(statement).all(...values) as SqlRow[],
    transaction(work) {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        // A failed COMMIT may have ended the transaction already; the first error is the one that counts.
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
  };
}
