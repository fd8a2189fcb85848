// npm run portable: the portable suite on Node, Deno, Bun, workerd and Chromium. One line for each; it fails
// unless all of them pass and make the same bytes.
//   --skip-missing   a runtime that this machine does not have is named and left out, and is no failure
import { parseArgs } from "node:util";
import { readVectors } from "../test/portable/files.ts";
import { compareArtefacts, RUNTIMES, type Runtime } from "../test/portable/runtimes.ts";
import type { Report } from "../test/portable/suite.ts";

const skipMissing = readOptions();
const vectors = readVectors();
const reports: Report[] = [];
const skipped: string[] = [];
let failures = 0;

for (const runtime of RUNTIMES) {
  const missing = runtime.missing();
  if (missing === undefined) await runOn(runtime);
  else if (skipMissing) skip(runtime, missing);
  else fail(runtime.name, `not run: ${missing}`);
}
for (const report of reports.slice(1)) {
  const [first, ...others] = compareArtefacts(reports[0]!, report);
  if (first !== undefined)
    fail(report.platform, `made other bytes: ${clip(first)} (and ${others.length} more)`);
}
if (failures === 0) {
  const made = Object.keys(reports[0]!.artefacts).length;
  const without = skipped.length === 0 ? "" : `; skipped: ${skipped.join(", ")}`;
  console.log(`\nThe same ${made} artefacts, byte for byte, on ${reports.length} runtimes${without}.`);
}
process.exitCode = failures === 0 ? 0 : 1;

/** Whether a missing runtime is left out. */
function readOptions(): boolean {
  try {
    return parseArgs({ options: { "skip-missing": { type: "boolean" } } }).values["skip-missing"] ?? false;
  } catch (error) {
    console.error(`npm run portable: ${(error as Error).message}`);
    process.exit(2);
  }
}

async function runOn(runtime: Runtime): Promise<void> {
  let report: Report;
  try {
    report = await runtime.run(vectors);
  } catch (error) {
    fail(runtime.name, `did not run: ${error}`);
    return;
  }
  reports.push(report);
  const failed = report.results.filter(({ ok }) => !ok);
  const passed = `${report.results.length - failed.length} of ${report.results.length} passed`;
  print(runtime.name, `${passed}  digest ${report.digest}  ${report.platform}`);
  for (const { name, error } of failed) fail(runtime.name, `${name} ${clip(error ?? "")}`);
}

function skip({ name }: Runtime, why: string): void {
  skipped.push(name);
  print(name, `skipped: ${why}`);
}

function fail(name: string, what: string): void {
  failures++;
  print(name, `FAILED: ${what}`);
}

function print(name: string, what: string): void {
  console.log(`${name.padEnd(8)}  ${what}`);
}

function clip(text: string): string {
  return text.length <= 500 ? text : `${text.slice(0, 500)}…`;
}
