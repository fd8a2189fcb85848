import { afterEach, describe, expect, it, vi } from "vitest";
import { Batcher, LedgerFailure, type Sink } from "../../src/edge/ledger.ts";
import type { Placement } from "../../src/receipt/placement.ts";

/** A ledger whose answers the test gives. It records what it was asked. */
class HeldLedger implements Sink<string, Placement> {
  readonly calls: {
    records: string[];
    answer: (placements: Placement[]) => void;
    fail: (error: Error) => void;
  }[] = [];

  append(records: string[]): Promise<Placement[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Placement[]>();
    this.calls.push({ records, answer: resolve, fail: reject });
    return promise;
  }

  /** Answers a call with a header that names its record. */
  answer(call: number): void {
    const { records, answer } = this.calls[call]!;
    answer(records.map((record, index) => ({ index, header: `header of ${record}` })));
  }
}

function setUp() {
  const ledger = new HeldLedger();
  const work: Promise<unknown>[] = [];
  const batcher = new Batcher(() => ledger);
  const append = (record: string) => batcher.append(record, promise => work.push(promise), 5000);
  return { ledger, append, work };
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

afterEach(() => {
  vi.useRealTimers();
});

describe("the batcher", () => {
  it("sends the first record at once and those that come meanwhile together", async () => {
    const { ledger, append } = setUp();
    const all = ["a", "b", "c"].map(append);
    expect(ledger.calls.map(call => call.records)).toEqual([["a"]]);
    ledger.answer(0);
    await until(() => ledger.calls.length === 2);
    expect(ledger.calls[1]!.records).toEqual(["b", "c"]);
    ledger.answer(1);
    expect(await Promise.all(all)).toMatchObject([
      { header: "header of a" },
      { header: "header of b" },
      { header: "header of c" },
    ]);
  });

  it("gives others a moment to join a batch of several, and sends one that is alone at once", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { ledger, append } = setUp();
    const all = ["a", "b", "c"].map(append);
    ledger.answer(0);
    await until(() => vi.getTimerCount() === all.length);
    all.push(append("d"));
    expect(ledger.calls).toHaveLength(1);
    vi.advanceTimersByTime(10);
    await until(() => ledger.calls.length === 2);
    expect(ledger.calls[1]!.records).toEqual(["b", "c", "d"]);
    all.push(append("e"));
    ledger.answer(1);
    await until(() => ledger.calls.length === 3);
    expect(ledger.calls[2]!.records).toEqual(["e"]);
    ledger.answer(2);
    expect(await Promise.all(all)).toHaveLength(5);
  });

  it("lets every request of a failed batch send its own record again", async () => {
    const { ledger, append } = setUp();
    const [a, b, c] = ["a", "b", "c"].map(append);
    ledger.answer(0);
    await until(() => ledger.calls.length === 2);
    ledger.calls[1]!.fail(new Error("the object was reset"));
    await until(() => ledger.calls.length === 4);
    ledger.answer(2);
    ledger.answer(3);
    expect(await Promise.all([a, b, c])).toHaveLength(3);
  });

  it("does not repeat anything to a ledger that says it is overloaded", async () => {
    const { ledger, append } = setUp();
    const failed = append("a");
    ledger.calls[0]!.fail(Object.assign(new Error("too much"), { overloaded: true }));
    await expect(failed).rejects.toThrow(LedgerFailure);
    expect(ledger.calls).toHaveLength(1);
  });

  it("tells callers that the ledger could not be reached, and only the log what has failed there", async () => {
    const { ledger, append } = setUp();
    const failed = append("a");
    const cause = new Error("/var/lib/counterfoil/ledgers/main.sqlite: database or disk is full");
    ledger.calls[0]!.fail(cause);
    await until(() => ledger.calls.length === 2);
    ledger.calls[1]!.fail(cause);
    await expect(failed).rejects.toMatchObject({ message: "the ledger could not be reached", cause });
  });

  it("steps over a batch in flight that never comes back", async () => {
    const { ledger, append } = setUp();
    const lost = append("a");
    const next = append("b");
    // The first call is never answered; the next batch goes after a bounded wait.
    await until(() => ledger.calls.length === 2);
    ledger.answer(1);
    expect(await next).toMatchObject({ header: "header of b" });
    // The lost one sends its own record again.
    await until(() => ledger.calls.length === 3);
    expect(ledger.calls[2]!.records).toEqual(["a"]);
    ledger.answer(2);
    expect(await lost).toMatchObject({ header: "header of a" });
  });
});
