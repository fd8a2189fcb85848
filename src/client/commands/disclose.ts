// counterfoil disclose: opens single private fields of a receipt to somebody, and checks what others have opened.
import { type Command, InvalidArgumentError } from "commander";
import * as v from "valibot";
import {
  disclose,
  matchesField,
  openDisclosure,
  PRIVATE_FIELDS,
  parseSeed,
} from "../../receipt/disclosure.ts";
import { parseReceipt } from "../../receipt/receipt.ts";
import type { AuditRecord } from "../../receipt/record.ts";
import { readJson } from "../../receipt/shape.ts";
import { Fault } from "../../tlog/fault.ts";
import { readCapture } from "../capture.ts";
import { type CommonOptions, examples, type Run, TRUST_HELP } from "../command.ts";
import { parseJson, splitPresentation } from "../disclosures.ts";
import { verifyTrusted } from "../exchange.ts";
import { findTrust, nameInput, readInput, readText, receiptOf } from "../input.ts";
import { Undecided, undecidedIfFaulty } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import { type Answer, describeSource, type Row } from "../print.ts";
import { parseUrl } from "../remote.ts";

export function addDisclose(program: Command, run: Run): void {
  program
    .command("disclose")
    .summary("open single private fields of a receipt, or check what was opened")
    .description(
      "With a receipt and its seed, writes an SD-JWT (RFC 9901) that opens the named fields to whoever gets it, and nothing else; without --field, lists what the receipt commits to. With an SD-JWT, verifies its receipt and opens what it discloses.",
    )
    .argument("<file>", "a receipt, a captured response, or an SD-JWT; - for standard input")
    .option(
      "--seed <file>",
      "the seed that came with the receipt (default: the one in the captured response)",
    )
    .option("--opening <file>", 'seed and values, as an operator has them: {"seed":…,"fields":{…}}')
    .option(
      "--field <name[=value]>",
      "a field to open, with its value where that is not in --opening; may be repeated",
      collectField,
      [],
    )
    .option("--trust <file|url>", TRUST_HELP)
    .option("-o, --output <file>", "write the SD-JWT there instead of standard output")
    .option("--json", "the summary as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil disclose response.txt --trust trust.json",
        "counterfoil disclose response.txt --field query=page=2 --trust trust.json -o opened.sdjwt",
        "counterfoil disclose opened.sdjwt --trust trust.json",
      ),
    )
    .action((file: string, options: DiscloseOptions & CommonOptions) =>
      run.answer(options, nameInput(file), options.field.length > 0, platform =>
        discloseCommand(platform, file, options),
      ),
    );
}

interface DiscloseOptions {
  readonly seed?: string;
  readonly opening?: string;
  readonly field: readonly Field[];
  readonly trust?: string;
  readonly output?: string;
}

interface Field {
  readonly name: string;
  readonly value?: string;
}

const OpeningSchema = v.object({ seed: v.string(), fields: v.record(v.string(), v.unknown()) });

async function discloseCommand(platform: Platform, file: string, options: DiscloseOptions): Promise<Answer> {
  const bytes = await readInput(platform, file);
  const text = new TextDecoder().decode(bytes.subarray(0, 1024 * 1024)).trim();
  if (/^eyJ[\w.-]+~/.test(text)) return openPresentation(platform, text, nameInput(file), options);
  const capture = await readCapture(bytes, nameInput(file));
  const receipt = receiptOf(capture, nameInput(file));
  const opening = await readOpening(platform, options);
  const seed = opening?.seed ?? capture.seed;
  if (seed === undefined) {
    throw new Undecided("there is no seed to open anything with", {
      expected: "--seed, --opening, or a response with Audit-Receipt-Seed as `curl -si` prints it",
    });
  }
  const [record, source] = await verifyHeld(platform, receipt, options);
  if (options.field.length === 0) return listFields(record, seed, opening?.fields ?? {}, source);
  const disclosures = options.field.map(field => openField(record, seed, field, opening?.fields ?? {}));
  const presentation = `${receipt}~${disclosures.map(disclosure => `${disclosure}~`).join("")}`;
  if (options.output === undefined) await platform.writeOut(`${presentation}\n`);
  else await platform.writeFile(options.output, new TextEncoder().encode(`${presentation}\n`));
  return describeOpened(record, disclosures, source, "opens");
}

