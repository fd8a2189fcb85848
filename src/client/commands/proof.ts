// counterfoil proof: fetches the proof that an entry is in its ledger, and checks it.
import type { Command } from "commander";
import { type CommonOptions, examples, parseSeconds, type Run, TRUST_HELP } from "../command.ts";
import { findExchange, findTrust, nameInput } from "../input.ts";
import type { Platform } from "../platform.ts";
import { type Answer, describeVerdict } from "../print.ts";
import { fetchProof } from "../proof.ts";

export function addProof(program: Command, run: Run): void {
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
      run.answer(options, nameInput(input), true, platform => proofCommand(platform, input, options)),
    );
}

interface ProofOptions {
  readonly url?: string;
  readonly trust?: string;
  readonly output?: string;
  /** In seconds. */
  readonly wait: number;
}

/** Fetches the proof for a receipt, checks it, and writes it. */
async function proofCommand(platform: Platform, input: string, options: ProofOptions): Promise<Answer> {
  const { address, receipt } = await findExchange(platform, input, options.url);
  const source = await findTrust(platform, options.trust, () => address);
  const { bytes, verdict } = await fetchProof(platform, address, receipt, source.trust, options.wait);
  if (options.output === undefined) await platform.writeOut(bytes);
  else await platform.writeFile(options.output, bytes);
  return describeVerdict(verdict, [], source, address);
}
