// Base64 (RFC 4648 sections 4 and 5), strict: every byte string has exactly one accepted encoding.
// A lenient decoder would let two different texts carry one signature, so a receipt could be altered
// without anything noticing.
import { Fault } from "./fault.ts";

/** Bytes on a platform that encodes by itself (ECMAScript 2026), in a small part of the time that this file takes. */
interface NativeBytes {
  toBase64?(options?: { alphabet: "base64url"; omitPadding: true }): string;
}

/** Standard base64 with padding (RFC 4648 section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  return (bytes as NativeBytes).toBase64?.() ?? btoa(binaryOf(bytes));
}

/** base64url without padding (RFC 4648 section 5, as RFC 7515 uses it). */
export function encodeBase64url(bytes: Uint8Array): string {
  const native = (bytes as NativeBytes).toBase64?.({ alphabet: "base64url", omitPadding: true });
  return native ?? btoa(binaryOf(bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * Decodes standard base64.
 * @throws Fault `malformed` unless `text` is the one canonical encoding of its bytes.
 */
export function decodeBase64(text: string, what = "base64"): Uint8Array {
  const bytes = decodeLeniently(text);
  if (bytes !== undefined && encodeBase64(bytes) === text) return bytes;
  throw new Fault("malformed", `${what}: not canonical base64`, {
    expected: "canonical base64",
    found: text,
  });
}

/**
 * Decodes base64url without padding.
 * @throws Fault `malformed` unless `text` is the one canonical encoding of its bytes.
 */
export function decodeBase64url(text: string, what = "base64url"): Uint8Array {
  const bytes = decodeLeniently(text.replaceAll("-", "+").replaceAll("_", "/"));
  if (bytes !== undefined && encodeBase64url(bytes) === text) return bytes;
  throw new Fault("malformed", `${what}: not canonical base64url`, {
    expected: "canonical base64url without padding",
    found: text,
  });
}

/** A text with one character for each byte. */
function binaryOf(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at++) binary += String.fromCharCode(bytes[at]!);
  return binary;
}

/** The bytes that the platform reads from a text, whatever it forgives. */
function decodeLeniently(text: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  // A plain loop: Uint8Array.from with a function takes many times as long.
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
