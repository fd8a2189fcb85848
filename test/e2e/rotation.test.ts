// An edge whose three keys are replaced between two runs, by the command that an operator uses: what it gave before and
// what it gives after verifies by the trust document of after, and an audit proves both.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { writeConfig } from "./config.ts";
import { read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { eventually, send } from "./upstream.ts";

const PROGRAM = resolve("src/hosts/counterfoil.mjs");

/** Runs the command line. @returns its exit code and its answer. */
async function counterfoil(...args: string[]): Promise<{ code: number; json: Record<string, unknown> }> {
  const done = promisify(execFile)(process.execPath, [PROGRAM, ...args, "--json"]);
  const { code = 0, stdout, stderr } = await done.catch(error => error as typeof error & { code: number });
  return { code, json: JSON.parse(stdout.startsWith("{") ? stdout : stderr) };
}

test("every key is replaced between two runs, and all of it verifies", async () => {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const config = await writeConfig(toml => toml.replace("interval_seconds = 60", "interval_seconds = 1"));
  onTestFinished(config.remove);
  const state = join(folder, "state");
  const start = async (): Promise<Edge> => {
    const edge = await startEdge({ state, args: ["--config", config.path] });
    onTestFinished(() => edge.stop());
    return edge;
  };
  const keep = async (name: string, bytes: string | Buffer) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return path;
  };
  const receiptOf = async (edge: Edge) => {
    const { headers } = await send(`${edge.url}/hello`);
    return { receipt: String(headers["audit-receipt"]), id: String(headers["audit-id"]) };
  };
  /** Waits until the newest anchor is by this key, or by any. */
  const anchoredBy = (edge: Edge, kid?: string) =>
    eventually(async () => {
      const { latest } = JSON.parse((await read(edge, "anchors")).toString());
      if (latest === null) return undefined;
      const [header] = (await read(edge, `anchors/${latest}`)).toString().split(".");
      const found = JSON.parse(Buffer.from(header!, "base64url").toString()).kid;
      return kid === undefined || found === kid ? true : undefined;
    });

  const before = await start();
  const old = await receiptOf(before);
  await anchoredBy(before);
  const oldTrust = await keep("old-trust.json", await read(before, "trust"));
  expect(await counterfoil("keys", "rotate", "receipt", "--state", state)).toMatchObject({ code: 2 });
  await before.stop();

  for (const use of ["receipt", "checkpoint", "anchor"]) {
    expect(await counterfoil("keys", "rotate", use, "--state", state)).toMatchObject({ code: 0 });
  }

  const after = await start();
  const trust = await keep("trust.json", await read(after, "trust"));
  // Nobody sends anything but looks: the ledger tells of its keys, publishes, and is anchored by the new ones.
  await read(after, "health");
  await anchoredBy(after, JSON.parse((await read(after, "trust")).toString()).anchor.keys[0].kid);
  const fresh = await keep("fresh.jws", (await receiptOf(after)).receipt);
  expect((await read(after, `receipts/${old.id}`)).toString()).toBe(old.receipt);
  const kept = await keep("old.jws", old.receipt);
  const proof = join(folder, "old.tlog-proof");
  // The new anchor may still be of a checkpoint by the old key, and so may a proof be: it counts once the next is out.
  const rungs = await eventually(async () => {
    expect(await counterfoil("proof", kept, "--trust", trust, "-o", proof)).toMatchObject({ code: 0 });
    const { code, json } = await counterfoil("verify", proof, "--trust", trust);
    expect(code).toBe(0);
    return isDeepStrictEqual(json.rungs, ["signed"]) ? undefined : json.rungs;
  });
  expect(rungs).toEqual(["signed", "included"]);
  const audit = (...args: string[]) =>
    counterfoil("audit", after.url, "--token", join(state, "operator-token"), ...args);
  const report = await eventually(async () => {
    const done = await audit("--trust", trust, "--receipt", kept, "--receipt", fresh);
    return done.code === 0 ? done.json : undefined;
  });
  expect(report).toMatchObject({ outcome: "proven", problemCount: 0 });
  // By the document of before: it cannot tell, and calls nothing wrong.
  expect(await audit("--trust", oldTrust)).toMatchObject({ code: 2 });
});
