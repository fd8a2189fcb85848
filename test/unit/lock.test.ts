// What an anchor says of its lock: rules as an API tells them, a canary that is tried on, and anchors that are
// written all the same. The API and the locking bucket are stand-ins that answer as Cloudflare documents.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { BucketLock, type LockedBucket } from "../../durable/lock.ts";
import { describeLock } from "../../src/client/standing.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { createWorld, START_MS } from "../world.ts";

// By a name that the compiler does not follow: the binding's types are those of another platform than the test's.
const STORES: string = "../../src/hosts/stores.ts";
const { lockedBucket } = (await import(STORES)) as { lockedBucket(bucket: unknown): LockedBucket };

const DAY_S = 24 * 3600;
const TOKEN = "a-token-that-may-read";
const AGE = { id: "all", enabled: true, condition: { type: "Age", maxAgeSeconds: 30 * DAY_S } };

/** An R2 bucket as far as the canary sees it: what is in it cannot be overwritten or deleted while it is locked. */
class Bucket {
  readonly objects = new Map<string, Uint8Array>();
  locked = true;
  /** An error that the next write meets, whatever it is. */
  trouble: string | undefined;

  async put(key: string, bytes: Uint8Array, options: { onlyIf?: object; sha256?: ArrayBuffer } = {}) {
    this.#meetTrouble();
    if (options.sha256 !== undefined) {
      const found = createHash("sha256").update(bytes).digest();
      if (!found.equals(Buffer.from(options.sha256)))
        throw new Error("put: The SHA-256 checksum you specified did not match what we received. (10037)");
    }
    if (this.objects.has(key)) {
      if (options.onlyIf !== undefined) return null;
      if (this.locked) throw new Error("put: The object is locked by the bucket policy. (10069)");
    }
    this.objects.set(key, bytes);
    return { key };
  }

  async delete(key: string) {
    this.#meetTrouble();
    if (this.locked && this.objects.has(key))
      throw new Error("delete: The object is locked by the bucket policy. (10069)");
    this.objects.delete(key);
  }

  #meetTrouble() {
    const { trouble } = this;
    this.trouble = undefined;
    if (trouble !== undefined) throw new Error(trouble);
  }
}

let bucket: Bucket;
let now: number;
let answer: { status: number; body: string };
let asked: string[];

beforeEach(() => {
  bucket = new Bucket();
  now = START_MS;
  asked = [];
  tell([AGE]);
});

function tell(rules: readonly object[] | undefined) {
  answer = {
    status: 200,
    body: JSON.stringify({ success: true, errors: [], messages: [], result: { rules } }),
  };
}

async function setUp(options: { retentionSeconds?: number; waitMs?: number } = {}) {
  const api = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    if (answer.status === 0) return; // never answers
    response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
  }).listen(0, "127.0.0.1");
  await once(api, "listening");
  onTestFinished(() => {
    api.close();
    api.closeAllConnections();
  });
  return new BucketLock({
    sql: openSqlite(":memory:"),
    // The binding's own adapter is what is tested, over a bucket that locks.
    bucket: lockedBucket(bucket),
    rulesUrl: `http://127.0.0.1:${(api.address() as AddressInfo).port}/accounts/one/r2/buckets/anchors/lock`,
    token: TOKEN,
    retentionSeconds: options.retentionSeconds ?? 30 * DAY_S,
    now: () => now,
    fetch: (url, init) => fetch(url, init),
    ...(options.waitMs !== undefined && { waitMs: options.waitMs }),
  });
}

const messages = (troubles: readonly Error[]) => troubles.map(({ message }) => message);

