// The anchor: one immutable object per epoch that pins the root of every ledger, chained to the anchor
// before it. It is a compact JWS of type `audit-anchor+jwt`, signed by a key that signs nothing else.
import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { decodeBase64, encodeBase64, encodeBase64url } from "../tlog/base64.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { parseNote } from "../tlog/note.ts";
import { type SigningKey, signJws, splitJws, type TrustedKey, verifyJws } from "./key.ts";
import { Count, decodeText, encodeText, Hash, Root, readExactJson, Time } from "./shape.ts";

const ANCHOR_TYPE = "audit-anchor+jwt";

/** The largest anchor object, in bytes. */
const ANCHOR_BYTES_MAX = 4 * 1024 * 1024;

const PinSchema = v.looseObject({
  origin: v.pipe(v.string(), v.minLength(1)),
  size: Count,
  /** Standard base64, as in the checkpoint. */
  root: Root,
  /** The chain head: base64url of the leaf hash of entry `size - 1`. */
  head: Hash,
  /** The signed checkpoint, with its cosignatures. */
  checkpoint: v.string(),
});

const LockSchema = v.looseObject({ kind: v.string() });

const RefusedSchema = v.looseObject({
  origin: v.pipe(v.string(), v.minLength(1)),
  /** The code of the Fault, as far as the reader knows it. */
  code: v.string(),
  reason: v.string(),
});

const PayloadSchema = v.looseObject({
  v: v.number(),
  iss: v.string(),
  epoch: Count,
  time: Time,
  /** base64url SHA-256 of the previous anchor object's bytes; 32 zero bytes for epoch 0. */
  prev: Hash,
  ledgers: v.array(PinSchema),
  /** The ledgers that contradicted what was anchored of them: they keep their last pin, if they had one. */
  refused: v.optional(v.array(RefusedSchema)),
  /** The evidence of the lock that was in force when this was written. */
  lock: LockSchema,
  /** The same of the other stores that get every anchor. */
  copies: v.optional(v.array(LockSchema)),
  /** An RFC 3161 token in standard base64, over the payload as it is without this, its last member. */
  timestamp: v.optional(v.strictObject({ token: v.string() })),
});

const HeaderSchema = v.strictObject({
  alg: v.string(),
  kid: v.string(),
  typ: v.literal(ANCHOR_TYPE),
});

/** One ledger, as an anchor pins it. */
export type Pin = v.InferOutput<typeof PinSchema>;
/** A ledger that an anchor does not vouch for any more, and why. */
export type Refused = v.InferOutput<typeof RefusedSchema>;
export type AnchorPayload = v.InferOutput<typeof PayloadSchema>;

export interface Anchor {
  readonly text: string;
  readonly payload: AnchorPayload;
  /** The key that signed it. */
  readonly key: TrustedKey;
  /** base64url SHA-256 of the object's bytes: the next anchor's `prev`. */
  readonly digest: string;
  /** The timestamp token, not verified yet, and the SHA-256 that it must be of. */
  readonly timestamp?: { readonly token: Uint8Array; readonly imprint: Uint8Array };
}

/** `prev` of epoch 0. */
export const FIRST_ANCHOR_PREV = encodeBase64url(new Uint8Array(32));

const encoder = new TextEncoder();

/** Where the anchor of an epoch lies, below the anchor store and below the reserved prefix alike. */
export function formatAnchorPath(epoch: number): string {
  return `anchors/${String(epoch).padStart(10, "0")}.jws`;
}

/** The SHA-256 that a timestamp of an anchor is of: of the payload's JSON, before the timestamp is part of it. */
export function imprintAnchor(payload: AnchorPayload): Uint8Array {
  return sha256(encoder.encode(JSON.stringify(payload)));
}

/** Nobody's clock is more exact than that, with the time that a token takes, in ms. */
const TIMESTAMP_OFF_MS = 5 * 60_000;

/**
 * How a timestamp stands to the time that its anchor claims: so much `later` that the anchor may be dated back, or
 * `earlier` than that time had come; undefined when clocks explain it. Neither contradicts anything.
 * @param anchored the time of the anchor, and `stamped` that of the authority, RFC 3339.
 */
export function compareTimestamp(anchored: string, stamped: string): "later" | "earlier" | undefined {
  const ms = Date.parse(stamped) - Date.parse(anchored);
  if (Math.abs(ms) <= TIMESTAMP_OFF_MS) return undefined;
  return ms > 0 ? "later" : "earlier";
}

