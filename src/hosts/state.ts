// The state folder of an edge that runs as one process on this machine: all that it must not lose, for its owner
// alone. One process has it at a time, whatever runtime that runs on: SQLite's lock on `lock.sqlite` is the
// system's, so it ends with the process, however that ends.
//
//   lock.sqlite             empty; its lock is what counts
//   ledgers/<name>.sqlite   one ledger each
//   vaults/<name>.sqlite    the vault beside each ledger
//   anchors.sqlite          what the anchor writer remembers
//   archive/, anchors/      the objects that would lie in two buckets elsewhere; keys are paths
//   secrets.json, operator-token   see keys.ts
//   issuer                  the URL that receipts name as their issuer
//   storage/                what local workerd keeps instead, in Miniflare's layout; see adoption.ts
import { chmodSync, existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Adoption, adoptStorage, isBeingAdopted } from "./adoption.ts";
import { makeFolder } from "./disk.ts";
import { type Folder, openFolder } from "./folder.ts";
import { readIfPresent, readOrMake } from "./keys.ts";
import { type Database, fileOf, openSqlite, type SqliteOptions } from "./sqlite.ts";

export interface State {
  /** The absolute path of the folder. */
  readonly path: string;
  /** The database of a ledger, by its name in the policy; the same one however often it is asked for. */
  ledger(name: string): Database;
  vault(name: string): Database;
  /** The database of the anchor writer. */
  anchorer(): Database;
  /** The stores that elsewhere are the buckets ARCHIVE and ANCHORS. */
  readonly archive: Folder;
  readonly anchors: Folder;
  /** What was taken over from local workerd when the folder was opened, if it was. */
  readonly adoption: Adoption | undefined;
  /** Closes every database, and lets others have the folder. */
  close(): void;
}

/** What keeps other processes out of a state folder. */
export interface StateLock {
  release(): void;
}

/**
 * Opens a state folder for an edge on Node, Deno or Bun, and makes it if there is none. What local workerd has kept in
 * it is taken over, and workerd cannot go on with it afterwards.
 * @throws Error that names the folder and says why it cannot be had.
 */
export async function openState(path: string): Promise<State> {
  const root = resolve(path);
  const lock = await lockState(root);
  try {
    const adoption = await adoptStorage(root);
    const folders = ["ledgers", "vaults", "archive", "anchors"].map(name => join(root, name));
    for (const folder of folders) await makeOwnFolder(folder);
    const [ledgers, vaults, archive, anchors] = folders as [string, string, string, string];
    const databases = new Map<string, Database>();
    const open = (file: string, options?: SqliteOptions) => {
      const known = databases.get(file) ?? openSqlite(file, options);
      databases.set(file, known);
      return known;
    };
    return {
      path: root,
      ledger: name => open(join(ledgers, fileOf(name))),
      vault: name => open(join(vaults, fileOf(name)), { overwrite: true }),
      anchorer: () => open(join(root, "anchors.sqlite")),
      archive: await openFolder(archive),
      anchors: await openFolder(anchors),
      adoption,
      close() {
        for (const database of databases.values()) database.close();
        databases.clear();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * Keeps a state folder for local workerd, for as long as this process runs, and makes it if there is none.
 * @returns where workerd is to keep its stores.
 * @throws Error that names the folder and says why it cannot be had.
 */
export async function openWorkerdState(path: string): Promise<string> {
  const root = resolve(path);
  const lock = await lockState(root);
  if (!existsSync(join(root, "ledgers")) && !isBeingAdopted(root)) return join(root, "storage");
  lock.release();
  throw new Error(
    `the ledgers of ${root} are kept by Node, Deno or Bun, and workerd cannot go on with them: ` +
      "give --runtime, or another state folder",
  );
}

/**
 * Makes a state folder, if there is none, and keeps it for this process until it ends or lets go.
 * @throws Error that names the folder, when another process has it, or others could write to it.
 */
export async function lockState(path: string): Promise<StateLock> {
  await makeOwnFolder(path);
  const file = join(path, "lock.sqlite");
  const database = takeLock(file, path);
  // By its path: to open it here and close it again would drop the lock (POSIX record locks are of the process).
  chmodSync(file, 0o600);
  held.add(database);
  return {
    release() {
      held.delete(database);
      if (database.isOpen) database.close();
    },
  };
}

/** The issuer that the receipts of a state folder name, if there is one yet. */
export async function readIssuer(state: string): Promise<string | undefined> {
  return (await readIfPresent(join(state, "issuer")))?.trim();
}

/**
 * Has the receipts of a state folder name an issuer, which it then keeps: it is what clients trust them by.
 * @throws Error when it keeps another one.
 */
export async function claimIssuer(state: string, issuer: string): Promise<void> {
  const kept = (await readOrMake(join(state, "issuer"), async () => issuer)).trim();
  if (kept === issuer) return;
  throw new Error(
    `the receipts of ${state} name ${kept} as issuer, and this edge would name ${issuer}: serve under that name, or on another state folder`,
  );
}

/** Makes a folder, if there is none. @throws Error for one that others could write to. */
async function makeOwnFolder(path: string): Promise<void> {
  await makeFolder(path);
  if ((statSync(path).mode & 0o022) === 0) return;
  throw new Error(`${path} can be written to by others than its owner: chmod go-w ${path}`);
}

/** The locks of this process: a connection that nothing refers to would be collected, and its lock with it. */
const held = new Set<DatabaseSync>();

function takeLock(file: string, path: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // Nothing is ever written there, so nothing is to be rolled back.
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    const { message } = error as Error;
    if (!message.includes("database is locked")) throw new Error(`${file}: ${message}`, { cause: error });
    throw new Error(`another process has the state folder ${path}: end it first, or name another folder`);
  }
}
