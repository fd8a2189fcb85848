// The Merkle tree of RFC 6962 section 2.1: growing it, its root, and proofs about it, made from tiles and
// checked from nothing but sizes and roots. Whoever checks learns only what the proof proves: the checks
// return nothing and throw a Fault on any contradiction. Every cost is logarithmic in the size of the
// tree, but for `extend`, which hashes about one node for each leaf.
import { bytesToHex } from "@noble/hashes/utils.js";
import { isCount, requireCount } from "./decimal.ts";
import { Fault } from "./fault.ts";
import { emptyRoot, equalBytes, type Hash, nodeHash, requireHash } from "./hash.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tileAt, tileHashes } from "./tile.ts";

export { emptyRoot, equalBytes, HASH_BYTES, type Hash, leafHash, nodeHash } from "./hash.ts";

/** One level of tiles is this many levels of the tree. */
const TILE_HEIGHT = Math.log2(TILE_WIDTH);

/** The roots of the complete subtrees that make up a tree, largest first: one for each 1-bit of `size`. */
export interface Frontier {
  readonly size: number;
  readonly hashes: readonly Hash[];
}

/** The frontier of the tree without leaves. */
export function emptyFrontier(): Frontier {
  return { size: 0, hashes: [] };
}

/**
 * A frontier from its parts, e.g. as they were stored.
 * @throws Fault `malformed` unless there is one 32-byte hash for each 1-bit of `size`.
 * @example
 * import { emptyFrontier, equalBytes, extend, leafHash, makeFrontier, rootOf } from "counterfoil/tlog";
 *
 * const [a, b, c] = ["a", "b", "c"].map(text => leafHash(new TextEncoder().encode(text)));
 * const { size, hashes } = extend(emptyFrontier(), [a, b]); // to be stored
 * const grown = extend(makeFrontier(size, hashes), [c]);
 * console.log(equalBytes(rootOf(grown), rootOf(extend(emptyFrontier(), [a, b, c])))); // true
 */
export function makeFrontier(size: number, hashes: readonly Hash[]): Frontier {
  requireCount(size, "tree size");
  const count = completeSubtrees([0, size]).length;
  if (hashes.length !== count) {
    throw new Fault("malformed", `frontier of a tree of ${size}: wrong number of hashes`, {
      expected: String(count),
      found: String(hashes.length),
    });
  }
  for (const [i, hash] of hashes.entries()) requireHash(hash, `frontier hash ${i}`);
  return { size, hashes: [...hashes] };
}

/**
 * The frontier after appending leaves; the given one stays as it is. Calls `onNode` once for every
 * complete subtree of 256^level leaves, level >= 1, that they complete: these are the hashes of tile
 * level `level`, each at its position n in that level, in the order of their positions.
 * @throws Fault `malformed` for a leaf that is not 32 bytes, `too-large` for a tree beyond 2^53 - 1.
 * @example
 * import { emptyFrontier, extend, leafHash, rootOf } from "counterfoil/tlog";
 *
 * const [a, b, c] = ["a", "b", "c"].map(text => leafHash(new TextEncoder().encode(text)));
 * const frontier = extend(emptyFrontier(), [a, b, c]);
 * console.log(frontier.size, frontier.hashes.length, rootOf(frontier).length); // 3 2 32
 */
export function extend(
  frontier: Frontier,
  leaves: readonly Hash[],
  onNode?: (level: number, n: number, hash: Hash) => void,
): Frontier {
  const size = frontier.size + leaves.length;
  if (!isCount(size)) {
    throw new Fault("too-large", "tree: too many leaves", { expected: "at most 2^53 - 1" });
  }
  const hashes = [...frontier.hashes];
  let index = frontier.size;
  for (const leaf of leaves) {
    requireHash(leaf, "leaf hash");
    let hash = leaf;
    // A subtree at an odd position has a complete sibling on its left: together they are the next one up.
    let n = index++;
    for (let height = 1; n % 2 === 1; height++) {
      n = (n - 1) / 2;
      hash = nodeHash(hashes.pop()!, hash);
      if (height % TILE_HEIGHT === 0) onNode?.(height / TILE_HEIGHT, n, hash);
    }
    hashes.push(hash);
  }
  return { size, hashes };
}

/** The root of a tree (RFC 6962 section 2.1, MTH). */
export function rootOf(frontier: Frontier): Hash {
  return frontier.size === 0 ? emptyRoot() : foldSubtrees(frontier.hashes);
}

/** That `leaf` is the leaf at `index` of the tree of `size` with `root`; `proof` is to show it. */
export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leaf: Hash;
  readonly root: Hash;
  readonly proof: readonly Hash[];
}

