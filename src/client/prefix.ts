// What a signed tree holds, and what it was when it was smaller, proven from its hash tiles. The tiles are read
// from whoever has them and believed only as far as they lead to the signed root.
import { Fault } from "../tlog/fault.ts";
import { type Get, readTiles } from "../tlog/reader.ts";
import { TILE_WIDTH, type Tile, tileAt, tileHashes } from "../tlog/tile.ts";
import {
  checkConsistency,
  checkInclusion,
  equalBytes,
  HASH_BYTES,
  type Hash,
  planConsistency,
  planInclusion,
  planRoot,
} from "../tlog/tree.ts";
import type { SignedTree } from "./signed.ts";

/**
 * The leaf at an index of a signed tree, and its inclusion proof.
 * @throws Fault `missing` or `malformed` naming a tile, or `not-included` when the tiles lead to another root.
 */
export async function proveLeaf(
  get: Get,
  index: number,
  { size, root }: SignedTree,
): Promise<{ leaf: Hash; proof: Hash[] }> {
  const plan = planInclusion(index, size);
  const proof = plan.prove(await readTiles(get, plan.tiles));
  const tile = tileAt(0, Math.floor(index / TILE_WIDTH), size)!;
  const [data] = await readTiles(get, [tile]);
  const leaf = tileHashes(tile, data!)[index % TILE_WIDTH]!;
  checkInclusion({ index, size, leaf, root, proof });
  return { leaf, proof };
}

/** The tiles that it takes to tell whether a signed tree continues another that is not larger. */
export function tilesOfPrefix(older: SignedTree, signed: SignedTree): readonly Tile[] {
  if (older.size === signed.size) return [];
  return [...tilesOfRoot(older.size, signed.size), ...planConsistency(older.size, signed.size).tiles];
}

/**
 * The tiles that hold the hashes of a smaller tree, as they are in a larger one: an archive need not keep the partial
 * tiles of the smaller one, and another tree never had them.
 */
function tilesOfRoot(size: number, signedSize: number): Tile[] {
  return planRoot(size).tiles.map(({ level, n }) => tileAt(level, n, signedSize)!);
}

/**
 * Whether a signed tree continues another that is not larger.
 * @throws Fault `missing` or `malformed` naming a tile, or `tampered` when the tiles lead to another root.
 */
export async function continues(get: Get, signed: SignedTree, older: SignedTree): Promise<boolean> {
  if (signed.size === older.size) return equalBytes(signed.root, older.root);
  return equalBytes(await proveRoot(get, older.size, signed), older.root);
}

/** The root that a signed tree had when it was of `size`. */
async function proveRoot(get: Get, size: number, signed: SignedTree): Promise<Hash> {
  const older = planRoot(size);
  const tiles = await readTiles(get, tilesOfRoot(size, signed.size));
  const root = older.root(tiles.map((tile, i) => tile.subarray(0, older.tiles[i]!.width * HASH_BYTES)));
  const plan = planConsistency(size, signed.size);
  const proof = plan.prove(await readTiles(get, plan.tiles));
  try {
    checkConsistency({ size1: size, root1: root, size2: signed.size, root2: signed.root, proof });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault("tampered", `the tiles of the tree of ${size} entries do not lead to the signed root`);
  }
  return root;
}
