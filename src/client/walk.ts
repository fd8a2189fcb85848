// One ledger, recomputed from what is stored of it, from entry 0 onwards, or from where an earlier audit has come
// to: all tiles above the leaves are recomputed and compared, and every root that somebody signed is compared with
// the root of the leaves up to there. Memory holds one block, one unfinished tile for each level, and the exchanges
// that have no ending.
//
// A stored hash that differs is only suspect until the next signed root: if that bears the leaves out, the
// hash was altered; if not, the leaves were. So one altered object is named, not all that depend on it.
import type { Pin } from "../receipt/anchor.ts";
import type { Entry } from "../receipt/entry.ts";
import type { TrustedLedger } from "../receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../tlog/base64.ts";
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
import { EntryReader } from "./entries.ts";
import { type Findings, located, type Place } from "./findings.ts";
import type { LedgerReport } from "./ledgerreport.ts";
import { continues, proveLeaf, tilesOfPrefix } from "./prefix.ts";
import type { Report } from "./progress.ts";
import { firstEntry, ignoreFault, type OpenedTree, openTree, requireAtLeast, requireHead } from "./signed.ts";
import type { Known, LedgerState } from "./state.ts";
import { StoredLedger } from "./stored.ts";
import type { Unvouched } from "./unvouched.ts";

