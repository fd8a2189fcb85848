// A stand-in for an S3 bucket, over HTTP and in memory: versions, delete markers, COMPLIANCE retention, and a service
// that honours If-None-Match and If-Match or, as Ceph may, ignores them. It checks no signature; the real thing does,
// in test/long/objectlock.long.ts.
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface S3Version {
  readonly key: string;
  readonly id: string;
  /** Undefined is a delete marker. */
  readonly bytes: Buffer | undefined;
  readonly mode: string | undefined;
  readonly until: string | undefined;
}

export class S3 {
  /** The oldest first. */
  readonly versions: S3Version[] = [];
  honoursConditions = true;
  keepsVersions = true;
  /** Whether whoever asks may only read. */
  refusesWrites = false;
  /** How many versions or keys one page of a listing has. */
  pageSize = 2;
  /** The status that every request is answered with instead, if any. */
  trouble: number | undefined;
  url = "";

  async start(): Promise<() => void> {
    const server = createServer((request, response) => this.#answer(request, response)).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/anchors`;
    return () => {
      server.close();
      server.closeAllConnections();
    };
  }

  put(key: string, bytes: Buffer | undefined, headers: Record<string, unknown> = {}): string {
    const id = randomUUID();
    const mode = headers["x-amz-object-lock-mode"] as string | undefined;
    const until = headers["x-amz-object-lock-retain-until-date"] as string | undefined;
    this.versions.push({ key, id, bytes, mode, until });
    return id;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const { pathname, searchParams } = new URL(request.url!, "http://s3");
    const key = decodeURIComponent(pathname.slice("/anchors/".length));
    const refuses = this.refusesWrites && /^(PUT|DELETE)$/.test(request.method!);
    if (this.trouble !== undefined || refuses) {
      const { trouble = 403 } = this;
      return void response.writeHead(trouble).end("<Error><Code>AccessDenied</Code></Error>");
    }
    if (searchParams.has("versions")) return void response.end(this.#list(searchParams));
    if (searchParams.has("list-type")) return void response.end(this.#listKeys(searchParams));
    const id = searchParams.get("versionId");
    const newest = this.#newest(key);
    if (request.method === "PUT") {
      if (this.honoursConditions && !meetsCondition(request, newest)) {
        return void response.writeHead(412).end();
      }
      const id = this.put(key, body, request.headers);
      return void response.writeHead(200, this.keepsVersions ? { "x-amz-version-id": id } : {}).end();
    }
    if (request.method === "DELETE") {
      this.put(key, undefined);
      return void response.writeHead(204).end();
    }
    const version = id === null ? newest : this.versions.find(version => version.id === id);
    if (version?.bytes === undefined) return void response.writeHead(404).end();
    const range = /^bytes=0-(\d+)$/.exec(request.headers.range ?? "");
    const bytes = range === null ? version.bytes : version.bytes.subarray(0, Number(range[1]) + 1);
    if (range !== null && bytes.length === 0) return void response.writeHead(416).end();
    response.writeHead(range === null ? 200 : 206, {
      "content-length": bytes.length,
      etag: etagOf(version.bytes),
      ...(version.mode && { "x-amz-object-lock-mode": version.mode }),
      ...(version.until && { "x-amz-object-lock-retain-until-date": version.until }),
    });
    response.end(request.method === "HEAD" ? undefined : bytes);
  }

  /** The newest version of a key, or its delete marker. */
  #newest(key: string): S3Version | undefined {
    return this.versions.findLast(version => version.key === key);
  }

  /** A page of ListObjectsV2: keys in order, of what is not deleted. */
  #listKeys(query: URLSearchParams): string {
    const all = [...new Set(this.versions.map(({ key }) => key))]
      .filter(key => key.startsWith(query.get("prefix")!) && this.#newest(key)!.bytes !== undefined)
      .sort();
    const after = Number(query.get("continuation-token") ?? 0);
    const page = all.slice(after, after + Math.min(this.pageSize, Number(query.get("max-keys"))));
    const truncated = after + page.length < all.length;
    const next = `<NextContinuationToken>${after + page.length}</NextContinuationToken>`;
    const elements = page.map(key => `<Contents><Key>${encodeURIComponent(key)}</Key></Contents>`);
    return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${truncated}</IsTruncated>${truncated ? next : ""}<EncodingType>url</EncodingType>${elements.join("")}</ListBucketResult>`;
  }

  /** A page of ListObjectVersions: keys in order, the versions of each the newest first. */
  #list(query: URLSearchParams): string {
    const all = this.versions
      .filter(({ key }) => key.startsWith(query.get("prefix")!))
      .toReversed()
      .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    const after = all.findIndex(({ id }) => id === query.get("version-id-marker")) + 1;
    const page = all.slice(after, after + this.pageSize);
    const last = page.at(-1);
    const truncated = after + page.length < all.length;
    const elements = page.map(({ key, id, bytes }) => {
      const name = bytes === undefined ? "DeleteMarker" : "Version";
      return `<${name}><Key>${key}</Key><VersionId>${id}</VersionId></${name}>`;
    });
    const next = `<NextKeyMarker>${last?.key}</NextKeyMarker><NextVersionIdMarker>${last?.id}</NextVersionIdMarker>`;
    return `<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>anchors</Name><IsTruncated>${truncated}</IsTruncated>${truncated ? next : ""}${elements.join("")}</ListVersionsResult>`;
  }
}

function etagOf(bytes: Buffer): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}

/** Whether a conditional put may go on (RFC 9110 section 13.1). */
function meetsCondition({ headers }: IncomingMessage, newest: S3Version | undefined): boolean {
  if (headers["if-none-match"] === "*") return newest?.bytes === undefined;
  if (headers["if-match"] === undefined) return true;
  return newest?.bytes !== undefined && etagOf(newest.bytes) === headers["if-match"];
}
