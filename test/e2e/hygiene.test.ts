// What a hostile client may send, over raw sockets, in real workerd: no shape of it leads past the policy, and
// whatever comes to the worker is on record.
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { type ConfigFile, withRoutes, writeConfig } from "./config.ts";
import { type Edge, startEdge } from "./edge.ts";
import { send, startUpstream, type Upstream } from "./upstream.ts";

const LIMIT = 100_000;

let upstream: Upstream;
let config: ConfigFile;
let edge: Edge;
/** What has come to the upstream: methods, request targets and fields. */
let arrived: { line: string; headers: Record<string, unknown> }[] = [];

beforeAll(async () => {
  upstream = await startUpstream(({ method, url, headers }, response) => {
    arrived.push({ line: `${method} ${url}`, headers });
    response.end("passed");
  });
  const routes = `
[[routes]]
name = "small"
match = "/small/*"
methods = ["GET", "POST"]
upstream = "${upstream.url}"
body_limit = ${LIMIT}

[[routes]]
name = "cut"
match = "/cut/:what/*"
strip_prefix = "/cut"
upstream = "${upstream.url}"

[[routes]]
name = "hosted"
hosts = ["*.tenant.test"]
match = "/*"
upstream = "${upstream.url}/tenant"

[[routes]]
name = "all"
match = "/*"
upstream = "${upstream.url}"
`;
  config = await writeConfig(toml => withRoutes(toml, routes));
  edge = await startEdge({ args: ["--config", config.path, "--upstream", upstream.url] });
});

beforeEach(() => {
  arrived = [];
});

afterAll(async () => {
  await edge.stop();
  await config.remove();
  upstream.close();
});

interface RawAnswer {
  readonly status: number;
  readonly record: AuditRecord | undefined;
  readonly text: string;
}

/** Sends bytes as they are, and reads until the answer has come whole or the edge hangs up. */
async function raw(bytes: string, more?: (write: (bytes: string) => boolean) => void): Promise<RawAnswer> {
  const socket = connect(Number(new URL(edge.url).port), "127.0.0.1");
  let text = "";
  const whole = new Promise<void>(resolve => {
    socket.on("error", () => resolve()).on("close", () => resolve());
    socket.on("data", data => {
      text += data.toString("latin1");
      const [head, body = ""] = text.split("\r\n\r\n");
      const length = /^content-length: (\d+)/im.exec(head!)?.[1];
      if (length !== undefined && body.length >= Number(length)) resolve();
    });
  });
  socket.write(Buffer.from(bytes, "latin1"));
  more?.(later => !socket.destroyed && socket.write(Buffer.from(later, "latin1")));
  await whole;
  socket.destroy();
  const receipt = /^audit-receipt: (\S+)/im.exec(text)?.[1];
  const record = receipt === undefined ? undefined : parseReceipt(receipt).entry.record;
  return { status: Number(text.split(" ")[1]), record, text };
}

const HOST = "Host: api.test\r\n";
const get = (path: string, fields = "") => raw(`GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`);

