// Two of a kind at work at once: a publication, a start or an anchor that is held up at any of its reads, while
// another instance over the same storage appends, publishes, prunes and anchors. Neither may take the other's
// work for a contradiction, and neither may undo it.
import { describe, expect, it } from "vitest";
import type { Versioned } from "../../durable/archive.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { Fault } from "../../src/tlog/fault.ts";
import { createWorld, MemoryArchive, plainJti, type World, type WorldOptions } from "../world.ts";

type Moment = "before" | "after";

/** Holds up one read, before it is carried out or its answer on the way back, while something else is done. */
class Interruption {
  readonly #moment: Moment;
  readonly #meanwhile: () => Promise<void>;
  #readsLeft: number;
  happened = false;

  constructor(moment: Moment, reads: number, meanwhile: () => Promise<void>) {
    this.#moment = moment;
    this.#readsLeft = reads;
    this.#meanwhile = meanwhile;
  }

  async read<T>(get: () => Promise<T>): Promise<T> {
    const isIt = this.#readsLeft-- === 0;
    if (isIt && this.#moment === "before") await this.#interrupt();
    const answer = await get();
    if (isIt && this.#moment === "after") await this.#interrupt();
    return answer;
  }

  async #interrupt(): Promise<void> {
    this.happened = true;
    await this.#meanwhile();
  }
}

class HeldUpArchive extends MemoryArchive {
  interruption: Interruption | undefined;
  /** The sizes of the checkpoints that were written. */
  readonly sizes: number[] = [];
  /** What was tried to be written where. */
  readonly tried = new Map<string, Set<string>>();

  override get(key: string): Promise<Versioned | undefined> {
    return this.interruption?.read(() => super.get(key)) ?? super.get(key);
  }

  override putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    const text = Buffer.from(bytes).toString("latin1");
    this.tried.set(key, (this.tried.get(key) ?? new Set()).add(text));
    return super.putIfAbsent(key, bytes);
  }

  override set(key: string, bytes: Uint8Array): void {
    super.set(key, bytes);
    if (key.endsWith("/checkpoint")) this.sizes.push(Number(Buffer.from(bytes).toString().split("\n")[1]));
  }
}

interface Shared extends WorldOptions {
  readonly archive: HeldUpArchive;
  readonly anchors: HeldUpArchive;
}

/** Appends so many entries, publishes, prunes and anchors. The first try may find that the head has moved. */
async function live(world: World, from: number, count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, i) => ({ jti: plainJti(from + i) }));
  await twice(() => world.append(...records));
  await world.publish();
  world.ledger.prune();
  await world.anchor();
}

/**
 * Has one of two instances do its work while the other lives on, at each read that the work makes in turn.
 * @returns how many of them there were.
 */
async function atEveryRead(
  moment: Moment,
  work: (world: World) => Promise<unknown>,
  prepare?: (world: World) => Promise<unknown>,
): Promise<number> {
  for (let reads = 0; ; reads++) {
    const shared: Shared = {
      sql: openSqlite(":memory:"),
      anchorSql: openSqlite(":memory:"),
      archive: new HeldUpArchive(),
      anchors: new HeldUpArchive(),
    };
    const other = await createWorld(shared);
    await live(other, 0, 9);
    const held = await createWorld(shared);
    await prepare?.(held);
    const interruption = new Interruption(moment, reads, async () => {
      shared.archive.interruption = undefined;
      shared.anchors.interruption = undefined;
      for (let n = 1; n <= 3; n++) await live(other, 1000 * n, 200);
    });
    shared.archive.interruption = interruption;
    shared.anchors.interruption = interruption;
    await twice(() => work(held));
    if (!interruption.happened) return reads;
    // Whatever became of it: both go on, and so do the checkpoints and the anchors.
    await live(held, 8000, 2);
    await live(other, 9000, 2);
    expect(held.ledger.halted ?? other.ledger.halted).toBeUndefined();
    expect(shared.archive.sizes).toEqual([...shared.archive.sizes].sort((a, b) => a - b));
    for (const [key, bodies] of shared.anchors.tried) expect([key, bodies.size]).toEqual([key, 1]);
  }
}

/** Does it again when it failed, as an alarm does; anything but a contradiction may happen once. */
async function twice(work: () => Promise<unknown>): Promise<void> {
  await work().catch(async error => {
    expect(error).not.toBeInstanceOf(Fault);
    await work();
  });
}

function append(world: World): Promise<string[]> {
  return world.append({ jti: plainJti(500) });
}

async function appendAndPublish(world: World): Promise<void> {
  await append(world);
  await world.publish();
}

describe.each<Moment>(["before", "after"])(
  "while another instance goes on, %s a read is carried out",
  moment => {
    it("a publication does not halt the ledger, and takes nothing back", async () => {
      expect(await atEveryRead(moment, world => world.publish(), append)).toBeGreaterThan(0);
    });

    it("a start does not halt the ledger", async () => {
      expect(await atEveryRead(moment, append)).toBeGreaterThanOrEqual(3);
    });

    it("an anchor is made of each epoch only once", async () => {
      expect(await atEveryRead(moment, world => world.anchor(), appendAndPublish)).toBeGreaterThanOrEqual(4);
    });
  },
);
