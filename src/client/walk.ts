// One ledger, recomputed from what is stored of it, from entry 0 onwards. Each block of 256 leaves is read
// twice, from its entry bundle and from its tile of level 0; all tiles above are recomputed and compared;
// and every root that somebody signed is compared with the root of the leaves up to there. Memory holds one
// block, one unfinished tile for each level, and the exchanges that have no ending.
//
// When two stored things contradict each other, a third decides which of them was altered: the tile above,
// or the next signed root. So one altered object is named, not all that depend on it.
import type { Pin } from "../receipt/anchor.ts";
import type { TrustedLedger } from "../receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../tlog/base64.ts";
import { type Checkpoint, openCheckpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { TILE_WIDTH, type Tile, tileAt } from "../tlog/tile.ts";
import {
  emptyFrontier,
  equalBytes,
  extend,
  type Frontier,
  HASH_BYTES,
  type Hash,
  leafHash,
  rootOf,
} from "../tlog/tree.ts";
import type { Archive } from "./archive.ts";
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
  /** When the ledger took its newest entry, where entries were read. */
  readonly newestAt: string | undefined;
  /** Exchanges that began and did not end, oldest first. Evidence, but no contradiction. */
  readonly open: readonly OpenExchange[];
}

/** A tree that somebody signed. */
type SignedTree = Pick<Checkpoint, "size" | "root">;

/** The leaves of one block, in the largest signed tree. */
interface Block {
  readonly n: number;
  readonly leaves: readonly Hash[];
}

/** A stored hash that is not the one recomputed: which of them is right shows at the next signed root. */
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

export class LedgerWalk {
  readonly #ledger: TrustedLedger;
  readonly #stored: StoredLedger;
  readonly #findings: Findings;
  readonly #entries: EntryReader | undefined;
  #isPublished = false;
  #published: SignedTree | undefined;
  #pinned: SignedTree | undefined;
  #frontier: Frontier = emptyFrontier();
  /** The newest leaf that was walked; before the first, what entry 0 names as the one before it. */
  #chain: Hash = new Uint8Array(HASH_BYTES);
  #block: Block | undefined;
  /** How many entries have had their turn. */
  #loaded = 0;
  /** Nothing tells the leaves from here on. */
  #isLost = false;
  /** The recomputed hashes of the tile that is being filled, by level above 0. */
  readonly #edges: Hash[][] = [];
  #suspects: Suspect[] = [];
  #contradictions: Contradiction[] = [];
  #confirmed = 0;
  #anchored = 0;

