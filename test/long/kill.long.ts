// `kill -9` of the edge as one process under load, on each runtime: a few rounds of what `npm run kill` does in hundreds.
// Of local workerd, `npm test` has them.
import { expect, test } from "vitest";
import { killRounds } from "../../scripts/kill.ts";
import { RUNTIMES } from "../../scripts/runtimes.ts";

test.each(RUNTIMES)("a ledger that is killed under load on %s keeps every receipt", async runtime => {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const report = await killRounds({ runtime, rounds: 6, seed: 20261121, checkEvery: 3, log }).catch(error => {
    throw new Error(`${(error as Error).message}\n${lines.join("\n")}`, { cause: error });
  });
  expect(report.receipts).toBeGreaterThan(500);
  expect(report.cutOff).toBeGreaterThan(0);
  expect(report.entries).toBeGreaterThan(report.receipts);
});
