// What an archive rests on keys that were retired for. Whoever holds such a key by now can sign what he likes in its
// name and date it back. So an anchor of a retired key counts if it is followed, in the chain, by one that somebody
// answers for still: a key in force, the auditor who kept it, witnesses who cosign one history, or a timestamp of the
// key's own time. What comes after the last of those is no contradiction, and proves nothing.
import type { Anchor } from "../receipt/anchor.ts";
import { isRetired } from "../receipt/key.ts";
import type { Timestamp } from "../receipt/timestamp.ts";
import type { Place } from "./findings.ts";
import type { Standing } from "./standing.ts";

/** What only a retired key has signed, and where it is. */
export interface Unvouched extends Place {
  readonly what: string;
}

export class AnchorVouching {
  readonly #kept: ReadonlySet<string>;
  #first: Place | undefined;

  /** @param kept the digests of anchors that the auditor has kept. */
  constructor(kept: readonly Anchor[]) {
    this.#kept = new Set(kept.map(({ digest }) => digest));
  }

  /** Takes note of the next anchor that holds. */
  add(anchor: Anchor, place: Place, standing: Standing | undefined, timestamp: Timestamp | undefined): void {
    const { digest, key } = anchor;
    const isDated = timestamp !== undefined && Date.parse(timestamp.time) / 1000 < (key.exp ?? 0);
    const isVouchedFor = !isRetired(key) || this.#kept.has(digest) || standing?.quorum === true || isDated;
    this.#first = isVouchedFor ? undefined : (this.#first ?? place);
  }

  /** The anchors at the end that nobody answers for any more. */
  get unvouched(): readonly Unvouched[] {
    return this.#first === undefined ? [] : [{ ...this.#first, what: "this anchor, and what is after it," }];
  }
}
