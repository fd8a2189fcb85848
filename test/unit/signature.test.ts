// Signed requests (RFC 9421): the RFC's own signatures, requests that were signed here, and everything that must
// not pass for either.
import { createHash } from "node:crypto";
import { appendSignature, createSignature, type SignatureParameters } from "http-message-sig";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import * as v from "valibot";
import { beforeAll, describe, expect, it } from "vitest";
import { checkSignature, SIGNED_BODY_BYTES_MAX, SignatureSchema } from "../../src/edge/signature.ts";
import { timeOfJti } from "../../src/receipt/jti.ts";
import { BODY, CREATED, KEYS, PROXY_REQUEST, REQUEST, SIGNATURES } from "../reference/rfc9421.ts";

const NOW = 1_795_238_542;
const gone = new AbortController().signal;
const URL_SIGNED = "https://api.example.com/v1/orders?page=2";
const COVERED = ["@method", "@target-uri", "content-digest"];

/** How each kind of key signs; what the edge verifies with is the edge's own. */
const KINDS = {
  Ed25519: { algorithm: "ed25519", parameters: { name: "Ed25519" } },
  ES256: { algorithm: "ecdsa-p256-sha256", parameters: { name: "ECDSA", hash: "SHA-256" } },
  PS512: { algorithm: "rsa-pss-sha512", parameters: { name: "RSA-PSS", saltLength: 64 } },
} as const;
type Kind = keyof typeof KINDS;

const keys = new Map<Kind, { jwk: JWK; privateKey: CryptoKey }>();
beforeAll(async () => {
  for (const alg of Object.keys(KINDS) as Kind[]) {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    keys.set(alg, { jwk: { alg, ...(await exportJWK(publicKey)) }, privateKey });
  }
});

function rule(more: object = {}) {
  const own = [...keys].map(([keyid, { jwk }]) => ({ keyid, jwk }));
  return v.parse(SignatureSchema, { by: "http-signature", keys: own, ...more });
}

const rfcRule = (more: object = {}) => rule({ keys: KEYS, ...more });

/** A request with one of the RFC's signatures. */
function rfcRequest(section: keyof typeof SIGNATURES, headers: object = {}, body: string | null = BODY) {
  const { input, signature } = SIGNATURES[section];
  const { method, url, headers: given } = section === "B.3" ? PROXY_REQUEST : REQUEST;
  const signed = { "signature-input": `sig=${input}`, signature: `sig=:${signature}:` };
  return new Request(url, { method, body, headers: { ...given, ...signed, ...headers } });
}

interface Signing {
  readonly kind?: Kind;
  readonly method?: string;
  readonly body?: string | null;
  readonly headers?: Record<string, string>;
  readonly components?: readonly string[];
  readonly parameters?: SignatureParameters;
}

async function sign(signing: Signing = {}): Promise<Request> {
  const { kind = "Ed25519", method = "POST", body = BODY, headers = {}, components, parameters } = signing;
  const digest = `sha-256=:${createHash("sha256")
    .update(body ?? "")
    .digest("base64")}:`;
  const request = new Request(URL_SIGNED, {
    method,
    body,
    headers: { ...(body === null ? {} : { "content-digest": digest }), ...headers },
  });
  const { algorithm, parameters: how } = KINDS[kind];
  const fields = await createSignature(request, {
    components: components ?? (body === null ? COVERED.slice(0, 2) : COVERED),
    parameters: { created: NOW, keyid: kind, ...parameters },
    signer: {
      algorithm,
      sign: async data =>
        new Uint8Array(await crypto.subtle.sign(how, keys.get(kind)!.privateKey, data as BufferSource)),
    },
  });
  return new Request(request, { headers: appendSignature(request.headers, fields) });
}

/** The same request with other fields or another body. */
function alter(request: Request, headers: Record<string, string>, more: RequestInit = {}): Request {
  const altered = new Headers(request.headers);
  for (const [name, value] of Object.entries(headers)) altered.set(name, value);
  return new Request(request.clone(), { ...more, headers: altered });
}

const check = (request: Request, more: object = {}) => checkSignature(rule(more), request, NOW * 1000, gone);
const invalid = (why: string) => ({ is: "invalid", why: expect.stringContaining(why) });

