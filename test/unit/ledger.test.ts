import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  APPEND_RECORDS_MAX,
  type Identity,
  Ledger,
  PLACE_RETENTION_MS,
  POOL_RECORDS_MAX,
} from "../../durable/ledger.ts";
import type { Sql } from "../../durable/sql.ts";
import type { Store } from "../../durable/store.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { entryHash, parseEntry } from "../../src/receipt/entry.ts";
import { makeJti } from "../../src/receipt/jti.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import { rootOf } from "../../src/tlog/tree.ts";
import { mth } from "../reference/rfc6962.ts";

const ORIGIN = "api.example.com/audit/main";
const AT = Date.parse("2026-11-21T05:22:22.453Z");

/** A database that counts its transactions and can be told to fail in the middle of the next one. */
function watchedSql(): Sql & { transactions: number; failAfter?: number } {
  const sql = openSqlite(":memory:");
  return {
    transactions: 0,
    all(statement, ...values) {
      if (this.failAfter !== undefined && /^(INSERT INTO|UPDATE|DELETE)/.test(statement)) {
        if (this.failAfter-- === 0) {
          delete this.failAfter;
          throw new Error("the disk is full");
        }
      }
      return sql.all(statement, ...values);
    },
    transaction(work) {
      this.transactions++;
      return sql.transaction(work);
    },
  };
}

const IDENTITY: Identity = { receipt: "kid", checkpoint: "vkey", anchor: "anchor", policy: "1f3870be" };

function openLedger(sql: Sql = openSqlite(":memory:"), now: () => number = () => AT, more = {}): Ledger {
  return new Ledger({
    sql,
    issuer: "https://a",
    origin: ORIGIN,
    identity: IDENTITY,
    published: async () => undefined,
    now,
    random: count => crypto.getRandomValues(new Uint8Array(count)),
    breathe: () => new Promise(r => setImmediate(r)),
    recheck: async (store: Store) => store.head(),
    ...more,
  });
}

function jti(n: number | string): string {
  return makeJti(AT, createHash("sha256").update(`${n}`).digest().subarray(0, 16));
}

function record(n: number | string, more: object = {}): string {
  const time = new Date(AT).toISOString();
  return JSON.stringify({ iss: "https://a", jti: jti(n), iat: 1, time, stage: "complete", ...more });
}

function placed(placement: Placement | undefined): { index: number; header: string } {
  if (placement === undefined || "refused" in placement) throw new Error(`not placed: ${placement?.reason}`);
  return placement;
}

function entriesOf(ledger: Ledger): string[] {
  return ledger.store.entries(0, 1e9).map(({ text }) => text);
}

/** What the ledger's control records say, each with its index, in the order of the ledger. */
function controlsOf(ledger: Ledger): [index: number, control: unknown][] {
  return entriesOf(ledger)
    .map(text => parseEntry(text))
    .filter(({ record }) => record.stage === "control")
    .map(({ header, record }) => [header.index, record.control]);
}

/** Everything that the ledger promises of what it holds, recomputed without its code. */
function checkWhole(ledger: Ledger): void {
  const entries = entriesOf(ledger);
  let prev = Buffer.alloc(32);
  entries.forEach((text, index) => {
    const header = JSON.parse(Buffer.from(text.split(".")[0]!, "base64url").toString());
    expect(header.index).toBe(index);
    expect(header.prev).toBe(prev.toString("base64url"));
    prev = createHash("sha256").update("\0").update(text).digest();
  });
  const { frontier, chain } = ledger.store.head();
  expect(frontier.size).toBe(entries.length);
  expect(Buffer.from(chain).toString("hex")).toBe(prev.toString("hex"));
  const root = mth(entries.map(text => new TextEncoder().encode(text)));
  expect(Buffer.from(rootOf(frontier)).toString("hex")).toBe(Buffer.from(root).toString("hex"));
}