/** That the tree of `size2` with `root2` begins with the tree of `size1` with `root1`; `proof` is to show it. */
export interface ConsistencyClaim {
  readonly size1: number;
  readonly root1: Hash;
  readonly size2: number;
  readonly root2: Hash;
  readonly proof: readonly Hash[];
}

/**
 * Checks that a leaf is in a tree (RFC 6962 section 2.1.1).
 * @throws Fault `malformed` when the index or size is not a count or a hash is not 32 bytes; otherwise
 *   `not-included` when the proof, for whatever reason, does not lead from the leaf to the root.
 * @see RFC 9162 section 2.1.3.2
 * @example
 * import { checkInclusion, leafHash, nodeHash } from "counterfoil/tlog";
 *
 * const [a, b] = ["a", "b"].map(text => leafHash(new TextEncoder().encode(text)));
 * checkInclusion({ index: 1, size: 2, leaf: b, root: nodeHash(a, b), proof: [a] });
 * console.log("it is in the tree"); // it is in the tree
 */
export function checkInclusion(claim: InclusionClaim): void {
  const { index, size, leaf, root, proof } = claim;
  requireCount(index, "leaf index");
  requireCount(size, "tree size");
  requireHash(leaf, "leaf hash");
  requireHash(root, "root hash");
  requireHashes(proof, "inclusion proof");
  if (index >= size) {
    throw new Fault("not-included", `inclusion proof: a tree of ${size} has no leaf ${index}`, { index });
  }
  const siblings = inclusionRanges(index, size);
  if (proof.length !== siblings.length) {
    throw new Fault("not-included", `inclusion proof of leaf ${index} in a tree of ${size}: wrong length`, {
      expected: `${siblings.length} hashes`,
      found: `${proof.length} hashes`,
      index,
    });
  }
  let hash = leaf;
  for (const [i, [start]] of siblings.entries()) {
    hash = start > index ? nodeHash(hash, proof[i]!) : nodeHash(proof[i]!, hash);
  }
  if (!equalBytes(hash, root)) {
    throw new Fault("not-included", `inclusion proof of leaf ${index} in a tree of ${size}: another root`, {
      expected: bytesToHex(root),
      found: bytesToHex(hash),
      index,
    });
  }
}

/**
 * Checks that a tree extends another (RFC 6962 section 2.1.2). Every tree extends the empty one, with an empty
 * proof; that proves nothing about `root2`.
 * @throws Fault `malformed` when this cannot be a proof about such trees: sizes that are not counts or
 *   run backwards, a hash that is not 32 bytes, too many or too few hashes, an empty tree with
 *   another root than the empty tree's. `forked` when the proof does not lead to both roots.
 * @see RFC 9162 section 2.1.4.2
 * @example
 * import { checkConsistency, leafHash, nodeHash } from "counterfoil/tlog";
 *
 * const [a, b] = ["a", "b"].map(text => leafHash(new TextEncoder().encode(text)));
 * checkConsistency({ size1: 1, root1: a, size2: 2, root2: nodeHash(a, b), proof: [b] });
 * console.log("it begins with that tree"); // it begins with that tree
 */
export function checkConsistency(claim: ConsistencyClaim): void {
  const { size1, root1, size2, root2, proof } = claim;
  requireSizes(size1, size2);
  const ranges = consistencyRanges(size1, size2);
  if (proof.length !== ranges.length) {
    throw new Fault("malformed", `consistency proof from ${size1} to ${size2}: wrong length`, {
      expected: `${ranges.length} hashes`,
      found: `${proof.length} hashes`,
    });
  }
  if (size1 === 0 && !equalBytes(root1, emptyRoot())) {
    throw new Fault("malformed", "consistency proof: the root of an empty tree is not the empty root", {
      expected: bytesToHex(emptyRoot()),
      found: bytesToHex(root1),
    });
  }
  if (size1 === size2) {
    requireRoot(size1, root1, root2);
    return;
  }
  requireHash(root1, "older root hash");
  requireHash(root2, "newer root hash");
  requireHashes(proof, "consistency proof");
  if (size1 === 0) return;
  checkBothRoots(claim, ranges);
}

/** Rebuilds both roots from a consistency proof of the right length, 0 < size1 < size2. */
function checkBothRoots(claim: ConsistencyClaim, ranges: readonly Range[]): void {
  const { size1, root1, size2, root2, proof } = claim;
  // When the old tree is itself a subtree of the new one, its root is known and the proof leaves it out.
  const oldIsSubtree = ranges[0]![0] === size1;
  let old = oldIsSubtree ? root1 : proof[0]!;
  let grown = old;
  for (let i = oldIsSubtree ? 0 : 1; i < ranges.length; i++) {
    const [start] = ranges[i]!;
    if (start >= size1) {
      grown = nodeHash(grown, proof[i]!);
    } else {
      old = nodeHash(proof[i]!, old);
      grown = nodeHash(proof[i]!, grown);
    }
  }
  requireRoot(size1, root1, old);
  requireRoot(size2, root2, grown);
}

