// How far something long has come: one line on standard error that is written again and again, with rate and time
// left. Only where a person looks at a terminal, and only once it has taken a second; nothing of it is left behind.
import type { Platform } from "./platform.ts";

/** Nothing is shown of what takes no longer, in ms; and it is shown anew so often, in ms. */
const QUIET_MS = 1000;
const STEP_MS = 100;

const BAR_WIDTH = 24;

/** Told how much of how much is done; the total may be unknown, and may grow. */
export type Advance = (done: number, total?: number) => void;

export class Progress {
  readonly #platform: Pick<Platform, "isTerminal" | "now" | "writeErr">;
  readonly #what: string;
  readonly #unit: string;
  readonly #began: number;
  /** What was done when it began to be counted: it took none of the time. */
  #first: number | undefined;
  #shown: number;
  #isShown = false;

  /** @param what stands before the bar. @param unit what is counted, in the plural. */
  constructor(platform: Pick<Platform, "isTerminal" | "now" | "writeErr">, what: string, unit: string) {
    this.#platform = platform;
    this.#what = what;
    this.#unit = unit;
    this.#began = platform.now();
    this.#shown = this.#began + QUIET_MS - STEP_MS;
  }

  readonly report: Advance = (done, total) => {
    this.#first ??= done;
    if (!this.#platform.isTerminal.err) return;
    const now = this.#platform.now();
    if (now - this.#shown < STEP_MS) return;
    this.#shown = now;
    this.#isShown = true;
    const rate = ((done - this.#first) * 1000) / (now - this.#began);
    void this.#platform.writeErr(`\r${formatProgress(this.#what, this.#unit, done, total, rate)}\u001b[K`);
  };

  /** Takes the line away. Comes last, also after a failure. */
  async end(): Promise<void> {
    if (this.#isShown) await this.#platform.writeErr("\r\u001b[K");
    this.#isShown = false;
  }
}

/** @param rate how many a second. */
export function formatProgress(
  what: string,
  unit: string,
  done: number,
  total: number | undefined,
  rate: number,
): string {
  const speed = `${formatCount(Math.round(rate))} ${unit}/s`;
  if (total === undefined || total < done || total === 0)
    return `${what}  ${formatCount(done)} ${unit}  ${speed}`;
  const share = done / total;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
  const left = rate > 0 ? `  ${formatDuration((total - done) / rate)} left` : "";
  return `${what}  ${bar} ${Math.floor(share * 100)}%  ${formatCount(done)} of ${formatCount(total)} ${unit}  ${speed}${left}`;
}

/** @param seconds any number of them. */
function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A count with its digits in groups. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}
