// A dictionary attack on a full copy of the ledger. Whoever has every entry and guesses a million emails, addresses and
// user agents, the right ones among them, learns nothing: no guess is there in the clear, encoded, or under a hash
// without a secret, with or without a trivial normalisation.
import { createHash, hash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../scripts/config.ts";
import { findPort } from "../../scripts/port.ts";
import { startWorkerd, type Workerd } from "../../scripts/workerd.ts";
import { openKeySet, openOperatorToken } from "../../src/hosts/keys.ts";
import { pullEntries } from "../e2e/copy.ts";
import { eventually, send, startUpstream, type Upstream } from "../e2e/upstream.ts";
import { seededRandom } from "../unit/tlog/samples.ts";

const WORDS = 1_000_000;
const EXCHANGES = 150;

/** How long the pieces are by which a text is looked up; a guess is at least so long. */
const PIECE = 7;

const random = seededRandom(5);
const pick = (below: number) => Math.floor(random() * below);
const hex = (length: number) => Array.from({ length }, () => pick(16).toString(16)).join("");

const MAKE = [
  () => `${hex(6)}.${hex(3)}@${["example.com", "mail.example", "corp.example.org"][pick(3)]}`,
  () => `User+${hex(8)}@Example.NET`,
  () => `${1 + pick(254)}.${pick(256)}.${pick(256)}.${1 + pick(254)}`,
  () => `2001:db8:${hex(4)}:${hex(4)}::${hex(4)}`,
  () =>
    `Mozilla/5.0 (X11; Linux x86_64; rv:${pick(999)}.0) Gecko/${hex(6)} Firefox/${pick(9999)}.${pick(99)}`,
  () => `curl/${pick(99)}.${pick(999)}.${pick(999)}-${hex(4)}`,
];
const DICTIONARY = Array.from({ length: WORDS }, (_, i) => MAKE[i % MAKE.length]!());

/** A guess of each kind, of those that are really used. */
interface Used {
  readonly email: string;
  readonly address: string;
  readonly agent: string;
}
const USED: Used[] = Array.from({ length: EXCHANGES }, (_, i) => {
  const at = i * 600;
  return {
    email: DICTIONARY[at + (i % 2)]!,
    address: DICTIONARY[at + 2 + (i % 2)]!,
    agent: DICTIONARY[at + 4 + (i % 2)]!,
  };
});

/** A value in its trivial normal forms. */
function normalForms(value: string): Set<string> {
  const lower = value.toLowerCase();
  return new Set([value, lower, value.toUpperCase(), lower.replace(/\+[^@]*(?=@)/, "")]);
}

const HASHES = ["sha256", "sha1", "md5"] as const;
/** The lengths of their digests in hex and in base64 without padding. */
const HEX_LENGTHS = [64, 40, 32];
const BASE64_LENGTHS = [43, 27, 22];

/** Texts, indexed so that a million guesses can be looked up in them. */
class Haystack {
  /** The texts in lower case, and whatever in them could be base64 or hex, decoded from each place on. */
  readonly #texts: readonly string[];
  readonly #pieces = new Set<string>();
  /** Whatever could be a digest, as the bytes that it would be. */
  readonly #digests = new Set<string>();

  constructor(texts: readonly string[]) {
    this.#texts = texts.flatMap(text => [text, ...decodings(text)]).map(text => text.toLowerCase());
    for (const text of this.#texts) {
      for (let at = 0; at + PIECE <= text.length; at++) this.#pieces.add(text.slice(at, at + PIECE));
    }
    for (const text of texts) {
      for (const run of text.match(/[0-9a-fA-F]{32,}/g) ?? []) this.#cut(run, HEX_LENGTHS, "hex");
      for (const run of text.match(/[\w+/-]{22,}/g) ?? []) this.#cut(run, BASE64_LENGTHS, "base64");
    }
  }

  #cut(run: string, lengths: readonly number[], encoding: "hex" | "base64"): void {
    for (const length of lengths) {
      for (let at = 0; at + length <= run.length; at++) {
        this.#digests.add(Buffer.from(run.slice(at, at + length), encoding).toString("latin1"));
      }
    }
  }

  /** How a value can be told to be there, or undefined when it cannot. */
  find(value: string): string | undefined {
    for (const form of normalForms(value)) {
      for (const text of [form, encodeURIComponent(form)])
        if (this.#has(text.toLowerCase())) return `${text} itself`;
      for (const name of HASHES) {
        if (this.#digests.has(hash(name, form, "buffer").toString("latin1"))) return `${name} of ${form}`;
      }
    }
    return undefined;
  }

  #has(text: string): boolean {
    return this.#pieces.has(text.slice(0, PIECE)) && this.#texts.some(one => one.includes(text));
  }
}

/** What a text says to one who takes it for base64 or hex, beginning at any of its characters. */
function decodings(text: string): string[] {
  const base64 = (text.match(/[\w+/-]{8,}/g) ?? []).flatMap(run =>
    [0, 1, 2, 3].map(at => Buffer.from(run.slice(at), "base64").toString("latin1")),
  );
  const hex = (text.match(/[0-9a-fA-F]{8,}/g) ?? []).flatMap(run =>
    [0, 1].map(at => Buffer.from(run.slice(at), "hex").toString("latin1")),
  );
  return [...base64, ...hex];
}

/** Everything that an entry says, as texts. */
function textsOf(entry: string): string[] {
  return entry.split(".").map(part => Buffer.from(part, "base64url").toString());
}

let folder: string;
let upstream: Upstream;
let workerd: Workerd;
let entries: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  upstream = await startUpstream((_request, response) => response.end("answered"));
  const port = await findPort("127.0.0.1");
  const url = `http://127.0.0.1:${port}`;
  const config = readConfig();
  const route = {
    ...(config.vars.routes as object[])[0],
    upstream: upstream.url,
    private: ["req.path", "req.digest", "req.size"],
    fields: {
      from: { from: "request", header: "from", private: true },
      email: { from: "request", pointer: "/email", private: true },
    },
  };
  const vars = { ...config.vars, issuer: url, client_address: "cf-connecting-ip", routes: [route] };
  workerd = await startWorkerd({
    config,
    bindings: { ...vars, ...(await openKeySet(folder)) },
    host: "127.0.0.1",
    port,
    storage: join(folder, "storage"),
  });
  for (const used of USED) await exchange(url, used);
  entries = await pull(url);
});

