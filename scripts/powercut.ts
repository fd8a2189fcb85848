// npm run powercut -- [--runtime node|deno|bun|workerd] [--rounds N] [--cuts N] [--answers N] [--seed S]
//
// What a loss of power may leave of a state folder, and whether the edge goes on from it. An edge runs under strace, as
// a client's load and its own publishing and anchoring go on. From the trace follow the folder as a disk may have it at
// any moment, with nothing certain but what was synced by then (test/powercut/disk.ts), and what clients had been told
// by then, because the bytes that were sent to them are in the same trace. From such folders the edge is started again:
// every receipt that was told must be in the ledger, every checkpoint and anchor that was told must still stand, the
// ledger must go on, and the audit must pass. The next round begins from one of them.
//
// In the end disks are tried that keep nothing of what was synced, as if an edge left out its syncs: all of them, or those
// of one kind. That each is noticed shows that the rest can fail, and that none of the syncs is there for nothing.
//
// Workerd has no stores of objects whose syncs could be looked at: its local R2 promises none. So a plain workerd is tried
// with the databases of its objects only, with buckets elsewhere that take nothing until the power is back.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { untilToldToEnd } from "../src/hosts/signals.ts";
import { type Reached, read } from "../test/e2e/copy.ts";
import { startUpstream } from "../test/e2e/upstream.ts";
import { Disk, type Fate } from "../test/powercut/disk.ts";
import { bytesOf, type Call, descriptorOf, readTrace, straceArgs } from "../test/powercut/trace.ts";
import { mth } from "../test/reference/rfc6962.ts";
import { audit, startOn, writeConfig } from "./edges.ts";
import {
  answer,
  ask,
  assert,
  checkHeld,
  ITEM,
  indexOf,
  type Known,
  newKnown,
  recordOf,
  STREAM,
  withPatience,
} from "./held.ts";
import { makeRandom } from "./kill.ts";
import { PlainWorkerd, type StartOptions } from "./plainworkerd.ts";
import { RUNTIMES } from "./runtimes.ts";
import type { Served } from "./serve.ts";

/** Where edges are tried. */
const TRIED = [...RUNTIMES, "workerd"] as const;

export interface PowerCutOptions {
  readonly runtime: (typeof TRIED)[number];
  readonly rounds: number;
  /** How many moments of each round are tried. */
  readonly cuts: number;
  /** How many answers clients wait for in each round. */
  readonly answers: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}

export interface PowerCutReport {
  readonly runtime: PowerCutOptions["runtime"];
  readonly cuts: number;
  /** The changes to the folder that were followed, and how many of them were lost or torn. */
  readonly changes: number;
  readonly spoilt: number;
  /** The receipts that were looked for, and found: those of one round count for each of its cuts. */
  readonly receipts: number;
  readonly entries: number;
  /** How disks were noticed that keep nothing of what was synced. */
  readonly liars: Readonly<Partial<Record<Lie, string>>>;
}

const CLIENTS = 8;

/** What a disk may not keep although it was synced, by path: everything, or one kind of what an edge syncs. */
const LIES = {
  everything: () => true,
  databases: (path: string) => /\.sqlite(-wal)?$/.test(path),
  "bytes of objects": (path: string) => path.includes("/.drafts/"),
  "names of objects": (path: string) => /\/(archive|anchors)(\/|$)/.test(path) && !path.includes("/.drafts/"),
};

type Lie = keyof typeof LIES;

/** How many checkpoints a round must live to see, and how long clients rest once they have their answers, in ms. */
const CHECKPOINTS = 3;
const PAUSE_MS = 50;

/** What a client was told, and when: the place in the order of calls. */
interface Told {
  readonly at: number;
  readonly receipts: readonly string[];
  readonly checkpoints: readonly Checkpoint[];
  readonly anchors: readonly number[];
}

interface Checkpoint {
  readonly size: number;
  readonly root: string;
}

