// The runtimes that run the edge as one process, and programs on them as tests start them.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { commandOf, type RuntimeName } from "../../scripts/runtimes.ts";

/** Starts a program on a runtime. */
export function spawnOn(
  runtime: RuntimeName,
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const [command, ...own] = commandOf(runtime, file);
  return spawn(command, [...own, ...args], {
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
}

const running = new Set<ChildProcess>();

/** A running program.ts. */
export class Host {
  readonly process: ChildProcess;
  readonly url: URL;
  readonly #told: object[];
  #wake = Promise.withResolvers<void>();

  private constructor(process: ChildProcess, url: string, told: object[]) {
    this.process = process;
    this.url = new URL(url);
    this.#told = told;
  }

  /** Ends all that still run, also when a test has failed. */
  static async stopAll(): Promise<void> {
    await Promise.all([...running].map(child => end(child)));
  }

  /**
   * @param tls a folder with server.pem and server.key. @param clientCa a file in it.
   * @throws Error that says why it does not serve, in its words.
   */
  static async start(runtime: RuntimeName, tls = "", clientCa = ""): Promise<Host> {
    const child = spawnOn(runtime, join(import.meta.dirname, "program.ts"), [runtime, tls, clientCa]);
    running.add(child.once("exit", () => running.delete(child)));
    const told: object[] = [];
    const lines = createInterface({ input: child.stdout! });
    const [first] = (await Promise.race([
      once(lines, "line"),
      once(child, "exit").then(([code]) => {
        throw new Error(`the program ended with exit code ${code}`);
      }),
    ])) as [string];
    const { url, refused } = JSON.parse(first);
    if (refused !== undefined) throw new Error(refused);
    const host = new Host(child, url, told);
    lines.on("line", line => {
      told.push(JSON.parse(line));
      host.#wake.resolve();
      host.#wake = Promise.withResolvers();
    });
    return host;
  }

  /** Waits until the program has told of something of this name, and of this if it is given. @returns what it has told. */
  async hears(name: string, what?: unknown): Promise<unknown> {
    for (;;) {
      const told = this.#told as readonly Record<string, unknown>[];
      const found = told.find(line => name in line && (what === undefined || line[name] === what));
      if (found !== undefined) return found[name];
      await this.#wake.promise;
    }
  }

  /** Lets go on what waits for it. */
  release(): void {
    this.process.stdin!.write("go\n");
  }

  async connect(): Promise<Socket> {
    const socket = connect({ port: Number(this.url.port), host: this.url.hostname, allowHalfOpen: true });
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  }

  /** Sends bytes on a connection of their own. @returns all that comes until it is closed. */
  async send(...lines: readonly string[]): Promise<string> {
    const socket = await this.connect();
    socket.write(Buffer.from(lines.join("\r\n"), "latin1"));
    return readAll(socket);
  }

  stop(): Promise<void> {
    return end(this.process);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** All that comes on a connection until it is closed. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", chunk => chunks.push(chunk));
  if (!socket.closed) await Promise.race([once(socket, "end"), once(socket, "close")]).catch(() => {});
  socket.destroy();
  return Buffer.concat(chunks).toString("latin1");
}
