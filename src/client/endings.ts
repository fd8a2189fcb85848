// Which exchanges have ended, to notice one that ends twice. An edge makes one ending of an exchange, and a ledger takes
// no second one: where there are two, somebody has added one, and the caller's receipt tells which the caller got.
//
// Memory does not grow with the ledger: an ending is remembered until others have taken its place, which is for more than
// a hundred thousand endings; and the last of them from one audit to the next.
import { FINAL_STAGES, type Stage } from "../receipt/record.ts";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { ExchangeId } from "./exchangeid.ts";

/** The record that ended an exchange. */
export interface Ending {
  readonly index: number;
  readonly stage: Stage;
}

/** An ending, as a state holds it. */
interface KeptEnding extends Ending {
  readonly id: ExchangeId;
}

/** What is remembered lies in sets by the id, of so many places each; the oldest of a set goes first. */
const WAYS = 16;

/** There are more sets where there are more endings, and at most so many: the last hundred thousand are all there. */
const SETS_MIN = 2 ** 6;
const SETS_MAX = 2 ** 15;

/** How many of the last endings a state holds. */
const KEPT_MAX = 2 ** 15;

/** In a state, each has the 16 bytes of its id, its index in 6, and its stage in one. */
const KEPT_BYTES = 23;

export class Endings {
  /** How many sets there are by now. They follow each other in the arrays below, and of each place these have: */
  #sets = SETS_MIN;
  /** the four words of an id, */
  #ids = new Int32Array(4 * WAYS * SETS_MIN);
  /** one more than the entry's index, or 0 while nothing is there, */
  #at = new Float64Array(WAYS * SETS_MIN);
  /** and the stage. */
  #stages = new Uint8Array(WAYS * SETS_MIN);
  /** The place of each set that is taken next. */
  #next = new Uint8Array(SETS_MIN);
  #count = 0;

  /** @param kept the last endings that an earlier audit has seen. */
  constructor(kept = "") {
    for (const { id, index, stage } of parseEndings(kept)) this.add(id, stage, index);
  }

  /** How an exchange is remembered to have ended. */
  find({ words }: ExchangeId): Ending | undefined {
    const first = this.#setOf(words) * WAYS;
    for (let place = first; place < first + WAYS && this.#at[place] !== 0; place++) {
      const isSame =
        this.#ids[4 * place + 3] === words[3] &&
        this.#ids[4 * place + 2] === words[2] &&
        this.#ids[4 * place + 1] === words[1] &&
        this.#ids[4 * place] === words[0];
      if (isSame) return { index: this.#at[place]! - 1, stage: FINAL_STAGES[this.#stages[place]!]! };
    }
    return undefined;
  }

  /** Takes note of an ending. */
  add({ words }: ExchangeId, stage: Stage, index: number): void {
    if (this.#count++ >= 2 * this.#sets && this.#sets < SETS_MAX) this.#grow();
    this.#put(words, index + 1, stageCode(stage));
  }

  /** The last of them from index `first` on, for a state: in the order of their indexes, in base64url. */
  format(first = 0): string {
    const places: number[] = [];
    for (let place = 0; place < this.#at.length; place++) if (this.#at[place]! > first) places.push(place);
    places.sort((a, b) => this.#at[a]! - this.#at[b]!);
    const kept = places.slice(-KEPT_MAX);
    const bytes = new Uint8Array(kept.length * KEPT_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [i, place] of kept.entries()) {
      const at = i * KEPT_BYTES;
      for (let word = 0; word < 4; word++) view.setInt32(at + 4 * word, this.#ids[4 * place + word]!);
      const index = this.#at[place]! - 1;
      view.setUint16(at + 16, Math.floor(index / 2 ** 32));
      view.setUint32(at + 18, index % 2 ** 32);
      view.setUint8(at + 22, this.#stages[place]!);
    }
    return encodeBase64url(bytes);
  }

  #put(words: Int32Array, at: number, stage: number): void {
    const set = this.#setOf(words);
    const turn = this.#next[set]!;
    const place = set * WAYS + turn;
    this.#ids.set(words, 4 * place);
    this.#at[place] = at;
    this.#stages[place] = stage;
    this.#next[set] = (turn + 1) % WAYS;
  }

  /** Twice as many sets, with what was remembered in its order. */
  #grow(): void {
    const [ids, at, stages, next, sets] = [this.#ids, this.#at, this.#stages, this.#next, this.#sets];
    this.#sets = 2 * sets;
    this.#ids = new Int32Array(2 * ids.length);
    this.#at = new Float64Array(2 * at.length);
    this.#stages = new Uint8Array(2 * stages.length);
    this.#next = new Uint8Array(2 * next.length);
    for (let turn = 0; turn < WAYS * sets; turn++) {
      const set = Math.floor(turn / WAYS);
      const place = set * WAYS + ((next[set]! + turn) % WAYS);
      if (at[place] !== 0) this.#put(ids.subarray(4 * place, 4 * place + 4), at[place]!, stages[place]!);
    }
  }

  /** By its last bits, which are random in a UUIDv7. */
  #setOf(words: Int32Array): number {
    return words[3]! & (this.#sets - 1);
  }
}

function stageCode(stage: Stage): number {
  return (FINAL_STAGES as readonly Stage[]).indexOf(stage);
}

/**
 * Reads what `format` has written. @param size what all their indexes are below.
 * @throws Fault `malformed`
 */
export function parseEndings(text: string, size = Number.POSITIVE_INFINITY): KeptEnding[] {
  const bytes = decodeBase64url(text, "endings");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const endings: KeptEnding[] = [];
  let next = 0;
  for (let at = 0; at + KEPT_BYTES <= bytes.length; at += KEPT_BYTES) {
    const id = new ExchangeId();
    for (let word = 0; word < 4; word++) id.words[word] = view.getInt32(at + 4 * word);
    const index = view.getUint16(at + 16) * 2 ** 32 + view.getUint32(at + 18);
    const stage = FINAL_STAGES[view.getUint8(at + 22)];
    if (stage === undefined || index < next || index >= size) break;
    endings.push({ id, index, stage });
    next = index + 1;
  }
  if (endings.length * KEPT_BYTES === bytes.length && endings.length <= KEPT_MAX) return endings;
  throw new Fault("malformed", "endings: are not as they were written", {
    expected: `${KEPT_BYTES} bytes for each of at most ${KEPT_MAX}, in the order of their indexes`,
    found: `${bytes.length} bytes`,
  });
}
