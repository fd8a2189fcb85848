// A loss of power at any moment, on each runtime: what `npm run powercut` does with more moments. What was acknowledged
// is there, and the edge goes on.
import { describe, expect, test } from "vitest";
import { cutPower, missingForPowerCuts } from "../../scripts/powercut.ts";
import { RUNTIMES } from "../../scripts/runtimes.ts";

const missing = missingForPowerCuts();
if (missing !== undefined) console.log(`power cuts are not tried: ${missing}`);

describe.runIf(missing === undefined)("after a loss of power", () => {
  test.each(RUNTIMES)("an edge on %s has everything that it had acknowledged, and goes on", async runtime => {
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const report = await cutPower({ runtime, rounds: 2, cuts: 4, answers: 150, seed: 20261121, log }).catch(
      error => {
        throw new Error(`${(error as Error).message}\n${lines.join("\n")}`, { cause: error });
      },
    );
    expect(report.cuts).toBe(8);
    expect(report.spoilt).toBeGreaterThan(10);
    expect(report.receipts).toBeGreaterThan(200);
    // Without a kind of sync, something is missing, and the edge says what: the same check can fail.
    expect(report.liars).toEqual({
      everything: expect.stringMatching(/^the ledger has \d+ entries, and somebody was told of entry \d+$/),
      databases: expect.stringContaining('"code":"rolled-back"'),
      "bytes of objects": expect.stringContaining('"state":"halted"'),
      "names of objects": expect.stringContaining('"code":"missing"'),
    });
  });

  test("an edge on workerd has everything in its ledger that it had acknowledged, and goes on", async () => {
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const options = { runtime: "workerd", rounds: 2, cuts: 3, answers: 100, seed: 20261121, log } as const;
    const report = await cutPower(options).catch(error => {
      throw new Error(`${(error as Error).message}\n${lines.join("\n")}`, { cause: error });
    });
    expect(report.cuts).toBe(6);
    expect(report.spoilt).toBeGreaterThan(10);
    expect(report.receipts).toBeGreaterThan(100);
    const noticed = expect.stringMatching(/^the ledger has \d+ entries, and somebody was told of entry \d+$/);
    expect(report.liars).toEqual({ everything: noticed, databases: noticed });
  });
});
