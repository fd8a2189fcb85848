// Identities through the edge in real workerd: who gets through and who does not, the receipts of both, and a full
// copy of the ledger in which nobody is named.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendSignature, createSignature, webcrypto } from "http-message-sig";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../scripts/config.ts";
import { startWorkerd, type Workerd } from "../../scripts/workerd.ts";
import { hashApiKey } from "../../src/edge/apikey.ts";
import { openKeySet } from "../../src/hosts/keys.ts";
import { matchesField, parseSeed } from "../../src/receipt/disclosure.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { parseTrust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { checkReceipt, pullChecked, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { type Answer, eventually, send, startUpstream, type Upstream } from "./upstream.ts";

const ALICE = "alice.liddell@example.com";
const TENANT = "tenant-of-humpty-dumpty";
const KEYID = "signer-cheshire-cat";
const API_KEY = randomBytes(32).toString("base64url");
const SALT = randomBytes(16).toString("base64url");

let folder: string;
let upstream: Upstream;
let issuer: Upstream;
let published: { keys: JWK[] };
let issuerStatus = 200;
/** The paths at which the issuer was asked for its keys. */
const asked: string[] = [];
let edge: Edge;
/** The key that the issuer signs with. */
let current: Awaited<ReturnType<typeof makeKey>>;
let signer: CryptoKeyPair;
/** What reached the upstream, by path. */
const arrived = new Map<string, Record<string, unknown>>();
const receipts: string[] = [];

async function makeKey(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { privateKey, kid, jwk: { ...(await exportJWK(publicKey)), kid, alg: "RS256" } };
}

function token(key: typeof current, claims: object = {}): Promise<string> {
  return new SignJWT({
    iss: "https://idp.example.com",
    aud: "api",
    sub: ALICE,
    exp: Date.now() / 1000 + 3600,
    ...claims,
  })
    .setProtectedHeader({ alg: "RS256", kid: key.kid })
    .sign(key.privateKey);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  upstream = await startUpstream(({ url, headers }, response, body) => {
    arrived.set(url!, { ...headers, body: body.toString() });
    response.end("it is you");
  });
  issuer = await startUpstream(({ url }, response) => {
    asked.push(url!);
    response.writeHead(issuerStatus, { "content-type": "application/json" }).end(JSON.stringify(published));
  });
  current = await makeKey("this year");
  published = { keys: [current.jwk] };
  signer = (await generateKeyPair("Ed25519", { extractable: true })) as CryptoKeyPair;
  await writeFile(join(folder, "wrangler.toml"), await configure());
  edge = await start();
});

const start = () =>
  startEdge({
    upstream: upstream.url,
    state: join(folder, "state"),
    args: ["--config", join(folder, "wrangler.toml")],
  });

afterAll(async () => {
  await edge.stop();
  upstream.close();
  issuer.close();
  await rm(folder, { recursive: true, force: true });
});