function requireRoot(size: number, expected: Hash, found: Hash): void {
  if (equalBytes(expected, found)) return;
  throw new Fault("forked", `consistency proof: another root for the tree of ${size}`, {
    expected: bytesToHex(expected),
    found: bytesToHex(found),
  });
}

/** What must be read to make a proof, and the proof from it. */
export interface ProofPlan {
  /** O(log n) hash tiles, each with the width that it has in the tree the proof is about. */
  readonly tiles: readonly Tile[];
  /**
   * The proof, from the bytes of `tiles` in the same order. A wrong hash in a tile goes unseen here:
   * whoever uses the proof checks it against a signed root.
   * @throws Fault `malformed`, naming the tile, when the bytes are not as long as the tile.
   */
  prove(data: readonly Uint8Array[]): Hash[];
}

/**
 * Plans the inclusion proof of the leaf at `index` in the tree of `size` (RFC 6962 section 2.1.1, PATH).
 * @throws Fault `malformed` unless index and size are counts and index < size.
 * @example
 * import { checkInclusion, formatTilePath, leafHash, nodeHash, planInclusion } from "counterfoil/tlog";
 *
 * const [a, b, c] = ["a", "b", "c"].map(text => leafHash(new TextEncoder().encode(text)));
 * const tile = new Uint8Array([...a, ...b, ...c]);
 * const plan = planInclusion(1, 3);
 * console.log(plan.tiles.map(formatTilePath).join()); // tile/0/000.p/3
 * const root = nodeHash(nodeHash(a, b), c);
 * checkInclusion({ index: 1, size: 3, leaf: b, root, proof: plan.prove([tile]) });
 */
export function planInclusion(index: number, size: number): ProofPlan {
  requireCount(index, "leaf index");
  requireCount(size, "tree size");
  if (index >= size) {
    throw new Fault("malformed", `leaf index: a tree of ${size} has no leaf ${index}`, { index });
  }
  return planRanges(inclusionRanges(index, size), size);
}

/**
 * Plans the proof that the tree of `size2` begins with the tree of `size1` (RFC 6962 section 2.1.2, PROOF).
 * It is empty when the sizes are equal or `size1` is 0.
 * @throws Fault `malformed` unless both are counts and size1 <= size2.
 * @example
 * import { checkConsistency, leafHash, nodeHash, planConsistency } from "counterfoil/tlog";
 *
 * const [a, b, c] = ["a", "b", "c"].map(text => leafHash(new TextEncoder().encode(text)));
 * const tile = new Uint8Array([...a, ...b, ...c]); // tile/0/000.p/3
 * const proof = planConsistency(2, 3).prove([tile]);
 * console.log(proof.length); // 1
 * const root1 = nodeHash(a, b);
 * checkConsistency({ size1: 2, root1, size2: 3, root2: nodeHash(root1, c), proof });
 */
export function planConsistency(size1: number, size2: number): ProofPlan {
  requireSizes(size1, size2);
  return planRanges(consistencyRanges(size1, size2), size2);
}

/**
 * Plans the root and the frontier of the tree of `size`, from the tiles at its right edge. Bytes are
 * given, and fail, as in `ProofPlan`.
 * @throws Fault `malformed` unless size is a count.
 * @example
 * import { equalBytes, parseCheckpoint, parseNote, planRoot, readTiles } from "counterfoil/tlog";
 *
 * const at = path => fetch(`https://api.example.com/.well-known/audit/main/${path}`);
 * const get = async path => new Uint8Array(await (await at(path)).arrayBuffer());
 * const { size, root } = parseCheckpoint(parseNote(await (await at("checkpoint")).text()).text);
 * const plan = planRoot(size);
 * console.log(equalBytes(plan.root(await readTiles(get, plan.tiles)), root)); // true
 */
export function planRoot(size: number): {
  readonly tiles: readonly Tile[];
  root(data: readonly Uint8Array[]): Hash;
  frontier(data: readonly Uint8Array[]): Frontier;
} {
  requireCount(size, "tree size");
  const subtrees = completeSubtrees([0, size]);
  const tiles = tilesOf(subtrees, size);
  const frontier = (data: readonly Uint8Array[]): Frontier => {
    const hashAt = hashesIn(tiles, data);
    return { size, hashes: subtrees.map(subtree => subtreeHash(subtree, hashAt)) };
  };
  return { tiles, frontier, root: data => rootOf(frontier(data)) };
}

