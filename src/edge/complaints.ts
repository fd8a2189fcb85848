// What goes wrong for one exchange after another, as the log gets it: the first time in full, and how often it was again
// in one line after a while. So a log does not grow with the load, and nothing goes wrong without being counted in it.

/** For how long a complaint is counted before that is told, in ms: less than a stopped process waits for its work. */
const COUNT_MS = 5000;

/** After how long the request that was to tell is evidently gone, in ms. */
const LOST_MS = 15_000;

interface Count {
  /** When it began, by the edge's clock. */
  readonly began: number;
  more: number;
  last: string;
}

/** The complaints of one isolate. */
export class Complaints {
  readonly #now: () => number;
  readonly #counts = new Map<string, Count>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Logs that something has gone wrong, or counts it, if the same was logged just now. The request of the first sees to
   * it that the count is told; should it be gone, one that comes later does.
   * @param what has gone wrong: a sentence that is the same each time.
   * @param whom the ids of the exchanges that it has gone wrong for, or whatever else it was; at least one.
   */
  make(
    what: string,
    whom: readonly string[],
    cause: unknown,
    waitUntil: (work: Promise<unknown>) => void,
  ): void {
    const last = whom.at(-1)!;
    const now = this.#now();
    const known = this.#counts.get(what);
    if (known !== undefined && now - known.began < LOST_MS) {
      known.more += whom.length;
      known.last = last;
      return;
    }
    if (known !== undefined) this.#tell(what, known);
    console.error(`${what}, for ${whom.join(", ")}:`, cause);
    const count = { began: now, more: 0, last };
    this.#counts.set(what, count);
    waitUntil(new Promise(resolve => setTimeout(resolve, COUNT_MS)).then(() => this.#tell(what, count)));
  }

  /** Tells what was counted so far, for a process that ends. */
  end(): void {
    for (const [what, count] of this.#counts) this.#tell(what, count);
  }

  /** Ends a count, unless that was done already. */
  #tell(what: string, count: Count): void {
    if (this.#counts.get(what) !== count) return;
    this.#counts.delete(what);
    if (count.more > 0) console.error(`${what}, for ${count.more} more, the last of them ${count.last}`);
  }
}