describe("a request of a shape that servers differ about", () => {
  test.each([
    ["lengths that differ", "Content-Length: 2\r\nContent-Length: 3\r\n", "hi!"],
    ["a list of lengths", "Content-Length: 2, 2\r\n", "hi"],
    ["a signed length", "Content-Length: +2\r\n", "hi"],
    ["a hexadecimal length", "Content-Length: 0x2\r\n", "hi"],
    ["a negative length", "Content-Length: -2\r\n", "hi"],
    ["a transfer coding that is not known", "Transfer-Encoding: xchunked\r\n", "2\r\nhi\r\n0\r\n\r\n"],
    ["a space before the colon", "Transfer-Encoding : chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"],
    ["a folded line", "X-A: b\r\n c\r\nContent-Length: 2\r\n", "hi"],
    ["NUL in a value", "X-A: b\0c\r\nContent-Length: 2\r\n", "hi"],
    ["a bare CR in a value", "X-A: b\rc\r\nContent-Length: 2\r\n", "hi"],
    ["a length in disguise", "Content_Length: 2\r\n", ""],
    ["a transfer coding in disguise", "Transfer_Encoding: chunked\r\n", ""],
    ["Connection naming Authorization", "Connection: authorization\r\nAuthorization: x\r\n", ""],
    ["Connection naming Cookie", "Connection: close, cookie\r\nCookie: x\r\n", ""],
  ])("never reaches the upstream: %s", async (_, fields, body) => {
    const { status } = await raw(`POST /x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`);
    expect([status, arrived]).toEqual([400, []]);
  });

  test.each([
    ["two lengths that agree", "Content-Length: 2\r\nContent-Length: 2\r\n", "hi"],
    [
      "a length beside a transfer coding",
      "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
      "2\r\nhi\r\n0\r\n\r\n",
    ],
    [
      "a transfer coding twice",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      "2\r\nhi\r\n0\r\n\r\n",
    ],
    ["a chunk with an extension", "Transfer-Encoding: chunked\r\n", "2;x=1\r\nhi\r\n0\r\n\r\n"],
  ])("is refused, or reaches the upstream as one request with one length: %s", async (_, fields, body) => {
    const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    await raw(`POST /x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`, write => write(smuggled));
    for (const { line, headers } of arrived.filter(({ line }) => line !== "GET /smuggled")) {
      expect(line).toBe("POST /x");
      expect(["content-length", "transfer-encoding"].filter(name => name in headers)).toHaveLength(1);
    }
  });

  test("that comes to the worker is on record as rejected", async () => {
    for (const fields of ["Content_Length: 2\r\n", "Connection: cookie\r\n", "Host: evil.test\r\n"]) {
      const { status, record } = await get("/x", fields);
      expect([status, record?.stage, record?.res?.status]).toEqual([400, "rejected", 400]);
    }
  });
});

describe("an address that is not the client's to choose", () => {
  test.each([
    ["an absolute target with another host", "http://evil.test/x", HOST],
    ["an absolute target with a user", "http://u:p@evil.test/x", HOST],
    ["a target that begins with two slashes", "//evil.test/x", HOST],
    ["a target that begins with @", "@evil.test/x", HOST],
    ["a target with a backslash", "/\\evil.test/x", HOST],
    ["CONNECT-like targets", "evil.test:80", HOST],
    ["a foreign Host field", "/x", "Host: evil.test\r\n"],
    ["Forwarded fields", "/x", `${HOST}X-Forwarded-Host: evil.test\r\nForwarded: host=evil.test\r\n`],
  ])("leads to the policy's upstream or nowhere: %s", async (_, target, fields) => {
    const { status } = await raw(`GET ${target} HTTP/1.1\r\n${fields}\r\n`);
    expect([200, 400, 404]).toContain(status);
    for (const { headers } of arrived) expect(headers.host).toBe(new URL(upstream.url).host);
  });

  test.each(["a b", "[::", "api.test:99999", "u:p@api.test", "api.test/.well-known/audit/trust?", "a, b"])(
    "is refused and on record when the Host field is %j",
    async host => {
      const { status, record, text } = await raw(`GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect([status, record?.stage, arrived]).toEqual([400, "rejected", []]);
      expect(text).not.toContain("issuer");
    },
  );

  test("takes the route of its host, whatever its case, port and final dot", async () => {
    for (const host of ["a.tenant.test", "A.B.TENANT.test.", "a.tenant.test:81"]) {
      const { record } = await raw(`GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect(record).toMatchObject({ stage: "complete", route: "hosted" });
    }
    expect(arrived.map(({ line }) => line)).toEqual(Array(3).fill("GET /tenant/x"));
    expect((await raw("GET /x HTTP/1.1\r\nHost: tenant.test\r\n\r\n")).record!.route).toBe("all");
  });
});