describe("the ledger", () => {
  it("gives records consecutive indexes, in the order they came", async () => {
    const ledger = openLedger();
    const placements = await Promise.all([ledger.append([record(1), record(2)]), ledger.append([record(3)])]);
    expect(placements.flat().map(p => placed(p).index)).toEqual([1, 2, 3]);
    checkWhole(ledger);
  });

  it("answers with the protected header of exactly the entry that it stored", async () => {
    const ledger = openLedger();
    const text = record(1);
    const [placement] = await ledger.append([text]);
    const [, stored] = entriesOf(ledger);
    expect(stored).toBe(`${placed(placement).header}.${Buffer.from(text).toString("base64url")}`);
    expect(parseEntry(stored!).header).toEqual({
      alg: "Ed25519",
      kid: "kid",
      typ: "audit-receipt+jwt",
      origin: ORIGIN,
      index: 1,
      prev: Buffer.from(entryHash(entriesOf(ledger)[0]!)).toString("base64url"),
      at: "2026-11-21T05:22:22.453Z",
    });
  });

  it("commits calls that come in while others wait in one transaction", async () => {
    const sql = watchedSql();
    const ledger = openLedger(sql);
    sql.transactions = 0;
    await Promise.all(Array.from({ length: 50 }, (_, n) => ledger.append([record(n)])));
    expect(sql.transactions).toBe(1);
    checkWhole(ledger);
  });

  it("keeps chain and tree right across tiles and restarts", async () => {
    const sql = openSqlite(":memory:");
    for (let size = 0; size < 1300; size += 100) {
      await openLedger(sql).append(Array.from({ length: 100 }, (_, n) => record(size + n)));
    }
    checkWhole(openLedger(sql));
  });

  it("answers a record it already has with the place it has, also after a restart and within one call", async () => {
    const sql = openSqlite(":memory:");
    const [first, twice] = await openLedger(sql).append([record(1), record(1)]);
    const [again] = await openLedger(sql).append([record(1)]);
    expect(twice).toEqual(first);
    expect(again).toEqual(first);
    expect(entriesOf(openLedger(sql))).toHaveLength(2);
  });

  it("keeps the stages of one exchange apart", async () => {
    const ledger = openLedger();
    await ledger.append([record(1, { stage: "received" }), record(1, { stage: "complete" })]);
    expect((await ledger.find(jti(1))).map(text => parseEntry(text).record.stage)).toEqual([
      "received",
      "complete",
    ]);
  });

  it("keeps the interim records of one exchange apart by their number, and finds the newest of them", async () => {
    const ledger = openLedger();
    const steps = [
      record(1, { stage: "started" }),
      ...[1, 2, 10].map(seq => record(1, { stage: "interim", seq })),
      record(1),
    ];
    const placed = await ledger.append(steps);
    expect(placed.map(placement => "index" in placement && placement.index)).toEqual([1, 2, 3, 4, 5]);
    expect(await ledger.append(steps)).toEqual(placed);
    const found = (await ledger.find(jti(1))).map(text => parseEntry(text).record);
    expect(found.map(({ stage, seq }) => [stage, seq])).toEqual([
      ["started", undefined],
      ["interim", 10],
      ["complete", undefined],
    ]);
    expect(await ledger.append([record(1, { stage: "interim" })])).toMatchObject([{ refused: "malformed" }]);
    expect(await ledger.append([record(1, { stage: "interim", seq: 10, ms: 1 })])).toMatchObject([
      { refused: "conflict" },
    ]);
  });

  it("refuses another record under a name that is taken", async () => {
    const ledger = openLedger();
    const [, other] = await ledger.append([record(1), record(1, { ms: 5 })]);
    expect(other).toMatchObject({ refused: "conflict", reason: expect.stringContaining("index 1") });
    checkWhole(ledger);
  });

  it("takes one ending of an exchange, in one call and in several, and says where it is", async () => {
    const ledger = openLedger();
    const [first, second] = await ledger.append([record(1), record(1, { stage: "failed" })]);
    expect(placed(first).index).toBe(1);
    const refused = { refused: "conflict", reason: expect.stringMatching(/"complete" at index 1$/) };
    expect(second).toEqual(refused);
    for (const stage of ["aborted", "failed", "rejected"])
      expect(await ledger.append([record(1, { stage })])).toEqual([refused]);
    // A beginning may come after it, and the ending itself again.
    const [late, again] = await ledger.append([record(1, { stage: "started" }), record(1)]);
    expect([placed(late).index, placed(again).index]).toEqual([2, 1]);
    checkWhole(ledger);
  });

  it("refuses what is not a record, and takes the others of the same call", async () => {
    const ledger = openLedger();
    const large = record(9, { note: "x".repeat(5000) });
    const [bad, good, tooLarge] = await ledger.append(["{}", record(1), large]);
    expect(bad).toMatchObject({ refused: "malformed", reason: expect.stringContaining("iss") });
    expect(placed(good).index).toBe(1);
    expect(tooLarge).toMatchObject({ refused: "malformed", reason: expect.stringContaining("larger") });
    checkWhole(ledger);
  });

  it.each([0, 1, 2, 3])(
    "loses nothing and keeps nothing of a transaction that failed after %i writes",
    async writes => {
      const sql = watchedSql();
      const ledger = openLedger(sql);
      await ledger.append([record("before")]);
      sql.failAfter = writes;
      const failed = ledger.append([record(1), record(2), record(3), record(4)]);
      await expect(failed).rejects.toThrow("the disk is full");
      checkWhole(ledger);
      const again = await ledger.append([record(1), record(2), record(3), record(4)]);
      expect(again.map(p => placed(p).index)).toEqual([2, 3, 4, 5]);
      checkWhole(ledger);
    },
  );

  it("never lets its time run backwards, whatever the clock does", async () => {
    let now = AT;
    const ledger = openLedger(undefined, () => now);
    await ledger.append([record(1)]);
    now -= 60_000;
    await ledger.append([record(2)]);
    now += 120_000;
    await ledger.append([record(3)]);
    const entries = entriesOf(ledger).map(text => parseEntry(text));
    const times = entries.filter(({ record }) => record.stage !== "control").map(({ header }) => header.at);
    expect(times).toEqual([
      "2026-11-21T05:22:22.453Z",
      "2026-11-21T05:22:22.453Z",
      "2026-11-21T05:23:22.453Z",
    ]);
  });

  it("says that it is busy when its pool is full, and takes records again afterwards", async () => {
    const ledger = openLedger();
    const calls = Array.from({ length: POOL_RECORDS_MAX / APPEND_RECORDS_MAX }, (_, call) =>
      ledger.append(Array.from({ length: APPEND_RECORDS_MAX }, (_, n) => record(`${call}-${n}`))),
    );
    await ledger.check();
    expect(await ledger.append([record("late")])).toMatchObject([{ refused: "busy" }]);
    await Promise.all(calls);
    expect(placed((await ledger.append([record("late")]))[0]).index).toBe(POOL_RECORDS_MAX + 1);
  });

  it("counts into its pool who waits for storage to be compared with the archive", async () => {
    const compared = Promise.withResolvers<void>();
    const sql = openSqlite(":memory:");
    const recheck = async (store: Store) => {
      await compared.promise;
      return store.head();
    };
    const ledger = openLedger(sql, undefined, { recheck });
    const calls = Array.from({ length: POOL_RECORDS_MAX / APPEND_RECORDS_MAX }, (_, call) =>
      ledger.append(Array.from({ length: APPEND_RECORDS_MAX }, (_, n) => record(`${call}-${n}`))),
    );
    expect(await ledger.append([record("late")])).toMatchObject([{ refused: "busy" }]);
    compared.resolve();
    expect((await Promise.all(calls)).flat().map(p => placed(p).index)).toContain(POOL_RECORDS_MAX);
  });

  it("refuses storage that belongs to another ledger", () => {
    const sql = openSqlite(":memory:");
    openLedger(sql);
    const open = () => openLedger(sql, undefined, { origin: "other" });
    expect(open).toThrow(`belongs to "${ORIGIN}", not to "other"`);
  });
});

