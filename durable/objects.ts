// The Durable Object shells: they hand the platform's storage, clock and buckets to the ledger and the
// anchor writer, take calls in and keep the alarms. Nothing is decided here.
import { DurableObject } from "cloudflare:workers";
import { createHash } from "node:crypto";
import type { AnchorStatus, Ledger as EdgeLedger, LedgerStatus, Trouble } from "../src/edge/ledger.ts";
import { type Policy, parsePolicy } from "../src/edge/policy.ts";
import type { Vault as EdgeVault } from "../src/edge/vault.ts";
import { bucketArchive, bucketSpool, lockedBucket, objectSql } from "../src/hosts/stores.ts";
import { importSigningKey, type SigningKey } from "../src/receipt/key.ts";
import type { Opening, Page, Search } from "../src/receipt/opening.ts";
import type { Placement } from "../src/receipt/placement.ts";
import type { Control } from "../src/receipt/record.ts";
import { formatSpoolPrefix } from "../src/receipt/spool.ts";
import type { Trust } from "../src/receipt/trust.ts";
import { decodeBase64 } from "../src/tlog/base64.ts";
import { Fault } from "../src/tlog/fault.ts";
import { ED25519, formatVerifierKey, makeNoteKey, type NoteSigner } from "../src/tlog/note.ts";
import { listAlerts } from "./alerts.ts";
import { Anchorer, type AnchorOptions, readNewestAnchor } from "./anchor.ts";
import type { Archive } from "./archive.ts";
import { Cosigner } from "./cosigner.ts";
import { Ledger } from "./ledger.ts";
import { BucketLock, type Lock, ObjectLock, plainLock } from "./lock.ts";
import { ObjectLockStore } from "./objectlock.ts";
import { publish } from "./publish.ts";
import { recheck } from "./recheck.ts";
import { retire } from "./retention.ts";
import { Spool } from "./spool.ts";
import type { Sql } from "./sql.ts";
import { requestTimestamp } from "./timestamper.ts";
import { Vault } from "./vault.ts";

/** The bindings of wrangler.toml, and the secrets. Everything else in the environment is policy. */
export interface Env {
  readonly LEDGER: DurableObjectNamespace<LedgerObject>;
  readonly ANCHOR: DurableObjectNamespace<AnchorObject>;
  readonly VAULT: DurableObjectNamespace<VaultObject>;
  readonly ARCHIVE: R2Bucket;
  readonly ANCHORS: R2Bucket;
  readonly RECEIPT_KEY: string;
  readonly CHECKPOINT_KEY: string;
  readonly ANCHOR_KEY: string;
  readonly OPERATOR_TOKEN_SHA256?: string;
  /** May read the anchor bucket's lock rules, and nothing else. */
  readonly LOCK_API_TOKEN?: string;
  readonly ANCHOR_S3_KEY_ID?: string;
  readonly ANCHOR_S3_SECRET?: string;
}

/** The names of all bindings; the compiler sees to it that none is left out. */
const BINDINGS = {
  LEDGER: true,
  ANCHOR: true,
  VAULT: true,
  ARCHIVE: true,
  ANCHORS: true,
  RECEIPT_KEY: true,
  CHECKPOINT_KEY: true,
  ANCHOR_KEY: true,
  OPERATOR_TOKEN_SHA256: true,
  LOCK_API_TOKEN: true,
  ANCHOR_S3_KEY_ID: true,
  ANCHOR_S3_SECRET: true,
} satisfies Record<keyof Env, true>;

/** How long after an append its publication is due, in ms: one checkpoint a second at the most. */
const PUBLISH_DELAY_MS = 1000;

/** How often a ledger looks into its spool while nobody has told it that there is something, in ms. */
const SPOOL_LOOK_MS = 10_000;

/** How long to wait after a publication or an anchor that failed, in ms. */
const RETRY_DELAY_MS = 10_000;

/** How often a vault lets go of what is past its retention, in ms. */
const VAULT_PRUNE_MS = 3600 * 1000;

const DAY_MS = 24 * 3600 * 1000;

/** The one object that writes anchors. */
export const ANCHOR_OBJECT = "anchors";

/** What the environment says, checked: the policy, the keys, and what others are told to trust. */
export interface Environment {
  readonly policy: Policy;
  readonly receiptKey: SigningKey;
  readonly anchorKey: SigningKey;
  /** Signs the checkpoints of a ledger: one key, under each ledger's origin as its name. */
  readonly signerOf: (origin: string) => NoteSigner;
  readonly trust: Trust;
}

