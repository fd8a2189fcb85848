// The command line: which commands there are, what they take, and how they end. Data that was asked for goes
// to standard output. The verdict of a command that gives no other data goes there too; that of the others
// goes to standard error.
import { Command, CommanderError, InvalidArgumentError } from "commander";
import {
  type AuditCommandOptions,
  auditCommand,
  doctorCommand,
  type FetchOptions,
  fetchCommand,
  type PolicyOptions,
  type ProofOptions,
  policyCommand,
  proofCommand,
  trustCommand,
  type VerifyOptions,
  verifyCommand,
  type WitnessCommandOptions,
  witnessCommand,
} from "./commands.ts";
import { describeFailure as describeError, EXIT_CODES, type Outcome, Undecided } from "./outcome.ts";
import type { Platform } from "./platform.ts";
import { type Answer, describeFailure, formatAnswer } from "./print.ts";

interface CommonOptions {
  readonly json?: true;
}

const TRUST_HELP =
  "whom to believe: a trust document that you kept (default: the operator's own, fetched now)";

/**
 * Runs one command line.
 * @param args what follows the program's name.
 * @returns the exit code: 0 proven, 1 something is wrong, 2 could not tell.
 */
export async function runCommandLine(args: readonly string[], platform: Platform): Promise<number> {
  const run = new Run(platform);
  const texts: (() => Promise<void>)[] = [];
  const program = describeProgram(run, platform.version)
    .exitOverride()
    .configureOutput({
      writeOut: text => texts.push(() => platform.writeOut(text)),
      writeErr: text => texts.push(() => platform.writeErr(text)),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const command of program.commands) {
    command.copyInheritedSettings(program);
    for (const inner of command.commands) inner.copyInheritedSettings(program);
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return EXIT_CODES[run.outcome];
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : EXIT_CODES.undecided;
  } finally {
    for (const write of texts) await write();
  }
}

/** Runs a command to its answer, whatever happens on the way, and prints that. */
class Run {
  readonly #platform: Platform;
  outcome: Outcome = "undecided";

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** @param hasData whether the command writes other data to standard output. */
  async answer(
    options: CommonOptions,
    where: string,
    hasData: boolean,
    command: (platform: Platform) => Promise<Answer>,
  ) {
    let failed = false;
    const answer = await command(this.#platform).catch(error => {
      failed = true;
      return describeFailure(describeError(error), where);
    });
    this.outcome = answer.outcome;
    const { isTerminal, variable, writeErr, writeOut } = this.#platform;
    const toErr = hasData || (failed && options.json === undefined);
    const colour = (toErr ? isTerminal.err : isTerminal.out) && !variable("NO_COLOR");
    const text = formatAnswer(answer, { json: options.json === true, colour });
    await (toErr ? writeErr(text) : writeOut(text));
  }
}

function describeProgram(run: Run, version: string): Command {
  const program = new Command("counterfoil")
    .description(
      "Checks the receipts, proofs and archives of an API behind Counterfoil. Trusts nobody but the keys that you give it.",
    )
    .version(version)
    .addHelpText("after", PROGRAM_EPILOGUE);
  addFetch(program, run);
  addVerify(program, run);
  addProof(program, run);
  addAudit(program, run);
  addTrust(program, run);
  addDoctor(program, run);
  addPolicy(program, run);
  addWitness(program, run);
  return program;
}

function addFetch(program: Command, run: Run): void {
  program
    .command("fetch")
    .summary("send a request, and verify the receipt of its response")
    .description(
      "Sends a request like curl, prints the response's body, and verifies the receipt against what was sent and seen. The verdict goes to standard error.",
    )
    .argument("<url>", "what to ask for")
    .option("-X, --request <method>", "the method (default: GET, or POST with -d)")
    .option("-H, --header <line>", "a header field, 'Name: value'; may be repeated", collect, [])
    .option("-d, --data <data>", "the request body, or @FILE, or @- for standard input; sent as it is")
    .option("--trust <file|url>", TRUST_HELP)
    .option("-o, --output <file>", "write the body there instead of standard output")
    .option("--json", "the verdict as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil fetch https://api.example.com/v1/orders --trust trust.json",
        "counterfoil fetch https://api.example.com/v1/orders -H 'content-type: application/json' -d @order.json",
      ),
    )
    .action((url: string, options: FetchOptions & CommonOptions) =>
      run.answer(options, url, true, platform => fetchCommand(platform, url, options)),
    );
}

function addVerify(program: Command, run: Run): void {
  program
    .command("verify")
    .summary("verify a receipt, a proof or a captured response")
    .description(
      "Verifies a receipt, a .tlog-proof, or a response as `curl -si` prints it, and says what that proves.",
    )
    .argument("<file>", "what to verify; - for standard input")
    .option("--trust <file|url>", TRUST_HELP)
    .option("--anchor <file>", "an anchor that must cover the proof's tree")
    .option("--body <file>", "the response's body, to be compared; - for standard input")
    .option("--url <url>", "the URL that was asked for, to be compared")
    .option("--method <method>", "the method that was used, to be compared")
    .option("--json", "the verdict as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil verify receipt.jws --trust trust.json",
        "curl -si https://api.example.com/v1/orders | counterfoil verify - --trust trust.json",
      ),
    )
    .action((file: string, options: VerifyOptions & CommonOptions) =>
      run.answer(options, file, false, platform => verifyCommand(platform, file, options)),
    );
}

