// Keys that are replaced: what the ledger and the anchor writer make of the ones before, what everybody else does,
// and what a thief can do with one that was retired.
import { describe, expect, it } from "vitest";
import { AnchorWriter } from "../../durable/anchorwriter.ts";
import { openEnvironment } from "../../src/hosts/environment.ts";
import { makeSigningKey } from "../../src/hosts/keys.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { FIRST_ANCHOR_PREV, issueAnchor, openAnchor } from "../../src/receipt/anchor.ts";
import { formatEntry, formatHeader, parseEntry } from "../../src/receipt/entry.ts";
import { issueReceipt, parseReceipt } from "../../src/receipt/receipt.ts";
import { formatTrust, parseTrust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { encodeBase64, encodeBase64url } from "../../src/tlog/base64.ts";
import { formatCheckpoint } from "../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, makeNoteKey, signNote } from "../../src/tlog/note.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { leafHash, planConsistency, planInclusion } from "../../src/tlog/tree.ts";
import { DAY_S, emptyState, keyOf, rotated, USES } from "../rotation.ts";
import { createWorld, ISSUER, LEDGER, ORIGIN, plainJti, START_MS, type World } from "../world.ts";

async function grow(world: World, ...ns: number[]): Promise<string[]> {
  return world.append(...ns.map(n => ({ jti: plainJti(n) })));
}

async function controlsOf({ ledger }: World): Promise<unknown[]> {
  const { size } = ledger.store.head().frontier;
  return ledger.store
    .entries(0, size)
    .map(({ text }) => parseEntry(text).record.control)
    .filter(control => control !== undefined);
}

function get(world: World) {
  return async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
}

async function proofOf(world: World, receipt: string): Promise<string> {
  const { index } = parseReceipt(receipt).entry.header;
  const plan = planInclusion(index, world.ledger.store.published());
  const checkpoint = new TextDecoder().decode(await get(world)("checkpoint"));
  const hashes = plan.prove(await readTiles(get(world), plan.tiles));
  return formatProof({ extra: new TextEncoder().encode(receipt), index, hashes, checkpoint });
}

function anchorText(world: World, epoch: number): string {
  return new TextDecoder().decode(
    world.anchors.objects.get(`anchors/${String(epoch).padStart(10, "0")}.jws`),
  );
}

/** A receipt, its proof and its anchor from before all keys were replaced, and the worlds before and after. */
async function history() {
  const state = emptyState();
  const before = await createWorld(state);
  const [receipt] = await grow(before, 1, 2, 3);
  await before.publish();
  await before.anchor();
  const old = { receipt: receipt!, proof: await proofOf(before, receipt!), anchor: anchorText(before, 0) };
  const after = await rotated(state, USES);
  return { state, before, after, old };
}

describe("a ledger whose keys were replaced", () => {
  it.each(USES)("goes on after the %s key was, and tells of it in its records", async use => {
    const state = emptyState();
    const before = await createWorld(state);
    await grow(before, 1);
    await before.publish();
    await before.anchor();
    const after = await rotated(state, [use]);
    const [receipt] = await grow(after, 2);
    expect(after.ledger.halted).toBeUndefined();
    const keys = await Promise.all([0, 1].map(async n => (await keyOf(use, n)).kid));
    const told = (await controlsOf(after)).slice(1);
    expect(told).toMatchObject([
      { type: "key-added", use },
      { type: "key-retired", use },
    ]);
    if (use !== "checkpoint") expect(told).toMatchObject([{ key: keys[1] }, { key: keys[0] }]);
    await after.publish();
    expect(await after.anchor()).toBe(1);
    expect((await openAnchor(anchorText(after, 1), after.trust.anchorKeys)).payload.refused).toBeUndefined();
    const proof = await proofOf(after, receipt!);
    const verdict = await verifyEvidence(
      { receipt: receipt!, proof, anchor: anchorText(after, 1) },
      after.trust,
    );
    expect(verdict).toMatchObject({ rungs: ["signed", "included", "anchored"] });
    expect(verdict.unvouched).toBeUndefined();
  });

  it("tells of it without waiting for a record, and signs nothing with a key that it has not told of", async () => {
    const state = emptyState();
    const before = await createWorld(state);
    await grow(before, 1);
    const after = await rotated(state, USES);
    await expect(after.publish()).rejects.toThrow("do not tell of this checkpoint key");
    await after.ledger.tell();
    expect(await controlsOf(after)).toHaveLength(7);
    expect(await after.publish()).toBe(8);
    await after.ledger.tell();
    expect(after.ledger.store.head().frontier.size).toBe(8);
  });

  it("lets the instance before sign nothing more, once it is told", async () => {
    const state = emptyState();
    const before = await createWorld(state);
    await grow(before, 1);
    await before.publish();
    const after = await rotated(state, ["checkpoint"]);
    await grow(after, 2);
    await expect(before.publish()).rejects.toThrow("do not tell of this checkpoint key");
    expect(await after.publish()).toBe(5);
  });

  it("halts, and names the reason, when nobody told it of the key before", async () => {
    const state = emptyState();
    await grow(await createWorld(state), 1);
    await (await createWorld(state)).publish();
    const after = await createWorld({ ...state, checkpointKey: await keyOf("checkpoint", 1) });
    await expect(grow(after, 2)).rejects.toThrow("halted");
    expect(after.ledger.halted).toMatchObject({ code: "unknown-key" });
  });
});

it("an anchor follows the replacement of its key, though nothing has grown", async () => {
  const { state, before } = await history();
  const after = await rotated(state, ["anchor"]);
  expect(await after.anchor()).toBe(1);
  expect(await after.anchor()).toBe(1);
  const { key, payload } = await openAnchor(anchorText(after, 1), after.trust.anchorKeys);
  expect(key.exp).toBeUndefined();
  expect(payload.ledgers[0]!.size).toBe(before.ledger.store.published());
});

describe("what was signed before all keys were replaced", () => {
  it("verifies: the receipt by itself, its proof and anchor under what the new keys have signed", async () => {
    const { after, old } = await history();
    const alone = await verifyEvidence({ receipt: old.receipt }, after.trust);
    expect(alone).toMatchObject({ rungs: ["signed"], unvouched: ["receipt"] });
    await grow(after, 4);
    await after.publish();
    await after.anchor();
    const anew = await verifyEvidence({ proof: await proofOf(after, old.receipt) }, after.trust);
    expect(anew.rungs).toEqual(["signed", "included"]);
    expect(anew.unvouched).toBeUndefined();
    // The old proof, under a new anchor.
    const [size1, size2] = [4, after.ledger.store.published()];
    const plan = planConsistency(size1, size2);
    const consistency = plan.prove(await readTiles(get(after), plan.tiles));
    const evidence = { proof: old.proof, anchor: anchorText(after, 1), consistency };
    const anchored = await verifyEvidence(evidence, after.trust);
    expect(anchored.rungs).toEqual(["signed", "included", "anchored"]);
    expect(anchored.unvouched).toBeUndefined();
  });

  it("proves no place by old keys alone, and says so without an alarm", async () => {
    const { after, old } = await history();
    const verdict = await verifyEvidence(old, after.trust);
    expect(verdict).toMatchObject({ rungs: ["signed"], unvouched: ["receipt", "checkpoint", "anchor"] });
    expect(verdict.checkpoint).toBeUndefined();
    expect(verdict.anchor).toBeUndefined();
  });

  it("verifies as ever with the trust document of that time, which calls what is new unknown", async () => {
    const { before, after, old } = await history();
    expect((await verifyEvidence(old, before.trust)).rungs).toEqual(["signed", "included", "anchored"]);
    const [receipt] = await grow(after, 4);
    await expect(verifyEvidence({ receipt: receipt! }, before.trust)).rejects.toMatchObject({
      code: "unknown-key",
    });
  });

  it("is known from a trust document that was written and read", async () => {
    const { after } = await history();
    const text = formatTrust(after.trust);
    const trust = parseTrust(text);
    expect(trust).toEqual(after.trust);
    expect(trust.ledgers[0]!.retired).toMatchObject([{ exp: START_MS / 1000 + DAY_S }]);
  });
});

describe("a thief of retired keys", () => {
  /** A tree of one entry that was never in the ledger, with its receipt and proof, by keys that were retired. */
  async function forge() {
    const [receiptKey, checkpointKey] = [await keyOf("receipt", 0), await keyOf("checkpoint", 0)];
    const key = makeNoteKey(ORIGIN, ED25519, checkpointKey.publicKey);
    const at = new Date(START_MS).toISOString();
    const record = JSON.stringify({ iss: ISSUER, jti: plainJti(77), iat: 1, time: at, stage: "complete" });
    const prev = encodeBase64url(new Uint8Array(32));
    const place = { origin: ORIGIN, index: 0, prev, at };
    const entry = formatEntry(
      formatHeader({ alg: "Ed25519", kid: receiptKey.kid, typ: "audit-receipt+jwt", ...place }),
      record,
    );
    const root = leafHash(new TextEncoder().encode(entry));
    const text = formatCheckpoint({ origin: ORIGIN, size: 1, root, extensions: [] });
    const signature = await signNote(text, { key, sign: checkpointKey.sign });
    const checkpoint = formatNote({ text, signatures: [signature] });
    const receipt = await issueReceipt(entry, receiptKey);
    const extra = new TextEncoder().encode(receipt);
    const pin = {
      origin: ORIGIN,
      size: 1,
      root: encodeBase64(root),
      head: encodeBase64url(root),
      checkpoint,
    };
    return { receipt, pin, proof: formatProof({ extra, index: 0, hashes: [], checkpoint }) };
  }

  /** An anchor by the retired anchor key. */
  async function forgeAnchor(epoch: number, prev: string, ledgers: object[]): Promise<string> {
    const time = new Date(START_MS + 1).toISOString();
    const payload = { v: 1, iss: ISSUER, epoch, time, prev, ledgers, lock: { kind: "none" } };
    return issueAnchor(payload as Parameters<typeof issueAnchor>[0], await keyOf("anchor", 0));
  }

  it("gives no made-up entry a place in the past, not with all three of them", async () => {
    const { after, before } = await history();
    const { proof, receipt, pin } = await forge();
    const anchor = await forgeAnchor(0, FIRST_ANCHOR_PREV, [pin]);
    const verdict = await verifyEvidence({ receipt, proof, anchor }, after.trust);
    expect(verdict).toMatchObject({ rungs: ["signed"], unvouched: ["receipt", "checkpoint", "anchor"] });
    // Those who have not heard of the retirement are fooled: a key is good until it is known to be retired.
    const fooled = await verifyEvidence({ receipt, proof, anchor }, before.trust);
    expect(fooled.rungs).toEqual(["signed", "included", "anchored"]);
  });

  it("has no tree pinned that only the retired key has signed, however large", async () => {
    const { after, state } = await history();
    const other = await createWorld();
    await grow(other, 1, 2, 3, 4, 5, 6);
    await other.publish();
    expect(await after.anchor()).toBe(1);
    for (const [key, bytes] of other.archive.objects) state.archive.set(key, bytes);
    expect(await after.anchor()).toBe(1);
    expect((await openAnchor(anchorText(after, 1), after.trust.anchorKeys)).payload.ledgers[0]!.size).toBe(4);
    expect(after.anchorTroubles()).toMatchObject([{ message: expect.stringContaining("a retired key") }]);
  });

  it("keeps no anchor waiting for its interval once the ledger has published under the new one", async () => {
    const state = emptyState();
    const before = await rotated(state, []);
    await grow(before, 1);
    await before.publish();
    const after = await rotated(state, ["checkpoint"]);
    let dueAt: number | null = null;
    const writer = new AnchorWriter({
      ...{ anchorer: after.anchorer, intervalMs: 60_000, entries: 1000, ledgers: [LEDGER] },
      spool: {
        ...{ list: async () => [], read: async () => undefined },
        ...{ putIfAbsent: async () => true, delete: async () => {} },
      },
      wake: async () => {},
      now: () => 5,
      alarm: {
        get: async () => dueAt,
        set: async atMs => {
          dueAt = atMs;
        },
        clear: async () => {
          dueAt = null;
        },
      },
      report: () => {},
    });
    await writer.onAlarm();
    expect(await writer.status()).toMatchObject({
      trouble: { reason: expect.stringContaining("retired key") },
    });
    await writer.arm({ ledger: "another", published: 1 });
    expect(dueAt).toBe(60_005);
    await grow(after, 2);
    await after.publish();
    await writer.arm({ ledger: LEDGER, published: after.ledger.store.published() });
    expect(dueAt).toBe(5);
    await writer.onAlarm();
    expect(await writer.status()).toEqual({ latest: 0 });
    await writer.arm({ ledger: LEDGER, published: after.ledger.store.published() });
    expect(dueAt).toBe(60_005);
  });

  it("gets no anchor into the chain, unless one by the key in force comes after it", async () => {
    const { after, before, state, old } = await history();
    const { digest } = await openAnchor(old.anchor, before.trust.anchorKeys);
    const forged = await forgeAnchor(1, digest, []);
    state.anchors.set("anchors/0000000001.jws", new TextEncoder().encode(forged));
    await grow(after, 4);
    await after.publish();
    await expect(after.anchor()).rejects.toMatchObject({ code: "key-not-valid" });
  });

  it("is not taken for one by a writer whose storage was put back to before the keys were replaced", async () => {
    const { after, before, state } = await history();
    await grow(before, 4);
    await before.publish();
    await before.anchor();
    await grow(after, 5);
    await after.publish();
    expect(await after.anchor()).toBe(2);
    const restored = await rotated({ ...state, anchorSql: openSqlite(":memory:") }, USES);
    await grow(restored, 6);
    await restored.publish();
    expect(await restored.anchor()).toBe(3);
  });
});

describe("an entry that names another key", () => {
  it("is not signed", async () => {
    const { after } = await history();
    const [first] = after.ledger.store.entries(0, 1);
    await expect(issueReceipt(first!.text, await keyOf("receipt", 1))).rejects.toThrow("another receipt key");
    await expect(issueReceipt(first!.text, await keyOf("receipt", 0))).resolves.toMatch(/^ey/);
  });
});

describe("the environment of an edge", () => {
  const vars = (retired_keys: object[]) => ({
    issuer: ISSUER,
    ledgers: [{ name: LEDGER, origin: ORIGIN }],
    routes: [{ name: "all", match: "/*", upstream: "https://up.internal", ledger: LEDGER }],
    retired_keys,
  });

  async function secrets() {
    const [RECEIPT_KEY, CHECKPOINT_KEY, ANCHOR_KEY, before] = await Promise.all(
      Array.from({ length: 4 }, makeSigningKey),
    );
    const { x } = JSON.parse(before!) as { x: string };
    return {
      all: { RECEIPT_KEY: RECEIPT_KEY!, CHECKPOINT_KEY: CHECKPOINT_KEY!, ANCHOR_KEY: ANCHOR_KEY! },
      before,
      x,
    };
  }

  it.each(["operator-token", `${"0".repeat(64)} `, "0".repeat(63)])(
    "takes no operator's token but by its SHA-256: with %o nobody would be the operator, and nobody told",
    async hash => {
      const { all } = await secrets();
      await expect(openEnvironment(vars([]), { ...all, OPERATOR_TOKEN_SHA256: hash })).rejects.toThrow(
        "OPERATOR_TOKEN_SHA256: expected 64 hex digits",
      );
    },
  );

  it("has retired keys trusted for what they were for, and until they were retired", async () => {
    const { all, x } = await secrets();
    const until = "2026-11-22T05:22:22Z";
    const { trust, policy } = await openEnvironment(vars(USES.map(use => ({ use, key: x, until }))), all);
    const exp = Date.parse(until) / 1000;
    expect(trust.receiptKeys).toMatchObject([{ use: "sig" }, { x, exp }]);
    expect(trust.anchorKeys).toMatchObject([{ use: "sig" }, { x, exp }]);
    expect(trust.ledgers[0]!.keys).toHaveLength(1);
    expect(trust.ledgers[0]!.retired).toMatchObject([{ exp, key: { name: ORIGIN } }]);
    // Records say which rules were in force: an old key is none.
    expect((await openEnvironment(vars([]), all)).policy.hash).toBe(policy.hash);
  });

  it("takes a key that is listed ahead of its time for one in force", async () => {
    const { all } = await secrets();
    const { x } = JSON.parse(all.RECEIPT_KEY) as { x: string };
    const { trust } = await openEnvironment(
      vars([{ use: "receipt", key: x, until: "2026-01-01T00:00:00Z" }]),
      all,
    );
    expect(trust.receiptKeys).toEqual([expect.not.objectContaining({ exp: expect.anything() })]);
  });

  it("refuses a key to issue again with that nobody is told to believe", async () => {
    const { all, before, x } = await secrets();
    const more = { ...all, RECEIPT_KEY_BEFORE: before! };
    await expect(openEnvironment(vars([]), more)).rejects.toThrow(`no receipt key ${x}`);
    const retired = [{ use: "receipt", key: x, until: "2026-11-22T05:22:22Z" }];
    expect((await openEnvironment(vars(retired), more)).receiptKeyBefore!.publicJwk.x).toBe(x);
  });

  it.each([
    [{ use: "receipts", key: "a".repeat(43), until: "2026-11-22T05:22:22Z" }, "vars.retired_keys.0.use"],
    [{ use: "receipt", key: "short", until: "2026-11-22T05:22:22Z" }, "32 bytes in base64url"],
    [{ use: "receipt", key: "_".repeat(43), until: "2026-11-22T05:22:22Z" }, "retired_keys: receipt"],
    [{ use: "receipt", key: "a".repeat(43), until: "tomorrow" }, "expected a time like"],
  ])("refuses %j", async (retired, reason) => {
    const { all } = await secrets();
    await expect(openEnvironment(vars([retired]), all)).rejects.toThrow(reason);
  });
});
