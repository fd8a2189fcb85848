// Retention and erasure: what is let go of on purpose is told under a signed root first, reads as `pruned` or
// `erased`, and never as tampering; and nothing else passes for it.
import { beforeAll, describe, expect, it } from "vitest";
import { retire } from "../../durable/retention.ts";
import { type AuditReport, audit } from "../../src/client/audit.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { readErased } from "../../src/receipt/control.ts";
import { commitFields, disclose, openDisclosure } from "../../src/receipt/disclosure.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { formatTrust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { decodeBundle, encodeBundle } from "../../src/tlog/bundle.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { planInclusion } from "../../src/tlog/tree.ts";
import { createWorld, LEDGER, MemoryArchive, type World } from "../world.ts";
import { copyOf, type Objects, viewOf } from "./client/archives.ts";
import { Desk } from "./client/desk.ts";
import { OPERATOR_TOKEN, openEdge } from "./client/edge.ts";

const DAY_MS = 24 * 3600 * 1000;
const RETENTION_MS = 40 * DAY_MS;

const bundle = (n: number) => `${LEDGER}/tile/entries/00${n}`;

const decoder = new TextDecoder();
const encode = (text: string) => new TextEncoder().encode(text);

/** The same entry, taken years ago by its own word. */
function backDated(entry: string): string {
  const [header, record] = entry.split(".");
  const json = Buffer.from(header!, "base64url").toString();
  return `${Buffer.from(json.replace(/"at":"\d{4}/, '"at":"2020')).toString("base64url")}.${record}`;
}

const retireOnce = (world: World) =>
  retire({ ledger: world.ledger, archive: world.archive, name: LEDGER, retentionMs: RETENTION_MS });

/** Retires until there is nothing more to do, publishing as the object's alarm does. */
async function retireAll(world: World): Promise<void> {
  for (let more = true; more; ) {
    more = await retireOnce(world);
    await world.publish();
  }
}

/** A ledger with two full bundles of old entries, and newer ones. */
async function aged(archive = new MemoryArchive()): Promise<{ world: World; receipts: string[] }> {
  const world = await createWorld({ archive });
  const receipts = await world.append(...Array.from({ length: 600 }, () => ({})));
  await world.publish();
  await world.anchor();
  world.tick(RETENTION_MS + 2 * DAY_MS);
  await world.append({}, {});
  await world.publish();
  return { world, receipts };
}

async function auditOf(world: World, alter: (objects: Objects) => void = () => {}): Promise<AuditReport> {
  const objects = copyOf(world);
  alter(objects);
  return audit({ archive: viewOf(objects), trust: world.trust });
}

const codesOf = ({ problems }: AuditReport) => problems.map(({ fault, path }) => `${fault.code} ${path}`);

describe("a bundle whose retention has not ended", () => {
  it("is kept when somebody has put an older entry into it, and the ledger tells of no minimum", async () => {
    const world = await createWorld();
    await world.append(...Array.from({ length: 600 }, () => ({})));
    await world.publish();
    for (const n of [0, 1]) {
      const entries = decodeBundle(world.archive.objects.get(bundle(n))!, 256).map(bytes =>
        decoder.decode(bytes),
      );
      world.archive.set(
        bundle(n),
        encodeBundle([...entries.slice(0, -1), backDated(entries.at(-1)!)].map(encode)),
      );
    }
    const size = world.ledger.store.head().frontier.size;
    await expect(retireOnce(world)).rejects.toThrow(bundle(0));
    expect(world.ledger.store.head().frontier.size).toBe(size);
    expect(world.ledger.store.retention().minimum).toBe(0);
  });
});

