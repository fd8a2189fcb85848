// Vectors of inclusion and consistency proofs (RFC 6962 section 2.1), and of tiles and entry bundles
// (C2SP tlog-tiles, 2026-02-05).

import { bundle, concat, hex, sha256, tileBytes, tilePath, tilesOfTree, utf8 } from "../note.ts";
import { emptyRoot, nodeHash, pathOfLeaves, proofOfLeaves } from "../rfc6962.ts";
import { accepted, type Case, type JsonObject, refused, repeated } from "./case.ts";
import { entry, leaves, rootAt } from "./ledger.ts";

type Bytes = Uint8Array;

/** A hash that stands for a subtree which is too large to be hashed here. */
function standIn(label: string | number): Bytes {
  return sha256(utf8(`subtree ${label}`));
}

function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

// Inclusion

interface Inclusion {
  readonly index: number;
  readonly size: number;
  readonly leaf: Bytes;
  readonly root: Bytes;
  readonly proof: readonly Bytes[];
}

function inclusion(index: number, size: number): Inclusion {
  return {
    index,
    size,
    leaf: leaves(size)[index]!,
    root: rootAt(size),
    proof: pathOfLeaves(index, leaves(size)),
  };
}

/** A proof in a tree of any size: made-up subtrees, and the root that follows from them (section 2.1.1). */
function inclusionInHugeTree(index: number, size: number): Inclusion {
  const leaf = standIn("leaf");
  const proof: Bytes[] = [];
  const root = (m: number, n: number): Bytes => {
    if (n === 1) return leaf;
    const k = split(n);
    const below = m < k ? root(m, k) : root(m - k, n - k);
    const beside = standIn(proof.length);
    proof.push(beside);
    return m < k ? nodeHash(below, beside) : nodeHash(beside, below);
  };
  return { index, size, leaf, root: root(index, size), proof };
}

function claim(inclusion: Inclusion, changes: Partial<Inclusion> = {}): JsonObject {
  const { index, size, leaf, root, proof } = { ...inclusion, ...changes };
  return { index, size, leaf: hex(leaf), root: hex(root), proof: proof.map(hex) };
}

function included(name: string, description: string, made: Inclusion): Case {
  return accepted(name, description, claim(made));
}

function notIncluded(name: string, description: string, made: Inclusion, changes: Partial<Inclusion>): Case {
  return refused(name, "not-included", description, claim(made, changes));
}

function noClaim(name: string, description: string, changes: Partial<Inclusion>): Case {
  return refused(name, "malformed", description, claim(FIFTH, changes));
}

const FIFTH = inclusion(5, 11);
const HUGE = inclusionInHugeTree(2 ** 32 + 3, 2 ** 40 + 7);

function swapped<T>(list: readonly T[], a: number, b: number): T[] {
  return list.map((item, at) => (at === a ? list[b]! : at === b ? list[a]! : item));
}

