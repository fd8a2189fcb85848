// The command line on Node: files, standard streams, and HTTP as it stands on the wire.
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import manifest from "../../package.json" with { type: "json" };
import { runCommandLine } from "../client/cli.ts";
import { Undecided } from "../client/outcome.ts";
import type {
  Database,
  EdgeAddress,
  EdgeSettings,
  KeyStore,
  Platform,
  WireRequest,
  WireResponse,
  WitnessAddress,
  WitnessSettings,
} from "../client/platform.ts";
import { readPolicy } from "./policy.ts";
import { untilToldToEnd } from "./signals.ts";

/** How long to wait for the head of a response, in ms. */
const HEAD_WAIT_MS = 60_000;

const platform: Platform = {
  version: manifest.version,
  isTerminal: { out: process.stdout.isTTY === true, err: process.stderr.isTTY === true },
  variable: name => process.env[name],
  readFile: async (path, bytesMax) => {
    if (bytesMax !== undefined) await requireFile(path, bytesMax);
    return readFile(path).catch(error => absentOr(error, "cannot be read"));
  },
  hasFile: async path =>
    (await stat(path).catch(error => absentOr(error, "cannot be read")))?.isFile() === true,
  makeFolder: path =>
    mkdir(path, { recursive: true }).then(
      () => {},
      error => {
        throw new Undecided("a folder cannot be made", { found: (error as Error).message });
      },
    ),
  openDatabase,
  now: Date.now,
  pause,
  listFolder: path => readdir(path).catch(error => absentOr(error, "cannot be listed")),
  writeFile: writeWhole,
  removeFile: path =>
    rm(path, { force: true }).catch(error => {
      throw new Undecided("a file cannot be removed", { found: (error as Error).message });
    }),
  readInput,
  writeOut: data => write(process.stdout, data),
  writeErr: text => write(process.stderr, text),
  send,
  readPolicy,
  runWitness,
  runEdge,
  // Only these need a lock: the other commands start without a database.
  keys: {
    list: async (...asked) => (await openKeyStore()).list(...asked),
    make: async (...asked) => (await openKeyStore()).make(...asked),
    rotate: async (...asked) => (await openKeyStore()).rotate(...asked),
    retire: async (...asked) => (await openKeyStore()).retire(...asked),
  },
};

async function runEdge(
  settings: EdgeSettings,
  ready: (address: EdgeAddress) => Promise<void>,
): Promise<void> {
  const { serve } = await withSqlite(() => import("./serve.ts"));
  await serve(settings, ready);
}

async function openKeyStore(): Promise<KeyStore> {
  return (await withSqlite(() => import("./keystore.ts"))).keyStore;
}

async function runWitness(
  settings: WitnessSettings,
  ready: (address: WitnessAddress) => Promise<void>,
): Promise<void> {
  // Only this command needs a database and a server: the others start without them.
  const { startWitness } = await withSqlite(() => import("./witness.ts"));
  const witness = await startWitness(settings).catch((error: Error) => {
    throw new Undecided("the witness cannot begin", { found: error.message });
  });
  const told = untilToldToEnd();
  await ready(witness);
  await told;
  await witness.stop();
}

/** Node has had SQLite since 22.13. @throws Undecided on an older one */
function withSqlite<Module>(load: () => Promise<Module>): Promise<Module> {
  return load().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ERR_UNKNOWN_BUILTIN_MODULE") throw error;
    const detail = { expected: "Node 22.13 or newer", found: process.version };
    throw new Undecided("this command keeps a local database, which this Node has not", detail);
  });
}

/** Only some commands need a database: the others start without it. */
async function openDatabase(path: string): Promise<Database> {
  const { openSqlite } = await withSqlite(() => import("./sqlite.ts"));
  try {
    return openSqlite(path);
  } catch (error) {
    throw new Undecided(`${path}: cannot be opened as a database`, { found: (error as Error).message });
  }
}

function pause(ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const end = (isOver: boolean) => {
      clearTimeout(timer);
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
      resolve(isOver);
    };
    const interrupt = () => end(false);
    const timer = setTimeout(end, ms, true);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupt);
  });
}

/** No such file is an answer; any other failure leaves the question open. */
/** @throws Undecided for what is there and is no regular file (a pipe or a device may never end), or a boundless one. */
async function requireFile(path: string, bytesMax: number): Promise<void> {
  const found = await stat(path).catch(error => absentOr(error, "cannot be read"));
  if (found === undefined || (found.isFile() && found.size <= bytesMax)) return;
  throw new Undecided(`${path}: larger than any object of an archive, or no file`, {
    expected: `a file of at most ${bytesMax} bytes`,
    found: found.isFile() ? `${found.size} bytes` : "no regular file",
  });
}

function absentOr(error: NodeJS.ErrnoException, what: string): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw new Undecided(`a file ${what}`, { found: error.message });
}

/** Writes beside the file and then renames: nobody finds half of one, not even after a power cut. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.${randomUUID()}`;
  try {
    await writeFile(beside, bytes, { flush: true });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw new Undecided("a file cannot be written", { found: (error as Error).message });
  }
}

async function readInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function write(stream: NodeJS.WriteStream, data: Uint8Array | string): Promise<void> {
  return new Promise(resolve => stream.write(data, () => resolve()));
}

function send({ method, url, headers, body, idleMs }: WireRequest): Promise<WireResponse> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new Undecided(`no answer from ${url}`, { found: describe(error) }, "no-answer"));
    try {
      const { request } = url.startsWith("https:") ? https : http;
      const outgoing = request(url, { method, timeout: HEAD_WAIT_MS });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`nothing came for ${HEAD_WAIT_MS / 1000} s`)));
      outgoing.on("error", fail);
      outgoing.on("response", response => {
        outgoing.setTimeout(idleMs ?? 0);
        resolve({
          status: response.statusCode!,
          headers: readHeaders(response),
          body: readBody(response, url),
        });
      });
      writeRequest(outgoing, headers, body);
    } catch (error) {
      fail(error as Error);
    }
  });
}

function writeRequest(
  outgoing: http.ClientRequest,
  headers: WireRequest["headers"],
  body: Uint8Array | undefined,
): void {
  try {
    for (const [name, value] of headers) outgoing.appendHeader(name, value);
    if (body !== undefined && !outgoing.hasHeader("content-length")) {
      outgoing.setHeader("content-length", body.length);
    }
    outgoing.end(body);
  } catch (error) {
    // Begun and never sent, it would keep the process waiting for an answer.
    outgoing.destroy(error as Error);
  }
}

function readHeaders({ rawHeaders }: http.IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  return headers;
}

async function* readBody(response: http.IncomingMessage, url: string): AsyncGenerator<Uint8Array> {
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      yield chunk;
    }
  } catch (error) {
    const found = `${length} bytes, then: ${describe(error as Error)}`;
    throw new Undecided(`the response from ${url} broke off`, { found }, "no-answer");
  }
}

/** An error that stands for several (one for each address that was tried) has no message of its own. */
function describe(error: Error & { code?: string }): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  return error.message || error.code || error.name;
}

// Whoever reads the output may stop early; that is no failure of this program's.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runCommandLine(process.argv.slice(2), platform);
