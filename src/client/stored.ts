// What is stored of one ledger: its checkpoint, tiles and entry bundles. An object that is missing or
// cannot be read becomes a finding at its path, and the reader goes on without it.
import { judgeAbsent } from "../receipt/control.ts";
import type { Entry } from "../receipt/entry.ts";
import { decodeBundle } from "../tlog/bundle.ts";
import { Fault } from "../tlog/fault.ts";
import { readTiles } from "../tlog/reader.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tileAt, tileHashes } from "../tlog/tile.ts";
import { type Hash, leafHash } from "../tlog/tree.ts";
import type { Archive } from "./archive.ts";
import { type Findings, located, type Place } from "./findings.ts";

/** How many blocks of 256 entries are fetched before their turn. */
const BLOCKS_AHEAD = 4;

export class StoredLedger {
  readonly #name: string;
  readonly #archive: Archive;
  readonly #findings: Findings;
  /** The levels whose objects are missing from some place to the end. */
  readonly #ended = new Set<Tile["level"]>();
  /** The objects of blocks that come next, and the first block after them. */
  readonly #ahead = new Map<string, Promise<Uint8Array | undefined>>();
  #aheadTo = 0;
  /** How many bundles were gone at an earlier audit, from the first on. */
  readonly #goneBefore: number;
  /** The bundles that are gone after those: it is not known yet whether they may be. */
  readonly #gone = new Set<number>();

  /**
   * @param name the ledger's folder in the archive.
   * @param pruned how many entries were gone at an earlier audit, because their retention had ended.
   */
  constructor(name: string, pruned: number, archive: Archive, findings: Findings) {
    this.#name = name;
    this.#goneBefore = pruned / TILE_WIDTH;
    this.#archive = archive;
    this.#findings = findings;
  }

  /** Finds the bundles that are gone from the beginning on, of those before block `end`, which will not be read. */
  async begin(end: number): Promise<void> {
    let n = this.#goneBefore;
    while (n < end && (await this.#isGone({ level: "entries", n, width: TILE_WIDTH }))) n++;
  }

  /** Where an object of this ledger is. */
  place(object: Tile | "checkpoint"): Place {
    const path = object === "checkpoint" ? object : formatTilePath(object);
    return { path: `${this.#name}/${path}`, ledger: this.#name };
  }

  get(path: string): Promise<Uint8Array | undefined> {
    const ahead = this.#ahead.get(path);
    this.#ahead.delete(path);
    return ahead ?? this.#archive.get(`${this.#name}/${path}`);
  }

  /** Begins to fetch the full blocks from `n` on that will be read next, of the tree of `size`. */
  readAhead(n: number, size: number): void {
    const end = Math.min(n + BLOCKS_AHEAD, Math.floor(size / TILE_WIDTH));
    for (this.#aheadTo = Math.max(this.#aheadTo, n); this.#aheadTo < end; this.#aheadTo++) {
      this.#fetch({ level: 0, n: this.#aheadTo, width: TILE_WIDTH });
      if (this.#archive.holdsEntries) this.#fetch({ level: "entries", n: this.#aheadTo, width: TILE_WIDTH });
    }
  }

  #fetch(tile: Tile): void {
    const path = formatTilePath(tile);
    const object = this.#archive.get(`${this.#name}/${path}`);
    // A failure is for whoever reads it.
    object.catch(() => {});
    this.#ahead.set(path, object);
  }

  /** Whether an object is there in just this width. */
  async has(tile: Tile): Promise<boolean> {
    return (await this.get(formatTilePath(tile))) !== undefined;
  }

  /** The hashes of a tile of the tree of `size`. */
  readHashes(tile: Tile, size: number): Promise<Hash[] | undefined> {
    return this.#read(tile, size, async () => {
      const [data] = await readTiles(path => this.get(path), [tile]);
      return tileHashes(tile, data!);
    });
  }

  /** Whether all these tiles, of the tree of `size` or of smaller ones, can be read. */
  async canRead(tiles: readonly Tile[], size: number): Promise<boolean> {
    const hashes = await Promise.all(tiles.map(tile => this.readHashes(tile, size)));
    return !hashes.includes(undefined);
  }

  /** The entries of a bundle of the tree of `size`; none when the archive does not give entries out. */
  async readEntries(bundle: Tile, size: number): Promise<Uint8Array[] | undefined> {
    if (!this.#archive.holdsEntries || (await this.#isGone(bundle))) return undefined;
    return this.#read(bundle, size, async () => {
      const exact = await this.get(formatTilePath(bundle));
      if (exact !== undefined) return decodeBundle(exact, bundle.width);
      const full = await this.get(formatTilePath({ ...bundle, width: TILE_WIDTH }));
      if (full !== undefined) return decodeBundle(full, TILE_WIDTH).slice(0, bundle.width);
      throw new Fault("missing", "not there");
    });
  }

