// Ed25519 signatures (RFC 8032 section 5.1), checked by the platform's WebCrypto. Whatever bytes come in,
// the answer is yes or no; only a platform without Ed25519 is a Fault, so that it cannot pass for forgery.
import { encodeBase64 } from "./base64.ts";
import { Fault } from "./fault.ts";

export const ED25519_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

/**
 * Every encoding of a point of small order, without its sign bit, in base64. Such a point as key or in a
 * signature fits many messages; some platforms refuse it and others do not, so it is refused here.
 */
const SMALL_ORDER = new Set([
  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU=",
  "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o=",
  "7P///////////////////////////////////////38=",
  "7f///////////////////////////////////////38=",
  "7v///////////////////////////////////////38=",
]);

/**
 * Whether `signature` (64 bytes) is that of the raw `publicKey` (32 bytes) over `message`. False also
 * for a key or signature that is none, or of small order.
 * @throws Fault `unsupported` when this platform has no Ed25519.
 */
export async function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (publicKey.length !== ED25519_KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
  if (isSmallOrder(publicKey) || isSmallOrder(signature.subarray(0, ED25519_KEY_BYTES))) return false;
  try {
    // WebCrypto does not take views of shared memory, so it gets copies.
    const key = await crypto.subtle.importKey("raw", new Uint8Array(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, new Uint8Array(signature), new Uint8Array(message));
  } catch (error) {
    if (error instanceof Error && error.name === "NotSupportedError") {
      throw new Fault("unsupported", "Ed25519: this platform's WebCrypto does not have it");
    }
    // Bytes that are not a point of the curve: no signature can be by such a key.
    return false;
  }
}

function isSmallOrder(point: Uint8Array): boolean {
  const last = ED25519_KEY_BYTES - 1;
  return SMALL_ORDER.has(encodeBase64(point.with(last, point[last]! % 128)));
}
