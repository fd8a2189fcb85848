// Trees of up to 2^53 - 1 leaves, where a bit operator or a lost digit would show. Nobody can hash so many
// leaves, so nearly all of them are the same one: then every subtree without one of the few others has a
// hash that depends on its height only.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatTilePath, parseTilePath, TILE_WIDTH, type Tile, tileAt } from "../../../src/tlog/tile.ts";
import {
  checkConsistency,
  checkInclusion,
  extend,
  type Hash,
  planConsistency,
  planInclusion,
  planRoot,
  rootOf,
} from "../../../src/tlog/tree.ts";
import { leafHash, nodeHash } from "../../reference/rfc6962.ts";
import { faultOf, seeded, utf8 } from "./samples.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;
const common = leafHash(utf8("common"));
const uniform: Hash[] = [common];
for (let height = 1; height <= 53; height++) uniform.push(nodeHash(uniform.at(-1)!, uniform.at(-1)!));

/** An endless list of leaves, all the same but for those at `marked`. */
class SparseLeaves {
  readonly #marked: readonly number[];
  readonly #known = new Map<string, Hash>();

  constructor(marked: readonly number[]) {
    this.#marked = marked;
  }

  leaf(index: number): Hash {
    return this.#marked.includes(index) ? leafHash(utf8(`leaf ${index}`)) : common;
  }

  /** The root over leaves [n * 2^height, (n + 1) * 2^height). */
  subtree(height: number, n: number): Hash {
    const [start, end] = [n * 2 ** height, (n + 1) * 2 ** height];
    if (!this.#marked.some(index => start <= index && index < end)) return uniform[height]!;
    if (height === 0) return this.leaf(n);
    const name = `${height}/${n}`;
    const hash =
      this.#known.get(name) ?? nodeHash(this.subtree(height - 1, 2 * n), this.subtree(height - 1, 2 * n + 1));
    this.#known.set(name, hash);
    return hash;
  }

  /** MTH(D[start:end]) as RFC 6962 defines it. */
  mth(start: number, end: number): Hash {
    const height = Math.round(Math.log2(end - start));
    if (2 ** height === end - start) return this.subtree(height, start / 2 ** height);
    const k = split(end - start);
    return nodeHash(this.mth(start, start + k), this.mth(start + k, end));
  }

  /** PATH(m, D[start:end]) as RFC 6962 defines it. */
  path(m: number, start: number, end: number): Hash[] {
    if (end - start === 1) return [];
    const k = split(end - start);
    return m < k
      ? [...this.path(m, start, start + k), this.mth(start + k, end)]
      : [...this.path(m - k, start + k, end), this.mth(start, start + k)];
  }

  /** SUBPROOF(m, D[start:end], whole) as RFC 6962 defines it. */
  subproof(m: number, start: number, end: number, whole: boolean): Hash[] {
    if (m === end - start) return whole ? [] : [this.mth(start, end)];
    const k = split(end - start);
    return m <= k
      ? [...this.subproof(m, start, start + k, whole), this.mth(start + k, end)]
      : [...this.subproof(m - k, start + k, end, false), this.mth(start, start + k)];
  }

  tile({ level, n, width }: Tile): Uint8Array {
    return new Uint8Array(
      Buffer.concat(
        Array.from({ length: width }, (_, i) => this.subtree(8 * Number(level), n * TILE_WIDTH + i)),
      ),
    );
  }
}

function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

const near = (center: number) =>
  fc.integer({ min: -600, max: 600 }).map(offset => Math.min(LARGEST, center + offset));

/** Tree sizes around the places where numbers of 31 to 53 bits end and high tiles begin, and anywhere else. */
const sizes = fc.oneof(
  ...[2 ** 31, 2 ** 32, 2 ** 40, 2 ** 48, 2 ** 52, LARGEST].map(near),
  fc.maxSafeNat().map(size => Math.max(1, size)),
);

/** A size with an index below it: anywhere, at either end, or where 31 and 32 bits end. */
const places = sizes.chain(size =>
  fc.record({
    size: fc.constant(size),
    index: fc.oneof(
      fc.integer({ min: 0, max: size - 1 }),
      fc.integer({ min: 0, max: 600 }).map(back => Math.max(0, size - 1 - back)),
      near(2 ** 31).map(index => Math.min(index, size - 1)),
      near(2 ** 32).map(index => Math.min(index, size - 1)),
    ),
    others: fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 6 }),
  }),
);

