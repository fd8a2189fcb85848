// Entries, receipts, SD-JWT digests and anchors made from first principles, with node:crypto alone: the
// product's own formats as the design describes them (JWS: RFC 7515, RFC 9864; thumbprints: RFC 7638;
// disclosures: RFC 9901). It shares nothing with src/. It only makes things and checks nothing, so that
// tests can make wrong things too.

import { createECDH, createHmac } from "node:crypto";
import { concat, ed25519FromSeed, ed25519PublicBytes, ed25519Sign, hex, sha256, utf8 } from "./note.ts";

type Bytes = Uint8Array;

export function base64url(bytes: Bytes): string {
  return Buffer.from(bytes).toString("base64url");
}

export type Jwk = Readonly<Record<string, string>>;

/** A key that signs receipts or anchors: its public half, its thumbprint, and how it signs. */
export interface JwsKey {
  readonly kid: string;
  readonly jwk: Jwk;
  sign(message: Bytes): Bytes;
}

/** RFC 7638: the required members in alphabetical order, hashed. */
function thumbprint(required: Jwk): string {
  return base64url(sha256(utf8(JSON.stringify(required))));
}

/** The Ed25519 key whose seed is the SHA-256 of its label. */
export function ed25519Key(label: string): JwsKey {
  const privateKey = ed25519FromSeed(sha256(utf8(label)));
  const required = { crv: "Ed25519", kty: "OKP", x: base64url(ed25519PublicBytes(privateKey)) };
  return { kid: thumbprint(required), jwk: required, sign: message => ed25519Sign(privateKey, message) };
}

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function toNumber(bytes: Bytes): bigint {
  return BigInt(`0x${hex(bytes)}`);
}

function toBytes32(value: bigint): Bytes {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, "0"), "hex"));
}

/** scalar * G, as x and y. */
function p256Point(scalar: bigint): { readonly x: Bytes; readonly y: Bytes } {
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(toBytes32(scalar));
  const point = new Uint8Array(curve.getPublicKey());
  return { x: point.subarray(1, 33), y: point.subarray(33) };
}

function inverse(value: bigint, modulus: bigint): bigint {
  let result = 1n;
  let base = value % modulus;
  for (let exponent = modulus - 2n; exponent > 0n; exponent /= 2n) {
    if (exponent % 2n === 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return result;
}

/**
 * The P-256 key whose scalar comes from its label. It signs with a nonce made from key and message
 * (FIPS 186-5 section 6.4.1, with a nonce of our own), so that vectors come out the same every time.
 */
export function es256Key(label: string): JwsKey {
  const secret = toNumber(sha256(utf8(label))) % P256_ORDER;
  const { x, y } = p256Point(secret);
  const required = { crv: "P-256", kty: "EC", x: base64url(x), y: base64url(y) };
  const sign = (message: Bytes) => {
    const nonce = toNumber(sha256(toBytes32(secret), message)) % P256_ORDER;
    const r = toNumber(p256Point(nonce).x) % P256_ORDER;
    const s = (inverse(nonce, P256_ORDER) * (toNumber(sha256(message)) + r * secret)) % P256_ORDER;
    return concat(toBytes32(r), toBytes32(s));
  };
  return { kid: thumbprint(required), jwk: required, sign };
}

/** HMAC with a public value as its secret: the forgery that naive JWS libraries accept. */
export function hmac(hash: "sha256" | "sha512", secret: Bytes, message: Bytes): Bytes {
  return new Uint8Array(createHmac(hash, secret).update(message).digest());
}

/** BASE64URL(header) "." BASE64URL(payload), from JSON texts, so that any text can be tried. */
export function signingInput(header: string, payload: string): string {
  return `${base64url(utf8(header))}.${base64url(utf8(payload))}`;
}

/** A compact JWS over a signing input. */
export function signed(input: string, key: JwsKey): string {
  return `${input}.${base64url(key.sign(utf8(input)))}`;
}

/** The protected header of a receipt, keys in their order. */
export function receiptHeader(place: {
  readonly kid: string;
  readonly origin: string;
  readonly index: number;
  readonly prev: Bytes;
  readonly at: string;
}) {
  return {
    alg: "Ed25519",
    kid: place.kid,
    typ: "audit-receipt+jwt",
    origin: place.origin,
    index: place.index,
    prev: base64url(place.prev),
    at: place.at,
  };
}

/** The private fields of a record, all of which are always committed to. */
export const PRIVATE_FIELDS = ["sub", "client_address", "user_agent", "query"] as const;
export type PrivateField = (typeof PRIVATE_FIELDS)[number];

/** base64url of the first 16 bytes of SHA-256(seed || name). */
export function salt(seed: Bytes, name: string): string {
  return base64url(sha256(seed, utf8(name)).subarray(0, 16));
}

/** RFC 9901 section 4.2.1: base64url of the JSON array [salt, name, value]. */
export function disclosure(seed: Bytes, name: string, value: string | null): string {
  return base64url(utf8(JSON.stringify([salt(seed, name), name, value])));
}

/** RFC 9901 section 4.2.3: base64url of the SHA-256 of the disclosure's characters. */
export function disclosureDigest(text: string): string {
  return base64url(sha256(utf8(text)));
}

/** A record's `_sd`: one digest for each private field, in ascending order. */
export function sealed(seed: Bytes, values: Partial<Record<PrivateField, string>>): string[] {
  return PRIVATE_FIELDS.map(name => disclosureDigest(disclosure(seed, name, values[name] ?? null))).sort();
}

/** One ledger as an anchor pins it. */
export interface AnchoredLedger {
  readonly origin: string;
  readonly size: number;
  /** Standard base64. */
  readonly root: string;
  /** base64url of the leaf hash of entry size - 1. */
  readonly head: string;
  /** The signed note. */
  readonly checkpoint: string;
}

/** The payload of an anchor, keys in their order. */
export function anchorPayload(parts: {
  readonly iss: string;
  readonly epoch: number;
  readonly time: string;
  readonly prev: Bytes;
  readonly ledgers: readonly AnchoredLedger[];
}) {
  return {
    v: 1,
    iss: parts.iss,
    epoch: parts.epoch,
    time: parts.time,
    prev: base64url(parts.prev),
    ledgers: parts.ledgers.map(({ origin, size, root, head, checkpoint }) => ({
      origin,
      size,
      root,
      head,
      checkpoint,
    })),
    lock: { kind: "local" },
  };
}

export function anchorHeader(kid: string) {
  return { alg: "Ed25519", kid, typ: "audit-anchor+jwt" };
}
