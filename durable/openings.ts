// Openings that never got to the vault. The edge sends them and nobody waits for it, so an edge that dies takes with it
// what it had not sent, and nobody is left who would know. But the exchanges are on record: some minutes later the
// ledger asks the vault about each of them, and keeps in mind those that it knows nothing of, until it does.
//
// Exchanges are asked about in the order of their ids. One that comes on record later than that, from the spool or after a
// long upload, is noted as it comes (`Store.addEntries`), and asked about as well.
import { firstJti, timeOfJti } from "../src/receipt/jti.ts";
import { OPENING_WAIT_MS, type Store } from "./store.ts";

/** The vault, as a ledger sees it. */
export interface VaultPort {
  /** Of these exchanges, those that it knows nothing of. @throws when it cannot tell, within bounds. */
  missing(jtis: string[]): Promise<string[]>;
}

export interface OpeningsOptions {
  readonly store: Store;
  readonly vault: VaultPort;
  /** For how long the vault keeps openings, in ms. */
  readonly retentionMs: number;
  /** The ledger's clock, in ms of Unix time. */
  readonly now: () => number;
  /** Tells a person of exchanges that cannot be opened. */
  readonly report: (error: Error) => void;
}

/** How often it asks, in ms, and about how many exchanges at once. */
const ASK_MS = 60_000;
export const ASK_EXCHANGES_MAX = 5000;

/** How many are named at once to whoever reads the log. */
const REPORT_JTIS_MAX = 100;

export class Openings {
  readonly #options: OpeningsOptions;
  /** When it may ask again. */
  #askAt = 0;
  #trouble: Error | undefined;

  constructor(options: OpeningsOptions) {
    this.#options = options;
    const { store, now } = options;
    // What was on record before is not asked about: there may have been no vault.
    if (store.askedTo() === undefined) store.moveAsked(firstJti(now() - OPENING_WAIT_MS), [], []);
  }

  /** When there is something to ask about, in ms of Unix time; undefined while there is nothing. */
  dueAt(): number | undefined {
    const { store, now } = this.#options;
    const next = [store.nextLate(), store.nextExchange(store.askedTo()!)].filter(jti => jti !== undefined);
    if (next.length === 0) return undefined;
    const began = Math.min(...next.map(jti => timeOfJti(jti)!));
    // A clock that was put back meanwhile keeps nobody waiting.
    const askAt = this.#askAt > now() + ASK_MS ? 0 : this.#askAt;
    return Math.max(askAt, began + OPENING_WAIT_MS);
  }

  /** Asks about what is due. @returns whether there is more of it. Whatever the vault does, it goes on. */
  async ask(): Promise<boolean> {
    const { store, vault, retentionMs, now } = this.#options;
    const from = now();
    if ((this.dueAt() ?? Number.POSITIVE_INFINITY) > from) return false;
    this.#askAt = from + ASK_MS;
    const before = firstJti(from - OPENING_WAIT_MS);
    const asked = store.askedTo()!;
    const next = store.exchanges(asked, before, ASK_EXCHANGES_MAX);
    const isPartial = next.length === ASK_EXCHANGES_MAX;
    // What the vault has let go of by now is not missing.
    const oldest = firstJti(from - retentionMs);
    const jtis = [...next, ...store.doubtful(before, ASK_EXCHANGES_MAX)].filter(jti => jti >= oldest);
    try {
      const missing = jtis.length === 0 ? [] : await vault.missing(jtis);
      this.#tell(missing);
      // Nothing sorts between an id and the same with one more character, and no id is longer than another.
      store.moveAsked(isPartial ? `${next.at(-1)}.` : before, jtis, missing);
      store.forgetUnopened(oldest);
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = error as Error;
      return false;
    }
    if (isPartial) this.#askAt = 0;
    return isPartial;
  }

  /** Why the vault could not be asked the last time, if it could not. */
  get trouble(): Error | undefined {
    return this.#trouble;
  }

  #tell(missing: readonly string[]): void {
    const { store, report } = this.#options;
    const known = new Set(store.unopened(ASK_EXCHANGES_MAX));
    const fresh = missing.filter(jti => !known.has(jti));
    if (fresh.length === 0) return;
    const more = fresh.length > REPORT_JTIS_MAX ? `, and ${fresh.length - REPORT_JTIS_MAX} more` : "";
    report(
      new Error(`it has nothing that opens these: ${fresh.slice(0, REPORT_JTIS_MAX).join(", ")}${more}`),
    );
  }
}
