// counterfoil inspect: what something says of itself. Nothing here is verified, and nothing is called so.
import type { Command } from "commander";
import { readCapture } from "../capture.ts";
import { type CommonOptions, examples, type Run } from "../command.ts";
import { splitPresentation } from "../disclosures.ts";
import { nameInput, readInput } from "../input.ts";
import { undecidedIfFaulty } from "../outcome.ts";
import {
  type Picture,
  pictureAnchor,
  pictureCheckpoint,
  picturePromise,
  pictureProof,
  pictureReceipt,
} from "../picture.ts";
import type { Platform } from "../platform.ts";
import type { Answer } from "../print.ts";

export function addInspect(program: Command, run: Run): void {
  program
    .command("inspect")
    .summary("show what a receipt, proof, anchor, checkpoint or promise says, unverified")
    .description(
      "Shows in lines what something says of itself: a receipt, a promise, an SD-JWT, a .tlog-proof with its path, an anchor, a checkpoint, or a captured response. Verifies nothing: for that, there is verify.",
    )
    .argument("<file>", "what to show: a file, - for standard input, or a receipt itself")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      examples("counterfoil inspect receipt.jws", "counterfoil inspect receipt.tlog-proof --json"),
    )
    .action((file: string, options: CommonOptions) =>
      run.answer(options, nameInput(file), false, platform => inspectCommand(platform, file)),
    );
}

async function inspectCommand(platform: Platform, file: string): Promise<Answer> {
  const bytes = await readInput(platform, file);
  const picture = await undecidedIfFaulty(nameInput(file), () => pictureOf(bytes, nameInput(file)));
  return {
    outcome: "proven",
    rows: [
      ["unverified", `${picture.what}: this is what it says, and nobody has checked it`],
      ...picture.rows,
    ],
    // Whoever reads this must not take it for a verdict.
    json: { outcome: "unverified", what: picture.what, ...picture.json },
  };
}

const TEXT_BYTES_MAX = 5 * 1024 * 1024;

async function pictureOf(bytes: Uint8Array, what: string): Promise<Picture> {
  const text = new TextDecoder().decode(bytes.subarray(0, TEXT_BYTES_MAX));
  if (text.includes("\n\n— ") && !text.startsWith("c2sp.org/") && !text.startsWith("HTTP/"))
    return pictureCheckpoint(text);
  if (/^eyJ[\w.-]+~/.test(text)) {
    const { receipt, disclosures } = splitPresentation(text, what);
    return pictureReceipt(receipt, disclosures);
  }
  const [head] = text.split(".", 1);
  if (/"typ":"audit-anchor\+jwt"/.test(decodeLoosely(head!))) return pictureAnchor(text.trim());
  const { receipt, promise, proof } = await readCapture(bytes, what);
  if (promise !== undefined) return picturePromise(promise);
  return proof === undefined ? pictureReceipt(receipt!, []) : pictureProof(proof);
}

/** The text of a JWS part, only to tell what it may be. */
function decodeLoosely(part: string): string {
  try {
    return atob(part.slice(0, 1000).replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return "";
  }
}
