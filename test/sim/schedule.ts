// Virtual time and the order of events. Whatever in a simulation waits, waits here; each step, chance picks
// one of the events that could happen next and lets it happen. Nothing else decides any order.
import type { Random } from "./random.ts";

/** Whoever waits for an event; while it sleeps, nothing of its happens. */
export interface Waiter {
  readonly wakeStep: number;
}

interface Waiting {
  readonly what: string;
  readonly run: () => void;
  /** The step before which it does not happen. */
  readonly notBefore: number;
  readonly waiter: Waiter | undefined;
}

/** How many of the last events are kept for the report of a failure. */
const EVENTS_KEPT = 60;

export class Schedule {
  /** True time, in milliseconds of Unix time; the clocks of the objects may differ from it. */
  nowMs: number;
  step = 0;
  readonly #random: Random;
  readonly #waiting: Waiting[] = [];
  readonly #events: string[] = [];

  constructor(random: Random, startMs: number) {
    this.#random = random;
    this.nowMs = startMs;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Has `run` happen in some later step, and not within the next `delaySteps`. */
  add(what: string, run: () => void, delaySteps = 0, waiter?: Waiter): void {
    this.#waiting.push({ what, run, notBefore: this.step + delaySteps, waiter });
  }

  /** Lets one of the waiting events happen. @returns false when none can happen yet. */
  happen(): boolean {
    const count = this.#waiting.length;
    if (count === 0) return false;
    const first = this.#random.below(count);
    for (let i = 0; i < count; i++) {
      const at = (first + i) % count;
      const event = this.#waiting[at]!;
      if (Math.max(event.notBefore, event.waiter?.wakeStep ?? 0) > this.step) continue;
      const last = this.#waiting.pop()!;
      if (at < this.#waiting.length) this.#waiting[at] = last;
      this.note(event.what);
      event.run();
      return true;
    }
    return false;
  }

  /** Remembers an event for the report. */
  note(what: string): void {
    if (this.#events.length === EVENTS_KEPT) this.#events.shift();
    this.#events.push(`${this.step}: ${what}`);
  }

  /** The newest events, oldest first. */
  events(): string[] {
    return [...this.#events];
  }
}

/** Lets everything run that does not wait for an event. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
