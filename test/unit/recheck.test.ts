// What a ledger does that starts on storage, archive and anchors which may contradict each other. An earlier
// state of storage is made by replaying the same appends: worlds are the same in every run.
import { describe, expect, it, vi } from "vitest";
import type { Sql } from "../../durable/sql.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { FIRST_ANCHOR_PREV, issueAnchor } from "../../src/receipt/anchor.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import type { FaultCode } from "../../src/tlog/fault.ts";
import {
  createWorld,
  fixedKey,
  ISSUER,
  LEDGER,
  MemoryArchive,
  plainJti,
  START_MS,
  type World,
} from "../world.ts";

const CHECKPOINT = `${LEDGER}/checkpoint`;
const ANCHOR = "anchors/0000000000.jws";
const NEXT_ANCHOR = "anchors/0000000001.jws";

/** What outlives a ledger. */
interface State {
  readonly sql: Sql;
  readonly anchorSql: Sql;
  readonly archive: MemoryArchive;
  readonly anchors: MemoryArchive;
}

function emptyState(archive = new MemoryArchive()): State {
  return {
    sql: openSqlite(":memory:"),
    anchorSql: openSqlite(":memory:"),
    archive,
    anchors: new MemoryArchive(),
  };
}

/** Grows the ledger of a state to so many entries, its genesis counted. `more` goes into every record. */
async function grow(state: State, size: number, more: object = {}): Promise<World> {
  const world = await createWorld(state);
  const from = Math.max(world.ledger.store.head().frontier.size, 1);
  await world.append(
    ...Array.from({ length: size - from }, (_, i) => ({ jti: plainJti(from + i), ...more })),
  );
  return world;
}

/** A state with so many entries, of which so many are published and let go. */
async function stateOf(published: number, size: number, state = emptyState()): Promise<State> {
  if (published > 0) {
    const world = await grow(state, published);
    await world.publish();
    world.ledger.prune();
  }
  await grow(state, size);
  return state;
}

/** Storage as it was with so many entries, before anything was published. */
async function storageOf(size: number, more: object = {}): Promise<Sql> {
  const state = emptyState();
  await grow(state, size, more);
  return state.sql;
}

async function anchor(state: State): Promise<void> {
  await (await createWorld(state)).anchor();
}

function newRecord(n: number): string {
  const time = new Date(START_MS).toISOString();
  return JSON.stringify({ iss: ISSUER, jti: plainJti(n), iat: 1, time, stage: "complete" });
}

/** Starts a ledger on a state and asks it for a place. */
async function restart(state: State): Promise<{ world: World; placement: Placement | undefined }> {
  const world = await createWorld(state);
  const [placement] = await world.ledger.append([newRecord(900_000)]);
  return { world, placement };
}

async function expectToGoOnAt(index: number, state: State): Promise<void> {
  const { world, placement } = await restart(state);
  expect(placement).toMatchObject({ index });
  expect(world.ledger.halted).toBeUndefined();
}

async function expectToHalt(code: FaultCode, reason: string, state: State): Promise<void> {
  const { world, placement } = await restart(state);
  expect(world.ledger.halted).toMatchObject({ code, message: expect.stringContaining(reason) });
  expect(placement).toEqual({
    refused: "halted",
    reason: `the ledger has halted: ${world.ledger.halted!.message}`,
  });
}

/** Puts other bytes in the place of what is published at a path. */
function damage(state: State, path: string, change: (bytes: Uint8Array) => Uint8Array): void {
  const key = `${LEDGER}/${path}`;
  state.archive.set(key, change(state.archive.objects.get(key)!.slice()));
}

function flipBit(bytes: Uint8Array): Uint8Array {
  bytes[40]! ^= 1;
  return bytes;
}

/** An archive that counts what is read of it, and that cannot be reached when it is told so. */
class DistantArchive extends MemoryArchive {
  reachable = true;
  reads = 0;
  /** What happens between the next read and its answer. */
  afterNextGet: (() => Promise<unknown>) | undefined;

  override async get(key: string) {
    if (!this.reachable) throw new Error("the archive is out of reach");
    this.reads++;
    const object = await super.get(key);
    const after = this.afterNextGet;
    this.afterNextGet = undefined;
    await after?.();
    return object;
  }
}

