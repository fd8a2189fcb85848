// A few rounds of what `npm run kill` does in hundreds: `kill -9` of real workerd under load, and then
// everything that clients were told, held against everything that is published.
import { expect, test } from "vitest";
import { killRounds } from "../../scripts/kill.ts";

test("a ledger that is killed again and again under load keeps every receipt that a client got", async () => {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const report = await killRounds({ runtime: "workerd", rounds: 4, seed: 20261121, checkEvery: 2, log });
  expect(report.receipts).toBeGreaterThan(100);
  expect(report.entries).toBeGreaterThan(report.receipts);
  expect(lines.filter(line => line.includes("killed"))).toHaveLength(4);
  expect(lines.filter(line => line.includes("is among"))).toHaveLength(2);
});
