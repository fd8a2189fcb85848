import { describe, expect, test } from "vitest";
import { TILE_WIDTH, type Tile } from "../../../src/tlog/tile.ts";
import {
  checkConsistency,
  checkInclusion,
  emptyFrontier,
  emptyRoot,
  equalBytes,
  extend,
  type Hash,
  leafHash,
  makeFrontier,
  nodeHash,
  planConsistency,
  planInclusion,
  planRoot,
  rootOf,
} from "../../../src/tlog/tree.ts";
import * as reference from "../../reference/rfc6962.ts";
import { bitFlips, faultOf, seededRandom, utf8 } from "./samples.ts";

const SIZE = 260;
const leaves = Array.from({ length: 3 * TILE_WIDTH }, (_, i) => leafHash(utf8(`entry ${i}`)));
const roots = Array.from({ length: SIZE + 1 }, (_, size) => reference.mthOfLeaves(leaves.slice(0, size)));

/** Proving hashes whole tiles, which takes long: these sizes are the small ones and those around a tile's edge. */
const provenSizes = Array.from({ length: SIZE }, (_, i) => i + 1).filter(size => size <= 48 || size >= 256);
/** Throwing takes long: up to this size, every claim is made falsely, too. */
const FALSE_CLAIMS_SIZE = 48;

/** The bytes of a tile over `leaves`, by the definition in tlog-tiles. */
function readTile({ level, n, width }: Tile): Uint8Array {
  const span = TILE_WIDTH ** Number(level);
  const hashes = Array.from({ length: width }, (_, i) => {
    const start = (n * TILE_WIDTH + i) * span;
    return reference.mthOfRange(leaves, start, start + span);
  });
  return new Uint8Array(Buffer.concat(hashes));
}

function expectHashes(actual: readonly Hash[], expected: readonly Hash[]): void {
  expect(Buffer.concat(actual).toString("hex")).toBe(Buffer.concat(expected).toString("hex"));
}

describe("hashes", () => {
  test("leaf, node and empty hashes are those of RFC 6962", () => {
    expect(leafHash(utf8("an entry"))).toEqual(reference.leafHash(utf8("an entry")));
    expect(leafHash(new Uint8Array(0))).toEqual(reference.leafHash(new Uint8Array(0)));
    expect(nodeHash(leaves[0]!, leaves[1]!)).toEqual(reference.nodeHash(leaves[0]!, leaves[1]!));
    expect(emptyRoot()).toEqual(reference.emptyRoot());
  });

  test("a hash, once made, is not touched by the ones made after it", () => {
    const first = nodeHash(leaves[0]!, leaves[1]!);
    const kept = first.slice();
    nodeHash(leaves[2]!, leaves[3]!);
    leafHash(utf8("another"));
    expect(first).toEqual(kept);
  });

  test("what is not 32 bytes is not hashed as a node", () => {
    expect(faultOf(() => nodeHash(leaves[0]!.subarray(1), leaves[1]!)).code).toBe("malformed");
    expect(faultOf(() => nodeHash(leaves[0]!, new Uint8Array(33))).code).toBe("malformed");
  });

  test("byte strings are equal only when they have the same bytes and length", () => {
    expect(equalBytes(utf8("abc"), utf8("abc"))).toBe(true);
    expect(equalBytes(utf8("abc"), utf8("abd"))).toBe(false);
    expect(equalBytes(utf8("abc"), utf8("ab"))).toBe(false);
    expect(equalBytes(utf8("ab"), utf8("abc"))).toBe(false);
    expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });
});

