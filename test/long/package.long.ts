// The package, as somebody gets it who has nothing else: packed from what a fresh clone has, by the machine's own Node,
// installed in an empty folder, and run on the oldest Node it is for, the pinned one, Deno, Bun, in a worker and in a page.
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { writeConfig } from "../../scripts/edges.ts";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { bundleForBrowser, CHROMIUM, callInChromium, callInWorkerd } from "../portable/runtimes.ts";

const PROJECT = resolve(import.meta.dirname, "../..");
const BIN = join(PROJECT, "node_modules/.bin");
const PROGRAMS = join(import.meta.dirname, "package");
const PROGRAM = "node_modules/counterfoil/src/hosts/counterfoil.mjs";

/** Everything that may be in the package. */
const ALLOWED = [
  /^(package\.json|README\.md|CHANGELOG\.md|SECURITY\.md|LICENSE)$/,
  /^docs\/[a-z-]+\.md$/,
  /^dist\/(index|verify|tlog|program)\.js$/,
  /^dist\/chunks\/[a-z]+-[A-Z0-9]{8}\.js$/,
  /^dist\/types\/(client|receipt|tlog)\/[a-z0-9]+\.d\.ts$/,
  /^src\/hosts\/counterfoil\.mjs$/,
];
const PACKED_BYTES_MAX = 400_000;
const UNPACKED_BYTES_MAX = 1_500_000;

/** What nobody may find in it: private keys, tokens, and where it was made. */
const SECRET =
  /PRIVATE KEY-----|"d":\s*"[\w-]{43}"|\/home\/|\/root\/|\/work\/|[A-Za-z0-9_-]{20,}@[a-z]+\.iam/;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

const run = promisify(execFile);
let folder: string;
let app: string;
let packed: Packed;
let edge: Edge;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  app = join(folder, "app");
  const { stdout } = await npm(await cloneProject(), "pack", "--json", "--pack-destination", folder);
  packed = JSON.parse(stdout.slice(stdout.indexOf("[")))[0];
  await cp(PROGRAMS, app, { recursive: true });
  await npm(app, "install", join(folder, packed.filename), "--prefer-offline", "--no-audit", "--no-fund");
  edge = await startEdge();
  await writeFile(join(app, "token"), await edge.operatorToken());
});

