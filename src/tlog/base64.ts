// Base64 (RFC 4648 sections 4 and 5), strict: every byte string has exactly one accepted encoding.
// A lenient decoder would let two different texts carry one signature, so a receipt could be altered
// without anything noticing.
import { Fault } from "./fault.ts";

/** Standard base64 with padding (RFC 4648 section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  // In slices, because spreading a large array overflows the argument stack.
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(binary);
}

/** base64url without padding (RFC 4648 section 5, as RFC 7515 uses it). */
export function encodeBase64url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * Decodes standard base64.
 * @throws Fault `malformed` unless `text` is the one canonical encoding of its bytes.
 */
export function decodeBase64(text: string, what = "base64"): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
  } catch {
    // reported below, with the name of what was being read
  }
  if (bytes === undefined || encodeBase64(bytes) !== text) {
    throw new Fault("malformed", `${what}: not canonical base64`, {
      expected: "canonical base64",
      found: text,
    });
  }
  return bytes;
}

/**
 * Decodes base64url without padding.
 * @throws Fault `malformed` unless `text` is the one canonical encoding of its bytes.
 */
export function decodeBase64url(text: string, what = "base64url"): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0));
  } catch {
    // reported below
  }
  if (bytes === undefined || encodeBase64url(bytes) !== text) {
    throw new Fault("malformed", `${what}: not canonical base64url`, {
      expected: "canonical base64url without padding",
      found: text,
    });
  }
  return bytes;
}
