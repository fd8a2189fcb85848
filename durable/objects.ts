// The Durable Object shells: they hand the platform's storage, clock and buckets to the ledger and the
// anchor writer, take calls in and keep the alarms. Nothing is decided here.
import { DurableObject } from "cloudflare:workers";
import { type Policy, parsePolicy } from "../src/edge/policy.ts";
import { importSigningKey } from "../src/receipt/key.ts";
import { ED25519, makeNoteKey, type NoteSigner } from "../src/tlog/note.ts";
import { Anchorer } from "./anchor.ts";
import type { Archive } from "./archive.ts";
import { Ledger, type Placement } from "./ledger.ts";
import { publish } from "./publish.ts";
import type { Sql, SqlRow, SqlValue } from "./sql.ts";

/** The bindings of wrangler.toml, and the secrets. Everything else in the environment is policy. */
export interface Env {
  readonly LEDGER: DurableObjectNamespace<LedgerObject>;
  readonly ANCHOR: DurableObjectNamespace<AnchorObject>;
  readonly ARCHIVE: R2Bucket;
  readonly ANCHORS: R2Bucket;
  readonly RECEIPT_KEY: string;
  readonly CHECKPOINT_KEY: string;
  readonly ANCHOR_KEY: string;
  readonly OPERATOR_TOKEN_SHA256?: string;
}

const BINDINGS = [
  "LEDGER",
  "ANCHOR",
  "ARCHIVE",
  "ANCHORS",
  "RECEIPT_KEY",
  "CHECKPOINT_KEY",
  "ANCHOR_KEY",
  "OPERATOR_TOKEN_SHA256",
];

/** How long after an append its publication is due, in ms: one checkpoint a second at the most. */
const PUBLISH_DELAY_MS = 1000;

/** How long to wait after a publication or an anchor that failed, in ms. */
const RETRY_DELAY_MS = 10_000;

/** The one object that writes anchors. */
export const ANCHOR_OBJECT = "anchors";

export function readPolicy(env: Env): Policy {
  return parsePolicy(Object.fromEntries(Object.entries(env).filter(([name]) => !BINDINGS.includes(name))));
}

/** The signer of one ledger's checkpoints: the checkpoint key under the ledger's origin as its name. */
export async function checkpointSigner(env: Env, origin: string): Promise<NoteSigner> {
  const key = await importSigningKey(env.CHECKPOINT_KEY, "CHECKPOINT_KEY");
  return { key: makeNoteKey(origin, ED25519, key.publicKey), sign: key.sign };
}

/** One ledger. Its name is the ledger's name in the policy. */
export class LedgerObject extends DurableObject<Env> {
  #ledger!: Ledger;
  #publish!: () => Promise<number>;
  /** Whether an alarm is known to be set. */
  #armed = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      const ledger = readPolicy(env).ledgers.find(({ name }) => name === ctx.id.name);
      if (ledger === undefined) throw new Error(`ledger: the policy names no ledger "${ctx.id.name}"`);
      const { kid } = await importSigningKey(env.RECEIPT_KEY, "RECEIPT_KEY");
      const signer = await checkpointSigner(env, ledger.origin);
      this.#ledger = new Ledger({
        sql: objectSql(ctx.storage),
        origin: ledger.origin,
        kid,
        now: Date.now,
        breathe: () => scheduler.wait(0),
      });
      const archive = bucketArchive(env.ARCHIVE);
      this.#publish = () => publish({ store: this.#ledger.store, archive, ...ledger, signer });
    });
  }

  async append(records: string[]): Promise<Placement[]> {
    const placements = await this.#ledger.append(records);
    await this.#arm();
    return placements;
  }

  async find(jti: string): Promise<string[]> {
    return this.#ledger.store.findEntries(jti).map(({ text }) => text);
  }

  override async alarm(): Promise<void> {
    // Set again first: whatever happens below, somebody will look again.
    await this.ctx.storage.setAlarm(Date.now() + RETRY_DELAY_MS);
    try {
      await this.#publish();
    } catch (error) {
      console.error("publish:", error);
      return;
    }
    await this.env.ANCHOR.get(this.env.ANCHOR.idFromName(ANCHOR_OBJECT)).arm();
    const { store } = this.#ledger;
    if (store.published() === store.head().frontier.size) {
      this.#armed = false;
      await this.ctx.storage.deleteAlarm();
    } else {
      await this.ctx.storage.setAlarm(Date.now() + PUBLISH_DELAY_MS);
    }
  }

  async #arm(): Promise<void> {
    if (this.#armed) return;
    this.#armed = true;
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + PUBLISH_DELAY_MS);
    }
  }
}

/** The one anchor writer. */
export class AnchorObject extends DurableObject<Env> {
  #anchorer!: Anchorer;
  #intervalMs!: number;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      const policy = readPolicy(env);
      this.#intervalMs = policy.anchor.interval_seconds * 1000;
      this.#anchorer = new Anchorer({
        sql: objectSql(ctx.storage),
        archive: bucketArchive(env.ARCHIVE),
        anchors: bucketArchive(env.ANCHORS),
        issuer: policy.issuer,
        ledgers: await Promise.all(
          policy.ledgers.map(async ({ name, origin }) => ({
            name,
            origin,
            keys: [(await checkpointSigner(env, origin)).key],
          })),
        ),
        key: await importSigningKey(env.ANCHOR_KEY, "ANCHOR_KEY"),
        now: Date.now,
        lock: { kind: "none" },
      });
    });
  }

  /** Sees to it that an anchor is written within the interval. */
  async arm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + this.#intervalMs);
    }
  }

  /** The newest epoch that is known to be written. */
  async latest(): Promise<number | undefined> {
    return this.#anchorer.latest();
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + this.#intervalMs);
    try {
      await this.#anchorer.anchor();
    } catch (error) {
      console.error("anchor:", error);
    }
  }
}

function objectSql(storage: DurableObjectStorage): Sql {
  return {
    all: (statement, ...values) =>
      storage.sql
        .exec(statement, ...(values as SqlStorageValue[]))
        .toArray()
        .map(
          row =>
            Object.fromEntries(
              Object.entries(row).map(([name, value]) => [name, readValue(value)]),
            ) as SqlRow,
        ),
    transaction: work => storage.transactionSync(work),
  };
}

function readValue(value: SqlStorageValue): SqlValue {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

export function bucketArchive(bucket: R2Bucket): Archive {
  return {
    async get(key) {
      const object = await bucket.get(key);
      return object === null ? undefined : new Uint8Array(await object.arrayBuffer());
    },
    async putIfAbsent(key, bytes) {
      return (await bucket.put(key, bytes, { onlyIf: { etagDoesNotMatch: "*" } })) !== null;
    },
    async put(key, bytes) {
      await bucket.put(key, bytes);
    },
  };
}