export const inclusionCases: readonly Case[] = [
  included("only-leaf", "The only leaf of a tree is its root.", inclusion(0, 1)),
  included("first-of-two", "The first of two leaves is included.", inclusion(0, 2)),
  included("second-of-two", "The second of two leaves is included.", inclusion(1, 2)),
  included("last-of-three", "A leaf on the shorter side of an unbalanced tree is included.", inclusion(2, 3)),
  included("inside-unbalanced", "A leaf inside an unbalanced tree is included.", FIFTH),
  included("last-of-unbalanced", "The last leaf of an unbalanced tree is included.", inclusion(10, 11)),
  included("last-of-balanced", "The last leaf of a balanced tree is included.", inclusion(255, 256)),
  included("first-after-balanced", "The leaf after a full tile is included.", inclusion(256, 257)),
  included("middle-of-thousand", "A leaf in the middle of a thousand is included.", inclusion(617, 1000)),
  included(
    "size-2-to-31-plus-1",
    "A leaf at index 2^31 is included.",
    inclusionInHugeTree(2 ** 31, 2 ** 31 + 1),
  ),
  included(
    "size-2-to-32",
    "The last leaf of a tree of 2^32 is included.",
    inclusionInHugeTree(2 ** 32 - 1, 2 ** 32),
  ),
  included("size-beyond-2-to-40", "A leaf above index 2^32 is included.", HUGE),
  included(
    "size-largest-safe",
    "The last leaf of the largest tree is included.",
    inclusionInHugeTree(2 ** 53 - 2, 2 ** 53 - 1),
  ),
  included(
    "size-largest-safe-first-leaf",
    "The first leaf of the largest tree is included.",
    inclusionInHugeTree(0, 2 ** 53 - 1),
  ),
  notIncluded("leaf-altered", "Another leaf is not included.", FIFTH, { leaf: leaves(11)[6]! }),
  notIncluded("root-altered", "The leaf is not included under another root.", FIFTH, { root: rootAt(10) }),
  notIncluded("index-one-less", "The leaf is not included at the index before.", FIFTH, { index: 4 }),
  notIncluded("index-one-more", "The leaf is not included at the index after.", FIFTH, { index: 6 }),
  notIncluded("index-plus-2-to-32", "The leaf is not included at an index that differs by 2^32.", HUGE, {
    index: 3,
  }),
  notIncluded(
    "size-plus-2-to-32",
    "The leaf is not included in a tree whose size differs by 2^32.",
    inclusion(5, 11),
    { size: 2 ** 32 + 11 },
  ),
  notIncluded("index-at-size", "An index equal to the size is not included.", FIFTH, { index: 11 }),
  notIncluded("index-beyond-size", "An index beyond the size is not included.", FIFTH, { index: 4096 }),
  notIncluded("empty-tree", "Nothing is included in the empty tree.", FIFTH, {
    index: 0,
    size: 0,
    proof: [],
    root: emptyRoot(),
  }),
  notIncluded(
    "empty-tree-leaf-as-root",
    "A leaf is not included in the empty tree, even as its root.",
    FIFTH,
    { index: 0, size: 0, proof: [], root: FIFTH.leaf },
  ),
  notIncluded("hash-missing-at-end", "A proof without its last hash is refused.", FIFTH, {
    proof: FIFTH.proof.slice(0, -1),
  }),
  notIncluded("hash-missing-at-start", "A proof without its first hash is refused.", FIFTH, {
    proof: FIFTH.proof.slice(1),
  }),
  notIncluded("hash-extra-at-end", "A proof with a hash behind it is refused.", FIFTH, {
    proof: [...FIFTH.proof, FIFTH.root],
  }),
  notIncluded("hash-extra-at-start", "A proof with a hash before it is refused.", FIFTH, {
    proof: [FIFTH.leaf, ...FIFTH.proof],
  }),
  notIncluded("hash-extra-for-only-leaf", "The only leaf of a tree needs no hash.", inclusion(0, 1), {
    proof: [FIFTH.leaf],
  }),
  notIncluded("hash-extra-folded-in", "A root that was made with one hash too many is refused.", FIFTH, {
    proof: [...FIFTH.proof, FIFTH.leaf],
    root: nodeHash(FIFTH.leaf, FIFTH.root),
  }),
  notIncluded("hashes-swapped", "A proof with two hashes swapped is refused.", FIFTH, {
    proof: swapped(FIFTH.proof, 0, 1),
  }),
  notIncluded("hashes-reversed", "A proof from the root down is refused.", FIFTH, {
    proof: FIFTH.proof.toReversed(),
  }),
  notIncluded("proof-empty", "A proof without hashes is refused in a larger tree.", FIFTH, { proof: [] }),
  notIncluded(
    "proof-empty-leaf-as-root",
    "A leaf that equals the root is not included in a larger tree.",
    FIFTH,
    { proof: [], leaf: FIFTH.root },
  ),
  notIncluded("proof-of-other-leaf", "The proof of another leaf is refused.", FIFTH, {
    proof: inclusion(7, 11).proof,
  }),
  notIncluded("proof-of-other-size", "The proof from a larger tree is refused.", FIFTH, {
    proof: inclusion(5, 12).proof,
  }),
  notIncluded("inner-node-as-leaf", "An inner node is not a leaf at the index of its subtree.", FIFTH, {
    index: 2,
    leaf: nodeHash(leaves(11)[4]!, leaves(11)[5]!),
    proof: FIFTH.proof.slice(1),
  }),
  noClaim("index-negative", "A negative index is no index.", { index: -1 }),
  noClaim("index-fractional", "A fraction is no index.", { index: 5.5 }),
  noClaim("index-not-safe", "A number that is not exact is no index.", { index: 2 ** 53, size: 2 ** 53 }),
  noClaim("size-negative", "A negative size is no size.", { size: -11 }),
  noClaim("size-fractional", "A fraction is no size.", { size: 11.5 }),
  noClaim("size-not-safe", "A number that is not exact is no size.", { size: 2 ** 53 }),
  noClaim("leaf-of-31-bytes", "A leaf hash has 32 bytes.", { leaf: FIFTH.leaf.subarray(1) }),
  noClaim("root-of-33-bytes", "A root has 32 bytes.", { root: concat(FIFTH.root, Uint8Array.of(0)) }),
  noClaim("hash-of-31-bytes", "Every hash of a proof has 32 bytes.", {
    proof: [FIFTH.proof[0]!.subarray(1), ...FIFTH.proof.slice(1)],
  }),
  noClaim("hashes-of-64-and-0-bytes", "Bytes must not move from one hash of a proof to another.", {
    proof: [concat(FIFTH.proof[0]!, FIFTH.proof[1]!), new Uint8Array(), ...FIFTH.proof.slice(2)],
  }),
];

