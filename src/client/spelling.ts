// A quick reading of entries that are spelled like one that was read at length before. What a ledger writes differs
// from entry to entry in a few values only. So a spelling keeps the bytes between those, and an entry that has the
// same bytes there, and plain values in between, is as good as the one it was learned from: no member of it needs to
// be parsed, compared or checked again. Whatever is not just so is not read here, and nothing is said against it.
import { type Entry, RECEIPT_TYPE } from "../receipt/entry.ts";
import { RECORD_BYTES_MAX, type Stage } from "../receipt/record.ts";
import { decodeText } from "../receipt/shape.ts";
import type { Hash } from "../tlog/hash.ts";
import type { ExchangeId } from "./exchangeid.ts";

/** What stands between the fixed bytes of a record. */
const KIND = { text: 0, integer: 1, jti: 2, time: 3, digest: 4 } as const;
type Kind = (typeof KIND)[keyof typeof KIND];

/** The spelling of records: fixed bytes, a value, fixed bytes, a value, …, fixed bytes. */
interface Spelling {
  readonly stage: Stage;
  readonly fixed: readonly Uint8Array[];
  readonly kinds: readonly Kind[];
}

/** So many spellings are kept; a ledger with more of them is read at length. */
const SPELLINGS_MAX = 128;

/** The largest integer of so many digits is a safe one. */
const DIGITS_MAX = 15;

const JTI_BYTES_MAX = 64;
const TIME_BYTES = 24;
const DAY_MS = 86_400_000;

const [DOT, COLON, T, Z, ZERO] = [46, 58, 84, 90, 48] as const;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const encoder = new TextEncoder();
const CHARACTERS = encoder.encode(ALPHABET);
/** The twelve bits of each pair of characters; NONE for what is no pair of base64url. */
const NONE = 0x8000;
const PAIRS = new Uint16Array(65536).fill(NONE);
for (let i = 0; i < 4096; i++) PAIRS[(CHARACTERS[i >>> 6]! << 8) | CHARACTERS[i & 63]!] = i;

