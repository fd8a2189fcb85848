// Which identity a request has, what of it is told to whom, and what stops the start.
import { createHash, randomBytes } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { hashApiKey } from "../../src/edge/apikey.ts";
import type { ClientCertificate } from "../../src/edge/certificate.ts";
import { Exchange } from "../../src/edge/exchange.ts";
import { readHead } from "../../src/edge/head.ts";
import { Identifier, type Identity, Refused } from "../../src/edge/identity.ts";
import { parsePolicy } from "../../src/edge/policy.ts";
import { KEYS } from "../reference/rfc9421.ts";

const SALT = "c2FsdC1mb3ItdGVzdHMtb25seQ";
const OTHER_SALT = "YW5vdGhlci1zYWx0LWZvci1pdA";
const KEY = randomBytes(32).toString("base64url");
const OTHER_KEY = randomBytes(32).toString("base64url");
const FINGERPRINT = createHash("sha256").update("a certificate").digest("hex");
const CERTIFICATE = { verified: true, fingerprint: FINGERPRINT, subject: "CN=alice,O=Example" };

const apiKey = {
  by: "api-key",
  keys: [
    { id: "alice", salt: SALT, sha256: hashApiKey(SALT, KEY) },
    { id: "bob", salt: OTHER_SALT, sha256: hashApiKey(OTHER_SALT, OTHER_KEY) },
  ],
};
const mtls = { by: "mtls" };
const jwt = {
  by: "jwt",
  jwks: "https://idp.example.com/keys",
  issuer: "https://idp.example.com",
  audience: ["api"],
};
const signed = { by: "http-signature", keys: KEYS };

function policyOf(identity: unknown, fields: unknown = {}) {
  return parsePolicy({
    issuer: "https://api.example.com",
    ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
    routes: [
      { name: "all", match: "/*", upstream: "https://api.internal", ledger: "main", identity, fields },
    ],
  });
}

interface Asking {
  readonly methods: readonly object[];
  readonly require?: boolean;
  readonly headers?: Record<string, string>;
  readonly certificate?: ClientCertificate;
}

function identify({ methods, require = false, headers = {}, certificate }: Asking) {
  const identifier = new Identifier({
    now: Date.now,
    fetch: async () => new Response("down", { status: 500 }),
  });
  return identifier.identify(policyOf({ require, methods }).routes[0]!.identity, {
    request: new Request("https://api.example.com/", { headers }),
    certificate,
    signal: new AbortController().signal,
  });
}

