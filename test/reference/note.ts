// The C2SP formats made by hand from their texts, with node:crypto alone: signed notes, verifier keys,
// checkpoints, cosignatures, .tlog-proof files, tiles, entry bundles and witness bodies. It shares
// nothing with src/. It only makes things; it checks nothing, so that tests can make wrong things too.
// Texts: signed-note (2026-04-23), tlog-checkpoint (2026-07-11), tlog-cosignature (2026-06-03),
// tlog-proof (2026-05-22), tlog-tiles (2026-02-05), tlog-witness (2026-07-06).

import type { KeyObject } from "node:crypto";
import { createHash, createPrivateKey, createPublicKey, sign as signWith } from "node:crypto";
import { mthOfRange } from "./rfc6962.ts";

type Bytes = Uint8Array;

/** Signature types of signed-note. */
export const NOTE_ED25519 = 0x01;
export const COSIGNATURE_ED25519 = 0x04;
export const COSIGNATURE_ML_DSA_44 = 0x06;

export function utf8(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, "utf8"));
}

export function sha256(...parts: readonly Bytes[]): Bytes {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

export function concat(...parts: readonly Bytes[]): Bytes {
  return new Uint8Array(Buffer.concat(parts));
}

export function hex(bytes: Bytes): string {
  return Buffer.from(bytes).toString("hex");
}

export function base64(bytes: Bytes): string {
  return Buffer.from(bytes).toString("base64");
}

function bigEndian(value: number | bigint, size: 2 | 4 | 8): Bytes {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return new Uint8Array(bytes.subarray(8 - size));
}

/** A key that signs notes. The seed of every key is the SHA-256 of its label. */
export interface SigningKey {
  readonly name: string;
  readonly type: number;
  readonly id: Bytes;
  readonly publicKey: Bytes;
  readonly privateKey: KeyObject;
}

/** An Ed25519 private key from its 32-byte seed, in the PKCS #8 wrapping of RFC 8410 section 7. */
export function ed25519FromSeed(seed: Bytes): KeyObject {
  const der = concat(Buffer.from("302e020100300506032b657004220420", "hex"), seed);
  return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
}

/** The 32 bytes at the end of the SPKI wrapping. */
export function ed25519PublicBytes(privateKey: KeyObject): Bytes {
  return new Uint8Array(createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32));
}

export function ed25519Sign(privateKey: KeyObject, message: Bytes): Bytes {
  return new Uint8Array(signWith(null, message, privateKey));
}

/** signed-note: SHA-256(name || 0x0A || type || public key)[:4]. */
export function keyId(name: string, type: number, publicKey: Bytes): Bytes {
  return sha256(utf8(name), Uint8Array.of(0x0a, type), publicKey).subarray(0, 4);
}

export function makeKey(name: string, type: number, label: string): SigningKey {
  const privateKey = ed25519FromSeed(sha256(utf8(label)));
  const publicKey = ed25519PublicBytes(privateKey);
  return { name, type, id: keyId(name, type, publicKey), publicKey, privateKey };
}

/** signed-note: name "+" hex(id) "+" base64(type || public key). */
export function verifierKey(key: Pick<SigningKey, "name" | "id" | "type" | "publicKey">): string {
  return `${key.name}+${hex(key.id)}+${base64(concat(Uint8Array.of(key.type), key.publicKey))}`;
}

/** One signature line, with its newline. */
export function signatureLine(name: string, id: Bytes, signature: Bytes): string {
  return `\u2014 ${name} ${base64(concat(id, signature))}\n`;
}

/** The signature line of a type 0x01 key over a note text. */
export function signText(text: string, key: SigningKey): string {
  return signatureLine(key.name, key.id, ed25519Sign(key.privateKey, utf8(text)));
}

/** tlog-cosignature: the message that an Ed25519 cosigner signs. */
export function cosignedText(text: string, timestamp: number | bigint): string {
  return `cosignature/v1\ntime ${timestamp}\n${text}`;
}

