// Whoever asks for old entries, and for however many, takes no more of a ledger's memory than some bundles.
import { describe, expect, it } from "vitest";
import { Bundles, READS_AT_ONCE, READS_WAITING_MAX } from "../../durable/bundles.ts";
import { encodeBundle } from "../../src/tlog/bundle.ts";

/** An archive of bundles whose entries say where they are, which are read when the test lets them be. */
function setUp() {
  const held: (() => void)[] = [];
  let [reading, most, reads] = [0, 0, 0];
  const bundles = new Bundles(async path => {
    reads++;
    most = Math.max(most, ++reading);
    await new Promise<void>(go => held.push(go));
    reading--;
    const n = Number(path.replace("tile/entries/", ""));
    if (n === 13) return undefined;
    return encodeBundle(Array.from({ length: 256 }, (_, i) => new TextEncoder().encode(`${256 * n + i}`)));
  });
  /** Lets everything be read, until all of these are answered. */
  const settle = async <T>(asked: Promise<T>[]) => {
    const settled = Promise.allSettled(asked);
    let isDone = false;
    settled.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      held.shift()?.();
      await new Promise(resolve => setImmediate(resolve));
    }
    return settled;
  };
  return { bundles, settle, most: () => most, reads: () => reads };
}

describe("entries that a ledger has let go of", () => {
  it("are read some bundles at a time, and each bundle once for all who ask meanwhile", async () => {
    const { bundles, settle, most, reads } = setUp();
    const indexes = Array.from({ length: 40 }, (_, n) => [256 * n + 3, 256 * n + 255]).flat();
    const found = await settle(indexes.map(index => bundles.entry(index)));
    const missing = indexes.filter(index => Math.floor(index / 256) === 13);
    for (const [i, result] of found.entries()) {
      if (missing.includes(indexes[i]!)) expect(result).toMatchObject({ reason: { code: "missing" } });
      else expect(result).toEqual({ status: "fulfilled", value: `${indexes[i]}` });
    }
    expect([most(), reads()]).toEqual([READS_AT_ONCE, 40]);
  });

  it("are refused to whoever comes when very many are waited for, and given again afterwards", async () => {
    const { bundles, settle, most } = setUp();
    const count = READS_AT_ONCE + READS_WAITING_MAX;
    const asked = Array.from({ length: count + 1 }, (_, n) => bundles.entry(256 * n));
    const results = await settle(asked);
    expect(results.at(-1)).toMatchObject({
      status: "rejected",
      reason: { message: expect.stringContaining("ask again") },
    });
    expect(results.filter(({ status }) => status === "rejected")).toHaveLength(2);
    expect(await settle([bundles.entry(256 * count)])).toEqual([
      { status: "fulfilled", value: `${256 * count}` },
    ]);
    expect(most()).toBe(READS_AT_ONCE);
  });
});
