// A bucket of an S3 service under Object Lock, as the store of anchors or as a second copy of them. Every object is
// put once, with COMPLIANCE retention, which nobody can shorten or remove, the account's owner included.
//
// S3 keeps versions: a second put of a key does not fail, it makes a newer version, and a plain delete only hides
// all of them. So the object of a key is its oldest version, whatever has been put on top of it since.
import type { XmlElement } from "@rgrove/parse-xml";
import type { Archive, Versioned } from "./archive.ts";
import { elementsOf, readListing, refusal, S3Bucket, type S3Options, textOf } from "./s3.ts";

export interface ObjectLockOptions extends S3Options {
  /** For how long what is put is retained, in ms. */
  readonly retentionMs: number;
  readonly now: () => number;
}

/** The retention of one version, as the service tells it. */
export interface Retention {
  /** `COMPLIANCE`, `GOVERNANCE` or `none`. */
  readonly mode: string;
  /** RFC 3339; left out when there is none. */
  readonly until?: string;
  readonly legalHold: boolean;
}

/** How many versions of one key are looked through for the oldest: 1000 on each page. */
const PAGES_MAX = 100;

export class ObjectLockStore implements Archive {
  readonly #options: ObjectLockOptions;
  readonly #bucket: S3Bucket;

  constructor(options: ObjectLockOptions) {
    this.#options = options;
    this.#bucket = new S3Bucket(options);
  }

  /** The oldest version of a key; `version` is its version id. */
  async get(key: string): Promise<Versioned | undefined> {
    const version = await this.#oldest(key);
    if (version === undefined) return undefined;
    const answer = await this.#bucket.send({ method: "GET", key, query: { versionId: version } });
    if (answer.status !== 200) throw refusal(answer, `GET ${key}`);
    return { bytes: answer.body, version };
  }

  /**
   * Puts an object under retention, unless there is one. Of writers that put at once, the oldest version has won,
   * and what the others have put stays beside it, retained like it and never read.
   */
  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    if ((await this.#oldest(key)) !== undefined) return false;
    const { now, retentionMs } = this.#options;
    const { status, headers } = await this.#bucket.put(key, bytes, {
      "if-none-match": "*",
      "x-amz-object-lock-mode": "COMPLIANCE",
      "x-amz-object-lock-retain-until-date": new Date(now() + retentionMs).toISOString(),
    });
    // 412: somebody was faster, and the service honours If-None-Match. 409: two conditional puts at once.
    if (status === 412 || status === 409) return false;
    if (status !== 200) throw new Error(`PUT ${key}: answered with status ${status}`);
    const version = headers.get("x-amz-version-id");
    if (version === null) {
      throw new Error(`PUT ${key}: the bucket keeps no versions, so it cannot have Object Lock`);
    }
    return (await this.#oldest(key)) === version;
  }

  /** The retention of a version, read back from the service. */
  async readRetention(key: string, version: string): Promise<Retention> {
    const { status, headers } = await this.#bucket.send({
      method: "HEAD",
      key,
      query: { versionId: version },
    });
    if (status !== 200) throw new Error(`HEAD ${key}: answered with status ${status}`);
    const until = headers.get("x-amz-object-lock-retain-until-date");
    return {
      mode: headers.get("x-amz-object-lock-mode") ?? "none",
      ...(until !== null && { until: new Date(until).toISOString() }),
      legalHold: headers.get("x-amz-object-lock-legal-hold") === "ON",
    };
  }

  /** Nothing here is ever replaced. */
  replace(key: string): Promise<boolean> {
    throw new Error(`${key}: a store under Object Lock holds nothing that is replaced`);
  }

  /** Nothing here is ever deleted. */
  delete(keys: readonly string[]): Promise<void> {
    throw new Error(`${keys.join(", ")}: a store under Object Lock holds nothing that is deleted`);
  }

  /** The id of the oldest version of a key, hidden by a delete marker or not. */
  async #oldest(key: string): Promise<string | undefined> {
    let oldest: string | undefined;
    let from: Record<string, string> = {};
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = { versions: "", prefix: key, ...from };
      const answer = await this.#bucket.send({ method: "GET", key: "", query });
      const listing = readVersions(readListing(answer, "ListVersionsResult", `versions of ${key}`));
      // A key's versions come newest first, and keys that only begin like this one come after it.
      oldest = listing.versions.findLast(version => version.key === key)?.id ?? oldest;
      if (listing.next === undefined || listing.next.key !== key) return oldest;
      from = { "key-marker": listing.next.key, "version-id-marker": listing.next.id };
    }
    throw new Error(`${key}: has more versions than anybody has reason to put`);
  }
}

interface Version {
  readonly key: string;
  readonly id: string;
}

interface Listing {
  readonly versions: readonly Version[];
  readonly next?: Version;
}

/** Reads a ListVersionsResult; delete markers are no versions. */
function readVersions(root: XmlElement): Listing {
  const versions = elementsOf(root, "Version").map(version => ({
    key: textOf(version, "Key"),
    id: textOf(version, "VersionId"),
  }));
  if (textOf(root, "IsTruncated") !== "true") return { versions };
  return {
    versions,
    next: { key: textOf(root, "NextKeyMarker"), id: textOf(root, "NextVersionIdMarker") },
  };
}
