// What is known of the lock on the anchors when an anchor is written: read from where it is kept, and tried out. It
// goes into the anchor, so that whoever weakens a lock later cannot have been unseen. A lock that cannot be looked
// at, or is weaker than was asked for, stops no anchor; the anchor says so, and a person is told.
import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { type AnchorPayload, formatAnchorPath } from "../src/receipt/anchor.ts";
import { encodeBase64url } from "../src/tlog/base64.ts";
import { ask } from "./ask.ts";
import type { ObjectLockStore } from "./objectlock.ts";
import type { Sql, SqlRow } from "./sql.ts";

/** The evidence of a lock, as an anchor carries it. */
export type Evidence = AnchorPayload["lock"];

export interface LockReport {
  readonly evidence: Evidence;
  /** What a person should look at. */
  readonly troubles: readonly Error[];
}

export interface Lock {
  /** Looks at the lock. @param newest the epoch of the newest anchor that is written, if there is one. */
  look(newest: number | undefined): Promise<LockReport>;
}

/** A lock of which nothing is known but its kind: `none` where there is none, `local` in a folder of this machine. */
export function plainLock(kind: "none" | "local"): Lock {
  return { look: async () => ({ evidence: { kind }, troubles: [] }) };
}

/** A bucket whose objects the platform is to refuse to overwrite and to delete. */
export interface LockedBucket {
  /** @returns false when there is one already. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Overwrites an object. @throws Error that names R2's code. */
  overwrite(key: string, bytes: Uint8Array): Promise<void>;
  /** Deletes an object. @throws Error that names R2's code. */
  delete(key: string): Promise<void>;
}

export interface BucketLockOptions {
  readonly sql: Sql;
  readonly bucket: LockedBucket;
  /** The address of the bucket's lock rules in Cloudflare's API, and a token that may read them. */
  readonly rulesUrl: string;
  readonly token: string;
  /** For how long the rules must hold everything in the bucket, in seconds; Infinity is for ever. */
  readonly retentionSeconds: number;
  readonly now: () => number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** How long to wait for the API, in ms. */
  readonly waitMs?: number;
}

const RuleSchema = v.looseObject({
  enabled: v.optional(v.boolean(), true),
  prefix: v.optional(v.string(), ""),
  condition: v.variant("type", [
    v.looseObject({ type: v.literal("Age"), maxAgeSeconds: v.number() }),
    v.looseObject({ type: v.literal("Date"), date: v.string() }),
    v.looseObject({ type: v.literal("Indefinite") }),
  ]),
});

const AnswerSchema = v.looseObject({
  success: v.literal(true),
  result: v.looseObject({ rules: v.optional(v.array(RuleSchema), []) }),
});

const WAIT_MS = 10_000;
const RULES_BYTES_MAX = 256 * 1024;

const encoder = new TextEncoder();

/**
 * The lock of an R2 bucket: its rules as Cloudflare's API tells them, and once a day a canary, an object under the
 * same rules that is overwritten and deleted on purpose. It is never an anchor.
 */
export class BucketLock implements Lock {
  readonly #options: BucketLockOptions;

  constructor(options: BucketLockOptions) {
    this.#options = options;
    options.sql.all(
      `CREATE TABLE IF NOT EXISTS canary (
         day TEXT PRIMARY KEY, overwrite TEXT, removal TEXT, at TEXT) WITHOUT ROWID`,
    );
  }

  async look(): Promise<LockReport> {
    const troubles: Error[] = [];
    const keep = (error: Error) => {
      troubles.push(error);
      return undefined;
    };
    const rules = await this.#readRules().catch(keep);
    await this.#tryCanary().catch(keep);
    const canary = this.#newestCanary();
    if (rules !== undefined && rules.holds_seconds !== "indefinitely") {
      const { retentionSeconds } = this.#options;
      if (rules.holds_seconds < retentionSeconds) {
        const reason = `expected to hold everything for ${retentionSeconds} s, found ${rules.holds_seconds} s`;
        troubles.push(new Error(`the lock rules of the anchor bucket: ${reason}`));
      }
    }
    for (const [what, outcome] of Object.entries({
      overwritten: canary?.overwrite,
      deleted: canary?.removal,
    })) {
      if (outcome === "accepted") troubles.push(new Error(`the lock does not hold: the canary was ${what}`));
    }
    return {
      evidence: { kind: "r2-bucket-lock", ...(rules && { rules }), ...(canary && { canary }) },
      troubles,
    };
  }

