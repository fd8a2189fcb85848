// An edge on Node, Deno or Bun: `counterfoil serve` as a process of its own, on the runtime that is installed here.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { commandOf, type RuntimeName } from "./runtimes.ts";

export const PROGRAM = resolve(import.meta.dirname, "../src/hosts/counterfoil.mjs");

type Command = [command: string, ...args: string[]];

export interface ServeOptions {
  readonly runtime: RuntimeName;
  /** The path of its wrangler.toml. */
  readonly config: string;
  readonly state: string;
  readonly host?: string;
  readonly port: number;
  /** More arguments of `counterfoil serve`. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** A command that runs it and sees what it does. */
  readonly under?: readonly string[];
}

export interface Served {
  readonly pid: number;
  readonly url: string;
  /** What it has printed so far. */
  readonly output: string;
  /** What it ended by, a signal or an exit code, once it has. */
  readonly ended: Promise<string>;
  /** Ends it in good order. */
  stop(): Promise<void>;
}

/**
 * Starts `counterfoil serve`, and returns when it answers.
 * @throws Error with what it has printed, when it ends before that.
 */
export async function startServe(options: ServeOptions): Promise<Served> {
  const { runtime, config, state, host = "127.0.0.1", port, args = [], env = process.env } = options;
  const [command, ...before] = [...(options.under ?? []), ...commandOf(runtime, PROGRAM)] as Command;
  const child = spawn(
    command,
    [...before, "serve", "--config", config, "--state", state, "--host", host, "--port", `${port}`, ...args],
    // A group of its own: Ctrl-C in a terminal is for the process that has started it, which then ends it.
    { stdio: ["ignore", "pipe", "pipe"], detached: true, env: { ...env, DENO_NO_UPDATE_CHECK: "1" } },
  );
  // Nor does it outlive whoever has started it and leaves without ending it.
  const kill = () => void process.kill(-child.pid!, "SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "exit")
    .finally(() => process.off("exit", kill))
    .then(([code, signal]) => (signal as string) ?? `exit code ${code}`);
  const output = collect(child);
  const url = await Promise.race([output.url, ended.then(() => undefined)]);
  if (url === undefined) throw new Error(output.text().trim());
  return {
    pid: child.pid!,
    url,
    get output() {
      return output.text();
    },
    ended,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function collect(child: ChildProcess): { text(): string; url: Promise<string> } {
  let text = "";
  const url = new Promise<string>(resolve => {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        // The line before the last of what it says when it answers.
        const found = /^edge +(\S+)$[\s\S]*^runtime /m.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
    }
  });
  return { text: () => text, url };
}