describe("a ledger that starts where all is well", () => {
  it.each([
    [0, 1],
    [1, 2],
    [255, 256],
    [256, 256],
    [256, 257],
    [300, 700],
    [700, 700],
  ])("goes on, with %i of its %i entries published", async (published, size) => {
    const state = await stateOf(published, size);
    await anchor(state);
    await expectToGoOnAt(size, state);
  });

  it("goes on when it was cut off between the checkpoint and the note of the published size", async () => {
    class Deaf extends MemoryArchive {
      override async replace(key: string, bytes: Uint8Array, version: string): Promise<boolean> {
        await super.replace(key, bytes, version);
        throw new Error("no answer");
      }
    }
    const state = await stateOf(300, 600, emptyState(new Deaf()));
    const world = await createWorld(state);
    await expect(world.publish()).rejects.toThrow("no answer");
    expect(world.ledger.store.published()).toBe(300);
    await anchor(state);
    await expectToGoOnAt(600, state);
  });

  it("goes on when it has grown and was published since the newest anchor", async () => {
    const state = await stateOf(300, 300);
    await anchor(state);
    await stateOf(700, 800, state);
    await expectToGoOnAt(800, state);
  });

  it("goes on when the newest anchor does not know it yet", async () => {
    const state = await stateOf(3, 3);
    const payload = {
      v: 1,
      iss: ISSUER,
      epoch: 0,
      time: new Date(START_MS).toISOString(),
      prev: FIRST_ANCHOR_PREV,
      ledgers: [],
      lock: { kind: "none" },
    };
    const text = await issueAnchor(payload, await fixedKey("anchor"));
    state.anchors.set(ANCHOR, new TextEncoder().encode(text));
    await expectToGoOnAt(3, state);
  });

  it("goes on when its tree is published anew, and let go, while it looks", async () => {
    const archive = new DistantArchive();
    const state = await stateOf(300, 700, emptyState(archive));
    const other = await createWorld(state);
    archive.afterNextGet = async () => {
      await other.publish();
      other.ledger.prune();
    };
    await expectToGoOnAt(700, state);
  });

  it("looks at the archive once, however many records come", async () => {
    const archive = new DistantArchive();
    const { world } = await restart(await stateOf(300, 300, emptyState(archive)));
    const { reads } = archive;
    expect(reads).toBeGreaterThan(0);
    await Promise.all([1, 2, 3].map(n => world.ledger.append([newRecord(800_000 + n)])));
    expect(archive.reads).toBe(reads);
  });
});

describe("a ledger that starts while something else stands at the next anchor's place", () => {
  it.each([
    ["bytes that are no anchor", async () => "what is this?"],
    ["an anchor by a key that nobody knows", async (text: string) => forge(text, { epoch: 1 }, "a stranger")],
    [
      "an anchor whose signature does not hold",
      async (text: string) => `${text.slice(0, -86)}${"A".repeat(86)}`,
    ],
    ["an older anchor once more", async (text: string) => text],
    ["an anchor that does not name the one before", async (text: string) => forge(text, { epoch: 1 })],
  ])("goes on, with %s: that says nothing of the ledger", async (_, make) => {
    const state = await stateOf(300, 300);
    await anchor(state);
    const text = new TextDecoder().decode(state.anchors.objects.get(ANCHOR));
    state.anchors.set(NEXT_ANCHOR, new TextEncoder().encode(await make(text)));
    const { world, placement } = await restart(state);
    expect(placement).toMatchObject({ index: 300 });
    expect(world.ledger.halted).toBeUndefined();
  });

  it("halts by a genuine one of which the anchor writer does not know, all the same", async () => {
    const state = await stateOf(300, 300);
    await anchor(state);
    const { anchorSql } = state;
    const rewound = anchorSql.all("SELECT epoch, text, done FROM anchor");
    await (await grow(state, 310)).publish();
    await anchor(state);
    state.anchors.set("anchors/0000000002.jws", new Uint8Array(7));
    anchorSql.all("DELETE FROM anchor WHERE epoch > 0");
    expect(anchorSql.all("SELECT epoch, text, done FROM anchor")).toEqual(rewound);
    const earlier = await stateOf(300, 300);
    await expectToHalt("rolled-back", "storage is older", { ...earlier, anchorSql, anchors: state.anchors });
  });
});

/** An anchor with other members, signed by whoever has a key of that label. */
async function forge(text: string, members: object, label = "anchor"): Promise<string> {
  const payload = JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString());
  return issueAnchor({ ...payload, ...members }, await fixedKey(label));
}

