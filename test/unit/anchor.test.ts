import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { COPIES_AT_ONCE } from "../../durable/anchor.ts";
import { Cosigner } from "../../durable/cosigner.ts";
import { plainLock } from "../../durable/lock.ts";
import { Witness } from "../../durable/witness.ts";
import { audit } from "../../src/client/audit.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { issueAnchor, openAnchor } from "../../src/receipt/anchor.ts";
import { openCosignatures } from "../../src/tlog/cosignature.ts";
import {
  ED25519_COSIGNATURE,
  formatVerifierKey,
  makeNoteKey,
  type NoteKey,
  parseNote,
} from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { createWorld, fixedKey, LEDGER, MemoryArchive, ORIGIN, START_MS, type World } from "../world.ts";
import { copyOf, viewOf } from "./client/archives.ts";

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

  const planted: [string, string, (text: string) => Promise<string>][] = [
    ["bytes that are no anchor", "broken-anchor-chain", async () => "what is this?"],
    ["an older anchor once more", "broken-anchor-chain", async text => text],
    [
      "an anchor by a stranger's key",
      "unknown-key",
      async text => {
        const payload = JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString());
        return issueAnchor({ ...payload, epoch: 2 }, await fixedKey("a stranger"));
      },
    ],
  ];
  it.each(planted)(
    "says where %s stands in the next one's place, and goes on in another store that gets what there is",
    async (_, code, plant) => {
      const anchorSql = openSqlite(":memory:");
      const sql = openSqlite(":memory:");
      const blocked = await grown(await createWorld({ sql, anchorSql }), 2);
      await blocked.anchor();
      await grown(blocked, 2);
      await blocked.anchor();
      blocked.anchors.set("anchors/0000000002.jws", Buffer.from(await plant(anchorText(blocked, 1))));
      await grown(blocked, 2);
      const message = expect.stringContaining("anchors/0000000002.jws: what stands there");
      await expect(blocked.anchor()).rejects.toMatchObject({ code, message });
      // A copy that is new gets what there is, though no anchor can be written; then it takes the store's place.
      const store = new MemoryArchive();
      const { archive, anchors } = blocked;
      const lock = plainLock("none");
      const options = { sql, anchorSql, archive };
      const copying = await createWorld({
        ...options,
        anchors,
        copies: [{ name: "other", archive: store, lock }],
      });
      await expect(copying.anchor()).rejects.toMatchObject({ code });
      expect([...store.objects.keys()]).toEqual(["anchors/0000000000.jws", "anchors/0000000001.jws"]);
      const moved = await createWorld({ ...options, anchors: store });
      expect(await moved.anchor()).toBe(2);
      const report = await audit({ archive: viewOf(copyOf(moved)), trust: moved.trust });
      expect(report).toMatchObject({ outcome: "proven", anchors: { count: 3, newest: { epoch: 2 } } });
    },
  );

  it("goes on while a new copy gets very many of them, some at a time, and says how far it is", async () => {
    const [sql, anchorSql] = [openSqlite(":memory:"), openSqlite(":memory:")];
    const { archive, anchors } = await createWorld({ sql, anchorSql }).then(async world => {
      for (let epoch = 0; epoch < COPIES_AT_ONCE + 4; epoch++) {
        await grown(world, 1);
        await world.anchor();
      }
      return world;
    });
    const store = new MemoryArchive();
    const copies = [{ name: "new", archive: store, lock: plainLock("none") }];
    const world = await createWorld({ sql, anchorSql, archive, anchors, copies });
    // As many as there can be are put before it looks at the ledgers.
    const puts: string[] = [];
    const put = store.putIfAbsent.bind(store);
    store.putIfAbsent = async (key, bytes) => {
      puts.push(key);
      return put(key, bytes);
    };
    await world.anchor();
    expect([puts.length, world.anchorer.isCopying]).toEqual([COPIES_AT_ONCE, true]);
    expect(world.anchorTroubles()).toMatchObject([
      {
        message: `the copy new: has ${COPIES_AT_ONCE} of ${COPIES_AT_ONCE + 4} anchors, and gets the others`,
      },
    ]);
    await world.anchor();
    expect([store.objects.size, world.anchorer.isCopying]).toEqual([COPIES_AT_ONCE + 4, false]);
    expect(world.anchorTroubles()).toEqual([]);
  });

  /** The newest anchor's refusals, which must be all that is new in it. */
  async function refusals(world: World) {
    const epoch = await world.anchor();
    const { payload } = await openAnchor(anchorText(world, epoch!), world.trust.anchorKeys);
    return { epoch, refused: payload.refused, sizes: payload.ledgers.map(({ size }) => size) };
  }

  it("refuses a ledger that is smaller than when it was anchored, and says so once", async () => {
    const world = await grown(await createWorld(), 5);
    const early = world.archive.objects.get(`${LEDGER}/checkpoint`)!;
    await grown(world, 5);
    await world.anchor();
    world.archive.set(`${LEDGER}/checkpoint`, early);
    const refused = [{ origin: ORIGIN, code: "rolled-back", reason: expect.stringContaining(ORIGIN) }];
    expect(await refusals(world)).toEqual({ epoch: 1, refused, sizes: [10] });
    expect(world.anchorTroubles()).toMatchObject([{ code: "rolled-back" }]);
    expect(await world.anchor()).toBe(1);
  });

  it("refuses a ledger whose tree was replaced by another one", async () => {
    const world = await grown(await createWorld(), 5);
    await world.anchor();
    const other = await createWorld();
    await other.append(...Array.from({ length: 9 }, () => ({ ms: 99 })));
    await other.publish();
    for (const [key, bytes] of other.archive.objects) world.archive.set(key, bytes);
    expect(await refusals(world)).toMatchObject({ refused: [{ code: "forked" }], sizes: [5] });
  });

  it("refuses a ledger whose checkpoint is gone, and takes it up again when it is back", async () => {
    const world = await grown(await createWorld(), 5);
    await world.anchor();
    const checkpoint = world.archive.objects.get(`${LEDGER}/checkpoint`)!;
    world.archive.objects.delete(`${LEDGER}/checkpoint`);
    expect(await refusals(world)).toMatchObject({ refused: [{ code: "missing" }], sizes: [5] });
    world.archive.set(`${LEDGER}/checkpoint`, checkpoint);
    expect(await refusals(world)).toEqual({ epoch: 2, refused: undefined, sizes: [5] });
    expect(world.anchorTroubles()).toEqual([]);
  });

  it("refuses tiles that do not make up the signed root, and pins nothing of a ledger it never pinned", async () => {
    const world = await grown(await createWorld(), 5);
    const tile = world.archive.objects.get(`${LEDGER}/tile/0/000.p/5`)!.slice();
    tile[40]! ^= 1;
    world.archive.set(`${LEDGER}/tile/0/000.p/5`, tile);
    expect(await refusals(world)).toMatchObject({ epoch: 0, refused: [{ code: "tampered" }], sizes: [] });
  });

  it("writes no anchor while the archive cannot be read: that may pass by itself", async () => {
    const world = await grown(await createWorld(), 5);
    world.archive.get = () => Promise.reject(new Error("out of reach"));
    await expect(world.anchor()).rejects.toThrow("out of reach");
    expect(world.anchors.objects.size).toBe(0);
  });
});

