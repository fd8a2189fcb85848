// Extra fields: what a route picks out of a request and its response for the record, by the name of a header field or
// by a JSON pointer (RFC 6901) into a short body. What could not be looked at says so, because a field that is silently
// missing would read as one that was not there.
import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { encodeBase64url } from "../tlog/base64.ts";

/** The largest body that pointers look into, in bytes. */
const FIELD_BODY_BYTES_MAX = 64 * 1024;

/** The longest text that is kept as it is, in bytes as JSON spells it; a longer one is kept as its length and hash. */
const VALUE_BYTES_MAX = 128;

/** The message that a field is in. */
export type Side = "request" | "response";

const encoder = new TextEncoder();

/** A scalar of JSON, or why there may be one that was not seen. */
export type FieldValue = string | number | boolean | null | { readonly unread: string };

/** Field names that hold credentials: no route may pick them. */
const CREDENTIALS =
  /^((proxy-)?authorization|(set-)?cookie2?|x-api-key|api-key|x-auth-token|x-csrf-token|x-amz-security-token|cf-access-jwt-assertion|cf-access-client-secret|signature(-input)?|client-cert(-chain)?|cf-client-cert-.*)$/;

/** Field names that hold what is private by default: they may be picked only as private ones. */
const PERSONAL =
  /^(user-agent|referer|forwarded|x-forwarded-.*|x-real-ip|true-client-ip|cf-connecting-ip(v6)?|x-client-ip|from)$/;

const HeaderName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "expected a lower-case field name"),
  v.check(name => !CREDENTIALS.test(name), "expected a field that holds no credentials"),
);

const Pointer = v.pipe(
  v.string(),
  v.maxLength(256, "expected a JSON pointer of at most 256 characters"),
  v.regex(
    /^(\/([^/~]|~[01])*){1,16}$/,
    "expected a JSON pointer (RFC 6901) of at most 16 steps, like /params/name",
  ),
);

/** Where a field's value is. */
const FieldSchema = v.pipe(
  v.strictObject({
    from: v.picklist(["request", "response"]),
    header: v.optional(HeaderName),
    pointer: v.optional(Pointer),
    private: v.optional(v.boolean(), false),
  }),
  v.check(
    ({ header, pointer }) => (header === undefined) !== (pointer === undefined),
    "expected either header or pointer",
  ),
  v.check(
    field => field.private || field.header === undefined || !PERSONAL.test(field.header),
    "expected private = true, because the field tells who calls",
  ),
);

const FieldName = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9_]{0,31}$/, "expected a name of a-z, 0-9 and _, of at most 32 characters"),
);

/** What a route's records tell besides, by the names there. */
export const FieldsSchema = v.pipe(
  v.record(FieldName, FieldSchema),
  v.check(fields => Object.keys(fields).length <= 16, "expected at most 16 fields"),
);

export type FieldRule = v.InferOutput<typeof FieldSchema>;
type FieldRules = Readonly<Record<string, FieldRule>>;

/** The fields that are in the header of a message. */
export function pickHeaders(rules: FieldRules, from: Side, headers: Headers): Record<string, FieldValue> {
  const picked: Record<string, FieldValue> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const value = rule.from === from && rule.header !== undefined ? headers.get(rule.header) : null;
    if (value !== null) picked[name] = value;
  }
  return picked;
}

/**
 * The fields that are in the body of a message.
 * @param body all of it, or undefined when it is not held whole.
 */
export function pickMembers(
  rules: FieldRules,
  from: Side,
  headers: Headers,
  body: Uint8Array | undefined,
): Record<string, FieldValue> {
  const pointers = Object.entries(rules).filter(
    ([, rule]) => rule.from === from && rule.pointer !== undefined,
  );
  if (pointers.length === 0 || body?.length === 0) return {};
  const read = readBody(headers, body);
  const picked: Record<string, FieldValue> = {};
  for (const [name, rule] of pointers) {
    const value = "unread" in read ? read : pointTo(read.json, rule.pointer!);
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/** Values as a record may hold them in the clear. @param bytesMax what a text may have there, if that is less than usual. */
export function fitFields(
  values: Readonly<Record<string, FieldValue>>,
  bytesMax: number,
): Record<string, unknown> {
  const most = Math.min(bytesMax, VALUE_BYTES_MAX);
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fitField(value, most)]));
}

function fitField(value: FieldValue, bytesMax: number): unknown {
  if (typeof value !== "string") return value;
  const quoted = value.length > bytesMax ? undefined : encoder.encode(JSON.stringify(value));
  if (quoted !== undefined && quoted.length <= bytesMax + '""'.length) return value;
  const bytes = encoder.encode(value);
  return { length: bytes.length, sha256: encodeBase64url(sha256(bytes)) };
}

function readBody(headers: Headers, body: Uint8Array | undefined): { json: unknown } | { unread: string } {
  if (body === undefined) return { unread: "the body was not held whole" };
  if (body.length > FIELD_BODY_BYTES_MAX) return { unread: "the body is too long" };
  if ((headers.get("content-encoding") ?? "identity") !== "identity")
    return { unread: "the body is encoded" };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    const json: unknown = JSON.parse(text);
    // Servers differ in which of two members of one name they take; the record must not settle on one.
    return namesTwice(text) ? { unread: "a member is there twice" } : { json };
  } catch {
    return { unread: "the body is not JSON" };
  }
}

/** Whether some object of a JSON text has two members of one name. */
function namesTwice(json: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  let text = "";
  for (const [token] of json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (token !== ":") text = token;
    else {
      const name = JSON.parse(text) as string;
      const names = open.at(-1)!;
      if (names.has(name)) return true;
      names.add(name);
    }
  }
  return false;
}

/** The scalar that a pointer leads to; undefined when there is none. */
function pointTo(json: unknown, pointer: string): FieldValue | undefined {
  let value = json;
  for (const token of pointer.slice(1).split("/")) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    const isIndex = !Array.isArray(value) || /^(0|[1-9]\d*)$/.test(name);
    if (typeof value !== "object" || value === null || !isIndex || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  if (typeof value === "number") {
    return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : { unread: "the number is too large" };
  }
  return value === null || typeof value === "string" || typeof value === "boolean" ? value : undefined;
}
