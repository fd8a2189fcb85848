// Timestamp tokens, certificates and timestamp requests from first principles, with node:crypto alone: DER (X.690)
// by hand, X.509 (RFC 5280), CMS signed data (RFC 5652), timestamps (RFC 3161, RFC 5816). It shares nothing with src/.
// It only makes things and checks nothing, so that tests can make wrong things too.

import {
  checkPrimeSync,
  constants,
  createHash,
  createPrivateKey,
  type KeyObject,
  privateEncrypt,
  sign,
} from "node:crypto";
import { concat, ed25519FromSeed, ed25519PublicBytes, ed25519Sign, sha256, utf8 } from "./note.ts";
import { base64url, es256Key } from "./receipt.ts";

type Bytes = Uint8Array;
export type HashName = "sha1" | "sha256" | "sha384" | "sha512";

// DER

export function der(tag: number, ...parts: readonly Bytes[]): Bytes {
  const body = concat(...parts);
  const digits = body.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex");
  const header = body.length < 128 ? [body.length] : [0x80 + length.length, ...length];
  return concat(Uint8Array.of(tag, ...header), body);
}

export const sequence = (...parts: readonly Bytes[]) => der(0x30, ...parts);
export const set = (...parts: readonly Bytes[]) => der(0x31, ...parts);
export const octets = (bytes: Bytes) => der(0x04, bytes);
export const bits = (bytes: Bytes, unused = 0) => der(0x03, Uint8Array.of(unused), bytes);
export const tagged = (n: number, ...parts: readonly Bytes[]) => der(0xa0 + n, ...parts);
export const NULL = der(0x05);
export const TRUE = der(0x01, Uint8Array.of(0xff));

export function integer(value: bigint | number | Bytes): Bytes {
  const digits = typeof value === "object" ? Buffer.from(value).toString("hex") : value.toString(16);
  const bytes = new Uint8Array(Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex"));
  const first = bytes.findIndex(byte => byte !== 0);
  const short = first === -1 ? Uint8Array.of(0) : bytes.subarray(first);
  return der(0x02, short[0]! >= 0x80 ? concat(Uint8Array.of(0), short) : short);
}

export function oid(text: string): Bytes {
  const [first, second, ...rest] = text.split(".").map(Number) as [number, number, ...number[]];
  const digits = (value: number): number[] => {
    const all = [value % 128];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      all.unshift(128 + (left % 128));
    return all;
  };
  return der(0x06, Uint8Array.from([first * 40 + second, ...rest.flatMap(digits)]));
}

/** UTCTime up to 2049, GeneralizedTime otherwise (RFC 5280 section 4.1.2.5). `at` is like 20261121052222Z. */
function moment(at: string): Bytes {
  return at.startsWith("20") && at < "2050" ? der(0x17, utf8(at.slice(2))) : der(0x18, utf8(at));
}

// Keys

/** A key that signs certificates and tokens: DER of its public half, and DER of what it signs with. */
export interface CertKey {
  readonly publicKey: Bytes;
  readonly algorithm: Bytes;
  readonly hash: HashName;
  sign(message: Bytes): Bytes;
}

const HASH_OIDS: Readonly<Record<HashName, string>> = {
  sha1: "1.3.14.3.2.26",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  sha512: "2.16.840.1.101.3.4.2.3",
};
const RSA_OIDS: Readonly<Record<HashName, string>> = {
  sha1: "1.2.840.113549.1.1.5",
  sha256: "1.2.840.113549.1.1.11",
  sha384: "1.2.840.113549.1.1.12",
  sha512: "1.2.840.113549.1.1.13",
};
const RSA = "1.2.840.113549.1.1.1";

export const hashId = (hash: HashName) => sequence(oid(HASH_OIDS[hash]), NULL);
export const ecdsaWith = (hash: "sha256" | "sha384") =>
  sequence(oid(hash === "sha256" ? "1.2.840.10045.4.3.2" : "1.2.840.10045.4.3.3"));

function digest(hash: HashName, ...parts: readonly Bytes[]): Bytes {
  return new Uint8Array(
    createHash(hash)
      .update(concat(...parts))
      .digest(),
  );
}

/** The P-256 key of a label; its signatures come out the same every time. */
export function p256Key(label: string): CertKey {
  const { jwk, sign } = es256Key(label);
  const point = concat(
    Uint8Array.of(4),
    ...[jwk.x!, jwk.y!].map(part => new Uint8Array(Buffer.from(part, "base64url"))),
  );
  return {
    publicKey: sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(point)),
    algorithm: ecdsaWith("sha256"),
    hash: "sha256",
    sign(message) {
      const raw = sign(message);
      return sequence(integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
    },
  };
}

/** The Ed25519 key of a label. Beside it, digests are by SHA-512 (RFC 8419). */
export function ed25519CertKey(label: string): CertKey {
  const key = ed25519FromSeed(sha256(utf8(label)));
  return {
    publicKey: sequence(sequence(oid("1.3.101.112")), bits(ed25519PublicBytes(key))),
    algorithm: sequence(oid("1.3.101.112")),
    hash: "sha512",
    sign: message => ed25519Sign(key, message),
  };
}

function primeOf(label: string, bitLength: number): bigint {
  const blocks = Array.from({ length: bitLength / 256 }, (_, i) => sha256(utf8(`${label} ${i}`)));
  let candidate = BigInt(`0x${Buffer.from(concat(...blocks)).toString("hex")}`);
  candidate |= (3n << BigInt(bitLength - 2)) | 1n;
  while (candidate % 65537n === 1n || !checkPrimeSync(candidate)) candidate += 2n;
  return candidate;
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b] = [b - quotient * a, a];
    [x, y] = [y - quotient * x, x];
    if (a === 0n) throw new Error("no inverse");
  }
  return ((x % modulus) + modulus) % modulus;
}

