// How an answer looks: aligned lines for people, or one JSON document for programs; both say the same.
// Whatever came from outside is shown without its control characters: a receipt cannot move a cursor.
import { compareTimestamp } from "../receipt/anchor.ts";
import { formatSeconds } from "../receipt/key.ts";
import { isFinal, type Text } from "../receipt/record.ts";
import type { Verdict } from "../receipt/verify.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import { explain } from "./advice.ts";
import type { Problem } from "./findings.ts";
import { describeFailure, type Outcome, pickDetail } from "./outcome.ts";
import { isUrl } from "./remote.ts";
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

/** The same in JSON, where a newline is its own layout, and stands in no text. */
const JSON_UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Formats an answer, with a newline at its end. */
export function formatAnswer(
  answer: Answer,
  style: { readonly json: boolean; readonly colour: boolean },
): string {
  if (style.json) return `${formatJson({ outcome: answer.outcome, ...answer.json }, 2)}\n`;
  const rows = answer.rows.map(row => row.map(escapeText) as [string, string]);
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows
    .map(([label, text], i) => {
      const padded = label.padEnd(width);
      const first = i === 0 && style.colour ? `\u001b[${COLOURS[answer.outcome]}m${padded}\u001b[0m` : padded;
      return `${first}${text}\n`;
    })
    .join("");
}

/** JSON in which no character is one that a terminal would obey; it means the same. */
export function formatJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(JSON_UNPRINTABLE, character =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
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
    ...describeUnvouched(verdict),
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
      ...(verdict.unvouched && { unvouched: verdict.unvouched }),
      trust: { from, origin },
    },
  };
}

/** What a retired key has signed, and nothing that is still good vouches for. */
function describeUnvouched({ unvouched = [] }: Verdict): Row[] {
  if (unvouched.length === 0) return [];
  const says = `${unvouched.join(", ")}: signed by a key that was retired since, and by itself that may be a thief's`;
  const heals =
    unvouched.includes("checkpoint") || unvouched.includes("anchor") ? "a newer one" : "the proof";
  return [["note", `${says}; ${heals} would settle it`]];
}

/** What was compared and proven beyond the signature, and what it takes to prove the rest. */
function describeRungs(verdict: Verdict, uncompared: readonly string[], address: string): Row[] {
  const { matched, checkpoint, anchor, witnesses, timestamp } = verdict;
  const rows: Row[] = [["compared", matched.join(", ") || "nothing of the exchange"]];
  if (matched.length > 0 && uncompared.length > 0) rows.push(["not compared", uncompared.join(", ")]);
  if (checkpoint === undefined) {
    rows.push(["not proven", `that it is in the ledger; for the proof: counterfoil proof ${address}`]);
    return rows;
  }
  rows.push(["included", `in the signed tree of ${checkpoint.size} entries`]);
  if (anchor === undefined) rows.push(["not proven", "that an anchor pins it; give one with --anchor"]);
  else rows.push(["anchored", `by anchor ${anchor.epoch} of ${anchor.time}`]);
  if (witnesses.length > 0) rows.push(["witnessed", `by ${witnesses.join(", ")}`]);
  if (anchor === undefined || timestamp === undefined) return rows;
  rows.push(["timestamped", `at ${timestamp.time} by ${timestamp.by}`]);
  const off = judgeStamp(anchor.epoch, anchor.time, timestamp.time);
  if (off !== undefined) rows.push(["note", off]);
  return rows;
}

/** What it means that a timestamp is far from its anchor's own time; undefined when it is not. */
export function judgeStamp(epoch: number, anchored: string, stamped: string): string | undefined {
  const says = `anchor ${epoch} says ${anchored}, and its timestamp ${stamped}`;
  switch (compareTimestamp(anchored, stamped)) {
    case "later":
      return `${says}: it is proven to have been there at the later time only, and may be dated back`;
    case "earlier":
      return `${says}: it was made before the time that it claims, so its writer's clock is wrong`;
    default:
      return undefined;
  }
}

/** How a command ends that an error has ended. @param where what it was about. */
export function describeError(error: unknown, where?: string): Answer {
  const failure = describeFailure(error);
  const { outcome, code, message, meaning, expected, found, index } = failure;
  const rows: Row[] = [[outcome, code === undefined ? message : `${code}: ${message}`]];
  if (where !== undefined && !message.includes(where)) rows.push(["where", where]);
  if (index !== undefined) rows.push(["index", String(index)]);
  if (expected !== undefined) rows.push(["expected", expected]);
  if (found !== undefined) rows.push(["found", found]);
  if (meaning !== undefined) rows.push(["meaning", meaning]);
  const advice = code === undefined ? undefined : explain(code).advice;
  if (advice !== undefined) rows.push(["what to do", advice]);
  return {
    outcome,
    rows,
    json: { ...failure, ...(advice !== undefined && { advice }), ...(where !== undefined && { where }) },
  };
}

/** How many further problems are listed one by one. */
const PROBLEMS_LISTED = 10;

/** The first of several problems, at length. */
export function describeFirst(outcome: Outcome, problem: Problem): Row[] {
  const { code, message, expected, found } = problem.fault;
  return [
    [outcome, `${code}: ${message}`],
    ["where", describePlace(problem)],
    ...(expected === undefined ? [] : [["expected", expected] as const]),
    ...(found === undefined ? [] : [["found", found] as const]),
    ["meaning", explain(code).meaning],
    ["what to do", explain(code).advice],
  ];
}

/** The others, each in a line. @param count how many there are in all, kept or not. */
export function describeOthers(problems: readonly Problem[], count: number): Row[] {
  const rest = count - 1 - PROBLEMS_LISTED;
  return [
    ...problems
      .slice(1, 1 + PROBLEMS_LISTED)
      .map(({ fault }): Row => ["also", `${fault.code}: ${fault.message}`]),
    ...(rest > 0 ? [["also", `${rest} more problems`] as const] : []),
  ];
}

/** Problems for programs. */
export function listProblems(problems: readonly Problem[]): Readonly<Record<string, unknown>>[] {
  return problems.map(({ fault, ...place }) => ({
    ...place,
    code: fault.code,
    message: fault.message,
    ...explain(fault.code),
    ...pickDetail(fault),
  }));
}

export function describePlace({ path, ledger, epoch, fault }: Problem): string {
  const parts = [
    path,
    ...(ledger === undefined ? [] : [`ledger ${ledger}`]),
    ...(epoch === undefined ? [] : [`epoch ${epoch}`]),
    ...(fault.index === undefined ? [] : [`index ${fault.index}`]),
  ];
  return parts.join(", ");
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

export function showText(text: Text | undefined): string {
  if (text === undefined) return PRIVATE;
  return typeof text === "string" ? text : `(${text.length} bytes of SHA-256 ${text.sha256})`;
}

export function describeSource({ from, origin }: TrustSource): string {
  const pin = `to pin it: counterfoil trust ${from} -o trust.json, then --trust trust.json`;
  if (origin === "given") return isUrl(from) ? `${from}, fetched just now; ${pin}` : from;
  if (origin === "folder") return `${from}, from the archive itself; better give your own with --trust`;
  return `${from}, fetched just now from the operator itself; ${pin}`;
}

/** A text without its control characters, in their place what they are. */
export function escapeText(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** When a key was retired, where it was. */
export function describeEnd(exp: number | undefined): string {
  return exp === undefined ? "" : `, retired: good for what it signed until ${formatSeconds(exp)}`;
}
