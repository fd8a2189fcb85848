// The keys that sign receipts and anchors, and the rule for which signature algorithm a key may be used
// with. The algorithm always follows from the key; what a token asks for only has to agree with it.
import { calculateJwkThumbprint, importJWK, type JWK } from "jose";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { ED25519_KEY_BYTES, verifyEd25519 } from "../tlog/ed25519.ts";
import { Fault } from "../tlog/fault.ts";

/** A private Ed25519 key, ready to sign. */
export interface SigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** The raw 32-byte public key (RFC 8032). */
  readonly publicKey: Uint8Array;
  readonly publicJwk: TrustedKey;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * A public key as a JWK (RFC 7517). `nbf` and `exp`, in seconds of Unix time, bound the time for which it
 * may have signed: a receipt outside of them is refused, one inside of them stays good after `exp`. A key
 * with an `exp` is one that was retired.
 */
export interface TrustedKey extends JWK {
  readonly kid: string;
  readonly nbf?: number;
  readonly exp?: number;
}

/** Which `alg` values each kind of key may appear with (RFC 9864, RFC 8037, RFC 7518 section 3.4). */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  "OKP/Ed25519": ["Ed25519", "EdDSA"],
  "EC/P-256": ["ES256"],
};

/**
 * Imports a private Ed25519 JWK. Not every platform notices that `d` and `x` are of two keys, so it is tried
 * out: nobody could verify what such a key signs.
 * @throws Fault `malformed` or `unsupported`; never with any part of the key in its message.
 */
export async function importSigningKey(jwkText: string, what: string): Promise<SigningKey> {
  let jwk: JWK;
  try {
    jwk = JSON.parse(jwkText) as JWK;
  } catch {
    throw new Fault("malformed", `${what}: not JSON`, { expected: "a private Ed25519 JWK" });
  }
  if (jwk?.kty !== "OKP" || jwk.crv !== "Ed25519" || typeof jwk.d !== "string" || typeof jwk.x !== "string") {
    throw new Fault("unsupported", `${what}: not a private Ed25519 JWK`, {
      expected: 'members kty "OKP", crv "Ed25519", d and x',
    });
  }
  const publicPart = { kty: "OKP", crv: "Ed25519", x: jwk.x };
  const publicKey = decodeBase64url(jwk.x, what);
  const sign = await importSigner({ ...publicPart, d: jwk.d }, what);
  const message = new TextEncoder().encode(what);
  if (!(await verifyEd25519(publicKey, message, await sign(message)))) {
    throw new Fault("malformed", `${what}: the public key is not that of the private key`);
  }
  const kid = await calculateJwkThumbprint(publicPart);
  return { kid, publicKey, publicJwk: { ...publicPart, kid, alg: "Ed25519", use: "sig" }, sign };
}

/** The public key of 32 raw bytes (RFC 8032), in base64url, that may have signed until `exp`. @throws Fault `malformed`. */
export async function importRetiredKey(x: string, exp: number, what: string): Promise<TrustedKey> {
  const { length } = decodeBase64url(x, what);
  if (length !== ED25519_KEY_BYTES) {
    throw new Fault("malformed", `${what}: not an Ed25519 public key`, {
      expected: `${ED25519_KEY_BYTES} bytes in base64url`,
      found: `${length} bytes`,
    });
  }
  return { kty: "OKP", crv: "Ed25519", x, kid: await thumbprintOf(x), alg: "Ed25519", use: "sig", exp };
}

/** The RFC 7638 thumbprint of an Ed25519 public key in base64url. */
export function thumbprintOf(x: string): Promise<string> {
  return calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
}

/** Whether a key was retired: what it has signed may be by somebody who got hold of it since. */
export function isRetired({ exp }: TrustedKey): boolean {
  return exp !== undefined;
}

async function importSigner(jwk: JWK, what: string): Promise<SigningKey["sign"]> {
  try {
    const key = (await importJWK(jwk, "Ed25519")) as CryptoKey;
    return async message => new Uint8Array(await crypto.subtle.sign("Ed25519", key, message as BufferSource));
  } catch {
    throw new Fault("malformed", `${what}: not a key that this platform can import`);
  }
}

