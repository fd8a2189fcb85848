// A pull: makes the copy of an archive in a folder as new as the archive, in an order that leaves a copy at any moment
// that an audit takes. Tiles and entries come first, under a checkpoint that nobody in the folder names yet; then
// that checkpoint; then the anchors, oldest first, each after all that it pins. Nothing of the copy is ever replaced
// but the checkpoint, and that only by one that continues it.
import { type Anchor, FIRST_ANCHOR_PREV, formatAnchorPath, openAnchor } from "../receipt/anchor.ts";
import { readMinimum } from "../receipt/control.ts";
import { type Entry, parseEntry } from "../receipt/entry.ts";
import type { Trust, TrustedLedger } from "../receipt/trust.ts";
import { decodeBundle } from "../tlog/bundle.ts";
import { Fault } from "../tlog/fault.ts";
import type { Get } from "../tlog/reader.ts";
import { formatTilePath, TILE_WIDTH, tileAt } from "../tlog/tile.ts";
import { openAnchorOf, PROBE_AHEAD } from "./anchors.ts";
import type { Archive } from "./archive.ts";
import type { CopyFolder } from "./copyfolder.ts";
import { Findings, located, type Problem } from "./findings.ts";
import { LedgerMirror } from "./mirror.ts";
import { inParallel } from "./parallel.ts";
import { continues } from "./prefix.ts";
import type { Advance } from "./progress.ts";
import type { RecordIndex } from "./recordindex.ts";
import { openTree, requireAtLeast, type SignedTree } from "./signed.ts";

export interface PullOptions {
  readonly archive: Archive;
  readonly folder: CopyFolder;
  readonly trust: Trust;
  /** Where the records go; not filled when the archive gives no entries out. */
  readonly index: RecordIndex;
  /** How many objects are fetched at once. */
  readonly lanes: number;
  /** Is told how many entries of a ledger are copied. */
  readonly copied?: Advance;
  /** Is told how many entries of a ledger are in the index. */
  readonly indexed?: Advance;
}

export interface PulledLedger {
  readonly name: string;
  readonly origin: string;
  /** The size of the tree that the copy has now; undefined when it has none. */
  readonly size: number | undefined;
  readonly before: number | undefined;
  /** The records in the index. */
  readonly records: number | undefined;
}

export interface PullReport {
  readonly ledgers: readonly PulledLedger[];
  /** The newest anchor of the copy, and how many were added. */
  readonly newest: number | undefined;
  readonly anchorsAdded: number;
  /** The ledgers that the newest anchors pin, and that the trust document does not name: they were not copied. */
  readonly unnamedOrigins: readonly string[];
  /** How many objects were fetched. */
  readonly fetched: number;
  readonly problems: readonly Problem[];
  readonly problemCount: number;
}

/** How many anchors are fetched before they are written. */
const ANCHORS_AT_ONCE = 64;

/** How many blocks of entries enter the index in one transaction. */
const BLOCKS_AT_ONCE = 16;

const decoder = new TextDecoder("latin1");

/** Brings a copy up to date. @throws Undecided when the archive cannot be read; what was copied until then stays. */
export async function pull(options: PullOptions): Promise<PullReport> {
  const findings = new Findings();
  // The newest anchor is asked for first: then the checkpoints that come after are not older than what it pins.
  const told = await options.archive.newestEpoch();
  const copies: LedgerCopy[] = [];
  for (const ledger of options.trust.ledgers) {
    const copy = new LedgerCopy(ledger, options, findings);
    await copy.bring();
    copies.push(copy);
  }
  const anchors = new AnchorCopy(options, copies, findings);
  // An anchor pins every ledger: where one of them is not in the copy, it would stand there without.
  if (copies.every(({ isWhole }) => isWhole)) await anchors.bring(told);
  return {
    ledgers: copies.map(copy => copy.report()),
    newest: anchors.newest,
    anchorsAdded: anchors.added,
    unnamedOrigins: [...anchors.unnamed],
    fetched: anchors.added + copies.reduce((sum, { mirror }) => sum + mirror.fetched, 0),
    problems: findings.problems,
    problemCount: findings.count,
  };
}

class LedgerCopy {
  readonly ledger: TrustedLedger;
  readonly mirror: LedgerMirror;
  readonly #options: PullOptions;
  readonly #findings: Findings;
  #before: SignedTree | undefined;
  #now: SignedTree | undefined;
  /** Whether all that is published is in the copy. */
  isWhole = false;

  constructor(ledger: TrustedLedger, options: PullOptions, findings: Findings) {
    const { archive, folder, lanes } = options;
    this.ledger = ledger;
    this.mirror = new LedgerMirror(ledger.name, archive, folder, findings, lanes);
    this.#options = options;
    this.#findings = findings;
  }

