import { describe, expect, it } from "vitest";
import { assuranceOf } from "../../src/edge/assurance.ts";
import { parsePolicy } from "../../src/edge/policy.ts";
import { ED25519_COSIGNATURE, formatVerifierKey, makeNoteKey } from "../../src/tlog/note.ts";

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

/** The good policy with other members of its first route. */
const one = (members: object) => ({ ...good, routes: [{ ...good.routes[0], ...members }] });
const fields = (x: object) => one({ fields: { x } });

describe("the policy", () => {
  it("reads the witnesses to ask from a tlog-policy, and refuses one that it could not ask", () => {
    const key = formatVerifierKey(makeNoteKey("w.example/1", ED25519_COSIGNATURE, new Uint8Array(32)));
    const read = (policy: string) => parsePolicy({ ...good, anchor: { witnesses: { policy } } });
    const { witnesses } = read(`witness w1 ${key} https://w.example\nquorum w1\n`).anchor;
    expect(witnesses).toMatchObject({ required: false, wait_ms: 5000, policy: { quorum: "w1" } });
    expect(() => read(`witness w1 ${key}\nquorum w1\n`)).toThrow(
      'vars.anchor.witnesses.policy: expected an http or https URL for the witness "w1"',
    );
    expect(() => read("witness\n")).toThrow(
      "vars.anchor.witnesses.policy: expected a tlog-policy: policy line 1",
    );
  });

  it("lets a route say what it promises of its records, and closes it when nothing is said", () => {
    const [route] = parsePolicy(good).routes;
    expect(assuranceOf(route)).toEqual({
      assurance: "committed",
      onFailure: "closed",
      waitMs: 5000,
      promiseSeconds: 3600,
    });
    const promised = parsePolicy({ ...good, routes: [{ ...good.routes[0], assurance: "promised" }] });
    expect(assuranceOf(promised.routes[0]).onFailure).toBe("spool");
    expect(assuranceOf(undefined)).toEqual(assuranceOf(route));
  });

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

  it("has a hash that follows from nothing else than what rules an exchange", () => {
    const { hash } = parsePolicy(good);
    const reordered = { routes: good.routes, ledgers: good.ledgers, issuer: good.issuer };
    expect(parsePolicy(reordered).hash).toBe(hash);
    expect(parsePolicy({ ...good, prefix: "/.well-known/audit/" }).hash).toBe(hash);
    expect(parsePolicy({ ...good, anchor: { interval_seconds: 5 } }).hash).toBe(hash);
    for (const changed of [
      { ...good, client_address: "none" },
      { ...good, limits: { url_bytes: 100 } },
      { ...good, routes: [...good.routes].reverse().slice(1) },
      { ...good, routes: [{ ...good.routes[0], body_limit: 5 }, good.routes[1]] },
    ]) {
      expect(parsePolicy(changed).hash).not.toBe(hash);
    }
  });

  it("takes a private field of a body whose digest is private or not there", () => {
    const x = { from: "request", pointer: "/a", private: true };
    for (const members of [{ private: ["req.digest"] }, { digests: false }, { digests: "response" }]) {
      expect(parsePolicy(one({ fields: { x }, ...members })).routes[0]!.fields.x).toEqual(x);
    }
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
      "an upstream with a password and no user",
      { ...good, routes: [{ ...good.routes[0], upstream: "https://:p@x" }] },
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
      "two ledgers of one origin",
      { ...good, ledgers: [good.ledgers[0], { ...good.ledgers[0], name: "other" }] },
      'vars.ledgers.1.origin: "api.example.com/audit/main" is there twice',
    ],
    ["two routes of one name", { ...good, routes: [good.routes[0], good.routes[0]] }, "vars.routes.1.name"],
    [
      "a route that an earlier one leaves nothing to",
      { ...good, routes: [...good.routes].reverse() },
      "vars.routes.1: ",
    ],
    [
      "a route whose upstream is the edge itself",
      { ...good, routes: [{ ...good.routes[0], upstream: "https://API.example.com./v2" }] },
      "vars.routes.0.upstream",
    ],
    [
      "a route whose upstream is a host that another route takes",
      {
        ...good,
        routes: [
          { ...good.routes[0], upstream: "https://shop.example.com" },
          { ...good.routes[1], hosts: ["shop.example.com"] },
        ],
      },
      "vars.routes.0.upstream",
    ],
    [
      "a path pattern that is not in its normal form",
      { ...good, routes: [{ ...good.routes[0], match: "/v1/%61/*" }] },
      "vars.routes.0.match",
    ],
    [
      "a host with a port",
      { ...good, routes: [{ ...good.routes[0], hosts: ["a.example:80"] }] },
      "vars.routes.0.hosts.0",
    ],
    [
      "a route for no method",
      { ...good, routes: [{ ...good.routes[0], methods: [] }] },
      "vars.routes.0.methods",
    ],
    [
      "a prefix to strip that the route's paths do not have",
      { ...good, routes: [{ ...good.routes[0], strip_prefix: "/v2" }] },
      "vars.routes.0.strip_prefix",
    ],
    [
      "a limit that is higher than the platform's",
      { ...good, limits: { url_bytes: 16_385 } },
      "vars.limits.url_bytes",
    ],
    [
      "an extra field from Authorization",
      fields({ from: "request", header: "authorization" }),
      "fields.x.header",
    ],
    ["an extra field from Cookie", fields({ from: "request", header: "cookie" }), "fields.x.header"],
    ["an extra field from Set-Cookie", fields({ from: "response", header: "set-cookie" }), "fields.x.header"],
    ["an extra field that shows who calls", fields({ from: "request", header: "user-agent" }), "fields.x"],
    ["an extra field from nowhere", fields({ from: "request" }), "fields.x"],
    ["an extra field from two places", fields({ from: "request", header: "a", pointer: "/a" }), "fields.x"],
    ["a pointer that is none", fields({ from: "request", pointer: "a" }), "fields.x.pointer"],
    ["a pointer that is too deep", fields({ from: "request", pointer: "/a".repeat(17) }), "fields.x.pointer"],
    [
      "a private field that the digest of its body would betray",
      fields({ from: "request", pointer: "/a", private: true }),
      "vars.routes.0.fields.x.private",
    ],
    [
      "too many extra fields",
      one({
        fields: Object.fromEntries(
          Array.from({ length: 17 }, (_, i) => [`f${i}`, { from: "request", header: "a" }]),
        ),
      }),
      "vars.routes.0.fields",
    ],
    [
      "a private field that is no member of a record",
      one({ private: ["res.body"] }),
      "vars.routes.0.private.0",
    ],
    [
      "a ledger named like a folder of the archive",
      { ...good, ledgers: [{ name: "spool", origin: "x" }] },
      "vars.ledgers.0.name",
    ],
    [
      "a kind of assurance that there is not",
      { ...good, routes: [{ ...good.routes[0], assurance: "sure" }] },
      "vars.routes.0.assurance",
    ],
    [
      "a wait for the ledger that would outlive the request",
      { ...good, routes: [{ ...good.routes[0], ledger_wait_ms: 60_000 }] },
      "vars.routes.0.ledger_wait_ms",
    ],
    [
      "a promise on a route that is to be closed",
      { ...good, routes: [{ ...good.routes[0], assurance: "promised", on_ledger_failure: "closed" }] },
      "vars.routes.0.on_ledger_failure",
    ],
    ["a prefix that does not end with a slash", { ...good, prefix: "/audit" }, "vars.prefix"],
  ])("stops at %s and names the key", (_, vars, path) => {
    expect(() => parsePolicy(vars)).toThrow(path);
  });

  it.each([
    "https://api.example.com/audit/main",
    "HTTP://api.example.com",
    "//api.example.com/main",
    "/audit/main",
    "mailto:a@b",
    "urn:audit:main",
    "user@api.example.com",
    "api.example.com/main?a",
    "api.example.com/main#a",
    "api.example.com/a/../main",
    "API.example.com/main",
    "api.example.com\\main",
    "api.example.com/a b",
    "api.example.com/a+b",
    "api.example.com/\u0001",
    "api.example.com/\n",
    "",
    "a".repeat(256),
  ])("stops at an origin that is no URL without its scheme, and says so: %j", origin => {
    const vars = { ...good, ledgers: [{ name: "main", origin }] };
    const message = `vars.ledgers.0.origin: expected a name like api.example.com/audit/main: host and path in their normal form, without scheme and +, found "${origin}"`;
    expect(() => parsePolicy(vars)).toThrow(expect.objectContaining({ message }));
  });

  it.each(["x", "localhost:8787/main", "api.example.com/", "[::1]:7380/a%20b", "xn--bcher-kva.example/main"])(
    "takes a URL without its scheme for an origin: %s",
    origin => {
      expect(parsePolicy({ ...good, ledgers: [{ name: "main", origin }] }).ledgers[0]!.origin).toBe(origin);
    },
  );

  const { upstream, ...unled } = good.routes[0]!;
  it.each([
    ["is missing", { ...good, routes: [unled] }, "vars.routes.0.upstream: is not there"],
    [
      "is misspelled, and so missing",
      { ...good, routes: [{ ...unled, upstrem: upstream }] },
      "vars.routes.0.upstrem: there is no such key",
    ],
    ["is of another kind", { ...good, ledgers: "main" }, 'vars.ledgers: expected Array, found "main"'],
    [
      "has another value",
      { ...good, client_address: "perr" },
      'vars.client_address: expected ("cf-connecting-ip" | "x-forwarded-for" | "peer" | "none"), found "perr"',
    ],
    [
      "is less than it can be",
      { ...good, anchor: { interval_seconds: 0 } },
      "vars.anchor.interval_seconds: expected >=1, found 0",
    ],
  ])("says once what was expected, and what is there, of a key that %s", (_, vars, message) => {
    expect(() => parsePolicy(vars)).toThrow(expect.objectContaining({ message }));
  });
});