/** The signature line of a type 0x04 key over a checkpoint's note text; `timestamp` in POSIX seconds. */
export function cosignText(text: string, key: SigningKey, timestamp: number | bigint): string {
  const signature = ed25519Sign(key.privateKey, utf8(cosignedText(text, timestamp)));
  return signatureLine(key.name, key.id, concat(bigEndian(timestamp, 8), signature));
}

/** What the cosigned_message structure of tlog-cosignature is made of. */
export interface CosignedMessage {
  readonly cosigner: string;
  readonly timestamp: number | bigint;
  readonly origin: string;
  readonly start: number | bigint;
  readonly end: number | bigint;
  readonly hash: Bytes;
}

/** tlog-cosignature: the message that an ML-DSA-44 cosigner signs. */
export function mlDsaMessage(message: CosignedMessage): Bytes {
  const opaque = (text: string) => concat(Uint8Array.of(utf8(text).length), utf8(text));
  return concat(
    utf8("subtree/v1\n\0"),
    opaque(message.cosigner),
    bigEndian(message.timestamp, 8),
    opaque(message.origin),
    bigEndian(message.start, 8),
    bigEndian(message.end, 8),
    message.hash,
  );
}

/** A whole note: the text (ending in a newline), a blank line, the signature lines. */
export function note(text: string, ...lines: readonly string[]): string {
  return `${text}\n${lines.join("")}`;
}

/** tlog-checkpoint: the note text. */
export function checkpointText(
  origin: string,
  size: number | bigint | string,
  root: Bytes,
  ...extensions: readonly string[]
): string {
  return [origin, String(size), base64(root), ...extensions].map(line => `${line}\n`).join("");
}

/** tlog-proof: a .tlog-proof file around a signed checkpoint. */
export function proofFile(proof: {
  readonly extra?: Bytes;
  readonly index: number;
  readonly hashes: readonly Bytes[];
  readonly checkpoint: string;
}): string {
  const extra = proof.extra === undefined ? "" : `extra ${base64(proof.extra)}\n`;
  const hashes = proof.hashes.map(hash => `${base64(hash)}\n`).join("");
  return `c2sp.org/tlog-proof@v1\n${extra}index ${proof.index}\n${hashes}\n${proof.checkpoint}`;
}

/** tlog-witness: the body of an add-checkpoint request. */
export function addCheckpoint(oldSize: number, proof: readonly Bytes[], checkpoint: string): string {
  return `old ${oldSize}\n${proof.map(hash => `${base64(hash)}\n`).join("")}\n${checkpoint}`;
}

/** tlog-tiles: the path of a tile; `width` 256 is a full one. */
export function tilePath(level: number | "entries", n: number, width: number): string {
  let rest = String(n).padStart(3, "0");
  rest = rest.padStart(Math.ceil(rest.length / 3) * 3, "0");
  const groups = rest.match(/.../g) ?? [];
  const elements = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group));
  return `tile/${level}/${elements.join("/")}${width === 256 ? "" : `.p/${width}`}`;
}

/** tlog-tiles: the paths of all tiles and bundles of a tree, by the definition of its widths. */
export function tilesOfTree(size: number): string[] {
  const paths: string[] = [];
  for (let level = 0; 256 ** level <= size; level++) {
    const hashes = Math.floor(size / 256 ** level);
    const kinds = level === 0 ? [level, "entries" as const] : [level];
    for (const kind of kinds) {
      for (let n = 0; n < Math.floor(hashes / 256); n++) paths.push(tilePath(kind, n, 256));
      if (hashes % 256 > 0) paths.push(tilePath(kind, Math.floor(hashes / 256), hashes % 256));
    }
  }
  return paths;
}

/** tlog-tiles: the bytes of tile n at a level, `width` hashes wide, over a list of leaf hashes. */
export function tileBytes(leaves: readonly Bytes[], level: number, n: number, width: number): Bytes {
  const span = 256 ** level;
  const hashes = Array.from({ length: width }, (_, i) =>
    mthOfRange(leaves, (n * 256 + i) * span, (n * 256 + i + 1) * span),
  );
  return concat(...hashes);
}

/** tlog-tiles: an entry bundle. */
export function bundle(entries: readonly Bytes[]): Bytes {
  return concat(...entries.map(entry => concat(bigEndian(entry.length, 2), entry)));
}
