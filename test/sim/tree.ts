// A plain, growing RFC 6962 tree that forgets nothing: the hash of every complete subtree, by height. It is
// what the checker compares everything with, and is itself compared with test/reference/rfc6962.ts.
import { hash } from "node:crypto";

type Bytes = Uint8Array;

export function leafHash(entry: string): Bytes {
  return hash("sha256", `\0${entry}`, "buffer");
}

export class PlainTree {
  /** Of the complete subtrees of 2^height leaves, from left to right. */
  readonly #heights: Bytes[][] = [[]];

  get size(): number {
    return this.#heights[0]!.length;
  }

  get leaves(): readonly Bytes[] {
    return this.#heights[0]!;
  }

  add(leaf: Bytes): void {
    this.#heights[0]!.push(leaf);
    for (let height = 0; this.#heights[height]!.length % 2 === 0; height++) {
      const [left, right] = this.#heights[height]!.slice(-2) as [Bytes, Bytes];
      this.#heights[height + 1] ??= [];
      this.#heights[height + 1]!.push(nodeHash(left, right));
    }
  }

  /** The hashes [from, to) of the complete subtrees of 2^height leaves. */
  subtrees(height: number, from: number, to: number): Bytes[] {
    return this.#heights[height]?.slice(from, to) ?? [];
  }

  /** The roots of the complete subtrees that the first `size` leaves consist of, from left to right. */
  edge(size: number): Bytes[] {
    const roots: Bytes[] = [];
    let start = 0;
    for (let height = this.#heights.length - 1; height >= 0; height--) {
      const span = 2 ** height;
      if (start + span > size) continue;
      roots.push(this.#heights[height]![start / span]!);
      start += span;
    }
    return roots;
  }

  /** The root of the first `size` leaves. */
  root(size: number): Bytes {
    const roots = this.edge(size);
    let root = roots.pop() ?? hash("sha256", new Uint8Array(), "buffer");
    while (roots.length > 0) root = nodeHash(roots.pop()!, root);
    return root;
  }
}

const NODE_PREFIX = Uint8Array.of(1);

function nodeHash(left: Bytes, right: Bytes): Bytes {
  return hash("sha256", Buffer.concat([NODE_PREFIX, left, right]), "buffer");
}
