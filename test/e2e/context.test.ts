// What a route picks out of an exchange for the record, what it hides, and the context that goes up, in real workerd.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { matchesField, parseSeed } from "../../src/receipt/disclosure.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { type ConfigFile, withRoutes, writeConfig } from "./config.ts";
import { type Edge, startEdge } from "./edge.ts";
import { eventually, send, startUpstream, type Upstream } from "./upstream.ts";

const ANSWER = JSON.stringify({ result: { account: "acc-77", kind: "list" } });

let upstream: Upstream;
let config: ConfigFile;
let edge: Edge;
/** The fields of the newest request that came to the upstream. */
let arrived: Record<string, unknown> = {};

beforeAll(async () => {
  upstream = await startUpstream(({ headers }, response) => {
    arrived = headers;
    response.writeHead(200, {
      "content-length": ANSWER.length,
      "access-control-allow-origin": "*",
      "access-control-expose-headers": "x-own",
    });
    response.end(ANSWER);
  });
  const routes = `
[[routes]]
name = "mcp"
match = "/mcp"
upstream = "${upstream.url}"
private = ["res.digest", "req.path"]

[vars.routes.fields]
method = { from = "request", pointer = "/method" }
kind = { from = "response", pointer = "/result/kind" }
account = { from = "response", pointer = "/result/account", private = true }

[[routes]]
name = "all"
match = "/*"
upstream = "${upstream.url}"
`;
  config = await writeConfig(toml => withRoutes(toml, routes));
  edge = await startEdge({ args: ["--config", config.path, "--upstream", upstream.url] });
});

afterAll(async () => {
  await edge.stop();
  await config.remove();
  upstream.close();
});

async function call(path: string, options: Parameters<typeof send>[1] = {}) {
  const answer = await send(`${edge.url}${path}`, options);
  const { record } = parseReceipt(answer.headers["audit-receipt"] as string).entry;
  return { ...answer, record, seed: parseSeed(answer.headers["audit-receipt-seed"] as string) };
}

describe("the record of a route", () => {
  test("tells what is picked out of both bodies, and hides what is private in every form", async () => {
    const { record, seed, headers } = await call("/mcp", {
      method: "POST",
      body: '{"jsonrpc":"2.0","method":"tools/call"}',
      headers: { "content-length": "39" },
    });
    expect(record.fields).toEqual({ method: "tools/call", kind: "list" });
    expect(JSON.stringify(record)).not.toMatch(/acc-77|"\/mcp"/);
    expect(record.res!.digest).toBeUndefined();
    expect(matchesField(record, seed, "fields.account", "acc-77")).toBe(true);
    expect(matchesField(record, seed, "req.path", "/mcp")).toBe(true);
    // The operator's copy is made and brought up to date in the background.
    const authorization = `Bearer ${await edge.operatorToken()}`;
    const url = `${edge.url}/.well-known/audit/private/main/${headers["audit-id"]}`;
    const fields = await eventually(async () => {
      const { status, body } = await send(url, { headers: { authorization } });
      if (status === 404) return undefined;
      const { fields } = JSON.parse(body.toString());
      return "fields.account" in fields ? fields : undefined;
    });
    expect(fields).toMatchObject({ "fields.account": "acc-77", "req.path": "/mcp", query: null });
  });

  test("says that a body was not looked into, when it comes in chunks", async () => {
    const { record } = await call("/mcp", {
      method: "POST",
      body: '{"method":"tools/call"}',
      headers: { "transfer-encoding": "chunked" },
    });
    expect(record.fields).toEqual({ method: { unread: "the body was not held whole" }, kind: "list" });
  });

  test("hides of a request that no route takes what any route would hide", async () => {
    const { status, record, seed } = await call("/x%2f..%2fmcp");
    expect([status, record.stage, record.req!.path]).toEqual([400, "rejected", undefined]);
    expect(matchesField(record, seed, "req.path", "/x%2f..%2fmcp")).toBe(true);
  });
});

describe("the context of a request", () => {
  test("is a trace that the record and the upstream know, begun here or continued", async () => {
    const begun = await call("/x");
    expect(arrived.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(begun.record.trace).toEqual({ traceparent: arrived.traceparent });
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    const { record } = await call("/x", { headers: { traceparent: trace, tracestate: "a=b" } });
    expect(record.trace).toEqual({
      traceparent: arrived.traceparent,
      parent: "b7ad6b7169203331",
      trusted: false,
    });
    expect(arrived.traceparent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad)[0-9a-f]{16}-00$/);
    expect(arrived.tracestate).toBe("a=b");
  });

  test("tells the upstream nothing that a client claims of where it comes from", async () => {
    const { host } = new URL(edge.url);
    await call("/x", {
      headers: {
        forwarded: "for=6.6.6.6",
        "x-forwarded-for": "6.6.6.6",
        "x-real-ip": "6.6.6.6",
        x_forwarded_for: "6",
      },
    });
    expect(arrived).toMatchObject({ forwarded: `host="${host}";proto=http`, "x-forwarded-host": host });
    expect(JSON.stringify(arrived)).not.toContain("6.6.6.6");
    expect(arrived).not.toHaveProperty("x_forwarded_for");
  });

  test("lets scripts of other origins read the receipt where they may read the response", async () => {
    const { headers } = await call("/x");
    expect(headers["access-control-expose-headers"]).toMatch(/^x-own, Audit-Receipt, Audit-Receipt-Seed, /);
  });
});
