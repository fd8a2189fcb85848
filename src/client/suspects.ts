// What is stored of one ledger beside its leaves, compared with what the leaves make of it. A stored hash that differs is
// only suspect until the next signed root: if that bears the leaves out, the hash was altered; if not, the leaves were.
// So one altered object is named, not all that depend on it.
import { encodeBase64 } from "../tlog/base64.ts";
import { TILE_WIDTH, type Tile, tileAt } from "../tlog/tile.ts";
import { equalBytes, type Hash } from "../tlog/tree.ts";
import type { Findings, Place } from "./findings.ts";
import type { RecomputedTile } from "./recomputed.ts";
import { firstEntry, type SignedTree } from "./signed.ts";
import type { StoredLedger } from "./stored.ts";

/** A stored hash that is not the one recomputed. */
interface Suspect {
  readonly tile: Tile;
  readonly position: number;
  readonly recomputed: Hash;
  readonly stored: Hash;
}

/** A signed root that is not the one recomputed. */
interface Contradiction {
  readonly signed: SignedTree;
  readonly recomputed: Hash;
  readonly place: Place;
}

/** As many undecided contradictions as are worth remembering; they tend to have one cause. */
const PENDING_MAX = 100;

/** How many objects are looked for at once. */
const LOOKS_AT_ONCE = 16;

export class Suspects {
  readonly #stored: StoredLedger;
  readonly #holdsEntries: boolean;
  readonly #findings: Findings;
  #suspects: Suspect[] = [];
  #contradictions: Contradiction[] = [];

  /** @param holdsEntries whether bundles of entries are compared as well. */
  constructor(stored: StoredLedger, holdsEntries: boolean, findings: Findings) {
    this.#stored = stored;
    this.#holdsEntries = holdsEntries;
    this.#findings = findings;
  }

  /** Whether no stored hash is under suspicion. */
  get isEmpty(): boolean {
    return this.#suspects.length === 0;
  }

  /** Compares what is stored of a tile. @param size of the largest signed tree. */
  async compare({ tile, hashes }: RecomputedTile, size: number): Promise<void> {
    const stored = (await this.#stored.read(tile, size)) ?? [];
    const position = stored.findIndex((hash, i) => !equalBytes(hash, hashes[i]!));
    if (position === -1 || this.#suspects.length >= PENDING_MAX) return;
    this.#suspects.push({ tile, position, recomputed: hashes[position]!, stored: stored[position]! });
  }

  /** Compares the partial objects of a signed tree, as far as they must be there. */
  async compareEdges(edges: readonly RecomputedTile[], size: number): Promise<void> {
    for (const edge of this.#withBundles(edges)) {
      if (await this.#isDue(edge.tile, size)) await this.compare(edge, size);
    }
  }

  /** A partial object may be gone once there is a full one; and those of the last block have been read. */
  async #isDue(tile: Tile, size: number): Promise<boolean> {
    const widest = tileAt(tile.level, tile.n, size)!;
    if (widest.width === tile.width) return tile.level !== "entries" && tile.level > 0;
    return widest.width < TILE_WIDTH || (await this.#stored.has(tile));
  }

  /** Partial objects that were published between anchors: not needed any more, but if there, then right. */
  async compareLeftovers(edges: readonly RecomputedTile[], size: number): Promise<void> {
    for (const { tile, hashes } of this.#withBundles(edges)) {
      for (let width = 1; width < tile.width; width += LOOKS_AT_ONCE) {
        const count = Math.min(LOOKS_AT_ONCE, tile.width - width);
        const narrower = Array.from({ length: count }, (_, i) => ({ ...tile, width: width + i }));
        await Promise.all(
          narrower.map(async tile => {
            if (await this.#stored.has(tile)) await this.compare({ tile, hashes }, size);
          }),
        );
      }
    }
  }

  /** The bundle of the last entries has the same leaves as the tile of level 0. */
  #withBundles(edges: readonly RecomputedTile[]): RecomputedTile[] {
    return edges.flatMap(edge => {
      const hasBundle = edge.tile.level === 0 && this.#holdsEntries;
      return hasBundle ? [{ ...edge, tile: { ...edge.tile, level: "entries" } }, edge] : [edge];
    });
  }

  /** Remembers a signed root that the leaves do not make up. */
  contradict(contradiction: Contradiction): void {
    if (this.#contradictions.length < PENDING_MAX) this.#contradictions.push(contradiction);
  }

  /** All leaves so far are signed for: whatever contradicted them is itself wrong. */
  confirm(): void {
    this.#accuse();
    for (const { signed, recomputed, place } of this.#contradictions) {
      const message = `${place.path}: its tree of ${signed.size} entries is not the one that was signed later`;
      this.#findings.add("forked", place, message, {
        expected: encodeBase64(recomputed),
        found: encodeBase64(signed.root),
      });
    }
    this.#contradictions = [];
  }

  /**
   * Settles what no later signed root has.
   * @param confirmed up to which size the leaves are signed for. @param size of the largest signed tree.
   */
  conclude(confirmed: number, size: number): void {
    const [first] = this.#contradictions;
    if (first === undefined) this.#accuse();
    else this.#blame(first, confirmed, size);
  }

  /** Reports the stored hashes that are not those of the leaves. */
  #accuse(): void {
    for (const { tile, position, recomputed, stored } of this.#suspects) {
      const place = this.#stored.place(tile);
      this.#findings.add("tampered", place, `${place.path}: hash ${position} is not that of the entries`, {
        expected: encodeBase64(recomputed),
        found: encodeBase64(stored),
        index: firstEntry(tile, position),
      });
    }
    this.#suspects = [];
  }

  /** No signed root bears the leaves out: says where they were altered, as closely as can be told. */
  #blame({ signed, recomputed, place }: Contradiction, confirmed: number, size: number): void {
    const block = this.#suspectBlock(size);
    const at = block === undefined ? place : this.#stored.place(block);
    const index = Math.max(confirmed, (block?.n ?? 0) * TILE_WIDTH);
    const message = `what is stored from entry ${index} on does not lead to the signed root of ${signed.size}`;
    this.#findings.add("tampered", at, `${at.path}: ${message}`, {
      expected: encodeBase64(signed.root),
      found: encodeBase64(recomputed),
      index,
    });
  }

  /** The block that another tile contradicts; or, when none is contradicted, the one that no tile vouches for. */
  #suspectBlock(size: number): Tile | undefined {
    const suspect = this.#suspects.find(({ tile }) => tile.level === "entries" || tile.level <= 1);
    if (suspect !== undefined) {
      const n = Math.floor(firstEntry(suspect.tile, suspect.position) / TILE_WIDTH);
      return tileAt(this.#holdsEntries ? "entries" : 0, n, size);
    }
    // Entries that agree with their tiles were altered together with them, and nothing tells where.
    return this.#holdsEntries ? undefined : tileAt(0, Math.floor(size / TILE_WIDTH), size);
  }
}
