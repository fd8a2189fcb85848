// What those who check make of keys that were replaced: no rotation reads as tampering, and nothing that only a
// retired key has signed reads as proven.
import { describe, expect, test } from "vitest";
import { type AuditOptions, type AuditReport, audit } from "../../../src/client/audit.ts";
import { parseReceipt } from "../../../src/receipt/receipt.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { emptyState, keyOf, rotated, USES } from "../../rotation.ts";
import { createWorld, ISSUER, plainJti, type World } from "../../world.ts";
import { copyOf, type Objects, viewOf } from "./archives.ts";
import { Desk } from "./desk.ts";
import { openEdge } from "./edge.ts";

const upstream = () => new Response("up", { headers: { "content-length": "2" } });

/** Appends so many, publishes and anchors; with ids that no other world of the same state has. */
async function grow(world: World, count: number): Promise<string[]> {
  const { size } = world.ledger.store.head().frontier;
  const records = Array.from({ length: count }, (_, i) => ({ jti: plainJti(size + 1000 + i) }));
  const receipts = await world.append(...records);
  await world.publish();
  await world.anchor();
  return receipts;
}

/** A ledger whose keys were all replaced, with copies of its archive before, and some receipts. */
async function history() {
  const state = emptyState();
  const before = await createWorld(state);
  const [receipt] = await grow(before, 300);
  await grow(before, 20);
  const copy = copyOf(before);
  const after = await rotated(state, USES);
  return { state, before, after, copy, receipt: receipt! };
}

function auditOf(objects: Objects, world: World, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  return audit({ archive: viewOf(objects), trust: world.trust, ...options });
}

describe("an audit after all keys were replaced", () => {
  test("proves the whole archive, goes on from a state of before, and finds kept receipts and anchors", async () => {
    const { before, after, copy, receipt } = await history();
    const { state } = await auditOf(copy, before);
    await grow(after, 300);
    const report = await auditOf(copyOf(after), after, { receipts: [receipt] });
    expect(report).toMatchObject({ outcome: "proven", problems: [], unvouched: [] });
    expect(report.holdings).toMatchObject([{ coverage: "anchored" }]);
    const keptAnchor = new TextDecoder().decode(copy.get("anchors/0000000000.jws"));
    const later = await auditOf(copyOf(after), after, { state: state!, keptAnchor });
    expect(later).toMatchObject({ outcome: "proven", problems: [], unvouched: [] });
    expect(later.ledgers[0]!.from).toBe(256);
  });

  test("cannot tell, without an alarm, by a trust document of before", async () => {
    const { before, after } = await history();
    await grow(after, 3);
    const report = await auditOf(copyOf(after), before);
    expect(new Set(report.problems.map(({ fault }) => fault.code))).toEqual(new Set(["unknown-key"]));
    const desk = new Desk();
    for (const [path, bytes] of copyOf(after)) desk.write(`archive/${path}`, bytes);
    desk.write("trust.json", formatTrust(before.trust));
    expect(await desk.run("audit", "archive", "--trust", "trust.json")).toBe(2);
    expect(desk.out).toContain("newer");
  });

  test("cannot tell, without an alarm, from a copy of before: any holder of those keys could have made it", async () => {
    const { after, copy } = await history();
    const report = await auditOf(copy, after);
    expect(report).toMatchObject({
      ...{ outcome: "undecided", problems: [] },
      unvouched: [{ path: "anchors/0000000000.jws" }],
    });
    expect(report.state).toBeUndefined();
    const desk = new Desk();
    for (const [path, bytes] of copy) desk.write(`archive/${path}`, bytes);
    desk.write("trust.json", formatTrust(after.trust));
    expect(await desk.run("audit", "archive", "--trust", "trust.json")).toBe(2);
    expect(desk.out).toMatch(/^undecided +all that was read holds together, but anchors\/0000000000.jws: /m);
    expect(desk.out).toContain("retired key");
  });

  test("takes the auditor's own kept anchor for good up to there, and no published tree beyond", async () => {
    const { after, before, copy } = await history();
    const keptAnchor = new TextDecoder().decode(copy.get("anchors/0000000001.jws"));
    expect(await auditOf(copy, after, { keptAnchor })).toMatchObject({ outcome: "proven", unvouched: [] });
    await before.append({ jti: plainJti(9000) });
    await before.publish();
    const report = await auditOf(copyOf(before), after, { keptAnchor });
    expect(report).toMatchObject({
      ...{ outcome: "undecided", problems: [] },
      unvouched: [{ path: "main/checkpoint", what: "the tree of 322 entries" }],
    });
  });

  test("is not fooled by a whole archive that a thief of the old keys has made up", async () => {
    const { after } = await history();
    const forger = await createWorld();
    const records = Array.from({ length: 400 }, (_, i) => ({ jti: plainJti(5000 + i), ms: 9 }));
    await forger.append(...records);
    await forger.publish();
    await forger.anchor();
    expect((await auditOf(copyOf(forger), after)).outcome).toBe("undecided");
    // Beside the real anchors, it contradicts them.
    await grow(after, 3);
    const mixed = new Map([...copyOf(after), ...forger.archive.objects]);
    expect((await auditOf(mixed, after)).outcome).toBe("wrong");
  });
});

