// Which exchanges have ended, to notice one that ends twice. That is no contradiction by itself: an answer that was
// refused because the ledger was too slow ends its exchange, though the record of the answer may have become durable
// (docs/architecture.md). But each of the two is somebody's word about what the caller got, and his receipt tells which.
//
// Memory does not grow with the ledger: an ending is remembered until others have taken its place, which is for some
// hundred thousand endings.
import type { Stage } from "../receipt/record.ts";

/** An exchange with more than one ending on record. */
export interface DoubleEnding {
  readonly jti: string;
  readonly first: { readonly index: number; readonly stage: Stage };
  readonly second: { readonly index: number; readonly stage: Stage };
}

/** How many are listed; the rest are counted. */
const LISTED_MAX = 100;

/** Of what is remembered: each ending has one place, by its id. */
const PLACES = 2 ** 19;

/** 64 bits of an exchange's id; fast rather than secret, since only who writes the ledger chooses ids. */
export class IdHash {
  low = 0;
  high = 0;

  begin(): void {
    this.low = 0x9e3779b9;
    this.high = 0x85ebca6b;
  }

  /** @param code the next character of the id. */
  add(code: number): void {
    this.low = Math.imul(this.low ^ code, 0x01000193);
    this.high = Math.imul(this.high + code, 0x5bd1e995) ^ (this.high >>> 15);
  }

  addAll(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
  }
}

export class Endings {
  readonly #low = new Int32Array(PLACES);
  readonly #high = new Int32Array(PLACES);
  /** One more than the entry's index; 0 for none. */
  readonly #at = new Float64Array(PLACES);
  readonly #stages: Stage[] = [];
  readonly #stage = new Uint8Array(PLACES);
  readonly #double: DoubleEnding[] = [];
  #count = 0;

  /** Exchanges with more than one ending, the first of them, and how many there are. */
  get double(): { readonly count: number; readonly list: readonly DoubleEnding[] } {
    return { count: this.#count, list: this.#double };
  }

  /** Whether an exchange is remembered to have ended. */
  has(id: IdHash): boolean {
    const place = placeOf(id);
    return this.#at[place] !== 0 && this.#low[place] === id.low && this.#high[place] === id.high;
  }

  /** Takes note of an ending. @param jti makes the id, which is needed of a second one alone. */
  add(id: IdHash, stage: Stage, index: number, jti: () => string): void {
    const place = placeOf(id);
    if (this.has(id)) this.#note(place, stage, index, jti());
    let known = this.#stages.indexOf(stage);
    if (known === -1) known = this.#stages.push(stage) - 1;
    this.#low[place] = id.low;
    this.#high[place] = id.high;
    this.#at[place] = index + 1;
    this.#stage[place] = known;
  }

  #note(place: number, stage: Stage, index: number, jti: string): void {
    this.#count++;
    if (this.#double.length === LISTED_MAX) return;
    const first = { index: this.#at[place]! - 1, stage: this.#stages[this.#stage[place]!]! };
    this.#double.push({ jti, first, second: { index, stage } });
  }
}

function placeOf({ low, high }: IdHash): number {
  return (low ^ (high >>> 7)) & (PLACES - 1);
}
