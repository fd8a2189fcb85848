// What opens an exchange may be lost on its way to the vault, with the edge that was to send it. Then it is noticed, by
// what is on record; and nothing is said to be lost that is not.
import { describe, expect, it } from "vitest";
import type { Alarm } from "../../durable/alarm.ts";
import { listVaultAlerts } from "../../durable/alerts.ts";
import { LedgerWriter } from "../../durable/ledgerwriter.ts";
import { ASK_EXCHANGES_MAX, Openings, type VaultPort } from "../../durable/openings.ts";
import { OPENING_WAIT_MS } from "../../durable/store.ts";
import { Vault } from "../../durable/vault.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { firstJti, timeOfJti } from "../../src/receipt/jti.ts";
import { ED25519, formatVerifierKey, makeNoteKey } from "../../src/tlog/note.ts";
import { createWorld, fixedKey, ISSUER, LEDGER, MemoryArchive, ORIGIN, START_MS } from "../world.ts";

const DAY_MS = 86_400_000;

/** An exchange that began so many ms after the start of the world. */
const jtiOf = (ms: number) => firstJti(START_MS + ms);

async function setUp() {
  const world = await createWorld({ random: count => crypto.getRandomValues(new Uint8Array(count)) });
  const vault = new Vault(openSqlite(":memory:"));
  const reported: string[] = [];
  let isAway = false;
  const port: VaultPort = {
    async missing(jtis) {
      if (isAway) throw new Error("no answer within 10000 ms");
      return vault.missing(jtis);
    },
  };
  const open = () =>
    new Openings({
      ...{ store: world.ledger.store, vault: port, retentionMs: 30 * DAY_MS, now: world.now },
      report: error => void reported.push(error.message),
    });
  const openings = open();
  return {
    ...{ world, vault, reported, open, openings },
    alerts: (of = openings) => listVaultAlerts(world.ledger.store, of.trouble),
    /** Puts exchanges on record now, that began when they say. */
    record: (...ms: number[]) => world.append(...ms.map(each => ({ jti: jtiOf(each), stage: "complete" }))),
    keep: (...ms: number[]) => vault.keep(ms.map(each => ({ jti: jtiOf(each), seed: "s", fields: {} }))),
    leave: (away: boolean) => {
      isAway = away;
    },
  };
}

/** Asks until there is nothing more to ask about. */
async function askAll(openings: Openings): Promise<void> {
  while (await openings.ask());
}

