// The clients of the ledger. They send records in batches, send them again after every outcome that they do not
// know, and judge every answer: a place must be that of exactly this record, and a refusal must have its reason.
import type { Placement } from "../../src/receipt/placement.ts";
import type { Checker } from "./checker.ts";
import { Exchanges, type Submission } from "./exchanges.ts";
import type { Surroundings } from "./instance.ts";
import type { LedgerObject } from "./objects.ts";
import type { System } from "./system.ts";

interface Call {
  readonly submissions: readonly Submission[];
  settled: boolean;
}

/** What was known when a call reached the ledger. */
interface Arrival {
  readonly object: LedgerObject;
  readonly step: number;
  readonly nowMs: number;
  readonly lastAtMs: number;
}

const HOUR_MS = 3600 * 1000;

/** How many calls may be under way at once. */
const CALLS_MAX = 12;

/** How many acknowledged records are kept to be sent again, and how many unsettled ones are tried again at once. */
const PLACED_MAX = 200;
const RETRIES_MAX = 20;

export class Clients {
  readonly stats: Record<string, number> = {};
  readonly #around: Surroundings;
  readonly #checker: Checker;
  readonly #system: System;
  readonly #exchanges: Exchanges;
  /** The instance that a call reaches; may throw when none can be started. */
  readonly #reach: () => LedgerObject;
  /** What was sent and has no answer that settles it; not what is under way. */
  readonly #unsettled: Submission[] = [];
  readonly #placed: Submission[] = [];
  #calls = 0;

  constructor(around: Surroundings, checker: Checker, system: System, reach: () => LedgerObject) {
    this.#around = around;
    this.#checker = checker;
    this.#system = system;
    this.#reach = reach;
    this.#exchanges = new Exchanges(around.random, around.schedule);
  }

  /** How many records have no answer yet that settles them; calls that are under way count as one each. */
  get waiting(): number {
    return this.#calls + this.#unsettled.length;
  }

