// The answer of a ledger to one record.

/** Where a record was placed, or why it was not. */
export type Placement =
  | {
      /** The entry's 0-based index. */
      readonly index: number;
      /** The base64url protected header of the entry that is durable: what the edge signs, with the record. */
      readonly header: string;
    }
  | {
      readonly refused: "malformed" | "stale" | "conflict" | "busy" | "halted";
      /** For people: what was wrong, and what was expected. */
      readonly reason: string;
    };
