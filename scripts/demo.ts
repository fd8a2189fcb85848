// The demo upstream: a small HTTP API to play with when there is no other. It does a little of everything
// that an edge must pass through unharmed: bodies both ways, streams, redirects, cookies, compression.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import { gzipSync } from "node:zlib";

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void;

/** Limits of a demo that may run for days: bytes of a body, number of orders, bytes of a big answer. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_ORDERS = 1000;
const MAX_BIG_BYTES = 1024 ** 3;

/** What the demo answers, by method and path, or by path alone for any method. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  "GET /": (_request, response) => sendJson(response, 200, { try: Object.keys(HANDLERS) }),
  "GET /hello": (_request, response, url) =>
    sendJson(response, 200, { hello: url.searchParams.get("name") ?? "world" }),
  "GET /orders": (_request, response) => sendJson(response, 200, orders),
  "POST /orders": placeOrder,
  "/echo": echo,
  "GET /big": sendBig,
  "GET /events": sendEvents,
  "GET /gzip": (_request, response) =>
    send(response, 200, { "content-type": "text/plain", "content-encoding": "gzip" }, gzipSync(LINES)),
  "GET /redirect": (_request, response) => send(response, 302, { location: "/hello" }, "See /hello\n"),
  "GET /cookies": (_request, response) =>
    send(
      response,
      200,
      { "set-cookie": ["flavour=oat; Path=/", "size=large; Path=/; HttpOnly"] },
      "Two cookies\n",
    ),
};

const LINES = "A counterfoil is the part that the issuer keeps.\n".repeat(100);

/** The orders that were placed since the process started. */
const orders: { id: number; order: unknown }[] = [];

/** Starts the demo upstream on a free port of the loopback interface, for as long as the process lives. */
export async function startDemo(): Promise<string> {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://demo");
  const method = request.method === "HEAD" ? "GET" : request.method;
  const handler = HANDLERS[`${method} ${url.pathname}`] ?? HANDLERS[url.pathname];
  if (handler === undefined)
    return sendJson(response, 404, { error: `nothing at ${method} ${url.pathname}` });
  await handler(request, response, url);
}

async function placeOrder(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  if (body === undefined)
    return sendJson(response, 413, { error: `an order has at most ${MAX_BODY_BYTES} bytes` });
  const order = parseJson(body);
  if (order === undefined) return sendJson(response, 400, { error: "an order is JSON" });
  if (orders.length >= MAX_ORDERS)
    return sendJson(response, 507, { error: `${MAX_ORDERS} orders are enough` });
  const placed = { id: orders.length + 1, order };
  orders.push(placed);
  sendJson(response, 201, placed);
}

/** Answers with the request as it arrived here, behind the edge. */
async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  if (body === undefined) return sendJson(response, 413, { error: `echoes at most ${MAX_BODY_BYTES} bytes` });
  const { method, url: target, headers } = request;
  sendJson(response, 200, { method, target, headers, body });
}

async function sendBig(_request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
  const bytes = Number(url.searchParams.get("bytes") ?? 1024 * 1024);
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > MAX_BIG_BYTES) {
    return sendJson(response, 400, { error: `bytes is a number up to ${MAX_BIG_BYTES}` });
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes });
  await pipeline(zeros(bytes), response);
}

function* zeros(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(64 * 1024);
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
}

async function sendEvents(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  await pipeline(events(), response);
}

async function* events(): AsyncGenerator<string> {
  for (let tick = 1; tick <= 10; tick++) {
    yield `id: ${tick}\ndata: tick ${tick} of 10\n\n`;
    await wait(500);
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks).toString() : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, { "content-type": "application/json" }, `${JSON.stringify(value)}\n`);
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string | string[]>,
  body: string | Buffer,
): void {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
}
