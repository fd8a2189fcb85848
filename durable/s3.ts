// A bucket of an S3 service, reached by signed requests (AWS Signature Version 4). Every request has a bound in time,
// every answer one in bytes, and what is put is refused by the service when it is not what was hashed here.
import { parseXml, XmlElement } from "@rgrove/parse-xml";
import { AwsClient } from "aws4fetch";
import { encodeBase64 } from "../src/tlog/base64.ts";
import { type Answer, ask } from "./ask.ts";

export interface S3Options {
  /** The URL of the bucket, path-style and without a slash at its end: `https://s3.example.com/bucket`. */
  readonly url: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly fetch: (request: Request) => Promise<Response>;
  /** How long to wait for one answer, in ms. */
  readonly waitMs?: number;
}

const WAIT_MS = 10_000;

/** The largest object and the largest listing that are read, in bytes. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** One request; the key of the bucket itself is empty. */
export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE";
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export class S3Bucket {
  readonly #options: S3Options;
  readonly #client: AwsClient;

  constructor(options: S3Options) {
    this.#options = options;
    const { accessKeyId, secretAccessKey, region } = options;
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
  }

  /** The service's answer, whatever its status. @throws when there is none within bounds, or no URL names the key. */
  async send({ method, key, query = {}, headers = {}, body }: S3Request): Promise<Answer> {
    const { waitMs = WAIT_MS, fetch } = this.#options;
    const target = this.#locate(key);
    if (target === undefined) throw new Error(`${key}: no URL names an object of this key`);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    const signed = await this.#client.sign(target.href, {
      method,
      headers,
      ...(body && { body: body as BodyInit }),
    });
    const bounds = { who: `${method} ${key || "the bucket"}`, waitMs, bytesMax: ANSWER_BYTES_MAX };
    return ask(settings => fetch(new Request(signed, settings)), bounds);
  }

  /** Puts an object with its checksum, and answers with the service's answer, whatever its status. */
  async put(key: string, body: Uint8Array, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body as BufferSource));
    const checksum = { "x-amz-checksum-sha256": encodeBase64(hash) };
    return this.send({ method: "PUT", key, body, headers: { ...headers, ...checksum } });
  }

  /** Whether a URL can name an object of this key: not one with segments of dots, which would name another. */
  names(key: string): boolean {
    return this.#locate(key) !== undefined;
  }

  #locate(key: string): URL | undefined {
    const bucket = new URL(this.#options.url);
    if (key === "") return bucket;
    const path = `${bucket.pathname}/${key.split("/").map(encodeURIComponent).join("/")}`;
    const target = new URL(path, bucket);
    return target.pathname === path ? target : undefined;
  }
}

/** What a service says when it refuses; its body names the code. */
export function refusal({ status, body }: Answer, what: string): Error {
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(new TextDecoder().decode(body))?.[1] ?? "no code";
  return new Error(`${what}: answered with status ${status}, ${code}`);
}

/** Reads a listing: the root element of this name. @throws Error when it is none. */
export function readListing(answer: Answer, name: string, what: string): XmlElement {
  if (answer.status !== 200) throw refusal(answer, what);
  const { root } = parseXml(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(answer.body));
  if (root?.name !== name) throw new Error(`${what}: expected a ${name}`);
  return root;
}

/** The elements of this name right below another. */
export function elementsOf(parent: XmlElement, name: string): XmlElement[] {
  return parent.children.filter(child => child instanceof XmlElement).filter(child => child.name === name);
}

/** The text of the one element of this name. @throws Error when there is none. */
export function textOf(parent: XmlElement, name: string): string {
  const [child] = elementsOf(parent, name);
  if (child !== undefined) return child.text;
  throw new Error(`expected a ${name} in the listing`);
}
