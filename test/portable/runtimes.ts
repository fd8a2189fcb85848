// The runtimes that the portable suite runs on, each as the real program: Node, Deno and Bun run the sources as
// they are, workerd and Chromium the bundle that a worker or a page would load. Every run is a process of its
// own, and none is left behind.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { chromium } from "playwright-core";
import type { Report } from "./suite.ts";
import type { Vector } from "./vectors.ts";

const BIN = resolve(import.meta.dirname, "../../node_modules/.bin");
const MAIN = join(import.meta.dirname, "main.ts");
const SUITE = join(import.meta.dirname, "suite.ts");

/** Where Debian's package puts Chromium, unless the environment names another one. */
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A process that runs for this long hangs. */
const TIMEOUT_MS = 300_000;

export interface Runtime {
  readonly name: string;
  /** What the runtime calls itself in `navigator.userAgent`. */
  readonly platform: RegExp;
  /** Why it cannot run on this machine and what to install, or undefined when it can. */
  missing(): string | undefined;
  /** @throws Error when the suite did not even run to its end. */
  run(vectors: readonly Vector[]): Promise<Report>;
}

export const RUNTIMES: readonly Runtime[] = [
  {
    name: "node",
    platform: /^Node\.js\/\d+/,
    missing: () => undefined,
    run: vectors => runCommand(process.execPath, [MAIN], vectors),
  },
  {
    name: "deno",
    platform: /^Deno\/\d+/,
    missing: () => missingCommand("deno"),
    // Without any permission: the suite can touch nothing but its input and output.
    run: vectors =>
      runCommand(
        join(BIN, "deno"),
        ["run", "--quiet", "--no-prompt", "--no-remote", "--no-lock", "--node-modules-dir=manual", MAIN],
        vectors,
      ),
  },
  {
    name: "bun",
    platform: /^Bun\/\d+/,
    missing: () => missingCommand("bun"),
    run: vectors => runCommand(join(BIN, "bun"), ["run", "--no-install", MAIN], vectors),
  },
  {
    name: "workerd",
    platform: /^Cloudflare-Workers$/,
    missing: () => missingCommand("workerd"),
    run: runWorkerd,
  },
  {
    name: "chromium",
    platform: /Chrome\/\d+/,
    missing: () =>
      existsSync(CHROMIUM)
        ? undefined
        : `there is no ${CHROMIUM}; install it (Debian: apt-get update && apt-get install -y chromium), or name ` +
          "another one in the environment variable CHROMIUM",
    run: runChromium,
  },
];

/** Every artefact that is not the same in two reports, with what each made of it. */
export function compareArtefacts(one: Report, other: Report): string[] {
  const names = new Set([...Object.keys(one.artefacts), ...Object.keys(other.artefacts)]);
  return [...names]
    .filter(name => one.artefacts[name] !== other.artefacts[name])
    .map(
      name =>
        `${name}: ${one.artefacts[name] ?? "not made"} on ${one.platform}, ` +
        `${other.artefacts[name] ?? "not made"} on ${other.platform}`,
    );
}

function missingCommand(name: string): string | undefined {
  const { status } = spawnSync(join(BIN, name), ["--version"], { stdio: "ignore" });
  return status === 0 ? undefined : `node_modules/.bin/${name} does not run; install it (npm ci)`;
}

/** Runs a command that takes vectors on its standard input, and reads the report on its standard output. */
async function runCommand(
  command: string,
  args: readonly string[],
  vectors: readonly Vector[],
): Promise<Report> {
  const child = spawn(command, args, {
    stdio: "pipe",
    timeout: TIMEOUT_MS,
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
  });
  const exit = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  // A command that ends before it has read everything says why on its standard error.
  child.stdin.on("error", () => undefined).end(JSON.stringify(vectors));
  const [output, errors, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  if (code !== 0) throw new Error(`${command} ended with ${signal ?? `exit code ${code}`}: ${errors}`);
  return JSON.parse(output) as Report;
}

async function runWorkerd(vectors: readonly Vector[]): Promise<Report> {
  return (await callInWorkerd(await bundleSuite(), "runSuite", vectors)) as Report;
}

async function runChromium(vectors: readonly Vector[]): Promise<Report> {
  return (await callInChromium(await bundleSuite(), "runSuite", vectors)) as Report;
}

/** Calls a function that a module exports, in a worker. What goes in and comes out is JSON. */
export async function callInWorkerd(module: string, name: string, input: unknown): Promise<unknown> {
  const worker = `
    import { ${name} } from "./called.js";
    export default { fetch: async request => Response.json(await ${name}(await request.json())) };`;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.ERROR),
      cf: false,
      workers: [
        {
          name: "portable",
          // Of this date, a worker has nothing of Node's unless it asks.
          compatibilityDate: "2026-01-01",
          modules: [
            { type: "ESModule", path: "worker.js", contents: worker },
            { type: "ESModule", path: "called.js", contents: module },
          ],
        },
      ],
    }),
  );
  try {
    const request = { method: "POST", body: JSON.stringify(input) };
    const response = await miniflare.dispatchFetch("http://localhost/", request);
    if (!response.ok) throw new Error(`workerd answered ${response.status}: ${await response.text()}`);
    return await response.json();
  } finally {
    await miniflare.dispose();
  }
}

/** Calls a function that a module exports, in a page at http://localhost, where a browser offers WebCrypto. */
export async function callInChromium(module: string, name: string, input: unknown): Promise<unknown> {
  const server = await serve({
    "/": ["text/html", "<!doctype html><title>The portable suite</title>"],
    "/called.js": ["text/javascript", module],
    "/input.json": ["application/json", JSON.stringify(input)],
  });
  try {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
    try {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
      return await page.evaluate(`(async () => {
        const { ${name} } = await import("/called.js");
        return ${name}(await (await fetch("/input.json")).json());
      })()`);
    } finally {
      await browser.close();
    }
  } finally {
    server.close();
  }
}

async function serve(
  files: Readonly<Record<string, readonly [type: string, content: string]>>,
): Promise<Server> {
  const server = createServer(({ url }, response) => {
    const [type, content] = files[url ?? ""] ?? ["text/plain", "not found"];
    response.writeHead(url !== undefined && url in files ? 200 : 404, { "content-type": type }).end(content);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function bundleSuite(): Promise<string> {
  return bundleForBrowser(SUITE);
}

/** A file as one module, minified as for a browser. An import of anything of Node's would fail here. */
export async function bundleForBrowser(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2024",
    logLevel: "silent",
  });
  return outputFiles[0]!.text;
}
