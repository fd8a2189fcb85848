// DER (ITU-T X.690), read through an ASN.1 library: bytes in, a tree of tags and contents out, or a Fault that
// says what was expected where. Lengths, numbers and object identifiers are read in the one encoding that DER allows:
// whoever could spell them in two ways could alter what nobody has signed without anything noticing.
import { type BaseBlock, fromBER, ObjectIdentifier } from "asn1js";
import { Fault } from "../tlog/fault.ts";

/** The identifier octets in use here. */
export const TAGS = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  null: 0x05,
  oid: 0x06,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** [0], [1] … of a context, around one or more values. */
  context: (n: number): number => 0xa0 + n,
} as const;

/** One value, with where it stands for messages. */
export interface Der {
  readonly what: string;
  readonly tag: number;
  /** The whole encoding, header included. */
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
  /** The values inside, of one that is made of others. */
  readonly items: readonly Der[];
  /** Of an object identifier: its numbers, joined by dots. */
  readonly oid: string | undefined;
}

const CONSTRUCTED = 0x20;

/** Reads one value that takes up all of the bytes. @throws Fault `malformed`. */
export function readDer(bytes: Uint8Array, what: string): Der {
  let parsed: ReturnType<typeof fromBER> | undefined;
  try {
    parsed = fromBER(new Uint8Array(bytes));
  } catch {
    // The library's own errors say nothing of what was being read.
  }
  if (parsed === undefined || parsed.offset !== bytes.length) return refuse(what, "one value in DER");
  return convert(parsed.result, what);
}

function convert(block: BaseBlock, what: string): Der {
  const bytes = block.valueBeforeDecodeView;
  const tag = bytes[0] ?? 0;
  const header = headerLength(bytes);
  if ((tag & 0x1f) === 0x1f || header === undefined) return refuse(what, "DER");
  const value = (block.valueBlock as { value?: unknown }).value;
  // The library looks into octet strings too; here they are bytes.
  const items = tag & CONSTRUCTED && Array.isArray(value) ? (value as BaseBlock[]) : [];
  return {
    what,
    tag,
    bytes,
    content: bytes.subarray(header),
    items: items.map(item => convert(item, what)),
    oid: block instanceof ObjectIdentifier ? block.valueBlock.toString() : undefined,
  };
}

/** How long identifier and length are; undefined unless the length is definite, minimal and right. */
function headerLength(bytes: Uint8Array): number | undefined {
  for (const header of [2, 3, 4, 5]) {
    const length = formatLength(bytes.length - header);
    if (length.length === header - 1 && length.every((byte, i) => bytes[i + 1] === byte)) return header;
  }
  return undefined;
}

function formatLength(length: number): number[] {
  if (length < 0) return [];
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 + bytes.length, ...bytes];
}

/** Writes one value. @param parts its content, in order. */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = [tag, ...formatLength(length)];
  const bytes = new Uint8Array(header.length + length);
  bytes.set(header);
  let at = header.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The items of a value of a tag. @throws Fault `malformed` unless there are that many. */
export function itemsOf(
  der: Der | undefined,
  tag: number,
  what: string,
  least = 0,
  most = Infinity,
): readonly Der[] {
  const { items } = requireTag(der, tag, what);
  if (items.length < least || items.length > most) {
    return refuse(what, `${least === most ? least : `at least ${least}`} values`, `${items.length}`);
  }
  return items;
}

/** The content of a value of a tag. @throws Fault `malformed`. */
export function contentOf(der: Der | undefined, tag: number, what: string): Uint8Array {
  return requireTag(der, tag, what).content;
}

/** The dotted text of an object identifier. @throws Fault `malformed`. */
export function oidOf(der: Der | undefined, what: string): string {
  const { oid, content } = requireTag(der, TAGS.oid, what);
  // A number that begins with a zero digit could be written shorter.
  const isPadded = content.some((byte, i) => byte === 0x80 && (i === 0 || content[i - 1]! < 0x80));
  return oid === undefined || isPadded ? refuse(what, "an object identifier") : oid;
}

/** A small integer that is not negative. @throws Fault `malformed`. */
export function numberOf(der: Der | undefined, what: string): number {
  const content = contentOf(der, TAGS.integer, what);
  const isPadded = content.length > 1 && content[0] === 0 && content[1]! < 0x80;
  if (content.length === 0 || content.length > 4 || content[0]! > 0x7f || isPadded) {
    return refuse(what, "a small number");
  }
  return content.reduce((number, byte) => number * 256 + byte, 0);
}

/** A moment, in ms of Unix time; of a fraction of a ms nothing is kept. @throws Fault `malformed`. */
export function timeOf(der: Der | undefined, what: string): number {
  const isShort = der?.tag === TAGS.utcTime;
  const text = String.fromCharCode(
    ...contentOf(der, isShort ? TAGS.utcTime : TAGS.time, what).subarray(0, 40),
  );
  // RFC 5280 section 4.1.2.5: seconds are always there, the zone is Z, and two digits of a year end in 2049.
  const full = isShort ? (text < "50" ? `20${text}` : `19${text}`) : text;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d*[1-9]))?Z$/.exec(full);
  if (match === null) return refuse(what, "a time in UTC", text);
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, "0").slice(0, 3)}Z`;
  const time = new Date(iso);
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) return refuse(what, "a real time", text);
  return time.getTime();
}

function requireTag(der: Der | undefined, tag: number, what: string): Der {
  if (der?.tag === tag) return der;
  return refuse(
    what,
    `tag ${tag.toString(16)}`,
    der === undefined ? "nothing" : `tag ${der.tag.toString(16)}`,
  );
}

/** @throws Fault `malformed`, always. */
export function refuse(what: string, expected: string, found?: string): never {
  throw new Fault("malformed", `${what}: not as it should be`, {
    expected,
    ...(found !== undefined && { found }),
  });
}
