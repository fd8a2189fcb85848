// What a caller of fetch can see of an exchange, as the verifier takes it. Fetch hides things: the requests before a
// redirect, the bytes before a content coding was undone. What cannot be seen is left out here, or said to be altered.
// What it cannot hide is the trace that a request was sent in: by that, a receipt is of this request and of no other.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Body, formatDigest } from "../receipt/digest.ts";
import type { MadeExchange } from "./exchange.ts";

/** A request, as it was sent. */
export interface Sent {
  readonly method: string;
  readonly url: string;
  /** Undefined when nobody knows. */
  readonly body: Body | undefined;
  /** Whether whatever a redirect leads to is what was asked for. */
  readonly isRedirectAllowed: boolean;
  readonly traceId?: string | undefined;
}

/** What is seen of an exchange, apart from the response's body. */
export function seeExchange(sent: Sent, response: Response): MadeExchange {
  const { method, url, body, isRedirectAllowed, traceId } = sent;
  const { status, headers, redirected } = response;
  const coding = headers.get("content-encoding") ?? "identity";
  // Whether a redirect has turned the request into another, nobody tells; a GET and a HEAD stay what they are.
  const isKept = !redirected || method === "GET" || method === "HEAD";
  const isElsewhere = redirected && !(isKept && response.url === url.replace(/#.*/s, ""));
  return {
    seen: {
      url: redirected ? response.url : url,
      status,
      ...(isKept && { method }),
      ...(isKept && body && { requestBody: body }),
    },
    headers,
    ...(isKept && body === undefined && { isUnsent: true }),
    ...(coding !== "identity" && { altered: `a body with Content-Encoding: ${coding}, which fetch undoes` }),
    ...(isElsewhere && !isRedirectAllowed && { redirected: `${method} ${url}` }),
    ...(traceId !== undefined && { traceId }),
  };
}

/** How many random bytes a traceparent takes: a trace id and a span id. */
export const TRACE_BYTES = 24;

/** A traceparent that begins a trace, and asks nobody to record it (W3C Trace Context, section 3.2). */
export function makeTraceparent(random: Uint8Array): string {
  const id = bytesToHex(random);
  return `00-${id.slice(0, 32)}-${id.slice(32)}-00`;
}

/** The id of the trace that a request is part of; undefined when it names none, or not as level 1 does. */
export function findTraceId(headers: Headers): string | undefined {
  const traceparent = headers.get("traceparent") ?? "";
  return /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.exec(traceparent)?.[1];
}

/** All of a body. */
export async function readBody(message: Request | Response): Promise<Uint8Array> {
  return new Uint8Array(await message.arrayBuffer());
}

/** What is to be told of a body that is passed on. */
export interface Onlooker {
  /** All of it has passed: if this rejects, the body breaks off with the reason instead of ending. */
  end(body: { readonly digest: string }): Promise<void>;
  /** It broke off, or its reader had enough. */
  broken(reason: unknown): void;
}

/** The same body, digested on its way; no faster than it is read, and nothing of it is kept. */
export function passOn(
  body: ReadableStream<Uint8Array>,
  { end, broken }: Onlooker,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const hash = sha256.create();
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { done, value } = await reader.read().catch(error => {
          broken(error);
          throw error;
        });
        if (done) {
          await end({ digest: formatDigest(hash.digest()) });
          return controller.close();
        }
        hash.update(value);
        controller.enqueue(value as Uint8Array<ArrayBuffer>);
      },
      async cancel(reason) {
        broken(reason);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