function hexOf(hashes: readonly Hash[]): string[] {
  return hashes.map(hash => Buffer.from(hash).toString("hex"));
}

const runs = { ...seeded, numRuns: 120 };

describe("in trees of up to 2^53 - 1 leaves", () => {
  test("inclusion proofs come from a few tiles, are those of RFC 6962, and hold for their leaf only", () => {
    fc.assert(
      fc.property(places, ({ size, index, others }) => {
        const leaves = new SparseLeaves([index, ...others]);
        const plan = planInclusion(index, size);
        expect(plan.tiles.length).toBeLessThanOrEqual(14);
        for (const tile of plan.tiles) expect(tileAt(tile.level, tile.n, size)).toEqual(tile);
        const proof = plan.prove(plan.tiles.map(tile => leaves.tile(tile)));
        expect(hexOf(proof)).toEqual(hexOf(leaves.path(index, 0, size)));
        const claim = { index, size, leaf: leaves.leaf(index), root: leaves.mth(0, size), proof };
        checkInclusion(claim);
        expect(faultOf(() => checkInclusion({ ...claim, leaf: common })).code).toBe("not-included");
        // 2^32 leaves away, an index that was cut to 32 bits would look the same.
        for (const wrong of [index + 1, index - 1, index + 2 ** 32, index - 2 ** 32]) {
          if (wrong < 0 || wrong >= size) continue;
          expect(faultOf(() => checkInclusion({ ...claim, index: wrong })).code).toBe("not-included");
        }
      }),
      runs,
    );
  });

  test("consistency proofs come from a few tiles, are those of RFC 6962, and hold for their roots only", () => {
    fc.assert(
      fc.property(places, ({ size: size2, index: size1, others }) => {
        const leaves = new SparseLeaves([Math.max(0, size1 - 1), size1, ...others]);
        const plan = planConsistency(size1, size2);
        expect(plan.tiles.length).toBeLessThanOrEqual(14);
        for (const tile of plan.tiles) expect(tileAt(tile.level, tile.n, size2)).toEqual(tile);
        const proof = plan.prove(plan.tiles.map(tile => leaves.tile(tile)));
        expect(hexOf(proof)).toEqual(hexOf(size1 === 0 ? [] : leaves.subproof(size1, 0, size2, true)));
        if (size1 === 0) return;
        const claim = { size1, root1: leaves.mth(0, size1), size2, root2: leaves.mth(0, size2), proof };
        checkConsistency(claim);
        expect(faultOf(() => checkConsistency({ ...claim, root1: common })).code).toBe("forked");
        expect(faultOf(() => checkConsistency({ ...claim, root2: common })).code).toBe("forked");
      }),
      runs,
    );
  });

  test("a frontier read from tiles grows on as if every leaf had been appended", () => {
    const growths = fc.record({
      size: sizes.map(size => Math.max(1, size - 600)),
      count: fc.integer({ min: 0, max: 600 }),
      others: fc.array(fc.integer({ min: -300, max: 600 }), { maxLength: 6 }),
    });
    fc.assert(
      fc.property(growths, ({ size, count, others }) => {
        const leaves = new SparseLeaves(others.map(offset => Math.max(0, size + offset)));
        const plan = planRoot(size);
        const frontier = plan.frontier(plan.tiles.map(tile => leaves.tile(tile)));
        const added = Array.from({ length: count }, (_, i) => leaves.leaf(size + i));
        const grown = extend(frontier, added, (level, n, hash) => {
          expect(hexOf([hash])).toEqual(hexOf([leaves.subtree(8 * level, n)]));
        });
        expect(grown.size).toBe(size + count);
        expect(hexOf([rootOf(grown)])).toEqual(hexOf([leaves.mth(0, size + count)]));
      }),
      runs,
    );
  });

  test("every tile of a plan has a path that is read back", () => {
    fc.assert(
      fc.property(sizes, size => {
        for (const tile of planRoot(size).tiles) expect(parseTilePath(formatTilePath(tile))).toEqual(tile);
      }),
      runs,
    );
  });
});
