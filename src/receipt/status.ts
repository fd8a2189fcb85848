// What the writers tell of themselves: how far they are, and what a person has to look at.

/** Something that a person has to look at. */
export interface Trouble {
  /** A fault code, or `unavailable` for what may pass by itself. */
  readonly code: string;
  readonly reason: string;
}

export interface LedgerStatus {
  readonly size: number;
  readonly published: number;
  /** Entries below it may be gone from the archive: their retention has ended. */
  readonly minimum?: number;
  /** Why it takes no records, if it does not. */
  readonly halted?: Trouble;
  /** Why the last records could not be taken, if they could not: it is gone with the next that are. */
  readonly trouble?: Trouble;
  /** What a person should know of, though records are taken. */
  readonly alerts: readonly Trouble[];
}

export interface AnchorStatus {
  /** The newest epoch that is known to be written. */
  readonly latest?: number;
  /** Why the last attempt wrote none, or one without the timestamp that was due. */
  readonly trouble?: Trouble;
}
