// RFC 6962 section 2.1, transcribed line by line: the tree that every other tree here is compared with.
// It shares nothing with src/. It recurses exactly as the RFC writes it; the one liberty taken is that
// the hash of a complete, aligned subtree is remembered per list of leaves, so that many proofs over
// the same long list stay quick.

import { createHash } from "node:crypto";

type Bytes = Uint8Array;

function sha256(...parts: readonly Bytes[]): Bytes {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** MTH({d(0)}) = SHA-256(0x00 || d(0)). */
export function leafHash(entry: Bytes): Bytes {
  return sha256(Uint8Array.of(0), entry);
}

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Bytes, right: Bytes): Bytes {
  return sha256(Uint8Array.of(1), left, right);
}

/** MTH({}) = SHA-256(). */
export function emptyRoot(): Bytes {
  return sha256();
}

/** The largest power of two smaller than n ("k < n <= 2k"), for n > 1. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

const remembered = new WeakMap<readonly Bytes[], Map<string, Bytes>>();

/** MTH(D[from:to]) over leaf hashes. */
function hashOfRange(leaves: readonly Bytes[], from: number, to: number): Bytes {
  const n = to - from;
  if (n === 0) return emptyRoot();
  if (n === 1) return leaves[from]!;
  let memory = remembered.get(leaves);
  if (memory === undefined) {
    memory = new Map();
    remembered.set(leaves, memory);
  }
  const name = `${from}:${to}`;
  const known = memory.get(name);
  if (known !== undefined) return known;
  const k = split(n);
  const hash = nodeHash(hashOfRange(leaves, from, from + k), hashOfRange(leaves, from + k, to));
  if (k * 2 === n) memory.set(name, hash);
  return hash;
}

/** PATH(m, D[from:to]), with m counted from `from` (section 2.1.1). */
function pathInRange(m: number, leaves: readonly Bytes[], from: number, to: number): Bytes[] {
  const n = to - from;
  if (n === 1) return [];
  const k = split(n);
  return m < k
    ? [...pathInRange(m, leaves, from, from + k), hashOfRange(leaves, from + k, to)]
    : [...pathInRange(m - k, leaves, from + k, to), hashOfRange(leaves, from, from + k)];
}

/** SUBPROOF(m, D[from:to], b) (section 2.1.2). */
function subproof(m: number, leaves: readonly Bytes[], from: number, to: number, b: boolean): Bytes[] {
  const n = to - from;
  if (m === n) return b ? [] : [hashOfRange(leaves, from, to)];
  const k = split(n);
  return m <= k
    ? [...subproof(m, leaves, from, from + k, b), hashOfRange(leaves, from + k, to)]
    : [...subproof(m - k, leaves, from + k, to, false), hashOfRange(leaves, from, from + k)];
}

/** MTH over leaf hashes. Do not change the array afterwards: subtree hashes are remembered for it. */
export function mthOfLeaves(leaves: readonly Bytes[]): Bytes {
  return hashOfRange(leaves, 0, leaves.length);
}

/** MTH(D[from:to]) over leaf hashes, for the hashes of tiles. */
export function mthOfRange(leaves: readonly Bytes[], from: number, to: number): Bytes {
  if (!(0 <= from && from <= to && to <= leaves.length)) throw new RangeError(`no leaves ${from}:${to}`);
  return hashOfRange(leaves, from, to);
}

/** PATH(m, D[0:size]) over leaf hashes, for 0 <= m < size. `size` defaults to all leaves. */
export function pathOfLeaves(m: number, leaves: readonly Bytes[], size = leaves.length): Bytes[] {
  if (!(0 <= m && m < size && size <= leaves.length))
    throw new RangeError(`no leaf ${m} in a tree of ${size}`);
  return pathInRange(m, leaves, 0, size);
}

/**
 * PROOF(m, D[0:size]) over leaf hashes: that the tree of `size` extends the tree of its first m leaves.
 * The RFC defines it for 0 < m <= size; m = 0 gives the empty proof (the empty tree is in every tree).
 */
export function proofOfLeaves(m: number, leaves: readonly Bytes[], size = leaves.length): Bytes[] {
  if (!(0 <= m && m <= size && size <= leaves.length))
    throw new RangeError(`no tree of ${m} in one of ${size}`);
  return m === 0 ? [] : subproof(m, leaves, 0, size, true);
}

/** MTH(D). */
export function mth(entries: readonly Bytes[]): Bytes {
  return mthOfLeaves(entries.map(leafHash));
}

/** PATH(m, D). */
export function path(m: number, entries: readonly Bytes[]): Bytes[] {
  return pathOfLeaves(m, entries.map(leafHash));
}

/** PROOF(m, D). */
export function proof(m: number, entries: readonly Bytes[]): Bytes[] {
  return proofOfLeaves(m, entries.map(leafHash));
}