describe("a path", () => {
  test.each([
    "/.WELL-KNOWN/audit/trust",
    "/%2ewell-known/audit/trust",
    "/%25252ewell-known/audit/trust",
    "//.well-known//audit/trust",
    "/.well-known\\..\\x/..%2f..%2f.well-known/audit/trust",
    "/.well-known;a/audit;b/trust",
    "/%c0%aewell-known%c0%afaudit/trust",
    "/%u002ewell-known/audit/trust",
    "/%EF%BC%8Ewell-known%EF%BC%8Faudit/trust",
    "/.well-known/audit%00/trust",
    "/cut/.well-known/audit/trust",
    "/cut/%2e%77ell-known/AUDIT/trust",
  ])("of the reserved prefix is refused and on record, spelled %s", async path => {
    const { status, record } = await get(path);
    expect([status, record?.stage, arrived]).toEqual([404, "rejected", []]);
  });

  test.each(["/public/..%2fsmall/x", "//small/x", "/%2573mall/x", "/small;a/x", "/public/..%5csmall%5cx"])(
    "that another server could take for one of another route is refused and on record: %s",
    async path => {
      const { status, record } = await get(path);
      expect([status, record?.stage, arrived]).toEqual([400, "rejected", []]);
    },
  );

  test("that has one meaning reaches the upstream as it was spelled", async () => {
    for (const path of ["/group%2Fproject", "/a;b=c/d", "/x//y", "/%7Eme/%c3%a9", "/cut/%61/b%20c?"]) {
      expect((await get(path)).status).toBe(200);
    }
    expect(arrived.map(({ line }) => line)).toEqual([
      "GET /group%2Fproject",
      "GET /a;b=c/d",
      "GET /x//y",
      "GET /%7Eme/%c3%a9",
      "GET /%61/b%20c?",
    ]);
  });
});

describe("limits", () => {
  test("of the URL and the header fields are kept, and what is refused is on record", async () => {
    const many = Array.from({ length: 1001 }, (_, i) => `X-${i}: 1\r\n`).join("");
    const big = `X-A: ${"a".repeat(60_000)}\r\nX-B: ${"a".repeat(60_000)}\r\nX-C: ${"a".repeat(12_000)}\r\n`;
    for (const [status, answer] of [
      [414, await get(`/${"a".repeat(16_400)}`)],
      [431, await get("/x", many)],
      [431, await get("/x", big)],
    ] as const) {
      expect([answer.status, answer.record?.stage]).toEqual([status, "rejected"]);
    }
    expect(arrived).toEqual([]);
  });

  test("of a body that is announced are kept before anything is sent up", async () => {
    const { status, record } = await raw(
      `POST /small/x HTTP/1.1\r\n${HOST}Content-Length: ${LIMIT + 1}\r\n\r\nbegin`,
    );
    expect([status, record?.stage, record?.route, arrived]).toEqual([413, "rejected", "small", []]);
  });

  test("of a body that only its end tells are kept while it passes", async () => {
    const chunk = `2710\r\n${"x".repeat(10_000)}\r\n`;
    const { status, record } = await raw(
      `POST /small/x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`,
      write => {
        for (let i = 0; i < 11; i++) write(chunk);
      },
    );
    expect([status, record?.stage, record?.req?.digest]).toEqual([413, "rejected", undefined]);
    expect(record!.req!.size).toBeLessThanOrEqual(LIMIT);
    expect(arrived).toEqual([]);
    const fits = await raw(
      `POST /small/x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(10)}0\r\n\r\n`,
    );
    expect([fits.status, fits.record?.stage, fits.record?.req?.size]).toEqual([200, "complete", LIMIT]);
  });
});

describe("a loop", () => {
  test("through other servers ends at this edge, on record", async () => {
    const { status, record } = await get("/x", `CDN-Loop: other, ${new URL(edge.url).host}; a=b\r\n`);
    expect([status, record?.stage, arrived]).toEqual([508, "rejected", []]);
  });

  test("of an edge that is its own upstream by a detour ends after one round", async () => {
    let rounds = 0;
    const detour = await startUpstream(async ({ url, headers }, response) => {
      rounds++;
      const again = await send(`${looped.url}${url}`, {
        headers: { "cdn-loop": String(headers["cdn-loop"]) },
      });
      response.writeHead(again.status).end(again.body);
    });
    const looped = await startEdge({ upstream: detour.url });
    try {
      const { status, body } = await send(`${looped.url}/x`, { headers: { "cdn-loop": "other" } });
      expect([status, JSON.parse(body.toString()).title, rounds]).toEqual([508, "Loop detected", 1]);
    } finally {
      await looped.stop();
      detour.close();
    }
  });
});