describe("the ledger's own history", () => {
  const genesis = [0, { type: "genesis", v: 1, iss: "https://a", origin: ORIGIN, ...IDENTITY }];

  it("begins with entry 0, which names the format, the origin, the keys and the policy", async () => {
    const ledger = openLedger();
    expect(placed((await ledger.append([record(1)]))[0]).index).toBe(1);
    expect(controlsOf(ledger)).toEqual([genesis]);
    const { header, record: told } = parseEntry(entriesOf(ledger)[0]!);
    expect(header.prev).toBe(Buffer.alloc(32).toString("base64url"));
    expect(told).toMatchObject({ iss: "https://a", time: header.at, iat: Math.floor(AT / 1000) });
    expect(await ledger.find(told.jti)).toEqual([entriesOf(ledger)[0]]);
    checkWhole(ledger);
  });

  it("begins even if the first record is refused", async () => {
    const ledger = openLedger();
    expect(await ledger.append(["{}"])).toMatchObject([{ refused: "malformed" }]);
    expect(controlsOf(ledger)).toEqual([genesis]);
  });

  it("says nothing more while nothing changes, however often the ledger is started", async () => {
    const sql = openSqlite(":memory:");
    for (let n = 0; n < 3; n++) await openLedger(sql).append([record(n)]);
    expect(controlsOf(openLedger(sql))).toEqual([genesis]);
  });

  it.each<[string, Partial<Identity>, object[]]>([
    [
      "another receipt key",
      { receipt: "kid 2" },
      [
        { type: "key-added", use: "receipt", key: "kid 2" },
        { type: "key-retired", use: "receipt", key: "kid" },
      ],
    ],
    [
      "another checkpoint key",
      { checkpoint: "vkey 2" },
      [
        { type: "key-added", use: "checkpoint", key: "vkey 2" },
        { type: "key-retired", use: "checkpoint", key: "vkey" },
      ],
    ],
    [
      "another policy",
      { policy: "00000000" },
      [{ type: "policy-changed", from: "1f3870be", to: "00000000" }],
    ],
    [
      "everything else",
      { receipt: "kid 2", checkpoint: "vkey 2", policy: "00000000" },
      [
        { type: "key-added", use: "receipt", key: "kid 2" },
        { type: "key-retired", use: "receipt", key: "kid" },
        { type: "key-added", use: "checkpoint", key: "vkey 2" },
        { type: "key-retired", use: "checkpoint", key: "vkey" },
        { type: "policy-changed", from: "1f3870be", to: "00000000" },
      ],
    ],
  ])("tells once of a start with %s, before the first record of that start", async (_what, change, told) => {
    const sql = openSqlite(":memory:");
    await openLedger(sql).append([record(1)]);
    const identity = { ...IDENTITY, ...change };
    for (const n of [2, 3]) await openLedger(sql, undefined, { identity }).append([record(n)]);
    const ledger = openLedger(sql, undefined, { identity });
    expect(controlsOf(ledger)).toEqual([genesis, ...told.map((control, i) => [2 + i, control])]);
    expect(parseEntry(entriesOf(ledger)[2 + told.length]!).record.jti).toBe(jti(2));
    expect(parseEntry(entriesOf(ledger).at(-1)!).header.kid).toBe(identity.receipt);
    checkWhole(ledger);
  });

  it("tells of a change back as of any other", async () => {
    const sql = openSqlite(":memory:");
    for (const policy of ["1f3870be", "00000000", "1f3870be"]) {
      await openLedger(sql, undefined, { identity: { ...IDENTITY, policy } }).append([]);
    }
    expect(controlsOf(openLedger(sql)).slice(1)).toEqual([
      [1, { type: "policy-changed", from: "1f3870be", to: "00000000" }],
      [2, { type: "policy-changed", from: "00000000", to: "1f3870be" }],
    ]);
  });

  it("is told again when the transaction that told it failed", async () => {
    const sql = watchedSql();
    sql.failAfter = 3;
    const ledger = openLedger(sql);
    await expect(ledger.append([record(1), record(2)])).rejects.toThrow("the disk is full");
    expect(entriesOf(ledger)).toEqual([]);
    await ledger.append([record(1)]);
    expect(controlsOf(ledger)).toEqual([genesis]);
    checkWhole(ledger);
  });

  it("tells once of a clock that has fallen behind, across starts, until it has caught up", async () => {
    const sql = openSqlite(":memory:");
    let now = AT;
    const append = (n: number) => openLedger(sql, () => now).append([record(n)]);
    await append(1);
    for (const [n, behind] of [60_000, 30_000, 45_000, 1].entries()) {
      now = AT - behind;
      await append(2 + n);
    }
    const behind = [2, { type: "clock-behind", ms: 60_000 }];
    expect(controlsOf(openLedger(sql))).toEqual([genesis, behind]);
    now = AT;
    await append(6);
    now = AT - 1001;
    await append(7);
    expect(controlsOf(openLedger(sql))).toEqual([genesis, behind, [8, { type: "clock-behind", ms: 1001 }]]);
    checkWhole(openLedger(sql));
  });

  it("does not tell of the small corrections that every clock needs", async () => {
    let now = AT;
    const ledger = openLedger(undefined, () => now);
    await ledger.append([record(1)]);
    now = AT - 1000;
    await ledger.append([record(2)]);
    expect(controlsOf(ledger)).toEqual([genesis]);
  });
});

