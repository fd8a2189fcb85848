// The writer of one ledger, whole: the ledger with its spool, and the alarm by which everything follows that nobody
// waits for. Whatever is durable here gets published, let go of in its time and brought to the anchor writer's
// notice: before a record can become durable, an alarm is set, and no alarm comes to rest while something is left.
import type { TrustedKey } from "../src/receipt/key.ts";
import type { Placement } from "../src/receipt/placement.ts";
import type { Control } from "../src/receipt/record.ts";
import type { AnchorStatus, LedgerStatus, Trouble } from "../src/receipt/status.ts";
import type { TrustedLedger } from "../src/receipt/trust.ts";
import { Fault } from "../src/tlog/fault.ts";
import type { Sha256 } from "../src/tlog/hash.ts";
import type { NoteSigner } from "../src/tlog/note.ts";
import type { Alarm } from "./alarm.ts";
import { type AlertLimits, listAlerts } from "./alerts.ts";
import { readNewestAnchor } from "./anchor.ts";
import type { Archive } from "./archive.ts";
import { type Identity, Ledger } from "./ledger.ts";
import { Openings, type VaultPort } from "./openings.ts";
import { publish } from "./publish.ts";
import { readPublished } from "./published.ts";
import { recheck } from "./recheck.ts";
import { retire } from "./retention.ts";
import { Spool, type SpoolStore } from "./spool.ts";
import type { Sql } from "./sql.ts";
import { describeTrouble } from "./trouble.ts";

/** The anchor writer, as a ledger sees it. */
export interface AnchorPort {
  status(): Promise<AnchorStatus>;
  /** Sees to it that an anchor is written before long. @param grown how much a ledger has published by now. */
  arm(grown: { readonly ledger: string; readonly published: number }): Promise<void>;
}

export interface LedgerWriterOptions {
  readonly issuer: string;
  /** The ledger's name and origin, and the keys of its checkpoints. */
  readonly ledger: TrustedLedger;
  readonly identity: Identity;
  /** The checkpoint key. */
  readonly signer: NoteSigner;
  /** The keys of the promises that wait in the spool. */
  readonly receiptKeys: readonly TrustedKey[];
  readonly anchorKeys: readonly TrustedKey[];
  /** How long entries stay in the archive, in ms; for ever when it is left out. */
  readonly retentionMs?: number | undefined;
  readonly alerts: AlertLimits;
  /** What opens the exchanges on record; left out when nothing is kept of that. */
  readonly vault?: (VaultPort & { readonly retentionMs: number }) | undefined;

  readonly sql: Sql;
  /** Answers when everything that was committed is durable. */
  readonly sync: () => Promise<void>;
  readonly alarm: Alarm;
  readonly archive: Archive;
  readonly spool: SpoolStore;
  readonly anchors: Archive;
  readonly anchorWriter: AnchorPort;
  /** The ledger's clock, in ms of Unix time. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** The platform's own SHA-256, if it has one. */
  readonly sha256?: Sha256;
  /** Resolves after whatever else is already waiting to append has been let in. */
  readonly breathe: () => Promise<void>;
  /** Tells a person of what has failed and is tried again. */
  readonly report: (what: string, error: unknown) => void;
}

/** How long after an append its publication is due, in ms: one checkpoint a second at the most. */
const PUBLISH_DELAY_MS = 1000;

/** How long to wait after a publication that failed, in ms. */
const RETRY_DELAY_MS = 10_000;

/** How often a ledger looks into its spool while nobody has told it that there is something, in ms. */
const SPOOL_LOOK_MS = 10_000;

export class LedgerWriter {
  readonly #options: LedgerWriterOptions;
  readonly #ledger: Ledger;
  readonly #spool: Spool;
  readonly #openings: Openings | undefined;
  /** When the spool is due to be looked into; 0 for at once. */
  #lookAt = 0;
  /** Until when it rests, if it does: when the vault is to be asked. */
  #restsUntil: number | undefined;
  /** Why the last records were not taken, if they were not. */
  #trouble: Trouble | undefined;

