// The entry: a record at its place in a ledger, as the exact bytes that are hashed and signed:
//
//     BASE64URL(protected header) "." BASE64URL(record)
//
// It is the signing input of its receipt (RFC 7515 section 5.1), so a receipt's leaf hash is found by
// cutting off the signature. The header has one accepted spelling; parsing rejects every other.
import * as v from "valibot";
import { encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { type Hash as LeafHash, leafHash, type Sha256 } from "../tlog/hash.ts";
import { type AuditRecord, parseRecord } from "./record.ts";
import { Count, decodeText, encodeText, Hash, readExactJson, Time } from "./shape.ts";

export const RECEIPT_TYPE = "audit-receipt+jwt";

/** The largest entry, in bytes: a 4 KiB record and a header of at most 1 KiB, in base64url. */
export const ENTRY_BYTES_MAX = 7168;

/** The protected header of an entry. */
export interface EntryHeader {
  /** `Ed25519` (RFC 9864) as issued here; verifiers also accept `EdDSA` and `ES256`. */
  readonly alg: string;
  /** RFC 7638 thumbprint of the receipt key. */
  readonly kid: string;
  readonly typ: typeof RECEIPT_TYPE;
  readonly origin: string;
  /** 0-based place in the ledger. */
  readonly index: number;
  /** base64url of the previous entry's leaf hash; 32 zero bytes for entry 0. */
  readonly prev: string;
  /** The ledger's clock when it took the entry: RFC 3339 with milliseconds, UTC. Never runs backwards. */
  readonly at: string;
}

export interface Entry {
  readonly text: string;
  readonly header: EntryHeader;
  readonly record: AuditRecord;
  readonly leaf: LeafHash;
}

/** `prev` of entry 0. */
export const FIRST_PREV = encodeBase64url(new Uint8Array(32));

const HeaderSchema = v.strictObject({
  alg: v.string(),
  kid: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  typ: v.literal(RECEIPT_TYPE),
  origin: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  index: Count,
  prev: Hash,
  at: Time,
});

const encoder = new TextEncoder();

/** The base64url protected header; member order is part of the format. */
export function formatHeader(header: EntryHeader): string {
  const { alg, kid, typ, origin, index, prev, at } = header;
  return encodeText(JSON.stringify({ alg, kid, typ, origin, index, prev, at }));
}

/**
 * Reads a base64url protected header.
 * @throws Fault `malformed` when a member is missing, unknown, out of order, repeated or of a wrong shape.
 */
export function parseHeader(text: string): EntryHeader {
  const json = decodeText(text, "protected header");
  const header = readExactJson(HeaderSchema, json, "protected header");
  if (formatHeader(header) !== text) {
    throw new Fault("malformed", "protected header: not in its one accepted spelling", {
      expected: "members in the order of the format, each once, without white space",
      found: json,
    });
  }
  if (header.index === 0 && header.prev !== FIRST_PREV) {
    throw new Fault("malformed", "protected header: the first entry names an entry before it", {
      expected: FIRST_PREV,
      found: header.prev,
      index: 0,
    });
  }
  return header;
}

/**
 * Whether an entry names this key, an RFC 7638 thumbprint: 69 bytes of JSON before the other members, which have one
 * spelling and are 92 characters of base64url.
 */
export function namesKey(entry: string, kid: string): boolean {
  return entry.startsWith(encodeText(`{"alg":"Ed25519","kid":"${kid}",`));
}

/** Joins a base64url protected header and the bytes of a record. */
export function formatEntry(header: string, record: string): string {
  return `${header}.${encodeText(record)}`;
}

/**
 * Reads an entry.
 * @throws Fault `malformed` or `too-large`.
 */
export function parseEntry(text: string): Entry {
  if (text.length > ENTRY_BYTES_MAX) {
    throw new Fault("too-large", "entry: larger than an entry may be", {
      expected: `at most ${ENTRY_BYTES_MAX} bytes`,
      found: `${text.length} bytes`,
    });
  }
  const parts = text.split(".");
  if (parts.length !== 2) {
    throw new Fault("malformed", "entry: not two parts joined by a dot", {
      expected: "2 parts",
      found: text,
    });
  }
  const [header, record] = parts as [string, string];
  return {
    text,
    header: parseHeader(header),
    record: parseRecord(decodeText(record, "record")),
    leaf: entryHash(text),
  };
}

/** The RFC 6962 leaf hash of an entry. */
export function entryHash(text: string, hash?: Sha256): LeafHash {
  return leafHash(encoder.encode(text), hash);
}
