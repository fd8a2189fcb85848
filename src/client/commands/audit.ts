// counterfoil audit: recomputes a whole archive.
import type { Command } from "commander";
import { audit } from "../audit.ts";
import { describeAudit } from "../auditprint.ts";
import { readCapture } from "../capture.ts";
import { type CommonOptions, collect, examples, parseSeconds, type Run } from "../command.ts";
import { openArchive, readAnchor, readPromise, receiptOf } from "../input.ts";
import { Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import type { Answer } from "../print.ts";
import { readNamedFile, readTrust } from "../trust.ts";

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
    .option("--json", "the report as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil audit https://api.example.com --trust trust.json --token token.txt",
        "counterfoil audit ./archive --trust trust.json --json",
        "counterfoil audit ./archive --trust trust.json --promise response.txt",
        "counterfoil audit https://api.example.com --trust trust.json --token token.txt --state audit.json",
        "counterfoil audit ./archive --trust trust.json --receipt receipt.jws --anchored-within 3600",
      ),
    )
    .action((where: string, options: AuditCommandOptions & CommonOptions) =>
      run.answer(options, where, false, platform => auditCommand(platform, where, options)),
    );
}

export interface AuditCommandOptions {
  readonly trust?: string;
  readonly token?: string;
  /** False when they are not to be read. */
  readonly entries: boolean;
  readonly anchor?: string;
  readonly promise: readonly string[];
  readonly state?: string;
  readonly full?: true;
  readonly receipt: readonly string[];
  /** In seconds. */
  readonly anchoredWithin?: number;
}

/** Audits a running edge or a folder. */
export async function auditCommand(
  platform: Platform,
  where: string,
  options: AuditCommandOptions,
): Promise<Answer> {
  const { archive, address, ownTrust } = await openArchive(platform, where, options.token, options.entries);
  const source = options.trust === undefined ? await ownTrust() : await readTrust(platform, options.trust);
  const { anchor, state: file, full, anchoredWithin } = options;
  const state = file === undefined ? undefined : await readState(platform, file);
  const promises: string[] = [];
  for (const name of options.promise) promises.push(await readPromise(platform, name));
  const report = await audit({
    ...{ archive, trust: source.trust, promises },
    receipts: await Promise.all(options.receipt.map(name => readHeldReceipt(platform, name))),
    ...(anchor !== undefined && { keptAnchor: await readAnchor(platform, anchor) }),
    ...(state !== undefined && { state }),
    ...(full && { full }),
    ...(anchoredWithin !== undefined && { anchoredWithinS: anchoredWithin }),
  });
  if (file === undefined) return describeAudit(report, address, source);
  if (report.state !== undefined) await platform.writeFile(file, new TextEncoder().encode(report.state));
  return describeAudit(report, address, source, { file, isFirst: state === undefined });
}

/** The state of an earlier audit, or undefined when there was none. Bytes that are no UTF-8 are no state either. */
async function readState(platform: Platform, file: string): Promise<string | undefined> {
  const bytes = await platform.readFile(file);
  return bytes && new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

async function readHeldReceipt(platform: Platform, file: string): Promise<string> {
  const capture = await readCapture(await readNamedFile(platform, file), file);
  if (capture.promise === undefined) return receiptOf(capture, file);
  throw new Undecided(`${file}: a promise says nothing about an archive`, {
    expected: "a receipt (or --promise, to ask whether it was kept)",
  });
}
