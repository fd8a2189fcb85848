// Where the hashes and entries of a log are stored (C2SP tlog-tiles, text of 2026-02-05): in tiles of up to
// 256, each at the one path that its level, position and width give it. A full tile never changes; the
// partial tile at the right edge of a tree belongs to trees of that size only.
import { isCount, requireCount } from "./decimal.ts";
import { Fault } from "./fault.ts";
import { HASH_BYTES, type Hash } from "./hash.ts";

/** How many hashes, or entries, a full tile holds. */
export const TILE_WIDTH = 256;

/** The highest level that a tile path can name. */
const MAX_LEVEL = 63;

/**
 * A tile: `width` (1 to 256) consecutive hashes at `level`, or, at level "entries", that many entries.
 * The hash at position i of tile n at level l is the root of entries [(256n + i) * 256^l, + 256^l).
 */
export interface Tile {
  readonly level: number | "entries";
  readonly n: number;
  readonly width: number;
}

/**
 * The path of a tile below its log's prefix, e.g. `tile/0/x001/234/067.p/17`.
 * @throws Fault `malformed` when there can be no such tile.
 * @example
 * import { formatTilePath, parseTilePath } from "counterfoil/tlog";
 *
 * const path = formatTilePath({ level: 0, n: 1234067, width: 17 });
 * console.log(path, parseTilePath(path).n); // tile/0/x001/x234/067.p/17 1234067
 */
export function formatTilePath(tile: Tile): string {
  requireTile(tile);
  const digits = String(tile.n);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const position = padded.replace(/[0-9]{3}(?=[0-9])/g, "x$&/");
  const suffix = tile.width === TILE_WIDTH ? "" : `.p/${tile.width}`;
  return `tile/${tile.level}/${position}${suffix}`;
}

/**
 * Reads the path of a tile.
 * @throws Fault `malformed` unless `path` is exactly what `formatTilePath` writes for some tile.
 */
export function parseTilePath(path: string): Tile {
  const match = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(
    path,
  );
  if (match !== null) {
    const [, level, n, width] = match as unknown as [string, string, string, string | undefined];
    const tile: Tile = {
      level: level === "entries" ? level : Number(level),
      n: Number(n.replace(/[x/]/g, "")),
      width: width === undefined ? TILE_WIDTH : Number(width),
    };
    // One path for each tile: this turns away leading zeroes, and a full tile dressed as a partial one.
    if (formatTilePath(tile) === path) return tile;
  }
  throw new Fault("malformed", "tile path: not the path of a tile", {
    expected: "tile/<level>/<x...position>[.p/<width>]",
    found: path,
  });
}

/**
 * Splits a tile into its hashes. They are views of `data`.
 * @throws Fault `malformed`, naming the tile, unless `data` is exactly as long as the tile is wide.
 * @example
 * import { leafHash, tileAt, tileHashes } from "counterfoil/tlog";
 *
 * const [a, b] = ["a", "b"].map(text => leafHash(new TextEncoder().encode(text)));
 * const hashes = tileHashes(tileAt(0, 0, 2), new Uint8Array([...a, ...b]));
 * console.log(hashes.length); // 2
 */
export function tileHashes(tile: Tile, data: Uint8Array): Hash[] {
  if (data.length !== tile.width * HASH_BYTES) {
    throw new Fault("malformed", `${formatTilePath(tile)}: not ${tile.width} hashes`, {
      expected: `${tile.width * HASH_BYTES} bytes`,
      found: `${data.length} bytes`,
    });
  }
  return Array.from({ length: tile.width }, (_, i) => data.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/**
 * The tile at a place, with the width that it has in the tree of `size` entries; undefined when that tree
 * has no tile there.
 * @example
 * import { formatTilePath, tileAt } from "counterfoil/tlog";
 *
 * console.log(formatTilePath(tileAt("entries", 1, 300))); // tile/entries/001.p/44
 * console.log(tileAt(1, 1, 300) === undefined); // true
 */
export function tileAt(level: Tile["level"], n: number, size: number): Tile | undefined {
  const width = Math.min(TILE_WIDTH, countAt(level, size) - n * TILE_WIDTH);
  return n >= 0 && width > 0 ? { level, n, width } : undefined;
}

/**
 * Every tile of the tree of `newSize` that the tree of `oldSize` did not have with the same width: what
 * a publisher must write to go from one to the other. Full tiles come before partial ones, and entries
 * before the hashes over them. Lazy, because the way from 0 to a large tree is long.
 * @throws Fault `malformed` when a size is not a count or the new one is smaller than the old.
 * @example
 * import { formatTilePath, tilesBetween } from "counterfoil/tlog";
 *
 * const paths = [...tilesBetween(255, 257)].map(formatTilePath);
 * console.log(paths.join(" ")); // tile/entries/000 tile/0/000 tile/entries/001.p/1 tile/0/001.p/1 tile/1/000.p/1
 */
export function* tilesBetween(oldSize: number, newSize: number): Generator<Tile, void, undefined> {
  requireCount(oldSize, "old tree size");
  requireCount(newSize, "new tree size");
  if (newSize < oldSize) {
    throw new Fault("malformed", "tree sizes: the new tree is smaller than the old one", {
      expected: `at least ${oldSize}`,
      found: String(newSize),
    });
  }
  const levels: Tile["level"][] = ["entries"];
  for (let level = 0; countAt(level, newSize) > 0; level++) levels.push(level);
  for (const level of levels) {
    const end = Math.floor(countAt(level, newSize) / TILE_WIDTH);
    for (let n = Math.floor(countAt(level, oldSize) / TILE_WIDTH); n < end; n++) {
      yield { level, n, width: TILE_WIDTH };
    }
  }
  for (const level of levels) {
    const count = countAt(level, newSize);
    const width = count % TILE_WIDTH;
    if (width > 0 && count > countAt(level, oldSize))
      yield { level, n: Math.floor(count / TILE_WIDTH), width };
  }
}

/** How many hashes (or entries) a tree of `size` has at a level: its complete subtrees of 256^level leaves. */
function countAt(level: Tile["level"], size: number): number {
  return level === "entries" ? size : Math.floor(size / TILE_WIDTH ** level);
}

function requireTile({ level, n, width }: Tile): void {
  const levelExists = level === "entries" || (isCount(level) && level <= MAX_LEVEL);
  if (levelExists && isCount(n) && Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH) return;
  throw new Fault("malformed", "tile: there can be no such tile", {
    expected: `level 0 to ${MAX_LEVEL} or entries, position 0 to 2^53 - 1, width 1 to ${TILE_WIDTH}`,
    found: `level ${level}, position ${n}, width ${width}`,
  });
}
