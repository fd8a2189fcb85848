import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { Exchange } from "../../src/edge/exchange.ts";
import { readHead } from "../../src/edge/head.ts";
import { parsePolicy } from "../../src/edge/policy.ts";
import { matchesField, parseSeed } from "../../src/receipt/disclosure.ts";
import { matchExchange } from "../../src/receipt/match.ts";
import { type AuditRecord, parseRecord, RECORD_BYTES_MAX } from "../../src/receipt/record.ts";

const sources = {
  now: () => 1_795_238_542_000,
  random: (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes)),
  sha256,
};

function policyOf(route: object) {
  return parsePolicy({
    issuer: "https://api.example.com",
    ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
    routes: [{ name: "all", match: "/*", upstream: "https://up.internal", ledger: "main", ...route }],
  });
}

const encode = (text: string) => new TextEncoder().encode(text);
const ADDRESS = "https://api.example.com/people/alice@example.com?q=1";

/** An exchange with both bodies, and its final record. */
function play(
  route: object,
  { routed = true, url = ADDRESS, body = '{"op":"read","who":"bob"}', iss = "" } = {},
) {
  const policy = policyOf(route);
  const request = new Request(url, { method: "POST", headers: { "user-agent": "test", "x-tenant": "acme" } });
  const exchange = new Exchange(
    readHead(request),
    "203.0.113.7",
    routed ? policy.routes[0] : undefined,
    policy,
    sources,
  );
  if (iss !== "") exchange.identify({ auth: { by: "jwt", iss }, sub: "alice", strip: [] });
  exchange.pick("request", request.headers, encode(body));
  exchange.requestBody.update(encode(body));
  exchange.requestBody.end();
  exchange.responseBody.update(encode("answer"));
  exchange.responseBody.end();
  const text = exchange.record("complete", { status: 201 });
  return { exchange, text, record: parseRecord(text), seed: parseSeed(exchange.seed) };
}

const ALL = [
  "req.method",
  "req.host",
  "req.path",
  "req.size",
  "req.digest",
  "res.status",
  "res.size",
  "res.digest",
];

