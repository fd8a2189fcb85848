// The runtimes that a process of this repository can run on, as they are installed with it.
import { join, resolve } from "node:path";

export const RUNTIMES = ["node", "deno", "bun"] as const;

export type RuntimeName = (typeof RUNTIMES)[number];

const BIN = resolve(import.meta.dirname, "../node_modules/.bin");

/** Nothing is fetched, asked for or locked: what is installed is what runs. */
const DENO_FLAGS = [
  "--allow-all",
  "--quiet",
  "--no-prompt",
  "--no-remote",
  "--no-lock",
  "--node-modules-dir=manual",
];

/** How to run a program on a runtime: the command, and its arguments up to the program's own. */
export function commandOf(runtime: RuntimeName, program: string): [command: string, ...args: string[]] {
  if (runtime === "deno") return [join(BIN, "deno"), "run", ...DENO_FLAGS, program];
  if (runtime === "bun") return [join(BIN, "bun"), "run", "--no-install", program];
  return [process.execPath, program];
}
