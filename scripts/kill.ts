// npm run kill -- [--runtime workerd|node|deno|bun] [--rounds N] [--seed S] [--check-every K]
//
// `kill -9` of an edge under load at random moments, again and again on one state that nobody repairs.
// Clients keep every receipt that they get. After some rounds, and after the last, everything that is published is
// pulled and held against them (held.ts).
//
// The moments come from the seed; what the machine does in between does not. This shows what the death of
// the process leaves behind; what a loss of power does, which also takes what no disk has written yet: powercut.ts.
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Edge, isListening, startEdge } from "../test/e2e/edge.ts";
import { startUpstream } from "../test/e2e/upstream.ts";
import { writeStartConfig } from "./edges.ts";
import { answer, ask, checkHeld, ITEM, type Known, newKnown, STREAM, withPatience } from "./held.ts";
import { RUNTIMES, type RuntimeName } from "./runtimes.ts";

export interface KillOptions {
  readonly runtime: "workerd" | RuntimeName;
  readonly rounds: number;
  readonly seed: number;
  /** After how many rounds everything is checked, besides after the last. */
  readonly checkEvery: number;
  readonly log: (line: string) => void;
}

export interface KillReport {
  readonly runtime: KillOptions["runtime"];
  readonly rounds: number;
  readonly seed: number;
  /** The receipts that clients hold; each was found in the ledger. */
  readonly receipts: number;
  /** The entries of the ledger: those of the receipts, those whose answers were cut off, endings of streams. */
  readonly entries: number;
  /** Requests that the death of the edge cut off. */
  readonly cutOff: number;
  /** Requests that were answered with 503 because they could not be recorded; nothing was released. */
  readonly refused: number;
  readonly anchors: number;
  readonly seconds: number;
}

const CLIENTS = 16;

/** A kill comes after at most so many answers in its round, and then at most so many milliseconds later. */
const ANSWERS_MAX = 800;
const DELAY_MAX_MS = 50;

/**
 * Kills and restarts an edge, `rounds` times.
 * @throws Error at the first thing that is not as it should be; the state then stays, and its folder is named.
 */
export async function killRounds(options: KillOptions): Promise<KillReport> {
  const { runtime, rounds, seed, log } = options;
  const began = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-kill-"));
  const upstream = await startUpstream(answer);
  const known = newKnown();
  try {
    await runRounds(await makeStart(folder, upstream.url, runtime), options, known);
  } catch (error) {
    log(`seed ${seed} has failed; the state is in ${folder}`);
    throw error;
  } finally {
    upstream.close();
  }
  await rm(folder, { recursive: true, force: true });
  return {
    ...{ runtime, rounds, seed },
    receipts: known.held.length,
    entries: known.entries.length,
    cutOff: known.cutOff,
    refused: known.refused,
    anchors: known.anchors,
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

/** How to start an edge on the one state that all rounds share. */
async function makeStart(
  folder: string,
  upstream: string,
  runtime: KillOptions["runtime"],
): Promise<() => Promise<Edge>> {
  const config = await writeStartConfig(folder);
  const args = ["--runtime", runtime, "--config", config, "--port", String(await findPort())];
  return () => startEdge({ upstream, state: join(folder, "state"), args });
}

/** A port that systems do not give to outgoing connections, so that nothing takes it while no edge listens. */
async function findPort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    if (!(await isListening("127.0.0.1", port))) return port;
  }
}

async function runRounds(
  start: () => Promise<Edge>,
  { rounds, seed, checkEvery, log }: KillOptions,
  known: Known,
): Promise<void> {
  const random = makeRandom(seed);
  let edge = await start();
  try {
    for (let round = 1; round <= rounds; round++) {
      const [answers, ms] = [random(ANSWERS_MAX + 1), random(DELAY_MAX_MS + 1)];
      await loadAndKill(edge, round, answers, ms, known);
      log(`round ${round}: killed ${ms} ms after ${answers} answers; ${known.held.length} receipts so far`);
      edge = await start();
      if (round % checkEvery !== 0 && round !== rounds) continue;
      // What is asked now comes after all that was in flight: once it is anchored, so is everything.
      await ask(edge, `${ITEM}${round}/after`, known);
      await withPatience(`the check after round ${round}`, checkHeld(edge, known));
      log(`round ${round}: each of ${known.held.length} receipts is among ${known.entries.length} entries`);
    }
  } catch (error) {
    log(edge.output);
    throw error;
  } finally {
    await edge.stop();
  }
}

/** Lets clients ask until the edge is killed, `ms` after so many answers, and all of them have noticed. */
async function loadAndKill(
  edge: Edge,
  round: number,
  answers: number,
  ms: number,
  known: Known,
): Promise<void> {
  const enough = Promise.withResolvers<void>();
  let answered = 0;
  let killed = false;
  const client = async (id: number) => {
    for (let n = 0; !killed; n++) {
      try {
        await ask(edge, `${n % 8 === 7 ? STREAM : ITEM}${round}/${id}/${n}`, known);
        if (++answered === answers) enough.resolve();
      } catch (error) {
        if (!killed) return enough.reject(error);
        known.cutOff++;
      }
    }
  };
  if (answers === 0) enough.resolve();
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)));
  await withPatience(`round ${round}`, enough.promise);
  await wait(ms);
  killed = true;
  await edge.killServing();
  await clients;
}

/** Numbers from 0 up to, not including, `below`: the same ones for the same seed (SplitMix32). */
export function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x9e3779b9) | 0;
    let x = state ^ (state >>> 16);
    x = Math.imul(x, 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) % below;
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string", default: "workerd" },
      rounds: { type: "string", default: "200" },
      seed: { type: "string", default: String(randomInt(2 ** 31)) },
      "check-every": { type: "string", default: "20" },
    },
  });
  const seed = Number(values.seed);
  console.log(`seed ${seed}`);
  const rounds = Number(values.rounds);
  const checkEvery = Number(values["check-every"]);
  const runtime = (["workerd", ...RUNTIMES] as const).find(name => name === values.runtime);
  if (runtime === undefined) {
    console.error(`--runtime: expected workerd, ${RUNTIMES.join(", ")}, found "${values.runtime}"`);
    process.exit(2);
  }
  console.log(await killRounds({ runtime, rounds, seed, checkEvery, log: console.log }));
}
