// Proxies under the same load, one after another: every subject has its turn in each of many rounds, so that a slow
// moment of the machine hits all of them alike, and a ratio is the median of the rounds' own ratios. An answer that is
// not what the upstream sends ends the bench.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { median, round3 } from "../measure.ts";
import type { Outcome, Turn } from "./exchanges.ts";

const CONNECTIONS = 64;
/** How many turns each has before it is measured: what compiles while it runs takes some thousand exchanges for that. */
const WARM_UP_TURNS = 3;
const ROUNDS = 15;
const TURN_MS = 2000;

/** Something that answers, and is measured. */
export interface Subject {
  readonly url: string;
  /** The process whose processor time counts, with those that it has started; none is counted without. */
  readonly pid?: number | undefined;
  /** Returns when nothing of a turn is left to be done. */
  settle?(): Promise<void>;
  /** @throws Error when something is wrong with what came of a turn. */
  check?(outcome: Outcome): Promise<void>;
}

export interface Measured extends Outcome {
  /** NaN where it is not known. */
  readonly cpuSeconds: number;
}

/** Some turns that are not measured for each, then rounds, each of which begins with another one. */
export async function takeTurns<Name extends string>(
  load: ChildProcess,
  subjects: Readonly<Record<Name, Subject>>,
): Promise<Record<Name, Measured[]>> {
  const names = Object.keys(subjects) as Name[];
  const turns = Object.fromEntries(names.map(name => [name, []])) as unknown as Record<Name, Measured[]>;
  for (const name of names) {
    for (let turn = 0; turn < WARM_UP_TURNS; turn++) await takeTurn(load, subjects[name]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      turns[name].push(await takeTurn(load, subjects[name]));
    }
  }
  return turns;
}

async function takeTurn(load: ChildProcess, subject: Subject): Promise<Measured> {
  const before = await readCpuSeconds(subject.pid);
  load.send({ url: subject.url, connections: CONNECTIONS, ms: TURN_MS } satisfies Turn);
  const [outcome] = (await once(load, "message")) as [Outcome];
  // What a turn has left to be done belongs to it, and must not slow down the next.
  await subject.settle?.();
  const cpuSeconds = (await readCpuSeconds(subject.pid)) - before;
  requireNoFailure(outcome, subject.url);
  await subject.check?.(outcome);
  return { ...outcome, cpuSeconds };
}

function requireNoFailure({ exchanges, failures }: Outcome, url: string): void {
  if (exchanges > 0 && Object.keys(failures).length === 0) return;
  throw new Error(
    `${url}: ${exchanges} exchanges; what went wrong, and how often: ${JSON.stringify(failures)}`,
  );
}

/**
 * The processor time of a process and of those that it has started and that still run, from Linux's /proc
 * (proc_pid_stat(5)): fields 14 and 15, in ticks of 10 ms.
 */
async function readCpuSeconds(pid: number | string | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return Number.NaN;
  // The second field is a name in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const theirs = await Promise.all(children.split(" ").filter(Boolean).map(readCpuSeconds));
  return theirs.reduce((sum, each) => sum + each, (Number(fields[11]) + Number(fields[12])) / 100);
}

/** The load, in words. */
export const LOAD =
  `${CONNECTIONS} connections, ${ROUNDS} rounds of ${TURN_MS} ms each, medians of the rounds; half GET, half POST ` +
  "of 250 bytes, answers of 1 KiB; no failure";

/** What a table says of the turns of one subject: of throughput, of latency in ms, and of processor time for each exchange in µs. */
export function describeTurns(turns: readonly Measured[]) {
  return {
    "exchanges/s": round3(median(turns.map(rateOf))),
    "p50 ms": round3(median(turns.map(({ p50 }) => p50))),
    "p90 ms": round3(median(turns.map(({ p90 }) => p90))),
    "p99 ms": round3(median(turns.map(({ p99 }) => p99))),
    "CPU µs": orDash(round3(median(turns.map(cpuOf)) * 1e6)),
  };
}

/** The exchanges of a turn by second. */
export function rateOf({ exchanges, seconds }: Measured): number {
  return exchanges / seconds;
}

/** The processor time of a turn's exchange, in seconds. */
export function cpuOf({ exchanges, cpuSeconds }: Measured): number {
  return cpuSeconds / exchanges;
}

/** A ratio of subjects: the median of the rounds' own. */
export function ratioOf(
  of: (turn: Measured) => number,
  these: readonly Measured[],
  those: readonly Measured[],
): number | string {
  return orDash(round3(median(these.map((turn, round) => of(turn) / of(those[round]!)))));
}

/** What is not known, of no proxy or on other systems, is no number. */
function orDash(value: number): number | string {
  return Number.isNaN(value) ? "-" : value;
}

export function countSamples(turns: readonly (readonly Measured[])[]): number {
  return turns.flat().reduce((sum, { samples }) => sum + samples.length, 0);
}
