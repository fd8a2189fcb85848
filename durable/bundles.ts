// Entries that a ledger has let go of, read back from the bundles that it has published. Anybody who has an old receipt
// can ask for one, and each costs a whole bundle: so only so many are in memory at once, and only so many wait.
import { decodeBundle } from "../src/tlog/bundle.ts";
import { Fault } from "../src/tlog/fault.ts";
import type { Get } from "../src/tlog/reader.ts";
import { formatTilePath, TILE_WIDTH } from "../src/tlog/tile.ts";

/** How many bundles are read at once, each of at most 1.5 MiB, and how many wait for that. */
export const READS_AT_ONCE = 4;
export const READS_WAITING_MAX = 100;

export class Bundles {
  readonly #published: Get;
  /** Those that are being read, or are to be: whoever needs one of them meanwhile shares it. */
  readonly #reading = new Map<number, Promise<Uint8Array[]>>();
  #reads = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param published reads what the ledger has published, by path below its prefix. */
  constructor(published: Get) {
    this.#published = published;
  }

  /**
   * The text of an entry. Whether it is the one that was there is for the caller to check.
   * @throws Fault `missing` when its bundle is not in the archive; Error when too many are asked for, or the archive cannot
   * be read.
   */
  async entry(index: number): Promise<string> {
    const n = Math.floor(index / TILE_WIDTH);
    let reading = this.#reading.get(n);
    if (reading === undefined) {
      if (this.#waiting.length >= READS_WAITING_MAX) {
        throw new Error(`${READS_WAITING_MAX} bundles are waited for already; ask again in a second`);
      }
      reading = this.#read(n).finally(() => this.#reading.delete(n));
      this.#reading.set(n, reading);
    }
    return new TextDecoder().decode((await reading)[index % TILE_WIDTH]);
  }

  async #read(n: number): Promise<Uint8Array[]> {
    if (this.#reads >= READS_AT_ONCE) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#reads++;
    try {
      const path = formatTilePath({ level: "entries", n, width: TILE_WIDTH });
      const bundle = await this.#published(path);
      if (bundle !== undefined) return decodeBundle(bundle, TILE_WIDTH);
      throw new Fault("missing", `${path}: is not in the archive`, { index: n * TILE_WIDTH });
    } finally {
      // Whoever is next has this one's turn.
      const next = this.#waiting.shift();
      if (next === undefined) this.#reads--;
      else next();
    }
  }
}
