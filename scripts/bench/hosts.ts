// The edge on each runtime, beside a bare pass-through on the same runtime and beside nginx as many use it: a reverse
// proxy with a log. They take turns under the same load in one run, so that an operator can compare what a receipt
// costs where, and what the same machine does without any.
import { RUNTIMES } from "../runtimes.ts";
import { describeMachine, type Findings, type Table } from "./measure.ts";
import * as embedded from "./proxy/embedded.ts";
import { type Ground, onGround, type Started } from "./proxy/ground.ts";
import * as nginx from "./proxy/nginx.ts";
import {
  countSamples,
  cpuOf,
  describeTurns,
  LOAD,
  type Measured,
  rateOf,
  ratioOf,
  type Subject,
  takeTurns,
} from "./proxy/turns.ts";
import * as workerd from "./proxy/workerd.ts";

/** What proxies run on, and those of them that are compared. */
interface Platform {
  readonly name: string;
  /** Undefined where this machine does not have it. */
  readonly version: string | undefined;
  readonly proxies: readonly Proxied[];
}

interface Proxied {
  readonly kind: "bare" | "receipted" | "logging";
  start(ground: Ground): Promise<Started>;
}

/** What is on disk before the client has its answer. */
const DURABLE = { bare: "nothing", receipted: "its record", logging: "nothing" };

export async function run(): Promise<Findings> {
  const platforms = findPlatforms();
  return onGround(async ground => {
    const subjects: Record<string, Subject> = { [NONE]: { url: ground.upstream } };
    for (const platform of platforms.filter(isHere)) {
      for (const proxy of platform.proxies) {
        subjects[keyOf(platform, proxy)] = ground.keep(await proxy.start(ground));
      }
    }
    return describe(platforms, await takeTurns(ground.load, subjects));
  });
}

function findPlatforms(): readonly Platform[] {
  return [
    {
      name: "workerd",
      version: workerd.findVersion(),
      proxies: [
        { kind: "bare", start: workerd.startBare },
        { kind: "receipted", start: ground => workerd.startReceipted(ground) },
      ],
    },
    ...RUNTIMES.map(name => ({
      name,
      version: embedded.findVersion(name),
      proxies: [
        { kind: "bare", start: (ground: Ground) => embedded.startBare(name, ground) },
        { kind: "receipted", start: (ground: Ground) => embedded.startReceipted(name, ground) },
      ] as const,
    })),
    { name: NGINX, version: nginx.findVersion(), proxies: [{ kind: "logging", start: nginx.startProxy }] },
  ];
}

const NGINX = "nginx";

/** No proxy: what the load generator and the upstream can do. */
const NONE = "none";

function isHere({ version }: Platform): boolean {
  return version !== undefined;
}

function keyOf({ name }: Platform, { kind }: Pick<Proxied, "kind">): string {
  return `${name} ${kind}`;
}

type Turns = Readonly<Record<string, readonly Measured[]>>;

function describe(platforms: readonly Platform[], turns: Turns): Findings {
  const rows = platforms.flatMap(platform => {
    if (!isHere(platform)) return [{ on: platform.name, proxy: "missing here" }];
    return platform.proxies.map(({ kind }) => ({
      on: `${platform.name} ${platform.version}`,
      proxy: kind,
      "on disk first": DURABLE[kind],
      ...describeSubject(turns, keyOf(platform, { kind }), keyOf(platform, { kind: "bare" })),
    }));
  });
  const direct = { on: "-", proxy: NONE, "on disk first": "-", ...describeSubject(turns, NONE, "") };
  const receipted = platforms.map(platform => turns[keyOf(platform, { kind: "receipted" })] ?? []);
  const what =
    `${LOAD}, ${countSamples(receipted)} receipts verified against their exchange. A record is durable before its answer, ` +
    "with one fsync for each batch: on workerd in the Durable Object's SQLite, on node, deno and bun in the state folder of " +
    "counterfoil serve (SQLite, WAL, synchronous=FULL). What is published goes to a stand-in for S3 that keeps it in memory " +
    "(workerd), or to files of the state folder, each with an fsync. nginx is a reverse proxy with access_log, a line of " +
    "JSON for each exchange, and keeps nothing durable: it waits for no disk, and what it wrote last is lost with the " +
    "machine's power. CPU is the processor time of the proxy's process per exchange, with what is published of it; where " +
    "exchanges/s come near to those without a proxy, the load generator is the limit, and CPU tells more";
  return {
    bench: "hosts",
    machine: describeMachine(),
    tables: [{ what, rows: complete([...rows, direct]) }],
  };
}

/** @param bare the pass-through to compare with, on the same runtime. */
function describeSubject(turns: Turns, key: string, bare: string) {
  const ratio = (of: (turn: Measured) => number, other: string) =>
    turns[other] === undefined ? "-" : ratioOf(of, turns[key]!, turns[other]);
  const logging = `${NGINX} logging`;
  return {
    "ratio to bare": ratio(rateOf, bare),
    "ratio to nginx": ratio(rateOf, logging),
    ...describeTurns(turns[key]!),
    "CPU to bare": ratio(cpuOf, bare),
    "CPU to nginx": ratio(cpuOf, logging),
  };
}

/** Rows that all have the columns of the last. */
function complete(rows: readonly Readonly<Record<string, string | number>>[]): Table["rows"] {
  const empty = Object.fromEntries(Object.keys(rows.at(-1)!).map(column => [column, "-"]));
  return rows.map(row => ({ ...empty, ...row }));
}
