// The leaves of a ledger, block by block of 256, each read twice: from its entry bundle and from its tile
// of level 0. When the two differ, one of them was altered; the tile above, or the signed root, decides which.
import { encodeBase64 } from "../tlog/base64.ts";
import { TILE_WIDTH, type Tile, tileAt } from "../tlog/tile.ts";
import {
  emptyFrontier,
  equalBytes,
  extend,
  type Frontier,
  type Hash,
  leafHash,
  rootOf,
} from "../tlog/tree.ts";
import type { EntryReader } from "./entries.ts";
import type { Findings } from "./findings.ts";
import type { RecomputedTree } from "./recomputed.ts";
import type { SignedTree } from "./signed.ts";
import type { StoredLedger } from "./stored.ts";

export class BlockReader {
  readonly #stored: StoredLedger;
  readonly #entries: EntryReader | undefined;
  readonly #findings: Findings;
  #block: { readonly n: number; readonly leaves: readonly Hash[] } | undefined;
  /** How many entries have had their turn. */
  #loaded: number;

  /**
   * @param entries reads the entries on the way; without it, there are only tiles.
   * @param loaded how many it has read before.
   */
  constructor(stored: StoredLedger, entries: EntryReader | undefined, findings: Findings, loaded: number) {
    this.#stored = stored;
    this.#entries = entries;
    this.#findings = findings;
    this.#loaded = loaded;
  }

  /** How many entries were read. */
  get loaded(): number {
    return this.#loaded;
  }

  /**
   * The leaves of block `n` in the tree `target`, which is the largest that was signed. What is wrong with them,
   * or with their entries, becomes a finding.
   * @param before the tree before the block.
   * @returns undefined when neither bundle nor tile can be read.
   */
  async read(n: number, target: SignedTree, before: RecomputedTree): Promise<readonly Hash[] | undefined> {
    const tile = tileAt(0, n, target.size)!;
    if (this.#block?.n === n && this.#block.leaves.length === tile.width) return this.#block.leaves;
    this.#stored.readAhead(n, target.size);
    const [stored, entries] = await Promise.all([
      this.#stored.readHashes(tile, target.size),
      this.#stored.readEntries({ ...tile, level: "entries" }, target.size),
    ]);
    const computed = entries?.map(entry => leafHash(entry));
    const leaves = await this.#settle(tile, stored, computed, target, before.frontier);
    if (leaves === undefined) return undefined;
    // An entry that was altered has been reported; what it says is nobody's word.
    const genuine = entries?.map((entry, i) => (equalBytes(computed![i]!, leaves[i]!) ? entry : undefined));
    this.#readEntries(tile, genuine ?? [], leaves, before.head);
    this.#block = { n, leaves };
    return leaves;
  }

  /** Has those entries read that have not been. */
  #readEntries(
    tile: Tile,
    entries: readonly (Uint8Array | undefined)[],
    leaves: readonly Hash[],
    head: Hash,
  ): void {
    const first = tile.n * TILE_WIDTH;
    const place = this.#stored.place({ ...tile, level: "entries" });
    for (let i = Math.max(0, this.#loaded - first); i < entries.length; i++) {
      const [entry, prev] = [entries[i], i === 0 ? head : leaves[i - 1]!];
      if (entry !== undefined)
        this.#findings.checkNow(place, () => this.#entries!.read(entry, first + i, prev));
    }
    this.#loaded = Math.max(this.#loaded, first + leaves.length);
  }

  async #settle(
    tile: Tile,
    stored: readonly Hash[] | undefined,
    computed: readonly Hash[] | undefined,
    target: SignedTree,
    before: Frontier,
  ): Promise<readonly Hash[] | undefined> {
    if (stored === undefined || computed === undefined) return stored ?? computed;
    const i = stored.findIndex((hash, at) => !equalBytes(hash, computed[at]!));
    if (i === -1) return stored;
    const isVouchedFor = (leaves: readonly Hash[]) => this.#isVouchedFor(tile, leaves, target, before);
    const isTile = (await isVouchedFor(computed)) && !(await isVouchedFor(stored));
    const index = tile.n * TILE_WIDTH + i;
    const place = this.#stored.place(isTile ? tile : { ...tile, level: "entries" });
    const message = isTile ? `hash ${i} is not that of entry ${index}` : `entry ${index} was altered`;
    const [right, wrong] = isTile ? [computed, stored] : [stored, computed];
    this.#findings.add("tampered", place, `${place.path}: ${message}`, {
      expected: `leaf hash ${encodeBase64(right[i]!)}`,
      found: `leaf hash ${encodeBase64(wrong[i]!)}`,
      index,
    });
    return right;
  }

  /** Whether the tile above a block, or (of the last block) the signed root, bears these leaves out. */
  async #isVouchedFor(
    tile: Tile,
    leaves: readonly Hash[],
    { size, root }: SignedTree,
    before: Frontier,
  ): Promise<boolean> {
    const first = tile.n * TILE_WIDTH;
    if (first + tile.width === size && first === before.size) {
      return equalBytes(rootOf(extend(before, leaves)), root);
    }
    const above = tileAt(1, Math.floor(tile.n / TILE_WIDTH), size);
    const hash = above && (await this.#stored.readHashes(above, size))?.[tile.n % TILE_WIDTH];
    return hash !== undefined && equalBytes(rootOf(extend(emptyFrontier(), leaves)), hash);
  }
}