/** Why power cuts cannot be tried on this machine, or undefined when they can. */
export function missingForPowerCuts(): string | undefined {
  const { status, error, stderr } = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]);
  if (error !== undefined) return "there is no strace; on Debian, apt-get install strace";
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.toString().trim()}`;
}

/** @throws Error at the first thing that is not as it should be; the folders then stay, and are named. */
export async function cutPower(options: PowerCutOptions): Promise<PowerCutReport> {
  const { runtime, rounds, seed, log } = options;
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-powercut-"));
  const upstream = await startUpstream(answer);
  const ground = await openGround(folder, upstream.url, runtime);
  const bench = new Bench(folder, ground, options);
  try {
    for (let round = 1; round <= rounds; round++) await bench.round(round);
    const liars: Partial<Record<Lie, string>> = {};
    for (const kind of ground.lies) liars[kind] = await bench.tryLiar(kind);
    await rm(folder, { recursive: true, force: true });
    return { runtime, ...bench.counts, liars };
  } catch (error) {
    log(`seed ${seed} has failed on ${runtime}; the folders are in ${folder}`);
    throw error;
  } finally {
    ground.close();
    upstream.close();
  }
}

/** What edges run on, and what they keep elsewhere than in their state folder. */
interface Ground {
  /** What is in the state folder that an edge syncs. */
  readonly lies: readonly Lie[];
  /** Whether an edge publishes and anchors while its calls are recorded. */
  readonly publishes: boolean;
  prepare(state: string): Promise<unknown>;
  start(options: StartOptions): Promise<Served & Reached>;
  /** Keeps what lies elsewhere as it is, and puts it back to that. */
  hold(): void;
  rewind(): void;
  close(): void;
}

async function openGround(
  folder: string,
  upstream: string,
  runtime: PowerCutOptions["runtime"],
): Promise<Ground> {
  if (runtime === "workerd") {
    return Object.assign(await PlainWorkerd.open(upstream), {
      lies: ["everything", "databases"] as const,
      publishes: false,
    });
  }
  const config = await writeConfig(folder, upstream);
  const nothing = () => {};
  return {
    lies: Object.keys(LIES) as Lie[],
    publishes: true,
    prepare: state => mkdir(state, { recursive: true, mode: 0o700 }),
    // What goes through io_uring is no call that can be seen.
    start: options => startOn({ runtime, config, ...options, env: { ...process.env, UV_USE_IO_URING: "0" } }),
    ...{ hold: nothing, rewind: nothing, close: nothing },
  };
}

/** What is known to stand in a folder. */
interface Standing {
  readonly known: Known;
  readonly checkpoints: readonly Checkpoint[];
  /** The newest anchor that was told of; -1 for none. */
  readonly anchor: number;
}

class Bench {
  readonly counts = { cuts: 0, changes: 0, spoilt: 0, receipts: 0, entries: 0 };
  readonly #folder: string;
  readonly #ground: Ground;
  readonly #options: PowerCutOptions;
  readonly #random: (below: number) => number;
  /** What stands in the state folder that the next round begins from. */
  #standing: Standing = {
    known: newKnown(),
    checkpoints: [],
    anchor: -1,
  };
  /** The last round, and what stood before it. */
  #last!: { disk: Disk; told: readonly Told[]; end: number; before: Standing };

  constructor(folder: string, ground: Ground, options: PowerCutOptions) {
    this.#folder = folder;
    this.#ground = ground;
    this.#options = options;
    this.#random = makeRandom(options.seed);
  }

  get #state(): string {
    return join(this.#folder, "state");
  }

  /** Runs the edge under load until it is killed, and tries what a loss of power may have left of it. */
  async round(round: number): Promise<void> {
    const { cuts, log } = this.#options;
    await this.#ground.prepare(this.#state);
    const disk = await Disk.open(this.#state);
    const calls = await this.#record(round);
    disk.follow(calls);
    const told = calls.flatMap(call => toldBy(call) ?? []);
    assert(told.length > 0, "the trace shows nothing that a client was told");
    const end = calls.at(-1)!.begin + 1;
    this.counts.changes += disk.changes;
    log(
      `round ${round}: ${calls.length} calls, ${disk.changes} changes, ${told.length} answers that told something`,
    );
    this.#last = { disk, told, end, before: this.#standing };
    const moments = Array.from({ length: cuts }, () => this.#pickMoment(told, end)).sort((a, b) => a - b);
    for (const at of moments) await this.#cut(at);
    await rm(this.#state, { recursive: true });
    await rename(join(this.#folder, "cut"), this.#state);
  }

  /** Tries a disk that keeps nothing of what was synced of a kind. @returns how that was noticed. */
  async tryLiar(kind: Lie): Promise<string> {
    const { end } = this.#last;
    try {
      await this.#goOn(end, { at: end, fate: () => "lost", random: this.#random, lies: LIES[kind] });
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`it went unnoticed that nothing lasts of what was synced: ${kind}`);
  }

  /** Any moment, or the one after something was told: that is when most is expected. */
  #pickMoment(told: readonly Told[], end: number): number {
    if (this.#random(3) === 0) return 1 + this.#random(end);
    return told[this.#random(told.length)]!.at + 1;
  }

  async #record(round: number): Promise<Call[]> {
    const file = join(this.#folder, `trace-${round}`);
    this.#ground.hold();
    const edge = await this.#ground.start({ state: this.#state, under: ["strace", ...straceArgs(file)] });
    try {
      await load(edge, round, this.#options.answers, this.#ground.publishes);
    } finally {
      process.kill(await childOf(edge.pid), "SIGKILL");
      await edge.ended;
    }
    const calls = await readTrace(file);
    await rm(file);
    return calls;
  }

  async #cut(at: number): Promise<void> {
    const random = this.#random;
    // From nothing but what was synced to nearly everything, and with torn writes or without.
    const [keptOf8, isTorn] = [random(8), random(2) === 0];
    let spoilt = 0;
    const fate = (): Fate => {
      if (random(8) < keptOf8) return "kept";
      spoilt++;
      return isTorn && random(2) === 0 ? "torn" : "lost";
    };
    this.#standing = await this.#goOn(at, { at, fate, random });
    this.counts.cuts++;
    this.counts.spoilt += spoilt;
    this.counts.receipts += this.#standing.known.held.length;
    this.counts.entries = this.#standing.known.entries.length;
    const { held, entries } = this.#standing.known;
    this.#options.log(
      `  cut at ${at}: ${spoilt} changes lost or torn; ${held.length} receipts are among ${entries.length} entries`,
    );
  }

  /** Goes on from what a loss of power has left, in the folder `cut`. @returns what stands there afterwards. */
  async #goOn(at: number, cut: Parameters<Disk["restore"]>[1]): Promise<Standing> {
    const { disk, told, before } = this.#last;
    const state = join(this.#folder, "cut");
    await rm(state, { recursive: true, force: true });
    await disk.restore(state, cut);
    const by = told.filter(each => each.at < at);
    const known: Known = { ...before.known, held: [...before.known.held] };
    known.held.push(
      ...by.flatMap(each => each.receipts.map(receipt => ({ path: recordOf(receipt).req.path, receipt }))),
    );
    const checkpoints = [...before.checkpoints, ...by.flatMap(each => each.checkpoints)];
    const anchor = Math.max(before.anchor, ...by.flatMap(each => each.anchors));
    this.#ground.rewind();
    const edge = await this.#ground.start({ state });
    try {
      await check(edge, { known, checkpoints, anchor });
      await audit(edge);
    } catch (error) {
      this.#options.log(edge.output);
      throw error;
    } finally {
      await edge.stop();
    }
    return { known, checkpoints, anchor };
  }
}

/** Asks for something new, and then holds everything that was told against what is published. */
async function check(edge: Reached, { known, checkpoints, anchor }: Standing): Promise<void> {
  const { ledgers } = JSON.parse((await read(edge, "health")).toString());
  const newest = Math.max(-1, ...known.held.map(({ receipt }) => indexOf(receipt)));
  assert(
    ledgers[0].size > newest,
    `the ledger has ${ledgers[0].size} entries, and somebody was told of entry ${newest}`,
  );
  const { latest } = JSON.parse((await read(edge, "anchors")).toString());
  assert(
    (latest ?? -1) >= anchor,
    `the newest anchor is ${latest}, and somebody was told of anchor ${anchor}`,
  );
  await ask(edge, `${ITEM}after`, known);
  await withPatience("the check", checkHeld(edge, known));
  for (const { size, root } of checkpoints) {
    assert(
      rootOf(known.entries, size) === root,
      `the checkpoint of ${size} entries that was told is of others`,
    );
  }
}

/** The roots of the entries that a test has seen so far: checkpoints are told many times. */
const roots = new Map<string, string>();

function rootOf(entries: readonly string[], size: number): string {
  const key = `${size} ${entries[size - 1]}`;
  const known = roots.get(key) ?? mth(entries.slice(0, size).map(entry => Buffer.from(entry)));
  const root = typeof known === "string" ? known : Buffer.from(known).toString("base64");
  roots.set(key, root);
  return root;
}

/** Lets clients ask, until there were enough answers and, if it publishes, somebody has seen so many checkpoints and a new anchor. */
async function load(edge: Reached, round: number, answers: number, publishes: boolean): Promise<void> {
  const known = newKnown();
  let seen = !publishes;
  const client = async (id: number) => {
    for (let n = 0; !seen || known.held.length < answers; n++) {
      await ask(edge, `${n % 8 === 7 ? STREAM : ITEM}${round}/${id}/${n}`, known);
      // Publishing takes its time, and what is asked meanwhile makes the trace no better.
      if (known.held.length > answers) await wait(PAUSE_MS);
    }
  };
  const watch = async () => {
    const checkpoints = new Set<string>();
    const newest = async () => JSON.parse((await read(edge, "anchors")).toString()).latest;
    const before = await newest();
    while (checkpoints.size < CHECKPOINTS || (await newest()) === before) {
      const note = await read(edge, "main/checkpoint").catch(() => undefined);
      if (note !== undefined) checkpoints.add(note.toString());
      await wait(PAUSE_MS);
    }
    seen = true;
  };
  await withPatience(
    "a round",
    Promise.all([publishes && watch(), ...Array.from({ length: CLIENTS }, (_, id) => client(id))]),
  );
}

/** What a call has told a client, if it has told something. */
function toldBy({ name, args, begin }: Call): Told | undefined {
  if (!/^(write|writev|sendto|sendmsg)$/.test(name)) return undefined;
  if (!descriptorOf(args[0]!).path.includes("socket:")) return undefined;
  const sent = bytesOf(args[1]!).toString("latin1");
  const receipts = [...sent.matchAll(/^audit-receipt: ([\w-]+\.[\w-]+\.[\w-]+)\r$/gim)].map(
    found => found[1]!,
  );
  const checkpoints = [...sent.matchAll(/^api\.example\.com\/audit\/main\n(\d+)\n([\w+/=]+)\n/gm)].map(
    ([, size, root]) => ({ size: Number(size), root: root! }),
  );
  const anchors = [...sent.matchAll(/"latest":(\d+)/g)].map(([, epoch]) => Number(epoch));
  if (receipts.length + checkpoints.length + anchors.length === 0) return undefined;
  return { at: begin, receipts, checkpoints, anchors };
}

/** The process that strace has started. */
async function childOf(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "latin1")).trim().split(" ");
  assert(children.length === 1 && children[0] !== "", `strace has the children ${children}`);
  return Number(children[0]);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string", default: "node" },
      rounds: { type: "string", default: "3" },
      cuts: { type: "string", default: "20" },
      answers: { type: "string", default: "200" },
      seed: { type: "string", default: String(randomInt(2 ** 31)) },
    },
  });
  const runtime = TRIED.find(name => name === values.runtime);
  const missing =
    runtime === undefined
      ? `--runtime: expected ${TRIED.join(", ")}, found "${values.runtime}"`
      : missingForPowerCuts();
  if (runtime === undefined || missing !== undefined) {
    console.error(missing);
    process.exit(2);
  }
  // What it has started is in a group of its own, and ends with this process only.
  untilToldToEnd().then(() => process.exit(130));
  console.log(`seed ${values.seed}`);
  const [rounds, cuts, answers, seed] = [values.rounds, values.cuts, values.answers, values.seed].map(
    Number,
  ) as [number, number, number, number];
  console.log(await cutPower({ runtime, rounds, cuts, answers, seed, log: console.log }));
}
