import { describe, expect, it } from "vitest";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { parseNote } from "../../src/tlog/note.ts";
import { bundle, tileBytes, tilesOfTree } from "../reference/note.ts";
import { leafHash, mth } from "../reference/rfc6962.ts";
import { createWorld, LEDGER, MemoryArchive, type World } from "../world.ts";

async function grow(world: World, count: number): Promise<void> {
  if (count === 0) await world.append();
  for (let left = count; left > 0; left -= 500) {
    await world.append(...Array.from({ length: Math.min(left, 500) }, () => ({})));
  }
}

function entries(world: World): Uint8Array[] {
  return world.ledger.store.entries(0, 1e9).map(({ text }) => new TextEncoder().encode(text));
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

function listing(world: World): string[] {
  return [...world.archive.objects].map(([key, bytes]) => `${key} ${hex(bytes)}`).sort();
}

describe("publishing", () => {
  it.each([1, 255, 256, 257, 600])(
    "writes exactly the tiles of a tree of %i, as the reference makes them",
    async size => {
      const world = await createWorld();
      // The ledger's own genesis record is entry 0.
      await grow(world, size - 1);
      expect(await world.publish()).toBe(size);
      const all = entries(world);
      const leaves = all.map(leafHash);
      const paths = tilesOfTree(size).map(path => `${LEDGER}/${path}`);
      expect([...world.archive.objects.keys()].sort()).toEqual([...paths, `${LEDGER}/checkpoint`].sort());
      for (const path of tilesOfTree(size)) {
        const [, level, rest] = /^tile\/(entries|\d+)\/(.*)$/.exec(path)!;
        const width = Number(/\.p\/(\d+)$/.exec(rest!)?.[1] ?? 256);
        const n = Number(rest!.replace(/\.p\/\d+$/, "").replace(/[x/]/g, ""));
        const expected =
          level === "entries"
            ? bundle(all.slice(n * 256, n * 256 + width))
            : tileBytes(leaves, Number(level), n, width);
        expect(hex(world.archive.objects.get(`${LEDGER}/${path}`)), path).toBe(hex(expected));
      }
      const note = new TextDecoder().decode(world.archive.objects.get(`${LEDGER}/checkpoint`));
      const { root } = parseCheckpoint(parseNote(note).text);
      expect(hex(root)).toBe(hex(mth(all)));
    },
  );

  it("continues where it stopped, and rewrites nothing", async () => {
    const world = await createWorld();
    await grow(world, 300);
    await world.publish();
    const before = new Map(world.archive.objects);
    await grow(world, 300);
    await world.publish();
    for (const [key, bytes] of before) {
      if (!key.endsWith("/checkpoint")) expect(world.archive.objects.get(key)).toBe(bytes);
    }
  });

  it("gets there in steps when there is very much, each of them a tree of its own", async () => {
    const world = await createWorld();
    await grow(world, 1399);
    const all = entries(world);
    for (const size of [300, 600, 900, 1200, 1400]) {
      expect(await world.publish(300)).toBe(size);
      const note = new TextDecoder().decode(world.archive.objects.get(`${LEDGER}/checkpoint`));
      const { root } = parseCheckpoint(parseNote(note).text);
      expect(hex(root)).toBe(hex(mth(all.slice(0, size))));
      for (const path of tilesOfTree(size)) expect(world.archive.objects.has(`${LEDGER}/${path}`)).toBe(true);
      world.ledger.prune();
      await world.anchor();
    }
    expect(world.anchorTroubles()).toEqual([]);
    expect(await world.publish(300)).toBe(1400);
  });

  it("never goes back to a smaller step when it has forgotten how far it was", async () => {
    const sql = openSqlite(":memory:");
    const world = await createWorld({ sql });
    await grow(world, 999);
    await world.publish(700);
    sql.all("UPDATE head SET published = 0");
    expect(await world.publish(200)).toBe(900);
    expect(await world.publish(200)).toBe(1000);
  });

  it("replays the same bytes after it was cut off anywhere", async () => {
    const whole = await createWorld();
    await grow(whole, 300);
    await whole.publish();
    for (let failing = 0; failing < whole.archive.objects.size; failing++) {
      let left = failing;
      class Flaky extends MemoryArchive {
        override async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
          // Fails once, every other time after the write was applied.
          const applied = left % 2 === 0 ? await super.putIfAbsent(key, bytes) : undefined;
          if (left-- === 0) throw new Error("the archive is out of reach");
          return applied ?? super.putIfAbsent(key, bytes);
        }
      }
      const world = await createWorld({ archive: new Flaky() });
      await grow(world, 300);
      await world.publish().catch(error => expect(error.message).toContain("out of reach"));
      await world.publish();
      expect(listing(world)).toEqual(listing(whole));
    }
  });

  it("never overwrites an object that holds other bytes, and then publishes no checkpoint", async () => {
    const world = await createWorld();
    await grow(world, 2);
    const other = new Uint8Array([1, 2, 3]);
    world.archive.set(`${LEDGER}/tile/0/000.p/3`, other);
    await expect(world.publish()).rejects.toThrow(`${LEDGER}/tile/0/000.p/3 already holds other bytes`);
    expect(world.archive.objects.get(`${LEDGER}/tile/0/000.p/3`)).toBe(other);
    expect(world.archive.objects.has(`${LEDGER}/checkpoint`)).toBe(false);
  });

  it("puts no checkpoint over one that its tree does not continue, nor any tile beside it", async () => {
    // A first ledger of this name, on storage of its own, and a second, both new when they looked at the archive.
    const [first, second] = [await createWorld(), await createWorld()];
    await grow(first, 4);
    await grow(second, 3);
    await second.append({ ms: 99 }, {}, {});
    await first.publish();
    for (const [key, bytes] of first.archive.objects) second.archive.set(key, bytes);
    const before = listing(second);
    await expect(second.publish()).rejects.toMatchObject({ code: "forked" });
    expect(listing(second)).toEqual(before);
  });

  it("goes on from a checkpoint of its own tree that storage has no note of", async () => {
    class Deaf extends MemoryArchive {
      deaf = false;
      override async replace(key: string, bytes: Uint8Array, version: string): Promise<boolean> {
        const put = await super.replace(key, bytes, version);
        if (this.deaf) throw new Error("no answer");
        return put;
      }
    }
    const archive = new Deaf();
    const world = await createWorld({ archive });
    await grow(world, 300);
    await world.publish();
    world.ledger.prune();
    await grow(world, 300);
    archive.deaf = true;
    await expect(world.publish()).rejects.toThrow("no answer");
    expect(world.ledger.store.published()).toBe(301);
    await grow(world, 300);
    archive.deaf = false;
    expect(await world.publish()).toBe(901);
  });

  it("publishes nothing while the archive is older than what was published already", async () => {
    const world = await createWorld();
    await grow(world, 2);
    await world.publish();
    const old = new Map(world.archive.objects);
    await grow(world, 300);
    await world.publish();
    world.archive.objects.clear();
    for (const [key, bytes] of old) world.archive.set(key, bytes);
    await grow(world, 2);
    await expect(world.publish()).rejects.toMatchObject({
      code: "rolled-back",
      message: expect.stringContaining("the archive is older than what storage has published"),
    });
    world.archive.objects.clear();
    await expect(world.publish()).rejects.toMatchObject({ code: "missing" });
    expect(world.archive.objects.size).toBe(0);
  });
});
