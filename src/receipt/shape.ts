// Reading foreign JSON: text in, a value of a known shape out, or a Fault that names the member.
import * as v from "valibot";
import { decodeBase64, decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { HASH_BYTES } from "../tlog/hash.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A moment as RFC 3339 in UTC with milliseconds: the spelling of Date.prototype.toISOString, and a real one. */
export const Time = v.pipe(v.string(), v.check(isTime, "expected a real time like 2026-11-21T05:22:22.453Z"));

/** A hash in base64url, in its one canonical encoding. */
export const Hash = v.pipe(v.string(), v.check(hashIn(decodeBase64url), "expected base64url of 32 bytes"));

/** A hash in standard base64, as checkpoints spell it. */
export const Root = v.pipe(v.string(), v.check(hashIn(decodeBase64), "expected base64 of 32 bytes"));

/** An index, a size, an epoch. */
export const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/**
 * Reads JSON that is signed. It must be spelled as JSON.stringify would spell it: then it has no repeated
 * member, and no two readers can see different things in it.
 * @throws Fault `malformed` that names `what`, the member, what was expected and what was found.
 */
export function readExactJson<S extends v.GenericSchema>(
  schema: S,
  text: string,
  what: string,
): v.InferOutput<S> {
  const json = parseJson(text, what);
  const value = checkShape(schema, json, what);
  const exact = JSON.stringify(json);
  if (exact === text) return value;
  throw new Fault("malformed", `${what}: not in the one accepted spelling`, { expected: exact, found: text });
}

/** Reads JSON text of a shape. @throws Fault `malformed`, as readExactJson does. */
export function readJson<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  return checkShape(schema, parseJson(text, what), what);
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("malformed", `${what}: not JSON`, { expected: "JSON", found: text });
  }
}

function checkShape<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const place = `${what}: ${v.getDotPath(issue) ?? "top level"}`;
  const expected = issue.expected ?? "a valid value";
  if (issue.received === "undefined")
    throw new Fault("malformed", `${place}: is not there`, { expected, found: "nothing" });
  throw new Fault("malformed", `${place}: ${issue.message}`, { expected, found: issue.received });
}

/** base64url of a text's UTF-8 bytes: how a JWS carries its header and payload. */
export function encodeText(text: string): string {
  return encodeBase64url(encoder.encode(text));
}

/** The text of a JWS part. @throws Fault `malformed` when it is not canonical base64url of UTF-8. */
export function decodeText(part: string, what: string): string {
  const bytes = decodeBase64url(part, what);
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Fault("malformed", `${what}: not UTF-8`, { expected: "UTF-8", found: part });
  }
}

function isTime(text: string): boolean {
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && time.toISOString() === text;
}

function hashIn(decode: (text: string) => Uint8Array): (text: string) => boolean {
  return text => {
    try {
      return decode(text).length === HASH_BYTES;
    } catch {
      return false;
    }
  };
}
