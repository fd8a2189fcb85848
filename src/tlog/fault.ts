// The one error class of every parser and verifier, with a closed set of codes. Whoever catches a
// Fault can tell a wrong key from altered bytes from a ledger that merely has not caught up yet.

/** Every code a Fault can carry, with what it means to the person who reads it. */
export const FAULT_CODES = {
  malformed: "The bytes are not in the format they should be in.",
  unsupported: "The format is known but uses a version or algorithm that is not on the fixed allow-list.",
  "too-large": "The input is larger than any honest one.",
  "unknown-key": "It is signed only by keys that you do not trust.",
  "key-not-valid": "The key is known, but was not valid at the time the signature claims.",
  "bad-signature": "A signature by a known key does not fit the bytes: one of them was altered.",
  "wrong-origin": "It belongs to another ledger or issuer than the one you asked about.",
  mismatched: "The receipt is genuine, but describes another exchange than the one you saw.",
  tampered: "Stored bytes do not hash to what the ledger committed to.",
  "not-included": "The proof does not lead to the signed root: the entry is not in that tree.",
  "broken-chain": "An entry does not name the entry before it.",
  misplaced: "An entry says it belongs at another index than the one it stands at.",
  "back-dated": "An entry's time is earlier than the time of the entry before it.",
  "ended-twice":
    "An exchange has a second ending on record, where an edge records one and a ledger takes one.",
  forked: "Two signed trees of one ledger contradict each other.",
  "rolled-back": "The ledger is smaller than it once, provably, was.",
  truncated: "Entries, tiles or anchors at the end are missing.",
  missing: "Something that the archive must hold is not there.",
  "broken-anchor-chain": "An anchor does not name the anchor before it.",
  "not-yet-included": "The ledger's published tree has not reached this entry yet. Wait, and ask again.",
  pruned: "The entry's retention has ended. Its proofs still hold; its bytes are gone on purpose.",
  erased: "The private value was erased on purpose. Every proof still holds.",
  "quorum-not-met": "Fewer witnesses have cosigned than your policy asks for.",
  "wrong-timestamp": "The timestamp is genuine, but is of other bytes than these.",
  "wrong-purpose": "The certificate was not issued for what it was used for.",
  "broken-promise": "A record that was promised to be in the ledger by a time was not in it by then.",
  "not-disclosed": "The disclosure does not open any digest in this record.",
} as const;

export type FaultCode = keyof typeof FAULT_CODES;

/** What a Fault knows about the contradiction it found; all of it plain text for people. */
export interface FaultDetail {
  readonly expected?: string;
  readonly found?: string;
  /** The index of the first entry concerned, where there is one. */
  readonly index?: number;
}

/**
 * What every parser and verifier throws. `code` is for programs, `message` for people: it names what is wrong and where;
 * `expected` and `found` are cut at 200 characters.
 */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly expected?: string;
  readonly found?: string;
  readonly index?: number;

  constructor(code: FaultCode, message: string, detail: FaultDetail = {}) {
    super(message);
    this.name = "Fault";
    this.code = code;
    if (detail.expected !== undefined) this.expected = clip(detail.expected);
    if (detail.found !== undefined) this.found = clip(detail.found);
    if (detail.index !== undefined) this.index = detail.index;
  }
}

/** Faults end up in terminals and problem documents: long foreign input is cut. */
function clip(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}… (${text.length} characters)`;
}
