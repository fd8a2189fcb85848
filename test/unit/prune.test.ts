// What leaves the ledger's storage once it is published, and what must go on working without it.
import { beforeEach, describe, expect, it } from "vitest";
import { PLACE_RETENTION_MS } from "../../durable/ledger.ts";
import type { Sql } from "../../durable/sql.ts";
import { Store } from "../../durable/store.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { makeJti } from "../../src/receipt/jti.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { Fault } from "../../src/tlog/fault.ts";
import { parseNote } from "../../src/tlog/note.ts";
import { mth } from "../reference/rfc6962.ts";
import { createWorld, ISSUER, LEDGER, MemoryArchive, ORIGIN, START_MS, type World } from "../world.ts";

const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;

let sql: Sql;
let archive: DistantArchive;
let world: World;

beforeEach(async () => {
  sql = openSqlite(":memory:");
  archive = new DistantArchive();
  world = await createWorld({ sql, archive });
});

/** An archive that can be told to be out of reach, to lose answers, and to let something come in between. */
class DistantArchive extends MemoryArchive {
  /** Whether it can be read. */
  reachable = true;
  /** What was read of it. */
  reads: string[] = [];
  /** Whether the answers to deletions get lost. */
  deaf = false;
  /** What happens right after the next write, before its answer. */
  meanwhile: (() => Promise<void>) | undefined;

  override async get(key: string) {
    if (!this.reachable) throw new Error("the archive is out of reach");
    this.reads.push(key);
    return super.get(key);
  }

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    const put = await super.putIfAbsent(key, bytes);
    const { meanwhile } = this;
    this.meanwhile = undefined;
    await meanwhile?.();
    return put;
  }

  override async delete(keys: readonly string[]): Promise<void> {
    await super.delete(keys);
    if (this.deaf) throw new Error("no answer");
  }
}

/** The id of the n-th exchange that began at a time. */
function jti(n: number, began = START_MS): string {
  return makeJti(
    began,
    new Uint8Array(16).map((_, i) => Math.floor(n / 256 ** (15 - i)) % 256),
  );
}

function record(n: number, began = START_MS, more: object = {}): string {
  const time = new Date(began).toISOString();
  return JSON.stringify({ iss: ISSUER, jti: jti(n, began), iat: 1, time, stage: "complete", ...more });
}

function records(from: number, to: number, began = START_MS): string[] {
  return Array.from({ length: to - from }, (_, i) => record(from + i, began));
}

/** Lets the ledger take records until it has `size` entries. Entry n is of exchange n, entry 0 is its genesis. */
async function growTo(size: number): Promise<Placement[]> {
  const from = Math.max(world.ledger.store.head().frontier.size, 1);
  return world.ledger.append(records(from, size));
}

async function publishAndPrune(): Promise<void> {
  await world.publish();
  world.ledger.prune();
}

function count(table: string): number {
  return sql.all(`SELECT count(*) AS n FROM ${table}`)[0]!.n as number;
}

function indexesKept(): number[] {
  return sql.all("SELECT idx FROM entry ORDER BY idx").map(({ idx }) => idx as number);
}

function partials(): string[] {
  return [...archive.objects.keys()]
    .filter(key => key.includes(".p/"))
    .map(key => key.slice(`${LEDGER}/tile/`.length))
    .sort();
}

/** Recomputes everything that is published from the entry bundles alone. */
async function checkPublished(size: number): Promise<void> {
  const entries: Buffer[] = [];
  for (let n = 0; entries.length < size; n++) {
    const width = Math.min(256, size - n * 256);
    const path = `entries/${String(n).padStart(3, "0")}${width < 256 ? `.p/${width}` : ""}`;
    const bundle = Buffer.from(archive.objects.get(`${LEDGER}/tile/${path}`)!);
    for (let at = 0; at < bundle.length; ) {
      const end = at + 2 + bundle.readUInt16BE(at);
      entries.push(bundle.subarray(at + 2, end));
      at = end;
    }
  }
  const note = new TextDecoder().decode(archive.objects.get(`${LEDGER}/checkpoint`));
  const checkpoint = parseCheckpoint(parseNote(note).text);
  expect(checkpoint.size).toBe(size);
  expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(mth(entries)));
}

