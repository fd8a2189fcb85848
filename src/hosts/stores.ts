// The storage ports over what Cloudflare offers: an object's SQLite and alarm, and R2 buckets.
import type { Alarm } from "../../durable/alarm.ts";
import type { Archive } from "../../durable/archive.ts";
import { isLocked, type LockedBucket } from "../../durable/lock.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import type { Sql, SqlRow } from "../../durable/sql.ts";

export function objectSql(storage: DurableObjectStorage): Sql {
  return {
    all(statement, ...values) {
      const rows = storage.sql.exec(statement, ...(values as SqlStorageValue[])).toArray();
      for (const row of rows) wrapBlobs(row);
      return rows as SqlRow[];
    },
    transaction: work => storage.transactionSync(work),
  };
}

/** Makes the blobs of a row, which is nobody else's, the bytes that the port promises. */
function wrapBlobs(row: Record<string, unknown>): void {
  for (const name in row) {
    const value = row[name];
    if (value instanceof ArrayBuffer) row[name] = new Uint8Array(value);
  }
}

export function objectAlarm(storage: DurableObjectStorage): Alarm {
  return {
    get: () => storage.getAlarm(),
    set: atMs => storage.setAlarm(atMs),
    clear: () => storage.deleteAlarm(),
  };
}

export function bucketArchive(bucket: R2Bucket): Archive {
  return {
    async get(key) {
      const object = await bucket.get(key);
      return object === null
        ? undefined
        : { bytes: new Uint8Array(await object.arrayBuffer()), version: object.etag };
    },
    putIfAbsent: (key, bytes) => putOnce(bucket, key, bytes),
    async replace(key, bytes, version) {
      return (await bucket.put(key, bytes, { onlyIf: { etagMatches: version } })) !== null;
    },
    async delete(keys) {
      await bucket.delete([...keys]);
    },
  };
}

/** The same bucket, with what its lock must refuse: only a canary is ever treated so. */
export function lockedBucket(bucket: R2Bucket): LockedBucket {
  return {
    putIfAbsent: (key, bytes) => putOnce(bucket, key, bytes),
    async overwrite(key, bytes) {
      await bucket.put(key, bytes);
    },
    delete: key => bucket.delete(key),
  };
}

export function bucketSpool(bucket: R2Bucket): SpoolStore {
  return {
    async list(prefix, count) {
      return (await bucket.list({ prefix, limit: count })).objects.map(({ key }) => key);
    },
    async read(key, bytesMax) {
      const object = await bucket.get(key, { range: { offset: 0, length: bytesMax } });
      return object === null ? undefined : new Uint8Array(await object.arrayBuffer());
    },
    putIfAbsent: (key, bytes) => putOnce(bucket, key, bytes),
    async delete(keys) {
      await bucket.delete([...keys]);
    },
  };
}

async function putOnce(bucket: R2Bucket, key: string, bytes: Uint8Array): Promise<boolean> {
  // R2 refuses the object if it is not what was hashed here.
  const sha256 = await crypto.subtle.digest("SHA-256", bytes);
  try {
    return (await bucket.put(key, bytes, { onlyIf: { etagDoesNotMatch: "*" }, sha256 })) !== null;
  } catch (error) {
    // What a lock holds is there.
    if (isLocked(error as Error)) return false;
    throw error;
  }
}
