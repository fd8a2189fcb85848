// What the environment of an edge says, read in the same way on every platform: the policy, the secrets, and what
// follows from both. Whatever a platform has of its own (storage, buckets, alarms) is passed in as a port.
import { createHash } from "node:crypto";
import type { Alarm } from "../../durable/alarm.ts";
import { Anchorer, type AnchorOptions } from "../../durable/anchor.ts";
import { AnchorWriter } from "../../durable/anchorwriter.ts";
import { type Archive, putImmutable } from "../../durable/archive.ts";
import { Cosigner } from "../../durable/cosigner.ts";
import { type AnchorPort, LedgerWriter } from "../../durable/ledgerwriter.ts";
import { BucketLock, type Lock, type LockedBucket, ObjectLock, plainLock } from "../../durable/lock.ts";
import { ObjectLockStore } from "../../durable/objectlock.ts";
import { S3Archive } from "../../durable/s3archive.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import type { Sql } from "../../durable/sql.ts";
import { requestTimestamp } from "../../durable/timestamper.ts";
import { VaultWriter } from "../../durable/vaultwriter.ts";
import { type App, createApp } from "../edge/app.ts";
import type { Sources } from "../edge/exchange.ts";
import type { Ledger } from "../edge/ledger.ts";
import type { Platform } from "../edge/platform.ts";
import { type Policy, parsePolicy } from "../edge/policy.ts";
import type { Vault } from "../edge/vault.ts";
import {
  importRetiredKey,
  importSigningKey,
  isRetired,
  type SigningKey,
  type TrustedKey,
} from "../receipt/key.ts";
import type { AnchorStatus } from "../receipt/status.ts";
import type { Trust } from "../receipt/trust.ts";
import { decodeBase64, decodeBase64url } from "../tlog/base64.ts";
import { ED25519, formatVerifierKey, makeNoteKey, type NoteSigner } from "../tlog/note.ts";

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

const DAY_MS = 24 * 3600 * 1000;

/**
 * @param vars what wrangler.toml says in [vars], and nothing else.
 * @param sources the clock and the randomness of everything: the platform's.
 * @throws Error or Fault that names the setting or the secret.
 */
