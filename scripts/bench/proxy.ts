// What a receipt costs: throughput and latency of the whole proxy (held body, digests, private fields, durable
// record, signature) against a bare pass-through, both in plain workerd with the same flags, and against no proxy
// at all, which says how much the load generator and the upstream could do. They take turns under the same load.
// Each is a process of its own, and workerd runs all of a worker on one thread: on a machine with few cores the
// others share what is left, so the processor time of workerd is counted too, where the system tells it.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseEnv } from "node:util";
import { parseSeed } from "../../src/receipt/disclosure.ts";
import { parseTrust, type Trust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { type Config, readConfig } from "../config.ts";
import { ENVIRONMENT, WORKERD, writeSelfhost } from "../selfhost.ts";
import { findPort } from "../workerd.ts";
import { describeMachine, type Findings, median, round3 } from "./measure.ts";
import { ANSWER, HOST, makeExchange, type Outcome, type Sample, type Turn } from "./proxy/exchanges.ts";

const CONNECTIONS = 64;
const ROUNDS = 15;
const TURN_MS = 2000;

/** On the disk of the checkout: what a system keeps temporary files on may be memory, where durability is free. */
const STATE = join(import.meta.dirname, "../../.counterfoil");

/** Something that answers, and is measured. */
interface Subject {
  readonly url: string;
  /** Its processor time so far, in seconds, as far as it is known. */
  readonly cpuSeconds: () => Promise<number>;
  /** Returns when nothing of a turn is left to be done. */
  readonly settle: () => Promise<void>;
  readonly check: (outcome: Outcome) => Promise<void>;
}

interface Measured extends Outcome {
  readonly cpuSeconds: number;
}

export async function run(): Promise<Findings> {
  await mkdir(STATE, { recursive: true });
  const folder = await mkdtemp(join(STATE, "bench-"));
  const ending: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const upstream = startProcess("proxy/upstream.ts");
    ending.push(() => upstream.disconnect());
    const [port] = (await once(upstream, "message")) as [number];
    const load = startProcess("proxy/load.ts");
    ending.push(() => load.disconnect());
    const direct = { ...subjectOf(`http://${HOST}:${port}`), check: requireNoFailure };
    const bare = await startBare(direct.url, folder);
    ending.push(bare.stop);
    const buckets = [
      startProcess("../../test/s3process.ts"),
      startProcess("../../test/s3process.ts"),
    ] as const;
    ending.push(() => buckets.forEach(each => void each.disconnect()));
    const receipted = await startReceipted(direct.url, join(folder, "receipted"), buckets[0], 30);
    ending.push(receipted.stop);
    const vaultless = await startReceipted(direct.url, join(folder, "vaultless"), buckets[1], 0);
    ending.push(vaultless.stop);
    return describe(await takeTurns(load, { bare, receipted, vaultless, direct }));
  } finally {
    for (const end of ending.reverse()) await end();
  }
}

function startProcess(file: string): ChildProcess {
  return fork(join(import.meta.dirname, file));
}

async function startBare(upstream: string, folder: string) {
  const main = join(import.meta.dirname, "proxy/passthrough.js");
  const config = { ...readConfig(), main, durable_objects: { bindings: [] } };
  const { url, pid, stop } = await startWorker(config, join(folder, "bare"), () => ({
    UPSTREAM_URL: upstream,
  }));
  return { ...subjectOf(url, pid), check: requireNoFailure, stop };
}

/** @param retention for how many days the vault keeps private values; 0 is no vault. */
async function startReceipted(upstream: string, folder: string, buckets: ChildProcess, retention: number) {
  const [[archive, anchors]] = (await once(buckets, "message")) as [[string, string]];
  const config = readConfig();
  const { prefix } = config.vars as { prefix: string };
  const { url, pid, stop } = await startWorker(config, folder, issuer => ({
    issuer,
    client_address: "cf-connecting-ip",
    vault: { retention_days: retention },
    ledgers: [{ name: "main", origin: "localhost/audit/main" }],
    routes: [{ name: "all", match: "/*", upstream, ledger: "main" }],
    archive: { s3: { url: archive } },
    anchor: { s3: { url: anchors, retention_days: 1, role: "store" } },
  }));
  const trust = parseTrust(await read(`${url}${prefix}trust`));
  return {
    ...subjectOf(url, pid),
    settle: () => untilPublished(`${url}${prefix}health`),
    check: (outcome: Outcome) => requireReceipts(outcome, url, trust),
    stop,
  };
}

