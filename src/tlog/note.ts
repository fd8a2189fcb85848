// Signed notes (C2SP signed-note, text of 2026-04-23): a text, and under it one line for each signature.
// What is read here is well-formed and nothing more. Its text says something only once `openNote` has
// found a signature by a trusted key on it.
import { sha256 } from "@noble/hashes/sha2.js";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { ED25519_KEY_BYTES, verifyEd25519 } from "./ed25519.ts";
import { Fault } from "./fault.ts";

/** Signature types, the byte that tells one algorithm's keys from another's. */
export const ED25519 = 0x01;
export const ED25519_COSIGNATURE = 0x04;
export const ML_DSA_44_COSIGNATURE = 0x06;

/** The signature types known here, with the length of their public keys in bytes. */
const PUBLIC_KEY_BYTES: ReadonlyMap<number, number> = new Map([
  [ED25519, ED25519_KEY_BYTES],
  [ED25519_COSIGNATURE, ED25519_KEY_BYTES],
  [ML_DSA_44_COSIGNATURE, 1312],
]);

const MAX_VERIFIER_KEY_LENGTH = 4096;
const MAX_NOTE_BYTES = 2 ** 20;
const MAX_SIGNATURES = 100;
const ID_BYTES = 4;

/** A public key with the name and id that its signatures are found by. */
export interface NoteKey {
  readonly name: string;
  /** 32 bits, unsigned. A handle, not a fingerprint: others can make keys with the same id. */
  readonly id: number;
  /** The signature type byte. */
  readonly type: number;
  readonly publicKey: Uint8Array;
}

/** One signature line. */
export interface NoteSignature {
  readonly name: string;
  readonly id: number;
  /** At least one byte; what they are depends on the type of the key. */
  readonly signature: Uint8Array;
}

export interface Note {
  /** What is signed, with the newline it ends in. */
  readonly text: string;
  /** At least one. */
  readonly signatures: readonly NoteSignature[];
}

/** A signature that was checked, with the key that made it. */
export interface VerifiedSignature {
  readonly key: NoteKey;
  readonly signature: NoteSignature;
}