export async function openEnvironment(
  vars: unknown,
  secrets: Secrets,
  sources: Sources = { now: Date.now, random: randomBytes },
): Promise<Environment> {
  const policy = parsePolicy(addRetired(vars, secrets));
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

/** Where ledgers publish, and where records wait that a ledger could not take. */
export interface Archives {
  readonly archive: Archive;
  readonly spool: SpoolStore;
}

/** The archive that the policy names, or else the platform's own. @throws Error that names what is missing. */
export function openArchive({ policy, secrets }: Environment, { archive, spool }: Archives): Archives {
  const { s3 } = policy.archive;
  if (s3 === undefined) return { archive, spool };
  const { ARCHIVE_S3_KEY_ID: accessKeyId, ARCHIVE_S3_SECRET: secretAccessKey } = secrets;
  if (!accessKeyId || !secretAccessKey) {
    throw new Error("vars.archive.s3 needs the secrets ARCHIVE_S3_KEY_ID and ARCHIVE_S3_SECRET");
  }
  const store = new S3Archive({ ...s3, accessKeyId, secretAccessKey, fetch: request => fetch(request) });
  return { archive: store, spool: store };
}

/** Where the anchors lie. @param bucket the platform's own bucket for them. @throws Error that names what is missing. */
export function openAnchorStore(environment: Environment, bucket: Archive): Archive {
  const { s3 } = environment.policy.anchor;
  return s3?.role === "store" ? openObjectLock(environment, s3) : bucket;
}

function openObjectLock(
  { secrets, sources }: Environment,
  s3: NonNullable<Policy["anchor"]["s3"]>,
): ObjectLockStore {
  const { ANCHOR_S3_KEY_ID: accessKeyId, ANCHOR_S3_SECRET: secretAccessKey } = secrets;
  if (!accessKeyId || !secretAccessKey) {
    throw new Error("vars.anchor.s3 needs the secrets ANCHOR_S3_KEY_ID and ANCHOR_S3_SECRET");
  }
  return new ObjectLockStore({
    url: s3.url,
    region: s3.region,
    ...{ accessKeyId, secretAccessKey },
    retentionMs: s3.retention_days * DAY_MS,
    now: sources.now,
    fetch: request => fetch(request),
  });
}

/** The lock of the platform's own bucket for anchors, as far as an edge may know of it. @throws Error */
export function openLock({ policy, secrets, sources }: Environment, bucket: LockedBucket, sql: Sql): Lock {
  const { lock } = policy;
  const rulesUrl = lock?.rules_url;
  const token = secrets.LOCK_API_TOKEN;
  if ((rulesUrl === undefined) !== !token) {
    throw new Error("vars.lock.rules_url and the secret LOCK_API_TOKEN are of no use without each other");
  }
  if (rulesUrl === undefined || !token) return plainLock(lock?.local ? "local" : "none");
  return new BucketLock({
    ...{ sql, bucket, rulesUrl, token },
    retentionSeconds: (lock!.retention_days ?? Number.POSITIVE_INFINITY) * (DAY_MS / 1000),
    now: sources.now,
    fetch: (url, init) => fetch(url, init),
  });
}

export interface AppPorts extends Archives {
  /** The platform's own bucket for anchors. */
  readonly anchors: Archive;
  readonly platform: Platform;
  /** The way to an object, by the ledger's name: asked for anew for each call. */
  readonly ledger: (name: string) => Ledger & { wake(): Promise<void> };
  readonly vault: (name: string) => Vault;
  readonly anchorWriter: () => { status(): Promise<AnchorStatus>; arm(): Promise<void> };
  readonly isDraining?: () => boolean;
}

/** The edge of an environment. @throws Error that names what is missing. */
export function openApp(environment: Environment, ports: AppPorts): App {
  const { policy, receiptKey, receiptKeyBefore, secrets, sources, trust } = environment;
  const { anchorWriter, isDraining, ledger, platform, vault } = ports;
  const { archive, spool } = openArchive(environment, ports);
  const anchors = openAnchorStore(environment, ports.anchors);
  const names = policy.ledgers.map(({ name }) => name);
  return createApp({
    ...{ policy, trust, receiptKey, platform },
    ...(receiptKeyBefore && { receiptKeyBefore }),
    ledgers: new Map(names.map(name => [name, () => ledger(name)])),
    vaults: new Map(names.map(name => [name, () => vault(name)])),
    archive: async key => (await archive.get(key))?.bytes,
    anchors: async key => (await anchors.get(key))?.bytes,
    anchorStatus: () => anchorWriter().status(),
    ...(isDraining && { isDraining }),
    spool: {
      put: (path, promise) => putImmutable(archive, path, new TextEncoder().encode(promise)),
      holds: async prefix => (await spool.list(prefix, 1)).length > 0,
      async wake(name) {
        await Promise.all([anchorWriter().arm(), ledger(name).wake()]);
      },
    },
    operatorTokenSha256: secrets.OPERATOR_TOKEN_SHA256 || undefined,
    sources,
  });
}

/** What every writer is given by its platform. */
interface Ports {
  readonly sql: Sql;
  readonly alarm: Alarm;
}

export interface LedgerPorts extends Ports, Archives {
  readonly sync: () => Promise<void>;
  /** The platform's own bucket for anchors. */
  readonly anchors: Archive;
  readonly anchorWriter: AnchorPort;
  readonly breathe: () => Promise<void>;
}

/** @throws Error when the policy names no such ledger, or something for it is missing. */
export function openLedgerWriter(environment: Environment, name: string, ports: LedgerPorts): LedgerWriter {
  const { anchorKey, policy, receiptKey, signerOf, sources, trust } = environment;
  const ledger = trust.ledgers.find(each => each.name === name);
  if (ledger === undefined) throw new Error(`ledger: the policy names no ledger "${name}"`);
  const { retention_days: days } = policy.ledgers.find(each => each.name === name)!;
  const signer = signerOf(ledger.origin);
  return new LedgerWriter({
    ...ports,
    ...openArchive(environment, ports),
    anchors: openAnchorStore(environment, ports.anchors),
    issuer: policy.issuer,
    ...{ ledger, signer },
    identity: {
      receipt: receiptKey.kid,
      checkpoint: formatVerifierKey(signer.key),
      anchor: anchorKey.kid,
      policy: policy.hash,
    },
    receiptKeys: trust.receiptKeys,
    anchorKeys: trust.anchorKeys,
    retentionMs: days === undefined ? undefined : days * DAY_MS,
    alerts: policy.alerts,
    now: sources.now,
    random: sources.random,
    sha256: bytes => new Uint8Array(createHash("sha256").update(bytes).digest()),
    report,
  });
}

export interface AnchorPorts extends Ports, Archives {
  /** The platform's own bucket for anchors, and its lock. */
  readonly anchors: Archive;
  readonly lock: Lock;
  /** Has a ledger look into its spool soon. */
  readonly wake: (ledger: string) => Promise<void>;
}

/** @throws Error that names what is missing. */
export function openAnchorWriter(environment: Environment, ports: AnchorPorts): AnchorWriter {
  const { policy, anchorKey, sources, trust } = environment;
  const { now } = sources;
  const { sql } = ports;
  const { archive, spool } = openArchive(environment, ports);
  const { witnesses } = policy.anchor;
  const anchorer = new Anchorer({
    ...{ sql, archive },
    ...openAnchorStores(environment, ports),
    issuer: policy.issuer,
    ledgers: trust.ledgers,
    key: anchorKey,
    retired: trust.anchorKeys.filter(isRetired),
    now,
    ...(witnesses && {
      cosigner: new Cosigner({
        sql,
        policy: witnesses.policy,
        required: witnesses.required,
        waitMs: witnesses.wait_ms,
        fetch: (url, init) => fetch(url, init),
      }),
    }),
    ...openTimestamps(environment),
  });
  return new AnchorWriter({
    ...ports,
    ...{ anchorer, spool },
    intervalMs: policy.anchor.interval_seconds * 1000,
    entries: policy.anchor.entries,
    ledgers: policy.ledgers.map(({ name }) => name),
    now,
    report,
  });
}

/** The store of the anchors and its lock, and the other stores that get them. @throws as openAnchorStore. */
function openAnchorStores(
  environment: Environment,
  { anchors, lock }: AnchorPorts,
): Pick<AnchorOptions, "anchors" | "lock" | "copies"> {
  const { s3 } = environment.policy.anchor;
  if (s3 === undefined) return { anchors, lock };
  const archive = openObjectLock(environment, s3);
  const objectLock = new ObjectLock(archive, environment.sources.now);
  if (s3.role === "store") return { anchors: archive, lock: objectLock };
  return { anchors, lock, copies: [{ name: s3.url, archive, lock: objectLock }] };
}

function openTimestamps({ policy, sources, trust }: Environment): Pick<AnchorOptions, "timestamps"> {
  const { timestamp } = policy.anchor;
  if (timestamp === undefined) return {};
  const { every, required, url } = timestamp;
  const options = {
    url,
    certificates: trust.timestampers!,
    fetch: (url: string, init: RequestInit) => fetch(url, init),
    random: sources.random,
  };
  return { timestamps: { every, required, stamp: digest => requestTimestamp(digest, options) } };
}

/** A vault needs no keys, so it is not kept waiting for them. */
export function openVaultWriter(
  { vault }: Policy,
  { sql, alarm, now = Date.now }: Ports & Partial<Pick<Sources, "now">>,
): VaultWriter {
  return new VaultWriter({ sql, alarm, retentionMs: vault.retention_days * DAY_MS, now });
}

/** So many random bytes. */
function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(count));
}

function report(what: string, error: unknown): void {
  console.error(`${what}:`, error);
}
