// The key set of an edge: the three private keys that sign receipts, checkpoints and anchors, and the
// operator's token. Whatever is kept in a folder is made once, is whole or not there at all, and can be
// read by its owner alone; two processes that start at once end up with the same keys.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { link, readFile, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import { importSigningKey } from "../receipt/key.ts";
import { codeOf, makeFolder, syncFolder, writeNew } from "./disk.ts";

/** The names of the signing keys, as the worker knows them. Each signs one kind of thing and no other. */
export const SIGNING_KEYS = ["RECEIPT_KEY", "CHECKPOINT_KEY", "ANCHOR_KEY"] as const;

/** The names of all secrets of the worker. */
export const SECRETS = [...SIGNING_KEYS, "OPERATOR_TOKEN_SHA256"] as const;

/** The names of what there is besides once keys were replaced: see keystore.ts. */
export const LATER_SECRETS = ["RECEIPT_KEY_BEFORE", "RETIRED_KEYS"] as const;

/** The names of the access keys of buckets elsewhere, which nobody can make here. */
export const BUCKET_SECRETS = [
  "ARCHIVE_S3_KEY_ID",
  "ARCHIVE_S3_SECRET",
  "ANCHOR_S3_KEY_ID",
  "ANCHOR_S3_SECRET",
] as const;

/** Where a folder keeps the signing keys: names and values as the worker's secrets have them. */
export const SECRETS_FILE = "secrets.json";

/** Every secret of the worker: each signing key as JSON text of its JWK, and the token's SHA-256 in hex. */
export type KeySet = Record<(typeof SECRETS)[number], string> &
  Partial<Record<(typeof LATER_SECRETS)[number], string>>;

/** A new private Ed25519 key: the JSON text of a JWK (RFC 8037) with its thumbprint (RFC 7638) as `kid`. */
export async function makeSigningKey(): Promise<string> {
  const { privateKey } = await generateKeyPair("Ed25519", { extractable: true });
  const { d, x } = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x: x! });
  return JSON.stringify({ kty: "OKP", crv: "Ed25519", d, x, kid, alg: "Ed25519" });
}

/** What the worker keeps of the operator's token: its SHA-256 in hex. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * The key set kept in a folder, made on first use: the signing keys in `secrets.json`, the operator's
 * token in `operator-token`.
 * @throws Error that names the file, when it holds no key set.
 */
export async function openKeySet(folder: string): Promise<KeySet> {
  const path = join(folder, SECRETS_FILE);
  const keys = parseSigningKeys(
    await readOrMake(path, async () => JSON.stringify(await makeSigningKeys(), null, 2)),
  );
  if (keys === undefined) throw new Error(`${path} does not hold the keys ${SIGNING_KEYS.join(", ")}`);
  for (const name of SIGNING_KEYS) await importSigningKey(keys[name], `${path}: ${name}`);
  return { ...keys, OPERATOR_TOKEN_SHA256: hashToken(await openOperatorToken(folder)) };
}

/** The operator's bearer token kept in a folder, made on first use: 32 random bytes in base64url. */
export async function openOperatorToken(folder: string): Promise<string> {
  const text = await readOrMake(operatorTokenPath(folder), async () => randomBytes(32).toString("base64url"));
  return text.trim();
}

export function operatorTokenPath(folder: string): string {
  return join(folder, "operator-token");
}

/**
 * The text of a file. If there is no such file, `make` says what shall be in it; when several ask at once,
 * the text of one of them is kept and all of them get that one.
 */
export async function readOrMake(path: string, make: () => Promise<string>): Promise<string> {
  const present = await readIfPresent(path);
  if (present !== undefined) return present;
  const folder = dirname(path);
  await makeFolder(folder);
  const draft = `${path}.${randomUUID()}`;
  await writeNew(draft, `${await make()}\n`, 0o600);
  try {
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await unlink(draft);
  }
  // Before anything is signed by what a loss of power would take away.
  await syncFolder(folder);
  return readFile(path, "utf8");
}

/** The text of a file, or undefined when there is none. @throws Error for one that is not its owner's alone. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    if (((await stat(path)).mode & 0o077) !== 0) {
      throw new Error(`${path} can be read by others than its owner: chmod go= ${path}`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function makeSigningKeys(): Promise<Record<string, string>> {
  const keys: Record<string, string> = {};
  for (const name of SIGNING_KEYS) keys[name] = await makeSigningKey();
  return keys;
}

function parseSigningKeys(text: string): Pick<KeySet, (typeof SIGNING_KEYS)[number]> | undefined {
  try {
    const keys = JSON.parse(text) as KeySet;
    return SIGNING_KEYS.every(name => typeof keys[name] === "string") ? keys : undefined;
  } catch {
    return undefined;
  }
}