/** The repository's wrangler.toml with a route for each method. */
async function configure(): Promise<string> {
  const { x } = await exportJWK(signer.publicKey);
  const jwt = (name: string, require: boolean) => `
[[vars.routes]]
name = "${name}"
match = "/${name}/*"
upstream = "${upstream.url}"
ledger = "main"
[vars.routes.identity]
require = ${require}
[[vars.routes.identity.methods]]
by = "jwt"
jwks = "${issuer.url}/${name}"
issuer = "https://idp.example.com"
audience = ["api"]
`;
  const routes = `${jwt("jwt", true)}
[[vars.routes.identity.methods]]
by = "api-key"
strip = true
keys = [{ id = "${TENANT}", salt = "${SALT}", sha256 = "${hashApiKey(SALT, API_KEY)}" }]
${jwt("optional", false)}
[[vars.routes]]
name = "signed"
match = "/signed/*"
upstream = "${upstream.url}"
ledger = "main"
[vars.routes.identity]
require = true
[[vars.routes.identity.methods]]
by = "http-signature"
keys = [{ keyid = "${KEYID}", jwk = { kty = "OKP", crv = "Ed25519", alg = "Ed25519", x = "${x}" } }]

[[vars.routes]]
name = "certificate"
match = "/certificate/*"
upstream = "${upstream.url}"
ledger = "main"
[vars.routes.identity]
require = true
[[vars.routes.identity.methods]]
by = "mtls"
`;
  const toml = await readFile("wrangler.toml", "utf8");
  return toml
    .replace(/interval_seconds = \d+/, "interval_seconds = 1")
    .replace(/main = "src/, `main = "${process.cwd()}/src`)
    .replace('match = "/*"', 'match = "/open/*"')
    .replace("# How many seconds", `${routes}\n# How many seconds`);
}

/** Sends a request; its receipt must verify, and is kept for the end. */
async function exchange(path: string, options: Parameters<typeof send>[1] = {}) {
  const answer = await send(`${edge.url}${path}`, options);
  const receipt = answer.headers["audit-receipt"] as string;
  const trust = parseTrust((await read(edge, "trust")).toString());
  await verifyEvidence({ receipt }, trust);
  receipts.push(receipt);
  return { ...answer, record: parseReceipt(receipt).entry.record };
}

/** Whether the caller can prove from the receipt who it was. */
function isProven(
  { headers, record }: Awaited<ReturnType<typeof exchange>>,
  subject: string | null,
): boolean {
  return matchesField(record, parseSeed(headers["audit-receipt-seed"] as string), "sub", subject);
}

function bearer(text: string) {
  return { headers: { authorization: `Bearer ${text}` } };
}

/** What every refusal has: a problem, a record of its own, nobody's name, and nothing at the upstream. */
function expectRefused(path: string, answer: Awaited<ReturnType<typeof exchange>>, status: number) {
  expect(answer.status).toBe(status);
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(answer.record).toMatchObject({ stage: "rejected", res: { status } });
  expect(answer.record).not.toHaveProperty("auth");
  expect(isProven(answer, null)).toBe(true);
  expect(arrived.has(path)).toBe(false);
}

describe("a route that requires an identity", () => {
  test("lets a token of its issuer through, and says in the record how, not who", async () => {
    const text = await token(current);
    const answer = await exchange("/jwt/mine", bearer(text));
    expect([answer.status, answer.body.toString()]).toEqual([200, "it is you"]);
    expect(answer.record).toMatchObject({
      stage: "complete",
      auth: { by: "jwt", iss: "https://idp.example.com" },
    });
    expect(isProven(answer, ALICE)).toBe(true);
    expect(isProven(answer, null)).toBe(false);
    const authorization = `Bearer ${await edge.operatorToken()}`;
    const kept = await eventually(() =>
      read(edge, `private/main/${answer.record.jti}`, { authorization }).catch(() => undefined),
    );
    expect(JSON.parse(kept.toString()).fields).toMatchObject({ sub: ALICE });
    expect(arrived.get("/jwt/mine")).toMatchObject({ authorization: `Bearer ${text}` });
  });

  test("lets an API key through, and keeps it from the upstream where the policy says so", async () => {
    const answer = await exchange("/jwt/key", { headers: { "x-api-key": API_KEY } });
    expect(answer.record).toMatchObject({ stage: "complete", auth: { by: "api-key" } });
    expect(isProven(answer, TENANT)).toBe(true);
    expect(arrived.get("/jwt/key")).not.toHaveProperty("x-api-key");
  });

  test("refuses a request without a credential, and says what it asks for", async () => {
    const answer = await exchange("/jwt/nobody");
    expectRefused("/jwt/nobody", answer, 401);
    expect(answer.headers["www-authenticate"]).toBe(
      'Bearer realm="api", ApiKey realm="api", header="x-api-key"',
    );
    expect(answer.record.error).toBe("this route asks for an identity, by jwt or api-key");
  });

  test.each([
    ["expired", async () => token(current, { exp: 1_700_000_000 }).then(bearer)],
    ["for another audience", async () => token(current, { aud: "other" }).then(bearer)],
    [
      "unsigned",
      async () => bearer(`${btoa('{"alg":"none"}')}.${btoa(`{"sub":"${ALICE}"}`)}.`.replaceAll("=", "")),
    ],
    [
      "good, beside an API key that is not",
      async () => ({
        headers: { ...bearer(await token(current)).headers, "x-api-key": "guessed" },
      }),
    ],
  ])("refuses a token that is %s", async (name, make) => {
    const path = `/jwt/${encodeURIComponent(name)}`;
    const answer = await exchange(path, await make());
    expectRefused(path, answer, 401);
    expect(answer.body.toString()).not.toContain(ALICE);
  });

  test("refuses two Authorization fields, whichever comes first", async () => {
    const good = `Bearer ${await token(current)}`;
    for (const [n, second] of [good, "Basic eDp5"].entries()) {
      const answer = await raw(`/jwt/two-${n}`, [`Authorization: ${second}`, `Authorization: ${good}`]);
      expect(answer).toMatch(/^HTTP\/1.1 401 /);
      expect(arrived.has(`/jwt/two-${n}`)).toBe(false);
    }
  });

  test("lets many tokens through at once, though no keys are there yet", async () => {
    const text = await token(current);
    expect(asked).not.toContain("/optional");
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => exchange(`/optional/many-${n}`, bearer(text))),
    );
    for (const answer of answers) expect(answer.record.auth).toMatchObject({ by: "jwt" });
    expect(asked.filter(path => path === "/optional")).toHaveLength(1);
  });
});