// Consistency

interface Consistency {
  readonly size1: number;
  readonly root1: Bytes;
  readonly size2: number;
  readonly root2: Bytes;
  readonly proof: readonly Bytes[];
}

function consistency(size1: number, size2: number): Consistency {
  return {
    size1,
    root1: rootAt(size1),
    size2,
    root2: rootAt(size2),
    proof: proofOfLeaves(size1, leaves(size2)),
  };
}

/** A proof between trees of any size: made-up subtrees, and the roots that follow (section 2.1.2). */
function consistencyOfHugeTrees(size1: number, size2: number): Consistency {
  const proof: Bytes[] = [];
  const given = standIn("first root");
  /** The root of the first m leaves and of all n; SUBPROOF's hashes go to `proof` on the way up. */
  const roots = (m: number, n: number, b: boolean): [Bytes, Bytes] => {
    if (m === n) {
      if (b) return [given, given];
      const hash = standIn(proof.length);
      proof.push(hash);
      return [hash, hash];
    }
    const k = split(n);
    const [first, second] = m <= k ? roots(m, k, b) : roots(m - k, n - k, false);
    const beside = standIn(proof.length);
    proof.push(beside);
    return m <= k ? [first, nodeHash(second, beside)] : [nodeHash(beside, first), nodeHash(beside, second)];
  };
  const [root1, root2] = roots(size1, size2, true);
  return { size1, root1, size2, root2, proof };
}

function heads(made: Consistency, changes: Partial<Consistency> = {}): JsonObject {
  const { size1, root1, size2, root2, proof } = { ...made, ...changes };
  return { size1, root1: hex(root1), size2, root2: hex(root2), proof: proof.map(hex) };
}

function consistent(name: string, description: string, made: Consistency): Case {
  return accepted(name, description, heads(made));
}

function forked(name: string, description: string, made: Consistency, changes: Partial<Consistency>): Case {
  return refused(name, "forked", description, heads(made, changes));
}

function noHeads(name: string, description: string, made: Consistency, changes: Partial<Consistency>): Case {
  return refused(name, "malformed", description, heads(made, changes));
}

const GROWN = consistency(6, 11);
const DOUBLED = consistency(4, 8);
const SAME = consistency(7, 7);
const HUGE_GROWN = consistencyOfHugeTrees(2 ** 31 + 1, 2 ** 40 + 7);
const OTHER_HASH = standIn("other");

