// Taking over what local workerd has kept in a state folder, in Miniflare's layout (`storage/`): a SQLite file for each
// object, and for each bucket one that tells of files.
//
// All of it is taken over or nothing: it is copied beside, checked and synced, and then one renaming decides. What
// follows that is done again at the next opening, should it not come to its end. Workerd's own files keep what they
// have, and are set aside in the end: two ledgers that go on from one head would be a fork.
import { createHash, createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SqlRow } from "../../durable/sql.ts";
import { REFUSED_FOLDER, SPOOL_FOLDER } from "../receipt/spool.ts";
import { syncFolder, writeNew } from "./disk.ts";
import { checkKey } from "./folder.ts";
import { type Database, fileOf, openSqlite } from "./sqlite.ts";

/** Where workerd keeps its stores, and where they are in the end. */
const STORAGE = "storage";
const ASIDE = "storage.adopted";

/** Where copies are made: those that are read and those that are taken over. Then where these are once that is decided. */
const DRAFT = "adopting";
const DECIDED = "adopted";

/** The name of the one object that writes anchors; see durable/objects.ts. */
const ANCHOR_OBJECT = "anchors";

/** The keys in the bucket for anchors, and in no other. */
const ANCHOR_KEY = /^anchors\/\d{10}\.jws$|^canary\/\d{4}-\d{2}-\d{2}$/;

/** Miniflare's own objects, one for each bucket. */
const BUCKET_OBJECTS = "miniflare-R2BucketObject";

/** How many rows are read at once. */
const ROWS = 1000;

/** What was taken over, for the one who reads it. */
export interface Adoption {
  readonly ledgers: readonly { readonly name: string; readonly size: number }[];
  readonly objects: number;
  /** Where workerd's own files are now. */
  readonly aside: string;
}

/** Whether a taking over was decided and has not come to its end. */
export function isBeingAdopted(root: string): boolean {
  return existsSync(join(root, DECIDED));
}

/**
 * Takes over what workerd has kept in a state folder, or comes to the end of that. The folder must be locked.
 * @returns undefined when there was nothing to begin with.
 * @throws Error that says why it cannot be done; then nothing has changed.
 */
