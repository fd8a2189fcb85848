// The Durable Object shells: they hand the platform's storage, clock and buckets to the ledger and the
// anchor writer, take calls in and keep the alarms. Nothing is decided here.
import { DurableObject } from "cloudflare:workers";
import { type Policy, parsePolicy } from "../src/edge/policy.ts";
import { formatAnchorPath } from "../src/receipt/anchor.ts";
import { importSigningKey } from "../src/receipt/key.ts";
import type { TrustedLedger } from "../src/receipt/trust.ts";
import { Fault } from "../src/tlog/fault.ts";
import { ED25519, formatVerifierKey, makeNoteKey, type NoteSigner } from "../src/tlog/note.ts";
import { Anchorer } from "./anchor.ts";
import type { Archive } from "./archive.ts";
import { Ledger, type Placement } from "./ledger.ts";
import { publish } from "./publish.ts";
import { recheck } from "./recheck.ts";
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

/** What a ledger says of itself. */
export interface LedgerStatus {
  readonly size: number;
  readonly published: number;
  /** Why it takes no records, if it does not. */
  readonly halted?: { readonly code: string; readonly reason: string };
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
      const policy = readPolicy(env);
      const ledger = policy.ledgers.find(({ name }) => name === ctx.id.name);
      if (ledger === undefined) throw new Error(`ledger: the policy names no ledger "${ctx.id.name}"`);
      const { name, origin } = ledger;
      const signer = await checkpointSigner(env, origin);
      const anchorKey = await importSigningKey(env.ANCHOR_KEY, "ANCHOR_KEY");
      const { kid } = await importSigningKey(env.RECEIPT_KEY, "RECEIPT_KEY");
      const archive = bucketArchive(env.ARCHIVE);
      const published = async (path: string) => (await archive.get(`${name}/${path}`))?.bytes;
      const trusted: TrustedLedger = { name, origin, keys: [signer.key] };
      this.#ledger = new Ledger({
        sql: objectSql(ctx.storage),
        issuer: policy.issuer,
        origin,
        identity: { receipt: kid, checkpoint: formatVerifierKey(signer.key), policy: policy.hash },
        published,
        now: Date.now,
        random: count => crypto.getRandomValues(new Uint8Array(count)),
        breathe: () => scheduler.wait(0),
        recheck: store =>
          recheck({
            store,
            ledger: trusted,
            published,
            newestAnchor: () => newestAnchor(env),
            anchorKeys: [anchorKey.publicJwk],
          }),
      });
      this.#publish = () => publish({ store: this.#ledger.store, archive, name, origin, signer });
    });
  }

  async append(records: string[]): Promise<Placement[]> {
    const placements = await this.#ledger.append(records);
    await this.#arm();
    return placements;
  }

  async find(jti: string): Promise<string[]> {
    return this.#ledger.find(jti);
  }

  async status(): Promise<LedgerStatus> {
    await this.#ledger.check();
    const { store, halted } = this.#ledger;
    const sizes = { size: store.head().frontier.size, published: store.published() };
    return halted === undefined ? sizes : { ...sizes, halted: { code: halted.code, reason: halted.message } };
  }

  override async alarm(): Promise<void> {
    // Set again first: whatever happens below, somebody will look again.
    await this.ctx.storage.setAlarm(Date.now() + RETRY_DELAY_MS);
    try {
      await this.#ledger.check();
      if (this.#ledger.halted !== undefined) throw this.#ledger.halted;
      await this.#publish();
      this.#ledger.prune();
    } catch (error) {
      if (error instanceof Fault) this.#ledger.halt(error);
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

/** The newest anchor object: the newest that its writer knows of, and any that were put after that. */
async function newestAnchor(env: Env): Promise<string | undefined> {
  const anchors = bucketArchive(env.ANCHORS);
  const known = await env.ANCHOR.get(env.ANCHOR.idFromName(ANCHOR_OBJECT)).latest();
  let newest: string | undefined;
  for (let epoch = known ?? 0; ; epoch++) {
    const object = await anchors.get(formatAnchorPath(epoch));
    if (object === undefined) {
      if (epoch === known)
        throw new Fault("missing", `${formatAnchorPath(epoch)}: is gone from the anchor store`);
      return newest;
    }
    newest = new TextDecoder().decode(object.bytes);
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
      return object === null
        ? undefined
        : { bytes: new Uint8Array(await object.arrayBuffer()), version: object.etag };
    },
    async putIfAbsent(key, bytes) {
      return (await bucket.put(key, bytes, { onlyIf: { etagDoesNotMatch: "*" } })) !== null;
    },
    async replace(key, bytes, version) {
      return (await bucket.put(key, bytes, { onlyIf: { etagMatches: version } })) !== null;
    },
    async delete(keys) {
      await bucket.delete([...keys]);
    },
  };
}
