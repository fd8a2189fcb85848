// Clients and servers that others wrote, through the edge and without it: what an application sees must be the same.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import Fastify, { type FastifyInstance } from "fastify";
import { Agent, fetch, request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { DOCUMENTED } from "./compare.ts";
import { noise } from "./corpus/make.ts";
import { type PassThrough, startPassThrough } from "./hosts.ts";

const LONG = noise(700_000);

let server: FastifyInstance;
let passThrough: PassThrough;
let edge: Edge;
/** Keeps its connections, and sends many requests on each. */
const agent = new Agent({ connections: 4 });

beforeAll(async () => {
  server = await startServer();
  const upstream = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  [passThrough, edge] = await Promise.all([startPassThrough(upstream), startEdge({ upstream })]);
});

afterAll(async () => {
  await agent.close();
  await Promise.all([passThrough.stop(), edge.stop()]);
  server.server.closeAllConnections();
  await server.close();
});

/** A small API, as one is written with the library. */
async function startServer(): Promise<FastifyInstance> {
  const server = Fastify({ bodyLimit: 16 * 1024 * 1024 });
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.get("/items/:id", async ({ params, query }) => ({ params, query }));
  server.get("/cookies", (_request, reply) =>
    reply.header("set-cookie", ["a=1; HttpOnly", "b=2"]).header("etag", '"v1"').send("cookies"),
  );
  server.get("/gzip", (_request, reply) =>
    reply.header("content-encoding", "gzip").send(gzipSync("compressed ".repeat(100))),
  );
  server.get("/redirect", (_request, reply) => reply.redirect("/items/7?from=redirect", 302));
  server.get("/empty", (_request, reply) => reply.code(204).send());
  server.get("/long", (_request, reply) => reply.type("application/octet-stream").send(LONG));
  server.get("/stream", (_request, reply) => reply.type("text/plain").send(drip()));
  server.post("/json", async ({ body }) => ({ body }));
  server.post("/digest", async ({ body, headers }) => ({
    type: headers["content-type"],
    sha256: createHash("sha256")
      .update(body as Buffer)
      .digest("hex"),
  }));
  server.put("/items/:id", async ({ body }, reply) => reply.code(201).send(body));
  await server.listen({ host: "127.0.0.1", port: 0 });
  return server;
}

/** A body of unknown length. */
async function* drip(): AsyncGenerator<string> {
  for (let i = 0; i < 20; i++) {
    yield `line ${i}\n`;
    await setImmediate();
  }
}

/** The fields of a response without those that the edge adds, and without the time. */
function ordinary(headers: Iterable<[string, string | string[] | undefined]>) {
  const added: readonly string[] = [...DOCUMENTED.addedToResponse, "date"];
  return Object.fromEntries([...headers].filter(([name]) => !added.includes(name)));
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

type Request = [name: string, path: string, options?: NonNullable<Parameters<typeof request>[1]>];

const REQUESTS: Request[] = [
  ["a path with a parameter and a query", "/items/%C3%A9%20x?a=1&a=2&b"],
  ["a HEAD", "/items/1", { method: "HEAD" }],
  ["what there is none of", "/nothing/here"],
  ["two cookies and an ETag", "/cookies"],
  ["a compressed body", "/gzip", { headers: { "accept-encoding": "gzip" } }],
  ["a redirect", "/redirect"],
  ["nothing", "/empty"],
  ["a long body", "/long"],
  ["a body of unknown length", "/stream"],
  ["JSON", "/json", { method: "POST", headers: { "content-type": "application/json" }, body: '{"a":"ü"}' }],
  [
    "JSON that is none",
    "/json",
    { method: "POST", headers: { "content-type": "application/json" }, body: "{" },
  ],
  ["bytes", "/digest", { method: "POST", headers: { "content-type": "image/x" }, body: LONG }],
  ["a PUT", "/items/1", { method: "PUT", headers: { "content-type": "text/plain" }, body: "put" }],
  ["a DELETE that is not allowed", "/items/1", { method: "DELETE" }],
];

describe("undici and fastify agree through the edge as they do without, on", () => {
  test.each(REQUESTS)("%s", async (_name, path, options) => {
    const ask = async (base: string) => {
      const { statusCode, headers, body } = await request(`${base}${path}`, {
        dispatcher: agent,
        ...options,
      });
      return {
        statusCode,
        headers: ordinary(Object.entries(headers)),
        body: sha256(await body.bytes()),
        receipt: "audit-receipt" in headers,
      };
    };
    const [without, through] = [await ask(passThrough.url), await ask(edge.url)];
    expect(through).toEqual({ ...without, receipt: true });
  });

  test("a body of unknown length that is sent", async () => {
    const pieces = Array.from({ length: 20 }, (_, i) => noise(1000 + i));
    const ask = async (base: string) => {
      const headers = { "content-type": "application/x-lines" };
      const body = Readable.from(pieces);
      const response = await fetch(`${base}/digest`, { method: "POST", headers, body, duplex: "half" });
      return response.json();
    };
    const expected = { type: "application/x-lines", sha256: sha256(Buffer.concat(pieces)) };
    expect([await ask(passThrough.url), await ask(edge.url)]).toEqual([expected, expected]);
  });

  test("a redirect that is followed, and a text that is decoded", async () => {
    const ask = async (base: string) => {
      const redirected = await fetch(`${base}/redirect`);
      const text = await (await fetch(`${base}/gzip`)).text();
      return [redirected.redirected, await redirected.json(), text];
    };
    expect(await ask(edge.url)).toEqual(await ask(passThrough.url));
  });

  test("100 requests that share four connections", async () => {
    const ask = async (i: number) => {
      const { statusCode, body } = await request(`${edge.url}/items/${i}`, { dispatcher: agent });
      return [statusCode, await body.json()];
    };
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(i)));
    expect(answers).toEqual(answers.map((_, i) => [200, { params: { id: String(i) }, query: {} }]));
  });
});

