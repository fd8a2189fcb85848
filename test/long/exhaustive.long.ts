// Every index of every size, and every pair of sizes, up to 260: what the code proves from tiles is what the
// reference proves from leaves, hash for hash. Checking all of them is in the short tests.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { type Tile, tileAt } from "../../src/tlog/tile.ts";
import {
  checkConsistency,
  checkInclusion,
  emptyFrontier,
  extend,
  type Hash,
  planConsistency,
  planInclusion,
  planRoot,
  rootOf,
} from "../../src/tlog/tree.ts";
import { leafHash, mthOfRange, pathOfLeaves, proofOfLeaves } from "../reference/rfc6962.ts";

const SIZE_MAX = 260;
const leaves = Array.from({ length: SIZE_MAX }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));

/** The bytes of a hash tile, from the reference. */
function tileData({ level, n, width }: Tile): Uint8Array {
  const span = 256 ** (level as number);
  const hashes = Array.from({ length: width }, (_, i) => {
    const from = (n * 256 + i) * span;
    return mthOfRange(leaves, from, from + span);
  });
  return Buffer.concat(hashes);
}

/** One digest over a series of hashes, each with its length, so that two series are compared in one go. */
class Fold {
  readonly #hash = createHash("sha256");
  add(hashes: readonly Uint8Array[]): void {
    this.#hash.update(`${hashes.length}:`);
    for (const hash of hashes) this.#hash.update(hash);
  }
  digest(): string {
    return this.#hash.digest("hex");
  }
}

const cache = new Map<string, Uint8Array>();
const read = (tiles: readonly Tile[]) =>
  tiles.map(tile => {
    const key = JSON.stringify(tile);
    const data = cache.get(key) ?? tileData(tile);
    cache.set(key, data);
    return data;
  });

function root(size: number): Hash {
  return mthOfRange(leaves, 0, size);
}

it("every root up to 260, by frontier and by tiles, is the reference's", () => {
  let frontier = emptyFrontier();
  for (let size = 1; size <= SIZE_MAX; size++) {
    frontier = extend(frontier, [leaves[size - 1]!]);
    const plan = planRoot(size);
    for (const tile of plan.tiles) expect(tileAt(tile.level, tile.n, size)).toEqual(tile);
    expect(Buffer.from(rootOf(frontier)).equals(root(size))).toBe(true);
    expect(Buffer.from(plan.root(read(plan.tiles))).equals(root(size))).toBe(true);
  }
});

it("every inclusion proof up to 260 is the reference's and passes the check", () => {
  const [ours, reference] = [new Fold(), new Fold()];
  for (let size = 1; size <= SIZE_MAX; size++) {
    for (let index = 0; index < size; index++) {
      const plan = planInclusion(index, size);
      const proof = plan.prove(read(plan.tiles));
      ours.add(proof);
      reference.add(pathOfLeaves(index, leaves, size));
      checkInclusion({ index, size, leaf: leaves[index]!, root: root(size), proof });
    }
  }
  expect(ours.digest()).toBe(reference.digest());
});

it("every consistency proof up to 260 is the reference's and passes the check", () => {
  const [ours, reference] = [new Fold(), new Fold()];
  for (let size2 = 1; size2 <= SIZE_MAX; size2++) {
    for (let size1 = 1; size1 <= size2; size1++) {
      const plan = planConsistency(size1, size2);
      const proof = plan.prove(read(plan.tiles));
      ours.add(proof);
      reference.add(proofOfLeaves(size1, leaves, size2));
      checkConsistency({ size1, root1: root(size1), size2, root2: root(size2), proof });
    }
  }
  expect(ours.digest()).toBe(reference.digest());
});
