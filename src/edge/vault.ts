// What the edge asks of a vault: the operator's copy of seeds and private values, apart from the ledger.
import type { Opening, Page, Search } from "../receipt/opening.ts";
import type { Complaints } from "./complaints.ts";
import { within } from "./ledger.ts";

export interface Vault {
  /** Keeps openings durably; one that is known already, or was erased, is left as it is. */
  keep(openings: Opening[]): Promise<void>;
  /** What opens an exchange, `erased`, or undefined when the vault does not know it (any more). */
  find(jti: string): Promise<Opening | "erased" | undefined>;
  search(search: Search): Promise<Page>;
  /** Erases the seeds and values of exchanges for good. */
  erase(jtis: string[]): Promise<void>;
}

/** For how long openings are gathered before they are sent, in ms: each sending is one wait for the disk. */
const GATHER_MS = 100;

/** How long a vault may take to answer, and after how long a sending that has not ended is sent again, in ms. */
const WAIT_MS = 5000;
const LOST_MS = 15_000;

/** What one sending may have, and how much all of them together: a caller chooses how long private values are. */
const SENDING_OPENINGS_MAX = 500;
const SENDING_CHARACTERS_MAX = 4 * 1024 * 1024;
const CHARACTERS_MAX = 16 * 1024 * 1024;

/** Long ones may take less of the whole: whoever sends many of them keeps nobody else's from the vault. */
const LONG_CHARACTERS = 16 * 1024;
const LONG_CHARACTERS_MAX = 12 * 1024 * 1024;

/** What an opening takes besides its values, in characters. */
const OPENING_CHARACTERS = 512;

/** Openings on their way. */
interface Sending {
  readonly openings: Opening[];
  characters: number;
  /** When it began, by the edge's clock. */
  readonly began: number;
}

/**
 * Takes the openings of one isolate to a vault. Nobody waits for that, so a request does no more than add its own to
 * those that are gathered: no timer, no promise. The first of them sends all under `waitUntil`; should its request be
 * gone before that has ended, or the vault not take them, one that comes later sends them again, and nothing else depends
 * on it. What an isolate takes with it when it ends, the ledger notices: durable/openings.ts.
 */
export class Keeper {
  /** A fresh connection for each call: one that has thrown is never used again. */
  readonly #connect: () => Vault;
  readonly #now: () => number;
  readonly #complaints: Complaints;
  #gathering: Sending | undefined;
  /** What has not ended, the oldest first, and what all of it takes. */
  readonly #sendings = new Set<Sending>();
  #characters = 0;

  constructor(connect: () => Vault, now: () => number, complaints: Complaints) {
    this.#connect = connect;
    this.#now = now;
    this.#complaints = complaints;
  }

  /** Keeps an opening, unless so much waits for the vault already: that is logged. */
  keep(opening: Opening, waitUntil: (work: Promise<unknown>) => void): void {
    const now = this.#now();
    for (const sending of this.#sendings) {
      if (now - sending.began < LOST_MS) break;
      this.#end(sending);
      for (const lost of sending.openings) this.#gather(lost, now, waitUntil);
    }
    const characters = measure(opening);
    const most = characters < LONG_CHARACTERS ? CHARACTERS_MAX : LONG_CHARACTERS_MAX;
    if (this.#characters + characters <= most) this.#gather(opening, now, waitUntil);
    else this.#refuse(opening, waitUntil);
  }

  #refuse({ jti }: Opening, waitUntil: (work: Promise<unknown>) => void): void {
    const cause = new Error("too much waits for it");
    this.#complaints.make("the vault gets nothing that opens an exchange", [jti], cause, waitUntil);
  }

  #gather(opening: Opening, now: number, waitUntil: (work: Promise<unknown>) => void): void {
    const characters = measure(opening);
    let sending = this.#gathering;
    if (sending === undefined || !hasRoom(sending, characters)) {
      sending = this.#gathering = this.#begin(now, waitUntil);
    }
    sending.openings.push(opening);
    sending.characters += characters;
    this.#characters += characters;
  }

  #begin(began: number, waitUntil: (work: Promise<unknown>) => void): Sending {
    const sending = { openings: [], characters: 0, began };
    this.#sendings.add(sending);
    waitUntil(this.#send(sending, waitUntil));
    return sending;
  }

  #end(sending: Sending): void {
    if (this.#sendings.delete(sending)) this.#characters -= sending.characters;
    if (this.#gathering === sending) this.#gathering = undefined;
  }

  async #send(sending: Sending, waitUntil: (work: Promise<unknown>) => void): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, GATHER_MS));
    // From here on it is closed.
    if (this.#gathering === sending) this.#gathering = undefined;
    const { openings } = sending;
    try {
      await this.#deliver(openings).catch(() => this.#deliver(openings));
      this.#end(sending);
    } catch (error) {
      // It stays, and is sent again with one that comes later.
      const jtis = openings.map(({ jti }) => jti);
      this.#complaints.make("the vault has not taken what opens an exchange", jtis, error, waitUntil);
    }
  }

  #deliver(openings: Opening[]): Promise<void> {
    return within(WAIT_MS, this.#connect().keep(openings));
  }
}

/** How much of the memory an opening takes, about. */
function measure({ fields }: Opening): number {
  let characters = OPENING_CHARACTERS;
  for (const name in fields) {
    const value = fields[name];
    if (typeof value === "string") characters += value.length;
  }
  return characters;
}

/** Whether a sending can take so much more. One that is larger than any may be goes alone. */
function hasRoom({ openings, characters }: Sending, more: number): boolean {
  return openings.length < SENDING_OPENINGS_MAX && characters + more <= SENDING_CHARACTERS_MAX;
}
