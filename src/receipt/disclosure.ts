// Private fields: committed to in a record as SD-JWT digests, opened one at a time (RFC 9901).
// Nothing about a private value enters the ledger but the SHA-256 of the value with a 128-bit salt, and
// the salt follows from a random seed that only the caller and the operator's erasable store hold.
import { sha256 } from "@noble/hashes/sha2.js";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { readErased } from "./control.ts";
import type { Entry } from "./entry.ts";
import type { AuditRecord } from "./record.ts";

/** The length of a seed and of a salt, in bytes. */
export const SEED_BYTES = 16;

/** The values of an exchange that are private unless a route says otherwise. */
export const PRIVATE_FIELDS = ["sub", "client_address", "user_agent", "query"] as const;

/** The members of a record that a route may make private, by the names that they then have as private fields. */
export const PRIVATE_CHOICES = [
  ...(["req.method", "req.host", "req.path", "req.size", "req.digest"] as const),
  ...(["res.status", "res.size", "res.digest"] as const),
] as const;
export type PrivateChoice = (typeof PRIVATE_CHOICES)[number];

/** A private field, opened. */
export interface Disclosed {
  readonly name: string;
  readonly value: unknown;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The members that commit a record to private fields. The digests are sorted, so their order says nothing
 * (RFC 9901 section 4.2.4.1). An absent value is given as null and committed to all the same: then the number of
 * digests says nothing either, and its absence can be proven.
 */
export function commitFields(
  seed: Uint8Array,
  fields: Readonly<Record<string, unknown>>,
): { _sd_alg: "sha-256"; _sd: string[] } {
  const digests = Object.entries(fields).map(([name, value]) =>
    digestDisclosure(disclose(seed, name, value)),
  );
  return { _sd_alg: "sha-256", _sd: digests.sort() };
}

/**
 * The disclosure of one field (RFC 9901 section 4.2.1): base64url of `[salt, name, value]`.
 * @param value what the exchange had there; null says that it had none.
 * @throws nothing: whether the record did commit to this, whoever opens it finds out.
 * @see RFC 9901 section 4.2.1
 * @example
 * import { disclose, parseSeed } from "counterfoil";
 *
 * const { headers } = await fetch("https://api.example.com/v1/orders?page=2");
 * const disclosure = disclose(parseSeed(headers.get("audit-receipt-seed")), "query", "page=2");
 * console.log(disclosure.length); // 58
 */
export function disclose(seed: Uint8Array, name: string, value: unknown): string {
  return encodeBase64url(encoder.encode(JSON.stringify([saltOf(seed, name), name, value])));
}

/** The digest of a disclosure (RFC 9901 section 4.2.3): base64url SHA-256 of its ASCII text. */
export function digestDisclosure(disclosure: string): string {
  return encodeBase64url(sha256(encoder.encode(disclosure)));
}

/**
 * Opens a field of a record. What the record did commit to opens for ever, for whoever has kept it.
 * @param disclosure undefined when nobody has it any more.
 * @param erasure the entry of a control record that the caller has verified, from the record's own ledger.
 * @throws Fault `malformed`; `erased` when there is nothing that opens it and the erasure tells why; else `missing`,
 * or `not-disclosed` when the record did not commit to exactly this.
 * @see RFC 9901 section 7.1
 * @example
 * import { disclose } from "counterfoil";
 * import { openDisclosure, parseReceipt, parseSeed } from "counterfoil/verify";
 *
 * const { headers } = await fetch("https://api.example.com/v1/orders?page=2");
 * const { record } = parseReceipt(headers.get("audit-receipt")).entry; // verify it first
 * const disclosure = disclose(parseSeed(headers.get("audit-receipt-seed")), "query", "page=2");
 * console.log(openDisclosure(record, disclosure).value); // page=2
 */
export function openDisclosure(
  record: AuditRecord,
  disclosure: string | undefined,
  erasure?: Pick<Entry, "header" | "record">,
): Disclosed {
  const isErased = erasure !== undefined && readErased(erasure).includes(record.jti);
  try {
    if (disclosure !== undefined) return openGiven(record, disclosure);
    throw new Fault("missing", "there is no disclosure to open", { expected: "a disclosure of the field" });
  } catch (error) {
    if (!isErased || !(error instanceof Fault) || error.code === "malformed") throw error;
    throw new Fault("erased", `the private values of exchange ${record.jti} were erased`, {
      found: `an erasure, told by entry ${erasure.header.index}`,
      index: erasure.header.index,
    });
  }
}

function openGiven(record: AuditRecord, disclosure: string): Disclosed {
  const parsed = parseDisclosure(disclosure);
  if (["_sd", "_sd_alg", "..."].includes(parsed.name) || Object.hasOwn(record, parsed.name)) {
    throw new Fault("malformed", `disclosure of "${parsed.name}": would replace a member of the record`, {
      expected: "the name of a private field (RFC 9901 section 7.1)",
      found: parsed.name,
    });
  }
  const digest = digestDisclosure(disclosure);
  if (!record._sd?.includes(digest)) {
    throw new Fault("not-disclosed", `disclosure of "${parsed.name}": opens no digest of this record`, {
      expected: record._sd?.join(", ") ?? "a record with private fields",
      found: digest,
    });
  }
  return parsed;
}

/** Whether a record committed to this value of a field, for whoever holds the seed. */
export function matchesField(record: AuditRecord, seed: Uint8Array, name: string, value: unknown): boolean {
  return record._sd?.includes(digestDisclosure(disclose(seed, name, value))) ?? false;
}

/**
 * Reads a seed as it stands in `Audit-Receipt-Seed`.
 * @throws Fault `malformed`.
 * @returns its 16 bytes.
 * @see docs/format.md "Private fields"
 * @example
 * import { parseSeed } from "counterfoil";
 *
 * const { headers } = await fetch("https://api.example.com/v1/orders/7");
 * console.log(parseSeed(headers.get("audit-receipt-seed")).length); // 16
 */
export function parseSeed(text: string): Uint8Array {
  const seed = decodeBase64url(text, "seed");
  if (seed.length !== SEED_BYTES) {
    throw new Fault("malformed", "seed: of a wrong length", {
      expected: `${SEED_BYTES} bytes`,
      found: `${seed.length} bytes`,
    });
  }
  return seed;
}

/** SHA-256(seed || field name), cut to 128 bits, as base64url. */
function saltOf(seed: Uint8Array, name: string): string {
  const nameBytes = encoder.encode(name);
  const input = new Uint8Array(seed.length + nameBytes.length);
  input.set(seed);
  input.set(nameBytes, seed.length);
  return encodeBase64url(sha256(input).subarray(0, SEED_BYTES));
}

/** Reads a disclosure, which may open nothing. @throws Fault `malformed`. */
export function parseDisclosure(disclosure: string): Disclosed {
  let parts: unknown;
  try {
    parts = JSON.parse(decoder.decode(decodeBase64url(disclosure, "disclosure")));
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("malformed", "disclosure: not UTF-8 JSON", { expected: "[salt, name, value]" });
  }
  if (
    !Array.isArray(parts) ||
    parts.length !== 3 ||
    typeof parts[0] !== "string" ||
    typeof parts[1] !== "string"
  ) {
    throw new Fault("malformed", "disclosure: not an array of salt, name and value", {
      expected: "[salt, name, value]",
    });
  }
  if (decodeBase64url(parts[0], "disclosure: salt").length < SEED_BYTES) {
    throw new Fault("malformed", "disclosure: salt too short to hide a value", {
      expected: "at least 128 bits",
    });
  }
  return { name: parts[1], value: parts[2] };
}