function addProof(program: Command, run: Run): void {
  program
    .command("proof")
    .summary("fetch the proof that a receipt's entry is in the ledger")
    .description(
      "Fetches the .tlog-proof of an exchange, waiting until it is published, checks it, and writes it. The verdict goes to standard error.",
    )
    .argument("<file|url>", "a receipt (- for standard input), or the address of one: .../receipts/<id>")
    .option("--url <url>", "the API to ask (default: the receipt's issuer)")
    .option("--trust <file|url>", TRUST_HELP)
    .option("-o, --output <file>", "write the proof there instead of standard output")
    .option("--wait <seconds>", "how long to wait for it at the most", parseSeconds, 20)
    .option("--json", "the verdict as JSON")
    .addHelpText("after", examples("counterfoil proof receipt.jws --trust trust.json -o receipt.tlog-proof"))
    .action((input: string, options: ProofOptions & CommonOptions) =>
      run.answer(options, input, true, platform => proofCommand(platform, input, options)),
    );
}

function addAudit(program: Command, run: Run): void {
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

function addTrust(program: Command, run: Run): void {
  program
    .command("trust")
    .summary("fetch an operator's trust document, to keep it")
    .description(
      "Fetches the keys that an operator says are his, so that later checks need not ask him. A summary goes to standard error.",
    )
    .argument("<url>", "the API, or its reserved prefix")
    .option("-o, --output <file>", "write the document there instead of standard output")
    .option("--json", "the summary as JSON")
    .addHelpText("after", examples("counterfoil trust https://api.example.com -o trust.json"))
    .action((url: string, options: { output?: string } & CommonOptions) =>
      run.answer(options, url, true, platform => trustCommand(platform, url, options)),
    );
}

function addDoctor(program: Command, run: Run): void {
  program
    .command("doctor")
    .summary("say how an edge is, and what to do about it")
    .description(
      "Asks an edge whether its ledgers take records and its anchors are written, and explains what has halted and the ways out. Exit 1 when something is not well.",
    )
    .argument("<url>", "the API, or its reserved prefix")
    .option("--json", "the state as JSON")
    .addHelpText("after", examples("counterfoil doctor https://api.example.com"))
    .action((url: string, options: CommonOptions) =>
      run.answer(options, url, false, platform => doctorCommand(platform, url)),
    );
}

function addWitness(program: Command, run: Run): void {
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

function addPolicy(program: Command, run: Run): void {
  program
    .command("policy")
    .summary("check a wrangler.toml, and say which route a request would take")
    .command("check")
    .description(
      "Checks the policy in a wrangler.toml as the edge does when it starts. With a method and an address, says which route such a request would take, why the ones before do not take it, and what its settings are. Exit 1 when the policy is wrong or refuses the request.",
    )
    .argument("[method]", "the method of a request")
    .argument("[url]", "its URL, or its path at the issuer")
    .option("--config <file>", "the file", "wrangler.toml")
    .option("--json", "the answer as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil policy check",
        "counterfoil policy check GET https://api.example.com/v1/orders/7",
      ),
    )
    .action(
      (method: string | undefined, address: string | undefined, options: PolicyOptions & CommonOptions) =>
        run.answer(options, options.config, false, async platform => {
          if (method === undefined) return policyCommand(platform, undefined, options);
          if (address === undefined) throw new Undecided("a method needs the URL that it is for");
          return policyCommand(platform, { method, address }, options);
        }),
    );
}

const PROGRAM_EPILOGUE = `
From a request to a proof:
  $ counterfoil trust https://api.example.com -o trust.json
  $ counterfoil fetch https://api.example.com/v1/orders --trust trust.json
  $ curl -si https://api.example.com/v1/orders > response.txt
  $ counterfoil verify response.txt --trust trust.json
  $ counterfoil proof response.txt --trust trust.json -o response.tlog-proof
  $ counterfoil audit https://api.example.com --trust trust.json

Exit codes:
  0  proven
  1  something is wrong: the code says what, the place says where
  2  could not tell: usage, network, unreadable file, a key that you do not trust, not published yet

Environment:
  COUNTERFOIL_TOKEN  the operator's bearer token, for audit
  NO_COLOR           no colours`;

function examples(...lines: string[]): string {
  return `\nExample${lines.length === 1 ? "" : "s"}:\n${lines.map(line => `  $ ${line}`).join("\n")}`;
}

function collect(line: string, lines: readonly string[]): string[] {
  return [...lines, line];
}

function parseSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number of seconds.");
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  throw new InvalidArgumentError("Expected a number from 0 to 65535.");
}
