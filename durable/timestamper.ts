// A client of a timestamp authority (RFC 3161 section 3.4). What it returns has been verified, is for this
// digest and answers this request; it waits and reads no more than it must.
import {
  formatTimestampRequest,
  parseTimestampResponse,
  trimToken,
  verifyTimestamp,
} from "../src/receipt/timestamp.ts";
import { ask } from "./ask.ts";

/** How long an authority may take, in ms, and the most that it may answer, in bytes. */
const TIMESTAMP_WAIT_MS = 10_000;
const RESPONSE_BYTES_MAX = 65_536;
const NONCE_BYTES = 16;

export interface TimestamperOptions {
  readonly url: string;
  /** Certificates in DER, as in the trust document. */
  readonly certificates: readonly Uint8Array[];
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly random: (bytes: number) => Uint8Array;
  readonly waitMs?: number;
}

/**
 * Has a SHA-256 digest timestamped.
 * @returns the token, with no more certificates than its path has.
 * @throws Error when the authority cannot be reached or refuses, Fault when its token does not hold.
 */
export async function requestTimestamp(digest: Uint8Array, options: TimestamperOptions): Promise<Uint8Array> {
  const { url, certificates, random, waitMs = TIMESTAMP_WAIT_MS } = options;
  const nonce = random(NONCE_BYTES);
  const who = `timestamp authority ${url}`;
  const request = {
    method: "POST",
    headers: { "content-type": "application/timestamp-query", accept: "application/timestamp-reply" },
    body: formatTimestampRequest(digest, nonce) as BodyInit,
  };
  const { status, headers, body } = await ask(settings => options.fetch(url, { ...request, ...settings }), {
    who,
    waitMs,
    bytesMax: RESPONSE_BYTES_MAX,
  });
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (status !== 200 || type !== "application/timestamp-reply") {
    throw new Error(
      `${who}: expected status 200 and application/timestamp-reply, found status ${status} and ${type ?? "no type"}`,
    );
  }
  const answer = parseTimestampResponse(body);
  if ("refused" in answer) throw new Error(`${who}: refused: ${answer.refused}`);
  const token = await trimToken(answer.token, certificates);
  await verifyTimestamp(token, digest, certificates, nonce);
  return token;
}
