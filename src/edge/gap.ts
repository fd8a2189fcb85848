// A gap: records that were let go without being on record, and how the ledger is told of them. One isolate
// knows of its own gaps only, and forgets them when it ends; so the beginning of one is put into the spool as
// well, where the ledger finds it.
import { makeJti } from "../receipt/jti.ts";
import { formatControl } from "../receipt/record.ts";
import type { Sources } from "./exchange.ts";

export class Gap {
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
