// The stores of a state folder on Node, Deno and Bun, each as the real program, and the lock between them.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CHECKS } from "../state/checks.ts";

const BIN = resolve(import.meta.dirname, "../../node_modules/.bin");
const DENO = ["run", "--quiet", "--no-prompt", "--no-remote", "--no-lock", "--node-modules-dir=manual", "-A"];
const RUNTIMES = {
  node: [process.execPath],
  deno: [join(BIN, "deno"), ...DENO],
  bun: [join(BIN, "bun"), "run", "--no-install"],
} as const;

type Name = keyof typeof RUNTIMES;
const NAMES = Object.keys(RUNTIMES) as Name[];

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "counterfoil-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Runs a program of test/state. */
function run(name: Name, program: string, ...args: string[]): ChildProcess {
  const [command, ...flags] = RUNTIMES[name];
  const child = spawn(command, [...flags, resolve(import.meta.dirname, "../state", program), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** A process that holds a state folder. */
async function hold(name: Name, state: string): Promise<ChildProcess> {
  const child = run(name, "hold.ts", state);
  const [said] = (await once(child.stdout!, "data")) as [Buffer];
  expect(said.toString()).toBe("open\n");
  return child;
}

/** What a process says that opens a state folder and ends. */
async function tryOpen(name: Name, state: string): Promise<string> {
  const child = run(name, "hold.ts", state);
  child.stdin!.end();
  return text(child.stdout!);
}

describe.each(NAMES)("on %s", name => {
  test("every check of the stores passes", async () => {
    const output = await text(run(name, "main.ts", scratch).stdout!);
    const results = output
      .trim()
      .split("\n")
      .map(line => JSON.parse(line));
    expect(results).toEqual(Object.keys(CHECKS).map(check => ({ name: check })));
  });

  test("an open state folder is refused to every runtime, and free at once after kill -9", async () => {
    const state = join(scratch, `held-by-${name}`);
    const holder = await hold(name, state);
    const refusal = `another process has the state folder ${state}: end it first, or name another folder\n`;
    expect(await Promise.all(NAMES.map(other => tryOpen(other, state)))).toEqual(NAMES.map(() => refusal));
    holder.kill("SIGKILL");
    await once(holder, "exit");
    for (const other of NAMES) expect(await tryOpen(other, state)).toBe("open\n");
  });
});
