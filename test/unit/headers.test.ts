import { describe, expect, it } from "vitest";
import { readHead } from "../../src/edge/head.ts";
import {
  clientAddress,
  exposeOwn,
  requestHeaders,
  responseHeaders,
  withhold,
} from "../../src/edge/headers.ts";
import { parsePolicy } from "../../src/edge/policy.ts";

const policy = parsePolicy({
  issuer: "https://api.example.com",
  ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
  routes: [{ name: "all", match: "/*", upstream: "https://up.internal", ledger: "main" }],
});

function up(headers: Record<string, string>, address?: string, rules = policy): Headers {
  return requestHeaders(readHead(new Request("https://api.example.com/x", { headers })), {
    address,
    jti: "the-id",
    trace: undefined,
    policy: rules,
  });
}

describe("header fields", () => {
  it("of one hop do not cross the edge, nor those that Connection names", () => {
    const headers = up({
      connection: "close, X-Hop",
      "keep-alive": "5",
      te: "trailers",
      "x-hop": "1",
      "proxy-authorization": "secret",
      upgrade: "h2c",
      accept: "*/*",
    });
    expect([...headers.keys()].sort()).toEqual([
      "accept",
      "audit-id",
      "cdn-loop",
      "forwarded",
      "x-forwarded-host",
      "x-forwarded-proto",
      "x-request-id",
    ]);
  });

  it("tell the upstream who asked, and nothing that a client claims of it", () => {
    const claims = {
      forwarded: "for=10.0.0.1;host=evil.test",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "evil.test",
      "x-forwarded-proto": "gopher",
      "x-forwarded-prefix": "/evil",
      "x-real-ip": "10.0.0.1",
      "true-client-ip": "10.0.0.1",
      "cf-connecting-ip": "10.0.0.1",
      x_forwarded_for: "10.0.0.1",
      audit_id: "forged",
    };
    const headers = up(claims, "203.0.113.7");
    expect(Object.fromEntries(headers)).toEqual({
      "audit-id": "the-id",
      "cdn-loop": "api.example.com",
      forwarded: 'for=203.0.113.7;host="api.example.com";proto=https',
      "x-forwarded-for": "203.0.113.7",
      "x-forwarded-host": "api.example.com",
      "x-forwarded-proto": "https",
      "x-request-id": "the-id",
    });
    expect(up({}, "2001:db8::1").get("forwarded")).toContain('for="[2001:db8::1]";');
    expect(up({}).get("forwarded")).toBe('host="api.example.com";proto=https');
    expect(up({}).has("x-forwarded-for")).toBe(false);
  });

  it("tell what a trusted front says of it first, where the policy trusts one", () => {
    const trusting = { ...policy, forwarded: "append" as const };
    const said = {
      forwarded: "for=10.0.0.1",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "front.test",
      x_forwarded_for: "6.6.6.6",
    };
    const headers = up(said, "203.0.113.7", trusting);
    expect(headers.get("forwarded")).toBe('for=10.0.0.1, for=203.0.113.7;host="api.example.com";proto=https');
    expect(headers.get("x-forwarded-for")).toBe("10.0.0.1, 203.0.113.7");
    expect(headers.get("x-forwarded-host")).toBe("front.test");
    expect(headers.has("x_forwarded_for")).toBe(false);
  });

  it("that the edge adds are exposed to scripts only where the response is for them, beside what is exposed", () => {
    const exposed = (fields: Record<string, string>) => {
      const headers = new Headers(fields);
      exposeOwn(headers);
      return headers.get("access-control-expose-headers");
    };
    expect(exposed({})).toBeNull();
    expect(exposed({ "access-control-expose-headers": "x-a" })).toBe("x-a");
    expect(exposed({ "access-control-allow-origin": "https://a" })).toContain(
      "Audit-Receipt, Audit-Receipt-Seed",
    );
    expect(exposed({ "access-control-allow-origin": "*", "access-control-expose-headers": "x-a" })).toMatch(
      /^x-a, Audit-Receipt, /,
    );
  });

  it("say where the request has been, after whoever said so before", () => {
    expect(up({}).get("cdn-loop")).toBe("api.example.com");
    expect(up({ "cdn-loop": "cloudflare" }).get("cdn-loop")).toBe("cloudflare, api.example.com");
  });

  it("keep a client's request id and make one where there is none", () => {
    expect(up({ "x-request-id": "mine" }).get("x-request-id")).toBe("mine");
    expect(up({}).get("x-request-id")).toBe("the-id");
  });

  it("of Counterfoil's own are never believed from a client or an upstream", () => {
    const headers = up({ "audit-receipt": "forged", "audit-id": "forged", "Audit-Anything": "forged" });
    expect(headers.get("audit-id")).toBe("the-id");
    expect(headers.has("audit-receipt")).toBe(false);
    expect(headers.has("audit-anything")).toBe(false);
    const response = new Response(null, { headers: { "audit-receipt": "forged", "x-kept": "1" } });
    expect([...responseHeaders(response).keys()]).toEqual(["x-kept"]);
  });

  it("that link to a receipt are not believed from an upstream, other links are", () => {
    const link =
      '<http://evil/>; rel="audit-receipt", <http://a/,b>; rel=next, <http://c>; title="x"; rel="y audit-receipt"';
    expect(responseHeaders(new Response(null, { headers: { link } })).get("link")).toBe(
      "<http://a/,b>; rel=next",
    );
    const next =
      '<http://a>; rel=next, <http://b>; rel="audit-receipts x-audit-receipt", <http://c>; rel=audit-receipt-x';
    expect(responseHeaders(new Response(null, { headers: { link: next } })).get("link")).toBe(next);
  });

  it.each([
    '<http://evil/>; rel="audit-receipt',
    "<http://evil/>;REL =\tAudit-Receipt",
    '<http://evil/>; rel="next\taudit-receipt x"; title="y"',
    '<http://evil/>; rel="audit\\-receipt"',
    '<http://evil/>; rel="x\\" audit-receipt"',
    '<http://evil/>; title="; rel="; rel=audit-receipt',
    '<http://evil/>; title="; rel=\\"audit-receipt\\""',
  ])("that link to a receipt are not believed however they are spelled: %s", link => {
    expect(responseHeaders(new Response(null, { headers: { link } })).has("link")).toBe(false);
  });

  it.each([
    ["quotes that do not end", `;REL="A${" AUDIT-RECEIPT".repeat(70_000)}T`],
    ["links that begin over and over", ';rel="\\"'.repeat(120_000)],
    ["blanks", `;${" ".repeat(1_000_000)}rel${" ".repeat(1_000_000)}="x`],
  ])(
    "that link are looked at in less than the square of their length: %s",
    async (_, link) => {
      // The square of a million characters takes longer than any test may.
      responseHeaders(new Response(null, { headers: { link } }));
      // The time limit of a test is noticed only when something waits.
      await new Promise(resolve => setTimeout(resolve));
    },
    10_000,
  );

  it("tell the client's address only where somebody other than the client sets them", () => {
    const headers = new Headers({ "cf-connecting-ip": "203.0.113.7" });
    expect(clientAddress(headers, "192.0.2.1", "cf-connecting-ip")).toBe("203.0.113.7");
    expect(clientAddress(headers, "192.0.2.1", "peer")).toBe("192.0.2.1");
    expect(clientAddress(headers, undefined, "peer")).toBeUndefined();
    expect(clientAddress(headers, "192.0.2.1", "none")).toBeUndefined();
    expect(clientAddress(headers, "192.0.2.1", "x-forwarded-for")).toBeUndefined();
    expect(up({ "cf-connecting-ip": "6.6.6.6" }).has("cf-connecting-ip")).toBe(false);
  });

  it.each([
    ["198.51.100.4", "198.51.100.4"],
    ["6.6.6.6, 198.51.100.4", "198.51.100.4"],
    ["6.6.6.6,198.51.100.4:4711 ", "198.51.100.4"],
    ["2001:db8::7", "2001:db8::7"],
    ["::ffff:198.51.100.4", "::ffff:198.51.100.4"],
    ["[2001:db8::7]:4711", "2001:db8::7"],
    ["198.51.100.4, unknown", undefined],
    ["198.51.100.4,", undefined],
    ["198.51.100.4 <script>", undefined],
  ])("tell the address that one's own front has seen, and that is the last one: %s", (field, address) => {
    const headers = new Headers({ "x-forwarded-for": field });
    expect(clientAddress(headers, "192.0.2.1", "x-forwarded-for")).toBe(address);
  });

  it("that are withheld are so in any spelling that an upstream may take for theirs", () => {
    const headers = up({ "x-api-key": "1", X_Api_Key: "2", "X-API_KEY": "3", "x-api-key-id": "4" });
    withhold(headers, ["x-api-key"]);
    expect([...headers.values()]).not.toEqual(expect.arrayContaining(["1"]));
    expect([headers.get("x_api_key"), headers.get("x-api_key"), headers.get("x-api-key-id")]).toEqual([
      null,
      null,
      "4",
    ]);
  });

  it("keep several cookies apart", () => {
    const response = new Response(null);
    response.headers.append("set-cookie", "a=1; Path=/");
    response.headers.append("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
    expect(responseHeaders(response).getSetCookie()).toEqual([
      "a=1; Path=/",
      "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
    ]);
  });
});
