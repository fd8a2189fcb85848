// The Web as a program sees it: a fetch that reaches one edge, with a hand on what comes back.
import { createTrust, formatTrust } from "../../../src/client/index.ts";
import type { Fetch } from "../../../src/client/sender.ts";
import { createWorld, ISSUER, type World } from "../../world.ts";
import { openEdge, type Send } from "./edge.ts";

export const URL_OF = `${ISSUER}/v1/orders?page=2`;
export const PREFIX = `${ISSUER}/.well-known/audit/`;

export interface Web {
  readonly fetch: Fetch;
  /** The requests that were sent. */
  readonly sent: Request[];
  /** What came from the edge is changed here on its way. */
  onTheWay: (response: Response, request: Request) => Response | Promise<Response>;
}

/** A fetch that reaches the edge of a world alone. It follows no redirect, and knows no cache. */
export function openWeb(world: World): Web {
  const reach = fetchOver(openEdge(world, answer).send);
  const web: Web = {
    sent: [],
    onTheWay: response => response,
    async fetch(input, init) {
      const request = new Request(input, init);
      web.sent.push(request.clone());
      return web.onTheWay(await reach(request), request);
    },
  };
  return web;
}

/** A new edge, the way to it, and whom its trust document says to believe. */
export async function openClient() {
  const world = await createWorld();
  const web = openWeb(world);
  return { world, web, fetch: web.fetch, trust: await createTrust(formatTrust(world.trust)) };
}

/** A network that is down. */
export const refuse: Fetch = async () => {
  throw new TypeError("fetch failed");
};

/** What a promise rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  let result: unknown;
  try {
    result = await work;
  } catch (error) {
    return error;
  }
  throw new Error(`it resolved with ${result}`);
}

export const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The same response with another body. */
export const withBody = (response: Response, body: string) => new Response(body, response);

/** The API behind the edge. A streamed response gets its receipt before its end. */
async function answer(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = `${request.method} ${pathname}${search} ${await request.text()}`.trim();
  const headers = { "content-length": String(body.length) };
  if (request.method === "HEAD") return new Response(null, { headers });
  if (pathname === "/stream") return new Response(streamOf(body, " more"));
  if (pathname === "/redirect")
    return new Response(null, { status: 302, headers: { location: "/elsewhere" } });
  if (pathname === "/empty") return new Response(null, { status: 204 });
  return new Response(body, { headers });
}

/** Chunks, each when it is asked for. */
export function streamOf(...chunks: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return pull(async () => bytesOf(chunks.shift() ?? ""));
}

export function fetchOver(send: Send): Fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const bytes = new Uint8Array(await request.arrayBuffer());
    const { status, headers, body } = await send({
      method: request.method,
      url: request.url,
      headers: [...request.headers],
      ...(bytes.length > 0 && { body: bytes }),
    });
    const chunks = body[Symbol.asyncIterator]();
    const isEmpty = request.method === "HEAD" || [101, 204, 205, 304].includes(status);
    const next = async () => {
      const { done, value } = await chunks.next();
      return done ? new Uint8Array() : new Uint8Array(value);
    };
    const stream = isEmpty ? null : pull(next, async () => chunks.return?.());
    return new Response(stream, { status, headers });
  };
}

/** A stream of chunks up to an empty one. */
function pull(next: () => Promise<Uint8Array<ArrayBuffer>>, cancel: () => unknown = () => {}) {
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const chunk = await next();
      if (chunk.length === 0) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: async () => {
      await cancel();
    },
  });
}