export const consistencyCases: readonly Case[] = [
  consistent("grown", "A tree extends its first six leaves.", GROWN),
  consistent("grown-by-one", "A tree extends the tree without its last leaf.", consistency(10, 11)),
  consistent("grown-from-one", "A tree extends its first leaf.", consistency(1, 11)),
  consistent(
    "grown-from-power-of-two",
    "A tree extends its complete left half, whose root the proof leaves out.",
    DOUBLED,
  ),
  consistent("grown-to-power-of-two", "A balanced tree extends a smaller one.", consistency(7, 16)),
  consistent("grown-past-tile", "A tree extends its first full tile.", consistency(256, 257)),
  consistent("grown-to-thousand", "A tree of a thousand extends a part of it.", consistency(617, 1000)),
  consistent("same", "A tree is consistent with itself, without a hash.", SAME),
  consistent("from-empty", "Every tree extends the empty tree, without a hash.", consistency(0, 11)),
  consistent("both-empty", "The empty tree is consistent with itself.", consistency(0, 0)),
  consistent(
    "size-2-to-32",
    "A tree above 2^32 extends one of 2^32.",
    consistencyOfHugeTrees(2 ** 32, 2 ** 32 + 1),
  ),
  consistent("size-beyond-2-to-40", "A tree above 2^40 extends one above 2^31.", HUGE_GROWN),
  consistent(
    "size-largest-safe",
    "The largest tree extends the one without its last leaf.",
    consistencyOfHugeTrees(2 ** 53 - 2, 2 ** 53 - 1),
  ),
  forked("first-root-altered", "A tree does not extend another first root.", GROWN, { root1: rootAt(5) }),
  forked("second-root-altered", "Another second root does not extend the first.", GROWN, {
    root2: rootAt(10),
  }),
  forked(
    "first-root-altered-power-of-two",
    "Another first root is noticed where the proof leaves it out.",
    DOUBLED,
    { root1: OTHER_HASH },
  ),
  forked("roots-swapped", "Roots that are swapped are noticed.", GROWN, {
    root1: GROWN.root2,
    root2: GROWN.root1,
  }),
  forked("same-size-other-root", "Two roots of one size are a fork.", SAME, { root2: OTHER_HASH }),
  noHeads("from-empty-other-root", "The empty tree has one root.", consistency(0, 11), { root1: OTHER_HASH }),
  noHeads("both-empty-other-root", "Two empty trees have the same root.", consistency(0, 0), {
    root1: OTHER_HASH,
    root2: OTHER_HASH,
  }),
  forked("first-size-altered", "The first size is part of what is proven.", consistency(3, 11), { size1: 5 }),
  forked("huge-hash-altered", "A proof between huge trees with an altered hash is refused.", HUGE_GROWN, {
    proof: [OTHER_HASH, ...HUGE_GROWN.proof.slice(1)],
  }),
  forked("hash-altered", "A proof with an altered hash is refused.", GROWN, {
    proof: [OTHER_HASH, ...GROWN.proof.slice(1)],
  }),
  forked("last-hash-altered", "A proof with its last hash altered is refused.", GROWN, {
    proof: [...GROWN.proof.slice(0, -1), OTHER_HASH],
  }),
  forked("hashes-swapped", "A proof with two hashes swapped is refused.", GROWN, {
    proof: swapped(GROWN.proof, 0, 1),
  }),
  noHeads("hash-missing", "A proof without its last hash proves nothing.", GROWN, {
    proof: GROWN.proof.slice(0, -1),
  }),
  noHeads("hash-extra", "A proof with a hash behind it proves nothing.", GROWN, {
    proof: [...GROWN.proof, OTHER_HASH],
  }),
  noHeads(
    "hash-extra-at-start",
    "A proof that names the first root where it must not proves nothing.",
    DOUBLED,
    { proof: [DOUBLED.root1, ...DOUBLED.proof] },
  ),
  noHeads("proof-empty", "A proof without hashes proves nothing between two sizes.", GROWN, { proof: [] }),
  noHeads("proof-empty-same-root", "One root for two sizes needs a proof all the same.", GROWN, {
    root1: GROWN.root2,
    proof: [],
  }),
  noHeads("same-size-with-proof", "Two trees of one size need no hash.", SAME, { proof: [OTHER_HASH] }),
  noHeads("from-empty-with-proof", "The empty tree needs no hash.", consistency(0, 11), {
    proof: [rootAt(11)],
  }),
  noHeads("first-size-larger", "The first tree must not be larger than the second.", GROWN, {
    size1: GROWN.size2,
    root1: GROWN.root2,
    size2: GROWN.size1,
    root2: GROWN.root1,
  }),
  noHeads("first-size-negative", "A negative size is no size.", GROWN, { size1: -6 }),
  noHeads("first-size-fractional", "A fraction is no size.", GROWN, { size1: 6.5 }),
  noHeads("second-size-not-safe", "A number that is not exact is no size.", GROWN, { size2: 2 ** 53 }),
  noHeads("hash-of-31-bytes", "Every hash of a proof has 32 bytes.", GROWN, {
    proof: [GROWN.proof[0]!.subarray(1), ...GROWN.proof.slice(1)],
  }),
  noHeads("first-root-of-31-bytes", "A root has 32 bytes.", GROWN, { root1: GROWN.root1.subarray(1) }),
];