/** Sends a GET as plain text, with fields that no client library would send, and returns the status line. */
async function raw(path: string, fields: string[]): Promise<string> {
  const { hostname, port } = new URL(edge.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${fields.join("\r\n")}\r\nConnection: close\r\n\r\n`,
  );
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text.split("\r\n")[0]!;
}

describe("a route that only asks for one", () => {
  test("lets a request without one through, and says so in the record", async () => {
    const answer = await exchange("/optional/nobody");
    expect(answer.record).toMatchObject({ stage: "complete", auth: { by: "none" } });
    expect(isProven(answer, null)).toBe(true);
  });

  test("refuses one that is not good all the same", async () => {
    const answer = await exchange("/optional/bad", bearer("a.b.c"));
    expectRefused("/optional/bad", answer, 401);
  });
});

describe("a route for signed requests", () => {
  async function sign(path: string, body: string): Promise<Record<string, string>> {
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    const request = new Request(`${edge.url}${path}`, {
      method: "POST",
      body,
      headers: { "content-digest": digest },
    });
    const fields = await createSignature(request, {
      components: ["@method", "@target-uri", "content-digest"],
      parameters: { created: Math.floor(Date.now() / 1000), keyid: KEYID },
      signer: webcrypto.signer(signer.privateKey),
    });
    const signed = appendSignature(request.headers, fields);
    const names = ["content-digest", "signature", "signature-input"];
    return Object.fromEntries(names.map(name => [name, signed.get(name)!]));
  }

  test("lets one through whose signature and body fit, and its body with it", async () => {
    const body = JSON.stringify({ item: "tea", padding: "x".repeat(20_000) });
    const headers = await sign("/signed/ok", body);
    const answer = await exchange("/signed/ok", { method: "POST", headers, body });
    expect(answer.status).toBe(200);
    expect(answer.record).toMatchObject({ auth: { by: "http-signature" }, req: { size: body.length } });
    expect(isProven(answer, KEYID)).toBe(true);
    expect(arrived.get("/signed/ok")).toMatchObject({ body });
  });

  test("refuses another body under the same signature", async () => {
    const headers = await sign("/signed/other", "one cup");
    const answer = await exchange("/signed/other", { method: "POST", headers, body: "ten cups" });
    expectRefused("/signed/other", answer, 401);
    expect(answer.record.error).toContain("does not fit the body");
  });

  test("refuses a body that is too long to be checked first", async () => {
    const body = "x".repeat(100_000);
    const headers = await sign("/signed/long", body);
    const answer = await exchange("/signed/long", { method: "POST", headers, body });
    expectRefused("/signed/long", answer, 413);
  });
});

describe("a route for client certificates", () => {
  const subject = "CN=queen-of-hearts,O=Wonderland";
  const fingerprint = createHash("sha256").update("a certificate").digest("hex");
  const told = {
    certPresented: "1",
    certVerified: "SUCCESS",
    certRevoked: "0",
    certFingerprintSHA256: fingerprint,
  };
  // The field in which this platform, on this machine, takes what Cloudflare's front would tell beside a request.
  const front = (more: object = {}) => ({
    "mf-cf-blob": JSON.stringify({ tlsClientAuth: { ...told, certSubjectDNRFC2253: subject, ...more } }),
  });

  test("believes nobody where there is no front", async () => {
    const headers = { ...front(), "cf-client-cert-verified": "true", "cf-client-cert-sha256": fingerprint };
    const answer = await exchange("/certificate/spoofed", { headers });
    expectRefused("/certificate/spoofed", answer, 403);
  });

  describe("behind a front", () => {
    let workerd: Workerd;
    let url: string;
    beforeAll(async () => {
      const config = readConfig(join(folder, "wrangler.toml"));
      const port = await freePort();
      url = `http://127.0.0.1:${port}`;
      workerd = await startWorkerd({
        config,
        bindings: { ...config.vars, ...(await openKeySet(join(folder, "behind"))), issuer: url },
        host: "127.0.0.1",
        port,
        storage: join(folder, "behind", "storage"),
      });
    });
    afterAll(() => workerd.stop());

    const recordOf = ({ headers }: Answer) => parseReceipt(headers["audit-receipt"] as string).entry.record;

    test("lets one through that the front has verified", async () => {
      const answer = await send(`${url}/certificate/ok`, { headers: front() });
      expect(answer.status).toBe(200);
      expect(recordOf(answer).auth).toEqual({ by: "mtls" });
      const seed = parseSeed(answer.headers["audit-receipt-seed"] as string);
      expect(matchesField(recordOf(answer), seed, "sub", `${subject};sha256=${fingerprint}`)).toBe(true);
      expect(JSON.stringify(recordOf(answer))).not.toContain(fingerprint);
    });

    test.each([
      ["did not verify", { certVerified: "FAILED:self signed certificate" }],
      ["found revoked", { certRevoked: "1" }],
      ["was not shown", { certPresented: "0", certVerified: "NONE" }],
    ])("refuses one that the front %s", async (_, more) => {
      const answer = await send(`${url}/certificate/bad`, { headers: front(more) });
      expect([answer.status, recordOf(answer).stage]).toEqual([403, "rejected"]);
      expect(arrived.has("/certificate/bad")).toBe(false);
    });
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise(resolve => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise(resolve => server.close(resolve));
  return port;
}