describe("what leaves storage", () => {
  it("gives out no entry that somebody has put into the archive in the place of one", async () => {
    await growTo(300);
    await publishAndPrune();
    expect(indexesKept()[0]).toBe(256);
    const key = `${LEDGER}/tile/entries/000`;
    const altered = archive.objects.get(key)!.slice();
    altered[altered.length - 300]! ^= 1;
    archive.set(key, altered);
    await expect(world.ledger.find(jti(255))).rejects.toMatchObject({ code: "tampered", index: 255 });
    expect(await world.ledger.find(jti(3))).toHaveLength(1);
  });

  it("is nothing before it is published", async () => {
    await growTo(600);
    world.ledger.prune();
    expect(indexesKept()).toHaveLength(600);
  });

  it.each([
    [1, 0],
    [255, 0],
    [256, 256],
    [257, 256],
    [600, 512],
  ])("is, of %i published entries, the first %i: those in full bundles", async (published, gone) => {
    await growTo(published);
    await publishAndPrune();
    await growTo(published + 50);
    world.ledger.prune();
    expect(indexesKept()).toEqual(Array.from({ length: published + 50 - gone }, (_, i) => gone + i));
  });

  it("is let go in passes, so that no transaction grows without bound, and says when there is more", async () => {
    await growTo(901);
    for (let from = 901; from < 12_001; from += 1000) await growTo(Math.min(from + 1000, 12_001));
    await world.publish();
    expect(world.ledger.prune()).toBe(true);
    expect(indexesKept().length).toBe(2001);
    expect(world.ledger.prune()).toBe(false);
    expect(indexesKept()).toEqual(
      Array.from({ length: 12_001 % 256 }, (_, i) => 12_001 - (12_001 % 256) + i),
    );
  });

  it("includes the hashes of full tiles of higher levels, and no others", () => {
    const store = new Store(sql, ORIGIN);
    const hash = new Uint8Array(32);
    // The nodes of a tree of 600 full tiles: 600 hashes of level 1 make two full tiles of level 1.
    for (let n = 0; n < 600; n++) store.addNode(1, n, hash);
    for (let n = 0; n < 2; n++) store.addNode(2, n, hash);
    store.movePublished(512 * 256 - 1);
    store.prune(0);
    expect(sql.all("SELECT min(n) AS n FROM node WHERE level = 1")[0]).toEqual({ n: 256 });
    store.movePublished(600 * 256 + 17);
    store.prune(0);
    expect(sql.all("SELECT level, min(n) AS n, count(*) AS of FROM node GROUP BY level")).toEqual([
      { level: 1, n: 512, of: 88 },
      { level: 2, n: 0, of: 2 },
    ]);
  });

  it("leaves the ledger the same: tree, chain and archive go on as if all were there", async () => {
    const whole = await createWorld();
    for (const size of [200, 300, 600, 768, 800, 801]) {
      await growTo(size);
      await publishAndPrune();
      await checkPublished(size);
    }
    await whole.ledger.append(records(1, 801));
    expect(world.ledger.store.head()).toEqual(whole.ledger.store.head());
    world = await createWorld({ sql, archive });
    await growTo(1100);
    await publishAndPrune();
    await checkPublished(1100);
  });

  it("can leave it under a publication that is still going on, which then only has to be repeated", async () => {
    await growTo(600);
    const other = await createWorld({ sql, archive });
    archive.meanwhile = async () => {
      await other.ledger.append(records(600, 900));
      await other.publish();
      other.ledger.prune();
    };
    const failed = await world.publish().catch((error: Error) => error);
    expect(failed).toMatchObject({ message: "ledger: tile/entries/001 needs 256 rows, storage has 0" });
    expect(failed).not.toBeInstanceOf(Fault);
    world = await createWorld({ sql, archive });
    await growTo(950);
    await publishAndPrune();
    await checkPublished(950);
  });
});