describe("a receipt of before, asked for again", () => {
  async function open(isKept: boolean) {
    const { after, receipt } = await history();
    await grow(after, 3);
    const key = isKept ? await keyOf("receipt", 0) : undefined;
    const desk = new Desk(openEdge(after, upstream, key).send);
    desk.write("trust.json", formatTrust(after.trust));
    desk.write("receipt.jws", receipt);
    const { jti } = parseReceipt(receipt).entry.record;
    const url = `${ISSUER}/.well-known/audit/receipts/${jti}`;
    const ask = async (path = "") => {
      const { status, body } = await desk.send({ method: "GET", url: `${url}${path}`, headers: [] });
      return { status, text: await new Response(body as unknown as ReadableStream).text() };
    };
    return { desk, receipt, ask };
  }

  test("is the same, bit for bit, while the edge has its key", async () => {
    const { ask, receipt, desk } = await open(true);
    expect(await ask()).toEqual({ status: 200, text: receipt });
    expect((await ask("/proof")).status).toBe(200);
    expect(await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof")).toBe(0);
    expect(await desk.run("verify", "it.tlog-proof", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^proven +signed, included$/m);
  });

  test("is gone with its key, which says nothing against it: whoever has it gets its proof all the same", async () => {
    const { ask, desk } = await open(false);
    for (const path of ["", "/proof"]) {
      const { status, text } = await ask(path);
      expect(status).toBe(410);
      expect(JSON.parse(text)).toMatchObject({ title: "Receipt key retired" });
    }
    expect(await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof")).toBe(0);
    expect(await desk.run("verify", "it.tlog-proof", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^proven +signed, included$/m);
    // Without its proof, it may be a thief's.
    expect(await desk.run("verify", "receipt.jws", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^note +receipt: signed by a key that was retired since/m);
  });
});

describe("an edge whose ledger has another receipt key already", () => {
  test("gives a promise instead of a receipt, which the ledger has kept by then, and signs nothing wrongly", async () => {
    const { after, before } = await history();
    // The app of before, before a ledger that has been told of the new keys.
    const late = { ...before, ledger: after.ledger };
    const desk = new Desk(openEdge(late, upstream).send);
    const { headers, status } = await desk.send({ method: "GET", url: `${ISSUER}/x`, headers: [] });
    expect(status).toBe(200);
    expect(headers.has("audit-receipt")).toBe(false);
    const promise = headers.get("audit-promise")!;
    await after.publish();
    await after.anchor();
    const report = await auditOf(copyOf(after), after, { promises: [promise] });
    expect(report).toMatchObject({ outcome: "proven", promises: [{ state: "kept" }] });
    const url = `${ISSUER}/.well-known/audit/receipts/${headers.get("audit-id")}`;
    expect((await desk.send({ method: "GET", url, headers: [] })).status).toBe(503);
    const healed = await openEdge(after, upstream).send({ method: "GET", url, headers: [] });
    expect(healed.status).toBe(200);
    const desk2 = new Desk(openEdge(after, upstream).send);
    desk2.write("trust.json", formatTrust(after.trust));
    desk2.write("promise.jws", promise);
    expect(await desk2.run("verify", "promise.jws", "--trust", "trust.json")).toBe(0);
  });
});
