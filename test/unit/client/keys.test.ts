// `counterfoil keys` over real folders: what it makes, replaces and destroys, and what it never shows.
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { KeyUse, KeyView } from "../../../src/client/platform.ts";
import { openEnvironment } from "../../../src/hosts/environment.ts";
import { openKeySet } from "../../../src/hosts/keys.ts";
import { lockState } from "../../../src/hosts/state.ts";
import { formatTrust, type Trust } from "../../../src/receipt/trust.ts";
import { ISSUER, LEDGER, ORIGIN } from "../../world.ts";
import { Desk } from "./desk.ts";

const VARS = {
  issuer: ISSUER,
  ledgers: [{ name: LEDGER, origin: ORIGIN }],
  routes: [{ name: "all", match: "/*", upstream: "https://up.internal", ledger: LEDGER }],
};

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a command, and looks whether it has shown any private key that the folder has had. */
async function run(desk: Desk, folder: string, ...args: string[]) {
  const before = await secretsOf(folder);
  const { code, json } = await desk.runJson("keys", ...args);
  const shown = desk.out + desk.err;
  for (const jwk of [before, await secretsOf(folder)].flatMap(Object.values)) {
    const d = /"d":"([^"]+)"/.exec(jwk as string)?.[1];
    if (d !== undefined) expect(shown).not.toContain(d);
  }
  return { code, json, keys: json.keys as KeyView[] };
}

async function secretsOf(folder: string): Promise<Record<string, string>> {
  const text = await readFile(join(folder, "secrets.json"), "utf8").catch(() => "{}");
  return JSON.parse(text);
}

/** The trust document of an edge that has these keys. */
async function trustOf(folder: string, retired: object[] = []): Promise<Trust> {
  const { trust } = await openEnvironment({ ...VARS, retired_keys: retired }, await openKeySet(folder));
  return trust;
}

/** A desk from which an edge with this trust document can be reached. */
function deskOf(trust?: Trust): Desk {
  if (trust === undefined) return new Desk();
  return new Desk(async () => ({
    status: 200,
    headers: new Headers(),
    body: (async function* () {
      yield new TextEncoder().encode(formatTrust(trust));
    })(),
  }));
}

const inForce = (keys: readonly KeyView[], use: KeyUse) =>
  keys.find(key => key.use === use && key.until === undefined)!.key;

describe("keys new", () => {
  test("makes three keys for the owner alone, and overwrites none", async () => {
    const folder = join(await makeFolder(), "state");
    const desk = new Desk();
    const { code, keys } = await run(desk, folder, "new", "--state", folder);
    expect(code).toBe(0);
    expect(keys.map(({ use }) => use)).toEqual(["receipt", "checkpoint", "anchor"]);
    expect((await stat(join(folder, "secrets.json"))).mode & 0o777).toBe(0o600);
    const before = await secretsOf(folder);
    expect((await run(desk, folder, "new", "--state", folder)).code).toBe(2);
    expect(await secretsOf(folder)).toEqual(before);
    const { trust } = await openEnvironment(VARS, await openKeySet(folder));
    expect(trust.receiptKeys[0]!.x).toBe(inForce(keys, "receipt"));
  });
});

