// The storage port over node:sqlite, which Node, Deno and Bun all have.
import { DatabaseSync } from "node:sqlite";
import type { Sql, SqlRow } from "../../durable/sql.ts";

export interface Database extends Sql {
  /** Moves what the log holds into the database file. What is asked afterwards fails. */
  close(): void;
}

/** What SQLite could not do; names the path. */
export class SqliteError extends Error {
  /** What the system's errors have too: by it, nobody is told of a path but the log. */
  readonly code = "SQLITE";
}

export interface SqliteOptions {
  /** What is deleted is overwritten as well: for what somebody may have a right to have erased. */
  readonly overwrite?: boolean;
}

/** A ledger's name, as a policy has it. */
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** How long to wait for another program that looks into the file, such as a backup, in ms. */
const BUSY_WAIT_MS = 2000;

/** To which size the log is cut after it had to grow beyond, in bytes; without that it would stay as large. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** The name of the file of a ledger, or of its vault. @throws Error for what is no ledger's name, and could lead elsewhere. */
export function fileOf(ledger: string): string {
  if (NAME.test(ledger)) return `${ledger}.sqlite`;
  throw new Error(`expected a ledger's name, found ${JSON.stringify(ledger)}`);
}

/**
 * Opens a database file (or `:memory:`), and makes it if there is none. A transaction is on disk when it returns.
 * @throws SqliteError; so do all calls of what is returned.
 */
export function openSqlite(path: string, { overwrite = false }: SqliteOptions = {}): Database {
  const naming = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw new SqliteError(`${path}: ${(error as Error).message}`, { cause: error });
    }
  };
  const database = naming(() => openDatabase(path, overwrite));
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (text: string) => {
    const known = statements.get(text) ?? database.prepare(text);
    statements.set(text, known);
    return known;
  };
  return {
    all: (statement, ...values) => naming(() => prepare(statement).all(...values) as SqlRow[]),
    transaction(work) {
      naming(() => database.exec("BEGIN IMMEDIATE"));
      try {
        const result = work();
        naming(() => database.exec("COMMIT"));
        return result;
      } catch (error) {
        // A failed COMMIT may have ended the transaction already; the first error is the one that counts.
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
    close: () => database.close(),
  };
}

function openDatabase(path: string, overwrite: boolean): DatabaseSync {
  const database = new DatabaseSync(path);
  const set = (name: string, value: number | string) =>
    Object.values(database.prepare(`PRAGMA ${name} = ${value}`).get() ?? {})[0];
  set("busy_timeout", BUSY_WAIT_MS);
  const mode = set("journal_mode", "WAL");
  if (mode !== "wal" && path !== ":memory:") {
    throw new Error(`expected a filesystem that can have a write-ahead log, found journal mode "${mode}"`);
  }
  set("synchronous", "FULL");
  // On macOS fsync alone leaves it in the disk's own memory; elsewhere these change nothing.
  set("fullfsync", 1);
  set("checkpoint_fullfsync", 1);
  set("journal_size_limit", LOG_BYTES_MAX);
  if (overwrite) set("secure_delete", 1);
  return database;
}
