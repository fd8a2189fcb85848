// npm run executable [-- FILE]: the command line as one file that needs nothing else, for this machine's system. It has
// Bun in it, which is most of its size. It reads no configuration of Bun's from the folder that it is run in.
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** The most that it may weigh. */
export const EXECUTABLE_BYTES_MAX = 120_000_000;

const PROJECT = resolve(import.meta.dirname, "..");

/** Makes the executable. @returns its size in bytes. @throws Error with what the compiler said */
export function makeExecutable(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  const { status, stderr } = spawnSync(
    join(PROJECT, "node_modules/.bin/bun"),
    [
      "build",
      "--compile",
      "--minify",
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      `--outfile=${file}`,
      join(PROJECT, "src/hosts/cli.ts"),
    ],
    { cwd: PROJECT, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`the executable was not made: ${stderr}`);
  return statSync(file).size;
}

if (import.meta.main) {
  const file = resolve(process.argv[2] ?? join(PROJECT, "build/counterfoil"));
  const bytes = makeExecutable(file);
  console.log(`${file}: ${bytes} bytes, of at most ${EXECUTABLE_BYTES_MAX}`);
  if (bytes > EXECUTABLE_BYTES_MAX) process.exitCode = 1;
}
