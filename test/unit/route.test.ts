import { describe, expect, it } from "vitest";
import { parsePolicy, type Route } from "../../src/edge/policy.ts";
import { coversRoute, findRoute, upstreamUrl } from "../../src/edge/route.ts";

const base = { upstream: "https://up.internal", ledger: "main" };

function policyOf(...routes: object[]) {
  return parsePolicy({
    issuer: "https://api.example.com",
    ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
    routes: routes.map((route, i) => ({ name: `r${i}`, ...base, ...route })),
  });
}

function find(policy: ReturnType<typeof policyOf>, method: string, url: string): string {
  const found = findRoute(policy, method, new URL(url));
  return found.route?.name ?? (found as { why: string }).why;
}

describe("the first route that takes a request", () => {
  const policy = policyOf(
    { match: "/v1/orders/:id", methods: ["GET", "HEAD"] },
    { match: "/v1/*", hosts: ["api.example.com", "*.shop.example.com"] },
    { match: "/admin/*" },
    { match: "/*", methods: ["GET"] },
  );

  it.each([
    ["GET", "https://api.example.com/v1/orders/7", "r0"],
    ["GET", "https://elsewhere/v1/orders/7", "r0"],
    ["POST", "https://api.example.com/v1/orders/7", "r1"],
    ["POST", "https://API.example.com.:8443/v1/orders/7", "r1"],
    ["POST", "https://a.b.shop.example.com/v1/x", "r1"],
    ["POST", "https://shop.example.com/v1/x", "none"],
    ["POST", "https://evilshop.example.com/v1/x", "none"],
    ["POST", "https://x/admin/users", "r2"],
    ["POST", "https://x/%61dmin/users", "r2"],
    ["GET", "https://x/other", "r3"],
    ["GET", "https://x/group%2Fproject", "r3"],
    ["GET", "https://x/a;b/c//d", "r3"],
  ])("%s %s: %s", (method, url, name) => {
    expect(find(policy, method, url)).toBe(name);
  });

  it.each([
    "https://x/public/..%2fadmin/users",
    "https://x/public/..%5cadmin/users",
    "https://x/%2561dmin/users",
    "https://x//admin/users",
    "https://x/admin;a/users",
    "https://x/%EF%BD%81dmin/users",
    `https://x/%${"25".repeat(20)}61dmin/users`,
  ])("is none when some upstream would take %s for a path of another route", url => {
    expect(find(policy, "GET", url)).toBe("ambiguous");
  });
});

describe("a route", () => {
  const route = (members: object) => ({ name: "x", hold: 0, ...base, match: "/*", ...members }) as Route;

  it.each([
    [{}, { methods: ["GET"], hosts: ["a.example"] }, true],
    [{ methods: ["GET"] }, {}, false],
    [{ methods: ["GET", "PUT"] }, { methods: ["PUT"] }, true],
    [{ hosts: ["*.example"] }, { hosts: ["a.example", "*.b.example"] }, true],
    [{ hosts: ["*.example"] }, { hosts: ["a.example", "b.test"] }, false],
    [{ hosts: ["*.example"] }, {}, false],
    [{ hosts: ["a.example"] }, { hosts: ["*.example"] }, false],
    [{ match: "/v1/*" }, { match: "/v1/:id" }, true],
  ])("%j leaves nothing to %j: %s", (one, other, covers) => {
    expect(coversRoute(route(one), route(other))).toBe(covers);
  });

  it.each([
    [{}, "https://x/a%20b/c?d=1", "https://up.internal/a%20b/c?d=1"],
    [{ upstream: "https://up.internal/base/" }, "https://x/a", "https://up.internal/base/a"],
    [{ strip_prefix: "/v1/api" }, "https://x/v1/api/a/b?c", "https://up.internal/a/b?c"],
    [{ strip_prefix: "/v1/api" }, "https://x/v1/api", "https://up.internal/"],
    [{ strip_prefix: "/v1" }, "https://x/%761/a%2fb", "https://up.internal/a%2fb"],
    [{ strip_prefix: "/v1" }, "https://x/v1//evil.test/a", "https://up.internal//evil.test/a"],
    [
      { strip_prefix: "/v1", upstream: "http://up:81/v2" },
      "https://x/v1/@evil.test",
      "http://up:81/v2/@evil.test",
    ],
  ])("with %j sends %s to %s", (members, url, target) => {
    expect(upstreamUrl(route(members), new URL(url))).toBe(target);
  });
});
