// counterfoil witness: runs an independent witness.
import type { Command } from "commander";
import { parseVerifierKey } from "../../tlog/note.ts";
import { collect, examples, parsePort, type Run } from "../command.ts";
import { Undecided, undecidedIfFaulty } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import { type Answer, escapeText } from "../print.ts";
import { readTrust } from "../trust.ts";

export function addWitness(program: Command, run: Run): void {
  program
    .command("witness")
    .summary("cosign the checkpoints of ledgers, as an independent witness")
    .description(
      "Runs a witness (C2SP tlog-witness): it cosigns a ledger's checkpoint only if that extends what it cosigned before. Prints its verifier key; ends with Ctrl-C. Run it where the ledger's operator has no say.",
    )
    .requiredOption("--name <name>", "the witness's name, a URL without scheme, e.g. witness.example.com/w1")
    .requiredOption("--state <folder>", "where its key and its memory are kept; keep it safe, and keep it")
    .option("--log <vkey>", "the verifier key of a ledger to cosign for; may be repeated", collect, [])
    .option(
      "--trust <file|url>",
      "a trust document whose ledgers to cosign for; may be repeated",
      collect,
      [],
    )
    .option("--host <address>", "answer on this address", "127.0.0.1")
    .option("--port <port>", "answer on this port; 0 is a free one", parsePort, 7380)
    .addHelpText(
      "after",
      examples(
        "counterfoil witness --name witness.example.com/w1 --state ./witness --trust https://api.example.com",
      ),
    )
    .action((options: WitnessCommandOptions) =>
      run.answer({}, options.state, false, platform => witnessCommand(platform, options)),
    );
}

interface WitnessCommandOptions {
  readonly name: string;
  readonly state: string;
  readonly log: readonly string[];
  readonly trust: readonly string[];
  readonly host: string;
  readonly port: number;
}

/** Runs a witness until it is told to end. */
async function witnessCommand(platform: Platform, options: WitnessCommandOptions): Promise<Answer> {
  const given = await undecidedIfFaulty("--log", () => options.log.map(parseVerifierKey));
  const trusted = await Promise.all(options.trust.map(where => readTrust(platform, where)));
  const logs = [...given, ...trusted.flatMap(({ trust }) => trust.ledgers.flatMap(({ keys }) => keys))];
  if (logs.length === 0) {
    throw new Undecided("there is no ledger to cosign for", { expected: "--log or --trust" });
  }
  const { name, state, host, port } = options;
  await platform.runWitness({ name, state, logs, host, port }, ({ url, key }) => {
    const origins = [...new Set(logs.map(log => log.name))].map(
      origin => `cosigns    ${escapeText(origin)}\n`,
    );
    return platform.writeOut(`witness    ${url}\nkey        ${key}\n${origins.join("")}`);
  });
  return { outcome: "proven", rows: [["ended", `what it cosigned is kept in ${state}`]], json: { state } };
}
