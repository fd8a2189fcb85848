// How the report of an audit reads: in lines, and as JSON.
import type { TimestampReport } from "./anchors.ts";
import type { AuditReport } from "./audit.ts";
import type { RunAudit, StateFile } from "./auditing.ts";
import type { PromiseReport } from "./awaited.ts";
import type { Holding } from "./holding.ts";
import type { LedgerReport } from "./ledgerreport.ts";
import {
  type Answer,
  describeFirst,
  describeOthers,
  describeSource,
  judgeStamp,
  listProblems,
  type Row,
} from "./print.ts";
import { describeLock, type Stretch } from "./standing.ts";

/** How many exchanges without an ending are listed one by one. */
const LIST_MAX = 10;

export function describeAudit(run: RunAudit): Answer {
  const { report, address: archive, source, state } = run;
  const { anchors } = report;
  const newest = anchors.newest && `, the newest is epoch ${anchors.newest.epoch} of ${anchors.newest.time}`;
  const rows: Row[] = [
    ...describeOutcome(report),
    ["archive", archive],
    ["trust", describeSource(source)],
    ...(state === undefined ? [] : [["state", describeState(state, report)] as const]),
    ["anchors", `${anchors.count} hold${newest ?? ""}`],
    ...describeTimestamps(anchors.timestamps),
    ...judgeStamps(anchors.stamps).map((text): Row => ["note", text]),
    ...anchors.locks.map((lock): Row => ["lock", describeLock(lock)]),
    ...describeWitnesses(anchors.stretches),
    ...report.ledgers.flatMap(describeLedger),
    ...report.promises.map((promise): Row => ["promise", describePromise(promise)]),
    ...report.holdings.map((holding): Row => ["receipt", describeHolding(holding)]),
    ...report.unnamedOrigins.map(
      (origin): Row => ["note", `not audited, your trust document does not name it: ${origin}`],
    ),
    ...describeOthers(report.problems, report.problemCount),
  ];
  return { outcome: report.outcome, rows, json: formatAudit(run) };
}

function formatAudit({ report, address: archive, source, state, inputs }: RunAudit): Answer["json"] {
  const { anchors, ledgers, promises, unnamedOrigins, unvouched, holdings, problems, problemCount } = report;
  return {
    archive,
    trust: { from: source.from, origin: source.origin },
    anchors,
    ledgers: ledgers.map(({ open, ...ledger }) => ({
      ...ledger,
      open: open.length,
      openFirst: open.slice(0, LIST_MAX),
    })),
    promises,
    unnamedOrigins,
    ...(unvouched.length > 0 && { unvouched }),
    ...(holdings.length > 0 && { receipts: holdings }),
    inputs,
    ...(state && {
      state: {
        file: state.file,
        isFirst: state.isFirst,
        isResumed: state.isResumed,
        isSaved: report.state !== undefined,
      },
    }),
    problemCount,
    problems: listProblems(problems),
  };
}

/** Nobody should take a first audit for one that went on: a mistyped name would hide what the archive has lost. */
function describeState({ file, isFirst, isResumed }: StateFile, { state }: AuditReport): string {
  const begun = isResumed
    ? `went on with an audit that was interrupted, from ${file}.progress`
    : isFirst
      ? `${file} was not there, so nothing was held against an earlier audit`
      : `went on from ${file}`;
  return `${begun}; ${state === undefined ? "it stays as it was" : "what was proven now is kept there"}`;
}

function describeHolding({ origin, index, at, coverage }: Holding): string {
  const standing = {
    anchored: "under an anchor",
    published: "published, and under no anchor yet",
    unpublished: "not published yet",
  }[coverage];
  return `index ${index} of ${origin}, taken at ${at}: ${standing}`;
}

/** Who has cosigned, where the trust document asks for anybody. */
function describeWitnesses(stretches: readonly Stretch[]): Row[] {
  const newest = stretches.at(-1);
  if (newest?.quorum === undefined) return [];
  const names = newest.witnesses.join(", ") || "nobody";
  return [["witnesses", `${names}, since epoch ${newest.first}`]];
}

function describeTimestamps(timestamps: TimestampReport | undefined): Row[] {
  if (timestamps === undefined) return [];
  const { count, unknown, newest } = timestamps;
  const last = newest && `, the newest of ${newest.time} by ${newest.by}, on epoch ${newest.epoch}`;
  const others = unknown > 0 ? `; ${unknown} by authorities that your trust document does not name` : "";
  return [["timestamps", `${count} hold${last ?? ""}${others}`]];
}

