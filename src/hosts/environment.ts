// What the environment of an edge says, read in the same way on every platform: the policy, the secrets, and whom
// others are told to trust by both.
import { createHash } from "node:crypto";
import type { Sources } from "../edge/exchange.ts";
import { type Policy, parsePolicy } from "../edge/policy.ts";
import { importRetiredKey, importSigningKey, type SigningKey, type TrustedKey } from "../receipt/key.ts";
import type { Trust } from "../receipt/trust.ts";
import { decodeBase64, decodeBase64url } from "../tlog/base64.ts";
import { ED25519, makeNoteKey, type NoteSigner } from "../tlog/note.ts";

/** What an edge is told in confidence. */
export interface Secrets {
  readonly RECEIPT_KEY: string;
  readonly CHECKPOINT_KEY: string;
  readonly ANCHOR_KEY: string;
  /** The receipt key before, as long as receipts of its time are to be issued again. */
  readonly RECEIPT_KEY_BEFORE?: string;
  /** What `[[vars.retired_keys]]` says, as JSON: so that it comes with the keys, in one step. Nothing secret. */
  readonly RETIRED_KEYS?: string;
  readonly OPERATOR_TOKEN_SHA256?: string;
  /** May read the anchor bucket's lock rules, and nothing else. */
  readonly LOCK_API_TOKEN?: string;
  readonly ARCHIVE_S3_KEY_ID?: string;
  readonly ARCHIVE_S3_SECRET?: string;
  readonly ANCHOR_S3_KEY_ID?: string;
  readonly ANCHOR_S3_SECRET?: string;
}

/** The names of all secrets; the compiler sees to it that none is left out. */
export const SECRET_NAMES = Object.keys({
  RECEIPT_KEY: true,
  CHECKPOINT_KEY: true,
  ANCHOR_KEY: true,
  RECEIPT_KEY_BEFORE: true,
  RETIRED_KEYS: true,
  OPERATOR_TOKEN_SHA256: true,
  LOCK_API_TOKEN: true,
  ARCHIVE_S3_KEY_ID: true,
  ARCHIVE_S3_SECRET: true,
  ANCHOR_S3_KEY_ID: true,
  ANCHOR_S3_SECRET: true,
} satisfies Record<keyof Secrets, true>);

/** What the environment says, checked: the policy, the keys, and what others are told to trust. */
export interface Environment {
  readonly policy: Policy;
  readonly secrets: Secrets;
  readonly receiptKey: SigningKey;
  readonly receiptKeyBefore?: SigningKey;
  readonly anchorKey: SigningKey;
  /** Signs the checkpoints of a ledger: one key, under each ledger's origin as its name. */
  readonly signerOf: (origin: string) => NoteSigner;
  readonly trust: Trust;
  readonly sources: Sources;
}

/**
 * @param vars what wrangler.toml says in [vars], and nothing else.
 * @param given the clock and the randomness of everything, where they are not the platform's.
 * @throws Error or Fault that names the setting or the secret.
 */
export async function openEnvironment(
  vars: unknown,
  secrets: Secrets,
  given: Partial<Sources> = {},
): Promise<Environment> {
  const sources = { now: Date.now, random: randomBytes, sha256, ...given };
  const policy = parsePolicy(addRetired(vars, secrets));
  if (secrets.OPERATOR_TOKEN_SHA256 && !/^[0-9a-f]{64}$/i.test(secrets.OPERATOR_TOKEN_SHA256)) {
    throw new Error("OPERATOR_TOKEN_SHA256: expected 64 hex digits");
  }
  const receiptKey = await importSigningKey(secrets.RECEIPT_KEY, "RECEIPT_KEY");
  const checkpointKey = await importSigningKey(secrets.CHECKPOINT_KEY, "CHECKPOINT_KEY");
  const anchorKey = await importSigningKey(secrets.ANCHOR_KEY, "ANCHOR_KEY");
  const signerOf = (origin: string): NoteSigner => ({
    key: makeNoteKey(origin, ED25519, checkpointKey.publicKey),
    sign: checkpointKey.sign,
  });
  const checkpointKeys = await retiredKeys(policy, "checkpoint", checkpointKey);
  const trust: Trust = {
    issuer: policy.issuer,
    ledgers: policy.ledgers.map(({ name, origin }) => ({
      ...{ name, origin, keys: [signerOf(origin).key] },
      ...(checkpointKeys.length > 0 && {
        retired: checkpointKeys.map(({ x, exp }) => ({
          key: makeNoteKey(origin, ED25519, decodeBase64url(x!)),
          exp: exp!,
        })),
      }),
    })),
    anchorKeys: [anchorKey.publicJwk, ...(await retiredKeys(policy, "anchor", anchorKey))],
    receiptKeys: [receiptKey.publicJwk, ...(await retiredKeys(policy, "receipt", receiptKey))],
    ...(policy.anchor.timestamp && {
      timestampers: policy.anchor.timestamp.certificates.map(text => decodeBase64(text)),
    }),
  };
  const receiptKeyBefore = await openKeyBefore(secrets, trust);
  return {
    ...{ policy, secrets, receiptKey, anchorKey, signerOf, trust, sources },
    ...(receiptKeyBefore && { receiptKeyBefore }),
  };
}

/** The vars, with the retired keys that came with the keys in force; what both tell of is told once. */
function addRetired(vars: unknown, { RETIRED_KEYS: text }: Secrets): unknown {
  if (!text) return vars;
  const { retired_keys: listed = [] } = vars as { retired_keys?: unknown };
  let kept: unknown;
  try {
    kept = JSON.parse(text);
  } catch {
    throw new Error("RETIRED_KEYS: not JSON");
  }
  // Whatever else it may be, the schema of the policy says what is wrong with it.
  if (!Array.isArray(listed) || !Array.isArray(kept)) return { ...(vars as object), retired_keys: kept };
  const nameOf = (retired: { use?: unknown; key?: unknown } | null) => `${retired?.use} ${retired?.key}`;
  const named = new Set(listed.map(nameOf));
  return {
    ...(vars as object),
    retired_keys: [...listed, ...kept.filter(retired => !named.has(nameOf(retired)))],
  };
}

/** The keys of one use that signed before the one in force. One that is listed ahead of its time is in force still. */
function retiredKeys(
  { retired_keys }: Policy,
  use: Policy["retired_keys"][number]["use"],
  { publicJwk }: SigningKey,
): Promise<TrustedKey[]> {
  return Promise.all(
    retired_keys
      .filter(retired => retired.use === use && retired.key !== publicJwk.x)
      .map(({ key, until }) => importRetiredKey(key, Date.parse(until) / 1000, `vars.retired_keys: ${use}`)),
  );
}

/** @throws Error when nobody is told to believe what it has signed. */
async function openKeyBefore(
  { RECEIPT_KEY_BEFORE: jwk }: Secrets,
  { receiptKeys }: Trust,
): Promise<SigningKey | undefined> {
  if (!jwk) return undefined;
  const key = await importSigningKey(jwk, "RECEIPT_KEY_BEFORE");
  if (receiptKeys.some(({ kid }) => kid === key.kid)) return key;
  throw new Error(`RECEIPT_KEY_BEFORE: vars.retired_keys has no receipt key ${key.publicJwk.x}`);
}

/** So many random bytes. */
function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** Web Cryptography has the same, but not at once. */
function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