// Tiles

function path(
  caseName: string,
  description: string,
  level: number | "entries",
  n: number,
  width: number,
): Case {
  return accepted(caseName, description, { path: tilePath(level, n, width) }, { level, n, width });
}

function noPath(name: string, description: string, text: string): Case {
  return refused(name, "malformed", description, { path: text });
}

/** What a publisher must write to go from one size to the next: the one tree's tiles without the other's. */
function between(name: string, description: string, oldSize: number, newSize: number): Case {
  const old = new Set(tilesOfTree(oldSize));
  const paths = tilesOfTree(newSize).filter(path => !old.has(path));
  return accepted(name, description, { old_size: oldSize, new_size: newSize }, { paths: paths.toSorted() });
}

function standing(
  name: string,
  description: string,
  size: number,
  level: number,
  n: number,
  width: number,
): Case {
  const path = width === 0 ? null : tilePath(level, n, width);
  return accepted(name, description, { size, level, n }, { path });
}

const THREE = tileBytes(leaves(3), 0, 0, 3);

export const tileCases: readonly Case[] = [
  path("path-first", "The first tile's path is read.", 0, 0, 256),
  path("path-one-element", "The last tile of one path element is read.", 0, 999, 256),
  path("path-two-elements", "All path elements but the last begin with an x.", 1, 1000, 256),
  path("path-three-elements", "A path of three elements is read.", 0, 1234067, 256),
  path("path-beyond-32-bits", "A tile number above 2^32 is read exactly.", 0, 2 ** 40 + 1, 256),
  path("path-width-1", "The narrowest partial tile is read.", 2, 0, 1),
  path("path-width-255", "The widest partial tile is read.", 0, 1234067, 255),
  path("path-entries", "An entry bundle's path is read.", "entries", 273, 112),
  path("path-entries-full", "A full entry bundle's path is read.", "entries", 1000, 256),
  path("path-level-63", "The highest level of the specification is read.", 63, 0, 256),
  noPath("path-level-64", "A level above 63 is refused.", "tile/64/000"),
  noPath("path-level-leading-zero", "A level with a leading zero is refused.", "tile/00/000"),
  noPath("path-level-negative", "A negative level is refused.", "tile/-1/000"),
  noPath("path-level-empty", "An empty level is refused.", "tile//000"),
  noPath("path-level-uppercase", "The word entries is lowercase.", "tile/Entries/000"),
  noPath("path-level-other-word", "No other word stands for a level.", "tile/data/000"),
  noPath("path-n-missing", "The tile number must be there.", "tile/0"),
  noPath("path-n-empty", "The tile number must not be empty.", "tile/0/"),
  noPath("path-n-not-padded", "A path element has three digits.", "tile/0/1"),
  noPath("path-n-four-digits", "A path element does not have four digits.", "tile/0/1000"),
  noPath(
    "path-n-leading-zeros",
    "A first element of zeros is a second path of the same tile.",
    "tile/0/x000/001",
  ),
  noPath("path-x-missing", "Every element but the last begins with an x.", "tile/0/001/234"),
  noPath("path-x-uppercase", "The x is lowercase.", "tile/0/X001/234"),
  noPath("path-x-on-last", "The last element has no x.", "tile/0/x001/x234"),
  noPath("path-x-on-only", "The only element has no x.", "tile/0/x001"),
  noPath(
    "path-n-not-safe",
    "A tile number that a number cannot hold exactly is refused, not rounded.",
    "tile/0/x009/x007/x199/x254/x740/993",
  ),
  noPath("path-n-many-elements", "A path of many elements is refused.", `tile/0/${"x999/".repeat(200)}999`),
  noPath("path-n-in-other-digits", "Digits are ASCII.", "tile/0/\u0660\u0660\u0661"),
  noPath("path-width-0", "An empty tile does not exist.", "tile/0/000.p/0"),
  noPath("path-width-256", "A full tile has no width.", "tile/0/000.p/256"),
  noPath("path-width-leading-zero", "A width with a leading zero is refused.", "tile/0/000.p/01"),
  noPath("path-width-empty", "A width must be there.", "tile/0/000.p/"),
  noPath("path-width-missing", "The suffix needs its width.", "tile/0/000.p"),
  noPath("path-width-negative", "A negative width is refused.", "tile/0/000.p/-1"),
  noPath("path-width-uppercase", "The suffix is lowercase.", "tile/0/000.P/1"),
  noPath("path-width-twice", "The suffix stands there once.", "tile/0/000.p/1.p/1"),
  noPath("path-width-within", "The suffix belongs at the end.", "tile/0/x001.p/1/000"),
  noPath("path-slash-first", "A path does not begin with a slash.", "/tile/0/000"),
  noPath("path-slash-last", "A path does not end in a slash.", "tile/0/000/"),
  noPath("path-slash-twice", "Slashes are single.", "tile/0//000"),
  noPath("path-dots", "A path has no parent elements.", "tile/0/../0/000"),
  noPath("path-newline-last", "Nothing may follow the path.", "tile/0/000\n"),
  noPath("path-query", "A path has no query.", "tile/0/000?"),
  noPath("path-other-prefix", "A path begins with tile.", "tiles/0/000"),
  noPath("path-empty", "Nothing is no path.", ""),
  accepted(
    "hashes",
    "A tile's bytes are its hashes.",
    { path: tilePath(0, 0, 3), data: hex(THREE) },
    { hashes: leaves(3).map(hex) },
  ),
  accepted(
    "hashes-at-level-1",
    "A tile at level 1 holds the hashes of full tiles below.",
    { path: tilePath(1, 0, 2), data: hex(tileBytes(leaves(512), 1, 0, 2)) },
    { hashes: [hex(rootAt(256)), hex(tileBytes(leaves(512), 1, 0, 2).subarray(32))] },
  ),
  refused("data-one-byte-short", "malformed", "A tile that is a byte short is refused.", {
    path: tilePath(0, 0, 3),
    data: hex(THREE.subarray(1)),
  }),
  refused("data-one-hash-short", "malformed", "A tile that is a hash short is refused.", {
    path: tilePath(0, 0, 3),
    data: hex(THREE.subarray(32)),
  }),
  refused("data-one-hash-long", "malformed", "A tile that is a hash too long is refused.", {
    path: tilePath(0, 0, 2),
    data: hex(THREE),
  }),
  refused("data-empty", "malformed", "An empty tile is refused.", { path: tilePath(0, 0, 1), data: "" }),
  refused("data-partial-for-full", "malformed", "A partial tile does not pass for a full one.", {
    path: tilePath(0, 0, 256),
    data: hex(THREE),
  }),
  standing("standing-full", "A tile that the tree has filled is full.", 70_000, 0, 272, 256),
  standing("standing-partial", "The tile at the edge of the tree is partial.", 70_000, 0, 273, 112),
  standing("standing-absent", "A tile beyond the edge of the tree does not exist.", 70_000, 0, 274, 0),
  standing("standing-level-1", "The tile at the edge of level 1 counts full tiles only.", 70_000, 1, 1, 17),
  standing("standing-level-2", "The tile at the edge of level 2 counts full tiles only.", 70_000, 2, 0, 1),
  standing("standing-level-3-absent", "A level that the tree has not reached has no tile.", 70_000, 3, 0, 0),
  standing("standing-after-full", "After a full tile there is no empty one.", 256, 0, 1, 0),
  standing("standing-above-full", "A full tile is one hash in the tile above.", 256, 1, 0, 1),
  standing("standing-empty-tree", "The empty tree has no tile.", 0, 0, 0, 0),
  standing("standing-before-first", "There is no tile before the first.", 70_000, 0, -1, 0),
  standing("standing-beyond-32-bits", "The edge of a tree above 2^40 is found.", 2 ** 40 + 7, 0, 2 ** 32, 7),
  between("between-first-entry", "The first entry makes a bundle and a tile.", 0, 1),
  between("between-partial", "A partial tile that grows is written again.", 1, 5),
  between("between-fills-tile", "A tile that fills up adds a hash to the level above.", 255, 256),
  between("between-starts-tile", "The entry after a full tile leaves the level above alone.", 256, 257),
  between("between-passes-tile", "Growing past a full tile writes it, and the next partial one.", 250, 260),
  between("between-fills-level-1", "A full tile at level 1 adds a hash to level 2.", 65_535, 65_536),
  between(
    "between-starts-level-1",
    "The entry after a full level 1 leaves the levels above alone.",
    65_536,
    65_537,
  ),
  between("between-same", "A tree that did not grow needs nothing.", 70_000, 70_000),
  between(
    "between-at-seventy-thousand",
    "The specification's example tree gains its last entry.",
    69_999,
    70_000,
  ),
  refused("between-shrinks", "malformed", "A tree does not shrink.", { old_size: 5, new_size: 4 }),
];

