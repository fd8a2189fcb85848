// How an edge says that it is, also when those that it asks say nothing.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { parsePolicy } from "../../src/edge/policy.ts";
import { createReader } from "../../src/edge/read.ts";
import { createWorld, ISSUER, LEDGER, ORIGIN } from "../world.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("answers within a bound though neither ledger nor anchor writer does", async () => {
  const { trust, receiptKey } = await createWorld();
  const never = () => new Promise<never>(() => {});
  const upstream = "https://up.internal";
  const read = createReader({
    policy: parsePolicy({
      issuer: ISSUER,
      ledgers: [{ name: LEDGER, origin: ORIGIN }],
      routes: [{ name: "all", match: "/*", upstream, ledger: LEDGER }],
    }),
    ...{ trust, receiptKey, sources: { now: Date.now } },
    ledgers: new Map([[LEDGER, () => ({ append: never, control: never, find: never, status: never })]]),
    vaults: new Map(),
    spool: { put: never, holds: never, wake: never },
    ...{ archive: never, anchors: never, anchorStatus: never, operatorTokenSha256: undefined },
  });
  let answer: Response | undefined;
  read(new Request(`${ISSUER}/.well-known/audit/health`)).then(response => {
    answer = response;
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(answer?.status).toBe(503);
  expect(await answer!.json()).toMatchObject({
    ledgers: [{ state: "unreachable" }],
    anchors: { state: "unreachable" },
  });
});
