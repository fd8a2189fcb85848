import { beforeAll, describe, expect, it } from "vitest";
import { mthOfLeaves, mthOfRange } from "../reference/rfc6962.ts";
import { Random } from "./random.ts";
import { type Outcome, simulate } from "./simulation.ts";
import { buildSystem, SMALL_LIMITS, type System } from "./system.ts";
import { leafHash, PlainTree } from "./tree.ts";

const SEEDS = 20;
const STEPS = 5000;

/** What a failure would be told as. */
function report({ seed, failure }: Outcome): string | undefined {
  return failure && `seed ${seed}, step ${failure.step}: ${failure.message}\n${failure.events.join("\n")}`;
}

describe("100,000 steps in which everything goes wrong that can", () => {
  let systems: readonly [System, System];
  const outcomes: Outcome[] = [];
  const total = (name: string) => outcomes.reduce((sum, { stats }) => sum + (stats[name] ?? 0), 0);

  beforeAll(async () => {
    systems = [await buildSystem(), await buildSystem(SMALL_LIMITS)];
  });

  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    "leave the ledger whole, from seed %i",
    async seed => {
      const outcome = await simulate(systems[seed % 2]!, seed, STEPS);
      outcomes.push(outcome);
      expect(report(outcome)).toBeUndefined();
      expect(outcome.steps).toBeGreaterThanOrEqual(STEPS);
      expect(outcome.stats.entries).toBeGreaterThan(0);
      expect(outcome.stats.published).toBe(outcome.stats.entries);
    },
  );

  it("were steps in which something happened", () => {
    const rare = [
      "restore",
      "put-back",
      "restore-anchor",
      "halted",
      "busy",
      "stale",
      "conflict",
      "leap",
      "jump",
      "deploy",
      "replaced-receipt",
      "replaced-checkpoint",
      "replaced-anchor",
      "witness-away",
      "copy-away",
      "canaries",
      "witness-conflict",
    ];
    for (const name of rare) expect([name, total(name)]).not.toEqual([name, 0]);
    const frequent = [
      "crash",
      "sabotage",
      "split",
      "alarm",
      "outage",
      "failed",
      "unknown",
      "anchors",
      "cosigned-pins",
      "malformed",
    ];
    for (const name of frequent) expect([name, total(name) > 100]).toEqual([name, true]);
    expect(total("entries")).toBeGreaterThan(10_000);
  });
});

describe("a simulation", () => {
  it("that fails, fails again in the same step, after the same events, for the same reason", async () => {
    const changes = [
      {
        file: "durable/ledger.ts",
        find: "this.store.prune(this.store.head().at",
        put: "this.store.prune(1e15",
      },
    ];
    const [first, second] = [
      await simulate(await buildSystem(changes), 6, STEPS),
      await simulate(await buildSystem(changes), 6, STEPS),
    ];
    expect(first.failure).toBeDefined();
    expect(second).toEqual(first);
  });

  it("that does not fail, ends in the same way every time", async () => {
    const system = await buildSystem(SMALL_LIMITS);
    expect(await simulate(system, 3, 1000)).toEqual(await simulate(system, 3, 1000));
  });

  it("is of another course for every seed", async () => {
    const system = await buildSystem();
    const [first, second] = [await simulate(system, 4, 300), await simulate(system, 5, 300)];
    expect(second.stats).not.toEqual(first.stats);
  });
});

describe("the system under simulation", () => {
  it("is not built with a change that does not fit its source", async () => {
    const change = (file: string, find: string) => buildSystem([{ file, find, put: "" }]);
    await expect(change("durable/ledger.ts", "no such text")).rejects.toThrow("has 0 times: no such text");
    await expect(change("durable/ledger.ts", "this.store")).rejects.toThrow(/has \d+ times: this\.store/);
    await expect(change("durable/objects.ts", "class")).rejects.toThrow("is no part of the system");
  });
});

describe("the checker's tree", () => {
  it("is the tree of the reference implementation, at every size", () => {
    const tree = new PlainTree();
    const leaves = Array.from({ length: 70 }, (_, n) => leafHash(`entry ${n}`));
    for (const [n, leaf] of leaves.entries()) {
      expect(Buffer.from(tree.root(n))).toEqual(Buffer.from(mthOfLeaves(leaves.slice(0, n))));
      tree.add(leaf);
    }
    for (const height of [0, 1, 2, 4]) {
      const [, second] = tree.subtrees(height, 0, 2);
      const expected = mthOfRange(leaves, 2 ** height, 2 * 2 ** height);
      expect(Buffer.from(second!)).toEqual(Buffer.from(expected));
    }
  });
});

describe("the source of chance", () => {
  it("gives the same numbers for the same seed, and numbers of the range that was asked for", () => {
    const draw = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 1000 }, () => random.between(3, 12));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect([...new Set(draw(7))].sort((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });
});
