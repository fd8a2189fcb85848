// A bucket of an S3 service under Object Lock, as the store of anchors or as a second copy of them. Every object is
// put once, with COMPLIANCE retention, which nobody can shorten or remove, the account's owner included.
//
// S3 keeps versions: a second put of a key does not fail, it makes a newer version, and a plain delete only hides
// all of them. So the object of a key is its oldest version, whatever has been put on top of it since.
import { parseXml, XmlElement } from "@rgrove/parse-xml";
import { AwsClient } from "aws4fetch";
import { encodeBase64 } from "../src/tlog/base64.ts";
import { readAnswer } from "./answer.ts";
import type { Archive, Versioned } from "./archive.ts";

export interface ObjectLockOptions {
  /** The URL of the bucket, without a slash at its end: `https://s3.example.com/bucket`. */
  readonly url: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** For how long what is put is retained, in ms. */
  readonly retentionMs: number;
  readonly now: () => number;
  readonly fetch: (request: Request) => Promise<Response>;
  /** How long to wait for one answer, in ms. */
  readonly waitMs?: number;
}

/** The retention of one version, as the service tells it. */
export interface Retention {
  /** `COMPLIANCE`, `GOVERNANCE` or `none`. */
  readonly mode: string;
  /** RFC 3339; left out when there is none. */
  readonly until?: string;
  readonly legalHold: boolean;
}

const WAIT_MS = 10_000;

/** The largest object and the largest listing that are read, in bytes. */
const OBJECT_BYTES_MAX = 8 * 1024 * 1024;

/** How many versions of one key are looked through for the oldest: 1000 on each page. */
const PAGES_MAX = 100;

export class ObjectLockStore implements Archive {
  readonly #options: ObjectLockOptions;
  readonly #client: AwsClient;

  constructor(options: ObjectLockOptions) {
    this.#options = options;
    const { accessKeyId, secretAccessKey, region } = options;
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
  }

  /** The oldest version of a key; `version` is its version id. */
  async get(key: string): Promise<Versioned | undefined> {
    const version = await this.#oldest(key);
    if (version === undefined) return undefined;
    const response = await this.#send("GET", key, { versionId: version });
    if (response.status !== 200) throw await refusal(response, `GET ${key}`);
    return { bytes: await readAnswer(response, `GET ${key}`, OBJECT_BYTES_MAX), version };
  }

  /**
   * Puts an object under retention, unless there is one. Of writers that put at once, the oldest version has won,
   * and what the others have put stays beside it, retained like it and never read.
   */
  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    if ((await this.#oldest(key)) !== undefined) return false;
    const { now, retentionMs } = this.#options;
    const checksum = encodeBase64(
      new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)),
    );
    const response = await this.#send("PUT", key, {}, bytes, {
      "if-none-match": "*",
      "x-amz-checksum-sha256": checksum,
      "x-amz-object-lock-mode": "COMPLIANCE",
      "x-amz-object-lock-retain-until-date": new Date(now() + retentionMs).toISOString(),
    });
    await response.body?.cancel();
    // 412: somebody was faster, and the service honours If-None-Match. 409: two conditional puts at once.
    if (response.status === 412 || response.status === 409) return false;
    if (response.status !== 200) throw new Error(`PUT ${key}: answered with status ${response.status}`);
    const version = response.headers.get("x-amz-version-id");
    if (version === null) {
      throw new Error(`PUT ${key}: the bucket keeps no versions, so it cannot have Object Lock`);
    }
    return (await this.#oldest(key)) === version;
  }

  /** The retention of a version, read back from the service. */
  async readRetention(key: string, version: string): Promise<Retention> {
    const response = await this.#send("HEAD", key, { versionId: version });
    if (response.status !== 200) throw new Error(`HEAD ${key}: answered with status ${response.status}`);
    const until = response.headers.get("x-amz-object-lock-retain-until-date");
    return {
      mode: response.headers.get("x-amz-object-lock-mode") ?? "none",
      ...(until !== null && { until: new Date(until).toISOString() }),
      legalHold: response.headers.get("x-amz-object-lock-legal-hold") === "ON",
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
      const response = await this.#send("GET", "", { versions: "", prefix: key, ...from });
      if (response.status !== 200) throw await refusal(response, `versions of ${key}`);
      const listing = parseListing(await readAnswer(response, `versions of ${key}`, OBJECT_BYTES_MAX));
      // A key's versions come newest first, and keys that only begin like this one come after it.
      oldest = listing.versions.findLast(version => version.key === key)?.id ?? oldest;
      if (listing.next === undefined || listing.next.key !== key) return oldest;
      from = { "key-marker": listing.next.key, "version-id-marker": listing.next.id };
    }
    throw new Error(`${key}: has more versions than anybody has reason to put`);
  }

  async #send(
    method: string,
    key: string,
    query: Readonly<Record<string, string>>,
    body?: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const { url, waitMs = WAIT_MS, fetch } = this.#options;
    const target = new URL(key === "" ? url : `${url}/${key}`);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    const signed = await this.#client.sign(target.href, {
      method,
      headers,
      ...(body && { body: body as BodyInit }),
    });
    return fetch(new Request(signed, { signal: AbortSignal.timeout(waitMs), redirect: "manual" }));
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

/** Reads a ListVersionsResult; delete markers are no versions. @throws Error when it is none. */
function parseListing(bytes: Uint8Array): Listing {
  const { root } = parseXml(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  if (root?.name !== "ListVersionsResult") throw new Error("expected a ListVersionsResult");
  const children = root.children.filter(child => child instanceof XmlElement);
  const versions = children
    .filter(({ name }) => name === "Version")
    .map(version => ({ key: textOf(version, "Key"), id: textOf(version, "VersionId") }));
  if (textOf(root, "IsTruncated") !== "true") return { versions };
  return {
    versions,
    next: { key: textOf(root, "NextKeyMarker"), id: textOf(root, "NextVersionIdMarker") },
  };
}

function textOf(parent: XmlElement, name: string): string {
  const child = parent.children.find(child => child instanceof XmlElement && child.name === name);
  if (child instanceof XmlElement) return child.text;
  throw new Error(`expected a ${name} in the listing of versions`);
}

/** What a service says when it refuses; its body names the code. */
async function refusal(response: Response, what: string): Promise<Error> {
  const text = new TextDecoder().decode(await readAnswer(response, what, 64 * 1024));
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1] ?? "no code";
  return new Error(`${what}: answered with status ${response.status}, ${code}`);
}