describe("a ledger that starts where something is wrong", () => {
  it("halts when its storage was rewound behind what is published", async () => {
    const state = await stateOf(700, 800);
    for (const size of [1, 300, 699]) {
      await expectToHalt("rolled-back", "storage is older than what was published", {
        ...state,
        sql: await storageOf(size),
      });
    }
  });

  it("halts when its storage is gone", async () => {
    const state = { ...(await stateOf(2, 2)), sql: openSqlite(":memory:") };
    await expectToHalt("rolled-back", "storage is older than what was published", state);
  });

  it("says how many entries were published and how many are left", async () => {
    const { world } = await restart({ ...(await stateOf(700, 800)), sql: await storageOf(300) });
    expect(world.ledger.halted).toMatchObject({ expected: "at least 700 entries", found: "300 entries" });
  });

  it("halts when the archive was rewound behind what storage has published", async () => {
    const state = await stateOf(300, 300);
    const early = state.archive.objects.get(CHECKPOINT)!;
    await stateOf(700, 800, state);
    state.archive.set(CHECKPOINT, early);
    await expectToHalt("rolled-back", "the archive is older than what storage has published", state);
  });

  it("halts when storage and archive were rewound together, behind the newest anchor", async () => {
    const state = await stateOf(700, 700);
    await anchor(state);
    const rewound = await stateOf(300, 300);
    await expectToHalt("rolled-back", "storage is older than what was published", {
      ...rewound,
      anchors: state.anchors,
    });
    await stateOf(300, 900, rewound);
    await expectToHalt("rolled-back", "the archive is older than the newest anchor", {
      ...rewound,
      anchors: state.anchors,
    });
  });

  it("halts when its storage holds another tree than the published one", async () => {
    const state = await stateOf(300, 300);
    for (const size of [300, 301, 900]) {
      const sql = await storageOf(size, { ms: 99 });
      await expectToHalt("forked", "storage does not continue the published tree", { ...state, sql });
    }
  });

  it("halts when its storage differs from the published tree in the newest entry only", async () => {
    const state = await stateOf(300, 300);
    const fork = emptyState();
    await grow(fork, 299);
    await grow(fork, 300, { ms: 99 });
    await expectToHalt("forked", "storage does not continue the published tree", { ...state, sql: fork.sql });
  });

  it("halts when the published tree does not continue the anchored one", async () => {
    const state = await stateOf(300, 300);
    await anchor(state);
    const fork = emptyState();
    await (await grow(fork, 500, { ms: 99 })).publish();
    await expectToHalt("forked", "another root for the tree of 300", { ...fork, anchors: state.anchors });
  });

  it("halts when its checkpoint is gone, as far as storage or the anchors know of one", async () => {
    const state = await stateOf(300, 400);
    await anchor(state);
    const archive = new MemoryArchive();
    await expectToHalt("missing", "its checkpoint is gone", { ...state, archive });
    await expectToHalt("missing", "anchors/0000000000.jws: is gone", {
      ...state,
      archive,
      anchors: new MemoryArchive(),
    });
    await expectToHalt("missing", "its checkpoint is gone", {
      ...state,
      archive,
      sql: openSqlite(":memory:"),
    });
  });

  it.each<[string, FaultCode, string, string, (bytes: Uint8Array) => Uint8Array]>([
    [
      "a published hash was altered",
      "tampered",
      "do not make up the signed root",
      "tile/0/001.p/44",
      flipBit,
    ],
    ["a higher tile was altered", "tampered", "do not make up", "tile/1/000.p/1", bytes => bytes.fill(7)],
    ["a tile was cut short", "malformed", "not 44 hashes", "tile/0/001.p/44", bytes => bytes.subarray(32)],
    ["the checkpoint was altered", "bad-signature", "does not fit", "checkpoint", raiseSize],
    ["the checkpoint is no checkpoint", "malformed", "note", "checkpoint", () => new Uint8Array([1, 2, 3])],
  ])("halts when %s", async (_what, code, reason, path, change) => {
    const state = await stateOf(300, 300);
    damage(state, path, change);
    await expectToHalt(code, reason, state);
  });

  it("halts when a tile of the published tree's edge is gone", async () => {
    const state = await stateOf(300, 300);
    await state.archive.delete([`${LEDGER}/tile/0/001.p/44`]);
    await expectToHalt("missing", "tile/0/001.p/44", state);
  });

  it("halts when the newest anchor is not signed by its own key", async () => {
    const state = await stateOf(300, 300);
    await anchor(state);
    const text = new TextDecoder().decode(state.anchors.objects.get(ANCHOR));
    const [header, payload] = text.split(".") as [string, string];
    const forged = `${header}.${payload}.${Buffer.alloc(64).toString("base64url")}`;
    state.anchors.set(ANCHOR, new TextEncoder().encode(forged));
    await expectToHalt("bad-signature", "anchor 0", state);
  });

  it("has not written anything by halting", async () => {
    const state = await stateOf(300, 400);
    const objects = new Map(state.archive.objects);
    const sql = await storageOf(200);
    const { world } = await restart({ ...state, sql });
    expect(world.ledger.store.head().frontier.size).toBe(200);
    await expect(world.publish()).rejects.toMatchObject({ code: "rolled-back" });
    expect([...state.archive.objects.keys()]).toEqual([...objects.keys()]);
    for (const [key, bytes] of objects) expect(state.archive.objects.get(key)).toBe(bytes);
  });
});

