// Writes the test vectors: test/vectors/<format>/<mutation>.json, made by the reference implementations
// in test/reference from fixed seeds, so that the same bytes come out every time.
//
//     node scripts/vectors.ts            writes all vectors, and removes those that no longer exist
//     node scripts/vectors.ts --check    only compares, and fails when anything differs

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Case, Json } from "../test/reference/cases/case.ts";
import { checkpointCases, proofCases } from "../test/reference/cases/checkpoints.ts";
import { cosignatureCases, policyCases, witnessCases } from "../test/reference/cases/cosigners.ts";
import { noteCases, verifierKeyCases } from "../test/reference/cases/notes.ts";
import {
  anchorCases,
  disclosureCases,
  evidenceCases,
  receiptCases,
  retentionCases,
} from "../test/reference/cases/receipts.ts";
import { timestampCases } from "../test/reference/cases/timestamps.ts";
import { bundleCases, consistencyCases, inclusionCases, tileCases } from "../test/reference/cases/trees.ts";

const FORMATS: Readonly<Record<string, readonly Case[]>> = {
  note: noteCases,
  "verifier-key": verifierKeyCases,
  checkpoint: checkpointCases,
  proof: proofCases,
  tile: tileCases,
  bundle: bundleCases,
  inclusion: inclusionCases,
  consistency: consistencyCases,
  cosignature: cosignatureCases,
  policy: policyCases,
  witness: witnessCases,
  receipt: receiptCases,
  disclosure: disclosureCases,
  anchor: anchorCases,
  evidence: evidenceCases,
  timestamp: timestampCases,
  retention: retentionCases,
};

const FOLDER = fileURLToPath(new URL("../test/vectors/", import.meta.url));

/** The longest line that an array may take; the same as the formatter's, so that it changes nothing. */
const LINE_WIDTH = 110;

/** JSON as the formatter leaves it: objects over many lines, arrays of values on one where they fit. */
function formatJson(value: Json, indent: string, used: number): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}  `;
  if (isArray(value)) {
    if (value.length === 0) return "[]";
    const line = value.some(isFilledObject)
      ? undefined
      : `[${value.map(item => formatJson(item, "", 0)).join(", ")}]`;
    if (line !== undefined && !line.includes("\n") && used + line.length <= LINE_WIDTH) return line;
    const items = value.map(item => `${deeper}${formatJson(item, deeper, deeper.length + 1)}`);
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  const members = Object.entries(value);
  if (members.length === 0) return "{}";
  const lines = members.map(([name, member]) => {
    const start = `${deeper}${JSON.stringify(name)}: `;
    return start + formatJson(member, deeper, start.length + 1);
  });
  return `{\n${lines.join(",\n")}\n${indent}}`;
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function isFilledObject(value: Json): boolean {
  return value !== null && typeof value === "object" && !isArray(value) && Object.keys(value).length > 0;
}

/** Every vector's path below FOLDER, with its text. */
function makeVectors(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [format, cases] of Object.entries(FORMATS)) {
    for (const { name, ...vector } of cases) {
      const path = join(format, `${name}.json`);
      if (files.has(path)) throw new Error(`two vectors are named ${path}`);
      files.set(path, `${formatJson(vector, "", 0)}\n`);
    }
  }
  return files;
}

function readVectors(): Map<string, string> {
  const paths = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter(path =>
    path.endsWith(".json"),
  );
  return new Map(paths.map(path => [path, readFileSync(join(FOLDER, path), "utf8")]));
}

mkdirSync(FOLDER, { recursive: true });
const wanted = makeVectors();
const found = readVectors();
const stale = [...found.keys()].filter(path => !wanted.has(path));
const changed = [...wanted.keys()].filter(path => found.get(path) !== wanted.get(path));

if (process.argv.includes("--check")) {
  for (const path of [...stale, ...changed]) console.error(`differs: test/vectors/${path}`);
  process.exitCode = stale.length + changed.length > 0 ? 1 : 0;
} else {
  for (const path of stale) rmSync(join(FOLDER, path));
  for (const path of changed) {
    mkdirSync(dirname(join(FOLDER, path)), { recursive: true });
    writeFileSync(join(FOLDER, path), wanted.get(path)!);
  }
}
console.log(`${wanted.size} vectors, ${changed.length} changed, ${stale.length} stale`);