describe("the record of an exchange", () => {
  it("has clear fields in the clear and private ones as digests only", () => {
    const fields = {
      op: { from: "request", pointer: "/op" },
      who: { from: "request", pointer: "/who", private: true },
      tenant: { from: "request", header: "x-tenant", private: true },
      missing: { from: "response", header: "x-none", private: true },
    };
    const { record, text, seed, exchange } = play({ fields, private: ["req.digest"] });
    expect(record.fields).toEqual({ op: "read" });
    expect(text).not.toMatch(/bob|acme/);
    expect(record._sd).toHaveLength(4 + 3 + 1);
    for (const [name, value] of Object.entries({ who: "bob", tenant: "acme", missing: null })) {
      expect(matchesField(record, seed, `fields.${name}`, value)).toBe(true);
      expect(exchange.opening.fields[`fields.${name}`]).toBe(value);
    }
  });

  it("has no member that the route makes private, and opens each of them with the seed", () => {
    const { record, seed } = play({ private: ALL });
    expect([record.req, record.res, record.private]).toEqual([{}, {}, ALL]);
    // What is random has any three characters now and then.
    const { _sd, jti, trace, ...told } = record;
    expect(JSON.stringify(told)).not.toMatch(/alice|POST|201|sha-256=/);
    for (const [name, value] of [
      ["req.path", "/people/alice@example.com"],
      ["req.method", "POST"],
      ["req.size", 25],
      ["res.status", 201],
      ["query", "q=1"],
    ] as const) {
      expect(matchesField(record, seed, name, value)).toBe(true);
      expect(matchesField(record, seed, name, `${value}x`)).toBe(false);
    }
  });

  it("never tells a long private value by its hash", () => {
    const path = `/people/${"a".repeat(3000)}`;
    const { record, text, seed } = play({ private: ["req.path"] }, { url: `https://api.example.com${path}` });
    expect(text).not.toMatch(/"length"|"sha256"/);
    expect(matchesField(record, seed, "req.path", path)).toBe(true);
  });

  it("of a request that no route takes hides what is private for any", () => {
    const { record, text } = play({ private: ["req.path"] }, { routed: false });
    expect(record.req!.path).toBeUndefined();
    expect(text).not.toContain("alice");
  });

  it("is compared with what the caller saw, private or not, and is not taken for another", () => {
    const seen = {
      method: "POST",
      url: ADDRESS,
      requestBody: encode('{"op":"read","who":"bob"}'),
      status: 201,
      responseBody: encode("answer"),
    };
    const parts = ["method", "host", "path", "query", "request body", "status", "response body"];
    for (const hidden of [[], ["req.path"], ALL]) {
      const { record, seed, text } = play({ private: hidden });
      const receipt = { entry: { record, text } } as unknown as Parameters<typeof matchExchange>[0];
      expect(matchExchange(receipt, seen, seed)).toEqual(parts);
      for (const other of [
        { method: "PUT" },
        { url: ADDRESS.replace("alice", "alicia") },
        { status: 200 },
        { requestBody: encode("x") },
        { responseBody: encode("x") },
      ]) {
        expect(() => matchExchange(receipt, { ...seen, ...other }, seed)).toThrow("is not the one");
      }
    }
    const { record } = play({ private: ALL });
    const sealed = { entry: { record } } as unknown as Parameters<typeof matchExchange>[0];
    expect(matchExchange(sealed, seen)).toEqual([]);
  });

  it("has digests of those bodies that the route says", () => {
    const digests = (route: object) => {
      const { req, res } = play(route).record;
      return [req!.digest !== undefined, res!.digest !== undefined, req!.size, res!.size];
    };
    expect(digests({})).toEqual([true, true, 25, 6]);
    expect(digests({ digests: false })).toEqual([false, false, 25, 6]);
    expect(digests({ digests: "request" })).toEqual([true, false, 25, 6]);
    expect(digests({ digests: "response" })).toEqual([false, true, 25, 6]);
  });

  it("is small enough however long its parts are, and still compares", () => {
    const fields = Object.fromEntries(
      Array.from({ length: 16 }, (_, i) => [
        `f${i}${"_".repeat(28)}`,
        { from: "request", pointer: `/f${i}` },
      ]),
    );
    const body = JSON.stringify(
      Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`f${i}`, "é\u0001".repeat(i % 2 ? 15 : 500)])),
    );
    const url = `https://${"a.".repeat(120)}example/${"p".repeat(500)}`;
    const { text, record } = play({ fields }, { url, body });
    expect(encode(text).length).toBeLessThanOrEqual(RECORD_BYTES_MAX);
    expect(Object.keys(record.fields!)).toHaveLength(16);
    const receipt = { entry: { record } } as unknown as Parameters<typeof matchExchange>[0];
    expect(matchExchange(receipt, { url })).toContain("path");
    expect(() => matchExchange(receipt, { url: `${url}p` })).toThrow("path");
  });

  it.each([
    ["characters that JSON escapes", "\u0001".repeat(36)],
    ["characters of three bytes", "漢".repeat(63)],
    ["as many characters as are kept", "x".repeat(127)],
    ["more of them", "x".repeat(4000)],
  ])("is small enough whatever a client puts into all of its fields: %s", (_, value) => {
    const names = Array.from({ length: 16 }, (_, i) => `field_of_a_rather_long_name_${i}`);
    const fields = Object.fromEntries(names.map((name, i) => [name, { from: "request", pointer: `/f${i}` }]));
    const body = JSON.stringify(Object.fromEntries(names.map((_, i) => [`f${i}`, value])));
    const url = `https://${"a.".repeat(120)}example/${"p".repeat(500)}`;
    for (const hidden of [[], ["req.size"], ALL]) {
      const { exchange } = play({ fields, private: hidden }, { url, body, iss: "i".repeat(256) });
      for (let n = 0; n < 3; n++) exchange.attempts.push({ error: "no answer came", ms: 60_000 });
      const text = exchange.record("failed", { status: 503, error: "e".repeat(300) });
      expect(encode(text).length).toBeLessThanOrEqual(RECORD_BYTES_MAX);
      expect(Object.keys(parseRecord(text).fields!)).toEqual(names);
    }
  });

  it("tells the trace that the upstream gets, unless the route leaves traces alone", () => {
    const { record, exchange } = play({});
    expect(record.trace).toEqual(exchange.trace);
    expect((play({ trace: "off" }).record as AuditRecord).trace).toBeUndefined();
  });
});
