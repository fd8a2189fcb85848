import { describe, expect, it } from "vitest";
import { admit, isOwn } from "../../src/edge/admission.ts";
import { readHead } from "../../src/edge/head.ts";
import { parsePolicy } from "../../src/edge/policy.ts";

const policy = parsePolicy({
  issuer: "https://api.example.com",
  ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
  routes: [
    { name: "small", match: "/small", upstream: "https://up.internal", ledger: "main", body_limit: 10 },
    { name: "cut", match: "/cut/*", upstream: "https://up.internal", ledger: "main", strip_prefix: "/cut" },
    { name: "based", match: "/based/*", upstream: "https://up.internal/base", ledger: "main" },
    {
      name: "split",
      match: "/split/*",
      upstream: "https://up.internal/.well-known",
      ledger: "main",
      strip_prefix: "/split",
    },
    { name: "rest", match: "/*", upstream: "https://up.internal", ledger: "main" },
  ],
  limits: { url_bytes: 500, header_bytes: 1000, header_count: 20 },
});

/** A request as a platform might make it, with header fields that `Headers` or `fetch` would not let through. */
function request(
  url: string,
  {
    method = "GET",
    headers = {},
    body = null,
  }: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
): Request {
  const fields = Object.entries({ host: URL.parse(url)?.host ?? "", ...headers });
  const iterable = {
    get: (name: string) => fields.find(([field]) => field === name)?.[1] ?? null,
    [Symbol.iterator]: () => fields[Symbol.iterator](),
  };
  return { url, method, headers: iterable, body } as unknown as Request;
}

function refusal(...args: Parameters<typeof request>): [number, string] | undefined {
  const { refusal } = admit(readHead(request(...args)), policy);
  if (refusal !== undefined) expect(refusal.stage).toBe("rejected");
  return refusal && [refusal.status, refusal.error];
}

describe("admission", () => {
  it("lets an ordinary request in by its route", () => {
    const headers = {
      connection: "keep-alive, x-hop",
      "x-forwarded-for": "1.2.3.4",
      "cdn-loop": "cloudflare",
    };
    expect(admit(readHead(request("https://api.example.com/x?y", { headers })), policy)).toMatchObject({
      route: { name: "rest" },
    });
    expect(refusal("https://api.example.com/x?y", { headers })).toBeUndefined();
  });

  it.each(['a";for=9.9.9.9;x="b', "a,b", "a;b", "a%22b", "a`b", "a{b"])(
    "refuses the host %s, which fields that name it would take for more",
    host => {
      expect(refusal(`https://${host}/x`)).toEqual([400, expect.stringMatching(/Host/)]);
    },
  );

  it.each([
    ["a Host field that would move the path", { host: "a/b?" }, 400, /Host/],
    ["a user in the Host field", { host: "u:p@api.example.com" }, 400, /Host/],
    ["a tab in the Host field, which URLs are parsed without", { host: "api.exam\tple.com" }, 400, /Host/],
    ["two Host fields", { host: "api.example.com, evil.test" }, 400, /Host/],
    ["another host than the URL's", { host: "evil.test" }, 400, /Host/],
    ["several lengths", { "content-length": "2, 2" }, 400, /Content-Length/],
    ["a signed length", { "content-length": "+2" }, 400, /Content-Length/],
    ["a hexadecimal length", { "content-length": "0x2" }, 400, /Content-Length/],
    [
      "a length and a transfer coding",
      { "content-length": "2", "transfer-encoding": "chunked" },
      400,
      /either/,
    ],
    ["a transfer coding that is not chunked", { "transfer-encoding": "gzip, chunked" }, 400, /chunked/],
    ["a transfer coding twice", { "transfer-encoding": "chunked, chunked" }, 400, /chunked/],
    ["a length in disguise", { content_length: "2" }, 400, /content_length/],
    ["a transfer coding in disguise", { transfer_encoding: "chunked" }, 400, /transfer_encoding/],
    ["NUL in a value", { "x-a": "b\0c" }, 400, /NUL/],
    ["a line break in a value", { "x-a": "b\nx-c: d" }, 400, /line break/],
    ["a folded line", { "x-a": "b\r\n c" }, 400, /line break/],
    ["Connection naming Authorization", { connection: "close, Authorization" }, 400, /authorization/],
    ["Connection naming Cookie", { connection: "cookie" }, 400, /cookie/],
    ["Connection naming who forwarded it", { connection: "X-Forwarded-For" }, 400, /x-forwarded-for/],
    ["Connection naming the mark against loops", { connection: "cdn-loop" }, 400, /cdn-loop/],
    [
      "this edge in CDN-Loop",
      { "cdn-loop": "cloudflare; a=b, API.example.com; v=1" },
      508,
      /through this edge/,
    ],
    ["fields that are too long", { "x-a": "a".repeat(1000) }, 431, /1000/],
    ["too many fields", Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, "1"])), 431, /20/],
  ])("refuses %s", (_, headers, status, error) => {
    expect(refusal("https://api.example.com/x", { headers })).toEqual([status, expect.stringMatching(error)]);
  });

  it.each([
    ["a URL that is none", "http://a b/", 400],
    ["a URL with a user", "https://u@api.example.com/", 400],
    ["a URL that is too long", `https://api.example.com/${"a".repeat(500)}`, 414],
    ["the reserved prefix, spelled otherwise", "https://api.example.com/.well-known%2faudit/trust", 404],
    [
      "a path that is rewritten into a reserved one",
      "https://api.example.com/cut/.well-known/audit/trust",
      404,
    ],
    [
      "a path that becomes a reserved one behind the upstream's",
      "https://api.example.com/split/audit/trust",
      404,
    ],
    [
      "a path that some upstream would take for one above its own",
      "https://api.example.com/based/..%2f..%2fx",
      400,
    ],
  ])("refuses %s", (_, url, status) => {
    expect(refusal(url)?.[0]).toBe(status);
  });

  it("refuses a body that is announced larger than its route allows, and the body of a GET", () => {
    const post = (length: string) =>
      refusal("https://api.example.com/small", {
        method: "POST",
        body: {},
        headers: { "content-length": length },
      });
    expect(post("10")).toBeUndefined();
    expect(post("11")).toEqual([413, expect.stringContaining("10 bytes")]);
    expect(refusal("https://api.example.com/small", { body: {} })?.[0]).toBe(400);
  });

  it("quotes nothing of a path or query that it refuses", () => {
    for (const path of ["/based/..%2f..%2falice@example.com", "/cut/.well-known/audit/alice@example.com"]) {
      expect(refusal(`https://api.example.com${path}`)![1]).not.toContain("alice");
    }
  });

  it("takes for Counterfoil's own what is spelled as the prefix, and not what only Host makes so", () => {
    expect(isOwn(readHead(request("https://api.example.com/.well-known/audit/trust")), policy)).toBe(true);
    expect(isOwn(readHead(request("https://api.example.com/.Well-known/audit/trust")), policy)).toBe(false);
    const moved = { headers: { host: "api.example.com/.well-known/audit/trust?" } };
    expect(isOwn(readHead(request("https://api.example.com/.well-known/audit/trust", moved)), policy)).toBe(
      false,
    );
  });
});