// Entry bundles

function decoded(name: string, description: string, entries: readonly Bytes[]): Case {
  return accepted(
    name,
    description,
    { bundle: hex(bundle(entries)), width: entries.length },
    { entries: entries.map(hex) },
  );
}

function undecoded(name: string, description: string, bytes: Bytes | string, width: number): Case {
  return refused(name, "malformed", description, {
    bundle: typeof bytes === "string" ? bytes : hex(bytes),
    width,
  });
}

const TRIPLE = bundle([entry(0), entry(1), entry(2)]);
const LONGEST = repeated("61", 65_535);

export const bundleCases: readonly Case[] = [
  decoded("one-entry", "A bundle of one entry is read.", [entry(0)]),
  decoded("three-entries", "A bundle of three entries is read.", [entry(0), entry(1), entry(2)]),
  decoded("empty-entry", "An entry may be empty.", [entry(0), new Uint8Array(), entry(2)]),
  decoded("entry-of-256-bytes", "A length above a byte is big-endian.", [new Uint8Array(256).fill(7)]),
  accepted(
    "entry-of-65535-bytes",
    "The longest entry is read.",
    { bundle: ["ffff", LONGEST], width: 1 },
    { entries: [[LONGEST]] },
  ),
  accepted(
    "full",
    "A full bundle is read.",
    { bundle: [repeated("000161", 256)], width: 256 },
    { entries: Array.from({ length: 256 }, () => "61") },
  ),
  undecoded("width-less", "Entries beyond the width are refused.", TRIPLE, 2),
  undecoded("width-more", "Entries missing for the width are refused.", TRIPLE, 4),
  undecoded("width-0", "A bundle is not empty.", "", 0),
  undecoded("width-257", "A bundle has at most 256 entries.", "0000".repeat(257), 257),
  undecoded("width-negative", "A width is not negative.", TRIPLE, -3),
  undecoded("width-fractional", "A width is no fraction.", TRIPLE, 2.5),
  undecoded("trailing-byte", "A byte behind the last entry is refused.", concat(TRIPLE, Uint8Array.of(0)), 3),
  undecoded(
    "trailing-empty-entry",
    "An empty entry behind the last one is refused.",
    concat(TRIPLE, Uint8Array.of(0, 0)),
    3,
  ),
  undecoded("last-entry-short", "A last entry that is a byte short is refused.", TRIPLE.subarray(0, -1), 3),
  undecoded("length-cut-off", "A length that is cut off is refused.", "00", 1),
  undecoded("length-beyond-end", "A length beyond the end is refused.", "ffff61", 1),
  undecoded("length-little-endian", "A little-endian length is refused.", "0100".concat("61"), 1),
  undecoded("length-of-4-bytes", "A length of four bytes is refused.", "0000000161", 1),
  undecoded("empty", "Nothing is no bundle of one entry.", "", 1),
  accepted(
    "encode-three",
    "Three entries are written.",
    { entries: [entry(0), entry(1), entry(2)].map(hex) },
    { bundle: hex(TRIPLE) },
  ),
  accepted(
    "encode-empty-entry",
    "An empty entry is written as its length.",
    { entries: [""] },
    { bundle: "0000" },
  ),
  accepted(
    "encode-65535-bytes",
    "The longest entry is written.",
    { entries: [[LONGEST]] },
    { bundle: ["ffff", LONGEST] },
  ),
  refused("encode-65536-bytes", "too-large", "An entry that is longer than its length can say is refused.", {
    entries: [[repeated("61", 65_536)]],
  }),
  refused("encode-none", "malformed", "A bundle of no entries is refused.", { entries: [] }),
  refused("encode-257-entries", "malformed", "A bundle of 257 entries is refused.", {
    entries: Array.from({ length: 257 }, () => "61"),
  }),
];
