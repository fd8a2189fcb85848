// A gap: records that were let go without being on record, and how the ledger is told of them. Each is counted in one
// gap, and each gap told until the ledger has taken it. One isolate knows of its own gaps only, and forgets them when
// it ends; so the beginning of one is put into the spool as well, where the ledger finds it.
import { makeJti } from "../receipt/jti.ts";
import { formatControl } from "../receipt/record.ts";
import type { Sources } from "./exchange.ts";

/** The gaps that this isolate has left in one ledger. */
export class Gaps {
  readonly #issuer: string;
  readonly #sources: Sources;
  /** The one that goes on, and the records of those that are over and that the ledger has not taken yet. */
  #gap: Gap | undefined;
  readonly #untold = new Set<string>();

  constructor(issuer: string, sources: Sources) {
    this.#issuer = issuer;
    this.#sources = sources;
  }

  /** Whether there is nothing to tell. */
  get isEmpty(): boolean {
    return this.#gap === undefined && this.#untold.size === 0;
  }

  /**
   * Counts a record that was let go.
   * @param isSpooled whether it waits in the spool at least.
   * @returns the control record that says that a gap has begun, if one has with this.
   */
  note(isSpooled: boolean): string | undefined {
    const known = this.#gap;
    this.#gap ??= new Gap(this.#issuer, this.#sources);
    this.#gap.note(isSpooled);
    return known === undefined ? this.#gap.formatBeginning() : undefined;
  }

  /**
   * Tells of all gaps: the ledger can be reached again.
   * @param place takes a record there. What it throws at, is told again the next time, as the same record.
   */
  async tell(place: (record: string) => Promise<unknown>): Promise<void> {
    if (this.#gap !== undefined) this.#untold.add(this.#gap.format());
    this.#gap = undefined;
    try {
      for (const record of this.#untold) {
        await place(record);
        this.#untold.delete(record);
      }
    } catch {
      // Of what it was, the log hears with the next exchange that the ledger does not take.
    }
  }
}

class Gap {
  readonly #issuer: string;
  readonly #sources: Sources;
  readonly #begun: string;
  readonly #from: number;
  #to: number;
  #count = 0;
  #spooled = 0;

  constructor(issuer: string, sources: Sources) {
    this.#issuer = issuer;
    this.#sources = sources;
    this.#from = this.#to = sources.now();
    this.#begun = this.#makeJti();
  }

  /** Counts a record. @param isSpooled whether it waits in the spool at least. */
  note(isSpooled: boolean): void {
    this.#to = this.#sources.now();
    this.#count++;
    if (isSpooled) this.#spooled++;
  }

  /** The control record that says that a gap began. */
  formatBeginning(): string {
    const control = { type: "gap-begun", from: toTime(this.#from) };
    return formatControl(this.#issuer, this.#begun, this.#sources.now(), control);
  }

  /** The control record that says how far it went; one of its own for every time that it is told. */
  format(): string {
    return formatControl(this.#issuer, this.#makeJti(), this.#sources.now(), {
      type: "gap",
      begun: this.#begun,
      from: toTime(this.#from),
      to: toTime(this.#to),
      count: this.#count,
      spooled: this.#spooled,
    });
  }

  #makeJti(): string {
    return makeJti(this.#sources.now(), this.#sources.random(16));
  }
}

function toTime(ms: number): string {
  return new Date(ms).toISOString();
}