/** Signs an anchor. The same payload and key always give the same bytes. */
export function issueAnchor(payload: AnchorPayload, key: SigningKey): Promise<string> {
  const header = JSON.stringify({ alg: "Ed25519", kid: key.kid, typ: ANCHOR_TYPE });
  const input = `${encodeText(header)}.${encodeText(JSON.stringify(payload))}`;
  return signJws(input, key);
}

/**
 * Reads an anchor and verifies its signature.
 * @throws Fault `malformed`, `too-large`, `unknown-key`, `unsupported`, `key-not-valid` or `bad-signature`.
 * @see docs/format.md "Anchor"
 * @example
 * import { openAnchor, parseTrust } from "counterfoil/verify";
 *
 * const trust = parseTrust(await (await fetch("https://api.example.com/.well-known/audit/trust")).text());
 * const newest = await fetch("https://api.example.com/.well-known/audit/anchors/0000000000.jws");
 * const { payload } = await openAnchor(await newest.text(), trust.anchorKeys);
 * console.log(payload.epoch, payload.ledgers[0].origin); // 0 api.example.com/audit/main
 */
export async function openAnchor(text: string, keys: readonly TrustedKey[]): Promise<Anchor> {
  const { jws, header, payload, payloadText } = readAnchor(text);
  const key = await verifyJws(jws, header, keys, payload.time, `anchor ${payload.epoch}`);
  checkPayload(payload);
  const timestamp = takeTimestamp(payload, payloadText);
  return { text, payload, key, digest: digestAnchor(text), ...(timestamp && { timestamp }) };
}

/** Reads an anchor without verifying it. @throws Fault `malformed` or `too-large`. */
export function parseAnchor(text: string): {
  readonly header: { readonly alg: string; readonly kid: string };
  readonly payload: AnchorPayload;
  readonly digest: string;
} {
  const { header, payload } = readAnchor(text);
  checkPayload(payload);
  return { header, payload, digest: digestAnchor(text) };
}

function readAnchor(text: string) {
  if (text.length > ANCHOR_BYTES_MAX) {
    throw new Fault("too-large", "anchor: larger than an anchor may be", { found: `${text.length} bytes` });
  }
  const jws = splitJws(text, "anchor");
  const [headerPart, payloadPart] = jws.input.split(".") as [string, string];
  const header = readExactJson(HeaderSchema, decodeText(headerPart, "anchor header"), "anchor header");
  if (encodeText(JSON.stringify(header)) !== headerPart) {
    throw new Fault("malformed", "anchor header: not in its one accepted spelling");
  }
  const payloadText = decodeText(payloadPart, "anchor payload");
  const payload = readExactJson(PayloadSchema, payloadText, "anchor payload");
  return { jws, header, payload, payloadText };
}

/** The token, and what it is over: the payload's text with its last member cut off. */
function takeTimestamp({ epoch, timestamp }: AnchorPayload, text: string): Anchor["timestamp"] {
  if (timestamp === undefined) return undefined;
  const what = `anchor ${epoch}: timestamp`;
  const member = `,"timestamp":${JSON.stringify(timestamp)}}`;
  if (!text.endsWith(member)) throw new Fault("malformed", `${what}: is not the last member`);
  return {
    token: decodeBase64(timestamp.token, what),
    imprint: sha256(encoder.encode(`${text.slice(0, -member.length)}}`)),
  };
}

/** An anchor says each thing twice or more; all of it must agree. */
function checkPayload({ v: version, epoch, prev, ledgers }: AnchorPayload): void {
  const what = `anchor ${epoch}`;
  if (version !== 1) {
    throw new Fault("unsupported", `${what}: of a version that is not known`, {
      expected: "1",
      found: `${version}`,
    });
  }
  if (epoch === 0 && prev !== FIRST_ANCHOR_PREV) {
    throw new Fault("malformed", `${what}: the first anchor names an anchor before it`, {
      found: prev,
    });
  }
  const origins = new Set<string>();
  for (const { origin, size, root, checkpoint } of ledgers) {
    const pinned = parseCheckpoint(parseNote(checkpoint).text);
    if (origins.has(origin)) {
      throw new Fault("malformed", `${what}: pins a ledger twice`, {
        expected: "each origin once",
        found: origin,
      });
    }
    if (pinned.origin !== origin || pinned.size !== size || encodeBase64(pinned.root) !== root) {
      throw new Fault("malformed", `${what}: pins something else than its checkpoint says`, {
        expected: `${pinned.origin}, ${pinned.size} entries, root ${encodeBase64(pinned.root)}`,
        found: `${origin}, ${size} entries, root ${root}`,
      });
    }
    origins.add(origin);
  }
}

/** base64url SHA-256 of an anchor object. */
export function digestAnchor(text: string): string {
  return encodeBase64url(sha256(encoder.encode(text)));
}
