// The spool: where the edge puts a record that the ledger could not take, until the ledger fetches it from there.
export interface Spool {
  /**
   * Puts a promise there, and answers when it is durable. Putting the same again changes nothing.
   * @throws when it is not durable, or when another one stands at this path.
   */
  put(path: string, promise: string): Promise<void>;
  /** Whether anything waits below a prefix. */
  holds(prefix: string): Promise<boolean>;
  /** Has a ledger look into its spool soon, if it can be reached. */
  wake(ledger: string): Promise<void>;
}