/** Whether a byte is printable ASCII that JSON spells as itself. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c),
);

export class QuickReader {
  readonly #origin: string;
  readonly #header = new Uint8Array(1024);
  readonly #record = new Uint8Array(RECORD_BYTES_MAX + 3);
  readonly #days = [new Day(), new Day()] as const;
  /** The header up to its index, of the key that signs now. */
  #begin: Uint8Array | undefined;
  /** The newest that was of use comes first. */
  #spellings: Spelling[] = [];
  #jtiAt = 0;
  #jtiEnd = 0;
  /** Of the entry that was read: both clocks, in ms of Unix time, and the stage. */
  at = 0;
  time = 0;
  stage: Stage = "complete";

  /** @param origin the ledger's. */
  constructor(origin: string) {
    this.#origin = origin;
  }

  /** The id of the exchange of the entry that was read. */
  get jti(): string {
    let jti = "";
    for (let at = this.#jtiAt; at < this.#jtiEnd; at++) jti += String.fromCharCode(this.#record[at]!);
    return jti;
  }

  /** Reads that id into words. */
  readJti(into: ExchangeId): void {
    into.read(this.#record, this.#jtiAt, this.#jtiEnd);
  }

  /**
   * Reads an entry that stands at `index`, after one of the leaf hash `prev`.
   * @returns false when it is not spelled like one of those that were learned, or does not stand where it says.
   */
  read(entry: Uint8Array, index: number, prev: Hash): boolean {
    const dot = entry.indexOf(DOT);
    if (this.#begin === undefined || dot < 0) return false;
    const headerBytes = decode(entry, 0, dot, this.#header);
    if (headerBytes < 0 || !this.#readHeader(headerBytes, index, prev)) return false;
    const recordBytes = decode(entry, dot + 1, entry.length, this.#record);
    return recordBytes >= 0 && recordBytes <= RECORD_BYTES_MAX && this.#readRecord(recordBytes);
  }

  /** Learns the spelling of an entry that was read at length, and in which nothing is wrong. */
  learn({ text, header, record }: Entry): void {
    if (header.alg !== "Ed25519" || header.origin !== this.#origin) return;
    const begin = JSON.stringify({
      alg: header.alg,
      kid: header.kid,
      typ: RECEIPT_TYPE,
      origin: header.origin,
    });
    this.#begin = encoder.encode(`${begin.slice(0, -1)},"index":`);
    // What these say is for others to read.
    if (record.stage === "control" || record.stage === "interim") return;
    if (this.#spellings.length >= SPELLINGS_MAX) return;
    const json = decodeText(text.slice(text.indexOf(".") + 1), "record");
    const spelling = spellingOf(JSON.parse(json) as object, record.stage);
    const bytes = encoder.encode(json);
    this.#record.set(bytes);
    // One that does not fit its own record has a value that is not plain.
    if (this.#matches(spelling, bytes.length)) this.#spellings.unshift(spelling);
  }

  #readHeader(length: number, index: number, prev: Hash): boolean {
    const [bytes, begin] = [this.#header, this.#begin!];
    if (!startsWith(bytes, 0, begin)) return false;
    let at = begin.length;
    let found = 0;
    const first = at;
    for (; bytes[at]! >= ZERO && bytes[at]! <= ZERO + 9; at++) found = found * 10 + bytes[at]! - ZERO;
    if (found !== index || at === first || (bytes[first] === ZERO && at > first + 1)) return false;
    if (at - first > DIGITS_MAX || !startsWith(bytes, at, PREV)) return false;
    at += PREV.length;
    if (!isEncoded(prev, bytes, at)) return false;
    at += 43;
    if (!startsWith(bytes, at, AT)) return false;
    at += AT.length;
    this.at = this.#days[0].readTime(bytes, at);
    at += TIME_BYTES;
    return this.at >= 0 && at + 2 === length && startsWith(bytes, at, END);
  }

  #readRecord(length: number): boolean {
    for (let i = 0; i < this.#spellings.length; i++) {
      const spelling = this.#spellings[i]!;
      if (!this.#matches(spelling, length)) continue;
      if (i > 0) {
        this.#spellings.splice(i, 1);
        this.#spellings.unshift(spelling);
      }
      this.stage = spelling.stage;
      return true;
    }
    return false;
  }

  #matches({ fixed, kinds }: Spelling, length: number): boolean {
    const bytes = this.#record;
    let at = 0;
    let digestAt = -1;
    for (let i = 0; i < fixed.length; i++) {
      const part = fixed[i]!;
      if (at + part.length > length || !startsWith(bytes, at, part)) return false;
      at += part.length;
      if (i === kinds.length) break;
      const begin = at;
      const kind = kinds[i]!;
      if (kind === KIND.integer) {
        while (bytes[at]! >= ZERO && bytes[at]! <= ZERO + 9 && at < length) at++;
        const digits = at - begin;
        if (digits === 0 || digits > DIGITS_MAX || (bytes[begin] === ZERO && digits > 1)) return false;
        continue;
      }
      // Plain: what stands there is what it means, and has no other spelling.
      while (at < length && PLAIN[bytes[at]!] === 1) at++;
      if (kind === KIND.jti) {
        if (at === begin || at - begin > JTI_BYTES_MAX) return false;
        this.#jtiAt = begin;
        this.#jtiEnd = at;
      } else if (kind === KIND.time) {
        if (at - begin !== TIME_BYTES) return false;
        this.time = this.#days[1].readTime(bytes, begin);
        if (this.time < 0) return false;
      } else if (kind === KIND.digest) {
        // In their order, so that none of them can be there twice.
        if (digestAt >= 0 && !isBefore(bytes, digestAt, begin, at - begin)) return false;
        digestAt = begin;
      }
    }
    return at === length;
  }
}

const PREV = encoder.encode(`,"prev":"`);
const AT = encoder.encode(`","at":"`);
const END = encoder.encode(`"}`);

/** The spelling of a record whose text is exactly what JSON.stringify makes of it. */
function spellingOf(record: object, stage: Stage): Spelling {
  const fixed: string[] = [""];
  const kinds: Kind[] = [];
  const add = (text: string) => {
    fixed[fixed.length - 1] += text;
  };
  const leave = (kind: Kind) => {
    kinds.push(kind);
    fixed.push("");
  };
  const spell = (value: unknown, path: string): void => {
    if (typeof value === "string" && !FIXED.has(path)) {
      add('"');
      leave(KINDS.get(path) ?? KIND.text);
      add('"');
    } else if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !FIXED.has(path)) {
      leave(KIND.integer);
    } else if (Array.isArray(value)) {
      add("[");
      for (const [i, item] of value.entries()) {
        add(i === 0 ? "" : ",");
        spell(item, `${path}[]`);
      }
      add("]");
    } else if (typeof value === "object" && value !== null) {
      add("{");
      for (const [i, [name, member]] of Object.entries(value).entries()) {
        add(`${i === 0 ? "" : ","}${JSON.stringify(name)}:`);
        spell(member, path === "" ? name : `${path}\n${name}`);
      }
      add("}");
    } else {
      add(JSON.stringify(value));
    }
  };
  spell(record, "");
  return { stage, fixed: fixed.map(text => encoder.encode(text)), kinds };
}

/** The members whose values decide how a record is to be read, and those that must be as they are. */
const FIXED: ReadonlySet<string> = new Set(["stage", "seq", "_sd_alg"]);
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["jti", KIND.jti],
  ["time", KIND.time],
  ["_sd[]", KIND.digest],
]);

/** Reads times; of each day only the first at length. */
class Day {
  readonly #bytes = new Uint8Array(10);
  #ms = -1;

  /** A time as RFC 3339 in UTC with milliseconds, in ms of Unix time; -1 when it is none, or before 1970. */
  readTime(bytes: Uint8Array, at: number): number {
    if (!startsWith(bytes, at, this.#bytes) || this.#ms < 0) {
      const text = String.fromCharCode(...bytes.subarray(at, at + 10));
      const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00.000Z`) : Number.NaN;
      if (!(ms >= 0) || new Date(ms).toISOString().slice(0, 10) !== text) return -1;
      this.#bytes.set(bytes.subarray(at, at + 10));
      this.#ms = ms;
    }
    const hours = twoDigits(bytes, at + 11);
    const minutes = twoDigits(bytes, at + 14);
    const seconds = twoDigits(bytes, at + 17);
    const tens = twoDigits(bytes, at + 20);
    const ones = bytes[at + 22]! - ZERO;
    const isTime =
      bytes[at + 10] === T && bytes[at + 13] === COLON && bytes[at + 16] === COLON && bytes[at + 19] === DOT;
    if (!isTime || bytes[at + 23] !== Z || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return -1;
    if (seconds < 0 || seconds > 59 || tens < 0 || ones < 0 || ones > 9) return -1;
    const ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + tens * 10 + ones;
    return ms < DAY_MS ? this.#ms + ms : -1;
  }
}

function twoDigits(bytes: Uint8Array, at: number): number {
  const [tens, ones] = [bytes[at]! - ZERO, bytes[at + 1]! - ZERO];
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

function startsWith(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

/** Whether one text of a length sorts before another of the same length. */
function isBefore(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (bytes[a + i] !== bytes[b + i]) return bytes[a + i]! < bytes[b + i]!;
  }
  return false;
}

/** Whether the base64url of a hash stands at a place. */
function isEncoded(hash: Hash, bytes: Uint8Array, at: number): boolean {
  let to = at;
  for (let i = 0; i < 30; i += 3) {
    const bits = (hash[i]! << 16) | (hash[i + 1]! << 8) | hash[i + 2]!;
    if (
      bytes[to++] !== CHARACTERS[bits >>> 18] ||
      bytes[to++] !== CHARACTERS[(bits >>> 12) & 63] ||
      bytes[to++] !== CHARACTERS[(bits >>> 6) & 63] ||
      bytes[to++] !== CHARACTERS[bits & 63]
    )
      return false;
  }
  const bits = (hash[30]! << 8) | hash[31]!;
  return (
    bytes[to] === CHARACTERS[bits >>> 10] &&
    bytes[to + 1] === CHARACTERS[(bits >>> 4) & 63] &&
    bytes[to + 2] === CHARACTERS[(bits & 15) << 2]
  );
}

/** Decodes base64url in its one spelling. @returns how many bytes it is of, or -1 when it is none, or too long. */
function decode(text: Uint8Array, start: number, end: number, into: Uint8Array): number {
  const length = end - start;
  const rest = length & 3;
  if (rest === 1 || (length >>> 2) * 3 + 2 > into.length) return -1;
  let to = 0;
  let at = start;
  let wrong = 0;
  for (const whole = end - rest; at < whole; at += 4) {
    const a = PAIRS[(text[at]! << 8) | text[at + 1]!]!;
    const b = PAIRS[(text[at + 2]! << 8) | text[at + 3]!]!;
    wrong |= a | b;
    into[to++] = a >>> 4;
    into[to++] = (a << 4) | (b >>> 8);
    into[to++] = b;
  }
  if (rest > 0) {
    // The bits that are left over are zero: another spelling of the same bytes is none.
    const a = PAIRS[(text[at]! << 8) | text[at + 1]!]!;
    const b = rest === 3 ? PAIRS[(text[at + 2]! << 8) | CHARACTERS[0]!]! : 0;
    wrong |= a | b | ((rest === 3 ? b & 0xff : a & 15) === 0 ? 0 : NONE);
    into[to++] = a >>> 4;
    if (rest === 3) into[to++] = (a << 4) | (b >>> 8);
  }
  return wrong < NONE ? to : -1;
}
