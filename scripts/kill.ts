// npm run kill -- [--rounds N] [--seed S] [--check-every K]
//
// `kill -9` of real workerd under load at random moments, again and again on one state that nobody repairs.
// Clients keep every receipt that they get. After some rounds, and after the last, everything that is
// published is pulled and checked by the tests' own reference: every receipt verifies and is included, indexes
// have no hole, no record is there twice, the anchors are one chain, and nothing that was published at the
// check before has changed.
//
// The moments come from the seed; what the machine does in between does not. This shows what the death of
// the process leaves behind, not what a loss of power does, which also takes what no disk has written yet.
import { createHash, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { checkReceipt, pullChecked, read } from "../test/e2e/copy.ts";
import { type Edge, isListening, startEdge } from "../test/e2e/edge.ts";
import { startUpstream } from "../test/e2e/upstream.ts";

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  /** After how many rounds everything is checked, besides after the last. */
  readonly checkEvery: number;
  readonly log: (line: string) => void;
}

export interface KillReport {
  readonly rounds: number;
  readonly seed: number;
  /** The receipts that clients hold; each was found in the ledger. */
  readonly receipts: number;
  /** The entries of the ledger: those of the receipts, those whose answers were cut off, endings of streams. */
  readonly entries: number;
  /** Requests that the death of workerd cut off. */
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

/** For how long a round may go without its answers, or a check without its anchor, before that is a failure. */
const PATIENCE_MS = 120_000;

/** How many receipts are asked for a second time at each check. */
const REISSUED = 10;

const ITEM = "/item/";
const STREAM = "/stream/";

/** What a client keeps of an answer. */
interface Held {
  readonly path: string;
  readonly receipt: string;
  /** The RFC 9530 Content-Digest of the body, once it has come as a whole. */
  digest?: string;
}

/** What is known so far. */
interface Known {
  readonly held: Held[];
  cutOff: number;
  refused: number;
  /** The entries that were published at the last check. */
  entries: readonly string[];
  anchors: number;
}

/**
 * Kills and restarts an edge, `rounds` times.
 * @throws Error at the first thing that is not as it should be; the state then stays, and its folder is named.
 */
export async function killRounds(options: KillOptions): Promise<KillReport> {
  const { rounds, seed, log } = options;
  const began = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-kill-"));
  const upstream = await startUpstream(answer);
  const known: Known = { held: [], cutOff: 0, refused: 0, entries: [], anchors: 0 };
  try {
    await runRounds(await makeStart(folder, upstream.url), options, known);
  } catch (error) {
    log(`seed ${seed} has failed; the state is in ${folder}`);
    throw error;
  } finally {
    upstream.close();
  }
  await rm(folder, { recursive: true, force: true });
  return {
    rounds,
    seed,
    receipts: known.held.length,
    entries: known.entries.length,
    cutOff: known.cutOff,
    refused: known.refused,
    anchors: known.anchors,
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

/** The API behind the edge. Streams have no known length, so they are not held back until they are recorded. */
function answer({ url }: IncomingMessage, response: ServerResponse): void {
  if (!url!.startsWith(STREAM)) {
    response.end(`you asked for ${url}`);
    return;
  }
  response.write(`you asked for ${url}`);
  setImmediate(() => response.end(", and it came in two pieces"));
}

/** How to start an edge on the one state that all rounds share, with an anchor every second. */
async function makeStart(folder: string, upstream: string): Promise<() => Promise<Edge>> {
  const root = resolve(import.meta.dirname, "..");
  const toml = await readFile(join(root, "wrangler.toml"), "utf8");
  const config = join(folder, "wrangler.toml");
  await writeFile(
    config,
    toml
      .replace(/interval_seconds = \d+/, "interval_seconds = 1")
      .replace(/main = "src/, `main = "${root}/src`),
  );
  const args = ["--config", config, "--port", String(await findPort())];
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
      await withPatience(`the check after round ${round}`, check(edge, known));
      log(`round ${round}: each of ${known.held.length} receipts is among ${known.entries.length} entries`);
    }
  } catch (error) {
    log(edge.output);
    throw error;
  } finally {
    await edge.stop();
  }
}

/** Lets clients ask until workerd is killed, `ms` after so many answers, and all of them have noticed. */
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
  await edge.killWorkerd();
  await clients;
}

/**
 * Asks for something, and keeps the receipt as soon as it is there.
 * @throws Error when the answer does not come as a whole, or is none that may be given.
 */
async function ask(edge: Edge, path: string, known: Known): Promise<void> {
  const withBody = path.length % 2 === 0;
  const outgoing = request(`${edge.url}${path}`, { method: withBody ? "POST" : "GET", agent: false });
  outgoing.end(withBody ? path.repeat(20) : undefined);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const receipt = response.headers["audit-receipt"] as string | undefined;
  const held: Held | undefined = receipt === undefined ? undefined : { path, receipt };
  if (held !== undefined) known.held.push(held);
  const body = Buffer.concat(await response.toArray());
  if (held !== undefined && response.statusCode === 200) {
    held.digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  } else if (held === undefined && response.statusCode === 503) {
    known.refused++;
  } else {
    throw new Error(`${path} was answered with ${response.statusCode}: ${body}`);
  }
}

/** Waits until everything is anchored, and compares it with all that is known. @throws Error when it does not fit. */
async function check(edge: Edge, known: Known): Promise<void> {
  const { ledgers } = JSON.parse((await read(edge, "health")).toString());
  assert(ledgers[0].state === "open", `the ledger is ${ledgers[0].state}`);
  const { keys } = JSON.parse((await read(edge, "jwks.json")).toString());
  const last = indexOf(known.held.at(-1)!.receipt);
  const copy = await pullChecked(edge, last + 1);
  known.entries.forEach((entry, index) => {
    assert(copy.entries[index] === entry, `entry ${index} is another than it was`);
  });
  known.entries = copy.entries;
  const names = copy.entries.map(entry => {
    const { jti, stage } = recordOf(entry);
    return `${jti} ${stage}`;
  });
  assert(new Set(names).size === names.length, "a record is there twice");

  const indexes = known.held.map(held => {
    const index = checkReceipt(held.receipt, copy, keys);
    const { req, res, stage } = recordOf(held.receipt);
    assert(req.path === held.path, `the receipt for ${held.path} is of ${req.path}`);
    if (stage === "complete" && held.digest !== undefined) {
      assert(res.digest === held.digest, `the receipt for ${held.path} is of another body`);
    }
    return index;
  });
  assert(new Set(indexes).size === indexes.length, "two receipts have one place");
  await checkReissued(edge, known.held);
  known.anchors = await checkAnchors(edge, copy.entries);
}

/** A receipt that got lost is given again, bit for bit; some that are spread over all are asked for. */
async function checkReissued(edge: Edge, held: readonly Held[]): Promise<void> {
  const complete = held.filter(({ path }) => path.startsWith(ITEM));
  const step = Math.ceil(complete.length / REISSUED);
  for (let i = 0; i < complete.length; i += step) {
    const { receipt } = complete[i]!;
    const again = (await read(edge, `receipts/${recordOf(receipt).jti}`)).toString();
    assert(again === receipt, `asked for again, the receipt for ${complete[i]!.path} is another one`);
  }
}

/** Every anchor names the one before it, and pins a tree that these entries begin with. @returns how many. */
async function checkAnchors(edge: Edge, entries: readonly string[]): Promise<number> {
  const { latest } = JSON.parse((await read(edge, "anchors")).toString());
  let prev = Buffer.alloc(32).toString("base64url");
  let size = 0;
  for (let epoch = 0; epoch <= latest; epoch++) {
    const text = (await read(edge, `anchors/${epoch}`)).toString();
    const payload = recordOf(text);
    const [pin] = payload.ledgers;
    assert(
      payload.epoch === epoch && payload.prev === prev,
      `anchor ${epoch} does not follow the one before`,
    );
    assert(pin.size > size, `anchor ${epoch} pins ${pin.size} entries after ${size}`);
    const newest = entries[pin.size - 1];
    // The newest anchor may be ahead of what was pulled. A leaf hash stands for all entries up to its own.
    assert(
      newest === undefined || createHash("sha256").update(`\0${newest}`).digest("base64url") === pin.head,
      `anchor ${epoch} pins another entry ${pin.size - 1}`,
    );
    prev = createHash("sha256").update(text).digest("base64url");
    size = pin.size;
  }
  return latest + 1;
}

function indexOf(receipt: string): number {
  return decodePart(receipt, 0).index;
}

/** The payload of a receipt or an anchor, or the record of an entry. */
function recordOf(text: string) {
  return decodePart(text, 1);
}

function decodePart(text: string, part: number) {
  return JSON.parse(Buffer.from(text.split(".")[part]!, "base64url").toString());
}

function assert(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** @throws Error naming what was waited for, when it takes too long. */
async function withPatience<T>(what: string, work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = wait(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${what} has not ended within ${PATIENCE_MS} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => {});
    stop.abort();
  }
}

/** Numbers from 0 up to, not including, `below`: the same ones for the same seed (SplitMix32). */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x9e3779b9) | 0;
    let x = state ^ (state >>> 16);
    x = Math.imul(x, 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) % below;
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "200" },
      seed: { type: "string", default: String(randomInt(2 ** 31)) },
      "check-every": { type: "string", default: "20" },
    },
  });
  const seed = Number(values.seed);
  console.log(`seed ${seed}`);
  const rounds = Number(values.rounds);
  const checkEvery = Number(values["check-every"]);
  console.log(await killRounds({ rounds, seed, checkEvery, log: console.log }));
}
