import { afterEach, beforeEach, expect, it, type MockInstance, vi } from "vitest";
import { Complaints } from "../../src/edge/complaints.ts";

const FULL = new Error("database or disk is full");
let log: MockInstance<typeof console.error>;
let work: Promise<unknown>[];

beforeEach(() => {
  vi.useFakeTimers();
  log = vi.spyOn(console, "error").mockImplementation(() => {});
  work = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const complaints = () => new Complaints(Date.now);
const full = (to: Complaints, jti: string) => to.make("the disk is full", [jti], FULL, it => work.push(it));
/** What the log has of it: every exchange that was named or counted, once. */
const told = () =>
  log.mock.calls.reduce((sum, [line]) => sum + Number(/for (\d+) more/.exec(line as string)?.[1] ?? 1), 0);

it("what goes wrong over and over is logged in full once and counted, to the last, in a line every five seconds", async () => {
  const to = complaints();
  for (let n = 0; n < 10_000; n++) {
    full(to, `e${n}`);
    await vi.advanceTimersByTimeAsync(2);
  }
  await vi.advanceTimersByTimeAsync(10_000);
  await Promise.all(work);
  expect(log.mock.calls[0]).toEqual(["the disk is full, for e0:", FULL]);
  expect(log.mock.calls[1]).toEqual([
    expect.stringMatching(/^the disk is full, for \d+ more, the last of them e\d+$/),
  ]);
  expect(log.mock.calls.length).toBeLessThanOrEqual(10);
  expect(told()).toBe(10_000);
});

it("what goes wrong once is logged once, and what is different is logged beside it", async () => {
  const to = complaints();
  full(to, "a");
  to.make("the vault is away", ["b", "c"], FULL, it => work.push(it));
  await vi.advanceTimersByTimeAsync(60_000);
  full(to, "d");
  expect(log.mock.calls.map(([line]) => line)).toEqual([
    "the disk is full, for a:",
    "the vault is away, for b, c:",
    "the disk is full, for d:",
  ]);
});

it("what was counted by a request that is gone is told by the next one", async () => {
  const to = complaints();
  full(to, "a");
  full(to, "b");
  vi.clearAllTimers();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(log).toHaveBeenCalledTimes(1);
  full(to, "c");
  expect(log.mock.calls.map(([line]) => line)).toEqual([
    "the disk is full, for a:",
    "the disk is full, for 1 more, the last of them b",
    "the disk is full, for c:",
  ]);
});

it("a request that comes to life again tells nothing that was told for it", async () => {
  const to = complaints();
  full(to, "a");
  full(to, "b");
  vi.setSystemTime(Date.now() + 20_000);
  full(to, "c");
  full(to, "d");
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told()).toBe(4);
});
