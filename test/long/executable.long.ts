// The command line as one file: made here, and run where there is nothing else, not even a PATH.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { EXECUTABLE_BYTES_MAX, makeExecutable } from "../../scripts/executable.ts";
import { formatTrust } from "../../src/receipt/trust.ts";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { createWorld } from "../world.ts";

let folder: string;
let desk: string;
let program: string;
let bytes: number;
let edge: Edge;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  program = join(folder, "counterfoil");
  desk = join(folder, "desk");
  await mkdir(desk);
  bytes = makeExecutable(program);
  edge = await startEdge();
});

afterAll(async () => {
  await edge?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function counterfoil(...args: string[]): Promise<Ended> {
  return new Promise(done => {
    execFile(program, args, { cwd: desk, env: { PATH: "" } }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

test("it is no larger than it may be, and knows its version", async () => {
  expect(bytes).toBeLessThan(EXECUTABLE_BYTES_MAX);
  expect(await counterfoil("--version")).toEqual({ code: 0, out: `${manifest.version}\n`, err: "" });
});

test("it verifies a receipt offline, and finds one wrong that was altered", async () => {
  const world = await createWorld();
  const [receipt] = await world.append({});
  await writeFile(join(desk, "trust.json"), formatTrust(world.trust));
  await writeFile(join(desk, "receipt.jws"), receipt!);
  expect(await counterfoil("verify", "receipt.jws", "--trust", "trust.json")).toMatchObject({
    code: 0,
    err: "",
  });
  const middle = receipt!.length - 20;
  const other = receipt![middle] === "A" ? "B" : "A";
  await writeFile(join(desk, "altered.jws"), receipt!.slice(0, middle) + other + receipt!.slice(middle + 1));
  const altered = await counterfoil("verify", "altered.jws", "--trust", "trust.json");
  expect(altered.code).toBe(1);
  expect(altered.out + altered.err).toMatch(/^wrong +bad-signature/);
});

test("it fetches, proves, pulls into a database and audits over a network", async () => {
  await writeFile(join(desk, "token"), await edge.operatorToken());
  expect((await counterfoil("trust", edge.url, "-o", "edge.json")).code).toBe(0);
  expect((await counterfoil("fetch", `${edge.url}/gzip`, "--trust", "edge.json", "-o", "body")).err).toMatch(
    /^proven +signed, matched/,
  );
  const { headers } = await fetch(`${edge.url}/hello`);
  await writeFile(join(desk, "held.jws"), headers.get("audit-receipt")!);
  const proven = await counterfoil("proof", "held.jws", "--trust", "edge.json", "-o", "proof");
  expect(proven.err).toMatch(/^proven +signed, included/);
  const pulled = await counterfoil("pull", edge.url, "copy", "--trust", "edge.json", "--token", "token");
  expect(pulled.code, pulled.err + pulled.out).toBe(0);
  const audited = await counterfoil("audit", "copy", "--trust", "edge.json");
  expect(audited.out + audited.err).toMatch(/^proven/);
});

test("it runs nothing that lies in the folder where it is run", async () => {
  await writeFile(join(desk, "bunfig.toml"), 'preload = ["./intruder.js"]\n');
  await writeFile(join(desk, "intruder.js"), 'console.log("here I am");\n');
  await writeFile(join(desk, ".env"), "NO_COLOR=1\nCOUNTERFOIL_TOKEN=not-a token\n");
  const { code, out, err } = await counterfoil("--version");
  expect({ code, text: out + err }).toEqual({ code: 0, text: `${manifest.version}\n` });
  expect((await counterfoil("audit", edge.url, "--trust", "edge.json")).err).not.toMatch(/bearer token/);
});
