// The clients of the ledger: exchanges of several stages, sent in batches, sent again after every outcome that
// is not known, and among them what a ledger must refuse. Every answer is judged.
import type { Placement } from "../../src/receipt/placement.ts";
import type { Checker } from "./checker.ts";
import type { Surroundings } from "./instance.ts";
import { ISSUER, type LedgerObject } from "./objects.ts";
import type { System } from "./system.ts";

/** A record on its way into the ledger. */
interface Submission {
  readonly name: string;
  readonly jti: string;
  readonly beganMs: number;
  readonly text: string;
  /** Why it must be refused, if it must. */
  readonly bad?: "malformed" | "ahead" | "stale";
}

interface Call {
  readonly submissions: readonly Submission[];
  answered: boolean;
}

const FINAL = ["complete", "complete", "complete", "aborted", "failed", "rejected"];
const HOUR_MS = 3600 * 1000;

/** How many calls may be under way at once. */
const CALLS_MAX = 12;
/** How many acknowledged submissions are kept, to be sent again. */
const PLACED_MAX = 200;

export class Clients {
  readonly stats: Record<string, number> = {};
  readonly #around: Surroundings;
  readonly #checker: Checker;
  readonly #system: System;
  /** The instance that a call reaches; may throw when none can be started. */
  readonly #reach: () => LedgerObject;
  /** Sent or to be sent, with no answer yet that settles it; not those that are under way. */
  #pending: Submission[] = [];
  readonly #placed: Submission[] = [];
  /** Exchanges that have begun and not ended, with the time they began. */
  readonly #open: { jti: string; beganMs: number }[] = [];
  #calls = 0;
  #made = 0;

  constructor(around: Surroundings, checker: Checker, system: System, reach: () => LedgerObject) {
    this.#around = around;
    this.#checker = checker;
    this.#system = system;
    this.#reach = reach;
  }

