import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { createWorld, LEDGER, MemoryArchive, ORIGIN, type World } from "../world.ts";

/** A world whose ledger has so many more entries, published; the ledger's genesis record counts as one. */
async function grown(world: World, more: number): Promise<World> {
  const count = world.ledger.store.head().frontier.size === 0 ? more - 1 : more;
  await world.append(...Array.from({ length: count }, () => ({})));
  await world.publish();
  return world;
}

function anchorText(world: World, epoch: number): string {
  return new TextDecoder().decode(
    world.anchors.objects.get(`anchors/${String(epoch).padStart(10, "0")}.jws`),
  );
}

describe("anchoring", () => {
  it("pins size, root, chain head and checkpoint of the ledger", async () => {
    const world = await grown(await createWorld(), 3);
    expect(await world.anchor()).toBe(0);
    const { payload } = await openAnchor(anchorText(world, 0), world.trust.anchorKeys);
    const [pin] = payload.ledgers;
    const last = world.ledger.store.entries(2, 3)[0]!;
    const head = createHash("sha256").update("\0").update(last.text).digest("base64url");
    expect(pin).toMatchObject({ origin: ORIGIN, size: 3, head });
    expect(pin!.checkpoint).toContain(`${ORIGIN}\n3\n${pin!.root}\n`);
  });

  it("chains each anchor to the bytes of the one before it", async () => {
    const world = await grown(await createWorld(), 1);
    await world.anchor();
    await grown(world, 400);
    expect(await world.anchor()).toBe(1);
    const { payload } = await openAnchor(anchorText(world, 1), world.trust.anchorKeys);
    expect(payload.prev).toBe(createHash("sha256").update(anchorText(world, 0)).digest("base64url"));
  });

  it("writes nothing while no ledger has grown", async () => {
    const world = await createWorld();
    expect(await world.anchor()).toBeUndefined();
    await grown(world, 1);
    expect(await world.anchor()).toBe(0);
    world.tick(60_000);
    expect(await world.anchor()).toBe(0);
    expect(world.anchors.objects.size).toBe(1);
  });

  it.each([true, false])(
    "repeats the same bytes after a put whose answer got lost (applied: %s)",
    async applied => {
      class Flaky extends MemoryArchive {
        failures = 1;
        override async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
          if (this.failures-- > 0) {
            if (applied) await super.putIfAbsent(key, bytes);
            throw new Error("no answer");
          }
          return super.putIfAbsent(key, bytes);
        }
      }
      const world = await grown(await createWorld({ anchors: new Flaky() }), 2);
      await expect(world.anchor()).rejects.toThrow("no answer");
      world.tick(5000);
      await grown(world, 2);
      expect(await world.anchor()).toBe(1);
      const { payload } = await openAnchor(anchorText(world, 0), world.trust.anchorKeys);
      expect(payload.ledgers[0]!.size).toBe(2);
      expect(payload.time).toBe("2026-11-21T05:22:22.000Z");
    },
  );

  it("refuses a second, different object for an epoch", async () => {
    const world = await grown(await createWorld(), 2);
    world.anchors.set("anchors/0000000000.jws", new Uint8Array([1]));
    await expect(world.anchor()).rejects.toThrow("anchor");
  });

  it("refuses a ledger that is smaller than when it was anchored", async () => {
    const world = await grown(await createWorld(), 5);
    const early = world.archive.objects.get(`${LEDGER}/checkpoint`)!;
    await grown(world, 5);
    await world.anchor();
    world.archive.set(`${LEDGER}/checkpoint`, early);
    await expect(world.anchor()).rejects.toMatchObject({ code: "rolled-back" });
  });

  it("refuses a ledger whose tree was replaced by another one", async () => {
    const world = await grown(await createWorld(), 5);
    await world.anchor();
    const other = await createWorld();
    await other.append(...Array.from({ length: 9 }, () => ({ ms: 99 })));
    await other.publish();
    for (const [key, bytes] of other.archive.objects) world.archive.set(key, bytes);
    await expect(world.anchor()).rejects.toMatchObject({ code: "forked" });
    expect(world.anchors.objects.size).toBe(1);
  });

  it("refuses tiles that do not make up the signed root", async () => {
    const world = await grown(await createWorld(), 5);
    const tile = world.archive.objects.get(`${LEDGER}/tile/0/000.p/5`)!.slice();
    tile[40]! ^= 1;
    world.archive.set(`${LEDGER}/tile/0/000.p/5`, tile);
    await expect(world.anchor()).rejects.toMatchObject({ code: "tampered" });
  });
});