export interface NoteSigner {
  readonly key: NoteKey;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Whether `signature` is that of `key` on a note with this text. May throw a Fault that says more. */
export type VerifySignature = (key: NoteKey, text: string, signature: Uint8Array) => Promise<boolean>;

/**
 * The key of a public key's bytes; its id is SHA-256(name || 0x0A || type || public key)[:4].
 * @throws Fault `malformed` for a name that cannot be in a note or a key of the wrong length, `unsupported`
 *   for a type other than 0x01, 0x04 and 0x06.
 */
export function makeNoteKey(name: string, type: number, publicKey: Uint8Array): NoteKey {
  requireKeyName(name, "key");
  const length = PUBLIC_KEY_BYTES.get(type);
  if (length === undefined) {
    throw new Fault("unsupported", `key ${name}: signature type not supported`, {
      expected: "0x01, 0x04 or 0x06",
      found: `0x${type.toString(16).padStart(2, "0")}`,
    });
  }
  if (publicKey.length !== length) {
    throw new Fault("malformed", `key ${name}: public key of the wrong length`, {
      expected: `${length} bytes`,
      found: `${publicKey.length} bytes`,
    });
  }
  const named = sha256.create().update(encodeUtf8(`${name}\n`));
  const digest = named.update(Uint8Array.of(type)).update(publicKey).digest();
  return {
    name,
    id: new DataView(digest.buffer, digest.byteOffset).getUint32(0),
    type,
    publicKey: new Uint8Array(publicKey),
  };
}

/**
 * Reads a verifier key: `<name>+<id, 8 hex digits>+<base64 of type and public key>`.
 * @throws Fault `malformed` unless it is one, in canonical form, with the id that belongs to the key;
 *   `unsupported` for a type other than 0x01, 0x04 and 0x06; `too-large` beyond 4096 characters.
 * @example
 * import { ED25519, formatId, formatVerifierKey, makeNoteKey, parseVerifierKey } from "counterfoil/tlog";
 *
 * const vkey = formatVerifierKey(makeNoteKey("log.example.com", ED25519, new Uint8Array(32)));
 * const key = parseVerifierKey(vkey);
 * console.log(key.name, vkey.split("+")[1] === formatId(key.id)); // log.example.com true
 */
export function parseVerifierKey(vkey: string): NoteKey {
  if (vkey.length > MAX_VERIFIER_KEY_LENGTH) {
    throw new Fault("too-large", "verifier key: longer than any honest one", {
      expected: `at most ${MAX_VERIFIER_KEY_LENGTH} characters`,
    });
  }
  // Only the last part, base64, may have a plus sign in it.
  const [name = "", id = ""] = vkey.split("+", 2);
  const bytes = decodeBase64(vkey.slice(name.length + id.length + 2), "verifier key");
  if (bytes[0] === undefined) throw new Fault("malformed", "verifier key: no key in it", { found: vkey });
  const key = makeNoteKey(name, bytes[0], bytes.subarray(1));
  if (formatId(key.id) !== id) {
    throw new Fault("malformed", `verifier key ${name}: the id is not that of the key`, {
      expected: formatId(key.id),
      found: id,
    });
  }
  return key;
}

/** The verifier key of a key. */
export function formatVerifierKey(key: NoteKey): string {
  const bytes = new Uint8Array(1 + key.publicKey.length);
  bytes[0] = key.type;
  bytes.set(key.publicKey, 1);
  return `${key.name}+${formatId(key.id)}+${encodeBase64(bytes)}`;
}

/**
 * Reads a note. No signature is checked.
 * @throws Fault `malformed` unless it is a note in its one form, `too-large` beyond 1 MiB or 100 signatures.
 */
export function parseNote(note: string | Uint8Array): Note {
  const whole = typeof note === "string" ? note : decodeUtf8(note);
  requireNoteText(whole, "note");
  const end = whole.lastIndexOf("\n\n") + 1;
  if (end === 0) throw new Fault("malformed", "note: no blank line between text and signatures");
  return { text: whole.slice(0, end), signatures: parseSignatureLines(whole.slice(end + 1)) };
}

/**
 * Writes a note.
 * @throws Fault `malformed` or `too-large` when it could not be read back.
 */
export function formatNote(note: Note): string {
  const whole = `${note.text}\n${formatSignatureLines(note.signatures)}`;
  requireNoteText(note.text, "note text");
  requireNoteText(whole, "note");
  return whole;
}

/**
 * Reads signature lines: `— <key name> base64(32-bit key id || signature)`, each with its newline.
 * @throws Fault `malformed` unless there is at least one and each is in its one form, `too-large` beyond 100
 *   or 1 MiB.
 * @example
 * import { formatSignatureLines, parseNote, parseSignatureLines } from "counterfoil/tlog";
 *
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const { signatures } = parseNote(await answer.text());
 * const lines = formatSignatureLines(signatures); // what a witness answers with
 * console.log(parseSignatureLines(lines)[0].name); // api.example.com/audit/main
 */
export function parseSignatureLines(lines: string): NoteSignature[] {
  requireLength(lines);
  const parts = lines.split("\n", MAX_SIGNATURES + 2);
  if (parts.length === MAX_SIGNATURES + 2) throw tooManySignatures();
  if (parts.pop() !== "" || parts.length === 0) {
    throw new Fault("malformed", "note: does not end in signature lines", { found: lines });
  }
  return parts.map((line, i) => parseSignatureLine(line, `note: signature line ${i + 1}`));
}

/**
 * Writes signature lines.
 * @throws Fault `malformed` or `too-large` when they could not be read back.
 */
export function formatSignatureLines(signatures: readonly NoteSignature[]): string {
  if (signatures.length === 0) throw new Fault("malformed", "note: no signatures");
  if (signatures.length > MAX_SIGNATURES) throw tooManySignatures();
  const lines = signatures.map(formatSignatureLine).join("");
  requireLength(lines);
  return lines;
}

/**
 * Checks every signature by one of `keys` and returns them in the order of the note; signatures by other
 * keys are ignored. `verify` must know the types of `keys`; without it, they must be of type 0x01.
 * @throws Fault `bad-signature` when one of them is not the key's, `unknown-key` when there are none.
 */
export async function openNote(
  note: Note,
  keys: readonly NoteKey[],
  verify: VerifySignature = verifyNoteSignature,
): Promise<VerifiedSignature[]> {
  const verified = await checkSignatures(note, keys, verify);
  if (verified.length > 0) return verified;
  throw new Fault("unknown-key", "note: not signed by any key that was asked for", {
    expected: keys.map(({ name, id }) => `${name}+${formatId(id)}`).join(", "),
    found: note.signatures.map(({ name, id }) => `${name}+${formatId(id)}`).join(", "),
  });
}

/**
 * As `openNote`, but it is no Fault when no key has signed: then nothing is returned.
 * @example
 * import { checkSignatures, parseNote, verifyNoteSignature } from "counterfoil/tlog";
 *
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const found = await checkSignatures(parseNote(await answer.text()), [], verifyNoteSignature);
 * console.log(found.length); // 0
 */
export async function checkSignatures(
  note: Note,
  keys: readonly NoteKey[],
  verify: VerifySignature,
): Promise<VerifiedSignature[]> {
  const verified: VerifiedSignature[] = [];
  for (const signature of note.signatures) {
    const key = keys.find(({ name, id }) => name === signature.name && id === signature.id);
    if (key === undefined) continue;
    if (!(await verify(key, note.text, signature.signature))) {
      throw new Fault("bad-signature", `note: the signature of ${key.name}+${formatId(key.id)} does not fit`);
    }
    verified.push({ key, signature });
  }
  return verified;
}

/**
 * The check of a plain note signature, type 0x01: Ed25519 over the note text.
 * @throws Fault `unsupported` for a key of another type.
 */
export async function verifyNoteSignature(
  key: NoteKey,
  text: string,
  signature: Uint8Array,
): Promise<boolean> {
  requirePlainKey(key);
  return verifyEd25519(key.publicKey, encodeUtf8(text), signature);
}

/**
 * Signs a note text with a key of type 0x01.
 * @throws Fault `unsupported` for a key of another type, `malformed` for what cannot be a note text.
 * @example
 * import { ED25519, formatNote, makeNoteKey, openNote, parseNote, signNote } from "counterfoil/tlog";
 *
 * const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
 * const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
 * const sign = async bytes => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes));
 * const key = makeNoteKey("log.example.com", ED25519, publicKey);
 * const text = "what is signed\n";
 * const note = formatNote({ text, signatures: [await signNote(text, { key, sign })] });
 * console.log((await openNote(parseNote(note), [key])).length); // 1
 */
export async function signNote(text: string, signer: NoteSigner): Promise<NoteSignature> {
  const { key } = signer;
  requirePlainKey(key);
  requireNoteText(text, "note text");
  return { name: key.name, id: key.id, signature: await signer.sign(encodeUtf8(text)) };
}

function parseSignatureLine(line: string, what: string): NoteSignature {
  const [dash, name, encoded, ...rest] = line.split(" ", 4);
  if (dash !== "—" || name === undefined || encoded === undefined || rest.length > 0) {
    throw new Fault("malformed", `${what}: not a signature line`, {
      expected: "— <key name> <base64>",
      found: line,
    });
  }
  requireKeyName(name, what);
  const bytes = decodeBase64(encoded, what);
  if (bytes.length <= ID_BYTES) {
    throw new Fault("malformed", `${what}: no signature in it`, {
      expected: `more than ${ID_BYTES} bytes`,
      found: `${bytes.length} bytes`,
    });
  }
  return { name, id: new DataView(bytes.buffer).getUint32(0), signature: bytes.subarray(ID_BYTES) };
}

function formatSignatureLine({ name, id, signature }: NoteSignature): string {
  requireKeyName(name, "signature");
  if (signature.length === 0 || !Number.isInteger(id) || id < 0 || id >= 2 ** (8 * ID_BYTES)) {
    throw new Fault("malformed", `signature of ${name}: cannot be written`, {
      expected: "an id of 32 bits and a signature of at least one byte",
      found: `id ${id} and ${signature.length} bytes`,
    });
  }
  const bytes = new Uint8Array(ID_BYTES + signature.length);
  new DataView(bytes.buffer).setUint32(0, id);
  bytes.set(signature, ID_BYTES);
  return `— ${name} ${encodeBase64(bytes)}\n`;
}

/** A key's id as verifier keys have it: 8 hex digits. */
export function formatId(id: number): string {
  return id.toString(16).padStart(2 * ID_BYTES, "0");
}

/** Key names are not empty and have no Unicode space, no plus sign and nothing that a note cannot hold. */
function requireKeyName(name: string, what: string): void {
  if (name !== "" && !/[\p{White_Space}+]/u.test(name) && isNoteText(name)) return;
  throw new Fault("malformed", `${what}: not a name that a key can have`, {
    expected: "no space, plus sign or control character, and not empty",
    found: name,
  });
}

/** What is signed, or a whole note: ends in a newline, and has no other control character. */
function requireNoteText(text: string, what: string): void {
  // The first comparison is cheap and spares encoding what is much too large.
  if (text.length > MAX_NOTE_BYTES || encodeUtf8(text).length > MAX_NOTE_BYTES) {
    throw new Fault("too-large", `${what}: larger than any honest one`, {
      expected: `at most ${MAX_NOTE_BYTES} bytes`,
    });
  }
  if (text.endsWith("\n") && isNoteText(text)) return;
  throw new Fault("malformed", `${what}: not a text that a note can hold`, {
    expected: "valid Unicode without control characters, ending in a newline",
    found: text,
  });
}

function isNoteText(text: string): boolean {
  return text.isWellFormed() && !/[^\n -\uffff]/.test(text);
}

function requirePlainKey(key: NoteKey): void {
  if (key.type === ED25519) return;
  throw new Fault("unsupported", `key ${key.name}: its signatures are not plain note signatures`, {
    expected: "signature type 0x01",
    found: `signature type 0x${key.type.toString(16).padStart(2, "0")}`,
  });
}

function requireLength(lines: string): void {
  if (lines.length <= MAX_NOTE_BYTES) return;
  throw new Fault("too-large", "note: signature lines larger than any honest ones", {
    expected: `at most ${MAX_NOTE_BYTES} characters`,
  });
}

function tooManySignatures(): Fault {
  return new Fault("too-large", "note: too many signatures", { expected: `at most ${MAX_SIGNATURES}` });
}

function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // A byte order mark is part of what is signed, so it stays.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fault("malformed", "note: not valid UTF-8");
  }
}
