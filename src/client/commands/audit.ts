// counterfoil audit: recomputes a whole archive.
import type { Command } from "commander";
import { type AuditCommandOptions, runAudit } from "../auditing.ts";
import { describeAudit } from "../auditprint.ts";
import { type CommonOptions, collect, examples, parseSeconds, type Run } from "../command.ts";
import { Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import type { Answer, Row } from "../print.ts";
import { formatReport } from "../report.ts";

interface Options extends AuditCommandOptions {
  readonly report?: string;
}

export function addAudit(program: Command, run: Run): void {
  program
    .command("audit")
    .summary("recompute a whole archive: anchors, checkpoints, tiles, entries")
    .description(
      "Recomputes everything that an archive claims, from its first anchor to its newest entry, and names what does not hold. With --state, goes on from what was proven the last time, and requires that the archive still has it.",
    )
    .argument("<url|folder>", "the API, or a folder with a copy of what lies below its reserved prefix")
    .option(
      "--trust <file|url>",
      "whom to believe: a trust document that you kept (default: the one in the archive)",
    )
    .option(
      "--token <file>",
      "file with the operator's token, which opens the entries (default: $COUNTERFOIL_TOKEN)",
    )
    .option("--no-entries", "read hashes only: for a copy that was made without the operator's token")
    .option("--anchor <file>", "an anchor that you kept: the archive must have it, and all before it")
    .option(
      "--promise <file>",
      "a promise that you hold, or a response with one: whether it was kept is judged by the entries; may be repeated",
      collect,
      [],
    )
    .option("--state <file>", "go on from what the last audit has proven, and keep there what this one does")
    .option("--full", "read everything again, although there is a state")
    .option(
      "--receipt <file>",
      "a receipt that you hold: the archive must have its entry; may be repeated",
      collect,
      [],
    )
    .option(
      "--anchored-within <seconds>",
      "find it wrong when no anchor covers a receipt after so much of the archive's own time",
      parseSeconds,
    )
    .option("--report <file>", "write the report there too, as one page to hand in (HTML)")
    .option("--json", "the report as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil audit https://api.example.com --trust trust.json --token token.txt",
        "counterfoil audit ./archive --trust trust.json --json",
        "counterfoil audit ./archive --trust trust.json --report report.html",
        "counterfoil audit ./archive --trust trust.json --promise response.txt",
        "counterfoil audit https://api.example.com --trust trust.json --token token.txt --state audit.json",
        "counterfoil audit ./archive --trust trust.json --receipt receipt.jws --anchored-within 3600",
      ),
    )
    .action((where: string, options: Options & CommonOptions) =>
      run.answer(options, where, false, platform => auditCommand(platform, where, options)),
    );
}

/** Audits a running edge or a folder. */
async function auditCommand(platform: Platform, where: string, options: Options): Promise<Answer> {
  const run = await runAudit(platform, where, options);
  const answer = describeAudit(run);
  if (options.report === undefined) return answer;
  const page = formatReport(run, {
    version: platform.version,
    made: new Date(platform.now()).toISOString(),
    command: formatCommand(where, options),
  });
  const { report } = options;
  return platform.writeFile(report, new TextEncoder().encode(page)).then(
    () => ({ ...answer, rows: [...answer.rows, ["report", report]] }),
    error => describeUnwritten(answer, error),
  );
}

/** An audit can take hours: its verdict is told, whatever became of the page. */
function describeUnwritten(answer: Answer, error: unknown): Answer {
  if (!(error instanceof Undecided)) throw error;
  const { found } = error.detail;
  const reason = found === undefined ? error.message : `${error.message}: ${found}`;
  const isWrong = answer.outcome === "wrong";
  const trouble: Row = [isWrong ? "note" : "undecided", `the report could not be written: ${reason}`];
  return {
    outcome: isWrong ? "wrong" : "undecided",
    rows: isWrong ? [...answer.rows, trouble] : [trouble, ...answer.rows],
    json: { ...answer.json, unwritten: reason },
  };
}

/** The command line that does the same again. */
function formatCommand(where: string, options: Options): string {
  const { trust, token, entries, anchor, promise, state, full, receipt, anchoredWithin } = options;
  const named: (readonly [string, string | undefined])[] = [
    ...[["--trust", trust] as const, ["--token", token] as const, ["--anchor", anchor] as const],
    ...promise.map(file => ["--promise", file] as const),
    ...receipt.map(file => ["--receipt", file] as const),
    ...[["--state", state] as const, ["--anchored-within", anchoredWithin?.toString()] as const],
  ];
  const flags = [...(entries ? [] : ["--no-entries"]), ...(full ? ["--full"] : [])];
  const given = named.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  return ["counterfoil", "audit", where, ...given, ...flags].map(quote).join(" ");
}

/** A word as a shell takes it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
