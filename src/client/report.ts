// The report of an audit as one page that an auditor can hand in. It loads nothing, runs nothing, and holds nothing
// that was not escaped: what is in an archive was written by others.
import { sha256 } from "@noble/hashes/sha2.js";
import { encodeBase64 } from "../tlog/base64.ts";
import { formatVerifierKey } from "../tlog/note.ts";
import { explain } from "./advice.ts";
import type { RunAudit } from "./auditing.ts";
import { describeOutcome, judgeStamps } from "./auditprint.ts";
import type { ClockDifference } from "./clocks.ts";
import { html, Markup } from "./html.ts";
import type { LedgerReport } from "./ledgerreport.ts";
import { pickDetail } from "./outcome.ts";
import { describeEnd, describePlace, describeSource } from "./print.ts";
import { formatCount } from "./progress.ts";
import { STYLE } from "./reportstyle.ts";
import { describeLock } from "./standing.ts";
import { drawTimeline } from "./timelinedraw.ts";

export interface ReportContext {
  /** The version of the program. */
  readonly version: string;
  /** When the report was made, by the auditor's clock. */
  readonly made: string;
  /** The command line that does the same again. */
  readonly command: string;
}

/** How many of a list are on the page; the JSON has more. */
const LIST_MAX = 200;

const VERDICTS = {
  proven: "Proven: all that was read holds together",
  wrong: "Something is wrong",
  undecided: "Undecided: nothing is wrong with what was read, but a question stays open",
} as const;