describe("frontier", () => {
  test("growing leaf by leaf gives the root of RFC 6962 at every size", () => {
    let frontier = emptyFrontier();
    expect(rootOf(frontier)).toEqual(roots[0]);
    for (let size = 1; size <= SIZE; size++) {
      frontier = extend(frontier, [leaves[size - 1]!]);
      expect(frontier.size).toBe(size);
      expect(rootOf(frontier)).toEqual(roots[size]);
    }
  });

  test("leaves appended in any batches give the same frontier and the same nodes", () => {
    const random = seededRandom(1);
    const grow = (batch: () => number) => {
      const nodes: string[] = [];
      let frontier = emptyFrontier();
      while (frontier.size < leaves.length) {
        const next = leaves.slice(frontier.size, frontier.size + batch());
        frontier = extend(frontier, next, (level, n, hash) => {
          nodes.push(`${level}/${n}/${Buffer.from(hash).toString("hex")}`);
        });
      }
      return { frontier, nodes };
    };
    const whole = grow(() => leaves.length);
    for (let round = 0; round < 5; round++) expect(grow(() => Math.floor(random() * 300))).toEqual(whole);
    expect(whole.nodes).toEqual(
      [0, 1, 2].map(n => {
        const hash = reference.mthOfRange(leaves, n * TILE_WIDTH, (n + 1) * TILE_WIDTH);
        return `1/${n}/${Buffer.from(hash).toString("hex")}`;
      }),
    );
  });

  test("a complete subtree of 256^2 leaves is announced at level 2, after the 256 subtrees in it", () => {
    const announced: string[] = [];
    const same = leaves[0]!;
    const batch = Array.from({ length: 2 ** 14 }, () => same);
    let frontier = emptyFrontier();
    for (let i = 0; i < 4; i++) {
      frontier = extend(frontier, batch, (level, n) => announced.push(`${level}/${n}`));
    }
    expect(announced).toEqual([...Array.from({ length: 256 }, (_, n) => `1/${n}`), "2/0"]);
    expect(frontier.hashes).toHaveLength(1);
  });

  test("extending leaves the given frontier as it was", () => {
    const before = extend(emptyFrontier(), leaves.slice(0, 7));
    const copy = makeFrontier(before.size, before.hashes);
    extend(before, leaves.slice(7, 100));
    expect(before).toEqual(copy);
  });

  test("a frontier is made only from one hash for each 1-bit of its size", () => {
    const { hashes } = extend(emptyFrontier(), leaves.slice(0, 7));
    expect(rootOf(makeFrontier(7, hashes))).toEqual(roots[7]);
    expect(faultOf(() => makeFrontier(6, hashes)).code).toBe("malformed");
    expect(faultOf(() => makeFrontier(7, hashes.slice(1))).code).toBe("malformed");
    expect(faultOf(() => makeFrontier(1, [new Uint8Array(31)])).code).toBe("malformed");
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(faultOf(() => makeFrontier(size, [])).code).toBe("malformed");
    }
  });

  test("a leaf that is no hash is not appended", () => {
    expect(faultOf(() => extend(emptyFrontier(), [new Uint8Array(31)])).code).toBe("malformed");
  });

  test("a tree does not grow beyond the largest safe size", () => {
    const full = makeFrontier(Number.MAX_SAFE_INTEGER, Array(53).fill(leaves[0]));
    expect(faultOf(() => extend(full, [leaves[0]!])).code).toBe("too-large");
  });
});

