// The spool is drained whole, whatever stops it and wherever; and it takes nothing from strangers.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { listSpoolAlerts } from "../../durable/alerts.ts";
import { DRAIN_RECORDS_MAX, Spool, type SpoolStore } from "../../durable/spool.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import { makeJti } from "../../src/receipt/jti.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import { issuePromise } from "../../src/receipt/promise.ts";
import { formatSpoolPath } from "../../src/receipt/spool.ts";
import { createWorld, fixedKey, ISSUER, LEDGER, ORIGIN, START_MS, type World } from "../world.ts";

/** A store in memory that can be stopped at the n-th step, before it is done or after. */
class BreakingStore implements SpoolStore {
  readonly objects = new Map<string, Uint8Array>();
  #left = Number.POSITIVE_INFINITY;
  #isDone = false;

  breakAt(step: number, isDone: boolean): void {
    this.#left = step;
    this.#isDone = isDone;
  }

  mend(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** Runs a step, unless it is the one at which everything stops: from then on nothing is done any more. */
  async step<T>(run: () => T | Promise<T>): Promise<T> {
    if (this.#left < 0) throw new Error("stopped");
    if (this.#left-- > 0) return run();
    if (this.#isDone) await run();
    throw new Error("stopped");
  }

  list(prefix: string, count: number): Promise<string[]> {
    return this.step(() =>
      [...this.objects.keys()]
        .filter(key => key.startsWith(prefix))
        .sort()
        .slice(0, count),
    );
  }

  read(key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    return this.step(() => this.objects.get(key)?.slice(0, bytesMax));
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    return this.step(() => {
      // As R2 and S3 have it.
      if (key.length > 1024) throw new Error("the key is longer than 1024 bytes");
      if (this.objects.has(key)) return false;
      this.objects.set(key, bytes);
      return true;
    });
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.step(() => {
      for (const key of keys) this.objects.delete(key);
    });
  }

  /** The keys in one folder. */
  in(folder: string): string[] {
    return [...this.objects.keys()].filter(key => key.startsWith(`${folder}/`)).sort();
  }
}

function record(n: number, more: object = {}): string {
  const jti = makeJti(START_MS + n, createHash("sha256").update(`${n}`).digest().subarray(0, 16));
  const time = new Date(START_MS + n).toISOString();
  return JSON.stringify({
    iss: ISSUER,
    jti,
    iat: Math.floor(START_MS / 1000),
    time,
    stage: "complete",
    ...more,
  });
}

async function put(store: BreakingStore, world: World, text: string, seconds = 3600): Promise<string> {
  const path = formatSpoolPath(LEDGER, text);
  const promise = await issuePromise(text, ORIGIN, seconds, world.receiptKey);
  store.objects.set(path, new TextEncoder().encode(promise));
  return path;
}

const BUSY: Placement = { refused: "busy", reason: "too much" };

/** @param append takes records in the place of the ledger. */
function openSpool(
  store: BreakingStore,
  world: World,
  append = (records: readonly string[]): Promise<Placement[]> =>
    store.step(() => world.ledger.append(records)),
): Spool {
  return new Spool({
    store,
    name: LEDGER,
    origin: ORIGIN,
    keys: world.trust.receiptKeys,
    now: world.now,
    append,
    report: () => {},
  });
}

/** The records of the ledger, without its own history but for what it tells of the spool. */
function recordsOf({
  ledger,
}: World): { jti: string; stage: string; text: string; control?: object | undefined }[] {
  const size = ledger.store.head().frontier.size;
  return ledger.store
    .entries(0, size)
    .map(({ text }) => ({
      ...parseEntry(text).record,
      text: Buffer.from(text.split(".")[1]!, "base64url").toString(),
    }))
    .filter(({ control }) => control === undefined || control.type === "entered-late");
}

describe("the spool", () => {
  it("is entered in the order of the exchanges, and of the stages of each", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    const exchange = (n: number) => [
      record(n, { stage: "received" }),
      record(n, { stage: "started" }),
      record(n, { stage: "interim", seq: 1 }),
      record(n),
    ];
    const texts = [1, 2, 3].flatMap(exchange);
    for (const text of [...texts].reverse()) await put(store, world, text);
    expect(await openSpool(store, world).drain()).toBe(false);
    expect(recordsOf(world).map(({ text }) => text)).toEqual(texts);
    expect(store.objects.size).toBe(0);
  });

  it("takes more than one look when there is a great deal", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    for (let n = 0; n < DRAIN_RECORDS_MAX + 5; n++) await put(store, world, record(n));
    const spool = openSpool(store, world);
    expect(await spool.drain()).toBe(true);
    expect(spool.state).toMatchObject({
      waiting: 5,
      oldest: new Date(START_MS + DRAIN_RECORDS_MAX).toISOString(),
    });
    expect(await spool.drain()).toBe(false);
    expect(recordsOf(world)).toHaveLength(DRAIN_RECORDS_MAX + 5);
  });

  it("loses nothing and takes nothing twice, wherever it is stopped", async () => {
    const stopped = { before: 0, after: 0 };
    for (let step = 0; ; step++) {
      let isOver = false;
      for (const isDone of [false, true]) {
        const [world, store] = [await createWorld(), new BreakingStore()];
        // One is in the ledger already, one comes too late, one will be refused, one is of a stranger.
        const known = record(1);
        await world.ledger.append([known]);
        const late = record(2, { stage: "failed" });
        const conflicting = record(3);
        await world.ledger.append([record(3, { ms: 7 })]);
        await put(store, world, known);
        await put(store, world, late, -3600);
        await put(store, world, conflicting);
        await put(store, world, record(4));
        store.objects.set(`spool/${LEDGER}/stranger`, new TextEncoder().encode("a.b.c"));

        store.breakAt(step, isDone);
        const spool = openSpool(store, world);
        await spool.drain();
        isOver = spool.state.trouble === undefined;
        if (!isOver) stopped[isDone ? "after" : "before"]++;
        store.mend();
        expect(await openSpool(store, world).drain()).toBe(false);

        const records = recordsOf(world);
        const names = records.map(({ jti, stage }) => `${stage} of ${jti}`);
        expect(new Set(names).size).toBe(names.length);
        expect(records.map(({ text }) => text)).toEqual(expect.arrayContaining([known, late, record(4)]));
        expect(records.filter(({ control }) => control !== undefined)).toHaveLength(1);
        expect(store.in("spool")).toEqual([]);
        expect(store.in("refused")).toHaveLength(2);
      }
      if (isOver) break;
    }
    // list, reads, set aside, append, tell, delete, and the two looks afterwards: each was stopped at.
    expect(stopped.before).toBeGreaterThanOrEqual(14);
    expect(stopped.after).toBe(stopped.before);
  });

  it("tells of a record that was promised for an earlier time", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    await put(store, world, record(1), -60);
    await openSpool(store, world).drain();
    const [entered, told] = recordsOf(world);
    expect(entered!.jti).toBe(JSON.parse(record(1)).jti);
    expect(told).toMatchObject({
      jti: entered!.jti,
      stage: "control",
      control: {
        type: "entered-late",
        step: "complete",
        promise: new Date(START_MS + 1 - 60_000).toISOString(),
      },
    });
  });

  it.each<[string, (store: BreakingStore, world: World) => Promise<unknown>]>([
    [
      "is signed by another key",
      async (store, world) => {
        world.tick(2 * 3600_000);
        const text = record(1);
        const promise = await issuePromise(text, ORIGIN, 60, await fixedKey("stranger"));
        store.objects.set(formatSpoolPath(LEDGER, text), new TextEncoder().encode(promise));
      },
    ],
    [
      "is for another ledger",
      async (store, world) => {
        const text = record(1);
        const promise = await issuePromise(text, "api.example.com/audit/other", 60, world.receiptKey);
        store.objects.set(formatSpoolPath(LEDGER, text), new TextEncoder().encode(promise));
      },
    ],
    [
      "lies at another path than its own",
      async (store, world) => {
        const path = await put(store, world, record(1));
        store.objects.set(`spool/${LEDGER}/0-first`, store.objects.get(path)!);
        store.objects.delete(path);
      },
    ],
    [
      "would have the ledger say that entries have had their time",
      (store, world) =>
        put(store, world, record(1, { stage: "control", control: { type: "pruned", minimum: 1 } })),
    ],
    [
      "lies at a path as long as there can be",
      async store => store.objects.set(`spool/${LEDGER}/`.padEnd(1024, "x"), new Uint8Array([1])),
    ],
    ["is no promise", async store => store.objects.set(`spool/${LEDGER}/x`, new Uint8Array([0xff, 0, 1]))],
    [
      "is larger than any",
      async store => store.objects.set(`spool/${LEDGER}/x`, new Uint8Array(100_000).fill(46)),
    ],
    [
      "is of an exchange that the ledger has forgotten",
      async (store, world) => {
        world.tick(31 * 86_400_000);
        await world.ledger.append([record(31 * 86_400_000)]);
        await put(store, world, record(1));
      },
    ],
  ])("sets aside what %s, enters the rest, and says so", async (_, prepare) => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    await prepare(store, world);
    const good = record(31 * 86_400_000 - 5);
    if (_.includes("forgotten")) await put(store, world, good);
    else await put(store, world, record(2), 86_400);
    const before = recordsOf(world).length;
    const spool = openSpool(store, world);
    expect(await spool.drain()).toBe(false);
    expect(recordsOf(world)).toHaveLength(before + 1);
    expect(store.in("refused")).toHaveLength(1);
    expect(spool.state.refused).toBe(1);
  });

  it("leaves what an unknown key has signed for an hour: it may be one that the edge was told of before", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    const next = await fixedKey("receipt-1");
    const text = record(1);
    const promise = await issuePromise(text, ORIGIN, 60, next);
    store.objects.set(formatSpoolPath(LEDGER, text), new TextEncoder().encode(promise));
    const spool = openSpool(store, world);
    expect(await spool.drain()).toBe(true);
    expect(spool.state).toMatchObject({ waiting: 1, refused: 0 });
    const retired = { receipt: [{ ...world.receiptKey.publicJwk, exp: START_MS / 1000 + 60 }] };
    const after = await createWorld({
      receiptKey: next,
      retired: { ...retired, checkpoint: [], anchor: [] },
    });
    expect(await openSpool(store, after).drain()).toBe(false);
    expect(recordsOf(after)).toHaveLength(1);
  });

