// A copy of one ledger in a folder, object by object. What is kept was verified first: a tile by the hash above it, up
// to a root that the ledger has signed, and an entry by its hash in the tile of level 0. So what has a place in the
// folder is never fetched again, and a pull that was killed goes on where it was.
import { decodeBundle } from "../tlog/bundle.ts";
import { Fault } from "../tlog/fault.ts";
import { type Get, readTiles } from "../tlog/reader.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tileHashes } from "../tlog/tile.ts";
import {
  emptyFrontier,
  equalBytes,
  extend,
  HASH_BYTES,
  type Hash,
  leafHash,
  planRoot,
  rootOf,
} from "../tlog/tree.ts";
import type { Archive } from "./archive.ts";
import type { CopyFolder } from "./copyfolder.ts";
import { type Findings, located, type Place } from "./findings.ts";
import { inParallel } from "./parallel.ts";
import type { Advance } from "./progress.ts";
import type { SignedTree } from "./signed.ts";

/** A block of 256 entries, and the root over them. */
interface Block {
  readonly n: number;
  readonly hash: Hash;
}

export class LedgerMirror {
  readonly #name: string;
  readonly #archive: Archive;
  readonly #folder: CopyFolder;
  readonly #findings: Findings;
  readonly #lanes: number;
  /** The right edge of the tree, by level: verified. */
  #edges = new Map<number, { readonly tile: Tile; readonly hashes: readonly Hash[] }>();
  /** The last bundle that is not in the archive; -1 for none. */
  #lastGone = -1;
  /** The few that prove that a tree continues another. */
  readonly #peeked = new Map<string, Uint8Array>();
  /** How many objects were fetched. */
  fetched = 0;

  constructor(name: string, archive: Archive, folder: CopyFolder, findings: Findings, lanes: number) {
    this.#name = name;
    this.#archive = archive;
    this.#folder = folder;
    this.#findings = findings;
    this.#lanes = lanes;
  }

  /** An object that is looked at before it is known whether to keep it: then it need not be fetched again. */
  async peek(path: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#get(path);
    if (bytes !== undefined) this.#peeked.set(path, bytes);
    return bytes;
  }

  place(object: Tile | "checkpoint"): Place {
    const path = object === "checkpoint" ? object : formatTilePath(object);
    return { path: `${this.#name}/${path}`, ledger: this.#name };
  }

  /**
   * Copies all that a signed tree is made of. What is wrong becomes a finding, and is not kept.
   * @param minimum the bundles below are gone from the archive, and not asked for.
   * @param report is told how many entries are there.
   */
  async copy(tree: SignedTree, minimum: number, report: Advance): Promise<void> {
    if (tree.size === 0 || !(await this.#copyEdges(tree))) return;
    let done = 0;
    await inParallel(this.#blocks(), this.#lanes, async block => {
      await this.#copyBlock(block, (block.n + 1) * TILE_WIDTH <= minimum);
      done += TILE_WIDTH;
      report(done, tree.size);
    });
    const edge = this.#edges.get(0);
    if (edge !== undefined) await this.#copyBundle(edge.tile, edge.hashes);
  }

  /**
   * Copies the partial objects that a smaller tree ends in, as far as no full one makes up for them: an audit looks
   * at what anchors pin, and those may be of any size.
   */
  async copyEnd(size: number): Promise<void> {
    for (const [level, { tile, hashes }] of this.#edges) {
      const perHash = TILE_WIDTH ** level;
      const width = Math.floor(size / perHash) - tile.n * TILE_WIDTH;
      if (width <= 0 || width >= tile.width) continue;
      const narrow = { ...tile, width };
      await this.#check(narrow, async () => {
        const verify = (bytes: Uint8Array) => requireHashes(narrow, tileHashes(narrow, bytes), hashes);
        if ((await this.#take(narrow, verify)) === undefined)
          throw new Fault("missing", "is not in the archive");
      });
      if (level === 0) await this.#copyBundle(narrow, hashes.slice(0, width));
    }
  }

  /**
   * Judges the bundles that are gone, after `copy`. @param minimum the entries below it may be.
   * @returns whether no other is.
   */
  settleGone(minimum: number): boolean {
    const last = this.#lastGone;
    if ((last + 1) * TILE_WIDTH <= minimum) return true;
    const place = this.place({ level: "entries", n: last, width: TILE_WIDTH });
    const message = `${place.path}: is not in the archive, and no entry tells that its retention has ended`;
    this.#findings.add("missing", place, message, { index: last * TILE_WIDTH });
    return false;
  }

  /** The tiles that end the tree, which the root is made from. @returns whether they make it up. */
  async #copyEdges({ size, root }: SignedTree): Promise<boolean> {
    const plan = planRoot(size);
    const place = this.place("checkpoint");
    return this.#findings.check(place, async () => {
      const read = (get: Get) =>
        readTiles(get, plan.tiles).catch(error => {
          throw located(error, this.#name);
        });
      const own = (path: string) => this.#folder.read(`${this.#name}/${path}`);
      let data = await read(async path => (await own(path)) ?? this.#get(path));
      // What lies in the folder may have been damaged there.
      if (!equalBytes(plan.root(data), root)) data = await read(path => this.#get(path));
      if (!equalBytes(plan.root(data), root)) {
        throw new Fault(
          "tampered",
          `${place.path}: the tiles at the end of the tree do not lead to its root`,
        );
      }
      for (const [i, tile] of plan.tiles.entries()) {
        this.#edges.set(Number(tile.level), { tile, hashes: tileHashes(tile, data[i]!) });
        const { path } = this.place(tile);
        const kept = await this.#folder.read(path);
        if (kept === undefined || !equalBytes(kept, data[i]!)) await this.#folder.write(path, data[i]!);
      }
    });
  }

  /** All full blocks, in their order. On the way, the full tiles above them are copied. */
  async *#blocks(): AsyncGenerator<Block> {
    const levels = [...this.#edges].sort(([a], [b]) => b - a);
    for (const [level, { tile, hashes }] of levels) {
      if (level > 0) yield* this.#below(level, tile.n, hashes);
    }
  }

  async *#below(level: number, n: number, hashes: readonly Hash[]): AsyncGenerator<Block> {
    for (const [i, hash] of hashes.entries()) {
      const tile = { level: level - 1, n: n * TILE_WIDTH + i, width: TILE_WIDTH };
      if (level === 1) yield { n: tile.n, hash };
      else {
        const inner = await this.#copyTile(tile, hash);
        if (inner !== undefined) yield* this.#below(level - 1, tile.n, inner);
      }
    }
  }

  async #copyBlock({ n, hash }: Block, isGone: boolean): Promise<void> {
    const tile = { level: 0, n, width: TILE_WIDTH };
    const bundle: Tile = { ...tile, level: "entries" };
    const [hasTile, hasBundle] = await Promise.all([
      this.#folder.has(this.place(tile).path),
      isGone || !this.#archive.holdsEntries || this.#folder.has(this.place(bundle).path),
    ]);
    if (hasTile && hasBundle) return;
    const leaves = await this.#copyTile(tile, hash);
    if (leaves !== undefined && !hasBundle) await this.#copyBundle(bundle, leaves);
  }

