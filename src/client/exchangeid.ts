// The id of an exchange as four words, to compare many without making a text of each. They are the bits of a UUID, and for
// what is none those of its hash: so no two ids share them by chance.
import { sha256 } from "@noble/hashes/sha2.js";

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
