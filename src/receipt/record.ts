// The record: what happened in one exchange, as JSON that is also a valid JWT claims set.
// A record is at most 4 KiB, so that a receipt always fits in a response header, and it is formatted
// once: its bytes are what is hashed, signed and stored, and nobody re-encodes them later.

import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { readExactJson, Time } from "./shape.ts";

/** The largest record, in bytes of UTF-8. */
export const RECORD_BYTES_MAX = 4096;

/** The largest text value kept as it is, in bytes of UTF-8; a longer one is kept as its length and hash. */
export const TEXT_BYTES_MAX = 512;

/** The stages that end an exchange; each exchange has exactly one of them. */
export const FINAL_STAGES = ["complete", "aborted", "failed", "rejected"] as const;

export const STAGES = ["received", "started", ...FINAL_STAGES, "interim", "control"] as const;
export type Stage = (typeof STAGES)[number];

export function isFinal(stage: string): boolean {
  return (FINAL_STAGES as readonly string[]).includes(stage);
}

/**
 * What one exchange has one record of: a stage, or for `interim` one of many. It is what an append is
 * idempotent by, together with the `jti`.
 */
export function formatStep({ stage, seq }: Pick<AuditRecord, "stage" | "seq">): string {
  return stage === "interim" ? `interim/${seq}` : stage;
}

const Text = v.union([v.string(), v.object({ length: v.number(), sha256: v.string() })]);

/** A text value, or (when it was too long for a record) its length in bytes and base64url SHA-256. */
export type Text = v.InferOutput<typeof Text>;

const ControlSchema = v.looseObject({ type: v.string() });

/** What a ledger says of its own history; `type` says what of. */
export type Control = v.InferOutput<typeof ControlSchema>;

const Messages = v.looseObject({
  messages: v.number(),
  size: v.optional(v.number()),
  digest: v.optional(v.string()),
});

/** The messages of one direction of a WebSocket: how many, their bytes in all, and their running digest. */
export type Messages = v.InferOutput<typeof Messages>;

const SocketRecord = v.looseObject({
  up: Messages,
  down: Messages,
  close: v.optional(v.looseObject({ by: v.string(), code: v.optional(v.number()) })),
});

/** What has passed over a WebSocket, and who closed it first. */
export type SocketRecord = v.InferOutput<typeof SocketRecord>;

const Attempt = v.looseObject({
  status: v.optional(v.number()),
  error: v.optional(v.string()),
  ms: v.number(),
});

/** One of several calls of the upstream: the status it answered with, or why there was none. */
export type Attempt = v.InferOutput<typeof Attempt>;

const RecordSchema = v.looseObject({
  iss: v.string(),
  jti: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  iat: v.pipe(v.number(), v.safeInteger()),
  time: Time,
  stage: v.picklist(STAGES),
  seq: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
  ms: v.optional(v.number()),
  route: v.optional(v.string()),
  upstream: v.optional(v.string()),
  policy: v.optional(v.string()),
  req: v.optional(
    v.looseObject({
      method: v.optional(Text),
      host: v.optional(Text),
      path: v.optional(Text),
      size: v.optional(v.number()),
      digest: v.optional(v.string()),
    }),
  ),
  res: v.optional(
    v.looseObject({
      status: v.optional(v.number()),
      size: v.optional(v.number()),
      digest: v.optional(v.string()),
      digest_so_far: v.optional(v.string()),
    }),
  ),
  ws: v.optional(SocketRecord),
  attempts: v.optional(v.array(Attempt)),
  auth: v.optional(v.looseObject({ by: v.string(), iss: v.optional(v.string()) })),
  error: v.optional(v.string()),
  /** What the route picked out of header fields and bodies. */
  fields: v.optional(v.record(v.string(), v.unknown())),
  trace: v.optional(
    v.looseObject({
      traceparent: v.string(),
      parent: v.optional(v.string()),
      trusted: v.optional(v.boolean()),
    }),
  ),
  /** The members of this record that are in `_sd` instead. */
  private: v.optional(v.array(v.string())),
  control: v.optional(ControlSchema),
  _sd_alg: v.optional(v.string()),
  _sd: v.optional(v.array(v.string())),
});

/**
 * What happened in an exchange. `time` is the edge's clock (RFC 3339, milliseconds), `iat` the same in
 * seconds (RFC 7519 section 4.1.6), `ms` the time the exchange took, sizes are bytes, digests are RFC 9530
 * Content-Digest values of the bytes that crossed the edge. `seq` counts the interim records of an exchange from 1.
 * Members not named here are kept.
 */
export type AuditRecord = v.InferOutput<typeof RecordSchema>;

const encoder = new TextEncoder();

/**
 * The bytes of a record, as text.
 * @throws Fault `too-large` when it would exceed RECORD_BYTES_MAX.
 */
export function formatRecord(record: AuditRecord): string {
  const text = JSON.stringify(record);
  checkSize(text);
  return text;
}

/** The bytes of a record, as text; undefined when it would exceed RECORD_BYTES_MAX. */
export function formatSmallRecord(record: AuditRecord): string | undefined {
  const text = JSON.stringify(record);
  return hasBytesAtMost(RECORD_BYTES_MAX, text) ? text : undefined;
}

/** The record of something in a ledger's own history. @param ms when it was made, in milliseconds of Unix time. */
export function formatControl(iss: string, jti: string, ms: number, control: Control): string {
  const time = new Date(ms).toISOString();
  return formatRecord({ iss, jti, iat: Math.floor(ms / 1000), time, stage: "control", control });
}

/**
 * Reads a record; unknown members are kept.
 * @throws Fault `malformed` naming the member, or `too-large`.
 */
export function parseRecord(text: string): AuditRecord {
  checkSize(text);
  const record = readExactJson(RecordSchema, text, "record");
  if (record._sd_alg !== undefined && record._sd_alg !== "sha-256") {
    throw new Fault("unsupported", "record: private fields under a hash that is not accepted", {
      expected: "sha-256",
      found: record._sd_alg,
    });
  }
  if (record.stage === "interim" && record.seq === undefined) {
    throw new Fault("malformed", "record: seq: an interim record says which one of its exchange it is", {
      expected: "a number from 1",
      found: "none",
    });
  }
  if (new Set(record._sd).size !== (record._sd?.length ?? 0)) {
    throw new Fault("malformed", "record: the same private field twice (RFC 9901 section 7.1)");
  }
  return record;
}

/** A text as a record may hold it: itself, or its length and hash when it is longer than it may be there. */
export function fitText(text: string, bytesMax = TEXT_BYTES_MAX): Text {
  if (hasBytesAtMost(bytesMax, text)) return text;
  const bytes = encoder.encode(text);
  return { length: bytes.length, sha256: encodeBase64url(sha256(bytes)) };
}

/** A text in the form in which a record holds another: to compare them. */
export function fitLike(recorded: Text, text: string): Text {
  return fitText(text, typeof recorded === "string" ? Number.POSITIVE_INFINITY : -1);
}

/** Whether a text has no more bytes than these, in UTF-8. */
function hasBytesAtMost(bytesMax: number, text: string): boolean {
  // A UTF-16 unit is at most three bytes, so most texts need not be encoded to be measured.
  return text.length * 3 <= bytesMax || encoder.encode(text).length <= bytesMax;
}

function checkSize(text: string): void {
  if (hasBytesAtMost(RECORD_BYTES_MAX, text)) return;
  throw new Fault("too-large", "record: larger than a record may be", {
    expected: `at most ${RECORD_BYTES_MAX} bytes`,
    found: `${encoder.encode(text).length} bytes`,
  });
}
