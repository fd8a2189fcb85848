// The three hashes of a transparency log (RFC 6962 section 2.1): of an entry, of two subtrees, of nothing.
// A leaf and a node can never be taken for one another, because each hash starts with its own byte.
import { sha256 } from "@noble/hashes/sha2.js";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { Fault } from "./fault.ts";

/** A SHA-256 value: 32 bytes, never changed once made. */
export type Hash = Uint8Array;

export const HASH_BYTES = 32;

/** A platform's own SHA-256, where it is faster than what works everywhere. */
export type Sha256 = (bytes: Uint8Array) => Hash;

// Node hashes are made one after another and by the million: one buffer serves them all. Nothing can
// come between filling it and hashing it, because this is synchronous.
const node = new Uint8Array(1 + 2 * HASH_BYTES);
node[0] = 0x01;

// As long as most entries are; a longer one gets a buffer of its own.
const leaf = new Uint8Array(8192);

/** SHA-256(0x00 || entry), the hash of one entry of any length (RFC 6962 section 2.1). */
export function leafHash(entry: Uint8Array, hash: Sha256 = sha256): Hash {
  const input =
    entry.length < leaf.length ? leaf.subarray(0, 1 + entry.length) : new Uint8Array(1 + entry.length);
  input.set(entry, 1);
  return hash(input);
}

/**
 * SHA-256(0x01 || left || right), the hash of two adjacent subtrees (RFC 6962 section 2.1).
 * @throws Fault `malformed` when either is not 32 bytes.
 */
export function nodeHash(left: Hash, right: Hash): Hash {
  // A short hash would leave bytes of an earlier one in the buffer.
  requireHash(left, "left subtree");
  requireHash(right, "right subtree");
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
}

/**
 * SHA-256 of nothing, the root of the tree without entries (RFC 6962 section 2.1).
 * @example
 * import { emptyFrontier, emptyRoot, equalBytes, rootOf } from "counterfoil/tlog";
 *
 * console.log(equalBytes(rootOf(emptyFrontier()), emptyRoot())); // true
 */
export function emptyRoot(): Hash {
  return sha256(new Uint8Array(0));
}

/** Whether two byte strings are the same. Not in constant time: nothing in a log is secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) {
    if (a[at] !== b[at]) return false;
  }
  return true;
}

/** @throws Fault `malformed` unless `hash` is 32 bytes; `what` names it. */
export function requireHash(hash: Hash, what: string): void {
  if (hash.length === HASH_BYTES) return;
  throw new Fault("malformed", `${what}: not a SHA-256 hash`, {
    expected: `${HASH_BYTES} bytes`,
    found: `${hash.length} bytes`,
  });
}

/**
 * Reads a hash from the standard base64 that every C2SP text format writes it in.
 * @throws Fault `malformed` unless `text` is the canonical base64 of 32 bytes.
 */
export function parseHash(text: string, what: string): Hash {
  const hash = decodeBase64(text, what);
  requireHash(hash, what);
  return hash;
}

/** The standard base64 of a hash. @throws Fault `malformed` unless it is 32 bytes. */
export function formatHash(hash: Hash, what: string): string {
  requireHash(hash, what);
  return encodeBase64(hash);
}