describe("a bundle whose retention has ended", () => {
  it("is deleted only once the ledger has told so under a signed root, and hash tiles never are", async () => {
    const { world } = await aged();
    expect(await retireOnce(world)).toBe(true);
    const told = world.ledger.store.entries(600, 700).map(({ text }) => parseEntry(text).record.control);
    expect(told.at(-1)).toMatchObject({ type: "pruned", minimum: 512 });
    expect(await retireOnce(world)).toBe(true);
    expect(world.archive.objects.has(bundle(0))).toBe(true);
    await world.publish();
    expect(await retireOnce(world)).toBe(false);
    expect([0, 1].map(n => world.archive.objects.has(bundle(n)))).toEqual([false, false]);
    expect([0, 1].map(n => world.archive.objects.has(`${LEDGER}/tile/0/00${n}`))).toEqual([true, true]);
  });

  it("reads as pruned: an audit counts it, and every root still holds", async () => {
    const { world } = await aged();
    await retireAll(world);
    await world.anchor();
    const report = await auditOf(world);
    expect(codesOf(report)).toEqual([]);
    expect(report.outcome).toBe("proven");
    expect(report.ledgers[0]).toMatchObject({ pruned: 512, entries: 604 - 512 });
    expect(report.ledgers[0]!.recomputed).toBe(604);
  });

  it("reads as pruned to an audit that goes on, whether that has read it before or not", async () => {
    const { world } = await aged();
    const before = await auditOf(world);
    await retireAll(world);
    await world.append(...Array.from({ length: 300 }, () => ({})));
    await world.publish();
    await world.anchor();
    const middle = copyOf(world);
    const go = (objects: Objects, state: string) =>
      audit({ archive: viewOf(objects), trust: world.trust, state });
    const after = await go(middle, before.state!);
    expect(codesOf(after)).toEqual([]);
    expect(after.state).toBeDefined();
    world.tick(RETENTION_MS + 2 * DAY_MS);
    await world.append({});
    await world.publish();
    await retireAll(world);
    const last = await go(copyOf(world), after.state!);
    expect(codesOf(last)).toEqual([]);
    expect(last.ledgers[0]!.pruned).toBe(768);
    expect(last.state).toBe((await auditOf(world)).state);
    const taken = copyOf(world);
    for (const path of taken.keys()) if (path.startsWith(bundle(3))) taken.delete(path);
    expect(codesOf(await go(taken, after.state!))).toEqual([
      expect.stringMatching(`^truncated ${bundle(3)}`),
    ]);
    const early = new Map(middle);
    early.delete(bundle(2));
    expect(codesOf(await go(early, after.state!))).toEqual([`missing ${bundle(2)}`]);
  });

  it("leaves every proof as it was", async () => {
    const { world, receipts } = await aged();
    await retireAll(world);
    const get = async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
    const { index } = parseReceipt(receipts[7]!).entry.header;
    const plan = planInclusion(index, world.ledger.store.published());
    const hashes = plan.prove(await readTiles(get, plan.tiles));
    const checkpoint = new TextDecoder().decode(await get("checkpoint"));
    const proof = formatProof({ extra: new TextEncoder().encode(receipts[7]!), index, hashes, checkpoint });
    expect((await verifyEvidence({ proof }, world.trust)).rungs).toEqual(["signed", "included"]);
  });

  it("is told of once, not each time that somebody looks", async () => {
    const { world } = await aged();
    await retireAll(world);
    const { size } = world.ledger.store.head().frontier;
    await retireAll(world);
    world.tick(DAY_MS / 2);
    await world.append({});
    await world.publish();
    await retireAll(world);
    expect(world.ledger.store.head().frontier.size).toBe(size + 1);
  });

  it("stays while its newest entry is not old enough, by the ledger's own time", async () => {
    const world = await createWorld();
    await world.append(...Array.from({ length: 600 }, () => ({})));
    world.tick(RETENTION_MS + 2 * DAY_MS);
    await world.publish();
    await retireAll(world);
    // No entry says yet that so much time has gone by.
    expect(world.archive.objects.has(bundle(0))).toBe(true);
    expect(world.ledger.store.retention().minimum).toBe(0);
  });

  it.each(["before", "after"])(
    "is let go of in the end, however often deleting fails (%s it is done)",
    async when => {
      class Flaky extends MemoryArchive {
        failures = 2;
        override async delete(keys: readonly string[]): Promise<void> {
          const fails = keys.some(key => /entries\/\d+$/.test(key)) && this.failures-- > 0;
          if (fails && when === "before") throw new Error("no answer");
          await super.delete(keys);
          if (fails) throw new Error("no answer");
        }
      }
      const { world } = await aged(new Flaky());
      await retireOnce(world);
      await world.publish();
      await expect(retireOnce(world)).rejects.toThrow("no answer");
      await expect(retireOnce(world)).rejects.toThrow("no answer");
      await retireAll(world);
      expect(codesOf(await auditOf(world))).toEqual([]);
      expect(world.archive.objects.has(bundle(1))).toBe(false);
    },
  );

  it("stays when what must be read to tell its age is damaged, and the ledger goes on", async () => {
    for (const damage of [undefined, Uint8Array.of(1, 2, 3)]) {
      const { world } = await aged();
      if (damage === undefined) world.archive.objects.delete(bundle(0));
      else world.archive.set(bundle(0), damage);
      const failure = await retireOnce(world).catch(error => error);
      expect(failure.code).toBeUndefined();
      expect(failure.message).toContain(bundle(0));
      expect(world.archive.objects.has(bundle(1))).toBe(true);
      expect(world.ledger.halted).toBeUndefined();
    }
  });

  it("is answered with 410 and the code by the edge, to the operator, and printed by an audit", async () => {
    const { world } = await aged();
    await retireAll(world);
    const edge = openEdge(world, () => new Response());
    const ask = (n: number) =>
      edge.send({
        method: "GET",
        url: `https://api.example.com/.well-known/audit/${bundle(n)}`,
        headers: [["authorization", `Bearer ${OPERATOR_TOKEN}`]],
      });
    const gone = await ask(0);
    expect(gone.status).toBe(410);
    expect(await new Response(gone.body as BodyInit).json()).toMatchObject({
      detail: expect.stringMatching(/^pruned: .* below index 512 /),
    });
    expect((await ask(7)).status).toBe(404);
    const desk = new Desk(request => edge.send(request));
    desk.write("trust.json", formatTrust(world.trust));
    desk.write("token", OPERATOR_TOKEN);
    expect(
      await desk.run("audit", "https://api.example.com", "--trust", "trust.json", "--token", "token"),
    ).toBe(0);
    expect(desk.out).toMatch(/pruned +entries 0 to 511 of main: their retention has ended\n/);
  });

  it("is not read for a receipt as if somebody had taken it", async () => {
    const { world, receipts } = await aged();
    await retireAll(world);
    const { jti } = parseReceipt(receipts[3]!).entry.record;
    while (world.ledger.prune());
    // Long before its entry may go, the ledger has forgotten the exchange's place.
    expect(await world.ledger.find(jti)).toEqual([]);
  });
});

