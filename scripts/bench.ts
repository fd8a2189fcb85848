// npm run bench -- NAME [--json]: measures, and judges nothing: how fast a machine is proves nothing about the
// code, so what counts are ratios within one run.
import { parseArgs } from "node:util";
import type { Findings, Table } from "./bench/measure.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<Findings> }>>> = {
  audit: () => import("./bench/audit.ts"),
  hosts: () => import("./bench/hosts.ts"),
  ledger: () => import("./bench/ledger.ts"),
  proof: () => import("./bench/proof.ts"),
  proxy: () => import("./bench/proxy.ts"),
};

const USAGE = `Usage: npm run bench -- NAME [--json]
  NAME is one of: ${Object.keys(BENCHES).join(", ")}`;

const { name, json } = readOptions();
const findings = await (await BENCHES[name]!()).run();
console.log(json ? JSON.stringify(findings, null, 2) : formatFindings(findings));

function readOptions(): { name: string; json: boolean } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { json: { type: "boolean", default: false } },
    });
    const [name = "", ...others] = positionals;
    if (others.length === 0 && Object.hasOwn(BENCHES, name)) return { name, json: values.json };
    console.error(USAGE);
  } catch (error) {
    console.error(`npm run bench: ${(error as Error).message}\n${USAGE}`);
  }
  process.exit(2);
}

function formatFindings({ bench, machine, tables }: Findings): string {
  return [`${bench}: ${machine}`, ...tables.map(formatTable)].join("\n\n");
}

/** Text in the first column, numbers right-aligned in the others. */
function formatTable({ what, rows }: Table): string {
  const columns = Object.keys(rows[0]!);
  const lines = [columns, ...rows.map(row => columns.map(column => String(row[column])))];
  const widths = columns.map((_, i) => Math.max(...lines.map(line => line[i]!.length)));
  const pad = (cell: string, i: number) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!));
  return [`${what}:`, ...lines.map(line => `  ${line.map(pad).join("  ")}`)].join("\n");
}