describe("the lock of a bucket", () => {
  it("is told of with the text and the hash of its rules, as they were read", async () => {
    const lock = await setUp();
    const { evidence, troubles } = await lock.look();
    const text = JSON.stringify([AGE]);
    expect(evidence).toMatchObject({
      kind: "r2-bucket-lock",
      rules: {
        text,
        sha256: createHash("sha256").update(text).digest("base64url"),
        holds_seconds: 30 * DAY_S,
        read_at: new Date(START_MS).toISOString(),
      },
    });
    expect(troubles).toEqual([]);
    expect(asked).toEqual([`GET /accounts/one/r2/buckets/anchors/lock Bearer ${TOKEN}`]);
  });

  it.each([
    ["indefinitely", [{ ...AGE, condition: { type: "Indefinite" } }], "indefinitely"],
    [
      "for longer than was asked",
      [{ ...AGE, condition: { type: "Age", maxAgeSeconds: 31 * DAY_S } }],
      31 * DAY_S,
    ],
    [
      "by the strictest of several rules",
      [{ ...AGE, condition: { type: "Age", maxAgeSeconds: 1 } }, AGE],
      30 * DAY_S,
    ],
  ])("may hold %s", async (_, rules, holds) => {
    tell(rules);
    const { evidence, troubles } = await (await setUp()).look();
    expect([evidence, troubles]).toEqual([
      expect.objectContaining({ rules: expect.objectContaining({ holds_seconds: holds }) }),
      [],
    ]);
  });

  it.each([
    ["no rules", undefined],
    ["no rule at all", []],
    ["a shorter time", [{ ...AGE, condition: { type: "Age", maxAgeSeconds: 29 * DAY_S } }]],
    ["a rule that is switched off", [{ ...AGE, enabled: false }]],
    ["a rule for some of the objects", [{ ...AGE, prefix: "canary/" }]],
    [
      "a date, which says nothing of what comes after it",
      [{ ...AGE, condition: { type: "Date", date: "2099-01-01T00:00:00Z" } }],
    ],
  ])("is called too weak with %s", async (_, rules) => {
    tell(rules);
    const { troubles } = await (await setUp()).look();
    expect(messages(troubles)).toEqual([
      expect.stringContaining("expected to hold everything for 2592000 s"),
    ]);
  });

  it("is called too weak for ever when for ever was asked for", async () => {
    const { troubles } = await (await setUp({ retentionSeconds: Number.POSITIVE_INFINITY })).look();
    expect(messages(troubles)).toEqual([expect.stringContaining("for Infinity s, found 2592000 s")]);
  });

  it.each([
    ["refuses the token", { status: 403, body: '{"success":false,"errors":[{"code":10000}]}' }],
    ["fails", { status: 500, body: "oops" }],
    [
      "answers in another form",
      { status: 200, body: '{"success":true,"result":{"rules":[{"condition":{"type":"New"}}]}}' },
    ],
    ["answers without an end", { status: 200, body: "x".repeat(300_000) }],
    ["never answers", { status: 0, body: "" }],
  ])("is not known when the API %s; the canary is tried all the same", async (_, answered) => {
    answer = answered;
    const lock = await setUp({ waitMs: answered.status === 0 ? 1 : 60_000 });
    await lock.look();
    const { evidence, troubles } = await lock.look();
    expect(evidence).toEqual({
      kind: "r2-bucket-lock",
      canary: expect.objectContaining({ overwrite: "refused" }),
    });
    expect(troubles).toHaveLength(1);
  });
});

