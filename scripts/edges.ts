// Edges for harnesses that are hard on a state folder: one ledger, one upstream, an anchor every second, and the audit
// that must pass whatever has happened to them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { Reached } from "../test/e2e/copy.ts";
import { PROGRAM, type Served, type ServeOptions, startServe } from "./serve.ts";

const CONFIG_PATH = resolve(import.meta.dirname, "../wrangler.toml");

/** Writes the configuration of such an edge on Node, Deno or Bun into a folder. @returns its path. */
export async function writeConfig(folder: string, upstream: string): Promise<string> {
  const path = join(folder, "wrangler.toml");
  const toml = `[vars]
issuer = "https://api.example.com"
client_address = "peer"
[[vars.ledgers]]
name = "main"
origin = "api.example.com/audit/main"
[[vars.routes]]
name = "all"
match = "/*"
upstream = "${upstream}"
ledger = "main"
[vars.anchor]
interval_seconds = 1
`;
  await writeFile(path, toml);
  return path;
}

/** Writes one for `npm start`, on whatever runtime, into a folder. @returns its path. */
export async function writeStartConfig(folder: string): Promise<string> {
  const path = join(folder, "start.toml");
  const toml = await readFile(CONFIG_PATH, "utf8");
  await writeFile(
    path,
    toml
      .replace(/interval_seconds = \d+/, "interval_seconds = 1")
      .replace(/main = "(?=src)/, `main = "${dirname(CONFIG_PATH)}/`),
  );
  return path;
}

/** Starts an edge on Node, Deno or Bun, on a free port. */
export async function startOn(options: Omit<ServeOptions, "port">): Promise<Served & Reached> {
  const served = await startServe({ ...options, port: 0 });
  return Object.assign(served, {
    operatorToken: async () => (await readFile(join(options.state, "operator-token"), "utf8")).trim(),
  });
}

/** Runs `counterfoil audit` over everything that an edge has published. @throws Error with what it finds wrong. */
export async function audit(edge: Reached): Promise<void> {
  const trust = `${edge.url}/.well-known/audit/trust`;
  const child = spawn(process.execPath, [PROGRAM, "audit", edge.url, "--trust", trust], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, COUNTERFOIL_TOKEN: await edge.operatorToken() },
  });
  const ended = once(child, "exit");
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  if (code !== 0) throw new Error(`the audit ended with exit code ${code}: ${output}${errors}`);
}
