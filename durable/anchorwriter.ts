// The writer of anchors, with its alarm: an anchor within the interval after something was published, or at once when
// enough entries are new, or a ledger has a new key. An attempt that fails is told, and made again after the interval.
import { formatSpoolPrefix } from "../src/receipt/spool.ts";
import type { AnchorStatus, Trouble } from "../src/receipt/status.ts";
import type { Alarm } from "./alarm.ts";
import type { Anchorer } from "./anchor.ts";
import type { SpoolStore } from "./spool.ts";
import { describeTrouble } from "./trouble.ts";

export interface AnchorWriterOptions {
  readonly anchorer: Anchorer;
  /** How long after it became known that a ledger has grown, an anchor is written, in ms. */
  readonly intervalMs: number;
  /** How many new entries of a ledger do not wait for that. */
  readonly entries: number;
  /** The names of the ledgers. */
  readonly ledgers: readonly string[];
  readonly spool: SpoolStore;
  /** Has a ledger look into its spool soon. */
  readonly wake: (ledger: string) => Promise<void>;
  readonly alarm: Alarm;
  readonly now: () => number;
  /** Tells a person of what has failed and is tried again. */
  readonly report: (what: string, error: unknown) => void;
}

export class AnchorWriter {
  readonly #options: AnchorWriterOptions;
  /** How many entries each ledger had published when it was first heard of since the last attempt. */
  readonly #published = new Map<string, number>();
  /** Why the last attempt wrote no anchor, if it failed. */
  #trouble: Trouble | undefined;

  constructor(options: AnchorWriterOptions) {
    this.#options = options;
  }

  /**
   * Sees to it that an anchor is written within the interval, or now if enough entries are new, or if the last attempt
   * came before the ledger had published under a new key.
   * @param grown how many entries a ledger has published by now, from a ledger that has.
   */
  async arm(grown?: { readonly ledger: string; readonly published: number }): Promise<void> {
    const { alarm, anchorer, entries, intervalMs, now } = this.#options;
    const isDue =
      grown !== undefined &&
      (this.#countNew(grown.ledger, grown.published) >= entries || anchorer.awaits(grown.ledger));
    if (isDue || (await alarm.get()) === null) await alarm.set(now() + (isDue ? 0 : intervalMs));
  }

  /** How many entries a ledger has published since it was first heard of after the last attempt. */
  #countNew(ledger: string, published: number): number {
    const before = this.#published.get(ledger);
    if (before === undefined) this.#published.set(ledger, published);
    return published - (before ?? published);
  }

  async status(): Promise<AnchorStatus> {
    const latest = this.#options.anchorer.latest();
    return { ...(latest !== undefined && { latest }), ...(this.#trouble && { trouble: this.#trouble }) };
  }

  /** What the alarm calls. It never rejects but when no alarm can be set. */
  async onAlarm(): Promise<void> {
    const { alarm, anchorer, intervalMs, now, report } = this.#options;
    await alarm.set(now() + intervalMs);
    this.#published.clear();
    try {
      await anchorer.anchor();
      const [worst] = anchorer.troubles;
      this.#trouble = worst && describeTrouble(worst);
      for (const trouble of anchorer.troubles) report("anchoring", trouble);
    } catch (error) {
      this.#trouble = describeTrouble(error as Error);
      report(`anchoring after epoch ${anchorer.latest() ?? "none"}`, error);
    }
    if (anchorer.isCopying) await alarm.set(now());
    // Not waited for: no ledger may hold up the anchors of the others.
    this.#wakeLedgers().catch(error => report("looking into the spools", error));
  }

  /** Wakes the ledgers whose spools hold something: one that nobody calls would not notice. */
  async #wakeLedgers(): Promise<void> {
    const { ledgers, spool, wake } = this.#options;
    for (const name of ledgers) {
      if ((await spool.list(formatSpoolPrefix(name), 1)).length > 0) await wake(name);
    }
  }
}
