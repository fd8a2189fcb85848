// Every record that is let go is counted in a gap that the ledger is told of, whatever goes on meanwhile.
import { sha256 } from "@noble/hashes/sha2.js";
import { expect, it } from "vitest";
import { Complaints } from "../../src/edge/complaints.ts";
import { Exchange } from "../../src/edge/exchange.ts";
import { readHead } from "../../src/edge/head.ts";
import { Batcher } from "../../src/edge/ledger.ts";
import { parsePolicy } from "../../src/edge/policy.ts";
import { Recorder } from "../../src/edge/recorder.ts";
import { FIRST_PREV, formatHeader, RECEIPT_TYPE } from "../../src/receipt/entry.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import { fixedKey, ISSUER, LEDGER, ORIGIN } from "../world.ts";

const sources = {
  now: Date.now,
  random: (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes)),
  sha256,
};

const PLACE = {
  ...{ alg: "Ed25519", origin: ORIGIN, index: 0, prev: FIRST_PREV },
  typ: RECEIPT_TYPE,
  at: "2026-11-21T05:22:22.000Z",
} as const;

const policy = parsePolicy({
  issuer: ISSUER,
  ledgers: [{ name: LEDGER, origin: ORIGIN }],
  routes: [
    {
      ...{ name: "all", match: "/*", upstream: "https://up.internal", ledger: LEDGER },
      ...{ on_ledger_failure: "open" },
    },
  ],
});

it("a record is counted though its spool answers only after the gap was told of", async () => {
  const receiptKey = await fixedKey("receipt");
  const header = formatHeader({ ...PLACE, kid: receiptKey.kid });
  const taken: { control?: { type: string; count: number; spooled: number } }[] = [];
  const spooling: (() => void)[] = [];
  let isAway = true;
  const append = async (records: string[]): Promise<Placement[]> => {
    if (isAway) return records.map(() => ({ refused: "busy", reason: "it is away" }));
    taken.push(...records.map(record => JSON.parse(record)));
    return records.map((_, index) => ({ index, header }));
  };
  const recorder = new Recorder({
    policy,
    receiptKey,
    ledgers: new Map([[LEDGER, new Batcher(() => ({ append }))]]),
    signatures: new Map(),
    keepers: new Map(),
    spool: {
      put: path => (path.includes("control") ? Promise.resolve() : new Promise(done => spooling.push(done))),
      holds: async () => false,
      wake: async () => {},
    },
    complaints: new Complaints(Date.now),
    sources,
  });
  const works: Promise<unknown>[] = [];
  const context = { waitUntil: (work: Promise<unknown>) => void works.push(work) };
  const record = () => {
    const exchange = new Exchange(
      readHead(new Request(ISSUER)),
      undefined,
      policy.routes[0],
      policy,
      sources,
    );
    return recorder.record(exchange, exchange.record("complete", { status: 200 }), context);
  };
  const settled = async () => {
    for (let known = -1; known < works.length; ) {
      known = works.length;
      await Promise.all(works);
    }
  };

  expect(await record()).toHaveProperty("audit-gap");
  expect(await record()).toHaveProperty("audit-gap");
  isAway = false;
  await expect.poll(() => spooling.length).toBe(2);
  // The ledger is there again, and is told of gaps, while the spool has not answered.
  expect(await record()).toHaveProperty("audit-receipt");
  for (const done of spooling) done();
  await settled();
  expect(await record()).toHaveProperty("audit-receipt");
  await settled();
  const gaps = taken.flatMap(({ control }) => (control?.type === "gap" ? [control] : []));
  expect(gaps.reduce((sum, { count }) => sum + count, 0)).toBe(2);
  expect(gaps.reduce((sum, { spooled }) => sum + spooled, 0)).toBe(2);
});
