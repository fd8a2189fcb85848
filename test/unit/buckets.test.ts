// A store that never answers keeps nobody waiting for ever: neither the alarm that publishes, nor what is compared before
// the first record is taken.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Buckets, openBuckets } from "../../src/hosts/buckets.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = () => new Promise<never>(() => {});
const silent = {
  ...{ get: never, putIfAbsent: never, replace: never, delete: never },
  ...{ list: never, read: never },
};

async function open(own: Buckets): Promise<Buckets> {
  const environment = {
    policy: { archive: {}, anchor: {} },
    secrets: {},
  } as unknown as Parameters<typeof openBuckets>[0];
  return openBuckets(environment, own);
}

it.each<[string, (buckets: Buckets) => Promise<unknown>]>([
  ["reading an object", ({ archive }) => archive.get("main/checkpoint")],
  ["putting one", ({ archive }) => archive.putIfAbsent("main/tile/0/000", new Uint8Array())],
  ["replacing one", ({ archive }) => archive.replace("main/checkpoint", new Uint8Array(), "1")],
  ["deleting some", ({ archive }) => archive.delete(["main/tile/0/000.p/1"])],
  ["listing the spool", ({ spool }) => spool.list("spool/main/", 1)],
  ["reading from it", ({ spool }) => spool.read("spool/main/x", 1)],
  ["putting a promise there", ({ spool }) => spool.putIfAbsent("spool/main/x", new Uint8Array())],
  ["deleting what was entered", ({ spool }) => spool.delete(["spool/main/x"])],
  ["reading an anchor", ({ anchors }) => anchors.get("anchors/0000000000.jws")],
])("%s has a bound", async (_, ask) => {
  const asked = ask(await open({ archive: silent, spool: silent, anchors: silent }));
  const ended = expect(asked).rejects.toThrow("no answer within");
  await vi.advanceTimersByTimeAsync(60_000);
  await ended;
});
