// A state folder of local workerd, taken over by a runtime that keeps its stores itself: all of it or nothing.
import { createHash, createHmac } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openState, openWorkerdState } from "../../src/hosts/state.ts";
import { pullEntries, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { eventually } from "./upstream.ts";

/** A state of a workerd that was killed, and what it had told by then. */
let left: { state: string; size: number; entries: string[]; anchor: string; checkpoint: string };

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  const config = join(folder, "wrangler.toml");
  const root = join(import.meta.dirname, "../..");
  const toml = await readFile(join(root, "wrangler.toml"), "utf8");
  await writeFile(
    config,
    toml
      .replace(/interval_seconds = \d+/, "interval_seconds = 1")
      .replace(/main = "src/, `main = "${root}/src`),
  );
  const state = join(folder, "state");
  const edge = await startEdge({ state, args: ["--config", config] });
  try {
    for (let n = 0; n < 300; n += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => fetch(`${edge.url}/hello?name=${n + i}`)));
    }
    const size = await eventually(() => publishedSize(edge));
    await eventually(async () => (await anchorOf(edge)).size === size || undefined);
    const anchor = (await anchorOf(edge)).text;
    const checkpoint = (await read(edge, "main/checkpoint")).toString();
    left = { state, size, entries: await pullEntries(edge, size), anchor, checkpoint };
    await expectRefusal(state, /another process has the state folder/);
    await edge.kill("SIGKILL");
    // Workerd goes on without anybody who could end it.
    await expectRefusal(state, /workerd still runs on it/);
    await fetch(`${edge.url}/hello?name=unpublished`);
    process.kill(edge.servingPid, "SIGKILL");
  } finally {
    await edge.stop();
  }
});
afterAll(() => rm(join(left.state, ".."), { recursive: true, force: true }));

async function publishedSize(edge: Edge): Promise<number | undefined> {
  const { size, published } = JSON.parse((await read(edge, "health")).toString()).ledgers[0];
  return size === published ? size : undefined;
}

async function anchorOf(edge: Edge): Promise<{ text: string; size: number | undefined }> {
  const { latest } = JSON.parse((await read(edge, "anchors")).toString());
  if (latest === null) return { text: "", size: undefined };
  const text = (await read(edge, `anchors/${latest}`)).toString();
  return {
    text,
    size: JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString()).ledgers[0].size,
  };
}

async function expectRefusal(state: string, reason: RegExp): Promise<void> {
  const before = listing(state);
  await expect(openState(state)).rejects.toThrow(reason);
  expect(listing(state)).toEqual(before);
}

/** Every file but what SQLite makes and removes beside a database. */
function listing(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter(name => !/-(wal|shm|journal)$/.test(name)).sort();
}

/** A copy of what workerd has left, for a test to change. */
async function copyLeft(): Promise<string> {
  const state = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  await cp(left.state, state, { recursive: true });
  return state;
}

/** A bucket's database and the folder of its files. */
function bucketOf(state: string): { database: string; blobs: string } {
  const objects = join(state, "storage/r2/miniflare-R2BucketObject");
  const names = readdirSync(objects).filter(name => /^[0-9a-f]{64}\.sqlite$/.test(name));
  const database = names
    .map(name => join(objects, name))
    .find(path => query(path, "SELECT count(*) AS n FROM _mf_objects WHERE key = 'main/checkpoint'")[0]!.n);
  return { database: database!, blobs: join(state, "storage/r2/counterfoil-archive/blobs") };
}

function query(path: string, statement: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare(statement).all() as Record<string, unknown>[];
  } finally {
    database.close();
  }
}

describe("what local workerd has kept", () => {
  test("is taken over, to the last byte of every object, and workerd's own is set aside", async () => {
    const state = await copyLeft();
    const opened = await openState(state);
    onTestFinished(() => opened.close());
    expect(opened.adoption).toEqual({
      ledgers: [{ name: "main", size: left.size + 1 }],
      objects: expect.any(Number),
      aside: join(state, "storage.adopted"),
    });
    const [head] = opened.ledger("main").all("SELECT size, published FROM head");
    expect(head!.size).toBe(left.size + 1);
    const text = async (store: "archive" | "anchors", key: string) =>
      new TextDecoder().decode((await opened[store].get(key))!.bytes);
    expect(await text("archive", "main/checkpoint")).toBe(left.checkpoint);
    const newest = (await opened.anchors.list("anchors/", 1000)).at(-1)!;
    expect(await text("anchors", newest)).toBe(left.anchor);
    const bundle = (await opened.archive.get("main/tile/entries/000"))!.bytes;
    expect(Buffer.from(bundle).toString("latin1", 2)).toContain(left.entries[0]!);
    // Nobody has waited for the vault to take the last one.
    expect(opened.vault("main").all("SELECT count(*) AS n FROM opening")[0]!.n).toBeGreaterThanOrEqual(300);
    expect(opened.anchorer().all("SELECT count(*) AS n FROM anchor")[0]!.n).toBeGreaterThan(0);
    expect(existsSync(join(state, "storage"))).toBe(false);
    expect(existsSync(join(state, "storage.adopted/r2"))).toBe(true);
    for (const gone of ["adopting", "adopted"]) expect(existsSync(join(state, gone))).toBe(false);
  });

  test("goes on under the new runtime, and not under workerd any more", async () => {
    const state = await copyLeft();
    (await openState(state)).close();
    const again = await openState(state);
    expect(again.adoption).toBeUndefined();
    again.close();
    await expect(startEdge({ state })).rejects.toThrow(
      `exit code 2: npm start: the ledgers of ${state} are kept by Node, Deno or Bun`,
    );
  });

  test("is taken over to its end at the next opening, wherever the process ended after it was decided", async () => {
    const state = await copyLeft();
    (await openState(state)).close();
    const whole = listing(state);
    // As it is when it is decided, and then with more and more of it in its place.
    for (const moved of [[], ["vaults"], ["vaults", "archive", "ledgers"]]) {
      await mkdir(join(state, "adopted"));
      for (const name of ["ledgers", "vaults", "archive", "anchors", "anchors.sqlite"]) {
        if (!moved.includes(name)) await rename(join(state, name), join(state, "adopted", name));
      }
      await rename(join(state, "storage.adopted"), join(state, "storage"));
      await expect(openWorkerdState(state)).rejects.toThrow("are kept by Node, Deno or Bun");
      (await openState(state)).close();
      expect(listing(state)).toEqual(whole);
    }
  });

  test("is copied anew when the process ended before it was decided", async () => {
    const state = await copyLeft();
    await mkdir(join(state, "adopting/new/ledgers"), { recursive: true });
    await writeFile(join(state, "adopting/new/ledgers/main.sqlite"), "half");
    const opened = await openState(state);
    expect(opened.adoption?.ledgers).toEqual([{ name: "main", size: left.size + 1 }]);
    opened.close();
  });

  test.each<[string, (state: string) => unknown, RegExp]>([
    [
      "an object has a flipped bit",
      async state => {
        const { database, blobs } = bucketOf(state);
        const [row] = query(database, "SELECT blob_id FROM _mf_objects WHERE key = 'main/tile/entries/000'");
        const path = join(blobs, String(row!.blob_id));
        const bytes = readFileSync(path);
        bytes[1000]! ^= 1;
        await writeFile(path, bytes);
      },
      /the bytes of main\/tile\/entries\/000 are not those that were put there/,
    ],
    [
      "an object's file is gone",
      async state => {
        const { blobs } = bucketOf(state);
        await rm(join(blobs, readdirSync(blobs)[0]!));
      },
      /no such file/,
    ],
    [
      "a key leads elsewhere",
      state =>
        query(
          bucketOf(state).database,
          "UPDATE _mf_objects SET key = '../../x' WHERE key = 'main/tile/0/000'",
        ),
      /expected a path/,
    ],
    [
      "the checkpoint is gone",
      state => query(bucketOf(state).database, "DELETE FROM _mf_objects WHERE key = 'main/checkpoint'"),
      /the ledger main has \d+ entries, \d+ of them published, and a checkpoint of 0/,
    ],
    [
      "a ledger's name is not known",
      async state => {
        const folder = join(state, "storage/do/counterfoil-LedgerObject");
        const name = readdirSync(folder).find(name => /^[0-9a-f]{64}\.sqlite$/.test(name))!;
        await cp(join(folder, name), join(folder, `${"0".repeat(64)}.sqlite`));
      },
      /nothing tells its name/,
    ],
    [
      "a ledger's name leads elsewhere",
      async state => {
        const folder = join(state, "storage/do/counterfoil-LedgerObject");
        const name = readdirSync(folder).find(name => /^[0-9a-f]{64}\.sqlite$/.test(name))!;
        const elsewhere = "../../../../elsewhere";
        // What Miniflare and workerd make of it.
        const key = createHash("sha256").update("counterfoil-LedgerObject").digest();
        const hash = (data: string | Buffer) =>
          createHmac("sha256", key).update(data).digest().subarray(0, 16);
        const id = Buffer.concat([hash(elsewhere), hash(hash(elsewhere))]).toString("hex");
        await cp(join(folder, name), join(folder, `${id}.sqlite`));
        const alarms = "INSERT OR REPLACE INTO _cf_ALARM (actor_id, scheduled_time, actor_name)";
        query(join(folder, "metadata.sqlite"), `${alarms} VALUES ('${id}', 0, '${elsewhere}')`);
      },
      /expected a ledger's name, found "..\/..\/..\/..\/elsewhere"/,
    ],
    [
      "an object's file is elsewhere",
      async state => {
        const { database, blobs } = bucketOf(state);
        const [row] = query(database, "SELECT blob_id FROM _mf_objects WHERE key = 'main/tile/entries/000'");
        await rename(join(blobs, String(row!.blob_id)), join(state, "elsewhere"));
        const path = relative(blobs, join(state, "elsewhere"));
        query(database, `UPDATE _mf_objects SET blob_id = '${path}' WHERE key = 'main/tile/entries/000'`);
      },
      /main\/tile\/entries\/000 in a file of no name/,
    ],
    [
      "a ledger's file is damaged",
      async state => {
        const folder = join(state, "storage/do/counterfoil-LedgerObject");
        const name = readdirSync(folder).find(name => /^[0-9a-f]{64}\.sqlite$/.test(name))!;
        query(join(folder, name), "PRAGMA wal_checkpoint(TRUNCATE)");
        const bytes = readFileSync(join(folder, name));
        bytes.fill(0x55, 8192, 12_000);
        await writeFile(join(folder, name), bytes);
      },
      /damaged|malformed/,
    ],
    [
      "there are ledgers of another runtime",
      state => mkdir(join(state, "ledgers")),
      /ledgers of another runtime are beside it/,
    ],
  ])("is left as it is, all of it, when %s", async (_what, change, reason) => {
    const state = await copyLeft();
    await change(state);
    await expectRefusal(state, reason);
  });
});
