// The opening of an exchange: what turns the digests in its records back into private values. The caller has it
// from the response; the operator keeps a copy, can search it, and can let go of it without breaking any proof.

/** All that opens the private fields of one exchange, and all that an erasure has to delete. */
export interface Opening {
  readonly jti: string;
  /** base64url, as in `Audit-Receipt-Seed`. */
  readonly seed: string;
  /** The values that the exchange's records commit to, by the name of the field; null is an absent value. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A search for the exchanges in which a private field has exactly this value; the newest come first. */
export interface Search {
  readonly name: string;
  readonly value: string | number;
  /** Only exchanges whose id sorts before this one: where the page before ended. */
  readonly before?: string | undefined;
}

export interface Page {
  readonly openings: readonly Opening[];
  /** Where the next page begins; left out when there is none. */
  readonly next?: string;
}
