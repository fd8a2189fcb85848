// Reading foreign JSON: text in, a value of a known shape out, or a Fault that names the member.
import * as v from "valibot";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads JSON text of a shape.
 * @throws Fault `malformed` that names `what`, the member, what was expected and what was found.
 */
export function readJson<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault("malformed", `${what}: not JSON`, { expected: "JSON", found: text });
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new Fault("malformed", `${what}: ${v.getDotPath(issue) ?? "top level"}: ${issue.message}`, {
    expected: issue.expected ?? "a valid value",
    found: issue.received,
  });
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