describe("the canary", () => {
  it("is put at one time, tried at a later one, and once a day", async () => {
    const lock = await setUp();
    expect((await lock.look()).evidence).not.toHaveProperty("canary");
    expect([...bucket.objects.keys()]).toEqual(["canary/2026-11-21"]);
    now += 60_000;
    const canary = {
      day: "2026-11-21",
      overwrite: "refused",
      removal: "refused",
      at: new Date(now).toISOString(),
    };
    const { evidence } = await lock.look();
    expect(evidence).toMatchObject({ canary });
    expect(describeLock(evidence)).toContain(", canary refused, ");
    now += 60_000;
    bucket.locked = false;
    expect(await lock.look()).toMatchObject({ evidence: { canary }, troubles: [] });
    now += DAY_S * 1000;
    await lock.look();
    now += 60_000;
    expect((await lock.look()).evidence).toMatchObject({
      canary: { day: "2026-11-22", overwrite: "accepted" },
    });
  });

  it("tells of a lock that holds nothing", async () => {
    bucket.locked = false;
    const lock = await setUp();
    await lock.look();
    const { evidence, troubles } = await lock.look();
    expect(evidence).toMatchObject({ canary: { overwrite: "accepted", removal: "accepted" } });
    expect(messages(troubles)).toEqual([
      "the lock does not hold: the canary was overwritten",
      "the lock does not hold: the canary was deleted",
    ]);
  });

  it("tells when it was deleted before it was tried, until one has been held again", async () => {
    const lock = await setUp();
    await lock.look();
    bucket.objects.clear();
    const gone = {
      evidence: { canary: { day: "2026-11-21", removal: "accepted", at: new Date(now).toISOString() } },
      troubles: [new Error("the lock does not hold: the canary was deleted")],
    };
    expect(await lock.look()).toMatchObject(gone);
    const { evidence } = await lock.look();
    expect(evidence).not.toHaveProperty("canary.overwrite");
    expect(describeLock(evidence)).toContain(", canary accepted, ");
    expect(bucket.objects.size).toBe(1);
    now += DAY_S * 1000;
    expect(await lock.look()).toMatchObject(gone);
    expect(await lock.look()).toMatchObject({ evidence: { canary: { removal: "refused" } }, troubles: [] });
  });

  it.each([
    ["tried", 1],
    ["only put", 0],
  ])("tells the next day when it was deleted after it was %s, and all day", async (_, tries) => {
    const lock = await setUp();
    await lock.look();
    for (let i = 0; i < tries; i++) await lock.look();
    bucket.objects.clear();
    now += DAY_S * 1000;
    for (let i = 0; i < 2; i++)
      expect(await lock.look()).toMatchObject({
        evidence: { canary: { day: "2026-11-22", removal: "accepted" } },
        troubles: [new Error("the lock does not hold: the canary was deleted")],
      });
    now += DAY_S * 1000;
    await lock.look();
    expect(await lock.look()).toMatchObject({ evidence: { canary: { removal: "refused" } }, troubles: [] });
  });

  it("may be gone once its time under the lock is over", async () => {
    const lock = await setUp();
    await lock.look();
    await lock.look();
    bucket.objects.clear();
    now += 31 * DAY_S * 1000;
    expect((await lock.look()).troubles).toEqual([]);
    expect((await lock.look()).troubles).toEqual([]);
  });

  it("takes a write that came too soon for no refusal by a lock, and is tried again", async () => {
    const lock = await setUp();
    await lock.look();
    // The put-if-absent passes, the overwrite is one write too many.
    const put = bucket.put.bind(bucket);
    let puts = 0;
    bucket.put = async (...args: Parameters<Bucket["put"]>) => {
      if (++puts === 2)
        throw new Error("put: Reduce your concurrent request rate for the same object. (10058)");
      return put(...args);
    };
    const { evidence, troubles } = await lock.look();
    expect(evidence).not.toHaveProperty("canary");
    expect(messages(troubles)).toEqual([expect.stringContaining("10058")]);
    expect((await lock.look()).evidence).toMatchObject({ canary: { overwrite: "refused" } });
  });

  it("is there already when a lock refuses to have it put again", async () => {
    const lock = await setUp();
    await lock.look();
    bucket.trouble = "put: The object is locked by the bucket policy. (10069)";
    expect((await lock.look()).evidence).toMatchObject({ canary: { overwrite: "refused" } });
  });

  it("is not taken for put when it arrived as something else", async () => {
    bucket.trouble = "put: The SHA-256 checksum you specified did not match what we received. (10037)";
    const { troubles } = await (await setUp()).look();
    expect(messages(troubles)).toEqual([expect.stringContaining("10037")]);
  });
});

describe("an anchor under a lock", () => {
  it("carries the evidence, and is written when the lock is too weak", async () => {
    tell([]);
    const world = await createWorld({ lock: await setUp() });
    await world.append({});
    await world.publish();
    expect(await world.anchor()).toBe(0);
    const text = new TextDecoder().decode(world.anchors.objects.get("anchors/0000000000.jws"));
    const { payload } = await openAnchor(text, world.trust.anchorKeys);
    expect(payload.lock).toMatchObject({ kind: "r2-bucket-lock", rules: { holds_seconds: 0 } });
    expect(messages(world.anchorTroubles())).toEqual([
      expect.stringContaining("expected to hold everything"),
    ]);
  });
});
