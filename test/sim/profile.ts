// What may go wrong in a simulation, and how often. Every seed draws its own: some faults are left out
// altogether, so that others are met undisturbed (swarm testing), and some seeds look for one kind of trouble.
import type { Random } from "./random.ts";

/** Probabilities. The first group is per step, the second per operation. */
export interface Profile {
  /** Something new happens, and not what waits already. */
  readonly fresh: number;
  readonly crash: number;
  /** The next writes of an instance are going to fail. */
  readonly sabotage: number;
  /** A second instance of an object is started; and how often the first is cut off from its storage then. */
  readonly split: number;
  readonly fenced: number;
  /** A clock jumps. */
  readonly jump: number;
  /** Much time passes at once. */
  readonly leap: number;
  /** An alarm comes that is not due, or comes twice, or while another runs. */
  readonly alarm: number;
  /** The storage of an object is put back to an old state. */
  readonly restore: number;
  /** For a while, no operation succeeds. */
  readonly outage: number;
  /** The second store of anchors is out of reach for a while. */
  readonly copy: number;
  /** How often the witness forgets, or answers something else, of what it is asked; and at times it is away. */
  readonly witness: number;

  /** An operation fails; half of the time it was carried out. */
  readonly failure: number;
  /** An operation is carried out twice, and the second answer is given. */
  readonly twice: number;
  /** An operation takes very long. */
  readonly slow: number;
  /** An answer to a client gets lost, or its request arrives twice. */
  readonly lost: number;

  /** The largest jump of a clock, in ms. */
  readonly jumpMaxMs: number;
  /** The most records that a client sends at once. */
  readonly batchMax: number;
}

const HOUR_MS = 3600 * 1000;

export function drawProfile(random: Random): Profile {
  if (random.chance(0.3)) return random.pick(FOCUSED);
  const sometimes = (most: number) => (random.chance(0.3) ? 0 : most * random.pick([0.1, 0.3, 1]));
  return {
    fresh: random.pick([0.02, 0.05, 0.1]),
    crash: sometimes(0.02),
    sabotage: sometimes(0.03),
    split: sometimes(0.02),
    fenced: random.pick([0, 0.5, 0.5, 1]),
    jump: sometimes(0.01),
    leap: sometimes(0.002),
    alarm: sometimes(0.06),
    restore: sometimes(0.004),
    outage: sometimes(0.01),
    copy: sometimes(0.01),
    witness: sometimes(0.3),
    failure: sometimes(0.1),
    twice: sometimes(0.05),
    slow: sometimes(0.2),
    lost: sometimes(0.2),
    jumpMaxMs: random.pick([2000, 2 * HOUR_MS, 2 * HOUR_MS, 24 * HOUR_MS, 40 * 24 * HOUR_MS]),
    batchMax: random.pick([1, 4, 4, 40, 200]),
  };
}

/** Nothing goes wrong. */
export const CALM: Profile = {
  fresh: 0.1,
  crash: 0,
  sabotage: 0,
  split: 0,
  fenced: 0,
  jump: 0,
  leap: 0,
  alarm: 0,
  restore: 0,
  outage: 0,
  copy: 0,
  witness: 0,
  failure: 0,
  twice: 0,
  slow: 0,
  lost: 0,
  jumpMaxMs: 0,
  batchMax: 1,
};

/** Instances that go on over the same storage as others that have taken their places. */
export const SHARED: Profile = {
  ...CALM,
  fresh: 0.05,
  split: 0.01,
  fenced: 0.3,
  alarm: 0.05,
  batchMax: 40,
};

/** Instances that go on with what they remember, cut off from storage, after others have taken their places. */
export const CUT_OFF: Profile = {
  ...CALM,
  fresh: 0.05,
  split: 0.02,
  fenced: 0.85,
  alarm: 0.2,
  slow: 0.02,
  batchMax: 4,
};

/** Alarms that come while others run, in the same instance and in others. */
export const OVERLAPS: Profile = {
  ...CALM,
  fresh: 0.05,
  split: 0.01,
  alarm: 0.3,
  slow: 0.02,
  batchMax: 4,
};

/** Storage that is put back to old states. */
export const RESTORES: Profile = {
  ...CALM,
  fresh: 0.05,
  crash: 0.005,
  restore: 0.02,
  outage: 0.01,
  batchMax: 4,
};

/** Clocks that jump by weeks, and records that come again. */
export const WILD_CLOCKS: Profile = {
  ...CALM,
  fresh: 0.1,
  crash: 0.005,
  jump: 0.02,
  jumpMaxMs: 40 * 24 * HOUR_MS,
  lost: 0.2,
  batchMax: 4,
};

/** One instance of each object, crashes, and a world that answers badly. */
export const TROUBLE: Profile = {
  ...CALM,
  fresh: 0.05,
  crash: 0.02,
  sabotage: 0.03,
  alarm: 0.01,
  outage: 0.01,
  failure: 0.1,
  twice: 0.05,
  lost: 0.2,
  batchMax: 4,
};

/** Anchor writers that crash all the time, several at once, while what they lean on comes and goes. */
export const ANCHORING: Profile = {
  ...CALM,
  fresh: 0.05,
  crash: 0.03,
  sabotage: 0.05,
  split: 0.01,
  fenced: 0.3,
  alarm: 0.1,
  copy: 0.01,
  witness: 0.5,
  failure: 0.05,
  twice: 0.05,
  batchMax: 4,
};

/** A witness that goes away, forgets and answers badly, and nothing else. */
export const WITNESSED: Profile = { ...CALM, fresh: 0.05, alarm: 0.1, witness: 1, batchMax: 4 };

/** Everything is started anew all the time, often with another key. */
export const DEPLOYS: Profile = { ...CALM, fresh: 0.05, crash: 0.1, alarm: 0.06, batchMax: 4 };

const FOCUSED = [TROUBLE, SHARED, CUT_OFF, OVERLAPS, RESTORES, WILD_CLOCKS, ANCHORING];
