// How far the clocks of edge and ledger are apart: a record's own time is the edge's, and `at` is the ledger's when it
// took the entry. What lies between is the exchange, the way to the ledger, and the difference of two clocks. Nothing
// is wrong with any of it, but an auditor wants to see the largest.

export interface ClockDifference {
  readonly index: number;
  /** By the edge's clock, and by the ledger's. */
  readonly time: string;
  readonly at: string;
  /** How much later the ledger's is; negative when it is earlier. */
  readonly ms: number;
}

/** How many are kept. */
const KEPT_MAX = 10;

export class Clocks {
  #kept: { readonly index: number; readonly timeMs: number; readonly atMs: number }[] = [];
  /** The smallest that is kept; none smaller is, once there are enough. */
  #least = 0;

  /** Takes note of an entry. @param timeMs the edge's clock, and `atMs` the ledger's, in ms of Unix time. */
  add(index: number, timeMs: number, atMs: number): void {
    const ms = Math.abs(atMs - timeMs);
    if (ms <= this.#least) return;
    this.#kept.push({ index, timeMs, atMs });
    this.#kept.sort((a, b) => Math.abs(b.atMs - b.timeMs) - Math.abs(a.atMs - a.timeMs));
    this.#kept.length = Math.min(this.#kept.length, KEPT_MAX);
    if (this.#kept.length === KEPT_MAX)
      this.#least = Math.abs(this.#kept.at(-1)!.atMs - this.#kept.at(-1)!.timeMs);
  }

  /** Where they are furthest apart, the largest difference first. */
  get furthest(): ClockDifference[] {
    return this.#kept.map(({ index, timeMs, atMs }) => ({
      index,
      time: new Date(timeMs).toISOString(),
      at: new Date(atMs).toISOString(),
      ms: atMs - timeMs,
    }));
  }
}
