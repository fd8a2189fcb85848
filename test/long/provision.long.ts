// `npm run provision` with the real wrangler, against a stand-in for Cloudflare's API on this machine.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseListing } from "../../scripts/lock.ts";
import { importSigningKey } from "../../src/receipt/key.ts";

const PROVISION = resolve(import.meta.dirname, "../../scripts/provision.ts");
const CONFIG = resolve(import.meta.dirname, "../../wrangler.toml");

const SIGNING_KEYS = ["RECEIPT_KEY", "CHECKPOINT_KEY", "ANCHOR_KEY"];
const SECRETS = [...SIGNING_KEYS, "OPERATOR_TOKEN_SHA256"];

/** What an account at Cloudflare holds. */
interface Account {
  buckets: Record<string, object[]>;
  /** Undefined as long as there is no worker. */
  secrets?: Record<string, string>;
  /** Lock rules are accepted, and not kept. */
  losesRules?: boolean;
}

const LOCK_OF_10_YEARS = "[vars.lock]\nretention_days = 3650";

const RULE_OF_10_YEARS = {
  id: "all-3650-days",
  enabled: true,
  condition: { type: "Age", maxAgeSeconds: 315_360_000 },
};

/** Does what a request asks for. @returns its result, or the code of the error that Cloudflare answers with. */
function perform(account: Account, method: string, path: string, body: string): unknown {
  const bucket = /^\/r2\/buckets\/([^/]+)\/lock$/.exec(path)?.[1];
  if (bucket !== undefined) {
    if (account.buckets[bucket] === undefined) return 10006;
    if (method === "PUT" && !account.losesRules) account.buckets[bucket] = JSON.parse(body).rules;
    return { rules: account.buckets[bucket] };
  }
  switch (`${method} ${path}`) {
    case "POST /r2/buckets":
      account.buckets[JSON.parse(body).name] = [];
      return {};
    case "PUT /workers/scripts/counterfoil":
      account.secrets ??= {};
      return {};
    case "GET /workers/scripts/counterfoil/secrets":
      return account.secrets === undefined ? 10007 : Object.keys(account.secrets).map(name => ({ name }));
    case "PATCH /workers/scripts/counterfoil/secrets-bulk": {
      if (account.secrets === undefined) return 10007;
      const secrets = JSON.parse(body).secrets as Record<string, { text: string }>;
      for (const [name, secret] of Object.entries(secrets)) account.secrets[name] = secret.text;
      return {};
    }
    default:
      return 7003;
  }
}

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The requests that reached Cloudflare, as method and path. */
  readonly requests: string[];
}