/** A compact JWS, split and not yet verified. */
export interface Jws {
  readonly text: string;
  /** What is signed: everything before the last dot (RFC 7515 section 5.1). */
  readonly input: string;
  readonly signature: Uint8Array;
}

/** Cuts a compact JWS into signing input and signature. @throws Fault `malformed`. */
export function splitJws(text: string, what: string): Jws {
  const parts = text.split(".");
  if (parts.length !== 3) {
    throw new Fault("malformed", `${what}: not a compact JWS`, {
      expected: "three parts joined by dots",
      found: text,
    });
  }
  const signature = decodeBase64url(parts[2]!, `${what}: signature`);
  if (signature.length !== 64) {
    throw new Fault("malformed", `${what}: signature of a wrong length`, {
      expected: "64 bytes",
      found: `${signature.length} bytes`,
    });
  }
  return { text, input: `${parts[0]}.${parts[1]}`, signature };
}

const encoder = new TextEncoder();

/** Signs a signing input. Ed25519 is deterministic: the same input gives the same JWS. */
export async function signJws(input: string, key: SigningKey): Promise<string> {
  return `${input}.${encodeBase64url(await key.sign(encoder.encode(input)))}`;
}

/**
 * Verifies a JWS by the key that its header names, for a signature that claims to be of `time`.
 * @returns the key that signed.
 * @throws Fault `unknown-key`, `unsupported`, `key-not-valid` or `bad-signature`.
 */
export async function verifyJws(
  jws: Jws,
  header: { readonly alg: string; readonly kid: string },
  keys: readonly TrustedKey[],
  time: string,
  what: string,
): Promise<TrustedKey> {
  const key = keys.find(candidate => candidate.kid === header.kid);
  if (key === undefined) {
    throw new Fault("unknown-key", `${what}: signed by a key that you do not trust`, {
      expected: keys.map(candidate => candidate.kid).join(", ") || "no key at all is trusted",
      found: header.kid,
    });
  }
  checkAlgorithm(key, header.alg, what);
  checkValidity(key, time, what);
  if (!(await isSignedBy(key, jws, header.alg, what))) {
    throw new Fault("bad-signature", `${what}: the signature does not fit the bytes`, {
      expected: `a signature by ${header.kid}`,
    });
  }
  return key;
}

async function isSignedBy(key: TrustedKey, jws: Jws, alg: string, what: string): Promise<boolean> {
  const input = new TextEncoder().encode(jws.input);
  if (key.crv === "Ed25519") {
    return verifyEd25519(decodeBase64url(String(key.x), `${what}: public key`), input, jws.signature);
  }
  // What is left by now is ES256 (RFC 7518 section 3.4): r and s side by side, which is how WebCrypto takes them.
  try {
    const publicKey = (await importJWK(key, alg)) as CryptoKey;
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    return await crypto.subtle.verify(algorithm, publicKey, jws.signature as BufferSource, input);
  } catch (error) {
    throw new Fault("malformed", `${what}: not verifiable: ${(error as Error).message}`);
  }
}

function checkAlgorithm(key: TrustedKey, alg: string, what: string): void {
  const allowed = ALGORITHMS[`${key.kty}/${key.crv}`] ?? [];
  const declared = key.alg === undefined || key.alg === alg || allowed.includes(key.alg);
  if (!allowed.includes(alg) || !declared) {
    throw new Fault("unsupported", `${what}: an algorithm that its key may not be used with`, {
      expected: allowed.join(" or ") || "a key of kind OKP/Ed25519 or EC/P-256",
      found: alg,
    });
  }
}

function checkValidity(key: TrustedKey, time: string, what: string): void {
  const seconds = Date.parse(time) / 1000;
  // Written so that a time that is no time is outside of every window.
  if (!(seconds >= (key.nbf ?? -Infinity) && seconds < (key.exp ?? Infinity))) {
    throw new Fault("key-not-valid", `${what}: of a time at which its key was not valid`, {
      expected: `between ${formatSeconds(key.nbf)} and ${formatSeconds(key.exp)}`,
      found: time,
    });
  }
}

/** A time of `nbf` or `exp`, for people. */
export function formatSeconds(seconds: number | undefined): string {
  if (seconds === undefined) return "any time";
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} seconds` : date.toISOString();
}
