import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Complaints } from "../../src/edge/complaints.ts";
import { Keeper } from "../../src/edge/vault.ts";
import type { Opening } from "../../src/receipt/opening.ts";

const openingOf = (jti: string, more: object = {}): Opening => ({
  jti,
  seed: "seed",
  fields: { sub: null, ...more },
});

/** A vault that answers as the test says, and what it was asked to keep, call by call. */
function setUp(answer: () => Promise<void>) {
  const calls: string[][] = [];
  const work: Promise<unknown>[] = [];
  const vault = {
    keep(openings: Opening[]) {
      calls.push(openings.map(({ jti }) => jti));
      return answer();
    },
  };
  const keeper = new Keeper(() => vault as never, Date.now, new Complaints(Date.now));
  const keep = (jti: string, more?: object) =>
    keeper.keep(openingOf(jti, more), promise => work.push(promise));
  return { calls, work, keep };
}

describe("the keeper of openings", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("sends those that come within a short time together, and asks one request to see to it", async () => {
    const { calls, work, keep } = setUp(async () => {});
    for (const jti of ["a", "b", "c"]) keep(jti);
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toEqual([["a", "b", "c"]]);
    expect(work).toHaveLength(1);
    keep("d");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toEqual([["a", "b", "c"], ["d"]]);
  });

  it("sends again what a vault has refused, at once and with every one that comes later, until it is taken", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    let isAway = true;
    const { calls, work, keep } = setUp(async () => {
      if (isAway) throw new Error("out of order");
    });
    keep("a");
    keep("b");
    await vi.advanceTimersByTimeAsync(20_000);
    await Promise.all(work);
    expect(calls).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
    expect(error.mock.calls).toEqual([[expect.stringMatching(/for a, b:$/), new Error("out of order")]]);
    isAway = false;
    keep("c");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.slice(2)).toEqual([["a", "b", "c"]]);
    await vi.advanceTimersByTimeAsync(20_000);
    keep("d");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.slice(3)).toEqual([["d"]]);
  });

  it("sends again what a request that is gone was to send, once another one comes", async () => {
    const { calls, keep } = setUp(async () => {});
    keep("a");
    keep("b");
    // The request is gone, and its timer with it.
    vi.clearAllTimers();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(calls).toEqual([]);
    keep("c");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toEqual([["a", "b", "c"]]);
  });

  it("has no more than 500 in one call", async () => {
    const { calls, keep } = setUp(async () => {});
    for (let n = 0; n < 1200; n++) keep(String(n));
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.map(jtis => jtis.length)).toEqual([500, 500, 200]);
  });

  it("sends those that are long in several calls, so that none is larger than a vault is given", async () => {
    const { calls, keep } = setUp(async () => {});
    for (let n = 0; n < 90; n++) keep(String(n), { user_agent: "x".repeat(128 * 1024) });
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.flat()).toHaveLength(90);
    for (const jtis of calls) expect(jtis.length * 128 * 1024).toBeLessThanOrEqual(4 * 1024 * 1024);
  });

  it("has room for those of usual length, however many long ones wait for a vault", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    let isAway = true;
    const { calls, keep } = setUp(async () => {
      if (isAway) throw new Error("out of order");
    });
    for (let n = 0; n < 300; n++) keep("long", { user_agent: "x".repeat(128 * 1024) });
    const usual = Array.from({ length: 3000 }, (_, n) => `usual ${n}`);
    for (const jti of usual) keep(jti, { user_agent: "x".repeat(500) });
    await vi.advanceTimersByTimeAsync(20_000);
    isAway = false;
    calls.length = 0;
    keep("next");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.flat().filter(jti => jti !== "long")).toEqual([...usual, "next"]);
    expect(calls.flat().filter(jti => jti === "long").length).toBeGreaterThan(50);
  });

  it("holds no more than a bounded part of the memory while a vault does not answer, and says what it lets go", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { calls, keep } = setUp(() => new Promise(() => {}));
    for (let n = 0; n < 300; n++) keep(`<${n}>`, { user_agent: "x".repeat(128 * 1024) });
    // Before any of them is sent again.
    await vi.advanceTimersByTimeAsync(5000);
    const sent = calls.flat().length;
    expect(sent).toBeLessThanOrEqual(128);
    expect(error.mock.calls).toEqual([
      [expect.stringMatching(`for <${sent}>:$`), new Error("too much waits for it")],
      [expect.stringMatching(`for ${300 - sent - 1} more, the last of them <299>$`)],
    ]);
    await vi.advanceTimersByTimeAsync(20_000);
    keep("later");
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls.flat()).toContain("later");
  });
});
