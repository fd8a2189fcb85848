// The writer of one vault, with its alarm: whatever is in the vault is let go of when its retention has ended.
import type { Opening, Page, Search } from "../src/receipt/opening.ts";
import type { Alarm } from "./alarm.ts";
import type { Sql } from "./sql.ts";
import { Vault } from "./vault.ts";

export interface VaultWriterOptions {
  readonly sql: Sql;
  readonly retentionMs: number;
  readonly alarm: Alarm;
  readonly now: () => number;
}

/** How often a vault lets go of what is past its retention, in ms. */
const PRUNE_MS = 3600 * 1000;

export class VaultWriter {
  readonly #options: VaultWriterOptions;
  readonly #vault: Vault;
  /** Whether an alarm is known to be set. */
  #armed = false;

  constructor(options: VaultWriterOptions) {
    this.#options = options;
    this.#vault = new Vault(options.sql);
  }

  /** As `Vault.keep`. */
  async keep(openings: readonly Opening[]): Promise<void> {
    // Before as well as after, as an alarm may come to rest in between: whatever is here is let go of in its time.
    await this.#arm();
    this.#vault.keep(openings);
    await this.#arm();
  }

  /** As `Vault.find`. */
  async find(jti: string): Promise<Opening | "erased" | undefined> {
    return this.#vault.find(jti);
  }

  /** As `Vault.missing`. */
  async missing(jtis: readonly string[]): Promise<string[]> {
    return this.#vault.missing(jtis);
  }

  /** As `Vault.search`. */
  async search(search: Search): Promise<Page> {
    return this.#vault.search(search);
  }

  /** As `Vault.erase`. */
  async erase(jtis: readonly string[]): Promise<void> {
    await this.#arm();
    this.#vault.erase(jtis);
    await this.#arm();
  }

  /** What the alarm calls. @throws whatever storage throws: it is called again. */
  async onAlarm(): Promise<void> {
    const { alarm, now, retentionMs } = this.#options;
    await alarm.set(now() + PRUNE_MS);
    const more = this.#vault.prune(now() - retentionMs);
    if (more) await alarm.set(now());
    if (!this.#vault.isEmpty()) return;
    this.#armed = false;
    await alarm.clear();
  }

  async #arm(): Promise<void> {
    if (this.#armed) return;
    const { alarm, now } = this.#options;
    if ((await alarm.get()) === null) await alarm.set(now() + PRUNE_MS);
    this.#armed = true;
  }
}
