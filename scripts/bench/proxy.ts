// What a receipt costs: throughput and latency of the whole proxy (held body, digests, private fields, durable
// record, signature) against a bare pass-through and against receipts as naive code makes them, all in plain workerd with
// the same flags, and against no proxy at all, which says how much the load generator and the upstream could do. They
// take turns under the same load.
// Each is a process of its own, and workerd runs all of a worker on one thread: on a machine with few cores the
// others share what is left, so the processor time of workerd is counted too, where the system tells it.
import { describeMachine, type Findings } from "./measure.ts";
import { onGround } from "./proxy/ground.ts";
import {
  countSamples,
  cpuOf,
  describeTurns,
  LOAD,
  type Measured,
  rateOf,
  ratioOf,
  takeTurns,
} from "./proxy/turns.ts";
import { startBare, startNaive, startReceipted } from "./proxy/workerd.ts";

export function run(): Promise<Findings> {
  return onGround(async ground => {
    const bare = ground.keep(await startBare(ground));
    const naive = ground.keep(await startNaive(ground));
    const receipted = ground.keep(await startReceipted(ground));
    const direct = { url: ground.upstream };
    return describe(await takeTurns(ground.load, { bare, naive, receipted, direct }));
  });
}

/** How the subjects are called in the table. */
const NAMES = {
  bare: "bare",
  naive: "naive",
  receipted: "receipted",
  direct: "none",
};

function describe(turns: Record<keyof typeof NAMES, Measured[]>): Findings {
  const rows = Object.entries(turns).map(([name, these]) => ({
    proxy: NAMES[name as keyof typeof NAMES],
    "ratio to bare": ratioOf(rateOf, these, turns.bare),
    ...describeTurns(these),
    "CPU to bare": ratioOf(cpuOf, these, turns.bare),
  }));
  const what =
    `${LOAD}, ${countSamples([turns.receipted])} receipts verified against their exchange; every record is ` +
    "durable before its answer: the Durable Object's SQLite on disk, one fsync for each batch; what is published goes to a " +
    "stand-in for S3 in a process of its own, which keeps it in memory; CPU is workerd's " +
    "processor time per exchange, with what is published of it; it suffers less from other programs";
  return { bench: "proxy", machine: describeMachine(), tables: [{ what, rows }] };
}