  it("enters what a retired key has signed for seven days, and sets it aside after that", async () => {
    const retired = { ...(await fixedKey("receipt")).publicJwk, exp: START_MS / 1000 + 60 };
    for (const [days, entered] of [
      [6, 1],
      [8, 0],
    ] as const) {
      const [old, store] = [await createWorld(), new BreakingStore()];
      await put(store, old, record(1));
      const options = { receiptKey: await fixedKey("receipt-1"), startMs: START_MS + days * 86_400_000 };
      const world = await createWorld({
        ...options,
        retired: { receipt: [retired], checkpoint: [], anchor: [] },
      });
      expect(await openSpool(store, world).drain()).toBe(false);
      expect(recordsOf(world).filter(({ control }) => control === undefined)).toHaveLength(entered);
      expect(store.in("refused")).toHaveLength(1 - entered);
    }
  });

  it("leaves everything where it is when the ledger is busy or has halted", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    await put(store, world, record(1));
    const spool = openSpool(store, world, async records => records.map(() => BUSY));
    expect(await spool.drain()).toBe(true);
    expect(store.in("spool")).toHaveLength(1);
    expect(spool.state).toMatchObject({ waiting: 1, refused: 0, trouble: "too much" });
  });

  it("keeps a promise that is entered late until the ledger has been told of that", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    await put(store, world, record(1), -60);
    let isBusy = true;
    const spool = openSpool(store, world, async records =>
      isBusy && records[0]!.includes("entered-late") ? records.map(() => BUSY) : world.ledger.append(records),
    );
    expect(await spool.drain()).toBe(true);
    expect(spool.state.trouble).toBe("too much");
    isBusy = false;
    expect(await spool.drain()).toBe(false);
    expect(recordsOf(world).map(({ control }) => control !== undefined)).toEqual([false, true]);
  });

  it("does not tell everybody the paths of this machine when it cannot be read", async () => {
    const world = await createWorld();
    const store = new BreakingStore();
    const away = () =>
      Promise.reject(Object.assign(new Error("EACCES: scandir '/srv/secret'"), { code: "EACCES" }));
    store.list = away;
    const spool = openSpool(store, world);
    await spool.look();
    expect(JSON.stringify(listSpoolAlerts(spool.state, START_MS))).not.toContain("secret");
    expect(spool.state.trouble).toContain("EACCES");
  });

  it("raises an alert once the time that a waiting promise states has passed, and only then", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    await put(store, world, record(1), 60);
    await put(store, world, record(2), 20);
    await put(store, world, record(3), 3600);
    store.objects.set(`spool/${LEDGER}/stranger`, new TextEncoder().encode("a.b.c"));
    const spool = openSpool(store, world);
    expect(await spool.look()).toBe(true);
    const brokenAt = (ms: number) =>
      listSpoolAlerts(spool.state, ms).find(({ code }) => code === "promise-broken")?.reason;
    expect(brokenAt(START_MS + 2 + 20_000)).toBeUndefined();
    const oldest = new Date(START_MS + 2 + 20_000).toISOString();
    expect(brokenAt(START_MS + 2 + 20_001)).toMatch(
      new RegExp(`^at least 1 record.*; the oldest by ${oldest}$`),
    );
    expect(brokenAt(START_MS + 61_000)).toMatch(
      new RegExp(`^at least 2 records.*; the oldest by ${oldest}$`),
    );
    // Looking has entered nothing and set nothing aside; entering them ends the alert.
    expect(store.in("spool")).toHaveLength(4);
    expect(recordsOf(world)).toEqual([]);
    expect(await spool.drain()).toBe(false);
    expect(brokenAt(START_MS + 61_000)).toBeUndefined();
  });

  it("reads a promise that goes on waiting only once", async () => {
    const [world, store] = [await createWorld(), new BreakingStore()];
    const path = await put(store, world, record(1), 60);
    const spool = openSpool(store, world);
    await spool.look();
    // Even what is there instead later does not take the alert away: the path tells the record.
    store.objects.set(path, new Uint8Array(3));
    await spool.look();
    expect(spool.state.deadlines).toEqual([new Date(START_MS + 1 + 60_000).toISOString()]);
  });
});