/** Runs the command for an account; for none, Cloudflare refuses every request. */
async function provision(account: Account | undefined, ...args: string[]): Promise<Run> {
  const requests: string[] = [];
  const api = createServer(async (request, response) => {
    const path = new URL(request.url!, "http://api").pathname.replace("/client/v4/accounts/one", "");
    requests.push(`${request.method} ${path}`);
    const body = await text(request);
    const result = account === undefined ? 10000 : perform(account, request.method!, path, body);
    const failed = typeof result === "number";
    response.writeHead(failed ? 400 : 200, { "content-type": "application/json" }).end(
      JSON.stringify({
        success: !failed,
        errors: failed ? [{ code: result, message: "Cloudflare says no" }] : [],
        messages: [],
        result: failed ? null : result,
      }),
    );
  }).listen(0, "127.0.0.1");
  await once(api, "listening");
  const child = spawn(process.execPath, [PROVISION, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}/client/v4`,
      CLOUDFLARE_API_TOKEN: "token-of-the-api",
      CLOUDFLARE_ACCOUNT_ID: "one",
    },
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  api.close();
  return { code, stdout, stderr, requests };
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const isChange = (request: string) => !request.startsWith("GET ");

test("an account that has nothing gets everything, and one that lacks something gets that and no more", async () => {
  const state = await makeFolder();
  const account: Account = { buckets: {} };
  const first = await provision(account, "--state", state);
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(account.buckets).toEqual({ "counterfoil-archive": [], "counterfoil-anchors": [RULE_OF_10_YEARS] });

  const secrets = structuredClone(account.secrets!);
  expect(Object.keys(secrets).sort()).toEqual([...SECRETS].sort());
  const keys = await Promise.all(SIGNING_KEYS.map(name => importSigningKey(secrets[name]!, name)));
  expect(new Set(keys.map(({ kid }) => kid)).size).toBe(3);
  const token = (await readFile(join(state, "operator-token"), "utf8")).trim();
  expect(secrets.OPERATOR_TOKEN_SHA256).toBe(await sha256Hex(token));
  for (const secret of [token, ...SIGNING_KEYS.map(name => JSON.parse(secrets[name]!).d as string)]) {
    expect(first.stdout).not.toContain(secret);
  }

  const ruleOf30Days = { id: "short", enabled: true, condition: { type: "Age", maxAgeSeconds: 30 * 86_400 } };
  account.buckets["counterfoil-anchors"] = [ruleOf30Days];
  delete account.secrets!.ANCHOR_KEY;
  const second = await provision(account, "--state", state);
  expect(second).toMatchObject({ code: 0, stderr: "" });
  expect(second.requests.filter(isChange)).toEqual([
    "PUT /r2/buckets/counterfoil-anchors/lock",
    "PATCH /workers/scripts/counterfoil/secrets-bulk",
  ]);
  expect(account.buckets["counterfoil-anchors"]).toEqual([ruleOf30Days, RULE_OF_10_YEARS]);
  expect(account.secrets).toEqual({ ...secrets, ANCHOR_KEY: expect.any(String) });
});

test("a lock that is not there when it is read back is a failure, and nothing else is done", async () => {
  const account: Account = {
    buckets: { "counterfoil-archive": [], "counterfoil-anchors": [] },
    losesRules: true,
  };
  const run = await provision(account, "--state", await makeFolder());
  expect(run.code).toBe(1);
  expect(run.stderr).toContain("expected to be held for 3650 days, found for 0 days");
  expect(run.requests.filter(isChange)).toEqual(["PUT /r2/buckets/counterfoil-anchors/lock"]);
});

test("what Cloudflare refuses is a failure that says why", async () => {
  const run = await provision(undefined, "--state", await makeFolder());
  expect(run.code).toBe(1);
  expect(run.stderr).toContain("Cloudflare says no [code: 10000]");
  expect(run.requests.filter(isChange)).toEqual([]);
});

test("a dry run prints every command, asks Cloudflare nothing and keeps nothing", async () => {
  const state = await makeFolder();
  const run = await provision(undefined, "--dry-run", "--state", state);
  expect(run).toMatchObject({ code: 0, stderr: "", requests: [] });
  expect(await readdir(state)).toEqual([]);
  const commands = run.stdout.split("\n").filter(line => /create|add|bulk/.test(line));
  expect(commands).toEqual([
    "npx wrangler r2 bucket create counterfoil-archive",
    "npx wrangler r2 bucket create counterfoil-anchors",
    "npx wrangler r2 bucket lock add counterfoil-anchors --name all-3650-days --retention-days 3650 --force",
    "npx wrangler secret bulk  # reads them from stdin, as JSON",
  ]);
});

test("a lock for ever is asked for as such", async () => {
  const config = join(await makeFolder(), "wrangler.toml");
  const toml = await readFile(CONFIG, "utf8");
  await writeFile(config, toml.replace(LOCK_OF_10_YEARS, '[vars.lock]\nretention = "indefinite"'));
  const run = await provision(undefined, "--dry-run", "--config", config);
  expect(run.stdout).toContain(
    "lock add counterfoil-anchors --name all-indefinitely --retention-indefinite --force",
  );
});

test.each([
  ["no lock at all", ""],
  ["two locks", 'retention_days = 1\nretention = "indefinite"'],
])("a configuration that asks for %s is refused", async (_what, lock) => {
  const config = join(await makeFolder(), "wrangler.toml");
  await writeFile(config, (await readFile(CONFIG, "utf8")).replace(LOCK_OF_10_YEARS, `[vars.lock]\n${lock}`));
  const run = await provision(undefined, "--dry-run", "--config", config);
  expect(run).toMatchObject({ code: 1, requests: [] });
  expect(run.stderr).toContain("vars.lock: expected either retention_days or retention");
});

describe("secrets of other services", () => {
  const RULES_URL = "https://api.cloudflare.com/client/v4/accounts/one/r2/buckets/counterfoil-anchors/lock";

  /** A configuration that needs them all. */
  async function needy(): Promise<string> {
    const config = join(await makeFolder(), "wrangler.toml");
    const toml = await readFile(CONFIG, "utf8");
    const s3 = '[vars.anchor.s3]\nurl = "https://s3.example.com/anchors"\nretention_days = 3650\n';
    const changed = toml
      .replace(LOCK_OF_10_YEARS, `${s3}\n${LOCK_OF_10_YEARS}\nrules_url = "${RULES_URL}"`)
      .replace('"src/hosts/cloudflare.ts"', JSON.stringify(resolve("src/hosts/cloudflare.ts")));
    await writeFile(config, changed);
    return config;
  }

  test("that are missing fail it, which says how to set each; once all are there, nothing is left to do", async () => {
    const secrets = Object.fromEntries([...SECRETS, "ANCHOR_S3_KEY_ID"].map(name => [name, "set"]));
    const buckets = { "counterfoil-archive": [], "counterfoil-anchors": [RULE_OF_10_YEARS] };
    const account: Account = { buckets, secrets };
    const options = ["--config", await needy(), "--state", await makeFolder()];
    const first = await provision(account, ...options);
    expect(first.code).toBe(1);
    expect(first.stderr).toContain("no LOCK_API_TOKEN, ANCHOR_S3_SECRET;");
    const commands = first.stderr.split("\n").filter(line => line.includes("npx wrangler secret put"));
    expect(commands.map(line => line.trim().split(" ")[4])).toEqual(["LOCK_API_TOKEN", "ANCHOR_S3_SECRET"]);
    expect(first.stdout).not.toContain("Next:");

    Object.assign(secrets, { LOCK_API_TOKEN: "set", ANCHOR_S3_SECRET: "set" });
    const second = await provision(account, ...options);
    expect(second).toMatchObject({ code: 0, stderr: "" });
    expect(second.stdout).toContain("Next:");
    expect([...first.requests, ...second.requests].filter(isChange)).toEqual([]);
  });

  test("are named in a dry run", async () => {
    const run = await provision(undefined, "--dry-run", "--config", await needy());
    expect(run).toMatchObject({ code: 0, stderr: "", requests: [] });
    const byHand = run.stdout.split("\n").filter(line => line.includes("secret put"));
    expect(byHand.map(line => line.split(" ")[4])).toEqual([
      "LOCK_API_TOKEN",
      "ANCHOR_S3_KEY_ID",
      "ANCHOR_S3_SECRET",
    ]);
  });
});

test("an unknown option is refused", async () => {
  const run = await provision(undefined, "--dryrun");
  expect(run).toMatchObject({ code: 2, requests: [] });
  expect(run.stderr).toContain("Unknown option '--dryrun'");
});

describe("a listing of lock rules", () => {
  const listing = (...rules: string[]) =>
    `Listing lock rules for bucket 'anchors'...\n${rules.join("\n\n")}\n`;
  const rule = (condition: string, { enabled = "Yes", prefix = "(all prefixes)" } = {}) =>
    `name:       any\nenabled:    ${enabled}\nprefix:     ${prefix}\ncondition:  ${condition}`;

  test.each([
    ["no rule holds nothing", ["There are no lock rules for bucket 'anchors'."], 0],
    ["a rule of a day holds a day", [rule("after 1 day")], 1],
    ["a rule of days holds them", [rule("after 3650 days")], 3650],
    ["a rule of part of a day holds that part", [rule("after 0.5 days")], 0.5],
    ["a rule without end holds for ever", [rule("indefinitely")], Number.POSITIVE_INFINITY],
    ["a rule with a date does not count", [rule("on 2030-01-02")], 0],
    ["a rule that is off does not count", [rule("indefinitely", { enabled: "No" })], 0],
    ["a rule for a part of the bucket does not count", [rule("indefinitely", { prefix: "anchors/" })], 0],
    [
      "of several rules the strictest holds",
      [rule("after 30 days"), rule("after 60 days"), rule("on 2030-01-02")],
      60,
    ],
  ])("%s", (_what, rules, days) => {
    expect(parseListing(listing(...rules))).toBe(days);
  });

  test.each([
    ["nothing", ""],
    ["another heading", "Listing buckets...\n"],
    ["no rules and no word of it", listing()],
    ["a condition of a new kind", listing(rule("until released"))],
    ["a rule with one more field", listing(`${rule("indefinitely")}\nexcept:     everything`)],
    ["something after the rules", listing(rule("after 1 day"), "and so on")],
  ])("%s is not taken for a lock", (_what, text) => {
    expect(() => parseListing(text)).toThrow("in a form that is not known here");
  });
});

async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Buffer.from(digest).toString("hex");
}