describe("inclusion", () => {
  test("every leaf of every tree of up to 260 leaves is shown by the proof of RFC 6962, and by no other leaf's", () => {
    for (let size = 1; size <= SIZE; size++) {
      for (let index = 0; index < size; index++) {
        const claim = { index, size, leaf: leaves[index]!, root: roots[size]! };
        const proof = reference.pathOfLeaves(index, leaves, size);
        checkInclusion({ ...claim, proof });
        if (size === 1 || size > FALSE_CLAIMS_SIZE) continue;
        const other = (index + 1 + ((index * 7) % (size - 1))) % size;
        expect(faultOf(() => checkInclusion({ ...claim, index: other, proof })).code).toBe("not-included");
      }
    }
  });

  test("the proofs made from tiles are those of RFC 6962", () => {
    for (const size of provenSizes) {
      for (let index = 0; index < size; index++) {
        const plan = planInclusion(index, size);
        expectHashes(plan.prove(plan.tiles.map(readTile)), reference.pathOfLeaves(index, leaves, size));
      }
    }
  });

  test("a proof with any bit changed in leaf, root or proof is not accepted", () => {
    for (const [index, size] of [
      [0, 2],
      [3, 7],
      [6, 7],
      [100, 260],
    ] as const) {
      const proof = reference.pathOfLeaves(index, leaves, size);
      const claim = { index, size, leaf: leaves[index]!, root: roots[size]!, proof };
      for (const leaf of bitFlips(claim.leaf)) {
        expect(faultOf(() => checkInclusion({ ...claim, leaf })).code).toBe("not-included");
      }
      for (const root of bitFlips(claim.root)) {
        expect(faultOf(() => checkInclusion({ ...claim, root })).code).toBe("not-included");
      }
      for (const [i, hash] of proof.entries()) {
        for (const flipped of bitFlips(hash)) {
          const altered = proof.with(i, flipped);
          expect(faultOf(() => checkInclusion({ ...claim, proof: altered })).code).toBe("not-included");
        }
      }
    }
  });

  test("a proof of another length, or with hashes out of order, is not accepted", () => {
    const proof = reference.pathOfLeaves(5, leaves, 13);
    const claim = { index: 5, size: 13, leaf: leaves[5]!, root: roots[13]! };
    for (const wrong of [[], proof.slice(1), proof.slice(0, -1), [...proof, proof[0]!], proof.toReversed()]) {
      expect(faultOf(() => checkInclusion({ ...claim, proof: wrong })).code).toBe("not-included");
    }
  });

  test("a leaf beyond the tree is not in it, and the Fault says which leaf", () => {
    const fault = faultOf(() =>
      checkInclusion({ index: 3, size: 3, leaf: leaves[3]!, root: roots[3]!, proof: [] }),
    );
    expect(fault).toMatchObject({ code: "not-included", index: 3 });
    expect(faultOf(() => planInclusion(3, 3)).code).toBe("malformed");
    expect(faultOf(() => planInclusion(0, 0)).code).toBe("malformed");
  });

  test("what is no index, size or hash is malformed", () => {
    const claim = { index: 0, size: 1, leaf: leaves[0]!, root: roots[1]!, proof: [] as Hash[] };
    for (const number of [-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(faultOf(() => checkInclusion({ ...claim, index: number })).code).toBe("malformed");
      expect(faultOf(() => checkInclusion({ ...claim, size: number })).code).toBe("malformed");
      expect(faultOf(() => planInclusion(number, 5)).code).toBe("malformed");
      expect(faultOf(() => planInclusion(0, number)).code).toBe("malformed");
    }
    for (const hash of [new Uint8Array(0), new Uint8Array(31), new Uint8Array(33)]) {
      expect(faultOf(() => checkInclusion({ ...claim, leaf: hash })).code).toBe("malformed");
      expect(faultOf(() => checkInclusion({ ...claim, root: hash })).code).toBe("malformed");
      expect(faultOf(() => checkInclusion({ ...claim, size: 2, proof: [hash] })).code).toBe("malformed");
    }
  });
});

describe("consistency", () => {
  test("every tree of up to 260 leaves extends every smaller one, and no forked one", () => {
    for (let size2 = 1; size2 <= SIZE; size2++) {
      for (let size1 = 0; size1 <= size2; size1++) {
        const claim = { size1, root1: roots[size1]!, size2, root2: roots[size2]! };
        const proof = reference.proofOfLeaves(size1, leaves, size2);
        checkConsistency({ ...claim, proof });
        if (size1 === 0 || size2 > FALSE_CLAIMS_SIZE) continue;
        expect(faultOf(() => checkConsistency({ ...claim, root1: leaves[300]!, proof })).code).toBe("forked");
        expect(faultOf(() => checkConsistency({ ...claim, root2: leaves[300]!, proof })).code).toBe("forked");
      }
    }
  });

  test("the proofs made from tiles are those of RFC 6962", () => {
    for (const size2 of provenSizes) {
      for (let size1 = 0; size1 <= size2; size1++) {
        const plan = planConsistency(size1, size2);
        expectHashes(plan.prove(plan.tiles.map(readTile)), reference.proofOfLeaves(size1, leaves, size2));
      }
    }
  });

  test("a proof with any bit changed in either root or the proof is not accepted", () => {
    for (const [size1, size2] of [
      [1, 2],
      [4, 7],
      [6, 7],
      [100, 260],
    ] as const) {
      const proof = reference.proofOfLeaves(size1, leaves, size2);
      const claim = { size1, size2, root1: roots[size1]!, root2: roots[size2]!, proof };
      for (const root1 of bitFlips(claim.root1)) {
        expect(faultOf(() => checkConsistency({ ...claim, root1 })).code).toBe("forked");
      }
      for (const root2 of bitFlips(claim.root2)) {
        expect(faultOf(() => checkConsistency({ ...claim, root2 })).code).toBe("forked");
      }
      for (const [i, hash] of proof.entries()) {
        for (const flipped of bitFlips(hash)) {
          const altered = proof.with(i, flipped);
          expect(faultOf(() => checkConsistency({ ...claim, proof: altered })).code).toBe("forked");
        }
      }
    }
  });

  test("two trees of one size and different roots are forked", () => {
    const claim = { size1: 9, size2: 9, root1: roots[9]!, root2: roots[8]!, proof: [] };
    expect(faultOf(() => checkConsistency(claim)).code).toBe("forked");
  });

  test("a proof of another length is malformed rather than evidence of a fork", () => {
    const proof = reference.proofOfLeaves(6, leaves, 13);
    const claim = { size1: 6, root1: roots[6]!, size2: 13, root2: roots[13]! };
    for (const wrong of [[], proof.slice(1), proof.slice(0, -1), [...proof, proof[0]!]]) {
      expect(faultOf(() => checkConsistency({ ...claim, proof: wrong })).code).toBe("malformed");
    }
    const same = { ...claim, size2: 6, root2: roots[6]! };
    expect(faultOf(() => checkConsistency({ ...same, proof })).code).toBe("malformed");
  });

  test("every tree extends the empty tree, whose root is known and which needs no proof", () => {
    const claim = { size1: 0, root1: emptyRoot(), size2: 5, root2: roots[5]!, proof: [] as Hash[] };
    checkConsistency(claim);
    checkConsistency({ ...claim, size2: 0, root2: emptyRoot() });
    expect(faultOf(() => checkConsistency({ ...claim, root1: roots[1]! })).code).toBe("malformed");
    expect(faultOf(() => checkConsistency({ ...claim, proof: [roots[1]!] })).code).toBe("malformed");
    expect(faultOf(() => checkConsistency({ ...claim, root2: new Uint8Array(5) })).code).toBe("malformed");
    expect(faultOf(() => checkConsistency({ ...claim, size2: 0 })).code).toBe("forked");
  });

  test("sizes that run backwards, and what is no size or hash, are malformed", () => {
    const claim = { size1: 2, root1: roots[2]!, size2: 3, root2: roots[3]!, proof: [leaves[2]!] };
    checkConsistency(claim);
    expect(faultOf(() => checkConsistency({ ...claim, size1: 4 })).code).toBe("malformed");
    expect(faultOf(() => planConsistency(4, 3)).code).toBe("malformed");
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(faultOf(() => checkConsistency({ ...claim, size1: size })).code).toBe("malformed");
      expect(faultOf(() => checkConsistency({ ...claim, size2: size })).code).toBe("malformed");
      expect(faultOf(() => planConsistency(size, 5)).code).toBe("malformed");
      expect(faultOf(() => planConsistency(1, size)).code).toBe("malformed");
      expect(faultOf(() => planRoot(size)).code).toBe("malformed");
    }
    for (const hash of [new Uint8Array(0), new Uint8Array(31), new Uint8Array(33)]) {
      expect(faultOf(() => checkConsistency({ ...claim, root1: hash })).code).toBe("malformed");
      expect(faultOf(() => checkConsistency({ ...claim, root2: hash })).code).toBe("malformed");
      expect(faultOf(() => checkConsistency({ ...claim, proof: [hash] })).code).toBe("malformed");
    }
  });
});