  /** How many entries of the ledger the copy has. */
  get size(): number {
    return this.#now?.size ?? 0;
  }

  report(): PulledLedger {
    const { name, origin } = this.ledger;
    const records = this.#options.index.ledgers.find(ledger => ledger.origin === origin)?.indexed;
    return { name, origin, size: this.#now?.size, before: this.#before?.size, records };
  }

  /** Copies the ledger, and then the checkpoint, if all of it is there and continues what was there before. */
  async bring(): Promise<void> {
    const { archive, folder, index, copied } = this.#options;
    const place = this.mirror.place("checkpoint");
    await this.#findings.check(place, async () => {
      const own = await folder.read(place.path);
      this.#before = own && (await this.#open(own, `${place.path} in the copy`));
      this.#now = this.#before;
      const note = await archive.get(place.path);
      if (note === undefined && own === undefined) {
        this.isWhole = true;
        return;
      }
      if (note === undefined)
        throw new Fault("missing", `${place.path}: was in the archive at the last pull`);
      const tree = await this.#open(note, place.path);
      requireAtLeast(tree, this.#before?.size ?? 0, "in the copy", place.path);
      // Before anything is written: what does not continue the copy must not damage it.
      await this.#requireContinued(tree, place.path);
      const { origin, name } = this.ledger;
      const known = index.ledger(origin, name);
      const wrong = this.#findings.count;
      await this.mirror.copy(tree, known.minimum, copied ?? (() => {}));
      if (this.#findings.count > wrong) return;
      if (archive.holdsEntries && !this.mirror.settleGone(await this.#fillIndex(tree))) return;
      await folder.write(place.path, note);
      this.#now = tree;
      this.isWhole = true;
    });
  }

  /** Opens a checkpoint. One that only a retired key has signed must not add anything to the copy. */
  async #open(note: Uint8Array, path: string): Promise<SignedTree> {
    const tree = await openTree(note, this.ledger, path);
    if (this.#before !== undefined && tree.isRetired && tree.size > this.#before.size) {
      throw new Fault("unknown-key", `${path}: what is new in it, only a retired key has signed`);
    }
    return tree;
  }

  async #requireContinued(tree: SignedTree, path: string): Promise<void> {
    const before = this.#before;
    if (before === undefined || before.size === 0) return;
    const { folder } = this.#options;
    const pathOf = (tile: string) => `${this.ledger.name}/${tile}`;
    const get: Get = async tile => (await folder.read(pathOf(tile))) ?? this.mirror.peek(tile);
    // A tile that was damaged in the folder is no reason to suspect the archive.
    const isContinued = await continues(get, tree, before).catch(error => {
      if (!(error instanceof Fault)) throw error;
      return continues(tile => this.mirror.peek(tile), tree, before).catch(() => {
        throw located(error, path);
      });
    });
    if (isContinued) return;
    throw new Fault(
      "forked",
      `${path}: its tree of ${tree.size} entries does not continue the one of the copy`,
      {
        expected: `the first ${before.size} entries as they are in the copy`,
      },
    );
  }

  /** Reads the entries that are not in the index yet, from the copy. @returns the highest minimum index told of. */
  async #fillIndex({ size }: SignedTree): Promise<number> {
    const { index, indexed = () => {} } = this.#options;
    const { origin, name } = this.ledger;
    let known = index.ledger(origin, name);
    for (let at = known.indexed; at < size; ) {
      const entries: Entry[] = [];
      let minimum = 0;
      for (let block = 0; block < BLOCKS_AT_ONCE && at < size; block++) {
        const n = Math.floor(at / TILE_WIDTH);
        const bundle = tileAt("entries", n, size)!;
        const bytes = await this.#options.folder.read(`${name}/${formatTilePath(bundle)}`);
        const found = bytes === undefined ? [] : decodeBundle(bytes, bundle.width);
        for (const bytes of found.slice(at - n * TILE_WIDTH)) {
          this.#read(bytes, n, entry => {
            minimum = Math.max(minimum, readMinimum(entry) ?? 0);
            entries.push(entry);
          });
        }
        at = n * TILE_WIDTH + bundle.width;
      }
      index.add(known, entries, at, minimum);
      indexed(at, size);
      // What is on the screen may be drawn, and a signal be heard.
      await Promise.resolve();
    }
    known = index.ledger(origin, name);
    return known.minimum;
  }

  /** An entry that the ledger has signed for and that cannot be read is in the copy all the same: it is evidence. */
  #read(bytes: Uint8Array, n: number, take: (entry: Entry) => void): void {
    try {
      take(parseEntry(decoder.decode(bytes)));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const { path, ...place } = this.mirror.place({ level: "entries", n, width: TILE_WIDTH });
      this.#findings.add(error.code, { path, ...place }, `${path}: ${error.message}`, error);
    }
  }
}

