// Cosignatures (C2SP tlog-cosignature, text of 2026-06-03): a witness's word that, at a time, a checkpoint
// was the largest it had seen of that log, and extended all it had seen before. Two types: Ed25519 (0x04),
// whose message is the whole note text, and ML-DSA-44 (0x06), whose message names the witness and leaves
// the extension lines out.
import { parseCheckpoint } from "./checkpoint.ts";
import { requireCount } from "./decimal.ts";
import { ED25519_SIGNATURE_BYTES, verifyEd25519 } from "./ed25519.ts";
import { Fault } from "./fault.ts";
import {
  checkSignatures,
  ED25519,
  ED25519_COSIGNATURE,
  ML_DSA_44_COSIGNATURE,
  type Note,
  type NoteKey,
  type NoteSignature,
  type NoteSigner,
  type VerifySignature,
  verifyNoteSignature,
} from "./note.ts";

const TIMESTAMP_BYTES = 8;
const ML_DSA_44_SIGNATURE_BYTES = 2420;
const ML_DSA_44_LABEL = "subtree/v1\n\0";

/** A cosignature that was checked. */
export interface Cosignature {
  readonly key: NoteKey;
  /** When it was made, by the witness's clock, in seconds since the Unix epoch. */
  readonly timestamp: number;
  /** The signature line it came in. */
  readonly signature: NoteSignature;
}

/**
 * Whether `signature` (2420 bytes) is that of `publicKey` (1312 bytes) over `message`: ML-DSA-44 of
 * FIPS 204, pure, with an empty context.
 */
export type VerifyMlDsa44 = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean | Promise<boolean>;

/**
 * A check for notes whose keys are of any type known here: plain signatures and both cosignatures.
 * ML-DSA-44 is passed in; without it, a signature by such a key is a Fault `unsupported`. The check throws
 * Fault `malformed` for a cosignature on what is no checkpoint, `too-large` for a time beyond 2^53 - 1.
 * @throws nothing by itself.
 * @see C2SP tlog-cosignature, FIPS 204
 * @example
 * import { makeVerifier, openCheckpoint, parseTrust } from "counterfoil/verify";
 *
 * const trust = parseTrust(await (await fetch("https://api.example.com/.well-known/audit/trust")).text());
 * const published = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const verify = makeVerifier(); // makeVerifier((key, text, signature) => …) where a witness signs with ML-DSA-44
 * const { signatures } = await openCheckpoint(await published.text(), trust.ledgers[0].keys, verify);
 * console.log(signatures.length); // 1
 */
export function makeVerifier(verifyMlDsa44?: VerifyMlDsa44): VerifySignature {
  return async (key, text, signature) => {
    if (key.type === ED25519) return verifyNoteSignature(key, text, signature);
    const stamped = parseTimestamped(key, signature);
    const cosigned = cosignedMessage(key, text, stamped.timestamp);
    if (key.type === ED25519_COSIGNATURE) return verifyEd25519(key.publicKey, cosigned, stamped.signature);
    if (verifyMlDsa44 !== undefined) return verifyMlDsa44(key.publicKey, cosigned, stamped.signature);
    throw new Fault("unsupported", `key ${key.name}: no ML-DSA-44 here to check its cosignature with`);
  };
}

/**
 * Checks every cosignature on a checkpoint note by one of the witnesses' `keys`, in the order of the note.
 * None at all is an empty answer: whether that is enough is for a policy to say.
 * @throws Fault `bad-signature` when one of them is not the key's; `unsupported` when a key is of a
 *   type that does not cosign; and what `verify` throws.
 * @see C2SP tlog-cosignature
 * @example
 * import { openCheckpoint, openCosignatures, parsePolicy, parseTrust } from "counterfoil/verify";
 *
 * const trust = parseTrust(await (await fetch("https://api.example.com/.well-known/audit/trust")).text());
 * const policy = parsePolicy(trust.policy ?? "quorum none\n");
 * const published = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const { note } = await openCheckpoint(await published.text(), trust.ledgers[0].keys);
 * const found = await openCosignatures(note, policy.witnesses.map(({ key }) => key));
 * console.log(found.length); // 0
 */
export async function openCosignatures(
  note: Note,
  keys: readonly NoteKey[],
  verify: VerifySignature = makeVerifier(),
): Promise<Cosignature[]> {
  for (const key of keys) signatureBytes(key);
  const verified = await checkSignatures(note, keys, verify);
  return verified.map(({ key, signature }) => {
    return { key, timestamp: parseTimestamped(key, signature.signature).timestamp, signature };
  });
}