describe("keys rotate", () => {
  test.each(["receipt", "checkpoint", "anchor"] as const)(
    "replaces the %s key alone, and has the one before trusted",
    async use => {
      const [folder, desk] = [await makeFolder(), new Desk()];
      const made = (await run(desk, folder, "new", "--state", folder)).keys;
      desk.nowMs = Date.parse("2026-11-21T05:22:22Z");
      const { code, keys } = await run(desk, folder, "rotate", use, "--state", folder);
      expect(code).toBe(0);
      for (const other of ["receipt", "checkpoint", "anchor"] as const) {
        expect(inForce(keys, other) === inForce(made, other)).toBe(other !== use);
      }
      const until = "2026-11-22T05:22:22.000Z";
      expect(keys.at(-1)).toMatchObject({ use, key: inForce(made, use), until });
      const environment = await openEnvironment(VARS, await openKeySet(folder));
      const { trust } = environment;
      const old = {
        receipt: trust.receiptKeys[1],
        anchor: trust.anchorKeys[1],
        checkpoint: trust.ledgers[0]!.retired?.[0],
      };
      expect(old[use]).toMatchObject({ exp: Date.parse(until) / 1000 });
      expect(environment.receiptKeyBefore?.publicJwk.x).toBe(
        use === "receipt" ? inForce(made, use) : undefined,
      );
      expect((await readdir(folder)).sort()).toEqual(["lock.sqlite", "operator-token", "secrets.json"]);
      expect((await stat(join(folder, "secrets.json"))).mode & 0o777).toBe(0o600);
    },
  );

  test("keeps every key that was retired, and the private half of the last receipt key alone", async () => {
    const [folder, desk] = [await makeFolder(), new Desk()];
    const made = (await run(desk, folder, "new", "--state", folder)).keys;
    const once = (await run(desk, folder, "rotate", "receipt", "--state", folder)).keys;
    const { keys } = await run(desk, folder, "rotate", "receipt", "--state", folder);
    const retired = keys.filter(({ until }) => until !== undefined);
    expect(retired).toMatchObject([
      { key: inForce(once, "receipt"), isKept: true },
      { key: inForce(made, "receipt") },
    ]);
    expect(retired[1]).not.toHaveProperty("isKept");
    expect((await trustOf(folder)).receiptKeys).toHaveLength(3);
    const after = await run(desk, folder, "retire", "--state", folder);
    expect(after.code).toBe(0);
    expect(await secretsOf(folder)).not.toHaveProperty("RECEIPT_KEY_BEFORE");
    expect((await trustOf(folder)).receiptKeys).toHaveLength(3);
    expect((await run(desk, folder, "retire", "--state", folder)).code).toBe(2);
  });

  test("leaves the old keys, whole, when the new ones cannot be written", async () => {
    const [folder, desk] = [await makeFolder(), new Desk()];
    await run(desk, folder, "new", "--state", folder);
    const before = await secretsOf(folder);
    const lock = await lockState(folder);
    expect((await run(desk, folder, "rotate", "receipt", "--state", folder)).json.message).toContain(
      "another process",
    );
    lock.release();
    await chmod(folder, 0o722);
    expect((await run(desk, folder, "rotate", "receipt", "--state", folder)).code).toBe(2);
    await chmod(folder, 0o700);
    expect(await secretsOf(folder)).toEqual(before);
  });

  test("replaces a key of an edge elsewhere, of which the folder has none, with a file that deploys in one step", async () => {
    const [there, folder] = [await makeFolder(), await makeFolder()];
    const made = (await run(new Desk(), there, "new", "--state", there)).keys;
    const first = { use: "receipt", key: `${"a".repeat(42)}A`, until: "2026-01-01T00:00:00Z" };
    const desk = deskOf(await trustOf(there, [first]));
    const args = ["rotate", "receipt", "--state", folder, "--url", ISSUER];
    const { code, keys } = await run(desk, folder, ...args);
    expect(code).toBe(0);
    expect(inForce(keys, "receipt")).not.toBe(inForce(made, "receipt"));
    const secrets = await secretsOf(folder);
    expect(Object.keys(secrets).sort()).toEqual(["RECEIPT_KEY", "RETIRED_KEYS"]);
    // As `wrangler secret bulk` puts them beside those that the edge has.
    const deployed = { ...(await openKeySet(there)), ...secrets };
    const { trust } = await openEnvironment(VARS, deployed);
    expect(trust.receiptKeys.map(({ x }) => x)).toEqual([
      inForce(keys, "receipt"),
      inForce(made, "receipt"),
      first.key,
    ]);
    // Not deployed yet: a second key would be one that nobody ever had, and the one in force would be lost.
    const again = await run(desk, folder, ...args);
    expect(again).toMatchObject({
      code: 2,
      json: { message: expect.stringContaining("not the one in force") },
    });
    expect(await secretsOf(folder)).toEqual(secrets);
    // Deployed: the next one.
    const later = deskOf((await openEnvironment(VARS, deployed)).trust);
    expect((await run(later, folder, ...args)).code).toBe(0);
    expect(await secretsOf(folder)).toMatchObject({ RECEIPT_KEY_BEFORE: secrets.RECEIPT_KEY });
    expect(await run(later, folder, "list", "--url", ISSUER)).toMatchObject({ code: 0 });
  });

  test.each([
    [
      "a use that there is none of",
      ["rotate", "tls", "--state", "x"],
      "Expected receipt, checkpoint, anchor",
    ],
    [
      "a time that has passed",
      ["rotate", "receipt", "--state", "x", "--until", "2020-01-01T00:00:00Z"],
      "a time to come",
    ],
    ["no time", ["rotate", "receipt", "--state", "x", "--until", "soon"], "a time to come"],
    ["nobody's keys", ["list"], "either --state or --url"],
  ])("says what is wrong with %s, and exits with 2", async (_, args, reason) => {
    const desk = new Desk();
    desk.nowMs = Date.parse("2026-11-21T05:22:22Z");
    expect(await desk.run("keys", ...args)).toBe(2);
    expect(desk.err).toContain(reason);
  });

  test("says of a folder without keys, and of a file that holds none, what was expected", async () => {
    const [folder, desk] = [await makeFolder(), new Desk()];
    const rotate = () => run(desk, folder, "rotate", "anchor", "--state", folder);
    expect((await rotate()).json.message).toContain("no anchor key to replace");
    expect((await run(desk, folder, "list", "--state", folder)).json.message).toContain("has no keys");
    await writeFile(join(folder, "secrets.json"), '{"ANCHOR_KEY": 3}', { mode: 0o600 });
    expect((await rotate()).json.message).toContain("does not hold keys");
  });
});