export async function adoptStorage(root: string): Promise<Adoption | undefined> {
  if (isBeingAdopted(root)) await finish(root);
  const [storage, draft] = [join(root, STORAGE), join(root, DRAFT)];
  await rm(draft, { recursive: true, force: true });
  if (!existsSync(storage)) return undefined;
  const locks: DatabaseSync[] = [];
  try {
    if (existsSync(join(root, "ledgers"))) throw new Error("ledgers of another runtime are beside it");
    if (existsSync(join(root, ASIDE))) throw new Error(`${ASIDE} is there from another time`);
    await keepAway(storage, locks);
    const adoption = await copyAll(storage, draft, locks);
    await rename(join(draft, "new"), join(root, DECIDED));
    await syncFolder(root);
    return { ...adoption, aside: join(root, ASIDE) };
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${root}: what workerd has kept in ${STORAGE}/ cannot be taken over: ${message}`, {
      cause: error,
    });
  } finally {
    for (const lock of locks) lock.close();
    if (isBeingAdopted(root)) await finish(root);
    await rm(draft, { recursive: true, force: true });
  }
}

/** Moves what is decided to its place, and what workerd has kept out of its own. May be repeated. */
async function finish(root: string): Promise<void> {
  for (const name of await readdir(join(root, DECIDED))) {
    await rename(join(root, DECIDED, name), join(root, name));
  }
  if (existsSync(join(root, STORAGE))) await rename(join(root, STORAGE), join(root, ASIDE));
  // The folder that tells of it goes when all of that is on disk, and not before.
  await syncFolder(root);
  await rmdir(join(root, DECIDED));
  await syncFolder(root);
}

/**
 * Locks the files that workerd opens when it starts and holds until it ends, also when whoever has started it is gone.
 * @throws Error when it runs.
 */
async function keepAway(storage: string, locks: DatabaseSync[]): Promise<void> {
  for (const namespace of await namesIn(join(storage, "do"))) {
    const path = join(storage, "do", namespace, "metadata.sqlite");
    if (!existsSync(path)) continue;
    const database = new DatabaseSync(path);
    locks.push(database);
    try {
      database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    } catch (error) {
      const { message } = error as Error;
      throw new Error(message.includes("locked") ? "workerd still runs on it: end it first" : message);
    }
  }
}

/**
 * Copies everything to `new/` of a folder, in the layout of state.ts. When this returns, all of it is on disk.
 * @param metadata the databases in which workerd remembers whose alarms are set.
 */
async function copyAll(
  storage: string,
  draft: string,
  metadata: readonly DatabaseSync[],
): Promise<Omit<Adoption, "aside">> {
  const to = join(draft, "new");
  for (const name of ["read", "new", "new/ledgers", "new/vaults", "new/archive", "new/anchors"]) {
    await mkdir(join(draft, name), { recursive: true, mode: 0o700 });
  }
  const { count, names } = await copyBuckets(join(storage, "r2"), join(draft, "read"), to);
  const objects = join(storage, "do");
  // An alarm is set before a ledger takes anything, and stays until all of it is in the archive.
  for (const database of metadata) {
    const rows = database.prepare("SELECT actor_name FROM _cf_ALARM WHERE actor_name IS NOT NULL").all();
    for (const row of rows) names.add(String(row.actor_name));
  }
  await copyObjects(objects, "LedgerObject", names, name => join(to, "ledgers", fileOf(name)));
  await copyObjects(objects, "VaultObject", names, name => join(to, "vaults", fileOf(name)));
  await copyObjects(objects, "AnchorObject", new Set([ANCHOR_OBJECT]), () => join(to, "anchors.sqlite"));
  const ledgers = [];
  for (const file of await namesIn(join(to, "ledgers"))) {
    ledgers.push(await checkLedger(to, file.slice(0, -".sqlite".length)));
  }
  await syncTree(to);
  await syncFolder(draft);
  return { ledgers, objects: count };
}

/** Copies the objects of every bucket. @returns how many, and the names of the ledgers that they are of. */
async function copyBuckets(r2: string, read: string, to: string) {
  const names = new Set<string>();
  let count = 0;
  const buckets = new Map(
    (await namesIn(r2)).map(bucket => [idOf(BUCKET_OBJECTS, bucket), join(r2, bucket, "blobs")]),
  );
  const taken = new Set<string>();
  for (const id of await idsIn(join(r2, BUCKET_OBJECTS))) {
    const database = await openCopy(join(r2, BUCKET_OBJECTS, `${id}.sqlite`), join(read, `${id}.sqlite`));
    let place: string | undefined;
    for (const row of rowsOf(database)) {
      const key = String(row.key);
      const blobs = buckets.get(id);
      if (blobs === undefined) throw new Error(`it has the object ${key} in a bucket of no name`);
      const belongs = ANCHOR_KEY.test(key) ? "anchors" : "archive";
      if (place === undefined && taken.has(belongs)) throw new Error(`it has ${belongs} in two buckets`);
      place ??= belongs;
      if (place !== belongs) throw new Error(`it has ${key} in the bucket for ${place}`);
      taken.add(place);
      await copyObject(row, blobs, join(to, place));
      if (place === "archive") names.add(ledgerOf(key));
      count++;
    }
    database.close();
  }
  return { names, count };
}

/** The objects of a bucket, in the order of their keys. */
function* rowsOf(bucket: Database): Iterable<SqlRow> {
  const statement =
    "SELECT key, blob_id, size, etag, checksums FROM _mf_objects WHERE key > ? ORDER BY key LIMIT ?";
  for (let last = ""; ; ) {
    const rows = bucket.all(statement, last, ROWS);
    if (rows.length === 0) return;
    yield* rows;
    last = String(rows.at(-1)!.key);
  }
}

/** Copies one object. @throws Error that names it, when its bytes are not those that were put. */
async function copyObject(row: SqlRow, blobs: string, to: string): Promise<void> {
  const key = String(row.key);
  checkKey(key);
  if (row.blob_id === null) throw new Error(`it has ${key} in parts, which no edge has put there`);
  const blob = String(row.blob_id);
  if (!/^[0-9a-f]+$/.test(blob))
    throw new Error(`it has ${key} in a file of no name: ${JSON.stringify(blob)}`);
  const bytes = await readFile(join(blobs, blob));
  const { sha256 } = JSON.parse(String(row.checksums)) as { sha256?: string };
  const hash = (name: string) => createHash(name).update(bytes).digest("hex");
  const isWhole =
    bytes.length === row.size && hash("md5") === row.etag && (!sha256 || hash("sha256") === sha256);
  if (!isWhole) throw new Error(`the bytes of ${key} are not those that were put there`);
  await mkdir(dirname(join(to, key)), { recursive: true, mode: 0o700 });
  await writeNew(join(to, key), bytes, 0o400);
}

/** The ledger that an object of the archive is of. */
function ledgerOf(key: string): string {
  const [first, second = ""] = key.split("/") as [string, string?];
  return first === SPOOL_FOLDER || first === REFUSED_FOLDER ? second : first;
}

/** Copies the databases of all objects of a class, which are known by what their names hash to. */
async function copyObjects(
  objects: string,
  type: string,
  names: ReadonlySet<string>,
  pathOf: (name: string) => string,
): Promise<void> {
  const [namespace, ...others] = (await namesIn(objects)).filter(name => name.endsWith(`-${type}`));
  if (namespace === undefined) return;
  if (others.length > 0) throw new Error(`it is of several workers: ${namespace}, ${others.join(", ")}`);
  const nameOf = new Map([...names].map(name => [idOf(namespace, name), name]));
  for (const id of await idsIn(join(objects, namespace))) {
    const name = nameOf.get(id);
    if (name === undefined) throw new Error(`it has ${namespace}/${id}.sqlite, and nothing tells its name`);
    const database = await openCopy(join(objects, namespace, `${id}.sqlite`), pathOf(name));
    for (const { name: table } of database.all("SELECT name FROM sqlite_master WHERE type = 'table'")) {
      if (String(table).startsWith("_cf_")) database.all(`DROP TABLE "${table}"`);
    }
    const [check] = database.all("PRAGMA integrity_check");
    if (check?.integrity_check !== "ok") {
      throw new Error(`${namespace}/${id}.sqlite is damaged: ${check?.integrity_check}`);
    }
    // What was deleted before it came here, and was not overwritten, does not come along.
    database.all("VACUUM");
    database.close();
  }
}

/** Compares the head of a ledger with its checkpoint. What is beyond that, a ledger compares itself when it starts. */
async function checkLedger(to: string, name: string) {
  const database = openSqlite(join(to, "ledgers", `${name}.sqlite`));
  const [head] = database.all("SELECT size, published FROM head");
  database.close();
  if (head === undefined) throw new Error(`the ledger ${name} has no head`);
  const [size, published] = [head.size as number, head.published as number];
  const checkpoint = join(to, "archive", name, "checkpoint");
  const tree = existsSync(checkpoint) ? Number((await readFile(checkpoint, "latin1")).split("\n")[1]) : 0;
  if (tree >= published && tree <= size) return { name, size };
  throw new Error(
    `the ledger ${name} has ${size} entries, ${published} of them published, and a checkpoint of ${tree}`,
  );
}

/** Copies a database with its log, and opens the copy. */
async function openCopy(source: string, copy: string): Promise<Database> {
  await copyFile(source, copy);
  if (existsSync(`${source}-wal`)) await copyFile(`${source}-wal`, `${copy}-wal`);
  return openSqlite(copy);
}

/** The id of an object, as Miniflare and workerd make it of its name. */
function idOf(namespace: string, name: string): string {
  const key = createHash("sha256").update(namespace).digest();
  const hash = (data: string | Buffer) => createHmac("sha256", key).update(data).digest().subarray(0, 16);
  const first = hash(name);
  return Buffer.concat([first, hash(first)]).toString("hex");
}

/** The ids of the objects that have a database in a folder. */
async function idsIn(folder: string): Promise<string[]> {
  return (await namesIn(folder))
    .filter(name => name.endsWith(".sqlite") && name !== "metadata.sqlite")
    .map(name => name.slice(0, -".sqlite".length));
}

/** The names in a folder; none if there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  return existsSync(folder) ? (await readdir(folder)).sort() : [];
}

/** Has the names in a folder and in all below it written to disk. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncTree(join(folder, entry.name));
  }
  await syncFolder(folder);
}
