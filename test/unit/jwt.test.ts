// Bearer tokens against issuers that really serve their keys: jose signs, the edge verifies.
import { createHmac, createPublicKey, randomBytes } from "node:crypto";
import { exportJWK, exportSPKI, type GenerateKeyPairResult, generateKeyPair, type JWK, SignJWT } from "jose";
import * as v from "valibot";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Jwks } from "../../src/edge/jwks.ts";
import { checkJwt, JwtSchema } from "../../src/edge/jwt.ts";
import { startUpstream, type Upstream } from "../e2e/upstream.ts";

const ISSUER = "https://idp.example.com";
const AUDIENCE = "https://api.example.com";
const NOW_MS = Date.parse("2026-11-21T10:00:00.000Z");
const NOW = NOW_MS / 1000;

interface Key extends GenerateKeyPairResult {
  readonly jwk: JWK;
}

async function makeKey(kid: string, alg = "ES256"): Promise<Key> {
  const pair = await generateKeyPair(alg, { extractable: true });
  return { ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: "sig" } };
}

let first: Key;
let second: Key;
let rsa: Key;
beforeAll(async () => {
  [first, second, rsa] = await Promise.all([makeKey("first"), makeKey("second"), makeKey("rsa", "RS256")]);
});

let issuer: Upstream;
/** What the issuer answers with, and how often it was asked. */
let published: unknown;
let status: number;
let asked: number;
let nowMs: number;
let jwks: Jwks;

beforeEach(async () => {
  published = { keys: [first.jwk, rsa.jwk] };
  status = 200;
  asked = 0;
  nowMs = NOW_MS;
  issuer = await startUpstream((_, response) => {
    asked++;
    response.writeHead(status, { location: "/elsewhere" }).end(JSON.stringify(published));
  });
  jwks = new Jwks({ now: () => nowMs, fetch });
});
afterEach(() => issuer.close());

function rule(more: object = {}) {
  return v.parse(JwtSchema, {
    by: "jwt",
    jwks: `${issuer.url}/jwks`,
    issuer: ISSUER,
    audience: [AUDIENCE],
    ...more,
  });
}

function sign(key: Key, claims: object = {}, header: object = {}): Promise<string> {
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: "alice", exp: NOW + 60, ...claims })
    .setProtectedHeader({ alg: key.jwk.alg!, kid: key.jwk.kid!, ...header })
    .sign(key.privateKey);
}

function check(authorization: string | undefined, more: object = {}) {
  const headers = new Headers(authorization === undefined ? {} : { authorization });
  return checkJwt(rule(more), headers, jwks, nowMs);
}

