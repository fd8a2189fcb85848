// What a client and an upstream see of each other through the edge, in real workerd.
import { type AddressInfo, connect, createServer } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parseSeed } from "../../src/receipt/disclosure.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import type { SeenExchange } from "../../src/receipt/match.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { parseTrust, type Trust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { pullEntries, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { type Answer, eventually, send, startUpstream, type Upstream } from "./upstream.ts";

const GZIPPED = gzipSync("a text that was compressed by the upstream ".repeat(20));
const LONG = Buffer.alloc(1_000_000, "counterfoil ");

let upstream: Upstream;
const timers: NodeJS.Timeout[] = [];
/** The paths of the requests that have come to the upstream. */
const arrived = new Set<string>();
let edge: Edge;
let trust: Trust;

beforeAll(async () => {
  upstream = await startUpstream((request, response, body) => {
    const { pathname, searchParams } = new URL(request.url!, "http://upstream");
    arrived.add(pathname);
    switch (pathname) {
      case "/gzip":
        return response
          .writeHead(200, { "content-encoding": "gzip", "content-length": GZIPPED.length })
          .end(GZIPPED);
      case "/redirect":
        return response.writeHead(302, { location: "/elsewhere#fragment" }).end("moved");
      case "/cookies":
        response.setHeader("set-cookie", ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]);
        return response.end("two cookies");
      case "/forged":
        return response.writeHead(200, { "audit-receipt": "forged", "audit-id": "forged" }).end("forged");
      case "/long":
        return response.writeHead(200, { "content-length": LONG.length }).end(LONG);
      case "/endless":
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("data: first\n\n");
        // Goes on, since an edge notices that its client has gone when it next writes to it.
        timers.push(setInterval(() => response.write("data: next\n\n"), 50));
        return;
      case "/cut":
        response.writeHead(200, { "content-length": Number(searchParams.get("length")) });
        return response.write("the beginning", () => response.destroy());
      case "/never":
        return;
      case "/silent":
        response.writeHead(200, { "content-type": "text/event-stream" });
        return response.write("data: only\n\n");
      case "/stalled":
        response.writeHead(200, { "content-length": 1000 });
        return response.write("x");
      case "/status":
        return response.writeHead(Number(searchParams.get("code")), { etag: '"x"' }).end();
      default: {
        const { method, url, headers } = request;
        const seen = JSON.stringify({ method, url, headers, body: body.toString("base64") });
        return response
          .writeHead(200, { "content-length": Buffer.byteLength(seen) })
          .end(method === "HEAD" ? "" : seen);
      }
    }
  });
  edge = await startEdge({ upstream: upstream.url });
  trust = parseTrust((await read(edge, "trust")).toString());
});

afterAll(async () => {
  for (const timer of timers) clearInterval(timer);
  await edge.stop();
  upstream.close();
});

/** Sends a request and verifies its receipt against everything that the client knows. */
async function exchange(path: string, options: Parameters<typeof send>[1] = {}) {
  const url = `${edge.url}${path}`;
  const answer = await send(url, options);
  const seen: SeenExchange = {
    method: options.method ?? "GET",
    url,
    requestBody: Buffer.from(options.body ?? ""),
    status: answer.status,
    responseBody: answer.body,
  };
  const verdict = await verify(answer, seen);
  return { ...answer, ...verdict };
}

function verify(answer: Answer, seen: SeenExchange) {
  const receipt = answer.headers["audit-receipt"] as string;
  const seed = parseSeed(answer.headers["audit-receipt-seed"] as string);
  return verifyEvidence({ receipt, seed, exchange: seen }, trust);
}

/** The receipt of an exchange's ending, as soon as there is one. */
async function ending(jti: string) {
  return eventually(async () => {
    const text = (await read(edge, `receipts/${jti}`, { prefer: "wait=5" })).toString();
    const { record } = parseReceipt(text).entry;
    return record.stage === "started" ? undefined : { text, record };
  });
}

const EVERYTHING = ["method", "host", "path", "query", "request body", "status", "response body"];

describe("through the edge", () => {
  test.each(["GET", "DELETE", "OPTIONS"])(
    "%s reaches the upstream with its path and query as they are",
    async method => {
      const { body, matched } = await exchange("/a%20b/c?x=1&x=2&y=%C3%A9", { method });
      expect(JSON.parse(body.toString())).toMatchObject({ method, url: "/a%20b/c?x=1&x=2&y=%C3%A9" });
      expect(matched).toEqual(EVERYTHING);
    },
  );

  test.each([0, 5, 70_000])(
    "a request body of %i bytes reaches the upstream whole, with its length",
    async length => {
      const sent = Buffer.alloc(length, "x");
      const { body, receipt } = await exchange("/echo", {
        method: "POST",
        body: sent,
        headers: { "content-length": String(length), "content-type": "text/x" },
      });
      const seen = JSON.parse(body.toString());
      expect(Buffer.from(seen.body, "base64").equals(sent)).toBe(true);
      expect(seen.headers).toMatchObject({ "content-length": String(length), "content-type": "text/x" });
      expect(receipt.entry.record.req!.size).toBe(length);
    },
  );

  test("a chunked request body reaches the upstream whole", async () => {
    const { body } = await exchange("/echo", {
      method: "PUT",
      body: "chunked",
      headers: { "transfer-encoding": "chunked" },
    });
    expect(Buffer.from(JSON.parse(body.toString()).body, "base64").toString()).toBe("chunked");
  });

  test.each([200, 201, 204, 304, 404, 418, 503])("status %i comes back as it is", async code => {
    const { status, headers, rungs } = await exchange(`/status?code=${code}`);
    expect([status, headers.etag]).toEqual([code, '"x"']);
    expect(rungs).toEqual(["signed", "matched"]);
  });

  test("HEAD comes back with the length of what GET would bring, and no body", async () => {
    const { headers, body, receipt } = await exchange("/echo", { method: "HEAD" });
    expect(Number(headers["content-length"])).toBeGreaterThan(50);
    expect([body.length, receipt.entry.record.res!.size]).toEqual([0, 0]);
  });

  test("a redirect is passed on and not followed", async () => {
    const { status, headers, body } = await exchange("/redirect");
    expect([status, headers.location, body.toString()]).toEqual([302, "/elsewhere#fragment", "moved"]);
  });

  test("a compressed body is not touched", async () => {
    const { headers, body, matched } = await exchange("/gzip");
    expect(headers["content-encoding"]).toBe("gzip");
    expect(body.equals(GZIPPED)).toBe(true);
    expect(matched).toContain("response body");
  });

  test("several cookies stay several", async () => {
    const { headers } = await exchange("/cookies");
    expect(headers["set-cookie"]).toEqual(["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]);
  });

  test("header fields of one hop stop here and the others go on, with who asked", async () => {
    const { body } = await exchange("/echo", {
      headers: { connection: "x-hop", "x-hop": "1", te: "trailers", "x-end": "2", "audit-receipt": "forged" },
    });
    const { headers } = JSON.parse(body.toString());
    expect(headers).toMatchObject({ "x-end": "2", "x-forwarded-host": new URL(edge.url).host });
    expect(headers["audit-id"]).toBe(headers["x-request-id"]);
    for (const name of ["x-hop", "te", "audit-receipt"]) expect(headers[name]).toBeUndefined();
  });

  test("an upstream cannot forge a receipt", async () => {
    const { headers, rungs } = await exchange("/forged");
    expect(headers["audit-receipt"]).not.toContain("forged");
    expect(headers["audit-id"]).not.toContain("forged");
    expect(rungs).toContain("signed");
  });

  test("the link in the response leads to the same receipt, bit for bit", async () => {
    const { headers } = await exchange("/echo");
    const link = /<([^>]+)>; rel="audit-receipt"/.exec(headers.link as string)![1]!;
    const again = await send(link);
    expect(again.body.toString()).toBe(headers["audit-receipt"]);
    expect(link).toContain(headers["audit-id"]);
  });

  test("the proof of a receipt carries it, and shows that it is included", async () => {
    const { headers } = await exchange("/echo");
    const proof = await read(edge, `receipts/${headers["audit-id"]}/proof`, { prefer: "wait=20" });
    const { rungs } = await verifyEvidence({ proof: proof.toString() }, trust);
    expect(rungs).toEqual(["signed", "included"]);
  });

  test("an address below the prefix never reaches the upstream, however it is spelled", async () => {
    for (const path of [
      "/.well-known/audit/nothing",
      "/.WELL-KNOWN/audit/trust",
      "/%2ewell-known/audit/trust",
      "/%252ewell-known/audit/trust",
      "//.well-known//audit/trust",
      "/x/../.well-known/audit/nothing",
      "/.well-known%2faudit/trust",
      "/.well-known\\audit/nothing",
      "/%ff/..%2f.well-known%2faudit%2ftrust",
      "/a/..%2f.well-known/audit/trust%ff",
      "/%252525252ewell-known/audit/trust",
      "/.well-known;a/audit/trust",
    ]) {
      const { status, headers, body } = await send(`${edge.url}${path}`);
      expect([path, status, headers["content-type"]]).toEqual([path, 404, "application/problem+json"]);
      expect(JSON.parse(body.toString())).toMatchObject({ status: 404 });
    }
  });
});

describe("a response that is too long to hold back", () => {
  test("comes through whole and with its length, and ends in a receipt for all of it", async () => {
    const { headers, body } = await send(`${edge.url}/long`);
    expect(body.equals(LONG)).toBe(true);
    expect(headers["content-length"]).toBe(String(LONG.length));
    const { record: started } = parseReceipt(headers["audit-receipt"] as string).entry;
    expect([started.stage, started.res]).toEqual(["started", { status: 200 }]);
    const { text, record } = await ending(started.jti);
    expect(record.stage).toBe("complete");
    const seen = { method: "GET", url: `${edge.url}/long`, status: 200, responseBody: body };
    expect((await verifyEvidence({ receipt: text, exchange: seen }, trust)).matched).toContain(
      "response body",
    );
  });

  test("reaches the client while it goes on, and is on record as aborted when the client leaves", async () => {
    const controller = new AbortController();
    const response = await fetch(`${edge.url}/endless`, { signal: controller.signal });
    const { value } = await response.body!.getReader().read();
    expect(new TextDecoder().decode(value)).toMatch(/^data: first\n\n/);
    controller.abort();
    const { record } = await ending(response.headers.get("audit-id")!);
    expect([record.stage, record.error, record.res!.digest]).toEqual([
      "aborted",
      "the client went away",
      undefined,
    ]);
  });
});

describe("when something breaks off", () => {
  test("a held response becomes a problem, and its receipt is for that problem", async () => {
    const { status, rungs, receipt } = await exchange("/cut?length=1000");
    expect([status, rungs]).toEqual([502, ["signed", "matched"]]);
    expect(receipt.entry.record).toMatchObject({
      stage: "failed",
      error: "the upstream did not send what it announced",
      res: { status: 502 },
    });
  });

  test("a streamed response breaks off for the client too, and is on record as failed", async () => {
    const response = await fetch(`${edge.url}/cut?length=1000000`);
    await expect(response.arrayBuffer()).rejects.toThrow();
    const { record } = await ending(response.headers.get("audit-id")!);
    expect([record.stage, record.res!.size]).toEqual(["failed", "the beginning".length]);
  });

  test.each(["/silent", "/stalled", "/never"])(
    "a client that leaves %s early is on record as aborted",
    async path => {
      const before = await newestIndex();
      const socket = connect(Number(new URL(edge.url).port), "127.0.0.1");
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await arrival(path);
      socket.resetAndDestroy();
      const record = await eventually(async () =>
        (await recordsFrom(before + 1)).find(({ req, stage }) => req?.path === path && stage !== "started"),
      );
      expect(record).toMatchObject({ stage: "aborted", error: "the client went away" });
    },
  );

  test("an upstream that sends more than it announced does not fill the edge's memory", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
    const raw = await startRaw(`${head}5\r\nhello\r\n0\r\n\r\n`);
    const { status, body } = await raw.ask("/x");
    expect([status, JSON.parse(body.toString()).detail]).toEqual([
      502,
      "The upstream did not send what it announced.",
    ]);
  });

  test.each([101, 999])("status %i of an upstream is a failure, not a crash", async code => {
    const raw = await startRaw(`HTTP/1.1 ${code} Odd\r\nContent-Length: 0\r\n\r\n`);
    const { status, headers } = await raw.ask("/x");
    expect(status).toBe(502);
    expect(parseReceipt(headers["audit-receipt"] as string).entry.record.stage).toBe("failed");
  });

  test.each([100, 200_000])(
    "an upload of %i bytes that the client breaks off is on record as aborted",
    async length => {
      const before = await newestIndex();
      const socket = connect(Number(new URL(edge.url).port), "127.0.0.1");
      socket.write(`POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\nthe beginning`, () =>
        socket.destroy(),
      );
      const record = await eventually(async () =>
        (await recordsFrom(before + 1)).find(({ req }) => req?.method === "POST"),
      );
      expect(record).toMatchObject({ stage: "aborted", error: "the client broke off its request" });
      expect(record.req!.digest).toBeUndefined();
    },
  );
});

/** An edge in front of an upstream that answers everything with the same bytes. */
async function startRaw(answer: string): Promise<{ ask(path: string): Promise<Answer> }> {
  const server = createServer(socket => socket.on("error", () => {}).once("data", () => socket.end(answer)));
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const other = await startEdge({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  onTestFinished(async () => {
    await other.stop();
    server.close();
  });
  return { ask: path => send(`${other.url}${path}`) };
}

/** Resolves when a request for a path has come to the upstream. */
function arrival(path: string): Promise<void> {
  return eventually(async () => (arrived.delete(path) ? true : undefined)).then(() => {});
}

/** The index of an exchange that is made to find it out. */
async function newestIndex(): Promise<number> {
  const { receipt } = await exchange("/echo");
  return receipt.entry.header.index;
}

/** The records from an index on, as the operator reads them. */
async function recordsFrom(index: number): Promise<AuditRecord[]> {
  const size = Number((await read(edge, "main/checkpoint")).toString().split("\n")[1]);
  const entries = await pullEntries(edge, size);
  return entries.slice(index).map(entry => parseEntry(entry).record);
}

describe("what cannot be passed on", () => {
  test("is refused: a Host field that would move the path", async () => {
    for (const host of ["evil/.well-known/audit/trust?", "u:p@evil"]) {
      const { status, body } = await send(`${edge.url}/echo`, { headers: { host } });
      expect([host, status]).toEqual([host, 400]);
      expect(body.toString()).not.toContain("issuer");
    }
  });
});

describe("when the upstream fails", () => {
  test("the client gets a problem with a receipt for it", async () => {
    const dead = await startEdge({ upstream: "http://127.0.0.1:1" });
    try {
      const { status, headers, body } = await send(`${dead.url}/x`);
      expect([status, headers["content-type"]]).toEqual([502, "application/problem+json"]);
      expect(JSON.parse(body.toString())).toMatchObject({ title: "Bad gateway", status: 502 });
      const { record } = parseReceipt(headers["audit-receipt"] as string).entry;
      expect((await send(`${dead.url}/x`, { method: "HEAD" })).status).toBe(502);
      expect(record).toMatchObject({
        stage: "failed",
        error: "no answer came from 127.0.0.1:1",
        res: { status: 502 },
      });
    } finally {
      await dead.stop();
    }
  });
});

describe("the read side", () => {
  test("gives entry bundles to the operator alone", async () => {
    await eventually(
      async () => (await send(`${edge.url}/.well-known/audit/main/checkpoint`)).status === 200 || undefined,
    );
    const size = (await read(edge, "main/checkpoint")).toString().split("\n")[1];
    const url = `${edge.url}/.well-known/audit/main/tile/entries/000.p/${size}`;
    for (const authorization of [
      "",
      "Bearer wrong-token-wrong-token",
      `Basic ${await edge.operatorToken()}`,
    ]) {
      expect((await send(url, { headers: authorization ? { authorization } : {} })).status).toBe(401);
    }
    const headers = { authorization: `Bearer ${await edge.operatorToken()}` };
    expect((await send(url, { headers })).status).toBe(200);
  });

  test.each([
    ["HEAD", "nothing", 404],
    ["POST", "trust", 405],
    ["GET", "receipts/unknown", 404],
    ["GET", "receipts/..%2f..%2fx", 404],
    ["GET", "anchors/x", 404],
    ["GET", "anchors/99999", 404],
    ["GET", "other/checkpoint", 404],
    ["GET", "main/tile/0/..", 404],
    ["GET", "main/tile/0/0", 404],
    ["GET", "main/tile/0/000.p/256", 404],
  ])("answers %s %s with a problem of status %i", async (method, path, status) => {
    const answer = await send(`${edge.url}/.well-known/audit/${path}`, { method });
    expect(answer.status).toBe(status);
    if (method !== "HEAD") expect(JSON.parse(answer.body.toString())).toMatchObject({ status });
  });

  test("answers HEAD as GET, but for the body", async () => {
    const [get, head] = await Promise.all(
      ["GET", "HEAD"].map(method => send(`${edge.url}/.well-known/audit/trust`, { method })),
    );
    expect([head!.status, head!.headers["content-type"], head!.body.length]).toEqual([
      200,
      get!.headers["content-type"],
      0,
    ]);
  });

  test("says how the ledgers are", async () => {
    const { ledgers, anchors } = JSON.parse((await read(edge, "health")).toString());
    expect(anchors.state).toBe("open");
    expect(ledgers).toMatchObject([{ name: "main", state: "open", size: expect.any(Number) }]);
  });
});
