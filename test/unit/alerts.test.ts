// Alerts tell of what has no ending, to anybody who asks, and give nobody the id by which its receipt is to be had.
import { expect, it } from "vitest";
import { listAlerts } from "../../durable/alerts.ts";
import { makeJti } from "../../src/receipt/jti.ts";
import { createWorld, START_MS } from "../world.ts";

it("an alert about an exchange without an ending says since when, and not which", async () => {
  const world = await createWorld();
  const jti = makeJti(START_MS, new Uint8Array(16).fill(9));
  await world.append({ jti, stage: "received" });
  const limits = { received_seconds: 300, started_seconds: 86_400 };
  const spool = { waiting: 0, deadlines: [], refused: 0 };
  const alerts = listAlerts(
    { store: world.ledger.store, spool, vault: undefined },
    limits,
    START_MS + 301_000,
  );
  expect(alerts).toEqual([
    { code: "unfinished", reason: expect.stringContaining(new Date(START_MS).toISOString()) },
  ]);
  expect(JSON.stringify(alerts)).not.toContain(jti);
});

it("a clock that was ahead and is right again is told of for as long as entries wait for it, or are refused", async () => {
  const world = await createWorld({ random: count => crypto.getRandomValues(new Uint8Array(count)) });
  await world.append({});
  const limits = { received_seconds: 300, started_seconds: 86_400 };
  const spool = { waiting: 0, deadlines: [], refused: 0 };
  const alertsAt = (ms: number) =>
    listAlerts({ store: world.ledger.store, spool, vault: undefined }, limits, ms);
  expect(alertsAt(START_MS - 60_000)).toEqual([]);
  expect(alertsAt(START_MS - 61_000)).toEqual([
    {
      code: "clock-behind",
      reason: expect.stringMatching(/^its clock is 61 s behind its newest entry, until 2026/),
    },
  ]);
  expect(alertsAt(START_MS - 31 * 86_400_000)[0]!.reason).toContain("takes no exchange");
  world.tick(-31 * 86_400_000);
  await expect(world.append({})).rejects.toThrow("longer ago than the ledger remembers");
});