describe("the identity of a caller", () => {
  it("is not asked for where the route does not say so", async () => {
    const identifier = new Identifier({ now: Date.now, fetch });
    const request = new Request("https://api.example.com/", { headers: { authorization: "Bearer x" } });
    const claims = { request, certificate: CERTIFICATE, signal: new AbortController().signal };
    expect(await identifier.identify(undefined, claims)).toBeUndefined();
  });

  it.each([
    ["alice", KEY],
    ["bob", OTHER_KEY],
  ])("is that of the API key: %s", async (id, key) => {
    expect(await identify({ methods: [apiKey], headers: { "x-api-key": key } })).toEqual({
      auth: { by: "api-key" },
      sub: id,
      strip: [],
    });
  });

  it("is that of an API key in a field that the policy names, which it may keep from the upstream", async () => {
    const methods = [{ ...apiKey, header: "authorization", strip: true }];
    expect(await identify({ methods, headers: { authorization: `Bearer ${KEY}` } })).toMatchObject({
      sub: "alice",
      strip: ["authorization"],
    });
  });

  it.each([
    ["is unknown", randomBytes(32).toString("base64url")],
    ["is empty", ""],
    ["is there twice", `${KEY}, ${KEY}`],
    ["is its hash", hashApiKey(SALT, KEY)],
    ["has the salt before it", SALT + KEY],
    ["is huge", "k".repeat(100_000)],
  ])("is refused for an API key that %s", async (_, key) => {
    const found = await identify({ methods: [apiKey], headers: { "x-api-key": key } });
    expect(found).toBeInstanceOf(Refused);
    expect(found).toMatchObject({
      status: 401,
      headers: { "www-authenticate": expect.stringMatching(/^ApiKey /) },
    });
  });

  it("is that of the client certificate, as the front tells it", async () => {
    expect(await identify({ methods: [mtls], certificate: CERTIFICATE })).toEqual({
      auth: { by: "mtls" },
      sub: `CN=alice,O=Example;sha256=${FINGERPRINT}`,
      strip: [],
    });
  });

  it("is refused for a certificate that the front did not accept", async () => {
    for (const wrong of [{ verified: false }, { fingerprint: "" }]) {
      const found = await identify({ methods: [mtls], certificate: { ...CERTIFICATE, ...wrong } });
      expect(found).toMatchObject({ status: 403, headers: {} });
    }
  });

  it("is never taken from what a header field says of a certificate", async () => {
    const headers = {
      "cf-client-cert-verified": "true",
      "cf-client-cert-sha256": FINGERPRINT,
      "cf-tls-client-auth": JSON.stringify({ certPresented: "1", certVerified: "SUCCESS" }),
      "client-cert": ":MIIB:",
      "x-forwarded-client-cert": `Hash=${FINGERPRINT}`,
    };
    expect(await identify({ methods: [mtls], headers })).toMatchObject({ auth: { by: "none" }, sub: null });
    expect(await identify({ methods: [mtls], headers, require: true })).toMatchObject({ status: 403 });
  });

  it("is none where there is no credential, and refused where the route requires one", async () => {
    const methods = [jwt, apiKey, mtls, signed];
    expect(await identify({ methods })).toEqual({ auth: { by: "none" }, sub: null, strip: [] });
    expect(await identify({ methods, require: true })).toMatchObject({
      status: 401,
      headers: {
        "www-authenticate":
          'Bearer realm="api", ApiKey realm="api", header="x-api-key", Signature realm="api"',
      },
    });
  });

  it("is the first one of two that are good, in the order of the policy", async () => {
    const both = { headers: { "x-api-key": KEY }, certificate: CERTIFICATE };
    expect(await identify({ methods: [mtls, apiKey], ...both })).toMatchObject({ auth: { by: "mtls" } });
    expect(await identify({ methods: [apiKey, mtls], ...both })).toMatchObject({ sub: "alice" });
  });

  it("is refused when any credential is not good, whatever the others are", async () => {
    const headers = { "x-api-key": KEY, authorization: "Bearer not.a.token" };
    for (const methods of [
      [apiKey, { ...jwt }],
      [jwt, apiKey],
    ]) {
      const found = await identify({ methods, headers: { ...headers, authorization: "Bearer , " } });
      expect(found).toMatchObject({
        status: 401,
        headers: { "www-authenticate": 'Bearer realm="api", error="invalid_token"' },
      });
    }
    const unverified = { ...CERTIFICATE, verified: false };
    expect(await identify({ methods: [apiKey, mtls], headers, certificate: unverified })).toMatchObject({
      status: 403,
    });
  });

  it("is none, with the reason, when the issuer's keys cannot be had; where one is required that is a 503", async () => {
    const headers = { authorization: "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA" };
    const error = "the issuer's keys cannot be fetched: status 500";
    expect(await identify({ methods: [jwt], headers })).toMatchObject({
      auth: { by: "none", error },
      sub: null,
    });
    expect(await identify({ methods: [jwt], headers, require: true })).toMatchObject({ status: 503, error });
    const withKey = { ...headers, "x-api-key": KEY };
    expect(await identify({ methods: [jwt, apiKey], headers: withKey, require: true })).toMatchObject({
      auth: { by: "api-key" },
      sub: "alice",
    });
  });

  it("is in the record by its method, and the caller only as a digest that the seed opens", () => {
    const request = new Request("https://api.example.com/");
    const policy = policyOf({ methods: [apiKey] });
    const random = (count: number) => new Uint8Array(randomBytes(count));
    const sources = { now: Date.now, random, sha256 };
    const exchange = new Exchange(readHead(request), undefined, policy.routes[0], policy, sources);
    const identity: Identity = {
      auth: { by: "jwt", iss: "https://idp.example.com" },
      sub: "alice",
      strip: [],
    };
    exchange.identify(identity);
    const text = exchange.record("complete", { status: 200 });
    expect(JSON.parse(text).auth).toEqual({ by: "jwt", iss: "https://idp.example.com" });
    expect(text).not.toContain("alice");
    const name = "sub";
    const salt = createHash("sha256")
      .update(Buffer.from(exchange.seed, "base64url"))
      .update(name)
      .digest()
      .subarray(0, 16);
    const disclosure = JSON.stringify([salt.toString("base64url"), name, "alice"]);
    const digest = createHash("sha256")
      .update(Buffer.from(disclosure).toString("base64url"))
      .digest("base64url");
    expect(JSON.parse(text)._sd).toContain(digest);
    // What was recorded once cannot become somebody else's.
    expect(() => exchange.identify({ ...identity, sub: "bob" })).toThrow("before it is recorded");
  });
});