describe("a ledger that has halted", () => {
  it("refuses every record with the reason, known ones too, and keeps refusing", async () => {
    const state = await stateOf(300, 400);
    damage(state, "tile/0/001.p/44", flipBit);
    const { world } = await restart(state);
    const known = JSON.stringify({ jti: plainJti(5) });
    for (let round = 0; round < 2; round++) {
      const placements = await world.ledger.append([newRecord(1), known, "not even JSON"]);
      const refused = {
        refused: "halted",
        reason: expect.stringContaining("do not make up the signed root"),
      };
      expect(placements).toEqual([refused, refused, refused]);
    }
    expect(world.ledger.store.head().frontier.size).toBe(400);
  });

  it("still finds entries, those in storage and those in the archive", async () => {
    const state = await stateOf(300, 400);
    damage(state, "tile/0/001.p/44", flipBit);
    const { world } = await restart(state);
    expect(world.ledger.store.entries(5, 6)).toEqual([]);
    for (const n of [5, 255, 256, 399]) {
      const [entry] = await world.ledger.find(plainJti(n));
      const [header, record] = entry!.split(".").map(part => Buffer.from(part, "base64url").toString());
      expect(JSON.parse(header!).index).toBe(n);
      expect(JSON.parse(record!).jti).toBe(plainJti(n));
    }
  });

  it("says first why it halted, whatever is found later", async () => {
    const state = await stateOf(300, 300);
    const { world } = await restart({ ...state, sql: await storageOf(200) });
    const first = world.ledger.halted!;
    await world.publish().catch(error => world.ledger.halt(error));
    expect(world.ledger.halted).toBe(first);
  });
});

describe("a ledger that starts while the archive is out of reach", () => {
  it("takes nothing, does not call it a contradiction, and goes on when the archive is back", async () => {
    const archive = new DistantArchive();
    const state = await stateOf(300, 300, emptyState(archive));
    const world = await createWorld(state);
    archive.reachable = false;
    for (let tries = 0; tries < 2; tries++) {
      await expect(world.ledger.append([newRecord(1)])).rejects.toThrow("the archive is out of reach");
    }
    expect(world.ledger.halted).toBeUndefined();
    expect(world.ledger.store.head().frontier.size).toBe(300);
    archive.reachable = true;
    expect(await world.ledger.append([newRecord(900_000)])).toMatchObject([{ index: 300 }]);
  });

  it("compares once the archive is back, and halts then if it must", async () => {
    const archive = new DistantArchive();
    const state = await stateOf(300, 300, emptyState(archive));
    const world = await createWorld({ ...state, sql: await storageOf(200) });
    archive.reachable = false;
    await expect(world.ledger.append([newRecord(1)])).rejects.toThrow("the archive is out of reach");
    archive.reachable = true;
    expect(await world.ledger.append([newRecord(1)])).toMatchObject([{ refused: "halted" }]);
    expect(world.ledger.halted?.code).toBe("rolled-back");
  });

  it("answers all who ask meanwhile", async () => {
    const archive = new DistantArchive();
    const world = await createWorld(await stateOf(300, 300, emptyState(archive)));
    archive.reachable = false;
    const results = await Promise.allSettled([1, 2, 3].map(n => world.ledger.append([newRecord(n)])));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  });
});

