// API keys. The policy holds a salted hash of each and never a key. The hash is a fast one, so a key must have
// at least 128 bits of entropy: a random one, never a chosen one.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as v from "valibot";
import { FieldName, type Finding, readCredential } from "./credential.ts";

/** A longer credential is not looked at. */
const KEY_CHARACTERS_MAX = 512;

/** A text of one form that is not repeated in the message when it is wrong: somebody may have put a key there. */
function secretive(pattern: RegExp, message: string) {
  return v.pipe(
    v.string(),
    v.rawCheck(({ dataset, addIssue }) => {
      if (dataset.typed && !pattern.test(dataset.value)) addIssue({ message, received: "something else" });
    }),
  );
}

export const ApiKeySchema = v.strictObject({
  by: v.literal("api-key"),
  header: v.optional(FieldName, "x-api-key"),
  /** Whether the key is kept from the upstream. */
  strip: v.optional(v.boolean(), false),
  keys: v.pipe(
    v.array(
      v.strictObject({
        /** Names the caller; private. */
        id: v.pipe(v.string(), v.regex(/^[\w.@-]{1,64}$/, "expected 1 to 64 letters, digits, _, ., @ and -")),
        salt: secretive(/^[\w-]{22,64}$/, "expected 22 to 64 characters of base64url, at random"),
        sha256: secretive(/^[0-9a-f]{64}$/, "expected the SHA-256 of salt and key in lower-case hex"),
      }),
    ),
    v.minLength(1, "expected at least one key"),
    v.maxLength(100, "expected at most 100 keys"),
    v.check(
      keys => new Set(keys.map(({ id }) => id)).size === keys.length,
      "expected every id to be there once",
    ),
  ),
});

export type ApiKeyRule = v.InferOutput<typeof ApiKeySchema>;

/** What the policy keeps of a key: the SHA-256, in hex, of the salt's text and then the key's. */
export function hashApiKey(salt: string, key: string): string {
  return bytesToHex(sha256(new TextEncoder().encode(salt + key)));
}

/** @returns undefined when the request carries no API key. */
export function checkApiKey(rule: ApiKeyRule, headers: Headers): Finding | undefined {
  const key = readCredential(headers, rule.header);
  if (key === undefined) return undefined;
  if (key === "" || key.length > KEY_CHARACTERS_MAX)
    return { is: "invalid", why: "the API key is malformed" };
  // All of them are compared, and in full: how long it takes says nothing about any.
  let subject: string | undefined;
  for (const { id, salt, sha256 } of rule.keys) {
    if (equalInConstantTime(hashApiKey(salt, key), sha256)) subject = id;
  }
  return subject === undefined
    ? { is: "invalid", why: "the API key is not known" }
    : { is: "valid", subject };
}

/** Whether two texts of the same length are the same. */
function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
