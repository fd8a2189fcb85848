// How an answer looks: aligned lines for people, or one JSON document for programs; both say the same.
// Whatever came from outside is shown without its control characters: a receipt cannot move a cursor.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { isFinal, type Text } from "../receipt/record.ts";
import type { Trust } from "../receipt/trust.ts";
import type { Verdict } from "../receipt/verify.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import { FAULT_CODES } from "../tlog/fault.ts";
import { formatVerifierKey } from "../tlog/note.ts";
import type { AuditReport, TimestampReport } from "./audit.ts";
import type { PromiseReport } from "./awaited.ts";
import type { Problem } from "./findings.ts";
import type { Holding } from "./holding.ts";
import { type Failure, type Outcome, pickDetail } from "./outcome.ts";
import type { PolicyExplanation, PolicyReading } from "./platform.ts";
import { describeLock, type Stretch } from "./standing.ts";
import type { TrustSource } from "./trust.ts";
import type { LedgerReport } from "./walk.ts";

/** One line: what it is about, and what it says. */
type Row = readonly [label: string, text: string];

export interface Answer {
  readonly outcome: Outcome;
  readonly rows: readonly Row[];
  /** The same, for programs. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** How many exchanges without an ending, and further problems, are listed one by one. */
const LIST_MAX = 10;

const COLOURS = { proven: 32, wrong: 31, undecided: 33 } as const;

/** Escapes of the terminal, and characters that change the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Formats an answer, with a newline at its end. */
export function formatAnswer(
  answer: Answer,
  style: { readonly json: boolean; readonly colour: boolean },
): string {
  if (style.json) return `${JSON.stringify({ outcome: answer.outcome, ...answer.json }, null, 2)}\n`;
  const width = Math.max(...answer.rows.map(([label]) => label.length)) + 2;
  return answer.rows
    .map(([label, text], i) => {
      const padded = label.padEnd(width);
      const first = i === 0 && style.colour ? `\u001b[${COLOURS[answer.outcome]}m${padded}\u001b[0m` : padded;
      return `${first}${text.replace(UNPRINTABLE, escapeCharacter)}\n`;
    })
    .join("");
}

/**
 * @param uncompared the parts of the exchange that were not compared, with the reasons.
 * @param address where the operator gives the receipt out again, and its proof.
 */
export function describeVerdict(
  verdict: Verdict,
  uncompared: readonly string[],
  source: TrustSource,
  address: string,
): Answer {
  const { receipt, rungs, matched, checkpoint, anchor, witnesses, timestamp } = verdict;
  const { header, record } = receipt.entry;
  const { from, origin } = source;
  const tree = checkpoint && { ...checkpoint, root: encodeBase64(checkpoint.root) };
  const rows: Row[] = [
    ["proven", rungs.join(", ")],
    ["exchange", `${describeExchange(verdict)}; id ${record.jti}`],
    ["issuer", record.iss],
    ["ledger", `${header.origin}, index ${header.index}`],
    ["time", `${record.time} by the edge's clock, ${header.at} by the ledger's`],
    ...describeRungs(verdict, uncompared, address),
    ...(isFinal(record.stage)
      ? []
      : [["note", "this receipt says only that the exchange began; its ending has another"] as const]),
    ["trust", describeSource(source)],
  ];
  return {
    outcome: "proven",
    rows,
    json: {
      ...{ rungs, matched, uncompared, header, record },
      ...(tree && { checkpoint: tree }),
      ...(anchor && { anchor }),
      ...(witnesses.length > 0 && { witnesses }),
      ...(timestamp && { timestamp }),
      trust: { from, origin },
    },
  };
}

/** What was compared and proven beyond the signature, and what it takes to prove the rest. */
function describeRungs(verdict: Verdict, uncompared: readonly string[], address: string): Row[] {
  const { matched, checkpoint, anchor, witnesses, timestamp } = verdict;
  const rows: Row[] = [["compared", matched.join(", ") || "nothing of the exchange was given"]];
  if (matched.length > 0 && uncompared.length > 0) rows.push(["not compared", uncompared.join(", ")]);
  if (checkpoint === undefined) {
    rows.push(["not proven", `that it is in the ledger; for the proof: counterfoil proof ${address}`]);
    return rows;
  }
  rows.push(["included", `in the signed tree of ${checkpoint.size} entries`]);
  if (anchor === undefined) rows.push(["not proven", "that an anchor pins it; give one with --anchor"]);
  else rows.push(["anchored", `by anchor ${anchor.epoch} of ${anchor.time}`]);
  if (witnesses.length > 0) rows.push(["witnessed", `by ${witnesses.join(", ")}`]);
  if (timestamp !== undefined) rows.push(["timestamped", `at ${timestamp.time} by ${timestamp.by}`]);
  return rows;
}

export function describeFailure(failure: Failure, where?: string): Answer {
  const { outcome, code, message, meaning, expected, found, index } = failure;
  const rows: Row[] = [[outcome, code === undefined ? message : `${code}: ${message}`]];
  if (where !== undefined && !message.includes(where)) rows.push(["where", where]);
  if (index !== undefined) rows.push(["index", String(index)]);
  if (expected !== undefined) rows.push(["expected", expected]);
  if (found !== undefined) rows.push(["found", found]);
  if (meaning !== undefined) rows.push(["meaning", meaning]);
  return { outcome, rows, json: { ...failure, ...(where !== undefined && { where }) } };
}

/** The file that an auditor keeps from one audit to the next. */
export interface StateFile {
  readonly file: string;
  /** Whether it was not there yet. */
  readonly isFirst: boolean;
}

export function describeAudit(
  report: AuditReport,
  archive: string,
  source: TrustSource,
  state?: StateFile,
): Answer {
  const { anchors, ledgers, promises, problems, problemCount, outcome, unnamedOrigins } = report;
  const newest = anchors.newest && `, the newest is epoch ${anchors.newest.epoch} of ${anchors.newest.time}`;
  const rows: Row[] = [
    ...describeOutcome(report),
    ["archive", archive],
    ["trust", describeSource(source)],
    ...(state === undefined ? [] : [["state", describeState(state, report)] as const]),
    ["anchors", `${anchors.count} hold${newest ?? ""}`],
    ...describeTimestamps(anchors.timestamps),
    ...anchors.locks.map((lock): Row => ["lock", describeLock(lock)]),
    ...describeWitnesses(anchors.stretches),
    ...ledgers.flatMap(describeLedger),
    ...promises.map((promise): Row => ["promise", describePromise(promise)]),
    ...report.holdings.map((holding): Row => ["receipt", describeHolding(holding)]),
    ...unnamedOrigins.map(
      (origin): Row => ["note", `not audited, your trust document does not name it: ${origin}`],
    ),
    ...problems.slice(1, 1 + LIST_MAX).map((problem): Row => ["also", describeProblem(problem)]),
  ];
  if (problemCount > 1 + LIST_MAX) rows.push(["also", `${problemCount - 1 - LIST_MAX} more problems`]);
  return {
    outcome,
    rows,
    json: {
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
      ...(report.holdings.length > 0 && { receipts: report.holdings }),
      ...(state && { state: { ...state, isSaved: report.state !== undefined } }),
      problemCount,
      problems: problems.map(({ fault, ...place }) => ({
        ...place,
        code: fault.code,
        message: fault.message,
        meaning: FAULT_CODES[fault.code],
        ...pickDetail(fault),
      })),
    },
  };
}

/** Nobody should take a first audit for one that went on: a mistyped name would hide what the archive has lost. */
function describeState({ file, isFirst }: StateFile, { state }: AuditReport): string {
  const begun = isFirst
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

export function describeTrust(trust: Trust, source: TrustSource): Answer {
  const ledgers = trust.ledgers.map(({ name, origin, keys }) => ({
    name,
    origin,
    keys: keys.map(formatVerifierKey),
  }));
  const anchorKeys = trust.anchorKeys.map(({ kid }) => kid);
  const receiptKeys = trust.receiptKeys.map(({ kid }) => kid);
  const timestampers = (trust.timestampers ?? []).map(der => bytesToHex(sha256(der)));
  const rows: Row[] = [
    ["fetched", source.from],
    ["issuer", trust.issuer],
    ...ledgers.flatMap(({ name, origin, keys }): Row[] => [
      [`ledger ${name}`, origin],
      ...keys.map((key): Row => ["checkpoints", key]),
    ]),
    ...anchorKeys.map((kid): Row => ["anchors", kid]),
    ...receiptKeys.map((kid): Row => ["receipts", kid]),
    ...timestampers.map((print): Row => ["timestamps", `certificate with the SHA-256 ${print}`]),
    ["note", "this is what the operator says of itself: compare the keys with what you were told elsewhere"],
  ];
  return {
    outcome: "proven",
    rows,
    json: { issuer: trust.issuer, ledgers, anchorKeys, receiptKeys, timestampers, from: source.from },
  };
}

export function describeBadPolicy(message: string, file: string): Answer {
  return {
    outcome: "wrong",
    rows: [
      ["wrong", message],
      ["where", file],
    ],
    json: { message, where: file },
  };
}

export function describePolicy({ hash, routes }: PolicyReading, file: string): Answer {
  const rows: Row[] = [
    ["valid", file],
    ["hash", hash],
    ["routes", routes.join(", ")],
  ];
  return { outcome: "proven", rows, json: { file, hash, routes } };
}

/** A request that would be refused is a wrong outcome: what was asked is whether the policy lets it in. */
export function describeExplanation(
  { hash }: PolicyReading,
  explanation: PolicyExplanation,
  request: string,
): Answer {
  const { passed, route, target, refusal, readings, isOwn } = explanation;
  const rows: Row[] = [
    [refusal ? "refused" : "passes", request],
    ...(isOwn ? [["answer", "by Counterfoil itself: it is below the reserved prefix"] as const] : []),
    ...(refusal ? [["answer", `${refusal.status}: ${refusal.error}`] as const] : []),
    ...(route ? [["route", route.name] as const] : []),
    ...(target === undefined ? [] : [["sent to", target] as const]),
    ...passed.map(({ route, why }): Row => ["not", `${route}: another ${why}`]),
    ...(readings ?? []).map((path): Row => ["read as", path]),
    ...Object.entries(route ?? {})
      .filter(([name]) => name !== "name")
      .map(([name, value]): Row => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ["policy", hash],
  ];
  return { outcome: refusal ? "wrong" : "proven", rows, json: { request, policy: hash, ...explanation } };
}

function describeExchange({ receipt }: Verdict): string {
  const { req, res, stage } = receipt.entry.record;
  if (req === undefined) return stage;
  const host = req.host === undefined ? "" : showText(req.host);
  const status = res === undefined ? "" : `, status ${res.status ?? PRIVATE}`;
  return `${showText(req.method)} ${host}${showText(req.path)}${status}, ${stage}`;
}

/** What is shown for a member that only its disclosure would tell. */
const PRIVATE = "(private)";

function showText(text: Text | undefined): string {
  if (text === undefined) return PRIVATE;
  return typeof text === "string" ? text : `(${text.length} bytes of SHA-256 ${text.sha256})`;
}

function describeSource({ from, origin }: TrustSource): string {
  if (origin === "given") return from;
  if (origin === "folder") return `${from}, from the archive itself; better give your own with --trust`;
  return `${from}, fetched just now from the operator itself; to pin it: counterfoil trust ${from} -o trust.json, then --trust trust.json`;
}

function describeOutcome({ outcome, problems, promises, holdings }: AuditReport): Row[] {
  const first = problems[0];
  if (first === undefined && outcome === "proven") return [["proven", "all that was read holds together"]];
  if (first === undefined) {
    const open = promises.filter(({ state }) => state === "undecided").length;
    const uncovered = holdings.filter(({ coverage }) => coverage !== "anchored").length;
    const rest = [
      ...(open === 0 ? [] : [`not whether ${open} of ${promises.length} promises was kept`]),
      ...(uncovered === 0 ? [] : [`no anchor covers ${uncovered} of your receipts`]),
    ];
    const meaning =
      "The anchors lag, this copy is older than the receipt, or the newest anchors were taken away.";
    return [
      [outcome, `all that was read holds together, but ${rest.join(", and ")}`],
      ...(uncovered === 0 ? [] : [["meaning", meaning] as const]),
    ];
  }
  const { fault } = first;
  const rows: Row[] = [
    [
      outcome,
      outcome === "wrong"
        ? `${fault.code}: ${fault.message}`
        : "nothing here is signed by a key that you trust",
    ],
    ["where", describePlace(first)],
  ];
  if (fault.expected !== undefined) rows.push(["expected", fault.expected]);
  if (fault.found !== undefined) rows.push(["found", fault.found]);
  return [...rows, ["meaning", FAULT_CODES[fault.code]]];
}

function describePlace({ path, ledger, epoch, fault }: Problem): string {
  const parts = [
    path,
    ...(ledger === undefined ? [] : [`ledger ${ledger}`]),
    ...(epoch === undefined ? [] : [`epoch ${epoch}`]),
    ...(fault.index === undefined ? [] : [`index ${fault.index}`]),
  ];
  return parts.join(", ");
}

function describePromise({ jti, step, by, state, index, doubt }: PromiseReport): string {
  const code = doubt?.code === undefined ? "" : ` (${doubt.code})`;
  const why = doubt === undefined ? "" : `${code}: ${doubt.reason}`;
  return `${step} of ${jti}, by ${by}: ${state}${index === undefined ? "" : ` by entry ${index}`}${why}`;
}

function describeProblem(problem: Problem): string {
  const { code, message } = problem.fault;
  return `${code}: ${message}`;
}

function describeLedger(ledger: LedgerReport): Row[] {
  const { name, origin, published, from, recomputed, anchored, entries, pruned, erased, newestAt, open } =
    ledger;
  const label = `ledger ${name}`;
  const read =
    entries === undefined
      ? "entries were not read: only the operator's token opens them (--token FILE)"
      : `${entries} entries read${newestAt === undefined ? "" : `, the newest of ${newestAt}`}`;
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

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
