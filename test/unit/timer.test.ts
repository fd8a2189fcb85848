// Alarms as timers: what the writers count on, as Durable Objects give it.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Timer } from "../../src/hosts/timer.ts";

const START_MS = Date.parse("2026-11-21T05:22:22.000Z");

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a timer", () => {
  it("calls once when it is due, and tells until then when that is", async () => {
    const onAlarm = vi.fn(async () => {});
    const timer = new Timer(onAlarm);
    expect(await timer.get()).toBeNull();
    await timer.set(START_MS + 5000);
    await timer.set(START_MS + 1000);
    expect(await timer.get()).toBe(START_MS + 1000);
    await vi.advanceTimersByTimeAsync(999);
    expect(onAlarm).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(onAlarm).toHaveBeenCalledTimes(1);
    expect(await timer.get()).toBeNull();
  });

  it("does not call when it was cleared or stopped, whatever is set afterwards", async () => {
    const onAlarm = vi.fn(async () => {});
    const timer = new Timer(onAlarm);
    await timer.set(START_MS + 1000);
    await timer.clear();
    await vi.advanceTimersByTimeAsync(2000);
    await timer.set(Date.now() + 1000);
    await timer.stop();
    await timer.set(Date.now() + 1000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(onAlarm).not.toHaveBeenCalled();
  });

  it("waits for months, though timers count to 24 days, and by what the clock said then", async () => {
    const onAlarm = vi.fn(async () => {});
    const timer = new Timer(onAlarm);
    await timer.set(START_MS + 100 * 86_400_000);
    vi.setSystemTime(START_MS - 3_600_000);
    await vi.advanceTimersByTimeAsync(100 * 86_400_000 - 1);
    expect(onAlarm).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onAlarm).toHaveBeenCalledTimes(1);
  });

  it("never runs two at once: what becomes due meanwhile comes after", async () => {
    const ends: (() => void)[] = [];
    const timer = new Timer(() => new Promise(resolve => ends.push(resolve)));
    await timer.set(START_MS);
    await vi.advanceTimersByTimeAsync(0);
    await timer.set(START_MS + 10);
    await vi.advanceTimersByTimeAsync(1000);
    expect(ends).toHaveLength(1);
    ends[0]!();
    await vi.advanceTimersByTimeAsync(0);
    expect(ends).toHaveLength(2);
  });

  it("calls again soon after a throw, though a later time was set before it", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const onAlarm = vi.fn(async () => {
      await timer.set(Date.now() + 3_600_000);
      if (onAlarm.mock.calls.length === 1) throw new Error("storage is full");
    });
    const timer = new Timer(onAlarm);
    await timer.set(START_MS);
    await vi.advanceTimersByTimeAsync(2000);
    expect(onAlarm).toHaveBeenCalledTimes(2);
    expect(await timer.get()).toBe(START_MS + 2000 + 3_600_000);
  });

  it("is flushed by one more call if one is set, and by none if not", async () => {
    const onAlarm = vi.fn(async () => {
      await timer.set(Date.now() + 1000);
    });
    const timer = new Timer(onAlarm);
    await timer.set(START_MS + 60_000);
    await timer.flush();
    expect(onAlarm).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(onAlarm).toHaveBeenCalledTimes(1);
    const idle = vi.fn(async () => {});
    await new Timer(idle).flush();
    expect(idle).not.toHaveBeenCalled();
  });
});