function makeRsa(label: string, bitLength: number): { key: KeyObject; modulus: bigint } {
  const [p, q] = [primeOf(`${label} p`, bitLength / 2), primeOf(`${label} q`, bitLength / 2)];
  const d = inverse(65537n, (p - 1n) * (q - 1n));
  const part = (value: bigint) => {
    const digits = value.toString(16);
    return base64url(Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex"));
  };
  const jwk = {
    ...{ kty: "RSA", n: part(p * q), e: "AQAB", d: part(d), p: part(p), q: part(q) },
    ...{ dp: part(d % (p - 1n)), dq: part(d % (q - 1n)), qi: part(inverse(q, p)) },
  };
  return { key: createPrivateKey({ key: jwk, format: "jwk" }), modulus: p * q };
}

/** The RSA key of a label, which signs as PKCS #1 v1.5 says, or as PSS does with a salt of its own. */
export function rsaKey(
  label: string,
  { hash = "sha256" as HashName, scheme = "plain" as "plain" | "named" | "pss", bitLength = 2048 } = {},
): CertKey {
  const { key, modulus } = makeRsa(label, bitLength);
  const algorithms = {
    plain: sequence(oid(RSA_OIDS[hash]), NULL),
    named: sequence(oid(RSA), NULL),
    pss: pssId(hash),
  };
  return {
    publicKey: sequence(sequence(oid(RSA), NULL), bits(sequence(integer(modulus), integer(65537)))),
    algorithm: algorithms[scheme],
    hash,
    sign: message =>
      scheme === "pss" ? signPss(message, key, hash, bitLength) : new Uint8Array(sign(hash, message, key)),
  };
}

function pssId(hash: HashName): Bytes {
  const mask = sequence(oid("1.2.840.113549.1.1.8"), hashId(hash));
  const length = digest(hash).length;
  return sequence(
    oid("1.2.840.113549.1.1.10"),
    sequence(tagged(0, hashId(hash)), tagged(1, mask), tagged(2, integer(length))),
  );
}

/** RFC 8017 section 9.1.1, with a salt that is the hash of the message. */
function signPss(message: Bytes, key: KeyObject, hash: HashName, bitLength: number): Bytes {
  const hashed = digest(hash, message);
  const salt = digest(hash, utf8("salt"), message);
  const last = digest(hash, new Uint8Array(8), hashed, salt);
  const length = bitLength / 8;
  const block = new Uint8Array(length - last.length - 1);
  block.set(concat(Uint8Array.of(1), salt), block.length - salt.length - 1);
  for (let at = 0, counter = 0; at < block.length; counter++) {
    for (const byte of digest(hash, last, Uint8Array.of(0, 0, 0, counter))) {
      if (at < block.length) block[at++]! ^= byte;
    }
  }
  block[0]! &= 0x7f;
  const encoded = concat(block, last, Uint8Array.of(0xbc));
  return new Uint8Array(privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded));
}

// Certificates

export interface CertParts {
  readonly name: string;
  readonly key: CertKey;
  /** Who signs it: itself, when left out. */
  readonly issuer?: Cert;
  /** Like 20261121052222Z. */
  readonly from?: string;
  readonly until?: string;
  readonly serial?: number;
  readonly extensions?: readonly Bytes[];
}

export interface Cert {
  readonly bytes: Bytes;
  readonly name: Bytes;
  readonly key: CertKey;
  readonly issuerName: Bytes;
  readonly serial: Bytes;
}

export function extension(id: string, value: Bytes, isCritical = true): Bytes {
  return sequence(oid(id), ...(isCritical ? [TRUE] : []), octets(value));
}