describe("the exchanges without an ending", () => {
  const unfinished = ({ store }: Ledger, stage: "received" | "started", before = AT + 1) =>
    store.unfinished(stage, before, 10);

  it("are those that were received or started, until they end", async () => {
    const ledger = openLedger();
    await ledger.append([1, 2, 3].map(n => record(n, { stage: "received" })));
    await ledger.append([record(2, { stage: "started" })]);
    expect(unfinished(ledger, "received")).toEqual([jti(1), jti(3)].sort());
    expect(unfinished(ledger, "started")).toEqual([jti(2)]);
    await ledger.append([record(1), record(2, { stage: "aborted" }), record(3, { stage: "rejected" })]);
    expect([...unfinished(ledger, "received"), ...unfinished(ledger, "started")]).toEqual([]);
  });

  it.each([
    ["received", "complete"],
    ["started", "failed"],
    ["received", "started"],
  ] as const)("are not those whose %s comes after their %s", async (first, second) => {
    const ledger = openLedger();
    await ledger.append([record(1, { stage: second })]);
    await ledger.append([record(1, { stage: first })]);
    expect(unfinished(ledger, "received")).toEqual([]);
    expect(unfinished(ledger, "started")).toEqual(second === "started" ? [jti(1)] : []);
  });

  it("are known again after a restart, and only for as long as an ending could come", async () => {
    const sql = openSqlite(":memory:");
    await openLedger(sql).append([record(1, { stage: "received" })]);
    expect(unfinished(openLedger(sql), "received")).toEqual([jti(1)]);
    expect(unfinished(openLedger(sql), "received", AT)).toEqual([]);
    const later = openLedger(sql, () => AT + PLACE_RETENTION_MS + 2);
    const fresh = makeJti(AT + PLACE_RETENTION_MS, new Uint8Array(16));
    await later.append([record(2, { jti: fresh })]);
    while (later.prune());
    expect(unfinished(later, "received")).toEqual([]);
  });
});
