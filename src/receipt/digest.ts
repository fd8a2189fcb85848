// Content digests (RFC 9530): `sha-256=:<base64>:`, a byte sequence in a dictionary (RFC 9651).
import { sha256 } from "@noble/hashes/sha2.js";
import { encodeBase64 } from "../tlog/base64.ts";

/** The Content-Digest value of a SHA-256 hash. */
export function formatDigest(hash: Uint8Array): string {
  return `sha-256=:${encodeBase64(hash)}:`;
}

/** A body: its bytes, or the Content-Digest value of one that was not kept. */
export type Body = Uint8Array | { readonly digest: string };

/** The Content-Digest value of a body. */
export function digestOf(body: Body): string {
  return "digest" in body ? body.digest : formatDigest(sha256(body));
}
