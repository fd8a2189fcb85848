// A bucket of an S3 service as the archive and the spool. It writes only under conditions that the service checks:
// an object is put if there is none, and replaced if it is still of the version that was read.
//
// Not every service checks them (Ceph's radosgw ignores them in a bucket with versions, older ones everywhere): it
// would let the second of two writers overwrite the first. So before an instance writes, it tries the conditions out,
// and writes nothing where they are ignored.
import type { XmlElement } from "@rgrove/parse-xml";
import type { Archive, Versioned } from "./archive.ts";
import { elementsOf, readListing, refusal, S3Bucket, type S3Options, textOf } from "./s3.ts";
import type { SpoolStore } from "./spool.ts";

/** What the conditions are tried out on. No ledger's path and no path of the spool is without a slash. */
const PROBE_KEY = "conditions-probe";
const PROBE = new TextEncoder().encode(
  "Counterfoil tries out on this object whether writes may be conditional.\n",
);

/** An ETag that no object has. */
const NO_VERSION = '"00000000000000000000000000000000"';

/** How often a write is tried that the service did not decide on, because of another one at the same time. */
const ATTEMPTS_MAX = 3;

/** How many objects are deleted at once: a worker has six connections. */
const DELETES_AT_ONCE = 5;

/** How many pages of a listing are read: a service may put as few keys on one as it likes. */
const PAGES_MAX = 100;

export class S3Archive implements Archive, SpoolStore {
  readonly #bucket: S3Bucket;
  /** Whether the service was seen to check conditions. No promise: requests must not share one. */
  #checksConditions = false;

  constructor(options: S3Options) {
    this.#bucket = new S3Bucket(options);
  }

  async get(key: string): Promise<Versioned | undefined> {
    const answer = await this.#bucket.send({ method: "GET", key });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusal(answer, `GET ${key}`);
    const version = answer.headers.get("etag");
    if (version === null) throw new Error(`GET ${key}: answered without an ETag`);
    return { bytes: answer.body, version };
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    await this.#requireConditions();
    return this.#put(key, bytes, { "if-none-match": "*" });
  }

  async replace(key: string, bytes: Uint8Array, version: string): Promise<boolean> {
    await this.#requireConditions();
    return this.#put(key, bytes, { "if-match": version });
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += DELETES_AT_ONCE) {
      await Promise.all(keys.slice(at, at + DELETES_AT_ONCE).map(key => this.#delete(key)));
    }
  }

  /** The first keys below a prefix, but for those that no URL can name: the edge has put none of them. */
  async list(prefix: string, count: number): Promise<string[]> {
    const keys: string[] = [];
    let from: Record<string, string> = {};
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = { "list-type": "2", "encoding-type": "url", "max-keys": String(count), prefix, ...from };
      const answer = await this.#bucket.send({ method: "GET", key: "", query });
      const listing = readListing(answer, "ListBucketResult", `list ${prefix}`);
      keys.push(...readKeys(listing).filter(key => key.startsWith(prefix) && this.#bucket.names(key)));
      if (keys.length >= count || textOf(listing, "IsTruncated") !== "true") return keys.slice(0, count);
      from = { "continuation-token": textOf(listing, "NextContinuationToken") };
    }
    throw new Error(`list ${prefix}: has more pages than anybody has reason to fill`);
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const headers = { range: `bytes=0-${bytesMax - 1}` };
    const answer = await this.#bucket.send({ method: "GET", key, headers });
    if (answer.status === 404) return undefined;
    // 416: there is no first byte (RFC 9110 section 14.1.2).
    if (answer.status === 416) return new Uint8Array();
    if (answer.status !== 206 && answer.status !== 200) throw refusal(answer, `GET ${key}`);
    return answer.body.subarray(0, bytesMax);
  }

  /** @returns whether it was written; not, when the condition did not hold. */
  async #put(key: string, bytes: Uint8Array, condition: Readonly<Record<string, string>>): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#bucket.put(key, bytes, condition);
      if (answer.status === 200) return true;
      // 404: there is nothing to match.
      if (answer.status === 412 || (answer.status === 404 && "if-match" in condition)) return false;
      if (answer.status !== 409 || attempt === ATTEMPTS_MAX) throw refusal(answer, `PUT ${key}`);
    }
  }

  async #delete(key: string): Promise<void> {
    const answer = await this.#bucket.send({ method: "DELETE", key });
    if (![200, 204, 404].includes(answer.status)) throw refusal(answer, `DELETE ${key}`);
  }

  async #requireConditions(): Promise<void> {
    if (this.#checksConditions) return;
    await this.#put(PROBE_KEY, PROBE, { "if-none-match": "*" });
    for (const condition of [{ "if-none-match": "*" }, { "if-match": NO_VERSION }]) {
      if (!(await this.#put(PROBE_KEY, PROBE, condition))) continue;
      const [field] = Object.keys(condition);
      throw new Error(
        `the archive's S3 service ignores ${field} on PUT: nothing is written where it could overwrite`,
      );
    }
    this.#checksConditions = true;
  }
}

/** The keys of a ListBucketResult, which may be percent-encoded: XML cannot carry all of them. */
function readKeys(listing: XmlElement): string[] {
  const keys = elementsOf(listing, "Contents").map(object => textOf(object, "Key"));
  if (elementsOf(listing, "EncodingType").length === 0) return keys;
  return keys.map(key => decodeURIComponent(key.replaceAll("+", " ")));
}
