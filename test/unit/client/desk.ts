// A person's desk: a platform for the command line whose files and streams are in memory.
import { runCommandLine } from "../../../src/client/cli.ts";
import { Undecided } from "../../../src/client/outcome.ts";
import type { Database, EdgeSettings, Platform, WitnessSettings } from "../../../src/client/platform.ts";
import { keyStore } from "../../../src/hosts/keystore.ts";
import { readPolicy } from "../../../src/hosts/policy.ts";
import { openSqlite } from "../../../src/hosts/sqlite.ts";
import type { Send } from "./edge.ts";

const offline: Send = async ({ url }) => {
  throw new Undecided(`no answer from ${url}`);
};

export class Desk {
  readonly files = new Map<string, Uint8Array>();
  readonly databases = new Map<string, Database>();
  nowMs = 0;
  /** How often randomness was asked for. */
  draws = 0;
  /** How many pauses last until their end; then the person ends the program. */
  pauses = 0;
  /** Files that cannot be written. */
  readonly unwritable = new Set<string>();
  readonly variables = new Map<string, string>();
  readonly isTerminal = { out: false, err: false };
  input = new Uint8Array();
  send: Send;
  /** How the last witness was to run. */
  witness: WitnessSettings | undefined;
  /** How the last edge was to run. */
  edge: EdgeSettings | undefined;
  /** What was printed by the last run. */
  out = "";
  err = "";

  constructor(send: Send = offline) {
    this.send = send;
  }

  write(path: string, data: string | Uint8Array): void {
    this.files.set(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  read(path: string): string {
    return new TextDecoder().decode(this.files.get(path));
  }

  /** Runs a command line. @returns its exit code. */
  run(...args: string[]): Promise<number> {
    this.out = "";
    this.err = "";
    return runCommandLine(args, this.#platform());
  }

  /** Runs a command line with --json. @returns what it says, and its exit code. */
  async runJson(...args: string[]): Promise<{ code: number; json: Record<string, unknown> }> {
    const code = await this.run(...args, "--json");
    return { code, json: JSON.parse(this.out.startsWith("{") ? this.out : this.err) };
  }

  #platform(): Platform {
    return {
      version: "1.2.3",
      isTerminal: this.isTerminal,
      variable: name => this.variables.get(name),
      readFile: async path => this.files.get(path),
      hasFile: async path => this.files.has(path),
      makeFolder: async () => {},
      openDatabase: async path => {
        const database = this.databases.get(path) ?? openSqlite(":memory:");
        this.databases.set(path, database);
        this.write(path, "a database");
        return database;
      },
      now: () => this.nowMs,
      random: bytes => new Uint8Array(bytes).fill(++this.draws),
      pause: async ms => {
        this.nowMs += ms;
        return this.pauses-- > 0;
      },
      listFolder: async path => {
        const inside = [...this.files.keys()].filter(name => name.startsWith(`${path}/`));
        const names = new Set(inside.map(name => name.slice(path.length + 1).split("/")[0]!));
        return names.size === 0 ? undefined : [...names];
      },
      writeFile: async (path, bytes) => {
        if (this.unwritable.has(path)) throw new Undecided(`${path}: cannot be written`);
        this.files.set(path, bytes);
      },
      removeFile: async path => {
        this.files.delete(path);
      },
      readInput: async () => this.input,
      writeOut: async data => {
        this.out += typeof data === "string" ? data : new TextDecoder().decode(data);
      },
      writeErr: async text => {
        this.err += text;
      },
      send: request => this.send(request),
      readPolicy,
      keys: keyStore,
      runEdge: async (settings, ready) => {
        this.edge = settings;
        await ready({
          url: "http://edge",
          issuer: "https://api.example.com",
          prefix: "/audit/",
          runtime: "x",
        });
      },
      runWitness: async (settings, ready) => {
        this.witness = settings;
        await ready({ url: "http://witness", key: "key" });
      },
    };
  }
}