const run = promisify(execFile);
const hasCurl = await run("curl", ["--version"]).then(
  () => true,
  () => false,
);

const CURL: [name: string, ...args: string[]][] = [
  ["a GET", "/items/1"],
  ["a HEAD", "-I", "/items/1"],
  ["a compressed body, decoded", "--compressed", "/gzip"],
  ["a redirect, followed", "-L", "/redirect"],
  ["a range", "-r", "0-9", "/long"],
  ["a condition", "-H", 'If-None-Match: "v1"', "/cookies"],
  ["a form", "--data-urlencode", "x=ü &", "--data-urlencode", "file@package.json", "/digest"],
  [
    "an upload that expects to be asked for",
    "-H",
    "Expect: 100-continue",
    "-T",
    "package-lock.json",
    "/items/1",
  ],
  ["a chunked upload", "-H", "Transfer-Encoding: chunked", "-T", "package.json", "/items/1"],
  ["an upload with HTTP/1.0", "-0", "--data-binary", "@package.json", "-H", "Content-Type: x/y", "/digest"],
  ["a method of its own", "-X", "PROPFIND", "/items/1"],
  ["two requests on one connection", "/items/1", "/items/2"],
];

describe.skipIf(!hasCurl)(
  "curl gets through the edge what it gets without (curl is needed for this), on",
  () => {
    test.each(CURL)("%s", async (_name, ...args) => {
      const ask = async (base: string) => {
        const urls = args.map(arg => (arg.startsWith("/") ? `${base}${arg}` : arg));
        const { stdout } = await run("curl", ["-sS", "-i", "--path-as-is", ...urls], {
          encoding: "latin1",
          maxBuffer: 16 * 1024 * 1024,
        });
        return stdout.split("\r\n").filter(line => !/^(date|server-timing|audit-[a-z-]+|link):/i.test(line));
      };
      expect(await ask(edge.url)).toEqual(await ask(passThrough.url));
    });
  },
);