/** @throws Error or Fault that names the setting or the secret. */
export async function openEnvironment(env: Env): Promise<Environment> {
  const policy = readPolicy(env);
  const receiptKey = await importSigningKey(env.RECEIPT_KEY, "RECEIPT_KEY");
  const checkpointKey = await importSigningKey(env.CHECKPOINT_KEY, "CHECKPOINT_KEY");
  const anchorKey = await importSigningKey(env.ANCHOR_KEY, "ANCHOR_KEY");
  const signerOf = (origin: string): NoteSigner => ({
    key: makeNoteKey(origin, ED25519, checkpointKey.publicKey),
    sign: checkpointKey.sign,
  });
  const trust: Trust = {
    issuer: policy.issuer,
    ledgers: policy.ledgers.map(({ name, origin }) => ({ name, origin, keys: [signerOf(origin).key] })),
    anchorKeys: [anchorKey.publicJwk],
    receiptKeys: [receiptKey.publicJwk],
    ...(policy.anchor.timestamp && {
      timestampers: policy.anchor.timestamp.certificates.map(text => decodeBase64(text)),
    }),
  };
  return { policy, receiptKey, anchorKey, signerOf, trust };
}

/** The policy of an environment. @throws Error that names the setting. */
function readPolicy(env: Env): Policy {
  return parsePolicy(Object.fromEntries(Object.entries(env).filter(([name]) => !(name in BINDINGS))));
}

/** Where the anchors lie. @throws Error that names what is missing. */
export function openAnchorStore(env: Env, policy: Policy): Archive {
  const { s3 } = policy.anchor;
  return s3?.role === "store" ? openObjectLock(env, s3) : bucketArchive(env.ANCHORS);
}

/** The store of the anchors and its lock, and the other stores that get them. @throws as openAnchorStore. */
function openAnchorStores(
  env: Env,
  policy: Policy,
  sql: Sql,
): Pick<AnchorOptions, "anchors" | "lock" | "copies"> {
  const { s3 } = policy.anchor;
  const anchors = openAnchorStore(env, policy);
  if (s3 === undefined) return { anchors, lock: openLock(env, policy, sql) };
  const archive = openObjectLock(env, s3);
  const lock = new ObjectLock(archive, Date.now);
  if (s3.role === "store") return { anchors, lock };
  return { anchors, lock: openLock(env, policy, sql), copies: [{ name: s3.url, archive, lock }] };
}

function openObjectLock(env: Env, s3: NonNullable<Policy["anchor"]["s3"]>): ObjectLockStore {
  const { ANCHOR_S3_KEY_ID: accessKeyId, ANCHOR_S3_SECRET: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey) {
    throw new Error("vars.anchor.s3 needs the secrets ANCHOR_S3_KEY_ID and ANCHOR_S3_SECRET");
  }
  return new ObjectLockStore({
    url: s3.url,
    region: s3.region,
    ...{ accessKeyId, secretAccessKey },
    retentionMs: s3.retention_days * DAY_MS,
    now: Date.now,
    fetch: request => fetch(request),
  });
}

/** The lock of the anchor bucket, as far as this worker may know of it. */
function openLock(env: Env, { lock }: Policy, sql: Sql): Lock {
  const rulesUrl = lock?.rules_url;
  const token = env.LOCK_API_TOKEN;
  if ((rulesUrl === undefined) !== !token) {
    throw new Error("vars.lock.rules_url and the secret LOCK_API_TOKEN are of no use without each other");
  }
  if (rulesUrl === undefined || !token) return plainLock(lock?.local ? "local" : "none");
  return new BucketLock({
    sql,
    bucket: lockedBucket(env.ANCHORS),
    ...{ rulesUrl, token },
    retentionSeconds: (lock!.retention_days ?? Number.POSITIVE_INFINITY) * (DAY_MS / 1000),
    now: Date.now,
    fetch: (url, init) => fetch(url, init),
  });
}

