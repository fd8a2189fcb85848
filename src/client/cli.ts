// The command line: which commands there are, and how they end. Data that was asked for goes to standard output.
// The verdict of a command that gives no other data goes there too; that of the others goes to standard error.
import { Argument, Command, CommanderError } from "commander";
import { examples, Run } from "./command.ts";
import { addAudit } from "./commands/audit.ts";
import { addDisclose } from "./commands/disclose.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addFetch } from "./commands/fetch.ts";
import { addInspect } from "./commands/inspect.ts";
import { addKeys } from "./commands/keys.ts";
import { addPolicy } from "./commands/policy.ts";
import { addProof } from "./commands/proof.ts";
import { addPull } from "./commands/pull.ts";
import { addRecords } from "./commands/records.ts";
import { addServe } from "./commands/serve.ts";
import { addTrust } from "./commands/trust.ts";
import { addVerify } from "./commands/verify.ts";
import { addWatch } from "./commands/watch.ts";
import { addWitness } from "./commands/witness.ts";
import { formatCompletion, SHELLS, type Shell } from "./completion.ts";
import { EXIT_CODES } from "./outcome.ts";
import type { Platform } from "./platform.ts";

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

function describeProgram(run: Run, version: string): Command {
  const program = new Command("counterfoil")
    .description(
      "Checks the receipts, proofs and archives of an API behind Counterfoil. Trusts nobody but the keys that you give it.",
    )
    .version(version)
    .showHelpAfterError("Add --help to see how it is used.")
    .addHelpText("after", PROGRAM_EPILOGUE);
  addFetch(program, run);
  addVerify(program, run);
  addProof(program, run);
  addAudit(program, run);
  addWatch(program, run);
  addPull(program, run);
  addRecords(program, run);
  addInspect(program, run);
  addDisclose(program, run);
  addTrust(program, run);
  addDoctor(program, run);
  addKeys(program, run);
  addPolicy(program, run);
  addServe(program, run);
  addWitness(program, run);
  addCompletion(program, run);
  return program;
}

function addCompletion(program: Command, run: Run): void {
  program
    .command("completion")
    .summary("print a script that completes this command line in a shell")
    .description("Prints a script for bash, zsh or fish that completes commands, options and files.")
    .addArgument(new Argument("<shell>", "whose").choices(SHELLS))
    .addHelpText("after", examples("counterfoil completion bash"))
    .action((shell: Shell) => run.write(formatCompletion(program, shell)));
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
  COUNTERFOIL_TOKEN    the operator's bearer token, for audit, pull and watch
  COUNTERFOIL_WEBHOOK  the address that watch tells of trouble
  NO_COLOR             no colours`;