  /** @returns its hashes, or undefined when it cannot be had. */
  async #copyTile(tile: Tile, root: Hash): Promise<Hash[] | undefined> {
    let hashes: Hash[] | undefined;
    await this.#check(tile, async () => {
      const bytes = await this.#take(tile, bytes => {
        if (equalBytes(rootOf(extend(emptyFrontier(), tileHashes(tile, bytes))), root)) return;
        throw new Fault("tampered", "its hashes do not lead to the hash above them");
      });
      if (bytes === undefined) throw new Fault("missing", "is not in the archive");
      hashes = tileHashes(tile, bytes);
    });
    return hashes;
  }

  async #copyBundle(tile: Tile, leaves: readonly Hash[]): Promise<void> {
    if (!this.#archive.holdsEntries) return;
    const bundle: Tile = { ...tile, level: "entries" };
    await this.#check(bundle, async () => {
      const bytes = await this.#take(bundle, bytes => {
        const hashes = decodeBundle(bytes, bundle.width).map(entry => leafHash(entry));
        requireHashes(bundle, hashes, leaves);
      });
      if (bytes !== undefined) return;
      // Whether it may be gone, an entry tells that may not be there yet.
      if (bundle.width < TILE_WIDTH) throw new Fault("missing", "is not in the archive");
      this.#lastGone = Math.max(this.#lastGone, bundle.n);
    });
  }

  /** An object, from the folder or the archive, verified and kept; undefined when neither has it. */
  async #take(tile: Tile, verify: (bytes: Uint8Array) => void): Promise<Uint8Array | undefined> {
    const { path } = this.place(tile);
    const own = await this.#folder.read(path);
    if (own !== undefined && holds(() => verify(own))) return own;
    const bytes = (await this.#get(formatTilePath(tile))) ?? (await this.#cut(tile));
    if (bytes === undefined) return undefined;
    verify(bytes);
    await this.#folder.write(path, bytes);
    return bytes;
  }

  /** A partial object, from the full one that has taken its place. */
  async #cut(tile: Tile): Promise<Uint8Array | undefined> {
    if (tile.width === TILE_WIDTH) return undefined;
    const full = await this.#get(formatTilePath({ ...tile, width: TILE_WIDTH }));
    if (full === undefined || tile.level !== "entries") return full?.subarray(0, tile.width * HASH_BYTES);
    const length = decodeBundle(full, TILE_WIDTH)
      .slice(0, tile.width)
      .reduce((sum, entry) => sum + 2 + entry.length, 0);
    return full.subarray(0, length);
  }

  async #get(path: string): Promise<Uint8Array | undefined> {
    const peeked = this.#peeked.get(path);
    if (peeked !== undefined) return peeked;
    const bytes = await this.#archive.get(`${this.#name}/${path}`);
    if (bytes !== undefined) this.fetched++;
    return bytes;
  }

  async #check(tile: Tile, run: () => Promise<void>): Promise<void> {
    const place = this.place(tile);
    await this.#findings.check(place, () =>
      run().catch(error => {
        throw located(error, place.path);
      }),
    );
  }
}

function holds(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

/** @throws Fault `tampered` when hashes are not the ones that they should be. */
function requireHashes(tile: Tile, found: readonly Hash[], expected: readonly Hash[]): void {
  const at = found.findIndex((hash, i) => !equalBytes(hash, expected[i]!));
  if (at === -1) return;
  const what = tile.level === "entries" ? `entry ${tile.n * TILE_WIDTH + at}` : `hash ${at}`;
  throw new Fault("tampered", `${what} is not the one that the tree has there`);
}