/** How far an archive has an entry: under an anchor, published and under none, or not at all. */
export type Coverage = "anchored" | "published" | "unpublished";

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
  readonly #progress: Report | undefined;
  /** What an earlier audit has found published. */
  readonly #known: Known | undefined;
  /** The published checkpoint. */
  #note: Uint8Array | undefined;
  #published: OpenedTree | undefined;
  /** What the newest anchor pins, and what the last one that was checked does. */
  #expected: SignedTree | undefined;
  #pinned: SignedTree | undefined;
  #pinNote: string | undefined;
  #frontier: Frontier;
  /** The newest leaf that was walked; before the first, what entry 0 names as the one before it. */
  #chain: Hash;
  /** The last leaf of the last full block that was walked. */
  #blockEnd: Hash;
  /** The recomputed hashes of the tile that is being filled, by level. */
  readonly #edges: Hash[][];
  /** Where a later audit may begin. */
  #mark: Pick<LedgerState, "edge" | "head"> | undefined;
  /** Why it could not be told whether the known tree is continued. */
  #doubt: Fault | undefined;
  /** Nothing tells the leaves from here on. */
  #isLost = false;
  #suspects: Suspect[] = [];
  #contradictions: Contradiction[] = [];
  #confirmed: number;
  #anchored = 0;
  #promises: readonly PromiseReport[] = [];
  #pruned: number;

  /**
   * @param awaited what somebody was promised of this ledger.
   * @param known what an earlier audit knows of it.
   * @param progress is told how many entries are verified, and of how many.
   */
  constructor(
    ledger: TrustedLedger,
    archive: Archive,
    findings: Findings,
    awaited: AwaitedRecords,
    known?: Known,
    progress?: Report,
  ) {
    const start = known?.start;
    const { frontier = emptyFrontier(), edges = [], head = new Uint8Array(HASH_BYTES) } = start ?? {};
    this.#ledger = ledger;
    this.#findings = findings;
    this.#known = known;
    this.#progress = progress;
    this.#frontier = frontier;
    this.#edges = edges.map(hashes => [...hashes]);
    this.#chain = head;
    this.#blockEnd = head;
    this.#confirmed = frontier.size;
    this.#pruned = start?.entries?.pruned ?? 0;
    this.#stored = new StoredLedger(ledger.name, this.#pruned, archive, findings);
    this.#entries = archive.holdsEntries ? new EntryReader(ledger.origin, awaited, start) : undefined;
    const loaded = start?.entries === undefined ? 0 : (start.entries.read ?? known!.tree.size);
    this.#blocks = new BlockReader(this.#stored, this.#entries, findings, loaded);
    this.#awaited = awaited;
  }

  /**
   * Reads the published checkpoint. Comes after the newest anchor was found: it must not be older. And it must
   * continue what was published at an earlier audit.
   */
  async begin(): Promise<void> {
    if (this.#entries !== undefined) await this.#stored.begin(this.#frontier.size / TILE_WIDTH);
    this.#note = await this.#stored.get("checkpoint");
    const [note, known] = [this.#note, this.#known?.tree];
    if (note === undefined) return;
    const place = this.#stored.place("checkpoint");
    await this.#findings.check(place, async () => {
      this.#published = await openTree(note, this.#ledger, place.path);
    });
    if (known !== undefined && this.#published !== undefined) {
      await this.#compareKnown(this.#published, known, place);
    }
  }

  /** Takes note of what the newest anchor pins, before it is checked: so much must be published. */
  async expect(pin: Pin): Promise<void> {
    const place = this.#stored.place("checkpoint");
    const tree = await openTree(pin.checkpoint, this.#ledger, place.path).catch(ignoreFault);
    this.#expected = tree;
    if (tree === undefined || this.#published === undefined) return;
    await this.#findings.check(place, () =>
      requireAtLeast(this.#published!, tree.size, "anchored", place.path),
    );
  }

  /** Checks what an anchor says of this ledger, up to the size that it pins. */
  async checkPin(pin: Pin, anchor: Place): Promise<void> {
    const place = { ...anchor, ledger: this.#ledger.name };
    await this.#findings.check(place, async () => {
      const tree = await openTree(pin.checkpoint, this.#ledger, place.path);
      if (!this.#isFurther(tree, place.path)) return;
      this.#pinned = tree;
      this.#pinNote = pin.checkpoint;
      if (!(await this.#reach(tree, place))) return;
      this.#anchored = tree.size;
      requireHead(pin, this.#chain, place.path);
    });
  }

  /** Notes where a later audit may begin: with the block in which the newest anchored tree ends. */
  mark(): void {
    this.#mark = this.#here();
  }

  #here(): Pick<LedgerState, "edge" | "head"> {
    const edge = this.#edges.slice(1).map(hashes => hashes.map(encodeBase64url));
    return { edge, head: encodeBase64url(this.#blockEnd) };
  }

  /**
   * What may be gone on from when this audit is interrupted: as if no more were published than the last anchor pins.
   * That must not be less than what an earlier audit knows.
   * @returns "none" of a ledger of which nothing is known yet.
   */
  stateAtPin(): LedgerState | "none" | "undecided" {
    const known = this.#known?.tree.size ?? 0;
    if (this.#pinNote === undefined) return this.#known === undefined ? "none" : "undecided";
    const isSettled =
      this.#confirmed === this.#pinned!.size && this.#suspects.length === 0 && this.#stored.isSettled;
    if (!isSettled || this.#doubt !== undefined || this.#confirmed < known) return "undecided";
    const entries = this.#entries && {
      ...this.#entries.state(),
      pruned: this.#pruned,
      read: this.#blocks.loaded,
    };
    const { origin } = this.#ledger;
    return { origin, checkpoint: this.#pinNote, ...this.#here(), ...(entries && { entries }) };
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
      const pruned = await this.#stored.settle(this.#entries.pruned, this.#target()?.size ?? 0);
      this.#pruned = Math.max(this.#pruned, pruned);
    }
    if (this.#contradictions.length > 0) this.#blame(this.#contradictions[0]!);
    else this.#accuse();
    this.#settleDoubt(place);
    const reach = { size: this.#confirmed, pruned: this.#pruned, holdsEntries: this.#entries !== undefined };
    this.#promises = this.#awaited.judge(reach, place, this.#findings);
  }

  /** What became of the promises. */
  get promises(): readonly PromiseReport[] {
    return this.#promises;
  }

  /**
   * How far the archive has an entry that somebody holds a receipt of. That it has another one there becomes a
   * finding. Comes last.
   */
  async cover({ header: { index }, leaf }: Entry): Promise<Coverage> {
    const tree = this.#published;
    if (tree === undefined || index >= tree.size) return "unpublished";
    const place = this.#stored.place("checkpoint");
    await this.#findings.check(place, async () => {
      const proven = await proveLeaf(path => this.#stored.get(path), index, tree).catch(error => {
        throw located(error, place.path, index);
      });
      if (equalBytes(proven.leaf, leaf)) return;
      throw new Fault("forked", `${place.path}: has another entry ${index} than your receipt`, {
        expected: `leaf hash ${encodeBase64(leaf)}`,
        found: `leaf hash ${encodeBase64(proven.leaf)}`,
        index,
      });
    });
    return index < this.#anchored ? "anchored" : "published";
  }

  /** What a later audit may go on from, if this one has found nothing wrong; undefined while nothing is published. */
  state(): LedgerState | undefined {
    if (this.#note === undefined || this.#mark === undefined) return undefined;
    const entries = this.#entries?.state();
    return {
      origin: this.#ledger.origin,
      checkpoint: new TextDecoder().decode(this.#note),
      ...this.#mark,
      ...(entries && { entries: { ...entries, pruned: this.#pruned } }),
    };
  }

  /** Whether anything of this ledger bore a good signature by its keys. */
  get isKnown(): boolean {
    return this.#target() !== undefined;
  }

  /** What of this ledger only a retired key has signed, and neither an anchor nor an earlier audit knows. */
  get unvouched(): Unvouched | undefined {
    const known = Math.max(this.#anchored, this.#known?.tree.size ?? 0);
    if (this.#published === undefined || !this.#published.isRetired || this.#published.size <= known)
      return undefined;
    return { ...this.#stored.place("checkpoint"), what: `the tree of ${this.#published.size} entries` };
  }

  report(): LedgerReport {
    return {
      name: this.#ledger.name,
      origin: this.#ledger.origin,
      published: this.#published?.size,
      from: this.#known?.start?.frontier.size ?? 0,
      recomputed: this.#confirmed,
      anchored: this.#anchored,
      entries: this.#entries?.count,
      pruned: this.#pruned,
      erased: this.#entries?.erased ?? 0,
      newestAt: this.#entries?.newestAt,
      open: this.#entries?.open ?? [],
      control: this.#entries?.control ?? { count: 0, list: [] },
      clocks: this.#entries?.clocks ?? [],
    };
  }

  // Signed roots.

  /** @throws Fault `missing` when there is no checkpoint of a ledger that is anchored, or was published before. */
  #requirePublished(path: string): void {
    const due = this.#pinned ?? this.#known?.tree;
    if (this.#note !== undefined || due === undefined) return;
    const why = this.#pinned === undefined ? "was there at your last audit" : "an anchor pins the ledger";
    throw new Fault("missing", `${path}: is not in the archive, but ${why}`, {
      expected: `a tree of at least ${due.size} entries`,
    });
  }

  /** What is published must continue what was at an earlier audit. What damaged tiles leave open is for the end. */
  async #compareKnown(tree: SignedTree, known: SignedTree, place: Place): Promise<void> {
    const { path } = place;
    let isContinued = await this.#findings.check(place, () =>
      requireAtLeast(tree, known.size, "published", path),
    );
    if (isContinued && (await this.#stored.canRead(tilesOfPrefix(known, tree), tree.size))) {
      isContinued = await continues(path => this.#stored.get(path), tree, known).catch(error => {
        if (!(error instanceof Fault)) throw error;
        this.#doubt = error;
        return true;
      });
      const message = `${path}: its tree of ${tree.size} entries does not continue the one of your last audit`;
      const expected = `root ${encodeBase64(known.root)} for the first ${known.size} entries`;
      if (!isContinued) this.#findings.add("forked", place, message, { expected });
    }
    // Then what was verified has another end here, and nothing more can be compared with it.
    if (!isContinued && this.#known?.start !== undefined) this.#isLost = true;
  }

  /** What kept it from being told whether the known tree is continued has been named by now, or is named here. */
  #settleDoubt(place: Place): void {
    const isNamed = this.#findings.problems.some(({ ledger }) => ledger === this.#ledger.name);
    if (this.#doubt === undefined || isNamed) return;
    this.#findings.add(this.#doubt.code, place, `${place.path}: ${this.#doubt.message}`);
  }

  /** Whether a signed tree is larger than the last anchored one. @throws Fault `rolled-back` or `forked` */
  #isFurther(tree: SignedTree, path: string): boolean {
    const { size, root } = tree;
    const pinned = this.#pinned;
    if (pinned === undefined || size > pinned.size) return true;
    requireAtLeast(tree, pinned.size, "anchored", path);
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
      this.#progress?.(this.#frontier.size, this.#target()!.size);
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
    if (this.#frontier.size % TILE_WIDTH === 0) this.#blockEnd = this.#chain;
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
