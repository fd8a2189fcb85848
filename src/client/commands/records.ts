// counterfoil records: searches the records of a pulled copy, and asks nobody.
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { STAGES } from "../../receipt/record.ts";
import { type CommonOptions, collect, examples, parseCount, type Run } from "../command.ts";
import { CopyFolder } from "../copyfolder.ts";
import { readDisclosures } from "../disclosures.ts";
import { readText } from "../input.ts";
import { Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import { type Answer, escapeText, formatJson, showText } from "../print.ts";
import {
  type FoundPage,
  type FoundRecord,
  INDEX_FILE,
  type RecordFilter,
  RecordIndex,
} from "../recordindex.ts";

export function addRecords(program: Command, run: Run): void {
  program
    .command("records")
    .summary("search the records of a pulled copy, offline")
    .description(
      "Lists the records of a copy that pull has made, newest first, and asks nobody. The filters that are given must all fit. How many there are goes to standard error.",
    )
    .argument("<folder>", "the copy")
    .option(
      "--since <time>",
      "not before this time of the edge's clock: RFC 3339, or the beginning of it",
      parseTime,
    )
    .option("--until <time>", "before this time", parseTime)
    .option("--route <name>", "by the route that took it")
    .option("--status <status>", "by status: 404, 5xx, or 400-499", parseStatus)
    .option("--method <method>", "by method")
    .option("--stage <stage>", `by stage: ${STAGES.join(", ")}`, parseStage)
    .option("--jti <id>", "all records of one exchange")
    .option("--path <prefix>", "by what the path begins with")
    .option("--auth <method>", "by how the caller was identified: jwt, key, …")
    .option("--ledger <name|origin>", "those of one ledger")
    .option("--text <text>", "by what stands anywhere in the record, or in a value that was disclosed")
    .option(
      "--disclosed <name=value>",
      "by a private value that was disclosed; may be repeated",
      collectPair,
      [],
    )
    .option(
      "--disclosures <file>",
      "private values that the operator handed over, to be joined first; may be repeated",
      collect,
      [],
    )
    .option("--limit <count>", "how many to list", parseCount(1, 100_000), 50)
    .option("--after <place>", "go on where the page before ended, as it was printed")
    .option("--csv", "as CSV")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil records ./archive --status 5xx --since 2026-11-01",
        "counterfoil records ./archive --path /v1/orders --method POST --csv",
        "counterfoil records ./archive --disclosed sub=alice --json",
      ),
    )
    .action((folder: string, options: RecordsOptions & CommonOptions) =>
      run.answer(options, folder, true, platform => recordsCommand(platform, folder, options)),
    );
}

interface RecordsOptions extends RecordFilter {
  readonly disclosures: readonly string[];
  readonly limit: number;
  readonly after?: string;
  readonly csv?: true;
}

async function recordsCommand(
  platform: Platform,
  folder: string,
  options: RecordsOptions & CommonOptions,
): Promise<Answer> {
  const file = new CopyFolder(platform, folder).pathOf(INDEX_FILE);
  if (!(await platform.hasFile(file))) {
    throw new Undecided("there is no pulled copy with entries here", {
      expected: `${file}, which counterfoil pull makes`,
    });
  }
  const index = new RecordIndex(await platform.openDatabase(file));
  if (index.ledgers.length === 0) {
    throw new Undecided(`${file}: there is nothing in it to search`, {
      expected: "what counterfoil pull has put there: delete it, and pull again with the operator's token",
    });
  }
  for (const given of options.disclosures) {
    const { faults } = index.join(await readDisclosures(await readText(platform, given), given));
    if (faults[0] !== undefined) throw faults[0];
  }
  const page = index.find(options, options.limit, options.after);
  await platform.writeOut(formatPage(page, options));
  const { count, records, next } = page;
  return {
    outcome: "proven",
    rows: [
      ["found", `${count} records${records.length < count ? `, ${records.length} of them listed` : ""}`],
      ...index.ledgers.map(({ origin, indexed }) => ["searched", `${indexed} entries of ${origin}`] as const),
      ...(next === undefined ? [] : [["next page", `--after ${next}`] as const]),
    ],
    json: { count, ...(next !== undefined && { next }), ledgers: index.ledgers },
  };
}