/** A plain workerd on a folder as `npm run selfhost` writes it; returns when it serves. */
async function startWorker(config: Config, folder: string, varsOf: (url: string) => Record<string, unknown>) {
  const listen = `${HOST}:${await findPort(HOST)}`;
  const url = `http://${listen}`;
  await writeSelfhost(folder, { config, vars: varsOf(url), listen, allow: ["private"] });
  const keys = parseEnv(await readFile(join(folder, ENVIRONMENT), "utf8")) as NodeJS.ProcessEnv;
  const workerd = spawn(WORKERD, ["serve", "config.capnp"], {
    cwd: folder,
    env: { ...keys, ...BUCKET_KEYS },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = once(workerd, "exit");
  const stop = async () => {
    workerd.kill();
    await ended;
  };
  for (;;) {
    const answer = await Promise.race([fetch(url).catch(() => undefined), ended.then(() => "ended")]);
    if (answer === "ended") throw new Error(`workerd has ended: ${folder}`);
    if (answer !== undefined) return { url, pid: workerd.pid, stop };
    await wait(50);
  }
}

/** What the stand-ins for buckets are signed to, which check no signature. */
const BUCKET_KEYS = {
  ARCHIVE_S3_KEY_ID: "AK",
  ARCHIVE_S3_SECRET: "SK",
  ANCHOR_S3_KEY_ID: "AK",
  ANCHOR_S3_SECRET: "SK",
};

function subjectOf(url: string, pid?: number): Omit<Subject, "check"> {
  return { url, cpuSeconds: () => readCpuSeconds(pid), settle: async () => {} };
}

/** The processor time of a process, from Linux's /proc (proc_pid_stat(5)): fields 14 and 15, in ticks of 10 ms. */
async function readCpuSeconds(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The second field is a name in parentheses, and may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined ? Number.NaN : (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A turn that is not measured for each, then rounds, each of which begins with another one. */
async function takeTurns<Name extends string>(load: ChildProcess, subjects: Record<Name, Subject>) {
  const names = Object.keys(subjects) as Name[];
  const turns = Object.fromEntries(names.map(name => [name, []])) as unknown as Record<Name, Measured[]>;
  for (const name of names) await takeTurn(load, subjects[name]);
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      turns[name].push(await takeTurn(load, subjects[name]));
    }
  }
  return turns;
}

async function takeTurn(load: ChildProcess, subject: Subject): Promise<Measured> {
  const before = await subject.cpuSeconds();
  load.send({ url: subject.url, connections: CONNECTIONS, ms: TURN_MS } satisfies Turn);
  const [outcome] = (await once(load, "message")) as [Outcome];
  // What a turn has left to be done belongs to it, and must not slow down the next.
  await subject.settle();
  const cpuSeconds = (await subject.cpuSeconds()) - before;
  await subject.check(outcome);
  return { ...outcome, cpuSeconds };
}

async function requireNoFailure({ exchanges, failures }: Outcome): Promise<void> {
  if (exchanges > 0 && Object.keys(failures).length === 0) return;
  throw new Error(`${exchanges} exchanges; what went wrong, and how often: ${JSON.stringify(failures)}`);
}

async function requireReceipts(outcome: Outcome, url: string, trust: Trust): Promise<void> {
  await requireNoFailure(outcome);
  if (outcome.samples.length === 0) throw new Error("no answer was sampled");
  for (const sample of outcome.samples) await verifySample(sample, url, trust);
}

/** @throws Fault unless the receipt is signed and for exactly what was asked and answered. */
async function verifySample({ n, receipt, seed }: Sample, url: string, trust: Trust): Promise<void> {
  const { method, path, body } = makeExchange(n);
  const exchange = {
    method,
    url: `${url}${path}`,
    requestBody: body ?? new Uint8Array(),
    status: 200,
    responseBody: ANSWER,
  };
  // Node's process messages turn bytes into something else, so the bodies are those of the exchange's number.
  await verifyEvidence({ receipt: receipt ?? "", seed: parseSeed(seed ?? ""), exchange }, trust);
}

/** Waits until the ledger has nothing left to publish. */
async function untilPublished(health: string): Promise<void> {
  for (;;) {
    const { ledgers } = JSON.parse(await read(health));
    if (ledgers[0].state !== "open") throw new Error(`the ledger is ${JSON.stringify(ledgers[0])}`);
    if (ledgers[0].size === ledgers[0].published) return;
    await wait(50);
  }
}

async function read(url: string): Promise<string> {
  const response = await fetch(url);
  const text = await response.text();
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${text}`);
  return text;
}

/** How the subjects are called in the table. */
const NAMES = { bare: "bare", receipted: "receipted", vaultless: "receipted, no vault", direct: "none" };

function describe(turns: Record<keyof typeof NAMES, Measured[]>): Findings {
  const rate = ({ exchanges, seconds }: Measured) => exchanges / seconds;
  const cpu = ({ exchanges, cpuSeconds }: Measured) => cpuSeconds / exchanges;
  const ofBare = (these: readonly Measured[], of: (turn: Measured) => number) =>
    round3(median(these.map((turn, round) => of(turn) / of(turns.bare[round]!))));
  const rows = Object.entries(turns).map(([name, these]) => ({
    proxy: NAMES[name as keyof typeof NAMES],
    "ratio to bare": ofBare(these, rate),
    "exchanges/s": round3(median(these.map(rate))),
    "p50 ms": round3(median(these.map(({ p50 }) => p50))),
    "p90 ms": round3(median(these.map(({ p90 }) => p90))),
    "p99 ms": round3(median(these.map(({ p99 }) => p99))),
    "CPU µs": orDash(round3(median(these.map(cpu)) * 1e6)),
    "CPU to bare": orDash(ofBare(these, cpu)),
  }));
  const samples = [...turns.receipted, ...turns.vaultless].reduce(
    (sum, turn) => sum + turn.samples.length,
    0,
  );
  const what =
    `${CONNECTIONS} connections, ${ROUNDS} rounds of ${TURN_MS} ms each, medians of the rounds; half GET, half POST ` +
    `of 250 bytes, answers of 1 KiB; no failure, ${samples} receipts verified against their exchange; every record is ` +
    "durable before its answer: the Durable Object's SQLite on disk, one fsync for each batch; what is published goes to a " +
    "stand-in for S3 in a process of its own, which keeps it in memory; CPU is workerd's " +
    "processor time per exchange, with what is published of it; it suffers less from other programs";
  return { bench: "proxy", machine: describeMachine(), tables: [{ what, rows }] };
}

/** What is not known, of no proxy or on other systems, is no number. */
function orDash(value: number): number | string {
  return Number.isNaN(value) ? "-" : value;
}