afterAll(async () => {
  await workerd.stop();
  upstream.close();
  await rm(folder, { recursive: true, force: true });
});

/** An exchange with private values wherever a client may put them. */
async function exchange(url: string, { email, address, agent }: Used): Promise<void> {
  const body = JSON.stringify({ email, address });
  const { status } = await send(
    `${url}/users/${encodeURIComponent(email)}?email=${encodeURIComponent(email)}`,
    {
      method: "POST",
      body,
      headers: {
        "user-agent": agent,
        "cf-connecting-ip": address,
        from: email,
        cookie: `user=${email}`,
        authorization: `Basic ${Buffer.from(`${email}:${address}`).toString("base64")}`,
        referer: `https://a.example/?user=${encodeURIComponent(email)}`,
        forwarded: `for="${address}"`,
        "x-forwarded-for": address,
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
      },
    },
  );
  expect(status).toBe(200);
}

/** All entries, when all exchanges are published. */
async function pull(url: string): Promise<string[]> {
  const edge = { url, operatorToken: () => openOperatorToken(folder) };
  return eventually(async () => {
    const { status, body } = await send(`${url}/.well-known/audit/main/checkpoint`);
    const size = status === 200 ? Number(body.toString().split("\n")[1]) : 0;
    return size > EXCHANGES ? pullEntries(edge, size) : undefined;
  });
}

const ENDING = /"stage":"(complete|aborted|failed|rejected)"/;

describe("a full copy of the ledger", () => {
  test("has an entry for every exchange, which commits to the values that were used", () => {
    const endings = entries.filter(entry => textsOf(entry).some(text => ENDING.test(text)));
    expect(endings).toHaveLength(EXCHANGES);
    for (const entry of endings) {
      const { _sd } = JSON.parse(textsOf(entry)[1]!) as { _sd: string[] };
      expect(_sd.length).toBeGreaterThanOrEqual(8);
    }
  });

  test("tells nothing to a dictionary of a million emails, addresses and user agents", () => {
    const haystack = new Haystack(entries.flatMap(textsOf));
    const words = new Set(DICTIONARY);
    expect(words.size).toBeGreaterThan(WORDS * 0.99);
    for (const { email, address, agent } of USED) {
      expect([email, address, agent].every(value => words.has(value))).toBe(true);
    }
    expect(DICTIONARY.map(word => haystack.find(word)).filter(found => found !== undefined)).toEqual([]);
  });

  test("salts no digest with anything that is in the entry itself", () => {
    // One after the other, so in the order in which they were made.
    const endings = entries.filter(entry => textsOf(entry).some(text => ENDING.test(text)));
    for (const [i, entry] of endings.entries()) {
      const texts = textsOf(entry);
      const { _sd } = JSON.parse(texts[1]!) as { _sd: string[] };
      const salts = ["", ...texts.flatMap(text => scalarsOf(JSON.parse(text)))];
      expect(salts.length).toBeGreaterThan(20);
      for (const value of Object.values(USED[i]!)) {
        for (const salt of salts)
          for (const digest of salted(salt, value)) expect(_sd.includes(digest)).toBe(false);
      }
    }
  });
});

/** All texts and numbers of a JSON value. */
function scalarsOf(value: unknown): string[] {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(scalarsOf);
  return [String(value)];
}

/** What a careless implementation might have put in the place of a disclosure's digest. */
function salted(salt: string, value: string): string[] {
  const names = ["client_address", "user_agent", "email", "from"];
  const inputs = [salt + value, value + salt, `${salt}:${value}`, JSON.stringify([salt, value])];
  const disclosures = names.map(name =>
    Buffer.from(JSON.stringify([salt, name, value])).toString("base64url"),
  );
  return [...inputs, ...disclosures].map(input => createHash("sha256").update(input).digest("base64url"));
}

describe("the search of the dictionary", () => {
  const value = DICTIONARY[1]!;
  const lower = value.toLowerCase();
  test.each([
    ["in the clear", value],
    ["in lower case", lower],
    ["percent-encoded", encodeURIComponent(value)],
    ["in hex", Buffer.from(value).toString("hex")],
    ["in base64", Buffer.from(value).toString("base64")],
    ["in base64 after one byte", Buffer.from(`:${value}`).toString("base64")],
    ["in base64url within a text", Buffer.from(`ab${value}cd`).toString("base64url")],
    ["under SHA-256 in hex", hash("sha256", value, "hex")],
    ["under SHA-256 in base64url, in lower case", hash("sha256", lower, "base64url")],
    ["under SHA-1 in base64", hash("sha1", value, "base64")],
    ["under MD5 in upper-case hex", hash("md5", lower, "hex").toUpperCase()],
  ])("finds a value %s", (_, planted) => {
    const entry = `{"alg":"Ed25519"}.{"jti":"x","note":"before ${planted}, after"}`;
    expect(new Haystack([entry]).find(value)).toBeDefined();
    expect(new Haystack([entry]).find(DICTIONARY[7]!)).toBeUndefined();
  });
});
