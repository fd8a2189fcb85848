// Where an edge keeps what leaves its databases, as its policy says: the platform's own buckets, or others', and what
// locks the anchors.
import type { AnchorOptions } from "../../durable/anchor.ts";
import type { Archive } from "../../durable/archive.ts";
import { BucketLock, type Lock, type LockedBucket, ObjectLock, plainLock } from "../../durable/lock.ts";
import { ObjectLockStore } from "../../durable/objectlock.ts";
import { S3Archive } from "../../durable/s3archive.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import type { Sql } from "../../durable/sql.ts";
import { within } from "../edge/ledger.ts";
import type { Policy } from "../edge/policy.ts";
import type { Environment, Secrets } from "./environment.ts";

export interface Buckets {
  /** Where ledgers publish. */
  readonly archive: Archive;
  /** Where records wait that a ledger could not take. */
  readonly spool: SpoolStore;
  readonly anchors: Archive;
}

const DAY_SECONDS = 24 * 3600;

/** How long a store of the platform's own may take for one thing, in ms. Those of S3 services have bounds of their own. */
const OWN_WAIT_MS = 30_000;

/** The buckets that the policy names, or else the platform's own. @throws Error that names what is missing. */
export function openBuckets(environment: Environment, own: Buckets): Buckets {
  const { policy, secrets } = environment;
  const { archive, anchor } = policy;
  const store = archive.s3 && new S3Archive({ ...archive.s3, ...accessTo("archive", secrets), fetch: send });
  return {
    archive: store ?? boundArchive(own.archive),
    spool: store ?? boundSpool(own.spool),
    anchors: anchor.s3?.role === "store" ? openObjectLock(environment, anchor.s3) : boundArchive(own.anchors),
  };
}

function bound<A extends unknown[], T>(ask: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  return (...args) => within(OWN_WAIT_MS, ask(...args));
}

/** The same archive; what it has not done in time is an error, though it may be done later. */
function boundArchive(archive: Archive): Archive {
  return {
    get: bound(key => archive.get(key)),
    putIfAbsent: bound((key, bytes) => archive.putIfAbsent(key, bytes)),
    replace: bound((key, bytes, version) => archive.replace(key, bytes, version)),
    delete: bound(keys => archive.delete(keys)),
  };
}

function boundSpool(spool: SpoolStore): SpoolStore {
  return {
    list: bound((prefix, count) => spool.list(prefix, count)),
    read: bound((key, bytesMax) => spool.read(key, bytesMax)),
    putIfAbsent: bound((key, bytes) => spool.putIfAbsent(key, bytes)),
    delete: bound(keys => spool.delete(keys)),
  };
}

/**
 * The lock of the bucket in which the anchors lie, and the other stores that get them.
 * @param own the lock of the platform's own bucket. @throws as openBuckets.
 */
export function openLocks(environment: Environment, own: Lock): Pick<AnchorOptions, "lock" | "copies"> {
  const { s3 } = environment.policy.anchor;
  if (s3 === undefined) return { lock: own };
  const archive = openObjectLock(environment, s3);
  const lock = new ObjectLock(archive, environment.sources.now);
  return s3.role === "store" ? { lock } : { lock: own, copies: [{ name: s3.url, archive, lock }] };
}

function openObjectLock(
  { secrets, sources }: Environment,
  s3: NonNullable<Policy["anchor"]["s3"]>,
): ObjectLockStore {
  return new ObjectLockStore({
    url: s3.url,
    region: s3.region,
    ...accessTo("anchor", secrets),
    retentionMs: s3.retention_days * DAY_SECONDS * 1000,
    now: sources.now,
    fetch: send,
  });
}

/** The access key of the bucket that a setting names. @throws Error */
function accessTo(
  setting: "archive" | "anchor",
  secrets: Secrets,
): { accessKeyId: string; secretAccessKey: string } {
  const name = setting === "archive" ? "ARCHIVE" : "ANCHOR";
  const [id, secret] = [`${name}_S3_KEY_ID`, `${name}_S3_SECRET`] as const;
  const { [id]: accessKeyId, [secret]: secretAccessKey } = secrets;
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  throw new Error(`vars.${setting}.s3 needs the secrets ${id} and ${secret}`);
}

function send(request: Request): Promise<Response> {
  return fetch(request);
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
    retentionSeconds: (lock!.retention_days ?? Number.POSITIVE_INFINITY) * DAY_SECONDS,
    now: sources.now,
    fetch: (url, init) => fetch(url, init),
  });
}
