// Measuring on machines that are small, shared and never quiet: what is compared takes turns in many short
// rounds, so that a slow moment hits all of it alike, and a ratio is the median of the rounds' own ratios.
import { availableParallelism, cpus } from "node:os";

/** Something to measure: one call of it is one operation. */
export type Subject = () => unknown;

/** What was found about one subject. */
export interface Timing {
  /** The median time of one call, in nanoseconds. */
  readonly ns: number;
  /** The median over all rounds of this subject's time by the first subject's. */
  readonly ratio: number;
}

/** The outcome of a bench: tables of numbers, each with what its numbers are. */
export interface Findings {
  readonly bench: string;
  readonly machine: string;
  readonly tables: readonly Table[];
}

export interface Table {
  /** What was measured, against what, in which units. */
  readonly what: string;
  readonly rows: readonly Readonly<Record<string, string | number>>[];
}

const ROUNDS = 41;

/** How long the calls of one subject take in one round, at least. */
const TURN_NS = 5_000_000;

/** How long a subject runs before it is measured, at least, so that what is measured is compiled code. */
const WARM_UP_NS = 200_000_000;

/** Measures subjects against the first of them. */
export async function measure<Name extends string>(
  subjects: Readonly<Record<Name, Subject>>,
): Promise<Record<Name, Timing>> {
  const runs: Run[] = [];
  for (const [name, subject] of Object.entries<Subject>(subjects)) runs.push(await prepare(name, subject));
  for (let round = 0; round < ROUNDS; round++) {
    // Every round begins with another one, so that none is always the one after the garbage of another.
    const first = round % runs.length;
    for (const run of [...runs.slice(first), ...runs.slice(0, first)]) {
      run.ns.push((await time(run.subject, run.calls)) / run.calls);
    }
  }
  const base = runs[0]!.ns;
  const timings = runs.map(({ name, ns }) => {
    return [name, { ns: median(ns), ratio: median(ns.map((value, round) => value / base[round]!)) }];
  });
  return Object.fromEntries(timings) as Record<Name, Timing>;
}

/** The processor and the runtime, which every number depends on. */
export function describeMachine(): string {
  return `${cpus()[0]?.model ?? "an unknown processor"}, ${availableParallelism()} cores, ${navigator.userAgent}`;
}

/** A number with three significant digits. */
export function round3(value: number): number {
  return Number(value.toPrecision(3));
}

interface Run {
  readonly name: string;
  readonly subject: Subject;
  /** How many calls make up one turn. */
  readonly calls: number;
  /** The time of one call in each round. */
  readonly ns: number[];
}

/** Warms a subject up, and finds out how many calls of it fill a turn. */
async function prepare(name: string, subject: Subject): Promise<Run> {
  let calls = 1;
  let spent = 0;
  while (spent < WARM_UP_NS) {
    const turn = await time(subject, calls);
    if (turn < TURN_NS) calls *= 2;
    spent += turn;
  }
  return { name, subject, calls, ns: [] };
}

/** How long a number of calls take, in nanoseconds. What is synchronous is not slowed down by awaiting it. */
async function time(subject: Subject, calls: number): Promise<number> {
  const start = process.hrtime.bigint();
  const first = subject();
  if (first instanceof Promise) {
    await first;
    for (let call = 1; call < calls; call++) await subject();
  } else {
    for (let call = 1; call < calls; call++) subject();
  }
  return Number(process.hrtime.bigint() - start);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2;
}