describe("an exchange on record that the vault knows nothing of", () => {
  it("is told of some minutes later, by number and age, and named in the log only", async () => {
    const { world, openings, record, keep, reported, alerts } = await setUp();
    await record(1, 2, 3);
    keep(1, 3);
    expect(openings.dueAt()).toBe(START_MS + OPENING_WAIT_MS);
    await openings.ask();
    expect(alerts()).toEqual([]);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    const [alert, ...others] = alerts();
    expect(others).toEqual([]);
    expect(alert).toMatchObject({ code: "unopened", reason: expect.stringMatching(/of 1 exchanges/) });
    expect(alert!.reason).toContain(new Date(START_MS + 2).toISOString());
    expect(alert!.reason).not.toContain(jtiOf(2));
    expect(reported).toEqual([expect.stringContaining(jtiOf(2))]);
    expect(reported[0]).not.toContain(jtiOf(1));
    expect(openings.dueAt()).toBeUndefined();
  });

  it("is told of by the next instance as well, and named once", async () => {
    const { world, openings, open, record, reported, alerts } = await setUp();
    await record(1);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    const next = open();
    expect(alerts(next)).toHaveLength(1);
    await record(OPENING_WAIT_MS + 10);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(next);
    expect(alerts(next)[0]!.reason).toContain("2 exchanges");
    expect(reported.filter(message => message.includes(jtiOf(1)))).toHaveLength(1);
  });

  it("is no longer told of once what opens it has come, or after 30 days", async () => {
    const { world, openings, record, keep, alerts } = await setUp();
    await record(1, 2);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    keep(1);
    await record(OPENING_WAIT_MS + 10);
    keep(OPENING_WAIT_MS + 10);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    expect(alerts()[0]!.reason).toMatch(/of 1 exchanges/);
    world.tick(30 * DAY_MS);
    await world.append({});
    world.ledger.prune();
    expect(alerts()).toEqual([]);
  });

  it("is noticed though it came on record long after it began", async () => {
    const { world, openings, record, keep, alerts } = await setUp();
    await record(1);
    keep(1, 2);
    world.tick(DAY_MS);
    await askAll(openings);
    // From the spool, say.
    await record(2, 3);
    world.tick(60_000);
    await askAll(openings);
    expect(alerts()[0]!.reason).toMatch(/of 1 exchanges/);
    expect(alerts()[0]!.reason).toContain(new Date(START_MS + 3).toISOString());
  });

  it("is asked about once, however long it goes on", async () => {
    const { world, openings, record, keep, alerts } = await setUp();
    await world.append({ jti: jtiOf(1), stage: "started" });
    keep(1);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    for (let seq = 1; seq < 4; seq++) {
      world.tick(60_000);
      await world.append({ jti: jtiOf(1), stage: "interim", seq });
      expect(openings.dueAt()).toBeUndefined();
    }
    // Both of its records come late, at once.
    await world.append({ jti: jtiOf(2), stage: "started" }, { jti: jtiOf(2), stage: "complete" });
    await askAll(openings);
    expect(alerts()[0]!.reason).toMatch(/of 1 exchanges/);
    await record(3);
    expect(openings.dueAt()).toBeDefined();
  });

  it("is not one that is on its way still, whatever the ledger's clock was before", async () => {
    const { world, openings, record, keep, reported, alerts } = await setUp();
    world.tick(7 * DAY_MS);
    await record(7 * DAY_MS);
    keep(7 * DAY_MS);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    // It is put right, and is behind the newest entry from now on.
    world.tick(-7 * DAY_MS);
    const began = world.now() - START_MS;
    await record(began, began + 1);
    await askAll(openings);
    expect([alerts(), reported]).toEqual([[], []]);
    keep(began);
    world.tick(OPENING_WAIT_MS + 10);
    await askAll(openings);
    expect(alerts()[0]!.reason).toMatch(/of 1 exchanges/);
  });

  it("is not one that was erased, nor one whose values have had their time, nor the ledger's own history", async () => {
    const { world, vault, openings, record, reported, alerts } = await setUp();
    await record(1);
    vault.erase([jtiOf(1)]);
    await world.ledger.control({ type: "erased", exchanges: [jtiOf(1)] });
    world.tick(29 * DAY_MS + 23 * 3_600_000);
    // Came late, and is asked about when the vault has let go of what began then.
    await record(2);
    world.tick(2 * 3_600_000);
    await askAll(openings);
    expect([alerts(), reported]).toEqual([[], []]);
  });

  it("is found among any number of others, page by page", async () => {
    const { world, openings, keep, alerts } = await setUp();
    const all = Array.from({ length: ASK_EXCHANGES_MAX + 10 }, (_, ms) => ms);
    const text = (ms: number) => {
      const time = new Date(START_MS).toISOString();
      return JSON.stringify({ iss: ISSUER, jti: jtiOf(ms), iat: 1, time, stage: "failed" });
    };
    for (let at = 0; at < all.length; at += 1000) {
      await world.ledger.append(all.slice(at, at + 1000).map(text));
      keep(...all.slice(at, at + 1000).filter(ms => ms !== 7 && ms !== all.length - 3));
    }
    world.tick(OPENING_WAIT_MS + all.length);
    expect(await openings.ask()).toBe(true);
    expect(alerts()[0]!.reason).toMatch(/of 1 exchanges/);
    await askAll(openings);
    expect(alerts()[0]!.reason).toMatch(/of 2 exchanges/);
  });
});

it("a vault that cannot be asked is told of, and asked about the same exchanges later", async () => {
  const { world, openings, record, leave, alerts } = await setUp();
  await record(1);
  world.tick(OPENING_WAIT_MS + 10);
  leave(true);
  await askAll(openings);
  expect(alerts()).toEqual([
    { code: "unavailable", reason: expect.stringContaining("the vault cannot be asked") },
  ]);
  const dueAt = openings.dueAt()!;
  expect(dueAt).toBeGreaterThan(world.now());
  leave(false);
  world.tick(dueAt - world.now());
  await askAll(openings);
  expect(alerts()).toEqual([{ code: "unopened", reason: expect.any(String) }]);
});

/** An alarm that the test calls. */
class HandAlarm implements Alarm {
  at: number | null = null;
  get = async () => this.at;
  set = async (atMs: number) => {
    this.at = atMs;
  };
  clear = async () => {
    this.at = null;
  };
}