describe("anchoring with witnesses", () => {
  /** A world whose anchor writer asks one witness, which can be sent away. */
  async function witnessed(required: boolean) {
    const { publicKey, sign } = await fixedKey("witness");
    const key = makeNoteKey("witness.example/w1", ED25519_COSIGNATURE, publicKey);
    const logs: NoteKey[] = [];
    const sql = openSqlite(":memory:");
    const witness = new Witness({ sql, signer: { key, sign }, logs, now: () => START_MS });
    const state = { away: false };
    const cosigner = new Cosigner({
      sql: openSqlite(":memory:"),
      policy: parsePolicy(`witness w1 ${formatVerifierKey(key)} https://w1.example\nquorum w1\n`),
      required,
      waitMs: 60_000,
      async fetch(_, { body }) {
        if (state.away) throw new Error("connection refused");
        const answer = await witness.addCheckpoint(String(body));
        return new Response(answer.body, { status: answer.status });
      },
    });
    const world = await createWorld({ cosigner });
    logs.push(...world.trust.ledgers[0]!.keys);
    return { world, key, state };
  }

  async function payloadOf(world: World, epoch: number) {
    return (await openAnchor(anchorText(world, epoch), world.trust.anchorKeys)).payload;
  }

  it("pins checkpoints with the cosignatures that were gathered", async () => {
    const { world, key } = await witnessed(true);
    await grown(world, 3);
    await world.anchor();
    await grown(world, 300);
    await world.anchor();
    for (const epoch of [0, 1]) {
      const [pin] = (await payloadOf(world, epoch)).ledgers;
      expect(await openCosignatures(parseNote(pin!.checkpoint), [key])).toHaveLength(1);
    }
    expect(world.anchorTroubles()).toEqual([]);
  });

  it("anchors without a witness that is away, and says so", async () => {
    const { world, state } = await witnessed(false);
    state.away = true;
    await grown(world, 3);
    expect(await world.anchor()).toBe(0);
    expect((await payloadOf(world, 0)).refused).toBeUndefined();
    expect(world.anchorTroubles()).toMatchObject([{ message: "witness w1: connection refused" }]);
  });

  it("pins nothing without the quorum where it is required, until the quorum is there", async () => {
    const { world, state } = await witnessed(true);
    await grown(world, 3);
    await world.anchor();
    state.away = true;
    await grown(world, 3);
    await world.anchor();
    const away = await payloadOf(world, 1);
    expect(away).toMatchObject({ refused: [{ code: "quorum-not-met" }], ledgers: [{ size: 3 }] });
    state.away = false;
    await world.anchor();
    expect(await payloadOf(world, 2)).toMatchObject({ ledgers: [{ size: 6 }] });
    expect(world.anchorTroubles()).toEqual([]);
  });
});