describe("a ledger whose storage is put back while it runs", () => {
  /** A storage that can be put back under whoever uses it. */
  function putBackSql(): Sql & { current: Sql } {
    return {
      current: openSqlite(":memory:"),
      all(statement, ...values) {
        return this.current.all(statement, ...values);
      },
      transaction(work) {
        return this.current.transaction(work);
      },
    };
  }

  /** A ledger that runs, with so many entries, of which so many are published; then its storage becomes another. */
  async function runOver(published: number, size: number, back: Sql): Promise<World> {
    const sql = putBackSql();
    const state = { ...emptyState(), sql };
    if (published > 0) await stateOf(published, published, state);
    const world = await grow(state, size);
    sql.current = back;
    return world;
  }

  async function expectHalt(world: World, size: number, code: FaultCode, reason: string): Promise<void> {
    await expect(world.ledger.append([newRecord(900_000)])).rejects.toThrow(/storage is no longer/);
    for (let round = 0; round < 2; round++) {
      expect(await world.ledger.append([newRecord(900_001 + round)])).toMatchObject([{ refused: "halted" }]);
    }
    expect(world.ledger.halted).toMatchObject({ code, message: expect.stringContaining(reason) });
    expect(world.ledger.store.head().frontier.size).toBe(size);
  }

  it("halts when the archive has seen more, and gives out no index twice", async () => {
    for (const size of [1, 299]) {
      const world = await runOver(300, 300, await storageOf(size));
      await expectHalt(world, size, "rolled-back", "storage is older than what");
    }
  });

  it("halts when only itself has seen more", async () => {
    for (const [published, size] of [
      [0, 250],
      [300, 300],
      [300, 349],
    ] as const) {
      const world = await runOver(published, 350, await storageOf(size));
      await expectHalt(world, size, "rolled-back", "storage is older than what this instance has committed");
    }
  });

  it("halts when storage has as many entries as it had, and others", async () => {
    const world = await runOver(0, 300, await storageOf(300, { ms: 99 }));
    await expectHalt(world, 300, "forked", "storage holds other entries than this instance has committed");
  });

  it("goes on when storage is put back to what it was", async () => {
    const world = await runOver(0, 350, await storageOf(350));
    expect(await world.ledger.append([newRecord(900_000)])).toMatchObject([{ index: 350 }]);
    expect(world.ledger.halted).toBeUndefined();
  });

  it("looks at the archive again after a commit that failed, and only then", async () => {
    const archive = new DistantArchive();
    const { sql, ...others } = await stateOf(300, 300, emptyState(archive));
    let full = false;
    const all: Sql["all"] = (statement, ...values) => {
      if (full && statement.startsWith("INSERT")) throw new Error("the disk is full");
      return sql.all(statement, ...values);
    };
    archive.reads = 0;
    const { world } = await restart({ ...others, sql: { ...sql, all } });
    const { reads } = archive;
    full = true;
    await expect(world.ledger.append([newRecord(900_001)])).rejects.toThrow("the disk is full");
    full = false;
    archive.reachable = false;
    await expect(world.ledger.append([newRecord(900_001)])).rejects.toThrow("the archive is out of reach");
    archive.reachable = true;
    expect(await world.ledger.append([newRecord(900_001)])).toMatchObject([{ index: 301 }]);
    expect(archive.reads).toBe(2 * reads);
    await world.ledger.append([newRecord(900_002)]);
    expect(archive.reads).toBe(2 * reads);
  });
});

/** A checkpoint that claims one entry more than was signed. */
function raiseSize(bytes: Uint8Array): Uint8Array {
  return new TextEncoder().encode(new TextDecoder().decode(bytes).replace("\n300\n", "\n301\n"));
}

it("a long tail that is not published is compared some of it at a time", async () => {
  const state = await stateOf(300, 400);
  const { ledger } = await createWorld(state);
  const record = (n: number) => {
    const time = new Date(START_MS).toISOString();
    return JSON.stringify({ iss: ISSUER, jti: plainJti(n), iat: 1, time, stage: "complete" });
  };
  for (let n = 1000; n < 6000; n += 1000) {
    await ledger.append(Array.from({ length: 1000 }, (_, i) => record(n + i)));
  }
  const next = await createWorld(state);
  const hashes = vi.spyOn(next.ledger.store, "hashes");
  await next.ledger.check();
  expect(next.ledger.halted).toBeUndefined();
  const asked = hashes.mock.calls.map(([, from, to]) => to - from);
  expect(asked.reduce((sum, count) => sum + count, 0)).toBe(5100);
  expect(Math.max(...asked)).toBeLessThanOrEqual(4096);
});