/** The page. */
export function formatReport(run: RunAudit, context: ReportContext): string {
  const { report, address, source } = run;
  const { outcome } = report;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-${hashOf(STYLE)}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Audit of ${source.trust.issuer}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<p class="brand">Counterfoil audit report</p>
<h1>${source.trust.issuer}</h1>
<p class="verdict ${outcome}"><strong>${VERDICTS[outcome]}</strong></p>
<p class="made">The archive: <code>${address}</code></p>
<p class="made">Made ${context.made} by the auditor's clock, with counterfoil ${context.version}</p>
</header>
<main>
${summarise(run)}
${listProblems(run)}
${section("Anchors", describeAnchors(run))}
${report.ledgers.map(describeLedger)}
${describeHeld(run)}
${section("Whom this audit believed", describeTrust(run))}
${section("How to repeat it", describeRepeat(run, context))}
</main>
<footer>An audit proves that the published bytes are what the keys above have signed, in one order, with nothing changed,
removed or put in between. It does not prove that what was recorded is what happened, nor that everything was
recorded: for that, hold receipts against the archive.${source.origin === "given" ? "" : " The keys were not given by the auditor, but by the archive or its operator."}</footer>
</body>
</html>
`;
  return page.text;
}

/** What holds, and how far. */
function summarise({ report }: RunAudit): Markup {
  const { anchors, ledgers } = report;
  const last = anchors.stretches.at(-1);
  const sum = (count: (ledger: LedgerReport) => number) =>
    ledgers.reduce((total, one) => total + count(one), 0);
  const read = ledgers.every(({ entries }) => entries === undefined)
    ? "not read: only the operator's token opens them"
    : `${formatCount(sum(({ entries }) => entries ?? 0))} read${report.problemCount === 0 ? "; each stands where it says and names the one before it" : ", but see the problems"}`;
  const { timestamps } = anchors;
  return section(
    "What holds",
    table(
      ["rung", "how far it holds"],
      [
        [
          "signed",
          `${formatCount(sum(({ published }) => published ?? 0))} entries under published checkpoints with good signatures`,
        ],
        [
          "included",
          `${formatCount(sum(({ recomputed }) => recomputed))} entries recomputed to a signed root`,
        ],
        ["entries", read],
        [
          "anchored",
          `${formatCount(sum(({ anchored }) => anchored))} entries under ${formatCount(anchors.count)} ${anchors.count === 1 ? "anchor" : "anchors"}${anchors.stretches.every(({ chained }) => chained) ? ", each of which names the one before it" : "; their chain is broken"}`,
        ],
        [
          "witnessed",
          last?.quorum === undefined
            ? "no policy asks for witnesses"
            : last.quorum
              ? `the newest anchor, by ${last.witnesses.join(", ")}`
              : "the newest anchor lacks the quorum",
        ],
        [
          "timestamped",
          timestamps === undefined
            ? "no anchor has a timestamp"
            : `${formatCount(timestamps.count)} anchors, by trusted authorities; ${formatCount(timestamps.unknown)} by others`,
        ],
      ],
    ),
  );
}

function listProblems({ report }: RunAudit): Markup {
  const { problems, problemCount, outcome } = report;
  if (problems.length === 0) {
    const rows = describeOutcome(report).map(([label, text]) => [label, text]);
    return outcome === "proven" ? html`` : section("What stays open", table(["", ""], rows));
  }
  const items = problems.slice(0, LIST_MAX).map(problem => {
    const { fault } = problem;
    const { expected, found } = pickDetail(fault);
    return html`<li><p><code>${fault.code}</code> ${fault.message}</p>
<p class="where">${describePlace(problem)}</p>
${expected === undefined ? html`` : html`<p>expected <code>${expected}</code></p>`}
${found === undefined ? html`` : html`<p>found <code>${found}</code></p>`}
<p class="meaning">${explain(fault.code).meaning}</p>
<p>${explain(fault.code).advice}</p></li>`;
  });
  const rest = problemCount - items.length;
  return section(
    `Problems (${problemCount})`,
    html`<ol class="problems">${items}</ol>${rest > 0 ? html`<p>${formatCount(rest)} more are not listed.</p>` : html``}`,
  );
}

function describeAnchors({ report: { anchors } }: RunAudit): Markup {
  const { newest, points, pauses, stretches, locks, stamps, count } = anchors;
  if (newest === undefined) return html`<p>There are none that hold.</p>`;
  return html`<p>${formatCount(count)} hold; the newest is epoch ${newest.epoch} of ${newest.time}.</p>
${drawTimeline(points)}
<h3>Longest times between two anchors</h3>
${table(
  ["after", "before", "time"],
  pauses.map(({ from, to, ms }) => [
    `epoch ${from.epoch}, ${from.time}`,
    `epoch ${to.epoch}, ${to.time}`,
    formatMs(ms),
  ]),
)}
<h3>Locks, as the newest anchor tells</h3>
<ul>${locks.map(lock => html`<li>${describeLock(lock)}</li>`)}</ul>
<h3>What anchors have to show</h3>
${table(
  ["epochs", "chained", "locks", "witnesses", "timestamped by"],
  stretches
    .slice(-LIST_MAX)
    .map(({ first, last, chained, locks, witnesses, timestamped }) => [
      first === last ? `${first}` : `${first} to ${last}`,
      chained ? "yes" : "no",
      locks.join("; "),
      witnesses.join(", ") || "nobody",
      timestamped ?? "nobody",
    ]),
)}
${judgeStamps(stamps).map(text => html`<p>${text}.</p>`)}
${stamps.length === 0 ? html`` : html`<h3>Timestamps furthest from their anchor's own time</h3>${differences(stamps, "epoch", "anchor", "authority")}`}`;
}

function describeLedger(ledger: LedgerReport): Markup {
  const { name, open, control, clocks } = ledger;
  return section(
    `Ledger ${name}`,
    html`${describeCounts(ledger)}
<h3>Exchanges without an ending (${formatCount(open.length)})</h3>
<p class="note">Under way still, or broken off: evidence, but no contradiction.</p>
${table(
  ["index", "stage", "at", "exchange"],
  open.slice(0, LIST_MAX).map(({ index, stage, at, jti }) => [`${index}`, stage, at, jti]),
)}
<h3>Clocks: the largest differences</h3>
<p class="note">A record's time is the edge's clock; the ledger's is when it took the entry. Between them lie the exchange, the way, and two clocks.</p>
${differences(clocks, "index", "edge", "ledger")}
<h3>Control records (${formatCount(control.count)})</h3>
<p class="note">What the ledger tells of its own history.</p>
${table(
  ["index", "at", "type", "says"],
  control.list
    .slice(-LIST_MAX)
    .map(({ index, at, control }) => [`${index}`, at, control.type, JSON.stringify(control)]),
)}`,
  );
}

/** How far each kind of check has come in a ledger. */
function describeCounts(ledger: LedgerReport): Markup {
  const { origin, published, from, recomputed, anchored, entries, pruned, erased, newestAt } = ledger;
  return table(
    ["", ""],
    [
      ["origin", origin],
      [
        "published",
        published === undefined ? "nothing that can be believed" : `${formatCount(published)} entries`,
      ],
      ["recomputed to a signed root", formatCount(recomputed)],
      [
        "under an anchor",
        `${formatCount(anchored)}${recomputed > anchored ? `; under none yet: from index ${anchored} on` : ""}`,
      ],
      [
        "read in this audit",
        entries === undefined
          ? "no entries"
          : `${formatCount(entries)} entries${from > 0 ? `, from index ${from} on; those before were verified earlier` : ""}`,
      ],
      ["newest entry", newestAt || "none was read"],
      [
        "retention has ended",
        pruned === 0 ? "of none" : `entries 0 to ${pruned - 1}, as the ledger itself tells`,
      ],
      ["private values erased", `of ${formatCount(erased)} exchanges, as the ledger itself tells`],
    ],
  );
}

function differences(list: readonly ClockDifference[], what: string, one: string, other: string): Markup {
  return table(
    [what, `by the ${one}`, `by the ${other}`, "difference"],
    list.map(({ index, time, at, ms }) => [`${index}`, time, at, formatMs(ms)]),
  );
}

/** What the auditor held against the archive. */
function describeHeld({ report: { promises, holdings, unnamedOrigins } }: RunAudit): Markup {
  const rows = [
    ...holdings.map(({ origin, index, at, coverage }) => [
      "receipt",
      `index ${index} of ${origin}, taken at ${at}`,
      coverage,
    ]),
    ...promises.map(({ step, jti, by, state }) => ["promise", `${step} of ${jti}, by ${by}`, state]),
    ...unnamedOrigins.map(origin => ["ledger", origin, "not audited: the trust document does not name it"]),
  ];
  return rows.length === 0 ? html`` : section("Held against the archive", table(["", "", ""], rows));
}

function describeTrust({ source }: RunAudit): Markup {
  const { trust } = source;
  const rows = [
    ["source", describeSource(source)],
    ["issuer", trust.issuer],
    ...trust.ledgers.flatMap(({ name, keys, retired = [] }) =>
      [...keys.map(key => ({ key, exp: undefined })), ...retired].map(({ key, exp }) => [
        `checkpoints of ${name}`,
        `${formatVerifierKey(key)}${describeEnd(exp)}`,
      ]),
    ),
    ...trust.anchorKeys.map(({ kid, exp }) => ["anchors", `${kid}${describeEnd(exp)}`]),
    ...trust.receiptKeys.map(({ kid, exp }) => ["receipts", `${kid}${describeEnd(exp)}`]),
    ...(trust.timestampers ?? []).map(der => [
      "timestamps",
      `certificate of SHA-256 ${encodeBase64(sha256(der))}`,
    ]),
    ...(trust.policy === undefined ? [] : [["witness policy", trust.policy]]),
  ];
  return table(["for", "key"], rows);
}

function describeRepeat({ inputs }: RunAudit, { command, version }: ReportContext): Markup {
  return html`<pre>${command}</pre>
<p>With counterfoil ${version}, and these inputs:</p>
${table(
  ["input", "file", "SHA-256"],
  inputs.map(({ what, file, sha256 }) => [what, file, sha256]),
)}
<p class="note">An archive grows: a later audit reads more, and must find all of this again.</p>`;
}

function section(title: string, body: Markup): Markup {
  return html`<section><h2>${title}</h2>${body}</section>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): Markup {
  if (rows.length === 0) return html`<p class="none">none</p>`;
  const cells = (row: readonly string[]) => row.map(cell => html`<td>${cell}</td>`);
  const heads = head.some(name => name !== "")
    ? html`<thead><tr>${head.map(name => html`<th>${name}</th>`)}</tr></thead>`
    : html``;
  return html`<div class="wide"><table>${heads}<tbody>${rows.map(row => html`<tr>${cells(row)}</tr>`)}</tbody></table></div>`;
}

function hashOf(text: string): string {
  return encodeBase64(sha256(new TextEncoder().encode(text)));
}

/** A length of time with its sign. */
function formatMs(ms: number): string {
  const [sign, size] = [ms < 0 ? "−" : "", Math.abs(ms)];
  if (size < 1000) return `${sign}${size} ms`;
  if (size < 120_000) return `${sign}${(size / 1000).toFixed(1)} s`;
  if (size < 7_200_000) return `${sign}${Math.round(size / 60_000)} min`;
  return size < 172_800_000
    ? `${sign}${(size / 3_600_000).toFixed(1)} h`
    : `${sign}${(size / 86_400_000).toFixed(1)} days`;
}
