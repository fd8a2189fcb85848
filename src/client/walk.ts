// One ledger, recomputed from what is stored of it, from entry 0 onwards: all tiles above the leaves are
// recomputed and compared, and every root that somebody signed is compared with the root of the leaves up to
// there. Memory holds one block, one unfinished tile for each level, and the exchanges that have no ending.
//
// A stored hash that differs is only suspect until the next signed root: if that bears the leaves out, the
// hash was altered; if not, the leaves were. So one altered object is named, not all that depend on it.
import type { Pin } from "../receipt/anchor.ts";
import type { TrustedLedger } from "../receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../tlog/base64.ts";
import { openCheckpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { TILE_WIDTH, type Tile, tileAt } from "../tlog/tile.ts";
import {
  emptyFrontier,
  equalBytes,
  extend,
  type Frontier,
  HASH_BYTES,
  type Hash,
  rootOf,
} from "../tlog/tree.ts";
import type { Archive } from "./archive.ts";
import type { AwaitedRecords, PromiseReport } from "./awaited.ts";
import { BlockReader, type SignedTree } from "./blocks.ts";
import { EntryReader, type OpenExchange } from "./entries.ts";
import { type Findings, located, type Place } from "./findings.ts";
import { StoredLedger } from "./stored.ts";

export interface LedgerReport {
  readonly name: string;
  readonly origin: string;
  /** The size of the published tree; undefined when no checkpoint of it can be believed. */
  readonly published: number | undefined;
  /** The largest tree under a signed root that was recomputed equal. */
  readonly recomputed: number;
  /** The largest tree under an anchor that was recomputed equal. */
  readonly anchored: number;
  /** How many entries were read; undefined when the archive does not give them out. */
  readonly entries: number | undefined;
  /** How many entries are gone because their retention has ended, as the ledger itself tells. */
  readonly pruned: number;
  /** How many exchanges' private values were erased, as the ledger itself tells. */
  readonly erased: number;
  /** When the ledger took its newest entry, where entries were read. */
  readonly newestAt: string | undefined;
  /** Exchanges that began and did not end, oldest first. Evidence, but no contradiction. */
  readonly open: readonly OpenExchange[];
}

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

export class LedgerWalk {
  readonly #ledger: TrustedLedger;
  readonly #stored: StoredLedger;
  readonly #findings: Findings;
  readonly #entries: EntryReader | undefined;
  readonly #blocks: BlockReader;
  readonly #awaited: AwaitedRecords;
  #isPublished = false;
  #published: SignedTree | undefined;
  /** What the newest anchor pins, and what the last one that was checked does. */
  #expected: SignedTree | undefined;
  #pinned: SignedTree | undefined;
  #frontier: Frontier = emptyFrontier();
  /** The newest leaf that was walked; before the first, what entry 0 names as the one before it. */
  #chain: Hash = new Uint8Array(HASH_BYTES);
  /** The recomputed hashes of the tile that is being filled, by level. */
  readonly #edges: Hash[][] = [];
  /** Nothing tells the leaves from here on. */
  #isLost = false;
  #suspects: Suspect[] = [];
  #contradictions: Contradiction[] = [];
  #confirmed = 0;
  #anchored = 0;
  #pruned = 0;
  #promises: readonly PromiseReport[] = [];

  /** @param awaited what somebody was promised of this ledger. */
  constructor(ledger: TrustedLedger, archive: Archive, findings: Findings, awaited: AwaitedRecords) {
    this.#ledger = ledger;
    this.#stored = new StoredLedger(ledger.name, archive, findings);
    this.#findings = findings;
    this.#entries = archive.holdsEntries ? new EntryReader(ledger.origin, awaited) : undefined;
    this.#blocks = new BlockReader(this.#stored, this.#entries, findings);
    this.#awaited = awaited;
  }

  /** Reads the published checkpoint. Comes after the newest anchor was found: it must not be older. */
  async begin(): Promise<void> {
    const note = await this.#stored.get("checkpoint");
    if (note === undefined) return;
    this.#isPublished = true;
    const place = this.#stored.place("checkpoint");
    await this.#findings.check(place, async () => {
      this.#published = await openTree(note, this.#ledger, place.path);
    });
  }

  /** Takes note of what the newest anchor pins, before it is checked: so much must be published. */
  async expect(pin: Pin): Promise<void> {
    const place = this.#stored.place("checkpoint");
    const tree = await openTree(pin.checkpoint, this.#ledger, place.path).catch(ignoreFault);
    this.#expected = tree;
    if (tree === undefined || this.#published === undefined) return;
    await this.#findings.check(place, () => requireAtLeast(this.#published!, tree.size, place.path));
  }

  /** Checks what an anchor says of this ledger, up to the size that it pins. */
  async checkPin(pin: Pin, anchor: Place): Promise<void> {
    const place = { ...anchor, ledger: this.#ledger.name };
    await this.#findings.check(place, async () => {
      const tree = await openTree(pin.checkpoint, this.#ledger, place.path);
      if (!this.#isFurther(tree, place.path)) return;
      this.#pinned = tree;
      if (!(await this.#reach(tree, place))) return;
      this.#anchored = tree.size;
      requireHead(pin, this.#chain, place.path);
    });
  }

  /** Checks what is published beyond the last anchor, and settles what is still undecided. */
  async finish(): Promise<void> {
    const place = this.#stored.place("checkpoint");
    await this.#findings.check(place, async () => {
      this.#requirePublished(place.path);
      if (this.#published !== undefined && this.#isFurther(this.#published, place.path)) {
        await this.#reach(this.#published, place);
      }
      if (this.#confirmed === this.#target()?.size) await this.#compareLeftovers();
    });
    if (this.#entries !== undefined) {
      this.#pruned = await this.#stored.settle(this.#entries.pruned, this.#target()?.size ?? 0);
    }
    if (this.#contradictions.length > 0) this.#blame(this.#contradictions[0]!);
    else this.#accuse();
    const reach = { size: this.#confirmed, pruned: this.#pruned, holdsEntries: this.#entries !== undefined };
    this.#promises = this.#awaited.judge(reach, place, this.#findings);
  }

  /** What became of the promises. */
  get promises(): readonly PromiseReport[] {
    return this.#promises;
  }

  /** Whether anything of this ledger bore a good signature by its keys. */
  get isKnown(): boolean {
    return this.#target() !== undefined;
  }

  report(): LedgerReport {
    return {
      name: this.#ledger.name,
      origin: this.#ledger.origin,
      published: this.#published?.size,
      recomputed: this.#confirmed,
      anchored: this.#anchored,
      entries: this.#entries?.count,
      pruned: this.#pruned,
      erased: this.#entries?.erased ?? 0,
      newestAt: this.#entries?.newestAt,
      open: this.#entries?.open ?? [],
    };
  }

  // Signed roots.

  /** @throws Fault `missing` when there is no checkpoint of a ledger that is anchored. */
  #requirePublished(path: string): void {
    if (this.#isPublished || this.#pinned === undefined) return;
    throw new Fault("missing", `${path}: is not in the archive, but an anchor pins the ledger`, {
      expected: `a tree of at least ${this.#pinned.size} entries`,
    });
  }

  /** Whether a signed tree is larger than the last anchored one. @throws Fault `rolled-back` or `forked` */
  #isFurther(tree: SignedTree, path: string): boolean {
    const { size, root } = tree;
    const pinned = this.#pinned;
    if (pinned === undefined || size > pinned.size) return true;
    requireAtLeast(tree, pinned.size, path);
    if (equalBytes(root, pinned.root)) return false;
    throw new Fault("forked", `${path}: another tree of ${size} entries than the one anchored before`, {
      expected: encodeBase64(pinned.root),
      found: encodeBase64(root),
    });
  }

  /** Walks on to a signed tree. @returns whether the leaves up to there make up its root. */
  async #reach(signed: SignedTree, place: Place): Promise<boolean> {
    if (!(await this.#walkTo(signed.size))) return false;
    await this.#compareEdges(signed.size);
    const recomputed = rootOf(this.#frontier);
    const isEqual = equalBytes(recomputed, signed.root);
    if (isEqual) this.#confirm();
    else if (this.#contradictions.length < PENDING_MAX)
      this.#contradictions.push({ signed, recomputed, place });
    return isEqual;
  }

  /** All leaves so far are signed for: whatever contradicted them is itself wrong. */
  #confirm(): void {
    this.#confirmed = this.#frontier.size;
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
  #blame({ signed, recomputed, place }: Contradiction): void {
    const block = this.#suspectBlock();
    const at = block === undefined ? place : this.#stored.place(block);
    const index = Math.max(this.#confirmed, (block?.n ?? 0) * TILE_WIDTH);
    const message = `what is stored from entry ${index} on does not lead to the signed root of ${signed.size}`;
    this.#findings.add("tampered", at, `${at.path}: ${message}`, {
      expected: encodeBase64(signed.root),
      found: encodeBase64(recomputed),
      index,
    });
  }

  /** The block that another tile contradicts; or, when none is contradicted, the one that no tile vouches for. */
  #suspectBlock(): Tile | undefined {
    const { size } = this.#target()!;
    const suspect = this.#suspects.find(({ tile }) => tile.level === "entries" || tile.level <= 1);
    if (suspect !== undefined) {
      const n = Math.floor(firstEntry(suspect.tile, suspect.position) / TILE_WIDTH);
      return tileAt(this.#entries === undefined ? 0 : "entries", n, size);
    }
    // Entries that agree with their tiles were altered together with them, and nothing tells where.
    return this.#entries === undefined ? tileAt(0, Math.floor(size / TILE_WIDTH), size) : undefined;
  }

  // The tree.

  /** The largest signed tree. Its tiles are the widest that must be stored. */
  #target(): SignedTree | undefined {
    const trees = [this.#published, this.#expected, this.#pinned].filter(tree => tree !== undefined);
    return trees.reduce<SignedTree | undefined>(
      (a, b) => (a !== undefined && a.size >= b.size ? a : b),
      undefined,
    );
  }

  /** Walks on to a size. @returns false when the leaves up to there cannot be read. */
  async #walkTo(size: number): Promise<boolean> {
    while (this.#frontier.size < size && !this.#isLost) {
      const n = Math.floor(this.#frontier.size / TILE_WIDTH);
      const before = { frontier: this.#frontier, chain: this.#chain };
      const leaves = await this.#blocks.read(n, this.#target()!, before);
      if (leaves === undefined) this.#isLost = true;
      else await this.#grow(leaves.slice(this.#frontier.size - n * TILE_WIDTH, size - n * TILE_WIDTH));
    }
    return !this.#isLost;
  }

  /** Takes leaves into the tree, and compares the tiles above that they fill. */
  async #grow(leaves: readonly Hash[]): Promise<void> {
    const filled: { readonly tile: Tile; readonly hashes: readonly Hash[] }[] = [];
    const add = (level: number, n: number, hash: Hash) => {
      const hashes = this.#edges[level] ?? [];
      hashes.push(hash);
      const isFull = hashes.length === TILE_WIDTH;
      this.#edges[level] = isFull ? [] : hashes;
      if (isFull) filled.push({ tile: { level, n: Math.floor(n / TILE_WIDTH), width: TILE_WIDTH }, hashes });
    };
    for (const [i, leaf] of leaves.entries()) add(0, this.#frontier.size + i, leaf);
    this.#frontier = extend(this.#frontier, leaves, add);
    this.#chain = leaves.at(-1)!;
    for (const { tile, hashes } of filled) if (tile.level !== 0) await this.#compare(tile, hashes);
  }

  // Stored hashes that are compared with recomputed ones.

  /** The partial objects of the tree of `size`, to which the walk has come, with their recomputed hashes. */
  #edgesAt(size: number): { readonly tile: Tile; readonly recomputed: readonly Hash[] }[] {
    return this.#edges.flatMap((recomputed, level) => {
      const tile = tileAt(level, Math.floor(size / TILE_WIDTH ** (level + 1)), size);
      if (tile === undefined) return [];
      const bundle: Tile = { ...tile, level: "entries" };
      const tiles = level === 0 && this.#entries !== undefined ? [bundle, tile] : [tile];
      return tiles.map(tile => ({ tile, recomputed }));
    });
  }

  async #compareEdges(size: number): Promise<void> {
    for (const { tile, recomputed } of this.#edgesAt(size)) {
      if (await this.#isDue(tile)) await this.#compare(tile, recomputed);
    }
  }

  /** A partial object may be gone once there is a full one; and those of the last block have been read. */
  async #isDue(tile: Tile): Promise<boolean> {
    const widest = tileAt(tile.level, tile.n, this.#target()!.size)!;
    if (widest.width === tile.width) return tile.level !== "entries" && tile.level > 0;
    return widest.width < TILE_WIDTH || (await this.#stored.has(tile));
  }

  /** Partial objects that were published between anchors: not needed any more, but if there, then right. */
  async #compareLeftovers(): Promise<void> {
    for (const { tile, recomputed } of this.#edgesAt(this.#confirmed)) {
      for (let width = 1; width < tile.width; width += LOOKS_AT_ONCE) {
        const count = Math.min(LOOKS_AT_ONCE, tile.width - width);
        const narrower = Array.from({ length: count }, (_, i) => ({ ...tile, width: width + i }));
        await Promise.all(
          narrower.map(async tile => {
            if (await this.#stored.has(tile)) await this.#compare(tile, recomputed);
          }),
        );
      }
    }
  }

  async #compare(tile: Tile, recomputed: readonly Hash[]): Promise<void> {
    const stored = (await this.#stored.read(tile, this.#target()!.size)) ?? [];
    const position = stored.findIndex((hash, i) => !equalBytes(hash, recomputed[i]!));
    if (position === -1 || this.#suspects.length >= PENDING_MAX) return;
    this.#suspects.push({ tile, position, recomputed: recomputed[position]!, stored: stored[position]! });
  }
}

/** Opens a checkpoint of a ledger; a Fault names the object. */
async function openTree(note: string | Uint8Array, ledger: TrustedLedger, path: string): Promise<SignedTree> {
  try {
    return (await openCheckpoint(note, ledger.keys)).checkpoint;
  } catch (error) {
    throw located(error, path);
  }
}

/** For what is only looked at in advance: its faults show when its turn comes. */
function ignoreFault(error: unknown): undefined {
  if (!(error instanceof Fault)) throw error;
}

/** @throws Fault `rolled-back` */
function requireAtLeast({ size }: SignedTree, anchored: number, path: string): void {
  if (size >= anchored) return;
  throw new Fault("rolled-back", `${path}: a smaller tree than was anchored before`, {
    expected: `at least ${anchored} entries`,
    found: `${size} entries`,
  });
}

/** @throws Fault `broken-chain` when the chain head of a pin is not the last leaf of its tree. */
function requireHead({ head, size }: Pin, last: Hash, path: string): void {
  const expected = encodeBase64url(last);
  if (head === expected) return;
  throw new Fault("broken-chain", `${path}: its chain head is not the leaf hash of entry ${size - 1}`, {
    expected,
    found: head,
    index: size - 1,
  });
}

/** The index of the first entry below a hash of a tile. */
function firstEntry({ level, n }: Tile, position: number): number {
  return (n * TILE_WIDTH + position) * TILE_WIDTH ** (level === "entries" ? 0 : level);
}