  /**
   * Judges the bundles that are gone from the beginning on, once all that is left was read.
   * @param told the entry in which the ledger tells of its minimum index, if it does.
   * @returns how many entries from entry 0 on are gone that may be; 0 when none of those looked at is.
   */
  async settle(told: Entry | undefined, size: number): Promise<number> {
    let pruned = 0;
    for (const n of this.#gone) {
      try {
        judgeAbsent((n + 1) * TILE_WIDTH - 1, told);
      } catch (error) {
        if (error instanceof Fault && error.code === "pruned") pruned = (n + 1) * TILE_WIDTH;
        else await this.#read({ level: "entries", n, width: TILE_WIDTH }, size, () => Promise.reject(error));
      }
    }
    return pruned;
  }

  /** Whether it is known of all bundles that are gone that they may be. */
  get isSettled(): boolean {
    return this.#gone.size === 0;
  }

  /** Whether a bundle, and every one before it, is not there. */
  async #isGone({ n, width }: Tile): Promise<boolean> {
    if (this.#gone.has(n)) return true;
    const path = formatTilePath({ level: "entries", n, width });
    if (
      n !== this.#goneBefore + this.#gone.size ||
      width < TILE_WIDTH ||
      (await this.get(path)) !== undefined
    )
      return false;
    this.#gone.add(n);
    return true;
  }

  /** The hashes of a tile, or the leaf hashes of a bundle. */
  async read(tile: Tile, size: number): Promise<Hash[] | undefined> {
    if (tile.level !== "entries") return this.readHashes(tile, size);
    return (await this.readEntries(tile, size))?.map(entry => leafHash(entry));
  }

  async #read<T>(tile: Tile, size: number, read: () => Promise<T>): Promise<T | undefined> {
    if (this.#ended.has(tile.level)) return undefined;
    let result: T | undefined;
    await this.#findings.check(this.place(tile), async () => {
      try {
        result = await read();
      } catch (error) {
        throw error instanceof Fault ? await this.#explain(error, tile, size) : error;
      }
    });
    return result;
  }

  /** Names the object, and tells a hole from a tail that was cut off. */
  async #explain(fault: Fault, tile: Tile, size: number): Promise<unknown> {
    const { path } = this.place(tile);
    if (fault.code !== "missing") return located(fault, path);
    const index = tile.n * TILE_WIDTH ** (tile.level === "entries" ? 1 : tile.level + 1);
    if (await this.#hasLast(tile.level, size)) {
      return new Fault("missing", `${path}: is not in the archive`, { index });
    }
    this.#ended.add(tile.level);
    return new Fault("truncated", `${path}: is not in the archive, nor is the last one of its kind`, {
      index,
    });
  }

  async #hasLast(level: Tile["level"], size: number): Promise<boolean> {
    const perHash = level === "entries" ? 1 : TILE_WIDTH ** level;
    const count = Math.floor(size / perHash);
    const last = tileAt(level, Math.ceil(count / TILE_WIDTH) - 1, size);
    return last !== undefined && ((await this.has(last)) || (await this.has({ ...last, width: TILE_WIDTH })));
  }
}
