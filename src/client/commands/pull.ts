// counterfoil pull: copies an archive into a folder, and its records into a local database.
import type { Command } from "commander";
import type { FaultCode } from "../../tlog/fault.ts";
import { type CommonOptions, collect, examples, parseCount, type Run } from "../command.ts";
import { CopyFolder } from "../copyfolder.ts";
import { readDisclosures } from "../disclosures.ts";
import { openArchive, readText } from "../input.ts";
import { describeFailure, type Outcome, Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import {
  type Answer,
  describeFirst,
  describeOthers,
  describeSource,
  listProblems,
  type Row,
} from "../print.ts";
import { Progress } from "../progress.ts";
import { type PullReport, pull } from "../pull.ts";
import { INDEX_FILE, type Joined, RecordIndex } from "../recordindex.ts";
import { fetchTrust, openTrust, readTrust, type TrustSource } from "../trust.ts";

/** How many exchanges whose disclosures fit nowhere are named. */
const NAMED_MAX = 10;

export function addPull(program: Command, run: Run): void {
  program
    .command("pull")
    .summary("copy an archive into a folder, to audit and search it offline")
    .description(
      "Copies anchors, checkpoints, tiles and (with the operator's token) entries into a folder that audit takes, verifying each object before it is kept, and fills a local database for the command records. Run it again to bring the copy up to date, or after it was interrupted: nothing is fetched twice.",
    )
    .argument("<url>", "the API, or its reserved prefix")
    .argument("<folder>", "where the copy is, or is to be")
    .option(
      "--trust <file|url>",
      "whom to believe: a trust document that you kept (default: the copy's own; at first, the operator's)",
    )
    .option(
      "--token <file>",
      "file with the operator's token, which opens the entries (default: $COUNTERFOIL_TOKEN)",
    )
    .option("--parallel <count>", "how many objects to fetch at once", parseCount(1, 64), 8)
    .option(
      "--disclosures <file>",
      "private values that the operator handed over, to be verified and searched; may be repeated",
      collect,
      [],
    )
    .option("--json", "the report as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil pull https://api.example.com ./archive --trust trust.json --token token.txt",
        "counterfoil audit ./archive --trust trust.json",
        "counterfoil records ./archive --status 5xx --since 2026-11-01",
      ),
    )
    .action((url: string, folder: string, options: PullCommandOptions & CommonOptions) =>
      run.answer(options, url, false, platform => pullCommand(platform, url, folder, options)),
    );
}

interface PullCommandOptions {
  readonly trust?: string;
  readonly token?: string;
  readonly parallel: number;
  readonly disclosures: readonly string[];
}

async function pullCommand(
  platform: Platform,
  url: string,
  folder: string,
  options: PullCommandOptions,
): Promise<Answer> {
  const copy = new CopyFolder(platform, folder);
  const given = await Promise.all(
    options.disclosures.map(async file => readDisclosures(await readText(platform, file), file)),
  );
  const own = await copy.read("trust");
  const source = await findCopyTrust(platform, url, options.trust, own, copy.pathOf("trust"));
  const { archive } = await openArchive(platform, url, options.token);
  if (own === undefined) await copy.write("trust", source.bytes);
  const index = new RecordIndex(await platform.openDatabase(copy.pathOf(INDEX_FILE)));
  const copying = new Progress(platform, "copying", "entries");
  const indexing = new Progress(platform, "indexing", "records");
  try {
    const { trust } = source;
    const progress = { copied: copying.report, indexed: indexing.report };
    const report = await pull({ archive, folder: copy, trust, index, lanes: options.parallel, ...progress });
    if (isEmpty(report)) {
      throw new Undecided("there is no archive here: neither an anchor nor a checkpoint", {
        expected: "an API whose ledgers your trust document names, once one is published",
        found: url,
      });
    }
    const joined = given.map(disclosures => index.join(disclosures));
    const { holdsEntries } = archive;
    return describePull({ report, address: url, folder, source, holdsEntries, joined });
  } finally {
    await copying.end();
    await indexing.end();
  }
}

/** Whether there is nothing to copy. */
function isEmpty({ ledgers, newest, problemCount }: PullReport): boolean {
  return problemCount === 0 && newest === undefined && ledgers.every(({ size }) => size === undefined);
}

/** The trust that a copy began with is kept in it; another one must be named. */
async function findCopyTrust(
  platform: Platform,
  url: string,
  named: string | undefined,
  own: Uint8Array | undefined,
  path: string,
): Promise<TrustSource> {
  if (named !== undefined) return readTrust(platform, named);
  return own === undefined ? fetchTrust(platform, url) : openTrust(own, path, "given");
}