  constructor(ledger: TrustedLedger, archive: Archive, findings: Findings) {
    this.#ledger = ledger;
    this.#stored = new StoredLedger(ledger.name, archive, findings);
    this.#findings = findings;
    this.#entries = archive.holdsEntries ? new EntryReader(ledger.origin) : undefined;
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

  /** Checks what an anchor says of this ledger, up to the size that it pins. */
  async checkPin(pin: Pin, anchor: Place): Promise<void> {
    const place = { ...anchor, ledger: this.#ledger.name };
    await this.#findings.check(place, async () => {
      const tree = await openTree(pin.checkpoint, this.#ledger, place.path);
      if (!this.#isFurther(tree, place.path)) return;
      this.#pinned = tree;
      if (!(await this.#walkTo(tree.size))) return;
      await this.#compareEdges(tree.size);
      if (!this.#checkRoot(tree, place)) return;
      this.#anchored = tree.size;
      requireHead(pin, this.#chain, place.path);
    });
  }

  /** Checks what is published beyond the last anchor, and settles what is still undecided. */
  async finish(): Promise<void> {
    const place = this.#stored.place("checkpoint");
    if (!this.#isPublished && this.#pinned !== undefined) {
      this.#findings.add(
        "missing",
        place,
        `${place.path}: is not in the archive, but an anchor pins the ledger`,
        {
          expected: `a tree of at least ${this.#pinned.size} entries`,
        },
      );
    }
    await this.#findings.check(place, () => this.#checkPublished(place));
    if (this.#contradictions.length > 0) this.#blame(this.#contradictions[0]!);
    else this.#accuse();
  }

  /** Whether anything of this ledger bore a good signature by its keys. */
  get isKnown(): boolean {
    return this.#published !== undefined || this.#pinned !== undefined;
  }

  report(): LedgerReport {
    return {
      name: this.#ledger.name,
      origin: this.#ledger.origin,
      published: this.#published?.size,
      recomputed: this.#confirmed,
      anchored: this.#anchored,
      entries: this.#entries?.count,
      newestAt: this.#entries?.newestAt,
      open: this.#entries?.open ?? [],
    };
  }

  // Signed roots.

  async #checkPublished(place: Place): Promise<void> {
    const published = this.#published;
    if (published === undefined || !this.#isFurther(published, place.path)) return;
    if (!(await this.#walkTo(published.size))) return;
    await this.#compareEdges(published.size);
    this.#checkRoot(published, place);
  }

  /** Whether a signed tree is larger than the last anchored one. @throws Fault `rolled-back` or `forked` */
  #isFurther({ size, root }: SignedTree, path: string): boolean {
    const pinned = this.#pinned;
    if (pinned === undefined || size > pinned.size) return true;
    if (size < pinned.size) {
      throw new Fault("rolled-back", `${path}: a smaller tree than was anchored before`, {
        expected: `at least ${pinned.size} entries`,
        found: `${size} entries`,
      });
    }
    if (equalBytes(root, pinned.root)) return false;
    throw new Fault("forked", `${path}: another tree of ${size} entries than the one anchored before`, {
      expected: encodeBase64(pinned.root),
      found: encodeBase64(root),
    });
  }

  /** Compares a signed root with that of the leaves walked so far, which are as many. */
  #checkRoot(signed: SignedTree, place: Place): boolean {
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
    const { path } = block === undefined ? place : this.#stored.place(block);
    const index = Math.max(this.#confirmed, (block?.n ?? 0) * TILE_WIDTH);
    const message = `${path}: what is stored from entry ${index} on does not lead to the signed root of ${signed.size}`;
    this.#findings.add("tampered", block === undefined ? place : this.#stored.place(block), message, {
      expected: encodeBase64(signed.root),
      found: encodeBase64(recomputed),
      index,
    });
  }

  /** The block that another tile contradicts; or, when none is contradicted, the one that no tile vouches for. */
  #suspectBlock(): Tile | undefined {
    const suspect = this.#suspects.find(({ tile }) => tile.level === "entries" || tile.level <= 1);
    if (suspect !== undefined) {
      const n = Math.floor(firstEntry(suspect.tile, suspect.position) / TILE_WIDTH);
      return tileAt(this.#entries === undefined ? 0 : "entries", n, this.#target().size);
    }
    // Entries that agree with their tiles were altered together with them, and nothing tells where.
    if (this.#entries !== undefined) return undefined;
    return tileAt(0, Math.floor(this.#target().size / TILE_WIDTH), this.#target().size);
  }

  // The leaves.

  /** The largest signed tree. Its tiles are the widest that must be stored. */
  #target(): SignedTree {
    const [published, pinned] = [this.#published, this.#pinned];
    if (published === undefined || pinned === undefined) return (published ?? pinned)!;
    return published.size >= pinned.size ? published : pinned;
  }

  /** Walks on to a size. @returns false when the leaves up to there cannot be read. */
  async #walkTo(size: number): Promise<boolean> {
    while (this.#frontier.size < size && !this.#isLost) {
      const n = Math.floor(this.#frontier.size / TILE_WIDTH);
      const leaves = await this.#loadBlock(n);
      if (leaves === undefined) this.#isLost = true;
      else await this.#grow(leaves.slice(this.#frontier.size - n * TILE_WIDTH, size - n * TILE_WIDTH));
    }
    return !this.#isLost;
  }

  /** Takes leaves into the tree and compares the tiles that they fill. */
  async #grow(leaves: readonly Hash[]): Promise<void> {
    const filled: { readonly tile: Tile; readonly hashes: readonly Hash[] }[] = [];
    this.#frontier = extend(this.#frontier, leaves, (level, n, hash) => {
      const hashes = [...(this.#edges[level] ?? []), hash];
      const isFull = hashes.length === TILE_WIDTH;
      this.#edges[level] = isFull ? [] : hashes;
      if (isFull) filled.push({ tile: { level, n: Math.floor(n / TILE_WIDTH), width: TILE_WIDTH }, hashes });
    });
    this.#chain = leaves.at(-1)!;
    for (const { tile, hashes } of filled) await this.#compare(tile, hashes);
  }

  /** The leaves of a block; reads its entries when they have not been read. @returns undefined when it is gone. */
  async #loadBlock(n: number): Promise<readonly Hash[] | undefined> {
    const target = this.#target();
    const tile = tileAt(0, n, target.size)!;
    if (this.#block?.n === n && this.#block.leaves.length === tile.width) return this.#block.leaves;
    const bundle: Tile = { ...tile, level: "entries" };
    const [stored, entries] = await Promise.all([
      this.#stored.readHashes(tile, target.size),
      this.#stored.readEntries(bundle, target.size),
    ]);
    const computed = entries?.map(leafHash);
    const leaves = await this.#settle(tile, stored, computed);
    if (leaves === undefined) return undefined;
    const first = n * TILE_WIDTH;
    for (let i = this.#loaded - first; i < leaves.length && entries !== undefined; i++) {
      // An entry that was altered has been reported; what it says is nobody's word.
      if (!equalBytes(computed![i]!, leaves[i]!)) continue;
      const prev = i === 0 ? this.#chain : leaves[i - 1]!;
      await this.#findings.check(this.#stored.place(bundle), () =>
        this.#entries!.read(entries[i]!, first + i, prev),
      );
    }
    this.#loaded = first + leaves.length;
    this.#block = { n, leaves };
    return leaves;
  }

  /** The leaves of a block, by its tile and by its entries: when they differ, one of them was altered. */
  async #settle(
    tile: Tile,
    stored: readonly Hash[] | undefined,
    computed: readonly Hash[] | undefined,
  ): Promise<readonly Hash[] | undefined> {
    if (stored === undefined || computed === undefined) return stored ?? computed;
    const i = stored.findIndex((hash, at) => !equalBytes(hash, computed[at]!));
    if (i === -1) return stored;
    const index = tile.n * TILE_WIDTH + i;
    const isTile = (await this.#isVouchedFor(tile, computed)) && !(await this.#isVouchedFor(tile, stored));
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
  async #isVouchedFor(tile: Tile, leaves: readonly Hash[]): Promise<boolean> {
    const { size, root } = this.#target();
    const first = tile.n * TILE_WIDTH;
    if (first + tile.width === size && first === this.#frontier.size) {
      return equalBytes(rootOf(extend(this.#frontier, leaves)), root);
    }
    const above = tileAt(1, Math.floor(tile.n / TILE_WIDTH), size);
    const hash = above && (await this.#stored.readHashes(above, size))?.[tile.n % TILE_WIDTH];
    return hash !== undefined && equalBytes(rootOf(extend(emptyFrontier(), leaves)), hash);
  }

  // Stored hashes that are compared with recomputed ones.

  /** Compares the partial objects of the tree of `size`, to which the walk has come. */
  async #compareEdges(size: number): Promise<void> {
    const levels: Tile["level"][] = this.#entries === undefined ? [0] : ["entries", 0];
    for (let level = 1; size >= TILE_WIDTH ** level; level++) levels.push(level);
    for (const level of levels) {
      const perHash = level === "entries" ? 1 : TILE_WIDTH ** level;
      const tile = tileAt(level, Math.floor(size / perHash / TILE_WIDTH), size);
      if (tile === undefined || !(await this.#isDue(tile))) continue;
      await this.#compare(tile, perHash === 1 ? this.#block!.leaves : this.#edges[level as number]!);
    }
  }

  /** A partial object may be gone once there is a full one, and those of the block have been read. */
  async #isDue(tile: Tile): Promise<boolean> {
    const widest = tileAt(tile.level, tile.n, this.#target().size)!;
    if (widest.width === tile.width) return tile.level !== "entries" && tile.level > 0;
    return widest.width < TILE_WIDTH || (await this.#stored.has(tile));
  }

  async #compare(tile: Tile, recomputed: readonly Hash[]): Promise<void> {
    const stored = (await this.#stored.read(tile, this.#target().size)) ?? [];
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