afterAll(async () => {
  await edge?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** A copy of the project with what a clone of it would have, and nothing that was installed or built. */
async function cloneProject(): Promise<string> {
  const clone = join(folder, "clone");
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await run("git", list, { cwd: PROJECT, maxBuffer: 2 ** 26 });
  const paths = stdout.split("\0").filter(path => path !== "" && existsSync(join(PROJECT, path)));
  for (const path of paths) await cp(join(PROJECT, path), join(clone, path), { verbatimSymlinks: true });
  return clone;
}

/** The machine's own npm, on the machine's own Node. */
function npm(cwd: string, ...args: string[]) {
  return run("npm", args, { cwd, env: { ...process.env, PATH: machinePath() }, maxBuffer: 2 ** 26 });
}

/** The PATH without this project's programs. */
function machinePath(): string {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.filter(name => !name.includes("node_modules")).join(delimiter);
}

const machineNode = machinePath()
  .split(delimiter)
  .map(name => join(name, "node"))
  .find(existsSync)!;

const NODES: readonly (readonly [name: string, node: string])[] = [
  ["the machine's own Node", machineNode],
  ["the pinned Node", process.execPath],
];

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in the empty folder. */
async function inApp(command: string, args: readonly string[], input = ""): Promise<Ended> {
  const env = { ...process.env, PATH: `${dirname(command)}${delimiter}${machinePath()}`, NO_COLOR: "1" };
  const child = spawn(command, args, { cwd: app, env, stdio: "pipe" });
  const exited = once(child, "exit");
  child.stdin.on("error", () => {}).end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, out, err };
}

/** Runs a command that must end well, and say nothing that it was not asked for. */
async function wellInApp(command: string, args: readonly string[], input?: string): Promise<Ended> {
  const ended = await inApp(command, args, input);
  expect(ended.code, `${args.join(" ")}: ${ended.err}${ended.out}`).toBe(0);
  expect(ended.err).not.toMatch(/warning/i);
  return ended;
}

describe("what is packed", () => {
  test("is what the package needs, and nothing else", () => {
    const others = packed.files.map(({ path }) => path).filter(path => !ALLOWED.some(one => one.test(path)));
    expect(others).toEqual([]);
    expect(packed.size).toBeLessThan(PACKED_BYTES_MAX);
    expect(packed.unpackedSize).toBeLessThan(UNPACKED_BYTES_MAX);
  });

  test("holds no secret, and does not tell where it was made", () => {
    const root = join(app, "node_modules/counterfoil");
    for (const { path } of packed.files) {
      expect(SECRET.exec(readFileSync(join(root, path), "utf8"))?.[0], path).toBeUndefined();
    }
  });

  test("brings along what package.json names, and what that needs, and nothing else", () => {
    const names = readdirSync(join(app, "node_modules")).filter(name => !name.startsWith("."));
    const owners = Object.keys(manifest.dependencies).map(name => name.split("/")[0]!);
    const theirs = ["pvtsutils", "pvutils", "tslib"];
    expect(names.toSorted()).toEqual([...new Set([...owners, ...theirs, "counterfoil"])].toSorted());
  });

  test("has types that hold in a strict program", async () => {
    const options = [
      "--strict",
      "--noEmit",
      "--target",
      "es2022",
      "--types",
      "",
      "--lib",
      "es2024,dom,dom.iterable",
    ];
    for (const module of [
      ["nodenext", "nodenext"],
      ["esnext", "bundler"],
    ] as const) {
      const how = ["--module", module[0], "--moduleResolution", module[1], "--skipLibCheck", "true"];
      await wellInApp(join(BIN, "tsc"), [...options, ...how, "types.ts"]);
    }
  });
});

describe.each(NODES)("on %s", (_, node) => {
  const counterfoil = (...args: string[]) => wellInApp(node, [PROGRAM, ...args]);

  test("fetch, verify, proof, audit and pull go from a URL to a verdict", async () => {
    await counterfoil("trust", edge.url, "-o", "trust.json");
    const fetched = await counterfoil(
      "fetch",
      `${edge.url}/orders`,
      "-d",
      '{"item":"tea"}',
      "--trust",
      "trust.json",
    );
    expect(fetched.out).toContain("tea");
    expect(fetched.err).toMatch(/^proven/);
    const response = await fetch(`${edge.url}/hello`);
    await writeFile(join(app, "receipt.jws"), response.headers.get("audit-receipt")!);
    await writeFile(join(app, "body"), new Uint8Array(await response.arrayBuffer()));
    const verified = await counterfoil("verify", "receipt.jws", "--body", "body", "--trust", "trust.json");
    expect(verified.out).toMatch(/^proven +signed, matched/);
    const proven = await counterfoil("proof", "receipt.jws", "--trust", "trust.json", "-o", "proof");
    expect(proven.err).toMatch(/^proven +signed, included/);
    expect((await counterfoil("verify", "proof", "--trust", "trust.json")).out).toMatch(/included/);
    const audited = await counterfoil("audit", edge.url, "--trust", "trust.json", "--token", "token");
    expect(audited.out).toMatch(/^proven/);
  });

  test("a response that was altered is wrong, and nothing but that is printed", async () => {
    await writeFile(join(app, "other"), "other");
    const ended = await inApp(node, [
      PROGRAM,
      "verify",
      "receipt.jws",
      "--body",
      "other",
      "--trust",
      "trust.json",
    ]);
    expect(ended.code).toBe(1);
    expect(`${ended.out}${ended.err}`).toMatch(/^wrong +mismatched/);
  });

  test("a command that keeps a database does, or says that this Node is too old for that", async () => {
    const pull = ["pull", edge.url, "copy", "--token", "token"];
    const serve = ["serve", "--state", "./edge", "--config", "wrangler.toml", "--port", "0"];
    if (await hasSqlite(node)) {
      await counterfoil(...pull);
      return;
    }
    for (const args of [pull, serve, ["keys", "list", "--state", "./edge"]]) {
      const ended = await inApp(node, [PROGRAM, ...args]);
      expect(ended.code).toBe(2);
      expect(ended.err + ended.out).toMatch(/local database/);
      expect(ended.err).not.toMatch(/ {4}at /);
    }
  });
});

async function hasSqlite(node: string): Promise<boolean> {
  const { stdout } = await run(node, ["--version"]);
  const [major, minor] = stdout.slice(1).split(".").map(Number) as [number, number];
  return major > 22 || (major === 22 && minor >= 13);
}

describe("counterfoil serve, from the package", () => {
  let upstream: Server;

  beforeAll(async () => {
    upstream = createServer((_, response) => response.end("tea")).listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const { port } = upstream.address() as AddressInfo;
    await writeConfig(app, `http://127.0.0.1:${port}`);
  });

  afterAll(() => {
    upstream.close();
  });

  test.each([
    ["Node", process.execPath, []],
    ["Deno", join(BIN, "deno"), ["run", "--quiet", "-A", "--node-modules-dir=manual"]],
    ["Bun", join(BIN, "bun"), ["run", "--no-install"]],
  ] as const)("gives receipts on %s", async (name, command, args) => {
    const serve = ["serve", "--state", `./state-${name}`, "--config", "wrangler.toml", "--port", "0"];
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
    const child = spawn(command, [...args, PROGRAM, ...serve], { cwd: app, env, stdio: "pipe" });
    const exited = once(child, "exit");
    try {
      const url = await addressOf(child);
      const response = await fetch(`${url}/orders`);
      expect(await response.text()).toBe("tea");
      await writeFile(join(app, "served.jws"), response.headers.get("audit-receipt")!);
      const verify = ["verify", "served.jws", "--trust", `${url}/.well-known/audit/trust`];
      expect((await wellInApp(process.execPath, [PROGRAM, ...verify])).out).toMatch(/^proven +signed/);
    } finally {
      child.kill("SIGTERM");
    }
    expect(await exited).toEqual([0, null]);
  });
});

/** Where an edge that was started says that it is. */
async function addressOf(child: ChildProcessWithoutNullStreams): Promise<string> {
  let printed = "";
  const errors = text(child.stderr);
  for await (const chunk of child.stdout) {
    printed += chunk;
    const url = /^edge +(\S+)\n/m.exec(printed)?.[1];
    if (url !== undefined) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error(`it ended before it served: ${printed}${await errors}`);
}

test("npx runs it by its name", async () => {
  const { stdout } = await npm(app, "exec", "--offline", "--", "counterfoil", "--version");
  expect(stdout.trim()).toBe(manifest.version);
});

/** What the smoke test is given, and what must come of it. */
async function input(isPage: boolean): Promise<Record<string, unknown>> {
  const { headers } = await fetch(`${edge.url}/hello`);
  const document = await (await fetch(`${edge.url}/.well-known/audit/trust`)).text();
  return { url: edge.url, document, receipt: headers.get("audit-receipt"), isPage };
}

const OF_ANY = {
  verified: ["signed"],
  altered: "bad-signature",
  proven: ["signed", "included"],
  isOneClass: true,
  grown: 1,
};
const OF_A_PROGRAM = {
  ...OF_ANY,
  ...{
    held: true,
    redirected: "/hello",
    refused: "not-covered",
    streamed: true,
    packed: expect.stringMatching(/^(not-covered|verified)$/),
  },
};

describe("a program with every entry point", () => {
  test.each([
    ...NODES.map(([name, node]) => [name, node, []] as const),
    [
      "Deno",
      join(BIN, "deno"),
      ["run", "--quiet", "--no-prompt", "--node-modules-dir=manual", "--allow-net"],
    ],
    ["Bun", join(BIN, "bun"), ["run", "--no-install"]],
  ] as const)("runs on %s", async (_, command, args) => {
    const { out } = await wellInApp(command, [...args, "main.mjs"], JSON.stringify(await input(false)));
    expect(JSON.parse(out)).toMatchObject(OF_A_PROGRAM);
  });

  test("runs in a worker", async () => {
    const module = await bundleForBrowser(join(app, "smoke.mjs"));
    expect(await callInWorkerd(module, "smoke", await input(false))).toMatchObject(OF_A_PROGRAM);
  });

  test("runs in a page of another origin, where there is a browser", async ({ skip }) => {
    if (!existsSync(CHROMIUM)) skip(`there is no ${CHROMIUM}`);
    const module = await bundleForBrowser(join(app, "smoke.mjs"));
    expect(await callInChromium(module, "smoke", await input(true))).toMatchObject(OF_ANY);
  });
});

test("the README of the package shows nothing that is not in it", async () => {
  const readme = await readFile(join(app, "node_modules/counterfoil/README.md"), "utf8");
  const linked = [...readme.matchAll(/\]\((docs\/[^)#]+)/g)].map(match => match[1]!);
  expect(linked.length).toBeGreaterThan(0);
  for (const path of linked) expect(packed.files.map(file => file.path)).toContain(path);
});