class AnchorCopy {
  readonly #options: PullOptions;
  readonly #copies: readonly LedgerCopy[];
  readonly #findings: Findings;
  newest: number | undefined;
  added = 0;
  readonly unnamed = new Set<string>();

  constructor(options: PullOptions, copies: readonly LedgerCopy[], findings: Findings) {
    this.#options = options;
    this.#copies = copies;
    this.#findings = findings;
  }

  /** Copies the anchors that are not there, in their order, up to the first that does not hold. */
  async bring(told: number | undefined): Promise<void> {
    const { folder, trust } = this.#options;
    let epoch = 0;
    while (await folder.has(formatAnchorPath(epoch))) epoch++;
    let prev: Anchor | undefined;
    if (epoch > 0) {
      this.newest = epoch - 1;
      const own = await folder.read(formatAnchorPath(epoch - 1));
      prev = await openAnchor(decoder.decode(own), trust.anchorKeys);
      for (const { origin } of prev.payload.ledgers) this.#find(origin);
    }
    const wrong = this.#findings.count;
    for (;;) {
      const texts = await this.#fetch(epoch, told);
      for (const text of texts) {
        const path = formatAnchorPath(epoch);
        const anchor = await this.#open(text, epoch, prev, path);
        if (anchor === undefined || !(await this.#bringPinned(anchor, told, path))) return;
        if (this.#findings.count > wrong) return;
        await folder.write(path, new TextEncoder().encode(text));
        prev = anchor;
        this.newest = epoch++;
        this.added++;
      }
      if (texts.length < ANCHORS_AT_ONCE) {
        this.#requireTold(epoch, told);
        return;
      }
    }
  }

  /** The next anchors that there are, without a gap between them. */
  async #fetch(first: number, told: number | undefined): Promise<string[]> {
    const { archive, lanes } = this.#options;
    const end = Math.max((told ?? -1) + 1, first) + PROBE_AHEAD;
    const count = Math.min(ANCHORS_AT_ONCE, end - first);
    const texts = new Map<number, string>();
    await inParallel(
      Array.from({ length: count }, (_, i) => first + i),
      lanes,
      async epoch => {
        const bytes = await archive.get(formatAnchorPath(epoch));
        if (bytes !== undefined) texts.set(epoch, decoder.decode(bytes));
      },
    );
    const run: string[] = [];
    while (texts.has(first + run.length)) run.push(texts.get(first + run.length)!);
    return run;
  }

  /** @returns undefined for one that does not hold. */
  async #open(
    text: string,
    epoch: number,
    prev: Anchor | undefined,
    path: string,
  ): Promise<Anchor | undefined> {
    let anchor: Anchor | undefined;
    await this.#findings.check({ path, epoch }, async () => {
      const opened = await openAnchorOf(epoch, text, this.#options.trust);
      const expected = prev?.digest ?? FIRST_ANCHOR_PREV;
      const found = opened.payload.prev;
      if (found !== expected) {
        const message = `${path}: does not name the anchor before it`;
        throw new Fault("broken-anchor-chain", message, { expected, found });
      }
      anchor = opened;
    });
    return anchor;
  }

  /** Copies what an anchor pins. @returns false for one that is newer than the checkpoints: it waits for the next pull. */
  async #bringPinned({ payload }: Anchor, told: number | undefined, path: string): Promise<boolean> {
    const { epoch } = payload;
    for (const { origin, size } of payload.ledgers) {
      const copy = this.#find(origin);
      if (copy === undefined) continue;
      if (size <= copy.size) {
        await copy.mirror.copyEnd(size);
        continue;
      }
      if (told === undefined || epoch > told) return false;
      this.#findings.add(
        "rolled-back",
        { path, epoch },
        `${path}: pins more of ${origin} than is published`,
        {
          expected: `at least ${size} entries`,
          found: `${copy.size} entries`,
        },
      );
    }
    return true;
  }

  /** The copy of a ledger, or undefined (and a note of it) for one that the trust document does not name. */
  #find(origin: string): LedgerCopy | undefined {
    const copy = this.#copies.find(({ ledger }) => ledger.origin === origin);
    if (copy === undefined) this.unnamed.add(origin);
    return copy;
  }

  /** The archive has told of anchors that it does not give. */
  #requireTold(epoch: number, told: number | undefined): void {
    if (told === undefined || epoch > told) return;
    const path = formatAnchorPath(epoch);
    this.#findings.add(
      "missing",
      { path, epoch },
      `${path}: is not in the archive, which tells of later ones`,
      {
        expected: `anchors up to epoch ${told}`,
      },
    );
  }
}