describe("a ledger at rest", () => {
  async function open(
    vault: VaultPort | undefined,
    sql = openSqlite(":memory:"),
    archive = new MemoryArchive(),
    startMs = START_MS,
  ) {
    const [receiptKey, checkpointKey, anchorKey] = await Promise.all(
      ["receipt", "checkpoint", "anchor"].map(fixedKey),
    );
    const alarm = new HandAlarm();
    const clock = { ms: startMs };
    const key = makeNoteKey(ORIGIN, ED25519, checkpointKey!.publicKey);
    const writer = new LedgerWriter({
      issuer: ISSUER,
      ledger: { name: LEDGER, origin: ORIGIN, keys: [key] },
      identity: {
        receipt: receiptKey!.kid,
        checkpoint: formatVerifierKey(key),
        anchor: anchorKey!.kid,
        policy: "1f3870be",
      },
      signer: { key, sign: checkpointKey!.sign },
      receiptKeys: [receiptKey!.publicJwk],
      anchorKeys: [anchorKey!.publicJwk],
      alerts: { received_seconds: 300, started_seconds: 86_400 },
      ...(vault && { vault: { ...vault, retentionMs: 30 * DAY_MS } }),
      ...{ sql, alarm, archive, anchors: new MemoryArchive() },
      sync: async () => {},
      spool: {
        list: async () => [],
        read: async () => undefined,
        putIfAbsent: async () => true,
        delete: async () => {},
      },
      anchorWriter: { status: async () => ({}), arm: async () => {} },
      now: () => clock.ms,
      random: count => crypto.getRandomValues(new Uint8Array(count)),
      breathe: () => Promise.resolve(),
      report: () => {},
    });
    /** Calls the alarm until it is set for no time before this. */
    const wait = async (untilMs: number) => {
      while (alarm.at !== null && alarm.at < untilMs) {
        clock.ms = Math.max(clock.ms, alarm.at);
        await writer.onAlarm();
      }
      clock.ms = untilMs;
    };
    const append = () => {
      const time = new Date(clock.ms).toISOString();
      return writer.append([
        JSON.stringify({ iss: ISSUER, jti: firstJti(clock.ms), iat: 1, time, stage: "complete" }),
      ]);
    };
    return { writer, alarm, clock, wait, append };
  }

  it("wakes once to ask the vault, tells of what is lost, and rests again", async () => {
    const asked: string[][] = [];
    const missing = async (jtis: string[]) => {
      asked.push(jtis);
      return jtis;
    };
    const { writer, alarm, wait, append } = await open({ missing });
    await append();
    await wait(START_MS + 60_000);
    expect(alarm.at).toBe(START_MS + OPENING_WAIT_MS);
    await wait(START_MS + DAY_MS);
    expect(alarm.at).toBeNull();
    expect(asked.map(jtis => jtis.map(timeOfJti))).toEqual([[START_MS]]);
    expect((await writer.status()).alerts).toEqual([{ code: "unopened", reason: expect.any(String) }]);
  });

  it("publishes what comes meanwhile as soon as ever", async () => {
    const { writer, alarm, clock, wait, append } = await open({ missing: async () => [] });
    await append();
    await wait(START_MS + 60_000);
    await append();
    expect(alarm.at).toBeLessThanOrEqual(clock.ms + 1000);
    await wait(START_MS + 62_000);
    expect(await writer.status()).toMatchObject({ size: 3, published: 3, alerts: [] });
  });

  it("publishes what comes as soon as ever also when the vault is to be asked before long", async () => {
    const { alarm, clock, wait, append } = await open({ missing: async () => [] });
    await append();
    await wait(START_MS + 60_000);
    clock.ms = START_MS + OPENING_WAIT_MS - 5000;
    await append();
    expect(alarm.at).toBeLessThanOrEqual(clock.ms + 1000);
  });

  it("is woken by the next record when no alarm could be set", async () => {
    const { writer, alarm, append } = await open(undefined);
    const { set } = alarm;
    alarm.set = () => Promise.reject(new Error("storage is away"));
    await expect(writer.wake()).rejects.toThrow("storage is away");
    alarm.set = set;
    await append();
    expect(alarm.at).not.toBeNull();
  });

  it("asks nobody where no vault is kept, and says nothing of that time when one is kept later", async () => {
    const [sql, archive] = [openSqlite(":memory:"), new MemoryArchive()];
    const first = await open({ missing: async jtis => jtis }, sql, archive);
    await first.append();
    await first.wait(START_MS + DAY_MS);
    const without = await open(undefined, sql, archive, START_MS + DAY_MS);
    await without.append();
    await without.wait(START_MS + 2 * DAY_MS);
    expect((await without.writer.status()).alerts).toEqual([]);
    expect(without.alarm.at).toBeNull();
    const asked: string[] = [];
    const missing = async (jtis: string[]) => {
      asked.push(...jtis);
      return jtis;
    };
    const next = await open({ missing }, sql, archive, START_MS + 2 * DAY_MS);
    await next.append();
    await next.wait(START_MS + 3 * DAY_MS);
    expect(asked.map(timeOfJti)).toEqual([START_MS + 2 * DAY_MS]);
  });
});
