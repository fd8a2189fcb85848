// Edges in a plain workerd, each in a folder that `npm run selfhost` makes. Their objects lie there; their buckets are
// stand-ins in this process, which can refuse to be written to, and be put back to what they had before.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import type { Reached } from "../test/e2e/copy.ts";
import { eventually, send } from "../test/e2e/upstream.ts";
import { S3, type S3Version } from "../test/s3.ts";
import { CONFIG_PATH, readConfig } from "./config.ts";
import { findPort } from "./port.ts";
import { ENVIRONMENT, WORKERD, writeSelfhost } from "./selfhost.ts";
import type { Served } from "./serve.ts";

/** The stand-ins check no signature. */
const BUCKET_KEYS = Object.fromEntries(
  ["ARCHIVE", "ANCHOR"].flatMap(name => [
    [`${name}_S3_KEY_ID`, "AK"],
    [`${name}_S3_SECRET`, "SK"],
  ]),
);

export interface StartOptions {
  readonly state: string;
  /** A command that runs it and sees what it does. */
  readonly under?: readonly string[];
}

export class PlainWorkerd {
  readonly #upstream: string;
  readonly #port: number;
  readonly #buckets: readonly { readonly s3: S3; readonly close: () => void }[];
  #kept: readonly (readonly S3Version[])[] = [];

  private constructor(
    upstream: string,
    port: number,
    buckets: readonly { readonly s3: S3; readonly close: () => void }[],
  ) {
    this.#upstream = upstream;
    this.#port = port;
    this.#buckets = buckets;
  }

  static async open(upstream: string): Promise<PlainWorkerd> {
    const open = async () => {
      const s3 = new S3();
      return { s3, close: await s3.start() };
    };
    return new PlainWorkerd(upstream, await findPort("127.0.0.1"), [await open(), await open()]);
  }

  /** Makes a state folder with a ledger of some entries; what is stored in one that is there stays. */
  async prepare(state: string): Promise<void> {
    const [archive, anchors] = this.#buckets.map(({ s3 }) => s3.url);
    const vars = {
      issuer: "https://api.example.com",
      client_address: "none",
      ledgers: [{ name: "main", origin: "api.example.com/audit/main" }],
      routes: [{ name: "all", match: "/*", upstream: this.#upstream, ledger: "main" }],
      archive: { s3: { url: archive } },
      anchor: { interval_seconds: 1, s3: { url: anchors, retention_days: 1, role: "store" } },
    };
    const listen = `127.0.0.1:${this.#port}`;
    const isNew = !existsSync(state);
    await writeSelfhost(state, {
      config: readConfig(CONFIG_PATH),
      vars,
      listen,
      allow: ["public", "private"],
    });
    if (!isNew) return;
    // Workerd syncs what it writes to a new database and not its name, so that one is there from the beginning.
    this.hold();
    const edge = await this.start({ state });
    await send(`${edge.url}/first`);
    await edge.stop();
    this.rewind();
  }

  /** From here on nothing gets into the buckets. */
  hold(): void {
    this.#kept = this.#buckets.map(({ s3 }) => [...s3.versions]);
    for (const { s3 } of this.#buckets) s3.refusesWrites = true;
  }

  /** Puts the buckets back to when they were held last, and lets them be written to. */
  rewind(): void {
    for (const [i, { s3 }] of this.#buckets.entries()) {
      s3.versions.splice(0, Number.POSITIVE_INFINITY, ...this.#kept[i]!);
      s3.refusesWrites = false;
    }
  }

  async start({ state, under = [] }: StartOptions): Promise<Served & Reached> {
    const secrets = parseEnv(await readFile(join(state, ENVIRONMENT), "utf8"));
    const [command = WORKERD, ...args] = [...under, WORKERD, "serve", "config.capnp"];
    const child = spawn(command, args, { cwd: state, env: { ...process.env, ...secrets, ...BUCKET_KEYS } });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    }
    const ended = once(child, "exit").then(([code, signal]) => signal ?? `exit code ${code}`);
    const url = `http://127.0.0.1:${this.#port}`;
    const answers = eventually(() => send(`${url}/.well-known/audit/ready`).catch(() => undefined));
    const failed = ended.then(by => {
      throw new Error(`workerd has ended by ${by}: ${output}`);
    });
    failed.catch(() => {});
    await Promise.race([answers, failed]);
    return {
      pid: child.pid!,
      url,
      get output() {
        return output;
      },
      ended,
      async stop() {
        child.kill("SIGTERM");
        await ended;
      },
      operatorToken: async () => (await readFile(join(state, "operator-token"), "utf8")).trim(),
    };
  }

  close(): void {
    for (const { close } of this.#buckets) close();
  }
}