/**
 * Cosigns the text of a checkpoint note at `timestamp`, in seconds since the Unix epoch. That the
 * checkpoint extends every earlier one of its log must have been checked before.
 * @throws Fault `unsupported` for a key that does not cosign, `malformed` for what is no checkpoint or no
 *   time.
 * @example
 * import { ED25519_COSIGNATURE, cosign, makeNoteKey, openCosignatures, parseNote } from "counterfoil/tlog";
 *
 * const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
 * const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
 * const sign = async bytes => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes));
 * const key = makeNoteKey("witness.example.com/w1", ED25519_COSIGNATURE, publicKey);
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const { text, signatures } = parseNote(await answer.text());
 * const cosigned = { text, signatures: [...signatures, await cosign(text, 1795238600, { key, sign })] };
 * console.log((await openCosignatures(cosigned, [key]))[0].timestamp); // 1795238600
 */
export async function cosign(text: string, timestamp: number, signer: NoteSigner): Promise<NoteSignature> {
  const { key } = signer;
  const signature = await signer.sign(cosignedMessage(key, text, timestamp));
  return { name: key.name, id: key.id, signature: concatenate([encodeUint64(timestamp), signature]) };
}

/**
 * The bytes that a cosignature by `key` signs: the "signed message" of its type in tlog-cosignature.
 * @throws Fault `unsupported`, `malformed` as in `cosign`, also when a name or origin is too long for its
 *   place in the ML-DSA-44 message.
 * @example
 * import { cosignedMessage, ED25519_COSIGNATURE, makeNoteKey, parseNote } from "counterfoil/tlog";
 *
 * const key = makeNoteKey("witness.example.com/w1", ED25519_COSIGNATURE, new Uint8Array(32));
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const message = cosignedMessage(key, parseNote(await answer.text()).text, 1795238600);
 * console.log(new TextDecoder().decode(message).split("\n")[1]); // time 1795238600
 */
export function cosignedMessage(key: NoteKey, text: string, timestamp: number): Uint8Array {
  signatureBytes(key);
  requireCount(timestamp, "cosignature time");
  const { origin, size, root } = parseCheckpoint(text);
  if (key.type === ED25519_COSIGNATURE) return encodeUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
  return concatenate([
    encodeUtf8(ML_DSA_44_LABEL),
    encodeOpaque(key.name, "cosigner name"),
    encodeUint64(timestamp),
    encodeOpaque(origin, "log origin"),
    encodeUint64(0), // the first leaf: a checkpoint is about the whole tree
    encodeUint64(size),
    root,
  ]);
}

/** Takes a `timestamped_signature` apart. */
function parseTimestamped(key: NoteKey, bytes: Uint8Array): { timestamp: number; signature: Uint8Array } {
  const length = TIMESTAMP_BYTES + signatureBytes(key);
  if (bytes.length !== length) {
    throw new Fault("malformed", `cosignature of ${key.name}: wrong length`, {
      expected: `${length} bytes`,
      found: `${bytes.length} bytes`,
    });
  }
  const timestamp = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  if (timestamp > Number.MAX_SAFE_INTEGER) {
    throw new Fault("too-large", `cosignature of ${key.name}: no such time`, {
      expected: "at most 2^53 - 1 seconds",
      found: `${timestamp} seconds`,
    });
  }
  return { timestamp: Number(timestamp), signature: bytes.subarray(TIMESTAMP_BYTES) };
}

/** How long the bare signatures of a cosigning key are. */
function signatureBytes(key: NoteKey): number {
  if (key.type === ED25519_COSIGNATURE) return ED25519_SIGNATURE_BYTES;
  if (key.type === ML_DSA_44_COSIGNATURE) return ML_DSA_44_SIGNATURE_BYTES;
  throw new Fault("unsupported", `key ${key.name}: not a cosigning key`, {
    expected: "signature type 0x04 or 0x06",
    found: `signature type 0x${key.type.toString(16).padStart(2, "0")}`,
  });
}

/** `opaque <1..2^8-1>` of RFC 8446 section 3.4: the bytes after their number. */
function encodeOpaque(text: string, what: string): Uint8Array {
  const bytes = encodeUtf8(text);
  if (bytes.length >= 1 && bytes.length <= 255) return concatenate([Uint8Array.of(bytes.length), bytes]);
  throw new Fault("malformed", `${what}: does not fit an ML-DSA-44 cosignature`, {
    expected: "1 to 255 bytes",
    found: `${bytes.length} bytes`,
  });
}

function encodeUint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