  /** One client does something. */
  act(): void {
    const { random, profile } = this.#around;
    if (this.#calls === CALLS_MAX) return;
    if (this.#placed.length > 0 && random.chance(0.1)) {
      const { jti, beganMs } = random.pick(this.#placed);
      this.#around.schedule.add(`a client looks for ${jti}`, () => this.#find(jti, beganMs));
      return;
    }
    const wanted = random.chance(0.7) ? 1 : random.between(1, profile.batchMax);
    const submissions: Submission[] = [];
    while (submissions.length < Math.min(wanted, this.#system.APPEND_RECORDS_MAX)) {
      submissions.push(this.#exchanges.next(this.#placed));
    }
    for (const { name, text } of submissions) this.#checker.submitted(name, text);
    this.#send(submissions);
  }

  /** A client asks again for what it does not know the outcome of. */
  retry(): void {
    if (this.#unsettled.length === 0 || this.#calls === CALLS_MAX) return;
    const { random } = this.#around;
    const wanted = Math.min(random.between(1, RETRIES_MAX), this.#system.APPEND_RECORDS_MAX);
    const submissions: Submission[] = [];
    while (submissions.length < wanted && this.#unsettled.length > 0) {
      submissions.push(...this.#unsettled.splice(random.below(this.#unsettled.length), 1));
    }
    this.#send(submissions);
  }

  #send(submissions: readonly Submission[]): void {
    const { random, schedule, profile } = this.#around;
    const call: Call = { submissions, settled: false };
    const deliver = () => this.#deliver(call);
    this.#calls++;
    schedule.add(`a client sends ${submissions.length} records`, deliver);
    if (random.chance(profile.lost / 2)) {
      schedule.add(`a request of ${submissions.length} records comes again`, deliver, random.between(0, 300));
    }
  }

  #deliver(call: Call): void {
    const { schedule } = this.#around;
    let object: LedgerObject;
    try {
      object = this.#reach();
    } catch (error) {
      this.#giveUp(call, `${error}`);
      return;
    }
    const { instance } = object;
    const { lastAtMs } = this.#checker;
    const arrival: Arrival = { object, step: schedule.step, nowMs: Math.floor(schedule.nowMs), lastAtMs };
    const done = instance.accept(call.submissions.length, () =>
      schedule.add("a connection is lost", () => this.#giveUp(call, "connection lost")),
    );
    const heard = () => {
      const out = instance.output();
      if (out) done();
      return out;
    };
    object
      .append(call.submissions.map(({ text }) => text))
      .then(
        placements => heard() && this.#onAnswer(call, placements, arrival),
        error => heard() && this.#onError(call, error, arrival),
      )
      .catch(this.#checker.caught);
  }

  /** An answer has left the ledger. */
  #onAnswer(call: Call, placements: readonly Placement[], arrival: Arrival): void {
    const { random, schedule, profile } = this.#around;
    placements.forEach((placement, i) => {
      this.#judge(call.submissions[i]!, placement, arrival);
    });
    if (random.chance(profile.lost / 2)) {
      schedule.add("an answer is lost", () => this.#giveUp(call, "no answer"), 20);
    } else {
      schedule.add("a client is answered", () => this.#take(call, placements));
    }
  }

  #onError(call: Call, error: Error, { object, step }: Arrival): void {
    const { instance } = object;
    if (!instance.fenced && !instance.excused(step)) {
      this.#checker.fail(`an append failed for no reason: ${error.stack ?? error}`);
    }
    this.#count("failed");
    this.#around.schedule.add("a client's call fails", () => this.#giveUp(call, `${error}`));
  }

  #giveUp(call: Call, why: string): void {
    this.#around.schedule.note(`a client does not know: ${why}`);
    this.#settle(call, () => {
      this.#count("unknown");
      // Some clients do not care, or are gone.
      return this.#around.random.chance(0.95);
    });
  }

  #take(call: Call, placements: readonly Placement[]): void {
    this.#settle(call, (submission, i) => {
      const placement = placements[i]!;
      if ("refused" in placement) {
        this.#count(placement.refused);
        return submission.bad === undefined && !["conflict", "stale"].includes(placement.refused);
      }
      this.#count("placed");
      if (this.#placed.length < PLACED_MAX) this.#placed.push(submission);
      else this.#placed[this.#around.random.below(PLACED_MAX)] = submission;
      return false;
    });
  }

  /** The call is over, whatever else may still be heard of it. What is to be tried again goes to the others. */
  #settle(call: Call, again: (submission: Submission, i: number) => boolean): void {
    if (call.settled) return;
    call.settled = true;
    this.#calls--;
    this.#unsettled.push(...call.submissions.filter(again));
  }

  #judge(submission: Submission, placement: Placement, arrival: Arrival): void {
    const { bad, text } = submission;
    if ("refused" in placement) {
      if (this.#isJust(submission, placement.refused, arrival)) return;
      this.#checker.fail(`refused as ${placement.refused} (${placement.reason}): ${text}`);
    }
    if (bad === "malformed") this.#checker.fail(`took what is malformed: ${text}`);
    this.#checker.acknowledged(text, placement);
  }

  /** Whether there can have been a reason for a refusal. */
  #isJust(
    { bad, beganMs, name, text }: Submission,
    refused: Extract<Placement, { refused: unknown }>["refused"],
    { object, step, nowMs, lastAtMs }: Arrival,
  ): boolean {
    const { entries, places, lastAtMs: newestAtMs, restoredSize } = this.#checker;
    const { instance, halted } = object;
    switch (refused) {
      case "malformed": {
        // A clock that is behind makes what is new look as if it came from the future.
        const leastMs = Math.max(nowMs + instance.skewLeastMs, instance.shares ? 0 : lastAtMs);
        return bad === "malformed" || instance.fenced || beganMs > leastMs + HOUR_MS;
      }
      case "stale": {
        const mostMs = Math.max(newestAtMs, this.#around.schedule.nowMs + instance.skewMostMs);
        return beganMs < mostMs - this.#system.PLACE_RETENTION_MS;
      }
      case "conflict":
        return (entries[places.get(name) ?? -1]?.record ?? text) !== text;
      case "busy": {
        if (instance.recordsWaitingMost > this.#system.POOL_RECORDS_MAX) return true;
        // What is on record may be in the archive alone, and out of reach.
        return places.has(name) && (instance.fenced || instance.excused(step));
      }
      case "halted":
        return halted && (restoredSize !== undefined || instance.fenced);
    }
  }

  /** A client looks for the entries of an exchange; those that were there before must be found. */
  #find(jti: string, beganMs: number): void {
    const checker = this.#checker;
    let object: LedgerObject;
    try {
      object = this.#reach();
    } catch {
      return;
    }
    const { instance } = object;
    const { step } = this.#around.schedule;
    const known = checker.restoredSize === undefined ? checker.entriesOf(jti) : [];
    const onFound = (found: readonly string[]) => {
      if (!instance.output()) return;
      const all = checker.entriesOf(jti);
      const strange = found.find(text => !all.includes(text));
      if (strange !== undefined) checker.fail(`found for ${jti} what is no entry of it: ${strange}`);
      const forgotten = beganMs < checker.lastAtMs - this.#system.PLACE_RETENTION_MS;
      if (forgotten || instance.fenced || known.every(text => found.includes(text))) return;
      checker.fail(`found ${found.length} entries of ${jti}, there are ${known.length}`);
    };
    const onError = (error: Error) => {
      if (instance.dead || instance.fenced || instance.faultStep >= step) return;
      checker.fail(`a search failed for no reason: ${error.stack ?? error}`);
    };
    object.find(jti).then(onFound, onError).catch(checker.caught);
  }

  #count(name: string): void {
    this.stats[name] = (this.stats[name] ?? 0) + 1;
  }
}