/** What it means of each timestamp that is far from its anchor's own time. */
export function judgeStamps(stamps: AuditReport["anchors"]["stamps"]): string[] {
  return stamps.flatMap(({ index, time, at }) => judgeStamp(index, time, at) ?? []);
}

/** What is left open when no key that is trusted has signed something, and nothing else is wrong. */
function describeUnknown({ anchors, ledgers, problems }: AuditReport): string {
  const isKnown = anchors.count > 0 || ledgers.some(({ recomputed }) => recomputed > 0);
  const isOther = problems.every(({ fault }) => ["unknown-key", "wrong-origin"].includes(fault.code));
  if (!isKnown && isOther) return "nothing here is signed by a key that you trust";
  if (!isKnown) return `there is no archive here: ${problems[0]!.fault.code}: ${problems[0]!.fault.message}`;
  return `${problems[0]!.fault.message}; the rest holds together. Keys were replaced since your trust document, or somebody else has signed: get a newer document`;
}

export function describeOutcome(report: AuditReport): Row[] {
  const { outcome, problems, promises, holdings, unvouched, ledgers, unnamedOrigins } = report;
  const first = problems[0];
  if (first === undefined && outcome === "proven") return [["proven", "all that was read holds together"]];
  if (first === undefined) {
    const open = promises.filter(({ state }) => state === "undecided").length;
    const uncovered = holdings.filter(({ coverage }) => coverage !== "anchored").length;
    const rest = [
      ...unvouched.map(({ path, what }) => `${path}: ${what} is signed by a retired key and nothing else`),
      ...(open === 0 ? [] : [`not whether ${open} of ${promises.length} promises was kept`]),
      ...(uncovered === 0 ? [] : [`no anchor covers ${uncovered} of your receipts`]),
      ...(unnamedOrigins.length === 0 || ledgers.some(({ published }) => published !== undefined)
        ? []
        : ["none of the ledgers that it anchors is one that your trust document names"]),
    ];
    const meaningRetired =
      "Whoever holds a retired key can still sign, and date it back. A later anchor or checkpoint, by a key in force, would settle it: the keys were just replaced, this copy is older, or what was later was taken away.";
    const meaning =
      "The anchors lag, this copy is older than the receipt, or the newest anchors were taken away.";
    return [
      [outcome, `all that was read holds together, but ${rest.join(", and ")}`],
      ...(unvouched.length === 0 ? [] : [["meaning", meaningRetired] as const]),
      ...(uncovered === 0 ? [] : [["meaning", meaning] as const]),
    ];
  }
  const [, ...rest] = describeFirst(outcome, first);
  if (outcome === "wrong") return describeFirst(outcome, first);
  return [[outcome, describeUnknown(report)], ...rest];
}

function describePromise({ jti, step, by, state, index, doubt }: PromiseReport): string {
  const code = doubt?.code === undefined ? "" : ` (${doubt.code})`;
  const why = doubt === undefined ? "" : `${code}: ${doubt.reason}`;
  return `${step} of ${jti}, by ${by}: ${state}${index === undefined ? "" : ` by entry ${index}`}${why}`;
}

function describeLedger(ledger: LedgerReport): Row[] {
  const { name, origin, published, from, recomputed, anchored, entries, pruned, erased, newestAt, open } =
    ledger;
  const label = `ledger ${name}`;
  const read =
    entries === undefined
      ? "entries were not read: only the operator's token opens them (--token FILE)"
      : `${entries} entries read${newestAt ? `, the newest of ${newestAt}` : ""}`;
  const loose = recomputed > anchored ? `; under no anchor yet: from index ${anchored} on` : "";
  return [
    [label, origin],
    [
      label,
      `${published ?? "no"} entries published, ${recomputed} recomputed to a signed root, ${anchored} under an anchor${loose}`,
    ],
    ...(from === 0
      ? []
      : [[label, `read from index ${from} on; what is before was verified earlier`] as const]),
    [label, read],
    ...(pruned === 0
      ? []
      : [["pruned", `entries 0 to ${pruned - 1} of ${name}: their retention has ended`] as const]),
    ...(erased === 0 ? [] : [["erased", `private values of ${erased} exchanges in ${name}`] as const]),
    ...(open.length === 0 ? [] : [["note", describeOpen(open.length, name)] as const]),
    ...open
      .slice(0, LIST_MAX)
      .map(
        (exchange): Row => [
          "no ending",
          `index ${exchange.index}, ${exchange.stage} at ${exchange.at}, id ${exchange.jti}`,
        ],
      ),
  ];
}

function describeOpen(count: number, ledger: string): string {
  return `${count} exchanges in ledger ${ledger} have no ending on record: under way still, or broken off`;
}