describe("the signatures of RFC 9421", () => {
  const checkRfc = (request: Request, more: object = {}, seconds = CREATED) =>
    checkSignature(rfcRule(more), request, seconds * 1000, gone);

  it("over everything is good (B.2.3, RSA-PSS)", async () => {
    expect(await checkRfc(rfcRequest("B.2.3"))).toEqual({ is: "valid", subject: "test-key-rsa-pss" });
    const components = ["date", "content-type"];
    expect(await checkRfc(rfcRequest("B.2.3"), { components })).toMatchObject({ is: "valid" });
  });

  it("over everything but a body is good where there is none (B.3, ECDSA)", async () => {
    expect(await checkRfc(rfcRequest("B.3", {}, null))).toEqual({
      is: "valid",
      subject: "test-key-ecc-p256",
    });
    expect(await checkRfc(rfcRequest("B.3"))).toMatchObject(invalid("content-digest"));
  });

  it("over too little are verified, and refused for what they leave out (B.2.1, B.2.6)", async () => {
    expect(await checkRfc(rfcRequest("B.2.1"))).toMatchObject(invalid('"@method" is absent'));
    expect(await checkRfc(rfcRequest("B.2.6"))).toMatchObject(invalid("@query"));
    // That it does not fit would be said first.
    expect(await checkRfc(rfcRequest("B.2.6", { date: "now" }))).toMatchObject(invalid("does not fit"));
  });

  it("over a single query parameter are of a kind that is not supported (B.2.2)", async () => {
    expect(await checkRfc(rfcRequest("B.2.2"))).toMatchObject(invalid("not supported"));
  });

  it("do not fit another body, field or time", async () => {
    expect(await checkRfc(rfcRequest("B.2.3", {}, '{"hello": "World"}'))).toMatchObject(
      invalid("fit the body"),
    );
    expect(await checkRfc(rfcRequest("B.2.3", { "content-type": "text/plain" }))).toMatchObject(
      invalid("does not fit the request"),
    );
    expect(await checkRfc(rfcRequest("B.2.3"), {}, CREATED + 331)).toMatchObject(invalid("too old"));
    expect(await checkRfc(rfcRequest("B.2.3"), {}, CREATED - 31)).toMatchObject(invalid("future"));
  });
});

describe("a signature that is good only once", () => {
  const checkOnce = async (signing: Signing) => check(await sign(signing), { once: true });
  /** The other signature that everybody can make of one by ECDSA. */
  const flip = (bytes: Buffer) => {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = order - BigInt(`0x${bytes.subarray(32).toString("hex")}`);
    return Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
  };

  it("needs a nonce", async () => {
    expect(await check(await sign(), { once: true })).toMatchObject(invalid("nonce is absent"));
  });

  it.each(Object.keys(KINDS) as Kind[])("has an id of its own, by %s", async kind => {
    const request = await sign({ kind, parameters: { nonce: "n1" } });
    const again = new Request(request.clone(), { headers: [...request.headers, ["x-more", "1"]] });
    const found = (await check(request, { once: true })) as { once: string };
    expect(timeOfJti(found.once)).toBe(NOW * 1000);
    expect(await check(again, { once: true })).toEqual(found);
    expect(await checkOnce({ kind, parameters: { nonce: "n2" } })).not.toEqual(found);
    expect(await checkOnce({ kind, parameters: { nonce: "n1" }, method: "PUT" })).not.toEqual(found);
  });

  it("has the same id when somebody else has made another one of it", async () => {
    const request = await sign({ kind: "ES256", parameters: { nonce: "n1" } });
    const [label, signature] = /^(\w+)=:(.*):$/.exec(request.headers.get("signature")!)!.slice(1);
    const other = flip(Buffer.from(signature!, "base64")).toString("base64");
    expect(other).not.toBe(signature);
    const found = await check(request, { once: true });
    expect(found).toMatchObject({ is: "valid", once: expect.any(String) });
    expect(await check(alter(request, { signature: `${label}=:${other}:` }), { once: true })).toEqual(found);
  });
});