describe("plans", () => {
  test("root and frontier are read from the tiles at the right edge, at every size", () => {
    let frontier = emptyFrontier();
    for (let size = 0; size <= SIZE; size++) {
      const plan = planRoot(size);
      const data = plan.tiles.map(readTile);
      expect(plan.root(data)).toEqual(roots[size]);
      expect(plan.frontier(data)).toEqual(frontier);
      frontier = extend(frontier, [leaves[size]!]);
    }
  });

  test("the tiles of a plan have the widths of its tree, and none is named twice", () => {
    expect(planInclusion(5, 300).tiles).toEqual([
      { level: 0, n: 0, width: 256 },
      { level: 0, n: 1, width: 44 },
    ]);
    expect(planConsistency(256, 700).tiles).toEqual([
      { level: 1, n: 0, width: 2 },
      { level: 0, n: 2, width: 188 },
    ]);
    expect(planRoot(70_000).tiles).toEqual([
      { level: 2, n: 0, width: 1 },
      { level: 1, n: 1, width: 17 },
      { level: 0, n: 273, width: 112 },
    ]);
  });

  test("tile bytes that are short, long or not there are malformed, and the Fault names the tile", () => {
    const plan = planInclusion(5, 300);
    const data = plan.tiles.map(readTile);
    for (const wrong of [data[1]!.subarray(1), data[1]!.subarray(0, 43 * 32), readTile(plan.tiles[0]!)]) {
      const fault = faultOf(() => plan.prove([data[0]!, wrong]));
      expect(fault.code).toBe("malformed");
      expect(fault.message).toContain("tile/0/001.p/44");
    }
    expect(faultOf(() => plan.prove([data[0]!])).message).toContain("tile/0/001.p/44");
    expect(faultOf(() => planRoot(300).frontier([])).code).toBe("malformed");
  });

  test("a tile with any bit changed gives a proof that is not accepted, or the same proof", () => {
    const [index, size] = [11, 13];
    const plan = planInclusion(index, size);
    const data = readTile(plan.tiles[0]!);
    const claim = { index, size, leaf: leaves[index]!, root: roots[size]! };
    const proof = plan.prove([data]);
    let rejected = 0;
    for (const flipped of bitFlips(data)) {
      const altered = plan.prove([flipped]);
      if (altered.every((hash, i) => equalBytes(hash, proof[i]!))) continue;
      expect(faultOf(() => checkInclusion({ ...claim, proof: altered })).code).toBe("not-included");
      rejected++;
    }
    // Every hash of the tile goes into the proof but the leaf's own.
    expect(rejected).toBe((size - 1) * 32 * 8);
  });
});
