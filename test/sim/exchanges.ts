// What clients record: exchanges of one or more stages, and among them what a ledger must refuse.
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

export const ISSUER = "https://api.example.com";

/** A record on its way into the ledger. */
export interface Submission {
  /** Its jti and stage. */
  readonly name: string;
  readonly jti: string;
  /** When the exchange began, by the client's clock. */
  readonly beganMs: number;
  readonly text: string;
  /** Why it should be refused. Of the latter two, the ledger's clock may think otherwise. */
  readonly bad?: "malformed" | "ahead" | "stale";
}

interface Exchange {
  readonly jti: string;
  readonly beganMs: number;
}

const FINAL_STAGES = ["complete", "complete", "complete", "aborted", "failed", "rejected"];
const HOUR_MS = 3600 * 1000;

/** How far apart the clocks of the clients are, in ms. */
const CLIENT_SKEW_MS = 2000;

/** How many exchanges may have begun and not ended. */
const OPEN_MAX = 50;

export class Exchanges {
  readonly #random: Random;
  readonly #schedule: Schedule;
  readonly #open: Exchange[] = [];
  #made = 0;

  constructor(random: Random, schedule: Schedule) {
    this.#random = random;
    this.#schedule = schedule;
  }

  /** The next record of some exchange. @param placed what has been acknowledged; some of it is sent again. */
  next(placed: readonly Submission[]): Submission {
    const odd = this.#random.below(40);
    if (odd === 0) return this.#malformed();
    if (odd === 1) return this.#record(this.#begin(-31 * 24 * HOUR_MS), "complete", "stale");
    if (odd === 2) return this.#record(this.#begin(3 * HOUR_MS), "complete", "ahead");
    if (odd <= 5 && placed.length > 0) return this.#random.pick(placed);
    if (odd <= 7 && placed.length > 0) return this.#contradict(this.#random.pick(placed));
    if (this.#open.length > 0 && this.#random.chance(0.4)) return this.#continue();
    return this.#first();
  }

  #first(): Submission {
    const exchange = this.#begin(this.#random.between(-CLIENT_SKEW_MS, CLIENT_SKEW_MS));
    if (this.#random.chance(0.7)) return this.#record(exchange, this.#random.pick(FINAL_STAGES));
    if (this.#open.length < OPEN_MAX) this.#open.push(exchange);
    return this.#record(exchange, "received");
  }

  #continue(): Submission {
    const at = this.#random.below(this.#open.length);
    const exchange = this.#open[at]!;
    if (this.#random.chance(0.2)) return this.#record(exchange, "started");
    this.#open.splice(at, 1);
    return this.#record(exchange, this.#random.pick(FINAL_STAGES));
  }

  /** Another record under a name that is taken. */
  #contradict({ name, ...exchange }: Submission): Submission {
    return this.#record(exchange, name.slice(name.indexOf(" ") + 1));
  }

  #begin(offsetMs: number): Exchange {
    const beganMs = Math.floor(this.#schedule.nowMs) + offsetMs;
    const time = beganMs.toString(16).padStart(12, "0");
    const rest = Buffer.from(this.#random.bytes(9)).toString("hex");
    const jti = `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-a${rest.slice(3, 6)}-${rest.slice(6)}`;
    return { jti, beganMs };
  }

  #record({ jti, beganMs }: Exchange, stage: string, bad?: Submission["bad"]): Submission {
    const time = new Date(beganMs).toISOString();
    const iat = Math.floor(beganMs / 1000);
    const text = JSON.stringify({ iss: ISSUER, jti, iat, time, stage, ms: this.#made++ });
    return { name: `${jti} ${stage}`, jti, beganMs, text, ...(bad && { bad }) };
  }

  #malformed(): Submission {
    const sound = this.#record(this.#begin(0), "complete", "malformed");
    const record = JSON.parse(sound.text);
    const text = this.#random.pick([
      "{}",
      "no JSON",
      JSON.stringify({ ...record, jti: "0e37df36-f698-41e6-8b96-1bbb3c1b5f2f" }),
      JSON.stringify({ ...record, stage: "done" }),
      JSON.stringify({ ...record, note: "x".repeat(5000) }),
      JSON.stringify(record, null, 1),
    ]);
    return { ...sound, text };
  }
}