  /** Whether every record that a client still cares for has been answered for good. */
  get satisfied(): boolean {
    return this.#calls === 0 && this.#pending.length === 0;
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** One client does something. */
  act(): void {
    const { random } = this.#around;
    if (this.#calls >= CALLS_MAX) return;
    if (random.chance(0.1)) return this.#find();
    const count = Math.min(
      this.#system.APPEND_RECORDS_MAX,
      random.chance(0.7) ? 1 : random.between(1, this.#around.profile.batchMax),
    );
    const submissions: Submission[] = [];
    while (submissions.length < count) submissions.push(this.#next());
    this.#send(submissions);
  }

  /** A client asks again for what it does not know the outcome of. */
  retry(): void {
    if (this.#pending.length === 0 || this.#calls >= CALLS_MAX) return;
    const { random } = this.#around;
    const count = Math.min(this.#pending.length, this.#system.APPEND_RECORDS_MAX, random.between(1, 20));
    const submissions: Submission[] = [];
    for (let i = 0; i < count; i++) {
      const at = random.below(this.#pending.length);
      const last = this.#pending.pop()!;
      submissions.push(at < this.#pending.length ? this.#pending[at]! : last);
      if (at < this.#pending.length) this.#pending[at] = last;
    }
    this.#send(submissions);
  }

  #next(): Submission {
    const { random } = this.#around;
    const odd = random.below(40);
    if (odd === 0) return this.#malformed();
    if (odd === 1) return this.#record(this.#begin(-31 * 24 * HOUR_MS), "complete", { bad: "stale" });
    if (odd === 2) return this.#record(this.#begin(3 * HOUR_MS), "complete", { bad: "ahead" });
    if (odd <= 5 && this.#placed.length > 0) return random.pick(this.#placed);
    if (odd <= 7 && this.#placed.length > 0) {
      // Another record of the same name.
      const { jti, beganMs, name } = random.pick(this.#placed);
      return this.#record({ jti, beganMs }, name.slice(name.indexOf(" ") + 1), {});
    }
    if (this.#open.length > 0 && random.chance(0.4)) {
      const at = random.below(this.#open.length);
      const exchange = this.#open[at]!;
      if (random.chance(0.2)) return this.#record(exchange, "started", {});
      this.#open.splice(at, 1);
      return this.#record(exchange, random.pick(FINAL), {});
    }
    const exchange = this.#begin(random.between(-2000, 2000));
    if (random.chance(0.7)) return this.#record(exchange, random.pick(FINAL), {});
    if (this.#open.length < 50) this.#open.push(exchange);
    return this.#record(exchange, "received", {});
  }

  #begin(offsetMs: number): { jti: string; beganMs: number } {
    const { random, schedule } = this.#around;
    const beganMs = Math.floor(schedule.nowMs) + offsetMs;
    const time = beganMs.toString(16).padStart(12, "0");
    const rest = Buffer.from(random.bytes(10)).toString("hex");
    const jti = `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-a${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
    return { jti, beganMs };
  }

  #record(
    { jti, beganMs }: { jti: string; beganMs: number },
    stage: string,
    { bad }: Pick<Submission, "bad">,
  ): Submission {
    const time = new Date(beganMs).toISOString();
    const iat = Math.floor(beganMs / 1000);
    const text = JSON.stringify({ iss: ISSUER, jti, iat, time, stage, ms: this.#made++ });
    const submission = { name: `${jti} ${stage}`, jti, beganMs, text, ...(bad && { bad }) };
    this.#checker.submitted(submission.name, text);
    return submission;
  }

  #malformed(): Submission {
    const { random } = this.#around;
    const good = JSON.parse(this.#record(this.#begin(0), "complete", {}).text);
    const text = random.pick([
      "{}",
      "no JSON",
      JSON.stringify({ ...good, jti: "0e37df36-f698-41e6-8b96-1bbb3c1b5f2f" }),
      JSON.stringify({ ...good, stage: "done" }),
      JSON.stringify({ ...good, note: "x".repeat(5000) }),
      JSON.stringify(good, null, 1),
    ]);
    return { name: `malformed ${this.#made++}`, jti: "", beganMs: 0, text, bad: "malformed" };
  }

  #send(submissions: readonly Submission[]): void {
    const { random, schedule, profile } = this.#around;
    const call: Call = { submissions, answered: false };
    this.#calls++;
    const deliver = () => this.#deliver(call);
    schedule.add(`a client sends ${submissions.length} records`, deliver);
    if (random.chance(profile.lost / 2)) {
      schedule.add(`a request of ${submissions.length} records comes again`, deliver, random.between(0, 300));
    }
  }

  #deliver(call: Call): void {
    const { random, schedule } = this.#around;
    const unknown = (why: string) => {
      if (call.answered) return;
      call.answered = true;
      this.#count("unknown");
      schedule.note(`a client gives up waiting: ${why}`);
      this.#settle(call, () => random.chance(0.95));
    };
    let object: LedgerObject;
    try {
      object = this.#reach();
    } catch (error) {
      return unknown(`${error}`);
    }
    const { instance } = object;
    const beganStep = schedule.step;
    const before = { lastAtMs: this.#checker.lastAtMs, nowMs: Math.floor(schedule.nowMs) };
    const done = instance.accept(call.submissions.length, () =>
      schedule.add("a connection is lost", () => unknown("connection lost")),
    );
    object.append(call.submissions.map(({ text }) => text)).then(
      placements => {
        if (!instance.output()) return;
        done();
        placements.forEach((placement, i) => {
          this.#judge(call.submissions[i]!, placement, object, before);
        });
        if (random.chance(this.#around.profile.lost / 2)) {
          schedule.add("an answer is lost", () => unknown("no answer"), 20);
        } else {
          schedule.add("a client is answered", () => this.#answered(call, placements));
        }
      },
      error => {
        if (!instance.output()) return;
        done();
        if (!instance.fenced && !instance.excused(beganStep)) {
          this.#checker.fail(`an append failed for no reason: ${error.stack ?? error}`);
        }
        this.#count("failed");
        schedule.add("a client's call fails", () => unknown(`${error}`));
      },
    ).catch(this.#checker.caught);
  }

  #answered(call: Call, placements: readonly Placement[]): void {
    if (call.answered) return;
    call.answered = true;
    const { random } = this.#around;
    this.#settle(call, (submission, i) => {
      const placement = placements[i]!;
      if ("index" in placement) {
        this.#count("placed");
        if (this.#placed.length < PLACED_MAX) this.#placed.push(submission);
        else this.#placed[random.below(PLACED_MAX)] = submission;
        return false;
      }
      this.#count(placement.refused);
      if (submission.bad !== undefined) return false;
      return placement.refused !== "conflict" && placement.refused !== "stale";
    });
  }

  /** The call is over. What is to be tried again goes back to the others. */
  #settle(call: Call, again: (submission: Submission, i: number) => boolean): void {
    this.#calls--;
    this.#pending.push(...call.submissions.filter(again));
  }

  /** An answer has left the ledger: is it right? */
  #judge(
    submission: Submission,
    placement: Placement,
    { instance, halted }: LedgerObject,
    before: { readonly lastAtMs: number; readonly nowMs: number },
  ): void {
    const checker = this.#checker;
    const { bad, beganMs, name, text } = submission;
    if ("index" in placement) {
      if (bad === "malformed") checker.fail(`took what is malformed: ${text}`);
      return checker.acknowledged(text, placement);
    }
    const clockMs = before.nowMs + instance.skewLeastMs;
    const leastAtMs = instance.shares ? clockMs : Math.max(before.lastAtMs, clockMs);
    const mostAtMs = Math.max(checker.lastAtMs, this.#around.schedule.nowMs + instance.skewMostMs);
    const wrong = (): never => checker.fail(`refused as ${placement.refused} (${placement.reason}): ${text}`);
    switch (placement.refused) {
      case "malformed":
        // A clock that is behind makes what is new look as if it came from the future.
        if (bad !== "malformed" && !instance.fenced && beganMs <= leastAtMs + HOUR_MS) wrong();
        return;
      case "stale":
        if (beganMs >= mostAtMs - this.#system.PLACE_RETENTION_MS) wrong();
        return;
      case "conflict": {
        const index = checker.places.get(name);
        if (index === undefined || checker.entries[index]!.record === text) wrong();
        return;
      }
      case "busy":
        if (!instance.fenced && instance.recordsWaitingMost <= this.#system.POOL_RECORDS_MAX) wrong();
        return;
      case "halted":
        if (!halted || (checker.restoredSize === undefined && !instance.fenced)) wrong();
    }
  }

  /** A client looks for the entries of an exchange; what was acknowledged before must be among them. */
  #find(): void {
    const { random, schedule } = this.#around;
    if (this.#placed.length === 0) return;
    const { jti, beganMs } = random.pick(this.#placed);
    schedule.add(`a client looks for ${jti}`, () => {
      let object: LedgerObject;
      try {
        object = this.#reach();
      } catch {
        return;
      }
      const { instance } = object;
      const checker = this.#checker;
      const beganStep = schedule.step;
      const known = checker.entriesOf(jti);
      const restored = checker.restoredSize;
      object.find(jti).then(
        found => {
          if (!instance.output() || restored !== undefined || checker.restoredSize !== undefined) return;
          for (const text of found) {
            if (!checker.entriesOf(jti).includes(text)) checker.fail(`found for ${jti} what is no entry: ${text}`);
          }
          const old = beganMs < checker.lastAtMs - this.#system.PLACE_RETENTION_MS;
          if (!old && !instance.fenced && known.some(text => !found.includes(text))) {
            checker.fail(`found ${found.length} entries of ${jti}, there are ${known.length}`);
          }
        },
        error => {
          if (instance.dead || instance.fenced || instance.faultStep >= beganStep) return;
          checker.fail(`a search failed for no reason: ${error.stack ?? error}`);
        },
      ).catch(checker.caught);
    });
  }

  #count(name: string): void {
    this.stats[name] = (this.stats[name] ?? 0) + 1;
  }
}
