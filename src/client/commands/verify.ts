// counterfoil verify: says what a receipt, a proof or a captured response proves.
import type { Command } from "commander";
import type { SeenExchange } from "../../receipt/match.ts";
import { openRemoteArchive } from "../archive.ts";
import { type Capture, readCapture } from "../capture.ts";
import { type CommonOptions, examples, type Run, TRUST_HELP } from "../command.ts";
import { listUncompared, verifyTrusted } from "../exchange.ts";
import {
  addressOf,
  findReceipt,
  findTrust,
  nameInput,
  prefixOf,
  readAnchor,
  readInput,
  recordOf,
} from "../input.ts";
import { Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import { type Answer, describeVerdict } from "../print.ts";
import { fetchConsistency } from "../proof.ts";
import { parseUrl } from "../remote.ts";

export function addVerify(program: Command, run: Run): void {
  program
    .command("verify")
    .summary("verify a receipt, a proof or a captured response")
    .description(
      "Verifies a receipt, a .tlog-proof, or a response as `curl -si` prints it, and says what that proves.",
    )
    .argument("<file>", "what to verify: a file, - for standard input, or the receipt itself")
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
      run.answer(options, nameInput(file), false, platform => verifyCommand(platform, file, options)),
    );
}

interface VerifyOptions {
  readonly trust?: string;
  readonly anchor?: string;
  readonly body?: string;
  readonly url?: string;
  readonly method?: string;
}

/** Verifies what a person has in hand. */
async function verifyCommand(platform: Platform, file: string, options: VerifyOptions): Promise<Answer> {
  const capture = await readCapture(await readInput(platform, file), nameInput(file));
  const { iss } = recordOf(capture, file);
  const source = await findTrust(platform, options.trust, () => parseUrl(iss).href);
  const receipt = await findReceipt(platform, capture, file, source);
  const exchange = await seenExchange(platform, capture, options);
  const anchor = options.anchor === undefined ? undefined : await readAnchor(platform, options.anchor);
  const { proof, seed } = capture;
  if (anchor !== undefined && proof === undefined) {
    throw new Undecided("an anchor says nothing of a receipt without a proof", {
      expected: "a .tlog-proof to verify (counterfoil proof fetches it)",
      found: `a ${capture.kind}`,
    });
  }
  const tiles = openRemoteArchive(platform, prefixOf(source), undefined);
  const consistency = anchor && (await fetchConsistency(tiles.get, proof!, anchor, source.trust));
  const evidence = {
    ...{ receipt, exchange },
    ...(seed && { seed }),
    ...(proof !== undefined && { proof }),
    ...(anchor !== undefined && { anchor }),
    ...(consistency && { consistency }),
  };
  const verdict = await verifyTrusted(evidence, source.trust);
  const uncompared = listUncompared(verdict, seed !== undefined);
  return describeVerdict(verdict, uncompared, source, addressOf(verdict, source));
}

async function seenExchange(
  platform: Platform,
  capture: Capture,
  options: VerifyOptions,
): Promise<SeenExchange> {
  const { url, method } = options;
  const body = options.body === undefined ? capture.body : await readInput(platform, options.body);
  return {
    ...(method !== undefined && { method }),
    ...(url !== undefined && { url: parseUrl(url).href }),
    ...(capture.status !== undefined && { status: capture.status }),
    ...(body && { responseBody: body }),
  };
}