describe("the policy of identities", () => {
  const [entry] = apiKey.keys;
  it.each([
    ["an unknown key", { methods: [mtls], required: true }, "identity.required"],
    ["no method", { methods: [] }, "identity.methods"],
    ["a method that is not known", { methods: [{ by: "password" }] }, "identity.methods.0.by"],
    ["an unknown key of a method", { methods: [{ ...jwt, secret: "x" }] }, "identity.methods.0.secret"],
    [
      "a symmetric algorithm",
      { methods: [{ ...jwt, algorithms: ["HS256"] }] },
      "identity.methods.0.algorithms.0",
    ],
    [
      "no signature at all",
      { methods: [{ ...jwt, algorithms: ["none"] }] },
      "identity.methods.0.algorithms.0",
    ],
    ["no algorithm", { methods: [{ ...jwt, algorithms: [] }] }, "identity.methods.0.algorithms"],
    ["no audience", { methods: [{ ...jwt, audience: [] }] }, "identity.methods.0.audience"],
    [
      "keys that come unprotected",
      { methods: [{ ...jwt, jwks: "http://idp.example.com/" }] },
      "identity.methods.0.jwks",
    ],
    [
      "a field that means something else",
      { methods: [{ ...jwt, header: "host" }] },
      "identity.methods.0.header",
    ],
    ["a field of the edge's own", { methods: [{ ...jwt, header: "audit-id" }] }, "identity.methods.0.header"],
    [
      "a skew of hours",
      { methods: [{ ...jwt, clock_skew_seconds: 3600 }] },
      "identity.methods.0.clock_skew_seconds",
    ],
    ["an API key in the clear", { methods: [{ ...apiKey, keys: [{ ...entry, key: KEY }] }] }, "keys.0.key"],
    [
      "an API key for its hash",
      { methods: [{ ...apiKey, keys: [{ ...entry, sha256: KEY }] }] },
      "keys.0.sha256",
    ],
    ["a short salt", { methods: [{ ...apiKey, keys: [{ ...entry, salt: "salt" }] }] }, "keys.0.salt"],
    ["two keys of one id", { methods: [{ ...apiKey, keys: [entry, entry] }] }, "identity.methods.0.keys"],
    [
      "two methods that read one field",
      { methods: [jwt, { ...apiKey, header: "authorization" }] },
      "identity.methods",
    ],
    [
      "a private key",
      { methods: [{ ...signed, keys: [{ keyid: "a", jwk: { ...KEYS[2].jwk, d: KEY } }] }] },
      "keys.0.jwk.d",
    ],
    [
      "a key of a kind that is not allowed",
      { methods: [{ ...signed, keys: [{ keyid: "a", jwk: { kty: "oct", k: KEY, alg: "HS256" } }] }] },
      "keys.0.jwk.alg",
    ],
    [
      "a key too short to be safe",
      { methods: [{ ...signed, keys: [{ keyid: "a", jwk: { ...KEYS[0].jwk, n: "AQAB" } }] }] },
      "keys.0.jwk.n",
    ],
  ])("stops the start at %s, names the key path, and repeats no key", (_, identity, path) => {
    expect(() => policyOf(identity)).toThrow(path);
    expect(() => policyOf(identity)).toThrow("vars.routes.0.identity");
    expect(() => policyOf(identity)).not.toThrow(KEY);
  });

  it("lets no record have a field that a credential is read from", () => {
    const identity = { methods: [{ ...jwt, header: "x-token" }] };
    const fields = { who: { from: "request", header: "x-token", private: true } };
    expect(() => policyOf(identity, fields)).toThrow("vars.routes.0.fields");
    expect(() => policyOf({ methods: [mtls] }, fields)).not.toThrow();
    const signature = { who: { from: "request", header: "signature-input", private: true } };
    expect(() => policyOf(undefined, signature)).toThrow("vars.routes.0.fields.who.header");
  });

  it("takes keys from this machine without TLS", () => {
    expect(() => policyOf({ methods: [{ ...jwt, jwks: "http://127.0.0.1:9/keys" }] })).not.toThrow();
  });

  it("is part of the policy's hash", () => {
    expect(policyOf({ methods: [apiKey] }).hash).not.toBe(
      policyOf({ methods: [apiKey], require: true }).hash,
    );
  });
});
