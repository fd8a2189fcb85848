// counterfoil doctor: how an edge is.
import type { Command } from "commander";
import { type CommonOptions, examples, type Run } from "../command.ts";
import { examine } from "../doctor.ts";
import { findPrefix } from "../input.ts";

export function addDoctor(program: Command, run: Run): void {
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
      run.answer(options, url, false, async platform => examine(platform, await findPrefix(platform, url))),
    );
}