/** A pull that came to its end. */
interface Pulled {
  readonly report: PullReport;
  readonly address: string;
  readonly folder: string;
  readonly source: TrustSource;
  /** Whether entries were to be copied. */
  readonly holdsEntries: boolean;
  /** What came of each file of disclosures. */
  readonly joined: readonly Joined[];
}

function describePull(pulled: Pulled): Answer {
  const { report, address, folder, source, holdsEntries, joined } = pulled;
  const { ledgers, newest, anchorsAdded, fetched, problems, problemCount, unnamedOrigins } = report;
  const outcome = outcomeOf(pulled);
  const next = `counterfoil audit ${folder}${holdsEntries ? "" : " --no-entries"}`;
  return {
    outcome,
    rows: [
      ...describeOutcome(pulled, outcome),
      ...describeCopied(pulled),
      ...describeJoined(joined),
      ...unnamedOrigins
        .slice(0, NAMED_MAX)
        .map((origin): Row => ["note", `not copied, your trust document does not name it: ${origin}`]),
      ...describeOthers(problems, problemCount),
      ["archive", address],
      ["trust", describeSource(source)],
      ["next", `${next} tells whether it all holds together`],
    ],
    json: {
      ...{ archive: address, folder, ledgers, newest, anchorsAdded, unnamedOrigins, fetched, problemCount },
      problems: listProblems(problems),
      disclosed: {
        values: joined.reduce((sum, { values }) => sum + values, 0),
        unknown: joined.flatMap(({ unknown }) => unknown),
        faults: joined.flatMap(({ faults }) => faults.map(fault => describeFailure(fault))),
      },
      trust: { from: source.from, origin: source.origin },
    },
  };
}

/** A key that was replaced since the trust document is no contradiction; nor is an archive of other ledgers. */
function outcomeOf({ report, joined }: Pulled): Outcome {
  const { ledgers, problems, unnamedOrigins } = report;
  const hasFaults = joined.some(({ faults }) => faults.length > 0);
  if (problems.length === 0 && !hasFaults) {
    const isOther = unnamedOrigins.length > 0 && ledgers.every(({ size }) => size === undefined);
    return isOther ? "undecided" : "proven";
  }
  const isOpen = !hasFaults && problems.every(({ fault }) => isOpenCode(report, fault.code));
  return isOpen ? "undecided" : "wrong";
}

/**
 * Whether a problem says nothing against anybody. Where there was no copy, and there is none now, somebody else may
 * have answered.
 */
function isOpenCode({ ledgers, newest }: PullReport, code: FaultCode): boolean {
  const isKnown = newest !== undefined || ledgers.some(({ size }) => size !== undefined);
  return code === "unknown-key" || (!isKnown && (code === "malformed" || code === "too-large"));
}

/** What is wrong or stays open; else that nothing is. */
function describeOutcome({ report, folder, joined }: Pulled, outcome: Outcome): Row[] {
  const [first] = report.problems;
  const faults = joined.flatMap(({ faults }) => faults).slice(0, NAMED_MAX);
  const rows = [
    ...(first === undefined ? [] : describeFirst(outcome, first)),
    ...faults.map((fault): Row => ["wrong", `${fault.code}: ${fault.message}`]),
  ];
  if (rows.length > 0) return rows;
  return outcome === "proven"
    ? [["copied", `all of it is in ${folder}, and each object was verified`]]
    : [[outcome, "none of the ledgers that are anchored here is one that your trust document names"]];
}

function describeCopied({ report, holdsEntries }: Pulled): Row[] {
  const { ledgers, newest, anchorsAdded, fetched } = report;
  const without = "without entries: only the operator's token opens them (--token FILE)";
  return [
    ["fetched", `${fetched} objects, ${anchorsAdded} of them anchors`],
    ["anchors", newest === undefined ? "none yet" : `up to epoch ${newest}`],
    ...ledgers.flatMap(({ name, origin, size, before, records }): Row[] => [
      [`ledger ${name}`, origin],
      [
        `ledger ${name}`,
        `${size ?? "no"} entries, ${before ?? 0} of them were there before; ${records ?? 0} records in the database`,
      ],
    ]),
    ...(holdsEntries ? [] : [["note", `${without}; audit it with --no-entries`] as const]),
  ];
}

function describeJoined(joined: readonly Joined[]): Row[] {
  const unknown = joined.flatMap(one => one.unknown);
  const missing = `disclosures of ${unknown.length} exchanges that are not in this copy`;
  return [
    ...joined.map(({ values }): Row => ["disclosed", `${values} values fit the digests of their records`]),
    ...(unknown.length === 0
      ? []
      : [["note", `${missing}: ${unknown.slice(0, NAMED_MAX).join(", ")}`] as const]),
  ];
}