function formatPage(page: FoundPage, { json, csv }: RecordsOptions & CommonOptions): string {
  if (json) return `${formatJson(page, 2)}\n`;
  return csv ? formatCsv(page.records) : formatTable(page.records);
}

const COLUMNS = [
  "time",
  "stage",
  "method",
  "path",
  "status",
  "ms",
  "route",
  "by",
  "ledger",
  "index",
  "id",
  "disclosed",
] as const;

function cellsOf({ origin, index, record, disclosed }: FoundRecord): string[] {
  const { time, stage, req, res, ms, route, auth, jti, private: hidden } = record;
  const opened = (name: string, shown: string | undefined) =>
    shown ??
    (hidden?.includes(name) ? (disclosed[name] === undefined ? "(private)" : String(disclosed[name])) : "");
  return [
    ...[time, stage, opened("req.method", req?.method && showText(req.method))],
    ...[opened("req.path", req?.path && showText(req.path)), opened("res.status", res?.status?.toString())],
    ...[
      ms?.toString() ?? "",
      route ?? record.control?.type ?? "",
      auth?.by ?? "",
      origin,
      String(index),
      jti,
    ],
    Object.entries(disclosed)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(" "),
  ];
}

/** The widest that one column of the table gets, in characters. */
const WIDTH_MAX = 48;

function formatTable(records: readonly FoundRecord[]): string {
  const lines = [[...COLUMNS], ...records.map(cellsOf)].map(cells =>
    cells.map(cell => clip(escapeText(cell))),
  );
  // A column in which nothing stands says nothing.
  const shown = COLUMNS.map((_, i) => i).filter(i => lines.slice(1).some(line => line[i] !== ""));
  const widths = shown.map(i => Math.max(...lines.map(line => line[i]!.length)));
  return lines
    .map(
      line =>
        `${shown
          .map((i, at) => line[i]!.padEnd(widths[at]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .slice(records.length === 0 ? 1 : 0)
    .join("");
}

function clip(text: string): string {
  return text.length <= WIDTH_MAX ? text : `${text.slice(0, WIDTH_MAX - 1)}…`;
}

/** RFC 4180, without control characters: people look at it in terminals too. A cell that a spreadsheet would take for a formula gets an apostrophe before it: callers choose paths. */
function formatCsv(records: readonly FoundRecord[]): string {
  const cell = (raw: string) => {
    const text = escapeText(raw);
    const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
    return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [[...COLUMNS], ...records.map(cellsOf)].map(cells => `${cells.map(cell).join(",")}\r\n`).join("");
}

function parseTime(text: string): string {
  const full = "0000-01-01T00:00:00.000Z";
  const whole = text.endsWith("Z") && !text.includes(".") ? text.replace("Z", ".000Z") : text;
  const padded = whole + full.slice(whole.length);
  if (/^\d{4}/.test(text) && !Number.isNaN(Date.parse(padded)) && padded.length === full.length) return whole;
  throw new InvalidArgumentError("Expected a time like 2026-11-21T05:22:22.453Z, or the beginning of one.");
}

function parseStatus(text: string): readonly [number, number] {
  const [, exact, class_, from, to] = /^(?:([1-5]\d\d)|([1-5])xx|([1-5]\d\d)-([1-5]\d\d))$/.exec(text) ?? [];
  if (exact !== undefined) return [Number(exact), Number(exact)];
  if (class_ !== undefined) return [Number(class_) * 100, Number(class_) * 100 + 99];
  if (from !== undefined) return [Number(from), Number(to)];
  throw new InvalidArgumentError("Expected a status like 404, 5xx, or 400-499.");
}

function parseStage(text: string): string {
  if ((STAGES as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`Expected one of ${STAGES.join(", ")}.`);
}

function collectPair(
  text: string,
  pairs: readonly (readonly [string, string])[],
): (readonly [string, string])[] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected NAME=VALUE.");
  return [...pairs, [text.slice(0, at), text.slice(at + 1)]];
}