/** Verifies the receipt of an SD-JWT, and that each of its disclosures opens a digest of that. */
async function openPresentation(
  platform: Platform,
  text: string,
  what: string,
  options: DiscloseOptions,
): Promise<Answer> {
  if (options.field.length > 0) {
    throw new Undecided(`${what}: this is an SD-JWT already`, {
      expected: "a receipt and its seed, to open fields of",
    });
  }
  const { receipt, disclosures } = splitPresentation(text, what);
  const [record, source] = await verifyHeld(platform, receipt, options);
  return describeOpened(record, disclosures, source, "disclosed");
}

async function verifyHeld(
  platform: Platform,
  receipt: string,
  options: DiscloseOptions,
): Promise<readonly [AuditRecord, string]> {
  const { iss } = parseReceipt(receipt).entry.record;
  const source = await findTrust(platform, options.trust, () => parseUrl(iss).href);
  const verdict = await verifyTrusted({ receipt }, source.trust);
  return [verdict.receipt.entry.record, describeSource(source)];
}

/** @throws Fault when one of the disclosures opens nothing. */
function describeOpened(
  record: AuditRecord,
  disclosures: readonly string[],
  trust: string,
  label: string,
): Answer {
  const opened = disclosures.map(disclosure => openDisclosure(record, disclosure));
  const twice = opened.find(({ name }, i) => opened.findIndex(other => other.name === name) !== i);
  if (twice !== undefined) throw new Fault("malformed", `the field "${twice.name}" is disclosed twice`);
  return {
    outcome: "proven",
    rows: [
      ["proven", "signed; each value opens a digest of the receipt"],
      ["exchange", record.jti],
      ["issuer", record.iss],
      ...opened.map(({ name, value }): Row => [label, `${name}: ${JSON.stringify(value)}`]),
      ["trust", trust],
    ],
    json: { jti: record.jti, issuer: record.iss, disclosed: opened },
  };
}

/** What a receipt commits to, as far as the seed and the values at hand tell. */
function listFields(
  record: AuditRecord,
  seed: Uint8Array,
  values: Readonly<Record<string, unknown>>,
  trust: string,
): Answer {
  const names = [...new Set([...PRIVATE_FIELDS, ...(record.private ?? []), ...Object.keys(values)])];
  const fields = names.map(name => {
    if (matchesField(record, seed, name, null)) return { name, state: "absent, provably" };
    if (name in values && matchesField(record, seed, name, values[name])) {
      return { name, state: `can be opened: ${JSON.stringify(values[name])}` };
    }
    return {
      name,
      state:
        name in values ? "not committed to with this value" : "open it with its value: --field NAME=VALUE",
    };
  });
  return {
    outcome: "proven",
    rows: [
      ["proven", "signed; nothing is opened to anybody yet"],
      ["exchange", record.jti],
      ["digests", `${record._sd?.length ?? 0} private fields are committed to`],
      ...fields.map(({ name, state }): Row => [name, state]),
      ["trust", trust],
    ],
    json: { jti: record.jti, digests: record._sd?.length ?? 0, fields },
  };
}

/** The disclosure of a field. What was typed may be a text, or JSON. @throws Fault `not-disclosed` */
function openField(
  record: AuditRecord,
  seed: Uint8Array,
  { name, value }: Field,
  known: Readonly<Record<string, unknown>>,
): string {
  const candidates: unknown[] = value === undefined ? [known[name], null] : [value, parseJson(value)];
  const found = candidates.find(
    candidate => candidate !== undefined && matchesField(record, seed, name, candidate),
  );
  if (found !== undefined) return disclose(seed, name, found);
  throw new Fault("not-disclosed", `the receipt does not commit to this value of "${name}", with this seed`, {
    expected: "the name and the value as the edge saw them, and the seed of this receipt",
    found: value ?? JSON.stringify(known[name]) ?? "no value",
  });
}

async function readOpening(
  platform: Platform,
  { seed: file, opening }: DiscloseOptions,
): Promise<{ seed: Uint8Array; fields?: Readonly<Record<string, unknown>> } | undefined> {
  if (opening !== undefined) {
    const text = await readText(platform, opening);
    return undecidedIfFaulty(opening, () => {
      const { seed, fields } = readJson(OpeningSchema, text, "opening");
      return { seed: parseSeed(seed), fields };
    });
  }
  if (file === undefined) return undefined;
  const text = (await readText(platform, file)).trim();
  return undecidedIfFaulty(file, () => ({ seed: parseSeed(text) }));
}

function collectField(text: string, fields: readonly Field[]): Field[] {
  const at = text.indexOf("=");
  const name = at === -1 ? text : text.slice(0, at);
  if (name === "") throw new InvalidArgumentError("Expected NAME or NAME=VALUE.");
  return [...fields, { name, ...(at !== -1 && { value: text.slice(at + 1) }) }];
}
