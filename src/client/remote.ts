// Reading an edge's own URLs: where its reserved prefix is, and what stands at an address below it.
import { Undecided } from "./outcome.ts";
import type { Sender } from "./platform.ts";

/** The reserved prefix that an edge has unless it is configured otherwise. */
const DEFAULT_PREFIX = "/.well-known/audit/";

/** Larger than any object of an archive, in bytes. */
export const OBJECT_BYTES_MAX = 16 * 1024 * 1024;

/** How long a read waits for more bytes, in ms; longer than an edge may be asked to wait. */
const IDLE_MS = 30_000;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Reads one URL. Any status is an answer. @throws Undecided when there is none, or a boundless one. */
export async function readUrl(
  sender: Sender,
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await sender.send({
    method: "GET",
    url,
    headers: [["accept-encoding", "identity"], ...Object.entries(headers)],
    idleMs: IDLE_MS,
  });
  const body = await readAll(response.body, url);
  return { status: response.status, headers: response.headers, body };
}

/** Whether a place that a person named is a URL, and not a file. */
export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** Reads a URL that a person gave. @throws Undecided */
export function parseUrl(text: string): URL {
  if (isUrl(text) && URL.canParse(text)) return new URL(text);
  throw new Undecided("this is not a URL", { expected: "http:// or https:// and a host", found: text });
}

/** The reserved prefix of an API, where it is unless it was configured otherwise. */
export function defaultPrefix(url: URL): string {
  return url.origin + DEFAULT_PREFIX;
}

/** Where an edge gives out the newest receipt of an exchange. */
export function receiptUrl(prefix: string, jti: string): string {
  return `${prefix}receipts/${encodeURIComponent(jti)}`;
}

/**
 * Where the reserved prefix of a URL may be, likeliest first: the URL is that of an API, of the prefix
 * itself, or of the trust document below it.
 */
export function possiblePrefixes(url: URL): string[] {
  const path = url.pathname.replace(/\/?(trust)?$/, "/");
  const end = path.indexOf(DEFAULT_PREFIX);
  if (end !== -1) return [url.origin + path.slice(0, end + DEFAULT_PREFIX.length)];
  return path === "/" ? [defaultPrefix(url)] : [defaultPrefix(url), url.origin + path];
}

/** All bytes of a body. @throws Undecided when there are more than any object has that an edge serves. */
export async function readAll(chunks: AsyncIterable<Uint8Array>, url: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > OBJECT_BYTES_MAX) {
      throw new Undecided(`${url}: larger than anything that an edge serves there`, {
        expected: `at most ${OBJECT_BYTES_MAX} bytes`,
      });
    }
    parts.push(chunk);
  }
  return concatenate(parts);
}

/** Joins chunks of a body. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
