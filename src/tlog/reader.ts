// Reading tiles from wherever they lie: an object store, a folder, a URL prefix.
// A partial tile may have been deleted once its full tile exists (C2SP tlog-tiles, Partial Tiles); then the
// wanted hashes are the beginning of the full one.
import { Fault } from "./fault.ts";
import { formatTilePath, TILE_WIDTH, type Tile } from "./tile.ts";
import { HASH_BYTES } from "./tree.ts";

/** The object at a path relative to the log's prefix, or undefined when there is none. */
export type Get = (path: string) => Promise<Uint8Array | undefined>;

/**
 * Reads hash tiles, all at once.
 * @throws Fault `missing` naming the tile that neither exists in its width nor in full.
 * @example
 * import { parseCheckpoint, parseNote, readTiles, tileAt } from "counterfoil/tlog";
 *
 * const at = path => fetch(`https://api.example.com/.well-known/audit/main/${path}`);
 * const get = async path => {
 *   const answer = await at(path);
 *   return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined;
 * };
 * const { size } = parseCheckpoint(parseNote(await (await at("checkpoint")).text()).text);
 * const [hashes] = await readTiles(get, [tileAt(0, 0, size)]);
 * console.log(hashes.length === 32 * size); // true
 */
export function readTiles(get: Get, tiles: readonly Tile[]): Promise<Uint8Array[]> {
  return Promise.all(tiles.map(tile => readTile(get, tile)));
}

async function readTile(get: Get, tile: Tile): Promise<Uint8Array> {
  const path = formatTilePath(tile);
  const exact = await get(path);
  if (exact !== undefined) return exact;
  const full =
    tile.width === TILE_WIDTH ? undefined : await get(formatTilePath({ ...tile, width: TILE_WIDTH }));
  if (full !== undefined) return full.subarray(0, tile.width * HASH_BYTES);
  throw new Fault("missing", `${path}: is not in the archive`, { expected: path });
}
