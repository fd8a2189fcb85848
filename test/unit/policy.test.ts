import { describe, expect, it } from "vitest";
import { matchRoute, parsePolicy } from "../../src/edge/policy.ts";

const good = {
  issuer: "https://api.example.com",
  ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
  routes: [
    {
      name: "orders",
      match: "/v1/orders/*",
      methods: ["GET"],
      upstream: "https://orders.internal",
      ledger: "main",
    },
    { name: "all", match: "/*", upstream: "https://api.internal", ledger: "main" },
  ],
};

describe("the policy", () => {
  it("fills in what is not said", () => {
    const policy = parsePolicy(good);
    expect(policy.prefix).toBe("/.well-known/audit/");
    expect(policy.routes[0]!.hold).toBe(262_144);
    expect(policy.anchor.interval_seconds).toBe(60);
  });

  it("has a hash that follows from what it says", () => {
    expect(parsePolicy(good).hash).toMatch(/^[0-9a-f]{8}$/);
    expect(parsePolicy({ ...good, issuer: "https://other" }).hash).not.toBe(parsePolicy(good).hash);
  });

  it.each([
    ["an unknown key", { ...good, isuer: "x" }, "vars.isuer"],
    [
      "a value of a wrong kind",
      { ...good, anchor: { interval_seconds: "60" } },
      "vars.anchor.interval_seconds",
    ],
    [
      "a route to a ledger that is not there",
      { ...good, routes: [{ ...good.routes[0], ledger: "x" }] },
      "vars.routes.0.ledger",
    ],
    [
      "a route without upstream",
      { ...good, routes: [{ name: "a", match: "/", ledger: "main" }] },
      "vars.routes.0.upstream",
    ],
    [
      "an upstream with credentials",
      { ...good, routes: [{ ...good.routes[0], upstream: "https://u:p@x" }] },
      "vars.routes.0.upstream",
    ],
    [
      "an upstream that is not HTTP",
      { ...good, routes: [{ ...good.routes[0], upstream: "file:///etc" }] },
      "vars.routes.0.upstream",
    ],
    ["no ledger at all", { ...good, ledgers: [] }, "vars.ledgers"],
    [
      "two ledgers of one name",
      { ...good, ledgers: [good.ledgers[0], good.ledgers[0]] },
      "vars.ledgers.1.name",
    ],
    [
      "a ledger named like a part of the read API",
      { ...good, ledgers: [{ name: "anchors", origin: "x" }] },
      "vars.ledgers.0.name",
    ],
    [
      "an origin with a space",
      { ...good, ledgers: [{ name: "main", origin: "a b" }] },
      "vars.ledgers.0.origin",
    ],
    ["a prefix that does not end with a slash", { ...good, prefix: "/audit" }, "vars.prefix"],
  ])("stops at %s and names the key", (_, vars, path) => {
    expect(() => parsePolicy(vars)).toThrow(path);
  });

  it("takes the first route that matches path and method", () => {
    const policy = parsePolicy(good);
    expect(matchRoute(policy, "GET", "/v1/orders/7")!.name).toBe("orders");
    expect(matchRoute(policy, "POST", "/v1/orders/7")!.name).toBe("all");
    expect(matchRoute(policy, "GET", "/v1/ordersheet")!.name).toBe("all");
    expect(matchRoute({ ...policy, routes: policy.routes.slice(0, 1) }, "GET", "/other")).toBeUndefined();
  });
});
