// The promise: a record that is not in a ledger yet, and the time by which it will be, as a compact JWS
// (RFC 7515). It has the place of a receipt until there is one:
//
//     BASE64URL(protected header) "." BASE64URL(record) "." BASE64URL(signature)
//
// The record is, byte for byte, the one that the entry will hold; `promise` stands in the header instead of the
// place. It is broken when no entry with these bytes was taken by that time, and who holds it can prove that.
import * as v from "valibot";
import { Fault } from "../tlog/fault.ts";
import type { Entry } from "./entry.ts";
import { type Jws, type SigningKey, signJws, splitJws, type TrustedKey, verifyJws } from "./key.ts";
import { type AuditRecord, formatStep, parseRecord } from "./record.ts";
import { decodeText, encodeText, readExactJson, Time } from "./shape.ts";

const PROMISE_TYPE = "audit-promise+jwt";

/** The largest promise, in bytes: a 4 KiB record and a header of at most 1 KiB in base64url, and a signature. */
export const PROMISE_BYTES_MAX = 7268;

/** The protected header of a promise. */
export interface PromiseHeader {
  readonly alg: string;
  /** RFC 7638 thumbprint of the receipt key. */
  readonly kid: string;
  readonly typ: typeof PROMISE_TYPE;
  /** The ledger that will hold the record. */
  readonly origin: string;
  /** The time by which it will, by the ledger's clock: RFC 3339 with milliseconds, UTC. */
  readonly promise: string;
}

export interface AuditPromise {
  readonly jws: Jws;
  readonly header: PromiseHeader;
  readonly record: AuditRecord;
  /** The record's bytes, as text. */
  readonly recordText: string;
}

const HeaderSchema = v.strictObject({
  alg: v.string(),
  kid: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  typ: v.literal(PROMISE_TYPE),
  origin: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  promise: Time,
});

/**
 * Promises that a record will be in a ledger within `seconds` of the record's own time. The same record gives
 * the same promise, bit for bit.
 */
export function issuePromise(
  record: string,
  origin: string,
  seconds: number,
  key: SigningKey,
): Promise<string> {
  const by = Date.parse(parseRecord(record).time) + seconds * 1000;
  const header: PromiseHeader = {
    alg: "Ed25519",
    kid: key.kid,
    typ: PROMISE_TYPE,
    origin,
    promise: new Date(by).toISOString(),
  };
  return signJws(`${formatPromiseHeader(header)}.${encodeText(record)}`, key);
}

/** Whether a compact JWS says of itself that it is a promise. Reads nothing else of it. */
export function isPromise(text: string): boolean {
  try {
    const header: unknown = JSON.parse(decodeText(text.slice(0, text.indexOf(".")), "promise"));
    return (header as { typ?: unknown } | null)?.typ === PROMISE_TYPE;
  } catch {
    return false;
  }
}

/** Reads a promise without verifying it. @throws Fault `malformed` or `too-large`. */
export function parsePromise(text: string): AuditPromise {
  if (text.length > PROMISE_BYTES_MAX) {
    throw new Fault("too-large", "promise: larger than a promise may be", {
      expected: `at most ${PROMISE_BYTES_MAX} bytes`,
      found: `${text.length} bytes`,
    });
  }
  const jws = splitJws(text, "promise");
  const [headerPart, recordPart] = jws.input.split(".") as [string, string];
  const json = decodeText(headerPart, "promise: protected header");
  const header = readExactJson(HeaderSchema, json, "promise: protected header");
  if (formatPromiseHeader(header) !== headerPart) {
    throw new Fault("malformed", "promise: protected header: not in its one accepted spelling", {
      expected: "members in the order of the format, each once, without white space",
      found: json,
    });
  }
  const recordText = decodeText(recordPart, "record");
  return { jws, header, record: parseRecord(recordText), recordText };
}

/**
 * Verifies the signature of a promise. It was made when its record was.
 * @returns the key that signed.
 * @throws Fault `unknown-key`, `unsupported`, `key-not-valid` or `bad-signature`.
 */
export function verifyPromise(promise: AuditPromise, keys: readonly TrustedKey[]): Promise<TrustedKey> {
  return verifyJws(promise.jws, promise.header, keys, promise.record.time, "promise");
}

/**
 * Checks that an entry keeps a promise: it has the same record in the same ledger, and was taken in time.
 * Both must have been verified.
 * @throws Fault `broken-promise`; `mismatched` when the entry is not the one that the promise is about.
 */
export function checkKept({ header, record, recordText }: AuditPromise, entry: Entry): void {
  const name = nameStep(record);
  if (header.origin !== entry.header.origin || name !== nameStep(entry.record)) {
    throw new Fault("mismatched", "the promise is about another record than the receipt", {
      expected: `${name} in ${header.origin}`,
      found: `${nameStep(entry.record)} in ${entry.header.origin}`,
    });
  }
  const { index, at } = entry.header;
  if (decodeText(entry.text.slice(entry.text.indexOf(".") + 1), "record") !== recordText) {
    throw new Fault("broken-promise", `entry ${index} has another record than was promised`, {
      expected: recordText,
      index,
    });
  }
  if (at > header.promise) {
    throw new Fault("broken-promise", `entry ${index} was taken later than was promised`, {
      expected: `by ${header.promise}`,
      found: at,
      index,
    });
  }
}

/** What a record is known by in a ledger, for people and as a key. */
export function nameStep(record: AuditRecord): string {
  return `${formatStep(record)} of ${record.jti}`;
}

function formatPromiseHeader({ alg, kid, typ, origin, promise }: PromiseHeader): string {
  return encodeText(JSON.stringify({ alg, kid, typ, origin, promise }));
}
