// One ledger, recomputed from what is stored of it, from entry 0 onwards, or from where an earlier audit has come
// to: all tiles above the leaves are recomputed and compared, and every root that somebody signed is compared with
// the root of the leaves up to there. Memory holds one block, one unfinished tile for each level, and the exchanges
// that have no ending.
import type { Pin } from "../receipt/anchor.ts";
import type { Entry } from "../receipt/entry.ts";
import type { TrustedLedger } from "../receipt/trust.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { TILE_WIDTH } from "../tlog/tile.ts";
import { equalBytes } from "../tlog/tree.ts";
import type { Archive } from "./archive.ts";
import type { AwaitedRecords, PromiseReport } from "./awaited.ts";
import { BlockReader } from "./blocks.ts";
import { EntryReader } from "./entries.ts";
import { type Findings, located, type Place } from "./findings.ts";
import type { LedgerReport } from "./ledgerreport.ts";
import { continues, proveLeaf, tilesOfPrefix } from "./prefix.ts";
import type { Advance } from "./progress.ts";
import { RecomputedTree } from "./recomputed.ts";
import {
  ignoreFault,
  type OpenedTree,
  openTree,
  requireAtLeast,
  requireHead,
  type SignedTree,
} from "./signed.ts";
import type { Known, LedgerState } from "./state.ts";
import { StoredLedger } from "./stored.ts";
import { Suspects } from "./suspects.ts";
import type { Unvouched } from "./unvouched.ts";

/** How far an archive has an entry: under an anchor, published and under none, or not at all. */
export type Coverage = "anchored" | "published" | "unpublished";

export class LedgerWalk {
  readonly #ledger: TrustedLedger;
  readonly #stored: StoredLedger;
  readonly #findings: Findings;
  readonly #entries: EntryReader | undefined;
  readonly #blocks: BlockReader;
  readonly #tree: RecomputedTree;
  readonly #suspects: Suspects;
  readonly #awaited: AwaitedRecords;
  readonly #progress: Advance | undefined;
  /** What an earlier audit has found published. */
  readonly #known: Known | undefined;
  /** The published checkpoint. */
  #note: Uint8Array | undefined;
  #published: OpenedTree | undefined;
  /** What the newest anchor pins, and what the last one that was checked does. */
  #expected: SignedTree | undefined;
  #pinned: SignedTree | undefined;
  #pinNote: string | undefined;
  /** Where a later audit may begin. */
  #mark: Pick<LedgerState, "edge" | "head"> | undefined;
  /** Why it could not be told whether the known tree is continued. */
  #doubt: Fault | undefined;
  /** Nothing tells the leaves from here on. */
  #isLost = false;
  /** The size of the largest signed tree that the leaves make up. */
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
    progress?: Advance,
  ) {
    const start = known?.start;
    this.#ledger = ledger;
    this.#findings = findings;
    this.#known = known;
    this.#progress = progress;
    this.#tree = new RecomputedTree(start);
    this.#confirmed = this.#tree.size;
    this.#pruned = start?.entries?.pruned ?? 0;
    this.#stored = new StoredLedger(ledger.name, this.#pruned, archive, findings);
    this.#suspects = new Suspects(this.#stored, archive.holdsEntries, findings);
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
    if (this.#entries !== undefined) await this.#stored.begin(this.#tree.size / TILE_WIDTH);
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
      requireHead(pin, this.#tree.head, place.path);
    });
  }

  /** Notes where a later audit may begin: with the block in which the newest anchored tree ends. */
  mark(): void {
    this.#mark = this.#tree.blocks();
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
      this.#confirmed === this.#pinned!.size && this.#suspects.isEmpty && this.#stored.isSettled;
    if (!isSettled || this.#doubt !== undefined || this.#confirmed < known) return "undecided";
    const entries = this.#entries && {
      ...this.#entries.state(this.#pruned),
      read: this.#blocks.loaded,
    };
    const { origin } = this.#ledger;
    return { origin, checkpoint: this.#pinNote, ...this.#tree.blocks(), ...(entries && { entries }) };
  }

  /** Checks what is published beyond the last anchor, and settles what is still undecided. */
  async finish(): Promise<void> {
    const place = this.#stored.place("checkpoint");
    await this.#findings.check(place, async () => {
      this.#requirePublished(place.path);
      if (this.#published !== undefined && this.#isFurther(this.#published, place.path)) {
        await this.#reach(this.#published, place);
      }
      if (this.#confirmed === this.#target()?.size) {
        await this.#suspects.compareLeftovers(this.#tree.edgesAt(this.#confirmed), this.#confirmed);
      }
    });
    if (this.#entries !== undefined) {
      const pruned = await this.#stored.settle(this.#entries.pruned, this.#target()?.size ?? 0);
      this.#pruned = Math.max(this.#pruned, pruned);
    }
    this.#suspects.conclude(this.#confirmed, this.#target()?.size ?? 0);
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
    const entries = this.#entries?.state(this.#pruned);
    return {
      origin: this.#ledger.origin,
      checkpoint: new TextDecoder().decode(this.#note),
      ...this.#mark,
      ...(entries && { entries }),
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
    await this.#suspects.compareEdges(this.#tree.edgesAt(signed.size), this.#target()!.size);
    const recomputed = this.#tree.root;
    const isEqual = equalBytes(recomputed, signed.root);
    if (isEqual) {
      this.#confirmed = this.#tree.size;
      this.#suspects.confirm();
    } else this.#suspects.contradict({ signed, recomputed, place });
    return isEqual;
  }

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
    const tree = this.#tree;
    while (tree.size < size && !this.#isLost) {
      const target = this.#target()!;
      const n = Math.floor(tree.size / TILE_WIDTH);
      const leaves = await this.#blocks.read(n, target, tree);
      if (leaves === undefined) this.#isLost = true;
      else {
        const next = leaves.slice(tree.size - n * TILE_WIDTH, size - n * TILE_WIDTH);
        for (const filled of tree.grow(next)) await this.#suspects.compare(filled, target.size);
      }
      this.#progress?.(tree.size, target.size);
    }
    return !this.#isLost;
  }
}