describe("an entry that only the archive has", () => {
  beforeEach(async () => {
    await growTo(600);
    await publishAndPrune();
    expect(indexesKept()[0]).toBe(512);
  });

  it("is found by its exchange, byte for byte", async () => {
    const whole = await createWorld();
    await whole.ledger.append(records(1, 600));
    for (const n of [1, 255, 256, 511, 512, 599]) {
      expect(await world.ledger.find(jti(n))).toEqual(await whole.ledger.find(jti(n)));
    }
  });

  it("is found with the stages of its exchange that storage has, in the order of the ledger", async () => {
    await world.ledger.append([record(7, START_MS, { stage: "interim", seq: 1 })]);
    const found = await world.ledger.find(jti(7));
    expect(
      found.map(text => JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString()).stage),
    ).toEqual(["complete", "interim"]);
  });

  it("gives its record the same place again, also after a restart and beside new ones", async () => {
    const whole = await createWorld();
    const first = await whole.ledger.append(records(1, 600));
    for (const ledger of [world.ledger, (await createWorld({ sql, archive })).ledger]) {
      const again = await ledger.append([record(7), record(511), record(512)]);
      expect(again).toEqual([first[6], first[510], first[511]]);
    }
    const mixed = await world.ledger.append([record(7), record(600), record(8)]);
    expect(mixed).toEqual([first[6], expect.objectContaining({ index: 600 }), first[7]]);
  });

  it("keeps its name: another record under it is refused", async () => {
    const [other] = await world.ledger.append([record(7, START_MS, { ms: 5 })]);
    expect(other).toMatchObject({ refused: "conflict", reason: expect.stringContaining("index 7") });
    expect(world.ledger.store.head().frontier.size).toBe(600);
  });

  it("is asked for again while the archive is out of reach, which holds up no others, and has its place then", async () => {
    archive.reachable = false;
    expect(await world.ledger.append([record(7), record(600)])).toMatchObject([
      { refused: "busy", reason: expect.stringContaining("cannot be read") },
      { index: 600 },
    ]);
    await expect(world.ledger.find(jti(7))).rejects.toThrow("out of reach");
    archive.reachable = true;
    expect(await world.ledger.append([record(7), record(600)])).toMatchObject([{ index: 7 }, { index: 600 }]);
  });

  it("shares one read of its bundle with the others of that bundle that are asked for meanwhile", async () => {
    archive.reads = [];
    const old = records(1, 512);
    const placements = await Promise.all([world.ledger.append(old), world.ledger.append(old)]);
    for (const found of placements) expect(found).toMatchObject(old.map((_, i) => ({ index: i + 1 })));
    expect(await world.ledger.find(jti(300))).toHaveLength(1);
    const [first, second] = [0, 1].map(n => `${LEDGER}/tile/entries/00${n}`);
    expect(archive.reads).toEqual([first, second, second]);
  });

  it("is named when its bundle is gone from the archive", async () => {
    await archive.delete([`${LEDGER}/tile/entries/000`]);
    const missing = { code: "missing", message: expect.stringContaining("tile/entries/000") };
    await expect(world.ledger.find(jti(7))).rejects.toMatchObject(missing);
  });
});

describe("the places of exchanges", () => {
  it("are let go when the exchange began longer ago than they are kept", async () => {
    await growTo(300);
    await publishAndPrune();
    world.tick(PLACE_RETENTION_MS);
    await world.ledger.append([record(300, START_MS + PLACE_RETENTION_MS)]);
    world.ledger.prune();
    expect(count("place")).toBe(301);
    world.tick(1);
    await world.ledger.append([record(301, START_MS + PLACE_RETENTION_MS)]);
    world.ledger.prune();
    expect(count("place")).toBe(2);
    expect(await world.ledger.find(jti(7))).toEqual([]);
    expect(await world.ledger.find(jti(300, START_MS + PLACE_RETENTION_MS))).toHaveLength(1);
  });

  it("are let go in passes, too, until there are no more", async () => {
    for (let size = 1001; size <= 11_001; size += 1000) await growTo(size);
    world.tick(PLACE_RETENTION_MS + 1);
    await world.ledger.append([record(0, START_MS + PLACE_RETENTION_MS)]);
    const before = count("place");
    expect(world.ledger.prune()).toBe(true);
    expect(count("place")).toBe(before - 10_000);
    expect(world.ledger.prune()).toBe(false);
    expect(count("place")).toBe(1);
  });

  it("let go are never given out a second time: a record of such an exchange is refused", async () => {
    await growTo(300);
    await publishAndPrune();
    world.tick(PLACE_RETENTION_MS + 1);
    await world.ledger.append([record(300, START_MS + PLACE_RETENTION_MS)]);
    world.ledger.prune();
    const { size } = world.ledger.store.head().frontier;
    const [known, never] = await world.ledger.append([record(7), record(7777)]);
    const stale = {
      refused: "stale",
      reason: "the exchange began longer ago than the ledger remembers exchanges",
    };
    expect([known, never]).toEqual([stale, stale]);
    expect(world.ledger.store.head().frontier.size).toBe(size);
  });

  it("are not let go because the clock jumped ahead for a while", async () => {
    await growTo(300);
    await world.publish();
    world.tick(2 * PLACE_RETENTION_MS);
    world.ledger.prune();
    world.tick(-2 * PLACE_RETENTION_MS);
    expect(await world.ledger.append([record(7), record(7777)])).toMatchObject([
      { index: 7 },
      { index: 300 },
    ]);
  });

  it("are kept to the last millisecond of their time", async () => {
    await growTo(2);
    world.tick(PLACE_RETENTION_MS);
    world.ledger.prune();
    const [known, late] = await world.ledger.append([record(1), record(2)]);
    expect([known, late]).toMatchObject([{ index: 1 }, { index: 2 }]);
    world.tick(1);
    expect(await world.ledger.append([record(3)])).toMatchObject([{ refused: "stale" }]);
  });

  it("are refused to exchanges that began more than an hour after the ledger's now", async () => {
    const [soon, later] = await world.ledger.append([
      record(1, START_MS + HOUR_MS),
      record(2, START_MS + HOUR_MS + 1),
    ]);
    expect(soon).toMatchObject({ index: 1 });
    expect(later).toMatchObject({
      refused: "malformed",
      reason: expect.stringContaining("ahead of the ledger"),
    });
  });

  it.each([
    ["is no UUID", "order-7"],
    ["is a UUID of another version", "9a1fc8e0-3c69-4abc-8def-0123456789ab"],
    ["is in upper case", "01A1FC8E-3C69-7ABC-8DEF-0123456789AB"],
  ])("are refused to a record whose id %s", async (_what, id) => {
    const text = record(1, START_MS, { jti: id });
    const malformed = { refused: "malformed", reason: expect.stringContaining("UUIDv7") };
    expect(await world.ledger.append([text])).toEqual([malformed]);
  });
});

