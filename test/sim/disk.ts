// The storage of one object: a real SQLite database in memory, with the crash model of a Durable Object.
// What was committed is not yet confirmed; a crash may take it back, as long as nothing that depends on it
// has left the process. `confirm` is called whenever something leaves.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlRow, SqlValue } from "../../durable/sql.ts";

/** Everything that a disk holds at a moment. */
export interface Image {
  readonly bytes: Uint8Array;
  readonly alarmMs: number | undefined;
}

export class Disk {
  /** When the object's alarm is due, if one is set. */
  alarmMs: number | undefined;
  /** Called after writes became durable. */
  onConfirm: () => void = () => {};
  readonly #database = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, StatementSync>();
  #unconfirmed = false;
  #inTransaction = false;

  constructor(image?: Image) {
    if (image === undefined) return;
    this.#database.deserialize(image.bytes);
    this.alarmMs = image.alarmMs;
  }

  /** Puts all that is there back to an old state, under whoever uses it. What was committed is confirmed first. */
  putBack({ bytes, alarmMs }: Image): void {
    this.confirm();
    this.#statements.clear();
    this.#database.deserialize(bytes);
    this.alarmMs = alarmMs;
  }

  /** All that is there, the unconfirmed included. */
  image(): Image {
    return { bytes: this.#database.serialize(), alarmMs: this.alarmMs };
  }

  /** Whether something was committed that a crash may still take back. */
  get unconfirmed(): boolean {
    return this.#unconfirmed;
  }

  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  read(statement: string, ...values: SqlValue[]): SqlRow[] {
    return this.#prepare(statement).all(...values) as SqlRow[];
  }

  write(statement: string, ...values: SqlValue[]): SqlRow[] {
    this.#open();
    return this.read(statement, ...values);
  }

  begin(): void {
    this.#open();
    this.read("SAVEPOINT work");
    this.#inTransaction = true;
  }

  commit(): void {
    this.read("RELEASE work");
    this.#inTransaction = false;
  }

  rollback(): void {
    this.read("ROLLBACK TO work");
    this.commit();
  }

  /** Makes durable what was committed. */
  confirm(): void {
    if (!this.#unconfirmed) return;
    this.read("COMMIT");
    this.#unconfirmed = false;
    this.onConfirm();
  }

  /** Takes back what was committed and not confirmed. */
  forget(): void {
    if (!this.#unconfirmed) return;
    this.read("ROLLBACK");
    this.#unconfirmed = false;
  }

  #open(): void {
    if (this.#unconfirmed) return;
    this.read("BEGIN");
    this.#unconfirmed = true;
  }

  #prepare(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}