const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";

export const purposes = (ids: readonly string[] = [TIME_STAMPING], isCritical = true) =>
  extension("2.5.29.37", sequence(...ids.map(oid)), isCritical);
/** The bits of a key usage: digitalSignature is 0x80, keyCertSign 0x04. */
export const usage = (flags: number) =>
  extension("2.5.29.15", bits(Uint8Array.of(flags), 31 - Math.clz32(flags & -flags)));
export const authority = (depth?: number) =>
  extension("2.5.29.19", sequence(TRUE, ...(depth === undefined ? [] : [integer(depth)])));

export function certificate(parts: CertParts): Cert {
  const { key, serial = 7, extensions = [purposes(), usage(0x80)] } = parts;
  const name = sequence(set(sequence(oid("2.5.4.3"), der(0x0c, utf8(parts.name)))));
  const signer = parts.issuer?.key ?? key;
  const issuerName = parts.issuer?.name ?? name;
  const signed = sequence(
    tagged(0, integer(2)),
    integer(serial),
    signer.algorithm,
    issuerName,
    sequence(moment(parts.from ?? "20260101000000Z"), moment(parts.until ?? "20360101000000Z")),
    name,
    key.publicKey,
    ...(extensions.length === 0 ? [] : [tagged(3, sequence(...extensions))]),
  );
  const bytes = sequence(signed, signer.algorithm, bits(signer.sign(signed)));
  return { bytes, name, key, issuerName, serial: integer(serial) };
}

// Tokens

const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";

export interface TokenParts {
  readonly signer: Cert;
  /** The SHA-256 that is timestamped. */
  readonly imprint: Bytes;
  /** Like 20261121052300Z. */
  readonly time?: string;
  readonly nonce?: Bytes;
  readonly certificates?: readonly Cert[];
  // What a wrong token has otherwise:
  readonly key?: CertKey;
  readonly imprintId?: Bytes;
  readonly infoType?: string;
  readonly signedType?: string;
  readonly version?: number;
  readonly digestId?: Bytes;
  readonly algorithm?: Bytes;
  readonly named?: Bytes;
  readonly leftOut?: "contentType" | "messageDigest" | "signingCertificate";
  readonly unsigned?: Bytes;
  readonly signers?: 1 | 2;
  /** Another info than the one that is signed. */
  readonly shown?: Bytes;
}

export function tstInfo(parts: Pick<TokenParts, "imprint" | "imprintId" | "time" | "nonce">): Bytes {
  return sequence(
    integer(1),
    oid("1.2.3.4"),
    sequence(parts.imprintId ?? hashId("sha256"), octets(parts.imprint)),
    integer(41),
    der(0x18, utf8(parts.time ?? "20261121052300Z")),
    ...(parts.nonce === undefined ? [] : [integer(parts.nonce)]),
  );
}

export function token(parts: TokenParts): Bytes {
  const { signer, certificates = [] } = parts;
  const key = parts.key ?? signer.key;
  const info = tstInfo(parts);
  const digestId = parts.digestId ?? hashId(key.hash);
  const attribute = (id: string, value: Bytes) => sequence(oid(id), set(value));
  const attributes = {
    contentType: attribute("1.2.840.113549.1.9.3", oid(parts.signedType ?? TST_INFO)),
    messageDigest: attribute("1.2.840.113549.1.9.4", octets(digest(key.hash, info))),
    signingCertificate: attribute(
      "1.2.840.113549.1.9.16.2.47",
      sequence(sequence(sequence(octets(parts.named ?? sha256(signer.bytes))))),
    ),
  };
  // DER: the members of a SET stand in ascending order.
  const listed = Object.entries(attributes)
    .filter(([name]) => name !== parts.leftOut)
    .map(([, bytes]) => bytes)
    .sort(Buffer.compare);
  const signerInfo = sequence(
    integer(1),
    sequence(signer.issuerName, signer.serial),
    digestId,
    tagged(0, ...listed),
    parts.algorithm ?? key.algorithm,
    octets(key.sign(set(...listed))),
    ...(parts.unsigned === undefined ? [] : [tagged(1, parts.unsigned)]),
  );
  const signedData = sequence(
    integer(parts.version ?? 3),
    set(digestId),
    sequence(oid(parts.infoType ?? TST_INFO), tagged(0, octets(parts.shown ?? info))),
    ...(certificates.length === 0 ? [] : [tagged(0, ...certificates.map(({ bytes }) => bytes))]),
    set(...Array.from({ length: parts.signers ?? 1 }, () => signerInfo)),
  );
  return sequence(oid(SIGNED_DATA), tagged(0, signedData));
}