describe("a signed request", () => {
  it.each(Object.keys(KINDS) as Kind[])("is good with a key for %s", async kind => {
    expect(await check(await sign({ kind }))).toEqual({ is: "valid", subject: kind });
    expect(await check(await sign({ kind, parameters: { alg: KINDS[kind].algorithm } }))).toMatchObject({
      is: "valid",
    });
  });

  it("still has its body for the upstream", async () => {
    const request = await sign();
    expect(await check(request)).toMatchObject({ is: "valid" });
    expect(await request.text()).toBe(BODY);
  });

  it("needs no digest when it has no body", async () => {
    expect(await check(await sign({ method: "GET", body: null }))).toMatchObject({ is: "valid" });
  });

  it("is not what a request without signature fields is", async () => {
    expect(await check(new Request(URL_SIGNED))).toBeUndefined();
  });

  it.each([
    ["the method", ["@target-uri", "content-digest"], '"@method" is absent'],
    ["the target", ["@method", "content-digest"], "@target-uri"],
    ["the query", ["@method", "@authority", "@path", "content-digest"], "@query"],
    ["the host", ["@method", "@path", "@query", "content-digest"], "@authority"],
    ["the body", ["@method", "@target-uri"], "content-digest"],
  ])("over everything but %s is refused", async (_, components, why) => {
    expect(await check(await sign({ components }))).toMatchObject(invalid(why));
  });

  it("must cover the fields that the policy names", async () => {
    const request = await sign({
      headers: { "x-tenant": "a", "x-other": "b" },
      components: [...COVERED, "x-tenant"],
    });
    expect(await check(request, { components: ["x-tenant"] })).toMatchObject({ is: "valid" });
    expect(await check(request, { components: ["x-other"] })).toMatchObject(invalid('"x-other" is absent'));
  });

  it.each([
    ["method", { method: "PUT" }],
    ["target", { url: `${URL_SIGNED}&more=1` }],
    ["host", { url: URL_SIGNED.replace("api", "other") }],
  ])("does not fit another %s", async (_, { url, ...more }: { url?: string; method?: string }) => {
    const signed = await sign({ method: "POST", body: null });
    const request = new Request(url ?? signed.url, { method: "POST", headers: signed.headers, ...more });
    expect(await check(request)).toMatchObject(invalid("does not fit the request"));
  });

  it("does not fit another body, nor a digest that was put in its place", async () => {
    const body = '{"hello": "mallory"}';
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    const request = await sign();
    const init = { method: "POST", body };
    expect(await check(new Request(URL_SIGNED, { ...init, headers: request.headers }))).toMatchObject(
      invalid("does not fit the body"),
    );
    expect(
      await check(
        alter(new Request(URL_SIGNED, { ...init, headers: request.headers }), { "content-digest": digest }),
      ),
    ).toMatchObject(invalid("does not fit the request"));
  });

  it("is refused when any of its digests is wrong, or none is of a kind that is known", async () => {
    const sha256 = `sha-256=:${createHash("sha256").update(BODY).digest("base64")}:`;
    const wrong = `sha-512=:${createHash("sha512").update("other").digest("base64")}:`;
    for (const [value, why] of [
      [`${sha256}, ${wrong}`, "does not fit the body"],
      ["md5=:3Oyz1gXpMcHpxDWRTmXRFA==:", "neither"],
      ["sha-256=nothing", "does not fit the body"],
      ["sha-256=:", "malformed"],
    ] as const) {
      expect(await check(await sign({ headers: { "content-digest": value } })), value).toMatchObject(
        invalid(why),
      );
    }
  });

  it("is refused when its body is longer than what can be checked, whether it says so or not", async () => {
    const body = "x".repeat(SIGNED_BODY_BYTES_MAX + 1);
    const found = { ...invalid("longer than"), status: 413 };
    expect(await check(await sign({ body }))).toMatchObject(found);
    expect(await check(alter(await sign({ body }), { "content-length": String(body.length) }))).toMatchObject(
      found,
    );
    expect(await check(await sign({ body: body.slice(1) }))).toMatchObject({ is: "valid" });
  });

  it("is not waited for when its body does not come and the client has gone", async () => {
    const { headers } = await sign();
    const body = new ReadableStream({ start: controller => controller.enqueue(new Uint8Array(3)) });
    const init: RequestInit & { duplex: "half" } = { method: "POST", headers, body, duplex: "half" };
    const leaving = new AbortController();
    const found = checkSignature(rule(), new Request(URL_SIGNED, init), NOW * 1000, leaving.signal);
    setTimeout(() => leaving.abort());
    expect(await found).toMatchObject(invalid("broke off"));
  });

  it.each([
    ["made too long ago", { created: NOW - 331 }, "too old"],
    ["made in the future", { created: NOW + 31 }, "future"],
    ["that has expired", { expires: NOW - 31 }, "expired"],
    ["that does not say when it was made", { created: undefined }, "created is absent"],
    ["that names no key", { keyid: undefined }, "keyid is absent"],
    ["by a key that nobody knows", { keyid: "mallory@example.com" }, "a key that is not known"],
    ["by a key of another kind", { keyid: "ES256" }, "does not fit"],
  ])("%s is refused", async (_, parameters, why) => {
    const found = await check(await sign({ parameters: parameters as SignatureParameters }));
    expect(found).toMatchObject(invalid(why));
    expect(JSON.stringify(found)).not.toContain("mallory");
  });

  it("is refused when it claims another algorithm than its key's", async () => {
    const request = await sign();
    const input = request.headers.get("signature-input")!;
    for (const alg of ["hmac-sha256", "rsa-v1_5-sha256", "rsa-pss-sha512", "none"]) {
      expect(await check(alter(request, { "signature-input": `${input};alg="${alg}"` })), alg).toMatchObject({
        is: "invalid",
      });
    }
  });

  it("is refused with two signatures, one field only, a label that differs, or fields that are too long", async () => {
    const request = await sign();
    const twice = alter(request, {});
    twice.headers.append("signature", request.headers.get("signature")!.replace("sig1", "sig2"));
    twice.headers.append("signature-input", request.headers.get("signature-input")!.replace("sig1", "sig2"));
    expect(await check(twice)).toMatchObject(invalid("not the only one"));
    const again = alter(request, {});
    again.headers.append("signature", request.headers.get("signature")!);
    expect(await check(again)).toMatchObject(invalid("not the only one"));
    for (const name of ["signature", "signature-input"]) {
      const half = alter(request, {});
      half.headers.delete(name);
      expect(await check(half)).toMatchObject(invalid("has no Signature"));
      expect(await check(alter(request, { [name]: `x=1;a="${"a".repeat(9000)}"` }))).toMatchObject(
        invalid("too long"),
      );
    }
    const other = request.headers.get("signature")!.replace("sig1", "sig2");
    expect(await check(alter(request, { signature: other }))).toMatchObject(invalid("of its own"));
    expect(await check(alter(request, { signature: "sig1=:AAAA:" }))).toMatchObject({ is: "invalid" });
    expect(await check(alter(request, { signature: "((((" }))).toMatchObject(invalid("malformed"));
  });

  it.each([
    ["blanks", `a${"\t ".repeat(64_000)}b`, ['"x-a"'], "blanks in a row"],
    ["blanks behind a quote", `a${" ".repeat(120_000)}b`, ['"x-b";key="\\""', '"x-a"'], "blanks in a row"],
    ["one field again and again", "k=1,".repeat(30_000), keyed(400), "covers too much"],
  ])("is refused before %s are worked through", async (_, value, components, why) => {
    const input = `sig1=(${components.join(" ")});created=${NOW};keyid="mallory"`;
    const request = alter(await sign(), { "x-a": value, "signature-input": input });
    expect(await check(request)).toEqual(invalid(why));
  });

  it("is refused before a long field is looked at once for each time that it is covered", async () => {
    // What comes behind as much as may be covered is not looked at: it would be refused for its blanks.
    const value = "a".repeat(100_000);
    const input = `sig1=("x-a" "x-a" "x-b");created=${NOW};keyid="mallory"`;
    const headers = { "x-a": value, "x-b": `a${" ".repeat(65)}b`, "signature-input": input };
    expect(await check(alter(await sign(), headers))).toEqual(invalid("covers too much"));
  });

  it("may cover long fields, several members of one, and blanks in it", async () => {
    const headers = { "x-a": `a="${"x".repeat(20_000)}${" ".repeat(64)}y", b=2`, "x-b": "y".repeat(60_000) };
    const request = await sign({ headers, components: [...COVERED, "x-a", "x-b"] });
    expect(await check(request)).toMatchObject({ is: "valid" });
  });
});

/** Many members of one field. */
function keyed(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `"x-a";key="k${i}"`);
}
