import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatTilePath,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tileAt,
  tileHashes,
  tilesBetween,
} from "../../../src/tlog/tile.ts";
import { faultOf, seeded } from "./samples.ts";

const paths: [string, Tile][] = [
  ["tile/0/000", { level: 0, n: 0, width: 256 }],
  ["tile/0/000.p/1", { level: 0, n: 0, width: 1 }],
  ["tile/1/999.p/255", { level: 1, n: 999, width: 255 }],
  ["tile/0/x001/000", { level: 0, n: 1000, width: 256 }],
  ["tile/0/x001/x234/067", { level: 0, n: 1234067, width: 256 }],
  ["tile/0/x001/x234/067.p/17", { level: 0, n: 1234067, width: 17 }],
  ["tile/63/x100/000", { level: 63, n: 100_000, width: 256 }],
  ["tile/entries/005.p/9", { level: "entries", n: 5, width: 9 }],
  ["tile/entries/x009/x007/x199/x254/x740/991", { level: "entries", n: Number.MAX_SAFE_INTEGER, width: 256 }],
];

describe("tile paths", () => {
  test.each(paths)("%s is the path of its tile, both ways", (path, tile) => {
    expect(formatTilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  test("every tile has one path, which is read back as that tile", () => {
    const tiles = fc.record({
      level: fc.oneof(fc.constant("entries" as const), fc.integer({ min: 0, max: 63 })),
      n: fc.oneof(fc.maxSafeNat(), fc.nat({ max: 2_000_000 })),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(tiles, tile => {
        expect(parseTilePath(formatTilePath(tile))).toEqual(tile);
      }),
      seeded,
    );
  });

  test.each([
    "",
    "tile",
    "tile/0",
    "tile/0/",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/x000",
    "tile/0/001/000",
    "tile/0/x001/x000",
    "tile/0/x000/000",
    "tile/0/x000/001",
    "tile/0/x000/x001/000",
    "tile/0/X001/000",
    "tile/00/000",
    "tile/01/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/data/000",
    "tile/entries",
    "/tile/0/000",
    "tile/0/000/",
    " tile/0/000",
    "tile/0/000 ",
    "tile/0/000\n",
    "tile//000",
    "tile/0/000.p",
    "tile/0/000.p/",
    "tile/0/000.p/0",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/257",
    "tile/0/000.p/1000",
    "tile/0/000.p/-1",
    "tile/0/000.p/1.p/1",
    "tile/0/٠٠٠",
    "tile/0/x009/x007/x199/x254/x740/992",
    "tile/0/x999/x999/x999/x999/x999/x999/999",
    `tile/0/${"x001/".repeat(100)}000`,
  ])("%j is not a tile path", path => {
    expect(faultOf(() => parseTilePath(path)).code).toBe("malformed");
  });

  test("what is no tile has no path", () => {
    const tile: Tile = { level: 0, n: 0, width: 256 };
    for (const level of [-1, 64, 0.5, Number.NaN]) {
      expect(faultOf(() => formatTilePath({ ...tile, level })).code).toBe("malformed");
    }
    for (const n of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(faultOf(() => formatTilePath({ ...tile, n })).code).toBe("malformed");
    }
    for (const width of [0, -1, 257, 0.5, Number.NaN]) {
      expect(faultOf(() => formatTilePath({ ...tile, width })).code).toBe("malformed");
    }
  });
});

describe("tiles of a tree", () => {
  test("the tree of 70,000 entries has the tiles that tlog-tiles lists for it", () => {
    const tiles = [...tilesBetween(0, 70_000)];
    const count = (level: Tile["level"], width: number) =>
      tiles.filter(tile => tile.level === level && tile.width === width).length;
    expect([count("entries", 256), count("entries", 112)]).toEqual([273, 1]);
    expect([count(0, 256), count(0, 112)]).toEqual([273, 1]);
    expect([count(1, 256), count(1, 17)]).toEqual([1, 1]);
    expect(count(2, 1)).toBe(1);
    expect(tiles).toHaveLength(551);
  });

  test("a tree of 256 entries has a full tile and a partial one above it", () => {
    expect([...tilesBetween(0, 256)].map(formatTilePath)).toEqual([
      "tile/entries/000",
      "tile/0/000",
      "tile/1/000.p/1",
    ]);
  });

  test("a tile has the width of its tree, and is not there when the tree ends before it", () => {
    expect(tileAt(0, 273, 70_000)).toEqual({ level: 0, n: 273, width: 112 });
    expect(tileAt(0, 272, 70_000)).toEqual({ level: 0, n: 272, width: 256 });
    expect(tileAt("entries", 273, 70_000)).toEqual({ level: "entries", n: 273, width: 112 });
    expect(tileAt(1, 1, 70_000)).toEqual({ level: 1, n: 1, width: 17 });
    expect(tileAt(0, 274, 70_000)).toBeUndefined();
    expect(tileAt(3, 0, 70_000)).toBeUndefined();
    expect(tileAt(0, 0, 0)).toBeUndefined();
    expect(tileAt(0, -1, 70_000)).toBeUndefined();
    expect(tileAt(0, 2 ** 32, 2 ** 40 + 1)).toEqual({ level: 0, n: 2 ** 32, width: 1 });
  });

  test("going from one tree to a larger one writes exactly the tiles that are new, full ones first", () => {
    const sizes = fc.oneof(fc.nat({ max: 3000 }), fc.nat({ max: 2 ** 17 }));
    fc.assert(
      fc.property(sizes, fc.nat({ max: 3000 }), (oldSize, growth) => {
        const newSize = oldSize + growth;
        const pathsOf = (size: number) => new Set([...allTiles(size)].map(formatTilePath));
        const [before, after] = [pathsOf(oldSize), pathsOf(newSize)];
        const tiles = [...tilesBetween(oldSize, newSize)];
        const written = tiles.map(formatTilePath);
        expect(written.toSorted()).toEqual([...after].filter(path => !before.has(path)).toSorted());
        const fulls = tiles.map(({ width }) => width === TILE_WIDTH);
        expect(fulls).toEqual(fulls.toSorted((a, b) => Number(b) - Number(a)));
      }),
      { ...seeded, numRuns: 60 },
    );
  });

  test("the way to a huge tree is listed as far as it is walked", () => {
    const [first, second] = tilesBetween(2 ** 40, 2 ** 53 - 1);
    expect([first, second].map(tile => formatTilePath(tile!))).toEqual([
      "tile/entries/x004/x294/x967/296",
      "tile/entries/x004/x294/x967/297",
    ]);
    expect([...tilesBetween(2 ** 53 - 2, 2 ** 53 - 1)].map(formatTilePath)).toEqual([
      "tile/entries/x035/x184/x372/x088/831.p/255",
      "tile/0/x035/x184/x372/x088/831.p/255",
    ]);
  });

  test("a tree does not shrink, and its sizes are counts", () => {
    const next = (oldSize: number, newSize: number) => tilesBetween(oldSize, newSize).next();
    expect(faultOf(() => next(2, 1)).code).toBe("malformed");
    expect(faultOf(() => next(-1, 1)).code).toBe("malformed");
    expect(faultOf(() => next(0, 2 ** 53)).code).toBe("malformed");
    expect(next(5, 5).done).toBe(true);
  });
});

describe("tile bytes", () => {
  test("a tile is split into its hashes, in order", () => {
    const data = Uint8Array.from({ length: 96 }, (_, i) => i);
    const hashes = tileHashes({ level: 0, n: 0, width: 3 }, data);
    expect(hashes.map(hash => [hash.length, hash[0]])).toEqual([
      [32, 0],
      [32, 32],
      [32, 64],
    ]);
  });

  test("a tile of another length is malformed, and the Fault names it", () => {
    for (const length of [0, 95, 97, 64, 8192]) {
      const fault = faultOf(() => tileHashes({ level: 2, n: 7, width: 3 }, new Uint8Array(length)));
      expect(fault.code).toBe("malformed");
      expect(fault.message).toContain("tile/2/007.p/3");
    }
  });
});

/** Every tile of a tree, by the definition in tlog-tiles. */
function* allTiles(size: number): Generator<Tile> {
  const levels = [
    ["entries", size] as const,
    ...[0, 1, 2, 3].map(l => [l, Math.floor(size / 256 ** l)] as const),
  ];
  for (const [level, count] of levels) {
    for (let start = 0; start < count; start += 256) {
      yield { level, n: start / 256, width: Math.min(256, count - start) };
    }
  }
}
