// The tree of one ledger as its leaves make it, from entry 0 on, or from where an earlier audit has come to. Memory holds
// one unfinished tile for each level.
import { encodeBase64url } from "../tlog/base64.ts";
import { TILE_WIDTH, type Tile, tileAt } from "../tlog/tile.ts";
import { emptyFrontier, extend, type Frontier, HASH_BYTES, type Hash, rootOf } from "../tlog/tree.ts";
import type { LedgerState, Start } from "./state.ts";

/** A tile with the hashes that must stand in it. */
export interface RecomputedTile {
  readonly tile: Tile;
  readonly hashes: readonly Hash[];
}

export class RecomputedTree {
  #frontier: Frontier;
  #head: Hash;
  /** The last leaf of the last full block. */
  #blockEnd: Hash;
  /** The hashes of the tile that is being filled, by level. */
  readonly #edges: Hash[][];

  /** @param start a tree of full blocks to go on from. */
  constructor(start?: Start) {
    const { frontier = emptyFrontier(), edges = [], head = new Uint8Array(HASH_BYTES) } = start ?? {};
    this.#frontier = frontier;
    this.#edges = edges.map(hashes => [...hashes]);
    this.#head = head;
    this.#blockEnd = head;
  }

  get frontier(): Frontier {
    return this.#frontier;
  }

  get size(): number {
    return this.#frontier.size;
  }

  get root(): Hash {
    return rootOf(this.#frontier);
  }

  /** The newest leaf; before the first, what entry 0 names as the one before it. */
  get head(): Hash {
    return this.#head;
  }

  /** The full blocks of the tree, as a state keeps them to go on from. */
  blocks(): Pick<LedgerState, "edge" | "head"> {
    const edge = this.#edges.slice(1).map(hashes => hashes.map(encodeBase64url));
    return { edge, head: encodeBase64url(this.#blockEnd) };
  }

  /** Takes in leaves that follow. @returns the tiles above the leaves that are full by that. */
  grow(leaves: readonly Hash[]): RecomputedTile[] {
    const filled: RecomputedTile[] = [];
    const add = (level: number, n: number, hash: Hash) => {
      const hashes = this.#edges[level] ?? [];
      hashes.push(hash);
      const isFull = hashes.length === TILE_WIDTH;
      this.#edges[level] = isFull ? [] : hashes;
      if (!isFull || level === 0) return;
      filled.push({ tile: { level, n: Math.floor(n / TILE_WIDTH), width: TILE_WIDTH }, hashes });
    };
    for (const [i, leaf] of leaves.entries()) add(0, this.#frontier.size + i, leaf);
    this.#frontier = extend(this.#frontier, leaves, add);
    this.#head = leaves.at(-1)!;
    if (this.#frontier.size % TILE_WIDTH === 0) this.#blockEnd = this.#head;
    return filled;
  }

  /** The partial tiles of the tree of `size`, which is the one that it has come to. */
  edgesAt(size: number): RecomputedTile[] {
    return this.#edges.flatMap((hashes, level) => {
      const tile = tileAt(level, Math.floor(size / TILE_WIDTH ** (level + 1)), size);
      return tile === undefined ? [] : [{ tile, hashes }];
    });
  }
}
