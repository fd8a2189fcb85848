// Which exchanges have ended, to notice one that ends twice. An edge makes one ending of an exchange, and a ledger takes
// no second one: where there are two, somebody has added one, and the caller's receipt tells which the caller got.
//
// Memory does not grow with the ledger: an ending is remembered until others have taken its place, which is for some
// hundred thousand endings; and the last of them from one audit to the next.
import { sha256 } from "@noble/hashes/sha2.js";
import { FINAL_STAGES, type Stage } from "../receipt/record.ts";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";

/** The record that ended an exchange. */
export interface Ending {
  readonly index: number;
  readonly stage: Stage;
}

/** Of what is remembered: each ending has one place, by its id. */
const PLACES = 2 ** 19;

/** How many of the last endings a state holds. */
const KEPT_MAX = 2 ** 15;

/** In a state, each has the 16 bytes of its id, its index in 6, and its stage in one. */
const KEPT_BYTES = 23;

const UUID_BYTES = 36;
const DASH = 45;
const DASHES = [8, 13, 18, 23];
const DIGIT_PLACES = Uint8Array.from(
  Array.from({ length: UUID_BYTES }, (_, at) => at).filter(at => !DASHES.includes(at)),
);

/** The value of each hexadecimal digit in lower case; NO_DIGIT of any other byte. */
const NO_DIGIT = 16;
const DIGITS = new Uint8Array(256).fill(NO_DIGIT);
for (const [value, digit] of [..."0123456789abcdef"].entries()) DIGITS[digit.charCodeAt(0)] = value;

/** The id of an exchange in four words: those of a UUID, or of the hash of what is none. Two ids never share them. */
export class ExchangeId {
  readonly words = new Int32Array(4);

  /** Takes the id that stands from `from` up to, not including, `to`. */
  read(bytes: Uint8Array, from = 0, to = bytes.length): void {
    if (this.#readUuid(bytes, from, to)) return;
    const hash = sha256(bytes.subarray(from, to));
    const view = new DataView(hash.buffer, hash.byteOffset);
    for (let i = 0; i < 4; i++) this.words[i] = view.getInt32(4 * i);
  }

  #readUuid(bytes: Uint8Array, from: number, to: number): boolean {
    if (to - from !== UUID_BYTES || DASHES.some(at => bytes[from + at] !== DASH)) return false;
    let word = 0;
    let all = 0;
    for (let i = 0; i < DIGIT_PLACES.length; i++) {
      const digit = DIGITS[bytes[from + DIGIT_PLACES[i]!]!]!;
      all |= digit;
      word = (word << 4) | digit;
      if ((i & 7) === 7) this.words[i >>> 3] = word;
    }
    return all < NO_DIGIT;
  }
}

export class Endings {
  /** Of each place the four words of an id, one more than the entry's index (0 for none), and the stage. */
  readonly #ids = new Int32Array(4 * PLACES);
  readonly #at = new Float64Array(PLACES);
  readonly #stages = new Uint8Array(PLACES);

  /** @param kept the last endings that an earlier audit has seen. */
  constructor(kept = "") {
    const id = new ExchangeId();
    for (const { words, index, stage } of parseEndings(kept)) {
      id.words.set(words);
      this.add(id, stage, index);
    }
  }

  /** How an exchange is remembered to have ended. */
  find({ words }: ExchangeId): Ending | undefined {
    const place = placeOf(words);
    if (this.#at[place] === 0) return undefined;
    for (let i = 0; i < 4; i++) if (this.#ids[4 * place + i] !== words[i]) return undefined;
    return { index: this.#at[place]! - 1, stage: FINAL_STAGES[this.#stages[place]!]! };
  }

  /** Takes note of an ending. */
  add({ words }: ExchangeId, stage: Stage, index: number): void {
    const place = placeOf(words);
    this.#ids.set(words, 4 * place);
    this.#at[place] = index + 1;
    this.#stages[place] = (FINAL_STAGES as readonly Stage[]).indexOf(stage);
  }

  /** The last of them from index `first` on, for a state: in the order of their indexes, in base64url. */
  format(first = 0): string {
    const places: number[] = [];
    for (let place = 0; place < PLACES; place++) if (this.#at[place]! > first) places.push(place);
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
}

/**
 * Reads what `format` has written. @param size what all their indexes are below.
 * @throws Fault `malformed`
 */
export function parseEndings(
  text: string,
  size = Number.POSITIVE_INFINITY,
): (Ending & { readonly words: Int32Array })[] {
  const bytes = decodeBase64url(text, "endings");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const endings: (Ending & { readonly words: Int32Array })[] = [];
  let next = 0;
  for (let at = 0; at + KEPT_BYTES <= bytes.length; at += KEPT_BYTES) {
    const words = Int32Array.from([0, 4, 8, 12], offset => view.getInt32(at + offset));
    const index = view.getUint16(at + 16) * 2 ** 32 + view.getUint32(at + 18);
    const stage = FINAL_STAGES[view.getUint8(at + 22)];
    if (stage === undefined || index < next || index >= size) break;
    endings.push({ words, index, stage });
    next = index + 1;
  }
  if (endings.length * KEPT_BYTES === bytes.length && endings.length <= KEPT_MAX) return endings;
  throw new Fault("malformed", "endings: are not as they were written", {
    expected: `${KEPT_BYTES} bytes for each of at most ${KEPT_MAX}, in the order of their indexes`,
    found: `${bytes.length} bytes`,
  });
}

/** By its last bits, which are random in a UUIDv7. */
function placeOf(words: Int32Array): number {
  return words[3]! & (PLACES - 1);
}