/** One ledger. Its name is the ledger's name in the policy. */
export class LedgerObject extends DurableObject<Env> implements EdgeLedger {
  #ledger!: Ledger;
  #spool!: Spool;
  #policy!: Policy;
  #publish!: () => Promise<number>;
  #retire!: () => Promise<boolean>;
  /** When the spool is due to be looked into; 0 for at once. */
  #lookAt = 0;
  /** Whether an alarm is known to be set. */
  #armed = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      const { policy, receiptKey, signerOf, trust } = await openEnvironment(env);
      const ledger = trust.ledgers.find(({ name }) => name === ctx.id.name);
      if (ledger === undefined) throw new Error(`ledger: the policy names no ledger "${ctx.id.name}"`);
      const { name, origin } = ledger;
      const signer = signerOf(origin);
      const archive = bucketArchive(env.ARCHIVE);
      const published = async (path: string) => (await archive.get(`${name}/${path}`))?.bytes;
      const newestAnchor = async () =>
        readNewestAnchor(openAnchorStore(env, policy), (await anchorObject(env).status()).latest);
      this.#ledger = new Ledger({
        sql: objectSql(ctx.storage),
        issuer: policy.issuer,
        origin,
        identity: {
          receipt: receiptKey.kid,
          checkpoint: formatVerifierKey(signer.key),
          policy: policy.hash,
        },
        published,
        now: Date.now,
        random: randomBytes,
        sha256: bytes => new Uint8Array(createHash("sha256").update(bytes).digest()),
        breathe: () => scheduler.wait(0),
        recheck: store => recheck({ store, ledger, published, newestAnchor, anchorKeys: trust.anchorKeys }),
      });
      const { retention_days: days } = policy.ledgers.find(each => each.name === name)!;
      const retentionMs = days === undefined ? undefined : days * DAY_MS;
      this.#retire = async () =>
        retentionMs !== undefined && retire({ ledger: this.#ledger, archive, name, retentionMs });
      this.#policy = policy;
      this.#spool = new Spool({
        ...{ name, origin, keys: trust.receiptKeys },
        store: bucketSpool(env.ARCHIVE),
        append: async records => {
          const placements = await this.#ledger.append(records);
          await ctx.storage.sync();
          return placements;
        },
      });
      this.#publish = () => publish({ store: this.#ledger.store, archive, name, origin, signer });
    });
  }

  async append(records: string[]): Promise<Placement[]> {
    // Before as well as after: whatever becomes durable here, an alarm is set that will publish it.
    await this.#arm();
    const placements = await this.#ledger.append(records);
    await this.#arm();
    return placements;
  }

  async control(control: Control): Promise<Placement> {
    await this.#arm();
    const placement = await this.#ledger.control(control);
    await this.#arm();
    return placement;
  }

  async find(jti: string): Promise<string[]> {
    return this.#ledger.find(jti);
  }

  async status(): Promise<LedgerStatus> {
    await this.#ledger.check();
    // An instance that has not looked into the spool yet does so before long.
    if (this.#lookAt === 0) await this.#arm();
    const { store, halted } = this.#ledger;
    return {
      size: store.head().frontier.size,
      published: store.published(),
      minimum: store.retention().minimum,
      ...(halted && { halted: { code: halted.code, reason: halted.message } }),
      alerts: listAlerts(store, this.#spool.state, this.#policy.alerts, Date.now()),
    };
  }

  /** Has the spool looked into soon: something was put there. */
  async wake(): Promise<void> {
    if (this.#lookAt === 0 && this.#armed) return;
    this.#lookAt = 0;
    this.#armed = true;
    await this.ctx.storage.setAlarm(Date.now() + PUBLISH_DELAY_MS);
  }

  override async alarm(): Promise<void> {
    // Set again first: whatever happens below, somebody will look again; at the latest after the next append.
    this.#armed = false;
    await this.ctx.storage.setAlarm(Date.now() + RETRY_DELAY_MS);
    this.#armed = true;
    const looked = Date.now() >= this.#lookAt;
    let more: boolean;
    try {
      await this.#ledger.check();
      if (looked) await this.#drain();
      if (this.#ledger.halted !== undefined) throw this.#ledger.halted;
      await this.#publish();
      more = this.#ledger.prune();
      await anchorObject(this.env).arm({
        ledger: this.ctx.id.name!,
        published: this.#ledger.store.published(),
      });
      more = (await this.#retire()) || more;
    } catch (error) {
      if (error instanceof Fault) this.#ledger.halt(error);
      console.error(`publishing ledger "${this.ctx.id.name}":`, error);
      return;
    }
    const { store } = this.#ledger;
    if (more || store.published() !== store.head().frontier.size || this.#lookAt === 0) {
      await this.ctx.storage.setAlarm(Date.now() + PUBLISH_DELAY_MS);
    } else if (!looked) {
      // Before it comes to rest, it looks whether something was put into the spool meanwhile.
      await this.ctx.storage.setAlarm(this.#lookAt);
    } else {
      this.#armed = false;
      await this.ctx.storage.deleteAlarm();
    }
  }

  async #drain(): Promise<void> {
    this.#lookAt = Date.now() + SPOOL_LOOK_MS;
    // One that has halted takes nothing: what waits is only looked at, and now and then.
    if (this.#ledger.halted !== undefined) await this.#spool.look();
    else if (await this.#spool.drain()) this.#lookAt = 0;
  }

  async #arm(): Promise<void> {
    if (this.#armed) return;
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + PUBLISH_DELAY_MS);
    }
    this.#armed = true;
  }
}

function anchorObject(env: Env): DurableObjectStub<AnchorObject> {
  return env.ANCHOR.get(env.ANCHOR.idFromName(ANCHOR_OBJECT));
}

function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

function describe(error: Error): Trouble {
  return { code: error instanceof Fault ? error.code : "unavailable", reason: error.message };
}

/** The one anchor writer. */
export class AnchorObject extends DurableObject<Env> {
  #anchorer!: Anchorer;
  #intervalMs!: number;
  #entries!: number;
  /** How many entries each ledger had published when it was first heard of since the last attempt. */
  readonly #published = new Map<string, number>();
  /** Why the last attempt wrote no anchor, if it failed. */
  #trouble: Trouble | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      const { policy, anchorKey, trust } = await openEnvironment(env);
      const { timestamp, witnesses } = policy.anchor;
      this.#intervalMs = policy.anchor.interval_seconds * 1000;
      this.#entries = policy.anchor.entries;
      this.#anchorer = new Anchorer({
        sql: objectSql(ctx.storage),
        archive: bucketArchive(env.ARCHIVE),
        ...openAnchorStores(env, policy, objectSql(ctx.storage)),
        issuer: policy.issuer,
        ledgers: trust.ledgers,
        key: anchorKey,
        now: Date.now,
        ...(witnesses && {
          cosigner: new Cosigner({
            sql: objectSql(ctx.storage),
            policy: witnesses.policy,
            required: witnesses.required,
            waitMs: witnesses.wait_ms,
            fetch: (url, init) => fetch(url, init),
          }),
        }),
        ...(timestamp && {
          timestamps: {
            every: timestamp.every,
            required: timestamp.required,
            stamp: digest =>
              requestTimestamp(digest, {
                url: timestamp.url,
                certificates: trust.timestampers!,
                fetch: (url, init) => fetch(url, init),
                random: randomBytes,
              }),
          },
        }),
      });
    });
  }

  /**
   * Sees to it that an anchor is written within the interval, or now if enough entries are new.
   * @param grown how many entries a ledger has published by now, from a ledger that has.
   */
  async arm(grown?: { readonly ledger: string; readonly published: number }): Promise<void> {
    const isEnough = grown !== undefined && this.#countNew(grown.ledger, grown.published) >= this.#entries;
    if (isEnough || (await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + (isEnough ? 0 : this.#intervalMs));
    }
  }

  /** How many entries a ledger has published since it was first heard of after the last attempt. */
  #countNew(ledger: string, published: number): number {
    const before = this.#published.get(ledger);
    if (before === undefined) this.#published.set(ledger, published);
    return published - (before ?? published);
  }

  async status(): Promise<AnchorStatus> {
    const latest = this.#anchorer.latest();
    return { ...(latest !== undefined && { latest }), ...(this.#trouble && { trouble: this.#trouble }) };
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + this.#intervalMs);
    this.#published.clear();
    try {
      await this.#anchorer.anchor();
      const [worst] = this.#anchorer.troubles;
      this.#trouble = worst && describe(worst);
      for (const trouble of this.#anchorer.troubles) console.error("anchoring:", trouble);
    } catch (error) {
      this.#trouble = describe(error as Error);
      console.error(`anchoring after epoch ${this.#anchorer.latest() ?? "none"}:`, error);
    }
    // Not waited for: no ledger may hold up the anchors of the others.
    this.ctx.waitUntil(this.#wakeLedgers().catch(error => console.error("looking into the spools:", error)));
  }

  /** Wakes the ledgers whose spools hold something: one that nobody calls would not notice. */
  async #wakeLedgers(): Promise<void> {
    for (const { name } of readPolicy(this.env).ledgers) {
      const waiting = await bucketSpool(this.env.ARCHIVE).list(formatSpoolPrefix(name), 1);
      if (waiting.length > 0) await this.env.LEDGER.get(this.env.LEDGER.idFromName(name)).wake();
    }
  }
}

/** One vault. Its name is the name of the ledger whose private values it keeps. */
export class VaultObject extends DurableObject<Env> implements EdgeVault {
  readonly #vault: Vault;
  readonly #retentionMs: number;
  /** Whether an alarm is known to be set. */
  #armed = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#retentionMs = readPolicy(env).vault.retention_days * DAY_MS;
    this.#vault = new Vault(objectSql(ctx.storage));
  }

  async keep(openings: Opening[]): Promise<void> {
    await this.#arm();
    this.#vault.keep(openings);
  }

  async find(jti: string): Promise<Opening | "erased" | undefined> {
    return this.#vault.find(jti);
  }

  async search(search: Search): Promise<Page> {
    return this.#vault.search(search);
  }

  async erase(jtis: string[]): Promise<void> {
    await this.#arm();
    this.#vault.erase(jtis);
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + VAULT_PRUNE_MS);
    const more = this.#vault.prune(Date.now() - this.#retentionMs);
    if (more) await this.ctx.storage.setAlarm(Date.now());
    if (!this.#vault.isEmpty()) return;
    this.#armed = false;
    await this.ctx.storage.deleteAlarm();
  }

  async #arm(): Promise<void> {
    if (this.#armed) return;
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + VAULT_PRUNE_MS);
    }
    this.#armed = true;
  }
}
