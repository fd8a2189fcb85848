// When the anchors of an archive were written, by their own clock: enough of them to draw, however many there are.
import { type ClockDifference, Clocks } from "./clocks.ts";

/** An anchor on the line. */
export interface TimelinePoint {
  readonly epoch: number;
  readonly time: string;
}

/** Two anchors after each other that lie far apart. */
export interface Pause {
  readonly from: TimelinePoint;
  readonly to: TimelinePoint;
  readonly ms: number;
}

/** How many points are kept: beyond that, every second one is let go. */
const POINTS_MAX = 2000;

const PAUSES_MAX = 10;

export class Timeline {
  #points: TimelinePoint[] = [];
  /** Every so many-th anchor is kept. */
  #step = 1;
  #count = 0;
  #last: TimelinePoint | undefined;
  #pauses: Pause[] = [];
  readonly #stamps = new Clocks();

  add(epoch: number, time: string): void {
    const point = { epoch, time };
    if (this.#last !== undefined) this.#addPause(this.#last, point);
    this.#last = point;
    if (this.#count++ % this.#step !== 0) return;
    this.#points.push(point);
    if (this.#points.length < POINTS_MAX) return;
    this.#points = this.#points.filter((_, i) => i % 2 === 0);
    this.#step *= 2;
  }

  /** Takes note of the clock of an authority that has timestamped an anchor. */
  addStamp(epoch: number, anchored: string, stamped: string): void {
    this.#stamps.add(epoch, Date.parse(anchored), Date.parse(stamped));
  }

  #addPause(from: TimelinePoint, to: TimelinePoint): void {
    const ms = Date.parse(to.time) - Date.parse(from.time);
    const { length } = this.#pauses;
    if (length === PAUSES_MAX && ms <= this.#pauses[length - 1]!.ms) return;
    this.#pauses.push({ from, to, ms });
    this.#pauses.sort((a, b) => b.ms - a.ms);
    this.#pauses.length = Math.min(this.#pauses.length, PAUSES_MAX);
  }

  /** The anchors to draw, oldest first; the newest is always one of them. */
  get points(): readonly TimelinePoint[] {
    const last = this.#last;
    return last === undefined || this.#points.at(-1) === last ? this.#points : [...this.#points, last];
  }

  /** The longest times between two anchors, longest first. */
  get pauses(): readonly Pause[] {
    return this.#pauses;
  }

  /** Where the clocks of anchor writer and authority were furthest apart; `index` is the epoch. */
  get stamps(): readonly ClockDifference[] {
    return this.#stamps.furthest;
  }
}
