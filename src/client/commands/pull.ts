// counterfoil pull: copies an archive into a folder, and its records into a local database.
import type { Command } from "commander";
import type { FaultCode } from "../../tlog/fault.ts";
import { type CommonOptions, collect, examples, parseCount, type Run } from "../command.ts";
import { CopyFolder } from "../copyfolder.ts";
import { readDisclosures } from "../disclosures.ts";
import { openArchive, readText } from "../input.ts";
import { describeFailure, Undecided } from "../outcome.ts";
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
    return describePull(report, url, folder, source, archive.holdsEntries, joined);
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

/**
 * Whether a problem says nothing against anybody. Where there was no copy, and there is none now, somebody else may
 * have answered.
 */
function isOpenCode({ ledgers, newest }: PullReport, code: FaultCode): boolean {
  const isKnown = newest !== undefined || ledgers.some(({ size }) => size !== undefined);
  return code === "unknown-key" || (!isKnown && (code === "malformed" || code === "too-large"));
}

function describePull(
  report: PullReport,
  address: string,
  folder: string,
  source: TrustSource,
  holdsEntries: boolean,
  joined: readonly Joined[],
): Answer {
  const { ledgers, newest, anchorsAdded, fetched, problems, problemCount } = report;
  const [first] = problems;
  const faults = joined.flatMap(one => one.faults);
  const unknown = joined.flatMap(one => one.unknown);
  const isWrong = problemCount > 0 || faults.length > 0;
  // A key that was replaced since the trust document is no contradiction.
  const isOpen = faults.length === 0 && problems.every(({ fault }) => isOpenCode(report, fault.code));
  const outcome = !isWrong ? "proven" : isOpen ? "undecided" : "wrong";
  const rows: Row[] = [
    ...(first === undefined ? [] : describeFirst(outcome, first)),
    ...faults.slice(0, NAMED_MAX).map((fault): Row => ["wrong", `${fault.code}: ${fault.message}`]),
    ...(isWrong ? [] : [["copied", `all of it is in ${folder}, and each object was verified`] as const]),
    ["fetched", `${fetched} objects, ${anchorsAdded} of them anchors`],
    ["anchors", newest === undefined ? "none yet" : `up to epoch ${newest}`],
    ...ledgers.flatMap(({ name, origin, size, before, records }): Row[] => [
      [`ledger ${name}`, origin],
      [
        `ledger ${name}`,
        `${size ?? "no"} entries, ${before ?? 0} of them were there before; ${records ?? 0} records in the database`,
      ],
    ]),
    ...(holdsEntries
      ? []
      : [
          [
            "note",
            "without entries: only the operator's token opens them (--token FILE); audit it with --no-entries",
          ] as const,
        ]),
    ...joined.map(({ values }): Row => ["disclosed", `${values} values fit the digests of their records`]),
    ...(unknown.length === 0
      ? []
      : [
          [
            "note",
            `disclosures of ${unknown.length} exchanges that are not in this copy: ${unknown.slice(0, NAMED_MAX).join(", ")}`,
          ] as const,
        ]),
    ...describeOthers(problems, problemCount),
    ["archive", address],
    ["trust", describeSource(source)],
    [
      "next",
      `counterfoil audit ${folder}${holdsEntries ? "" : " --no-entries"} tells whether it all holds together`,
    ],
  ];
  return {
    outcome,
    rows,
    json: {
      ...{ archive: address, folder, ledgers, newest, anchorsAdded, fetched, problemCount },
      problems: listProblems(problems),
      disclosed: {
        values: joined.reduce((sum, { values }) => sum + values, 0),
        unknown,
        faults: faults.map(fault => describeFailure(fault)),
      },
      trust: { from: source.from, origin: source.origin },
    },
  };
}
