// counterfoil trust: fetches the keys of an operator, to keep them.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { TrustedKey } from "../../receipt/key.ts";
import type { Trust } from "../../receipt/trust.ts";
import { formatVerifierKey } from "../../tlog/note.ts";
import { type CommonOptions, examples, type Run } from "../command.ts";
import type { Platform } from "../platform.ts";
import { type Answer, describeEnd, type Row } from "../print.ts";
import { fetchTrust, type TrustSource } from "../trust.ts";

export function addTrust(program: Command, run: Run): void {
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

/** Fetches a trust document, so that it can be kept. */
async function trustCommand(
  platform: Platform,
  where: string,
  options: { readonly output?: string },
): Promise<Answer> {
  const source = await fetchTrust(platform, where);
  if (options.output === undefined) await platform.writeOut(source.bytes);
  else await platform.writeFile(options.output, source.bytes);
  return describeTrust(source.trust, source);
}

function pickKey({ kid, exp }: TrustedKey): { kid: string; exp?: number } {
  return { kid, ...(exp !== undefined && { exp }) };
}

function describeTrust(trust: Trust, source: TrustSource): Answer {
  const ledgers = trust.ledgers.map(({ name, origin, keys, retired = [] }) => ({
    name,
    origin,
    keys: keys.map(formatVerifierKey),
    ...(retired.length > 0 && {
      retired: retired.map(({ key, exp }) => ({ key: formatVerifierKey(key), exp })),
    }),
  }));
  const anchorKeys = trust.anchorKeys.map(pickKey);
  const receiptKeys = trust.receiptKeys.map(pickKey);
  const timestampers = (trust.timestampers ?? []).map(der => bytesToHex(sha256(der)));
  const rows: Row[] = [
    ["fetched", source.from],
    ["issuer", trust.issuer],
    ...ledgers.flatMap(({ name, origin, keys, retired = [] }): Row[] => [
      [`ledger ${name}`, origin],
      ...keys.map((key): Row => ["checkpoints", key]),
      ...retired.map(({ key, exp }): Row => ["checkpoints", `${key}${describeEnd(exp)}`]),
    ]),
    ...anchorKeys.map(({ kid, exp }): Row => ["anchors", `${kid}${describeEnd(exp)}`]),
    ...receiptKeys.map(({ kid, exp }): Row => ["receipts", `${kid}${describeEnd(exp)}`]),
    ...timestampers.map((print): Row => ["timestamps", `certificate with the SHA-256 ${print}`]),
    ["note", "this is what the operator says of itself: compare the keys with what you were told elsewhere"],
  ];
  return {
    outcome: "proven",
    rows,
    json: { issuer: trust.issuer, ledgers, anchorKeys, receiptKeys, timestampers, from: source.from },
  };
}
