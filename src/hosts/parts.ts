// The parts of an edge, put together in the same way on every platform: the app and the writers, of what the environment
// says and of what the platform has of its own (databases, buckets, alarms), which is passed in as ports.
import type { Alarm } from "../../durable/alarm.ts";
import { Anchorer, type AnchorOptions } from "../../durable/anchor.ts";
import { AnchorWriter } from "../../durable/anchorwriter.ts";
import { putImmutable } from "../../durable/archive.ts";
import { Cosigner } from "../../durable/cosigner.ts";
import { type AnchorPort, LedgerWriter, type LedgerWriterOptions } from "../../durable/ledgerwriter.ts";
import type { Lock } from "../../durable/lock.ts";
import type { VaultPort } from "../../durable/openings.ts";
import type { Sql } from "../../durable/sql.ts";
import { requestTimestamp } from "../../durable/timestamper.ts";
import { VaultWriter } from "../../durable/vaultwriter.ts";
import { type App, createApp } from "../edge/app.ts";
import type { Sources } from "../edge/exchange.ts";
import { type Ledger, within } from "../edge/ledger.ts";
import type { Platform } from "../edge/platform.ts";
import type { Policy } from "../edge/policy.ts";
import type { Vault } from "../edge/vault.ts";
import { isRetired } from "../receipt/key.ts";
import type { AnchorStatus } from "../receipt/status.ts";
import { formatVerifierKey } from "../tlog/note.ts";
import { type Buckets, openBuckets, openLocks } from "./buckets.ts";
import type { Environment } from "./environment.ts";

const DAY_MS = 24 * 3600 * 1000;

export interface AppPorts extends Buckets {
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
  const { archive, spool, anchors } = openBuckets(environment, ports);
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

/** How long another object may take to answer a writer, in ms: its alarm waits for that, and its first record. */
const OBJECT_WAIT_MS = 10_000;

export interface LedgerPorts extends Ports, Buckets {
  /** The way to the vault beside it: asked for anew for each call. */
  readonly vault: () => VaultPort;
  readonly sync: () => Promise<void>;
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
    ...openBuckets(environment, ports),
    anchorWriter: {
      status: () => within(OBJECT_WAIT_MS, ports.anchorWriter.status()),
      arm: grown => within(OBJECT_WAIT_MS, ports.anchorWriter.arm(grown)),
    },
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
    vault: openVaultPort(policy, ports),
    now: sources.now,
    random: sources.random,
    sha256: sources.sha256,
    report,
  });
}

function openVaultPort({ vault }: Policy, ports: LedgerPorts): LedgerWriterOptions["vault"] {
  if (vault.retention_days === 0) return undefined;
  return {
    missing: jtis => within(OBJECT_WAIT_MS, ports.vault().missing(jtis)),
    retentionMs: vault.retention_days * DAY_MS,
  };
}

export interface AnchorPorts extends Ports, Buckets {
  /** The lock of the platform's own bucket for anchors. */
  readonly lock: Lock;
  /** Has a ledger look into its spool soon. */
  readonly wake: (ledger: string) => Promise<void>;
}

/** @throws Error that names what is missing. */
export function openAnchorWriter(environment: Environment, ports: AnchorPorts): AnchorWriter {
  const { policy, anchorKey, sources, trust } = environment;
  const { now } = sources;
  const { sql } = ports;
  const { archive, spool, anchors } = openBuckets(environment, ports);
  const { witnesses } = policy.anchor;
  const anchorer = new Anchorer({
    ...{ sql, archive, anchors },
    ...openLocks(environment, ports.lock),
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

function report(what: string, error: unknown): void {
  console.error(`${what}:`, error);
}
