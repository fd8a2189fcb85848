// The storage ports over what Cloudflare offers: an object's SQLite, and R2 buckets.
import type { Archive } from "../../durable/archive.ts";
import type { Sql, SqlRow, SqlValue } from "../../durable/sql.ts";

export function objectSql(storage: DurableObjectStorage): Sql {
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
