import { describe, expect, it } from "vitest";
import { clientAddress, requestHeaders, responseHeaders } from "../../src/edge/headers.ts";
import { parsePolicy } from "../../src/edge/policy.ts";

const policy = parsePolicy({
  issuer: "https://api.example.com",
  ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
  routes: [{ name: "all", match: "/*", upstream: "https://up.internal", ledger: "main" }],
});

function up(headers: Record<string, string>, address?: string): Headers {
  return requestHeaders(new Request("https://api.example.com/x", { headers }), address, "the-id", policy);
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
      "x-forwarded-host",
      "x-forwarded-proto",
      "x-request-id",
    ]);
  });

  it("tell the upstream who asked, after whoever was there before", () => {
    expect(up({}, "203.0.113.7").get("x-forwarded-for")).toBe("203.0.113.7");
    expect(up({ "x-forwarded-for": "10.0.0.1" }, "203.0.113.7").get("x-forwarded-for")).toBe(
      "10.0.0.1, 203.0.113.7",
    );
    expect(up({}).get("x-forwarded-host")).toBe("api.example.com");
    expect(up({}).get("x-forwarded-proto")).toBe("https");
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

  it("tell the client's address only where somebody other than the client sets them", () => {
    const headers = new Headers({ "cf-connecting-ip": "203.0.113.7" });
    expect(clientAddress(headers, "cf-connecting-ip")).toBe("203.0.113.7");
    expect(clientAddress(headers, "none")).toBeUndefined();
    expect(up({ "cf-connecting-ip": "6.6.6.6" }).has("cf-connecting-ip")).toBe(false);
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