function planRanges(ranges: readonly Range[], size: number): ProofPlan {
  const parts = ranges.map(completeSubtrees);
  const tiles = tilesOf(parts.flat(), size);
  return {
    tiles,
    prove(data) {
      const hashAt = hashesIn(tiles, data);
      return parts.map(subtrees => foldSubtrees(subtrees.map(subtree => subtreeHash(subtree, hashAt))));
    },
  };
}

// The shape of proofs. RFC 6962 defines a proof as the roots of certain ranges of leaves; which ranges
// follows from the sizes alone. Provers fill the ranges in, checkers fold them up.

/** The leaves from `start` up to, but not including, `end`. */
type Range = readonly [start: number, end: number];

/** The ranges of PATH(index, D[size]): the siblings on the way from the leaf up to the root. */
function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      ranges.push([middle, end]);
      end = middle;
    } else {
      ranges.push([start, middle]);
      start = middle;
    }
  }
  return ranges.reverse();
}

/**
 * The ranges of PROOF(size1, D[size2]), 0 <= size1 <= size2: what is needed beside the subtree that ends
 * at size1. That subtree comes first, unless it is the whole old tree, whose root the checker has.
 */
function consistencyRanges(size1: number, size2: number): Range[] {
  if (size1 === 0) return [];
  const ranges: Range[] = [];
  let [start, end] = [0, size2];
  while (end !== size1) {
    const middle = start + splitPoint(end - start);
    if (size1 <= middle) {
      ranges.push([middle, end]);
      end = middle;
    } else {
      ranges.push([start, middle]);
      start = middle;
    }
  }
  if (start > 0) ranges.push([start, end]);
  return ranges.reverse();
}

/** Where RFC 6962 splits a list of n > 1 leaves: at the largest power of two smaller than n. */
function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The complete subtree over the leaves [n * 2^height, (n + 1) * 2^height). */
interface Subtree {
  readonly height: number;
  readonly n: number;
}

/** The complete subtrees that make up a range of a proof, largest first. */
function completeSubtrees([start, end]: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  let height = Math.ceil(Math.log2(Number.MAX_SAFE_INTEGER));
  for (let at = start; at < end; at += 2 ** height) {
    while (2 ** height > end - at) height--;
    subtrees.push({ height, n: at / 2 ** height });
  }
  return subtrees;
}

/** The root over adjacent complete subtrees, at least one, largest first. */
function foldSubtrees(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

type HashAt = (level: number, n: number) => Hash;

/** The hash of a complete subtree, from the tile hashes at or below its height. */
function subtreeHash({ height, n }: Subtree, hashAt: HashAt): Hash {
  if (height % TILE_HEIGHT === 0) return hashAt(height / TILE_HEIGHT, n);
  return nodeHash(
    subtreeHash({ height: height - 1, n: 2 * n }, hashAt),
    subtreeHash({ height: height - 1, n: 2 * n + 1 }, hashAt),
  );
}

/** The tiles of a tree of `size` that hold the hashes of subtrees, each once. */
function tilesOf(subtrees: readonly Subtree[], size: number): Tile[] {
  const tiles = new Map<string, Tile>();
  for (const { height, n } of subtrees) {
    const level = Math.floor(height / TILE_HEIGHT);
    const first = n * 2 ** (height % TILE_HEIGHT);
    const tile = tileAt(level, Math.floor(first / TILE_WIDTH), size)!;
    tiles.set(tileName(tile.level, tile.n), tile);
  }
  return [...tiles.values()];
}

/** Looks up hashes in the bytes of tiles. */
function hashesIn(tiles: readonly Tile[], data: readonly Uint8Array[]): HashAt {
  const hashes = new Map<string, Hash[]>();
  for (const [i, tile] of tiles.entries()) {
    const bytes = data[i];
    if (bytes === undefined) throw new Fault("malformed", `${formatTilePath(tile)}: no bytes given`);
    hashes.set(tileName(tile.level, tile.n), tileHashes(tile, bytes));
  }
  return (level, n) => hashes.get(tileName(level, Math.floor(n / TILE_WIDTH)))![n % TILE_WIDTH]!;
}

function tileName(level: Tile["level"], n: number): string {
  return `${level}/${n}`;
}

function requireSizes(size1: number, size2: number): void {
  requireCount(size1, "older tree size");
  requireCount(size2, "newer tree size");
  if (size1 > size2) {
    throw new Fault("malformed", "tree sizes: the older tree is larger than the newer one", {
      expected: `at most ${size2}`,
      found: String(size1),
    });
  }
}

function requireHashes(hashes: readonly Hash[], what: string): void {
  for (const [i, hash] of hashes.entries()) requireHash(hash, `${what}, hash ${i}`);
}
