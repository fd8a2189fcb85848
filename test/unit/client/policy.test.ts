import { beforeEach, describe, expect, it } from "vitest";
import { Desk } from "./desk.ts";

const TOML = `
name = "x"

[vars]
issuer = "https://api.example.com"

[[vars.ledgers]]
name = "main"
origin = "api.example.com/audit/main"

[[vars.routes]]
name = "orders"
match = "/v1/orders/:id"
methods = ["GET"]
hosts = ["api.example.com"]
upstream = "https://orders.internal/base"
strip_prefix = "/v1"
ledger = "main"

[[vars.routes]]
name = "all"
match = "/v1/*"
upstream = "https://rest.internal"
ledger = "main"
`;

let desk: Desk;

beforeEach(() => {
  desk = new Desk();
  desk.write("wrangler.toml", TOML);
});

describe("counterfoil policy check", () => {
  it("says that a policy is valid, and its hash and routes", async () => {
    expect(await desk.run("policy", "check")).toBe(0);
    expect(desk.out).toMatch(/valid +wrangler\.toml\nhash +[0-9a-f]{8}\nroutes +orders, all\n/);
  });

  it("names the key that is wrong, what was expected and what is there", async () => {
    desk.write("other.toml", TOML.replace('methods = ["GET"]', 'methods = ["get"]'));
    expect(await desk.run("policy", "check", "--config", "other.toml")).toBe(1);
    expect(desk.out).toMatch(
      /^wrong +vars\.routes\.0\.methods\.0: expected an upper-case HTTP method, found "get"\nwhere +other\.toml$/m,
    );
    desk.write("broken.toml", "a = [");
    expect(await desk.run("policy", "check", "--config", "broken.toml")).toBe(1);
    expect(await desk.run("policy", "check", "--config", "missing.toml")).toBe(2);
    expect(desk.err).toMatch(/^undecided +missing\.toml: there is no such file\nexpected .*--config FILE/m);
  });

  it("explains which route takes a request, where it goes, and with what settings", async () => {
    const { code, json } = await desk.runJson("policy", "check", "GET", "/v1/orders/7?a=b");
    expect([code, json]).toMatchObject([
      0,
      {
        request: "GET https://api.example.com/v1/orders/7?a=b",
        passed: [],
        route: { name: "orders", hold: 262_144, digests: true, strip_prefix: "/v1" },
        target: "https://orders.internal/base/orders/7?a=b",
      },
    ]);
  });

  it.each([
    ["POST", "/v1/orders/7", "method"],
    ["GET", "https://other.test/v1/orders/7", "host"],
    ["GET", "/v1/orders/7/items", "path"],
  ])("says why %s %s does not take the first route", async (method, url, why) => {
    expect(await desk.run("policy", "check", method, url)).toBe(0);
    expect(desk.out).toContain(`another ${why}`);
    expect(desk.out).toMatch(/route +all\n/);
  });

  it.each([
    ["/elsewhere", 404],
    ["/v1/x%2f..%2forders/7", 400],
    ["/x/..%2f.well-known/audit/trust", 404],
  ])("exits with 1 for a request that would be refused: %s", async (path, status) => {
    const { code, json } = await desk.runJson("policy", "check", "GET", path);
    expect([code, json.refusal]).toMatchObject([1, { status }]);
    expect(await desk.run("policy", "check", "GET", path)).toBe(1);
    expect(desk.out).toMatch(new RegExp(`answer +${status}: `));
  });

  it("knows what Counterfoil answers itself, and what cannot be asked", async () => {
    expect(await desk.run("policy", "check", "GET", "/.well-known/audit/trust")).toBe(0);
    expect(desk.out).toContain("by Counterfoil itself");
    expect(await desk.run("policy", "check", "GET")).toBe(2);
    expect(await desk.run("policy", "check", "CONNECT", "/v1/x")).toBe(2);
    expect(await desk.run("policy", "check", "GET", "http://")).toBe(2);
  });
});
