// npm run build: what the package ships, in dist/. JavaScript for Node 20, Deno, Bun, browsers and Workers, in which the
// entry points share their chunks (so that a Fault is a Fault in all of them); and types. The dependencies stay outside.
import { spawnSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const PROJECT = resolve(import.meta.dirname, "..");
const DIST = join(PROJECT, "dist");

/** What each entry point of the package is made of. */
const ENTRY_POINTS = {
  index: "src/client/index.ts",
  verify: "src/receipt/index.ts",
  tlog: "src/tlog/index.ts",
  program: "src/hosts/cli.ts",
};

await rm(DIST, { recursive: true, force: true });
await build({
  absWorkingDir: PROJECT,
  entryPoints: ENTRY_POINTS,
  outdir: DIST,
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  packages: "external",
  external: ["node:*", "cloudflare:*", "bun", "bun:*"],
  format: "esm",
  platform: "neutral",
  target: "es2022",
  logLevel: "warning",
});
const types = spawnSync(
  process.execPath,
  [join(PROJECT, "node_modules/typescript/bin/tsc"), "-p", "scripts/types"],
  {
    cwd: PROJECT,
    stdio: "inherit",
  },
);
process.exitCode = types.status ?? 1;