describe("a partial tile", () => {
  it("stays until one publication after the one that wrote its full tile", async () => {
    await growTo(3);
    await publishAndPrune();
    expect(partials()).toEqual(["0/000.p/3", "entries/000.p/3"]);
    await growTo(200);
    await publishAndPrune();
    await growTo(256);
    await publishAndPrune();
    expect(archive.objects.has(`${LEDGER}/tile/0/000`)).toBe(true);
    const first = ["0/000.p/200", "0/000.p/3", "entries/000.p/200", "entries/000.p/3"];
    expect(partials()).toEqual([...first.slice(0, 2), "1/000.p/1", ...first.slice(2)]);
    await growTo(257);
    await publishAndPrune();
    expect(partials()).toEqual(["0/001.p/1", "1/000.p/1", "entries/001.p/1"]);
  });

  it("of a higher level outlives the tiles below it", async () => {
    for (const size of [256, 512, 600, 601]) {
      await growTo(size);
      await publishAndPrune();
    }
    expect(partials().filter(path => path.startsWith("1/"))).toEqual(["1/000.p/1", "1/000.p/2"]);
  });

  it("is deleted again when the answer to the deletion got lost, and does no harm meanwhile", async () => {
    await growTo(3);
    await publishAndPrune();
    await growTo(300);
    await publishAndPrune();
    archive.deaf = true;
    await growTo(301);
    await expect(world.publish()).rejects.toThrow("no answer");
    expect(world.ledger.store.published()).toBe(301);
    expect(count("partial")).toBeGreaterThan(4);
    archive.deaf = false;
    await growTo(302);
    await publishAndPrune();
    expect(partials()).not.toContain("0/000.p/3");
    expect(sql.all("SELECT DISTINCT n FROM partial WHERE level = '0'")).toEqual([{ n: 1 }]);
    await checkPublished(302);
  });

  it("that was written by a publication that was cut off is deleted in its turn", async () => {
    await growTo(3);
    archive.meanwhile = () => Promise.reject(new Error("no answer"));
    await expect(world.publish()).rejects.toThrow("no answer");
    expect(partials()).toEqual(["entries/000.p/3"]);
    for (const size of [256, 257]) {
      await growTo(size);
      await publishAndPrune();
    }
    expect(partials()).not.toContain("entries/000.p/3");
  });
});

describe("storage", () => {
  it("keeps no more rows of what is published, however much that is, but for places", async () => {
    const rows: number[] = [];
    for (let size = 500; size <= 10_000; size += 500) {
      await growTo(size);
      await publishAndPrune();
      rows.push(count("entry") + count("node") + count("partial"));
    }
    // A bundle's rest of entries, one hash for each full tile of level 1's rest, and the partial tiles of it.
    expect(Math.max(...rows)).toBeLessThan(256 + 256 + 128);
    expect(count("place")).toBe(10_000);
    world.tick(PLACE_RETENTION_MS + DAY_MS);
    await world.ledger.append([record(1, START_MS + PLACE_RETENTION_MS)]);
    world.ledger.prune();
    expect(count("place")).toBe(1);
  });
});
