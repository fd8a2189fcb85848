// How an answer looks: aligned lines for people, or one JSON document for programs; both say the same.
// Whatever came from outside is shown without its control characters: a receipt cannot move a cursor.
import { isFinal, type Text } from "../receipt/record.ts";
import type { Verdict } from "../receipt/verify.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import type { Failure, Outcome } from "./outcome.ts";
import type { TrustSource } from "./trust.ts";

/** One line: what it is about, and what it says. */
export type Row = readonly [label: string, text: string];

export interface Answer {
  readonly outcome: Outcome;
  readonly rows: readonly Row[];
  /** The same, for programs. */
  readonly json: Readonly<Record<string, unknown>>;
}

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

export function describeSource({ from, origin }: TrustSource): string {
  if (origin === "given") return from;
  if (origin === "folder") return `${from}, from the archive itself; better give your own with --trust`;
  return `${from}, fetched just now from the operator itself; to pin it: counterfoil trust ${from} -o trust.json, then --trust trust.json`;
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