describe("no deletion passes for pruning:", () => {
  let world: World;
  beforeAll(async () => {
    ({ world } = await aged());
    await retireAll(world);
    await world.append(...Array.from({ length: 300 }, () => ({})));
    await world.publish();
  });

  it("without the record that tells of it, nothing is pruned", async () => {
    const report = await auditOf(world, objects => objects.delete(bundle(2)));
    expect(codesOf(report)).toEqual([0, 1, 2].map(n => `missing ${bundle(n)}`));
  });

  it("a bundle beyond the minimum index is missing", async () => {
    world.tick(1);
    await world.ledger.control({ type: "pruned", minimum: 512 });
    await world.publish();
    const report = await auditOf(world, objects => objects.delete(bundle(2)));
    expect(codesOf(report)).toEqual([`missing ${bundle(2)}`]);
    expect(report.ledgers[0]!.pruned).toBe(512);
  });

  it("a bundle of a ledger that tells of no minimum index is missing", async () => {
    const whole = (await aged()).world;
    const report = await auditOf(whole, objects => objects.delete(bundle(0)));
    expect(codesOf(report)).toEqual([`missing ${bundle(0)}`]);
  });

  it("a hash tile is missing, whatever the minimum index is", async () => {
    const report = await auditOf(world, objects => objects.delete(`${LEDGER}/tile/0/000`));
    expect(report.outcome).toBe("wrong");
    expect(codesOf(report)).toContain(`missing ${LEDGER}/tile/0/000`);
  });

  it("a hash tile of pruned entries that was altered is tampered", async () => {
    const report = await auditOf(world, objects => {
      objects.get(`${LEDGER}/tile/0/001`)![5]! ^= 1;
    });
    expect(report.problems[0]?.fault.code).toBe("tampered");
  });

  it("a minimum index beyond the entry that tells of it is malformed", async () => {
    const liar = await createWorld({ sql: openSqlite(":memory:") });
    await liar.append({ stage: "control", control: { type: "pruned", minimum: 100 } });
    await liar.publish();
    expect((await auditOf(liar)).problems[0]?.fault.code).toBe("malformed");
  });
});

describe("an erasure", () => {
  const SEED = new Uint8Array(16).fill(3);
  const fields = { sub: "someone", client_address: null, user_agent: null, query: "page=2" };

  async function erasedWorld() {
    const world = await createWorld();
    const [receipt, other] = await world.append(commitFields(SEED, fields), commitFields(SEED, fields));
    const { record } = parseReceipt(receipt!).entry;
    world.tick(1);
    const placement = await world.ledger.control({ type: "erased", exchanges: [record.jti], by: "operator" });
    if ("refused" in placement) throw new Error(placement.reason);
    const [told] = world.ledger.store.entries(placement.index, placement.index + 1);
    return { world, record, other: parseReceipt(other!).entry.record, erasure: parseEntry(told!.text) };
  }
  const codeOf = (run: () => unknown) => {
    try {
      run();
      return "ok";
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };

  it("is the reason why a private field cannot be opened any more, and not an alarm", async () => {
    const { record, erasure } = await erasedWorld();
    expect(readErased(erasure)).toEqual([record.jti]);
    expect(codeOf(() => openDisclosure(record, undefined, erasure))).toBe("erased");
    expect(codeOf(() => openDisclosure(record, disclose(SEED, "query", "page=3"), erasure))).toBe("erased");
  });

  it("takes nothing from who has kept the seed", async () => {
    const { record, erasure } = await erasedWorld();
    const kept = disclose(SEED, "query", "page=2");
    expect(openDisclosure(record, kept, erasure)).toEqual({ name: "query", value: "page=2" });
  });

  it("excuses no other exchange", async () => {
    const { other, erasure } = await erasedWorld();
    expect(codeOf(() => openDisclosure(other, undefined, erasure))).toBe("missing");
    expect(codeOf(() => openDisclosure(other, disclose(SEED, "query", "page=3"), erasure))).toBe(
      "not-disclosed",
    );
    expect(codeOf(() => openDisclosure(other, undefined))).toBe("missing");
  });

  it("is counted by an audit, which it does not disturb", async () => {
    const { world } = await erasedWorld();
    await world.publish();
    const report = await auditOf(world);
    expect(report.problems).toEqual([]);
    expect(report.ledgers[0]!.erased).toBe(1);
  });
});
