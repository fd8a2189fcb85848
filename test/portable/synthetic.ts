// Trees of any size, of which any tile can be read without anyone having hashed the leaves: they are all the
// same but one, so the hash of a subtree without that one depends on its height only.
import { TILE_WIDTH, type Tile } from "../../src/tlog/tile.ts";
import { type Hash, leafHash, nodeHash, planRoot } from "../../src/tlog/tree.ts";
import { concatenate, encodeUtf8 } from "./bytes.ts";

/** No subtree is higher: a tree size is a safe integer, of at most 53 bits. */
const HEIGHT_MAX = 53;

/** How many levels of the tree are one level of tiles. */
const TILE_HEIGHT = 8;

/** The root of 2^height common leaves, at each height. */
const COMMON: Hash[] = [leafHash(encodeUtf8("a common leaf"))];
for (let height = 1; height <= HEIGHT_MAX; height++) COMMON.push(nodeHash(COMMON.at(-1)!, COMMON.at(-1)!));

export interface SyntheticTree {
  readonly size: number;
  readonly root: Hash;
  /** The bytes of a hash tile. */
  read(tile: Tile): Uint8Array;
}

/** A tree of `size` common leaves, but for `leaf` at `index`. */
export function makeSyntheticTree(size: number, index: number, leaf: Hash): SyntheticTree {
  /** The root of the subtree that holds the leaf, at each height. */
  const above: Hash[] = [leaf];
  for (let height = 0; height < HEIGHT_MAX; height++) {
    const [own, common] = [above[height]!, COMMON[height]!];
    const isLeft = Math.floor(index / 2 ** height) % 2 === 0;
    above.push(isLeft ? nodeHash(own, common) : nodeHash(common, own));
  }
  const read = ({ level, n, width }: Tile): Uint8Array => {
    const height = TILE_HEIGHT * Number(level);
    const place = Math.floor(index / 2 ** height) - n * TILE_WIDTH;
    return concatenate(Array.from({ length: width }, (_, i) => (i === place ? above : COMMON)[height]!));
  };
  const plan = planRoot(size);
  return { size, root: plan.root(plan.tiles.map(read)), read };
}