  constructor(options: LedgerWriterOptions) {
    this.#options = options;
    this.#ledger = openLedger(options);
    const { name, origin } = options.ledger;
    this.#openings = openOpenings(options, this.#ledger);
    this.#spool = new Spool({
      ...{ name, origin, keys: options.receiptKeys, now: options.now },
      ...{ store: options.spool, report: options.report },
      append: async records => {
        const placements = await this.#noting(this.#ledger.append(records));
        await options.sync();
        return placements;
      },
    });
  }

  /** Whether it takes no records, because of a contradiction that only a person can resolve. */
  get halted(): boolean {
    return this.#ledger.halted !== undefined;
  }

  /** As `Ledger.append`. */
  async append(records: readonly string[]): Promise<Placement[]> {
    // Before as well as after: whatever becomes durable here, an alarm is set that will publish it.
    await this.#arm();
    const placements = await this.#noting(this.#ledger.append(records));
    await this.#arm();
    return placements;
  }

  /** As `Ledger.control`. */
  async control(control: Control): Promise<Placement> {
    await this.#arm();
    const placement = await this.#noting(this.#ledger.control(control));
    await this.#arm();
    return placement;
  }

  /** As `Ledger.find`. */
  find(jti: string): Promise<string[]> {
    return this.#ledger.find(jti);
  }

  async status(): Promise<LedgerStatus> {
    await this.#ledger.check();
    // An instance that has not looked into the spool yet does so before long.
    if (this.#lookAt === 0) await this.#arm();
    const { store, halted } = this.#ledger;
    const { alerts, now } = this.#options;
    return {
      size: store.head().frontier.size,
      published: store.published(),
      minimum: store.retention().minimum,
      ...(halted && { halted: describeTrouble(halted) }),
      ...(this.#trouble && { trouble: this.#trouble }),
      alerts: listAlerts({ store, spool: this.#spool.state, vault: this.#openings?.trouble }, alerts, now()),
    };
  }

  /** Has the spool looked into soon: something was put there. */
  async wake(): Promise<void> {
    // What is due already is not put off.
    if (this.#lookAt === 0) return this.#arm();
    this.#lookAt = 0;
    await this.#setAlarm(PUBLISH_DELAY_MS);
  }

  /** What the alarm calls. It never rejects but when no alarm can be set. */
  async onAlarm(): Promise<void> {
    // Set again first: whatever happens below, somebody will look again; at the latest after the next append.
    await this.#setAlarm(RETRY_DELAY_MS);
    const { now, report, ledger } = this.#options;
    // A clock that was put back meanwhile makes it due as well: it may be weeks until then.
    const waitMs = this.#lookAt - now();
    const looked = waitMs <= 0 || waitMs > SPOOL_LOOK_MS;
    let more: boolean;
    try {
      more = await this.#work(looked);
    } catch (error) {
      if (error instanceof Fault) this.#ledger.halt(error);
      report(`publishing ledger "${ledger.name}"`, error);
      return;
    }
    const { store } = this.#ledger;
    if (more || store.published() !== store.head().frontier.size || this.#lookAt === 0) {
      await this.#setAlarm(PUBLISH_DELAY_MS);
    } else if (!looked) {
      // Before it comes to rest, it looks whether something was put into the spool meanwhile.
      await this.#setAlarm(Math.min(this.#lookAt - now(), SPOOL_LOOK_MS));
    } else {
      await this.#rest();
    }
  }

  /** Nothing is left to be done now; the vault may be asked later. */
  async #rest(): Promise<void> {
    const { alarm } = this.#options;
    this.#restsUntil = this.#openings?.dueAt();
    if (this.#restsUntil === undefined) await alarm.clear();
    else await alarm.set(this.#restsUntil);
  }

  /** Everything that is due. @returns whether there is more of it. */
  async #work(look: boolean): Promise<boolean> {
    const { archive, anchorWriter, ledger, retentionMs, signer } = this.#options;
    const { name } = ledger;
    const { store } = this.#ledger;
    await this.#ledger.check();
    if (look) await this.#drain();
    if (this.#ledger.halted !== undefined) throw this.#ledger.halted;
    await this.#ledger.tell();
    await publish({ store, archive, ledger, signer });
    const isPruning = this.#ledger.prune();
    await anchorWriter.arm({ ledger: name, published: store.published() });
    const isRetiring =
      retentionMs !== undefined && (await retire({ ledger: this.#ledger, archive, name, retentionMs }));
    const isAsking = (await this.#openings?.ask()) ?? false;
    return isPruning || isRetiring || isAsking;
  }

  async #drain(): Promise<void> {
    this.#lookAt = this.#options.now() + SPOOL_LOOK_MS;
    // One that has halted takes nothing: what waits is only looked at, and now and then.
    if (this.#ledger.halted !== undefined) await this.#spool.look();
    else if (await this.#spool.drain()) this.#lookAt = 0;
  }

  /** Keeps in mind, and tells once, that records are not taken. */
  async #noting<T>(append: Promise<T>): Promise<T> {
    try {
      const placed = await append;
      this.#trouble = undefined;
      return placed;
    } catch (error) {
      const { ledger, report } = this.#options;
      if (this.#trouble === undefined) report(`ledger "${ledger.name}" takes no records`, error);
      this.#trouble = describeTrouble(error as Error);
      throw error;
    }
  }

  async #arm(): Promise<void> {
    const { alarm, now } = this.#options;
    // Looked at each time, and not remembered: whoever else is on this storage may have put it off. One that is set for
    // later than any publication is tried again is that of a ledger at rest.
    const at = await alarm.get();
    if (at === null || at === this.#restsUntil || at > now() + RETRY_DELAY_MS)
      await this.#setAlarm(PUBLISH_DELAY_MS);
  }

  #setAlarm(delayMs: number): Promise<void> {
    return this.#options.alarm.set(this.#options.now() + delayMs);
  }
}

/** The ledger, and all that its storage is compared with. */
function openLedger(options: LedgerWriterOptions): Ledger {
  const { anchorKeys, anchors, anchorWriter, archive, issuer, ledger } = options;
  const { sql, identity, now, random, sha256, breathe } = options;
  const published = readPublished(archive, ledger.name);
  const newestAnchor = async () =>
    readNewestAnchor(anchors, (await anchorWriter.status()).latest, anchorKeys);
  return new Ledger({
    ...{ sql, issuer, origin: ledger.origin, identity, published, now, random, breathe },
    ...(sha256 && { sha256 }),
    recheck: store => recheck({ store, ledger, published, newestAnchor, anchorKeys }),
  });
}

/** What compares the exchanges on record with what the vault has, if there is one. */
function openOpenings(
  { vault, ledger, now, report }: LedgerWriterOptions,
  { store }: Ledger,
): Openings | undefined {
  if (vault === undefined) {
    store.forgetAsked();
    return undefined;
  }
  const { retentionMs } = vault;
  return new Openings({
    ...{ store, vault, retentionMs, now },
    report: error => report(`the vault of ledger "${ledger.name}"`, error),
  });
}