  /** The rules as they were told, their hash, and for how long they hold whatever is in the bucket. */
  async #readRules() {
    const { rulesUrl, token, now, fetch, waitMs = WAIT_MS } = this.#options;
    const who = "the lock rules of the anchor bucket";
    const headers = { authorization: `Bearer ${token}` };
    const bounds = { who, waitMs, bytesMax: RULES_BYTES_MAX };
    const { status, body } = await ask(settings => fetch(rulesUrl, { headers, ...settings }), bounds);
    const text = new TextDecoder().decode(body);
    const answer = v.safeParse(AnswerSchema, parseJson(text));
    if (status !== 200 || !answer.success) throw new Error(`${who}: could not be read, status ${status}`);
    const told = JSON.stringify((JSON.parse(text) as v.InferInput<typeof AnswerSchema>).result.rules ?? []);
    const seconds = Math.max(0, ...answer.output.result.rules.map(secondsOf));
    return {
      text: told,
      sha256: encodeBase64url(sha256(encoder.encode(told))),
      holds_seconds: seconds === Number.POSITIVE_INFINITY ? ("indefinitely" as const) : seconds,
      read_at: new Date(now()).toISOString(),
    };
  }

  /**
   * Tries the lock out, once a day. The canary of a day is put at one time and tried at a later one: R2 takes one
   * write a second for a key, and a write that comes too soon is refused whether there is a lock or not. One that is
   * gone before it is tried, or before the next day, was deleted by somebody: the lock has not held it.
   */
  async #tryCanary(): Promise<void> {
    const { sql, bucket, now } = this.#options;
    const time = new Date(now()).toISOString();
    const day = time.slice(0, 10);
    const [known] = sql.all("SELECT at FROM canary WHERE day = ?", day);
    if (known?.at) return;
    if (known === undefined && (await this.#isLastGone(day))) return this.#note(day, null, "accepted", time);
    const key = keyOf(day);
    if (await bucket.putIfAbsent(key, contentOf(day))) {
      if (known !== undefined) return this.#note(day, null, "accepted", time);
      sql.all("INSERT OR IGNORE INTO canary VALUES (?, NULL, NULL, NULL)", day);
      return;
    }
    const overwrite = await outcomeOf(bucket.overwrite(key, encoder.encode("Overwritten.\n")));
    const removal = await outcomeOf(bucket.delete(key));
    this.#note(day, overwrite, removal, time);
  }

  /** Whether the canary of the last day before is gone, though it must still be held. It is put again then. */
  async #isLastGone(day: string): Promise<boolean> {
    const { sql, bucket, now, retentionSeconds } = this.#options;
    const [last] = sql.all("SELECT day, removal FROM canary WHERE day < ? ORDER BY day DESC LIMIT 1", day);
    if (last === undefined || last.removal === "accepted") return false;
    const before = last.day as string;
    const isHeld = Date.parse(before) + retentionSeconds * 1000 > now();
    return isHeld && bucket.putIfAbsent(keyOf(before), contentOf(before));
  }

  /** Remembers how the canary of a day has fared, and none before it. */
  #note(day: string, overwrite: string | null, removal: string, at: string): void {
    const { sql } = this.#options;
    sql.transaction(() => {
      sql.all("INSERT OR REPLACE INTO canary VALUES (?, ?, ?, ?)", day, overwrite, removal, at);
      sql.all("DELETE FROM canary WHERE day < ?", day);
    });
  }

  /** How the newest one has fared that was tried, or was gone. */
  #newestCanary(): SqlRow | undefined {
    const [row] = this.#options.sql.all(
      "SELECT day, overwrite, removal, at FROM canary WHERE at IS NOT NULL ORDER BY day DESC LIMIT 1",
    );
    return row && Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
  }
}

function keyOf(day: string): string {
  return `canary/${day}`;
}

function contentOf(day: string): Uint8Array {
  return encoder.encode(`The canary of ${day}.\n`);
}

/** Whether R2 refused a write because a lock rule holds the object: its code is that of ObjectLockedByBucketPolicy. */
export function isLocked({ message }: Error): boolean {
  return /\b10069\b/.test(message);
}

/** How an attempt ended that a lock must refuse. @throws when it ended for another reason than a lock. */
async function outcomeOf(attempt: Promise<void>): Promise<"refused" | "accepted"> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    if (isLocked(error as Error)) return "refused";
    throw error;
  }
}

/** For how many seconds a rule holds whatever is written. A date says nothing of what is written after it. */
function secondsOf({ enabled, prefix, condition }: v.InferOutput<typeof RuleSchema>): number {
  if (!enabled || prefix !== "") return 0;
  if (condition.type === "Indefinite") return Number.POSITIVE_INFINITY;
  return condition.type === "Age" ? condition.maxAgeSeconds : 0;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The lock of a bucket under S3 Object Lock: the retention of the newest anchor, read back, with its version id. */
export class ObjectLock implements Lock {
  readonly #store: ObjectLockStore;
  readonly #now: () => number;

  constructor(store: ObjectLockStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  async look(newest: number | undefined): Promise<LockReport> {
    const kind = "s3-object-lock";
    if (newest === undefined) return { evidence: { kind }, troubles: [] };
    const key = formatAnchorPath(newest);
    try {
      const object = await this.#store.get(key);
      if (object === undefined) throw new Error(`${key}: is not in the store under Object Lock`);
      const { mode, until, legalHold } = await this.#store.readRetention(key, object.version);
      const read_at = new Date(this.#now()).toISOString();
      const evidence = {
        ...{ kind, epoch: newest, version: object.version, mode },
        ...(until !== undefined && { until }),
        ...{ legal_hold: legalHold, read_at },
      };
      const holds = mode === "COMPLIANCE" && until !== undefined && until > read_at;
      const found = `found mode ${mode}${until === undefined ? "" : ` until ${until}`}`;
      const weak = new Error(`${key}: expected COMPLIANCE retention that has not ended, ${found}`);
      return { evidence, troubles: holds ? [] : [weak] };
    } catch (error) {
      return { evidence: { kind }, troubles: [error as Error] };
    }
  }
}
