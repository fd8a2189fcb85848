// The command line on Node: files, standard streams, and what is loaded only for those commands that need it.
import { randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import manifest from "../../package.json" with { type: "json" };
import { runCommandLine } from "../client/cli.ts";
import { Undecided } from "../client/outcome.ts";
import type { Database, KeyStore, Platform } from "../client/platform.ts";
import { makeFolders } from "./disk.ts";
import { readPolicy } from "./policy.ts";
import { pause } from "./signals.ts";
import { send } from "./wire.ts";

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
    makeFolders(path, 0o777).then(
      () => {},
      error => {
        throw new Undecided("a folder cannot be made", { found: (error as Error).message });
      },
    ),
  openDatabase,
  now: Date.now,
  random: bytes => crypto.getRandomValues(new Uint8Array(bytes)),
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
  // Only these, and openDatabase, need SQLite: the other commands start without it.
  runWitness: async (...asked) => (await withSqlite(() => import("./witness.ts"))).serveWitness(...asked),
  runEdge: async (...asked) => (await withSqlite(() => import("./serve.ts"))).serve(...asked),
  keys: {
    list: async (...asked) => (await openKeyStore()).list(...asked),
    make: async (...asked) => (await openKeyStore()).make(...asked),
    rotate: async (...asked) => (await openKeyStore()).rotate(...asked),
    retire: async (...asked) => (await openKeyStore()).retire(...asked),
  },
};

async function openKeyStore(): Promise<KeyStore> {
  return (await withSqlite(() => import("./keystore.ts"))).keyStore;
}

/** Node has had SQLite since 22.13. @throws Undecided on an older one */
function withSqlite<Module>(load: () => Promise<Module>): Promise<Module> {
  return load().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ERR_UNKNOWN_BUILTIN_MODULE") throw error;
    const detail = { expected: "Node 22.13 or newer", found: process.version };
    throw new Undecided("this command keeps a local database, which this Node has not", detail);
  });
}

async function openDatabase(path: string): Promise<Database> {
  const { openSqlite, SqliteError } = await withSqlite(() => import("./sqlite.ts"));
  // A damaged file, or a full disk; whatever else is thrown on the way is not the database's.
  const orUndecided = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      throw new Undecided(error.message, { expected: "a database that this program has made" });
    }
  };
  const database = orUndecided(() => openSqlite(path));
  return {
    all: (...asked) => orUndecided(() => database.all(...asked)),
    transaction: work => orUndecided(() => database.transaction(work)),
  };
}

/** @throws Undecided for what is there and is no regular file (a pipe or a device may never end), or a boundless one. */
async function requireFile(path: string, bytesMax: number): Promise<void> {
  const found = await stat(path).catch(error => absentOr(error, "cannot be read"));
  if (found === undefined || (found.isFile() && found.size <= bytesMax)) return;
  throw new Undecided(`${path}: larger than any object of an archive, or no file`, {
    expected: `a file of at most ${bytesMax} bytes`,
    found: found.isFile() ? `${found.size} bytes` : "no regular file",
  });
}

/** No such file is an answer; any other failure leaves the question open. */
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
    const found = (error as Error).message.replaceAll(beside, path);
    throw new Undecided(`${path}: cannot be written`, { found });
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

// Whoever reads the output may stop early; that is no failure of this program's.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runCommandLine(process.argv.slice(2), platform);