describe("the making of an API key", () => {
  test("prints a key and an entry that fits it", async () => {
    const out = execFileSync(process.execPath, ["scripts/apikey.ts", "a.caller"], { encoding: "utf8" });
    const key = /^ {2}([\w-]{43})$/m.exec(out)![1]!;
    const [, salt, hash] = /\{ id = "a\.caller", salt = "([\w-]+)", sha256 = "([0-9a-f]+)" \}/.exec(out)!;
    // As the documentation says: printf %s "$salt$key" | sha256sum
    expect(createHash("sha256").update(`${salt}${key}`).digest("hex")).toBe(hash);
  });
});

describe("afterwards", () => {
  test("the ledger has every exchange, refused ones too, and names no caller, key or credential", async () => {
    const keys = JSON.parse((await read(edge, "jwks.json")).toString()).keys;
    const copy = await pullChecked(edge, receipts.length + 1);
    for (const receipt of receipts) checkReceipt(receipt, copy, keys);
    const text = copy.entries
      .map(entry => entry.split(".").map(part => Buffer.from(part, "base64url").toString()))
      .join("\n");
    expect(text.match(/"stage":"rejected"/g)!.length).toBeGreaterThan(8);
    const secrets = [ALICE, TENANT, KEYID, API_KEY, SALT, hashApiKey(SALT, API_KEY), "liddell", "eyJhbGciOi"];
    for (const value of secrets) {
      expect(text.includes(value), value).toBe(false);
      for (const coding of ["hex", "base64", "base64url"] as const) {
        const hash = createHash("sha256").update(value).digest(coding);
        expect(text.includes(hash), `${coding} of ${value}`).toBe(false);
      }
    }
    expect(edge.output).not.toContain(ALICE);
  });

  test("an edge that starts while the issuer is down lets nobody in who needs its keys", async () => {
    issuerStatus = 500;
    await edge.kill("SIGTERM");
    edge = await start();
    const headers = { authorization: `Bearer ${await token(current)}` };
    const required = await send(`${edge.url}/jwt/down`, { headers });
    expect([required.status, arrived.has("/jwt/down")]).toEqual([503, false]);
    const asked = await send(`${edge.url}/optional/down`, { headers });
    expect(asked.status).toBe(200);
    expect(parseReceipt(asked.headers["audit-receipt"] as string).entry.record.auth).toEqual({
      by: "none",
      error: "the issuer's keys cannot be fetched: status 500",
    });
  });
});
