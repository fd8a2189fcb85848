// Anchors in a bucket under Object Lock: put once whatever the service makes of a second put, and read back.
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ObjectLock } from "../../durable/lock.ts";
import { ObjectLockStore } from "../../durable/objectlock.ts";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { S3 } from "../s3.ts";
import { createWorld, START_MS, type World } from "../world.ts";

const KEY = "anchors/0000000000.jws";
const DAY_MS = 24 * 3600 * 1000;
const UNTIL = new Date(START_MS + 30 * DAY_MS).toISOString();

let s3: S3;
let store: ObjectLockStore;

beforeEach(async () => {
  s3 = new S3();
  onTestFinished(await s3.start());
  store = new ObjectLockStore({
    url: s3.url,
    region: "eu-central-1",
    accessKeyId: "AK",
    secretAccessKey: "SK",
    retentionMs: 30 * DAY_MS,
    now: () => START_MS,
    fetch: request => fetch(request),
  });
});

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = async (key: string) => new TextDecoder().decode((await store.get(key))?.bytes);

describe("a store under Object Lock", () => {
  it("has nothing of a key that nobody has put", async () => {
    s3.put(`${KEY}2`, Buffer.from("another key that begins like it"));
    expect(await store.get(KEY)).toBeUndefined();
  });

  it("puts with COMPLIANCE retention, once", async () => {
    expect(await store.putIfAbsent(KEY, bytesOf("first"))).toBe(true);
    expect(await store.putIfAbsent(KEY, bytesOf("second"))).toBe(false);
    expect(s3.versions).toMatchObject([{ key: KEY, mode: "COMPLIANCE", until: UNTIL }]);
    expect(await textOf(KEY)).toBe("first");
    const { version } = (await store.get(KEY))!;
    expect(await store.readRetention(KEY, version)).toEqual({
      mode: "COMPLIANCE",
      until: UNTIL,
      legalHold: false,
    });
  });

  it("finds the first version below any number of newer ones and delete markers", async () => {
    await store.putIfAbsent(KEY, bytesOf("first"));
    for (let n = 0; n < 7; n++) s3.put(KEY, n % 2 === 0 ? undefined : Buffer.from(`overwritten ${n}`));
    s3.put(`${KEY}.other`, Buffer.from("other"));
    expect(await textOf(KEY)).toBe("first");
    expect(await store.putIfAbsent(KEY, bytesOf("second"))).toBe(false);
  });

  it.each([true, false])(
    "has one winner of two that put at once (conditions honoured: %s)",
    async honours => {
      s3.honoursConditions = honours;
      const put = await Promise.all(["a", "b", "c"].map(text => store.putIfAbsent(KEY, bytesOf(text))));
      expect(put.filter(Boolean)).toHaveLength(1);
      expect(await textOf(KEY)).toBe(["a", "b", "c"][put.indexOf(true)]);
    },
  );

  it("refuses a bucket that keeps no versions", async () => {
    s3.keepsVersions = false;
    await expect(store.putIfAbsent(KEY, bytesOf("first"))).rejects.toThrow("cannot have Object Lock");
  });

  it("says what the service refuses", async () => {
    s3.trouble = 403;
    await expect(store.get(KEY)).rejects.toThrow("status 403, AccessDenied");
    await expect(store.readRetention(KEY, "x")).rejects.toThrow("status 403");
  });
});

describe("anchors in it", () => {
  async function grown(world: World): Promise<World> {
    await world.append({});
    await world.publish();
    return world;
  }

  async function payloadOf(world: World, text: string) {
    return (await openAnchor(text, world.trust.anchorKeys)).payload;
  }

  it("are copied there in order, with the ones that it missed, and each pins the version of the one before", async () => {
    const lock = new ObjectLock(store, () => START_MS);
    const world = await grown(await createWorld({ copies: [{ name: s3.url, archive: store, lock }] }));
    s3.trouble = 503;
    await world.anchor();
    expect(world.anchorTroubles()).toMatchObject([{ message: expect.stringContaining("status 503") }]);
    s3.trouble = undefined;
    await grown(world);
    expect(await world.anchor()).toBe(1);
    expect(world.anchorTroubles()).toEqual([]);
    expect(s3.versions.map(({ key }) => key)).toEqual([KEY, KEY.replace("0.jws", "1.jws")]);
    const { copies } = await payloadOf(world, await textOf(s3.versions[1]!.key));
    const version = s3.versions[0]!.id;
    expect(copies).toMatchObject([
      { kind: "s3-object-lock", epoch: 0, version, mode: "COMPLIANCE", until: UNTIL, legal_hold: false },
    ]);
  });

  it("alert when the retention read back is not what was asked for", async () => {
    const lock = new ObjectLock(store, () => START_MS);
    const world = await grown(await createWorld({ copies: [{ name: s3.url, archive: store, lock }] }));
    await world.anchor();
    Object.assign(s3.versions[0]!, { mode: "GOVERNANCE" });
    await grown(world);
    await world.anchor();
    expect(world.anchorTroubles()).toMatchObject([
      { message: expect.stringContaining("found mode GOVERNANCE") },
    ]);
  });
});