/** A token put together by hand, as no honest library would. */
function forge(header: object, claims: object, signature: (input: string) => Buffer): string {
  const input = [header, claims]
    .map(part => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${input}.${signature(input).toString("base64url")}`;
}

const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: "alice", exp: NOW + 60 };

describe("a bearer token", () => {
  it.each(["Bearer", "bearer", "BEARER"])("is taken after %s, and names subject and issuer", async scheme => {
    expect(await check(`${scheme} ${await sign(first)}`)).toEqual({
      is: "valid",
      subject: "alice",
      issuer: ISSUER,
    });
  });

  it("is taken by RSA as well, and from a field that the policy names", async () => {
    const headers = new Headers({ "x-token": await sign(rsa) });
    expect(await checkJwt(rule({ header: "x-token" }), headers, jwks, nowMs)).toMatchObject({ is: "valid" });
  });

  it("is not there in a request without one, or with another scheme", async () => {
    expect(await check(undefined)).toBeUndefined();
    expect(await check("Basic YWxpY2U6c2VjcmV0")).toBeUndefined();
    expect(asked).toBe(0);
  });

  it.each([
    ["has expired", { exp: NOW - 31 }, "has expired"],
    ["never expires", { exp: undefined }, '"exp"'],
    ["is not valid yet", { nbf: NOW + 31 }, '"nbf"'],
    ["is for another audience", { aud: "https://other.example.com" }, '"aud"'],
    ["is for nobody in particular", { aud: undefined }, '"aud"'],
    ["is of another issuer", { iss: "https://evil.example.com" }, '"iss"'],
    ["has no subject", { sub: undefined }, '"sub"'],
    ["has an empty subject", { sub: "" }, '"sub"'],
    ["has a subject that is no text", { sub: { admin: true } }, '"sub"'],
  ])("that %s is refused", async (_, claims, why) => {
    const found = await check(`Bearer ${await sign(first, claims)}`);
    expect(found).toMatchObject({ is: "invalid", why: expect.stringContaining(why) });
  });

  it("may be late by the skew that the policy allows, and no more", async () => {
    const token = await sign(first, { exp: NOW - 5 });
    expect(await check(`Bearer ${token}`)).toMatchObject({ is: "valid" });
    expect(await check(`Bearer ${token}`, { clock_skew_seconds: 5 })).toMatchObject({ is: "invalid" });
  });

  it("of another type than the policy asks for is refused", async () => {
    const typ = "at+jwt";
    expect(await check(`Bearer ${await sign(first, {}, { typ })}`, { typ })).toMatchObject({ is: "valid" });
    expect(await check(`Bearer ${await sign(first, {}, { typ: "JWT" })}`, { typ })).toMatchObject({
      is: "invalid",
      why: expect.stringContaining('"typ"'),
    });
  });

  it("that says it needs no signature is refused, and no key is asked for", async () => {
    for (const alg of ["none", "None", "NONE"]) {
      const token = forge({ alg, kid: "first" }, CLAIMS, () => Buffer.alloc(0));
      expect(await check(`Bearer ${token}`)).toMatchObject({ is: "invalid" });
    }
  });

  it("that uses the public key as a secret is refused", async () => {
    const pem = await exportSPKI(rsa.publicKey);
    const der = createPublicKey(pem).export({ format: "der", type: "spki" });
    for (const secret of [pem, der, JSON.stringify(rsa.jwk)]) {
      const token = forge({ alg: "HS256", kid: "rsa" }, CLAIMS, input =>
        createHmac("sha256", secret).update(input).digest(),
      );
      expect(await check(`Bearer ${token}`)).toMatchObject({
        is: "invalid",
        why: expect.stringContaining("algorithm"),
      });
    }
  });

  it("with an algorithm that the route does not allow is refused, though its key is published", async () => {
    const found = await check(`Bearer ${await sign(rsa)}`, { algorithms: ["ES256"] });
    expect(found).toMatchObject({ is: "invalid", why: expect.stringContaining("algorithm") });
  });

  it("that brings its own key, or says where to find one, is refused", async () => {
    const stranger = await makeKey("first");
    const seen = asked;
    for (const header of [{ jwk: stranger.jwk }, { jku: `${issuer.url}/evil`, x5u: `${issuer.url}/evil` }]) {
      expect(await check(`Bearer ${await sign(stranger, {}, header)}`)).toMatchObject({
        is: "invalid",
        why: expect.stringContaining("does not fit"),
      });
    }
    expect(asked).toBe(seen + 1);
  });

  it("whose claims were altered is refused", async () => {
    const [header, , signature] = (await sign(first)).split(".");
    const claims = Buffer.from(JSON.stringify({ ...CLAIMS, sub: "bob" })).toString("base64url");
    expect(await check(`Bearer ${header}.${claims}.${signature}`)).toMatchObject({ is: "invalid" });
  });

  it("that is huge, twice there, or none at all is refused before any key is fetched", async () => {
    const token = await sign(first);
    const huge = await sign(first, { padding: randomBytes(8000).toString("hex") });
    for (const value of [
      `Bearer ${huge}`,
      `Bearer ${token}, Bearer ${token}`,
      `Basic eDp5, Bearer ${token}`,
      `Bearer ${token} ${token}`,
      "Bearer",
      "Bearer ,",
    ]) {
      expect(await check(value), value.slice(0, 40)).toMatchObject({ is: "invalid" });
    }
    expect(asked).toBe(0);
  });

  it("is never repeated in the reason for which it is refused", async () => {
    const token = await sign(first, { sub: "carol@example.com", aud: "carol@example.com", exp: NOW - 90 });
    for (const value of [token, token.slice(0, -4), `${token}x`, token.split(".").slice(0, 2).join(".")]) {
      const found = JSON.stringify(await check(`Bearer ${value}`));
      expect(found).toContain("invalid");
      expect(found).not.toContain("carol");
      expect(found).not.toContain(value.slice(0, 20));
    }
  });

  it("without a key id is taken if only one key can be meant", async () => {
    published = { keys: [first.jwk] };
    expect(await check(`Bearer ${await sign(first, {}, { kid: undefined })}`)).toMatchObject({ is: "valid" });
    published = { keys: [first.jwk, second.jwk] };
    nowMs += 3_600_000;
    const token = await sign(first, { exp: nowMs / 1000 + 60 }, { kid: undefined });
    expect(await check(`Bearer ${token}`)).toMatchObject({
      is: "invalid",
      why: expect.stringContaining("by which key"),
    });
  });
});

describe("the keys of an issuer", () => {
  const later = (seconds: number) => {
    nowMs += seconds * 1000;
  };
  const valid = { exp: NOW + 86_400 };

  it("are fetched once for many tokens, and again after ten minutes", async () => {
    const token = `Bearer ${await sign(first, valid)}`;
    await Promise.all(
      Array.from({ length: 20 }, async () => expect(await check(token)).toMatchObject({ is: "valid" })),
    );
    expect(asked).toBe(1);
    later(599);
    await check(token);
    expect(asked).toBe(1);
    later(1);
    await check(token);
    expect(asked).toBe(2);
  });

  it("are fetched anew for a token by a key that is not among them, once for all that wait", async () => {
    await check(`Bearer ${await sign(first, valid)}`);
    published = { keys: [second.jwk] };
    later(11);
    const token = `Bearer ${await sign(second, valid)}`;
    const found = await Promise.all(Array.from({ length: 20 }, () => check(token)));
    expect(found.every(one => one?.is === "valid")).toBe(true);
    expect(asked).toBe(2);
    // The key that is no longer published is no longer good.
    expect(await check(`Bearer ${await sign(first, valid)}`)).toMatchObject({ is: "invalid" });
  });

  it("are not fetched over and over for tokens by keys that nobody has", async () => {
    const token = `Bearer ${await sign(await makeKey("stranger"), valid)}`;
    for (let i = 0; i < 50; i++) expect(await check(token)).toMatchObject({ is: "invalid" });
    expect(asked).toBe(1);
    later(10);
    await check(token);
    await check(token);
    expect(asked).toBe(2);
  });

  it("are used for an hour when they cannot be fetched again, and no longer", async () => {
    const token = `Bearer ${await sign(first, valid)}`;
    await check(token);
    status = 500;
    later(3599);
    expect(await check(token)).toMatchObject({ is: "valid" });
    later(11);
    expect(await check(token)).toEqual({
      is: "unverifiable",
      why: "the issuer's keys cannot be fetched: status 500",
    });
    status = 200;
    later(11);
    expect(await check(token)).toMatchObject({ is: "valid" });
  });

  it("that cannot be fetched are not asked for by every request", async () => {
    status = 503;
    const token = `Bearer ${await sign(first, valid)}`;
    const found = await Promise.all(Array.from({ length: 20 }, () => check(token)));
    expect(found.every(one => one?.is === "unverifiable")).toBe(true);
    expect(asked).toBe(1);
  });

  it("are not fetched from where a redirect points", async () => {
    status = 302;
    expect(await check(`Bearer ${await sign(first)}`)).toMatchObject({ is: "unverifiable" });
    expect(asked).toBe(1);
  });

  it.each([
    ["no key set", { hello: "world" }],
    ["more than 100 keys", { keys: Array.from({ length: 101 }, () => ({ kty: "EC" })) }],
    ["more than 256 KiB", { keys: [], padding: "x".repeat(300_000) }],
  ])("that come as %s cannot be used", async (_, document) => {
    published = document;
    expect(await check(`Bearer ${await sign(first)}`)).toMatchObject({ is: "unverifiable" });
  });

  it("that are secrets, or private, are never used", async () => {
    const secret = randomBytes(32);
    const oct = { kty: "oct", k: secret.toString("base64url"), kid: "oct", alg: "HS256" };
    published = { keys: [oct, await exportJWK(first.privateKey).then(jwk => ({ ...jwk, kid: "first" }))] };
    const token = forge({ alg: "HS256", kid: "oct" }, CLAIMS, input =>
      createHmac("sha256", secret).update(input).digest(),
    );
    expect(await check(`Bearer ${token}`)).toMatchObject({ is: "invalid" });
    expect(await check(`Bearer ${await sign(first)}`)).toMatchObject({ is: "invalid" });
  });

  it("are fetched by another request when the one that began has been cancelled", async () => {
    let hangs = true;
    const hanging = new Jwks({
      now: () => nowMs,
      fetch: (url, init) => (hangs ? new Promise<Response>(() => {}) : fetch(url, init)),
    });
    const token = new Headers({ authorization: `Bearer ${await sign(first, valid)}` });
    // As on a platform that cancels a request: nothing of it is ever heard again.
    void checkJwt(rule(), token, hanging, nowMs);
    await Promise.resolve();
    hangs = false;
    const waiting = checkJwt(rule(), token, hanging, nowMs);
    later(6);
    expect(await waiting).toMatchObject({ is: "valid" });
  });
});
