// A running edge, for end-to-end tests: the real `scripts/start.ts` as a process of its own, with a state
// folder of its own. However a test ends it, no process and no temporary folder stays behind after stop().
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const START = resolve(import.meta.dirname, "../../scripts/start.ts");

export interface EdgeOptions {
  /** The API behind the edge; the built-in demo when it is left out. */
  readonly upstream?: string;
  /** A state folder to begin with or to go on with; a temporary one when it is left out. */
  readonly state?: string;
  /** More arguments of the command line; they win over those that are made of the other options. */
  readonly args?: readonly string[];
}

export interface Edge {
  readonly url: string;
  readonly state: string;
  /** The process that serves: workerd, or the runtime that was asked for. */
  readonly servingPid: number;
  /** What it has printed so far, stdout and stderr. */
  readonly output: string;
  /** The operator's bearer token. */
  operatorToken(): Promise<string>;
  /** Sends the start script a signal, and waits for its end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
  /** Kills the process that serves with SIGKILL, and waits for the end of the start script, which cannot go on without. */
  killServing(): Promise<Exit>;
  /** Ends whatever still runs, in good order if possible. May be called at any time and any number of times. */
  stop(): Promise<void>;
}

/** How a process ended: one of the two is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Starts an edge on a free port, or on the port of the state that it is given.
 * @throws Error with the exit code and all of the output, if it ends before it serves.
 */
export async function startEdge({ upstream, state, args = [] }: EdgeOptions = {}): Promise<Edge> {
  const folder = state ?? (await mkdtemp(join(tmpdir(), "counterfoil-")));
  const upstreamArgs = upstream === undefined ? [] : ["--upstream", upstream];
  const child = spawn(process.execPath, [START, "--port", "0", "--state", folder, ...upstreamArgs, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit").then(([code, signal]) => ({ code, signal }) as Exit);
  const output = collectOutput(child);
  const cleanUp = async () => {
    if (state === undefined) await rm(folder, { recursive: true, force: true });
  };
  const ended = await Promise.race([output.welcome, exited]);
  if (typeof ended === "object") {
    await cleanUp();
    throw new Error(`npm start ended with exit code ${ended.code}: ${output.text()}`);
  }
  const url = match(output.text(), /Counterfoil is at (\S+)/);
  const servingPid = Number(match(output.text(), /^ +(?:workerd|node|deno|bun) +process (\d+)$/m));
  return {
    url,
    state: folder,
    servingPid,
    get output() {
      return output.text();
    },
    operatorToken: async () => (await readFile(join(folder, "operator-token"), "utf8")).trim(),
    kill(signal) {
      child.kill(signal);
      return exited;
    },
    killServing() {
      process.kill(servingPid, "SIGKILL");
      return exited;
    },
    async stop() {
      child.kill("SIGINT");
      await exited;
      await endOrphan(servingPid, new URL(url));
      await cleanUp();
    },
  };
}

function collectOutput(child: ChildProcess): { text(): string; welcome: Promise<"welcome"> } {
  let text = "";
  const welcome = new Promise<"welcome">(resolve => {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.includes("Ctrl-C stops it.")) resolve("welcome");
      });
    }
  });
  return { text: () => text, welcome };
}

function match(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`${pattern} is not in: ${text}`);
  return found;
}

/** A start script that was killed with SIGKILL could not end what serves: it still does at its port. */
async function endOrphan(pid: number, { hostname, port }: URL): Promise<void> {
  while (await isListening(hostname, Number(port))) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      return;
    }
  }
}

/** Whether anything accepts connections there. */
export async function isListening(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
