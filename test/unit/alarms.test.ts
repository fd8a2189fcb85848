// What must never read as tampering: keys that change, values that were erased, anchors and witnesses that
// are behind. Each of them has a verdict or a code of its own.
import { describe, expect, it } from "vitest";
import { commitFields } from "../../src/receipt/disclosure.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import type { Trust } from "../../src/receipt/trust.ts";
import { type Evidence, verifyEvidence } from "../../src/receipt/verify.ts";
import { cosign } from "../../src/tlog/cosignature.ts";
import { FAULT_CODES } from "../../src/tlog/fault.ts";
import {
  ED25519_COSIGNATURE,
  formatNote,
  formatVerifierKey,
  makeNoteKey,
  parseNote,
} from "../../src/tlog/note.ts";
import { formatProof, parseProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { planInclusion } from "../../src/tlog/tree.ts";
import { createWorld, fixedKey, LEDGER, type World } from "../world.ts";

const ALARMS = [
  "bad-signature",
  "tampered",
  "forked",
  "rolled-back",
  "truncated",
  "not-included",
  "mismatched",
];
const SEED = new Uint8Array(16).fill(3);
const SEEN = { url: "https://api.example.com/orders?page=2", method: "GET" };

async function verdictOf(evidence: Evidence, trust: Trust): Promise<string> {
  try {
    return (await verifyEvidence(evidence, trust)).rungs.join(" ");
  } catch (error) {
    const { code } = error as { code: string };
    expect(Object.keys(FAULT_CODES)).toContain(code);
    expect(ALARMS).not.toContain(code);
    return code;
  }
}

async function proofOf(world: World, receipt: string): Promise<string> {
  const get = async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
  const { index } = parseReceipt(receipt).entry.header;
  const plan = planInclusion(index, world.ledger.store.published());
  const checkpoint = new TextDecoder().decode(await get("checkpoint"));
  const hashes = plan.prove(await readTiles(get, plan.tiles));
  return formatProof({ extra: new TextEncoder().encode(receipt), index, hashes, checkpoint });
}

async function recorded() {
  const world = await createWorld();
  const [receipt] = await world.append({
    req: { method: "GET", host: "api.example.com", path: "/orders", size: 0 },
    ...commitFields(SEED, { sub: "someone", client_address: null, user_agent: null, query: "page=2" }),
  });
  await world.append({}, {});
  await world.publish();
  return { world, receipt: receipt!, proof: await proofOf(world, receipt!) };
}

/** The same proof with its checkpoint cosigned by the named witnesses. */
async function cosigned(proof: string, ...names: string[]): Promise<string> {
  const parts = parseProof(proof);
  const note = parseNote(parts.checkpoint);
  const cosignatures = await Promise.all(
    names.map(async name => {
      const { publicKey, sign } = await fixedKey(name);
      return cosign(note.text, 1_795_238_600, {
        key: makeNoteKey(name, ED25519_COSIGNATURE, publicKey),
        sign,
      });
    }),
  );
  return formatProof({
    ...parts,
    checkpoint: formatNote({ text: note.text, signatures: [...note.signatures, ...cosignatures] }),
  });
}

/** Trust with a policy that asks for two of the witnesses w1, w2 and w3. */
async function withPolicy(trust: Trust): Promise<Trust> {
  const lines = await Promise.all(
    ["w1", "w2", "w3"].map(async name => {
      const key = makeNoteKey(name, ED25519_COSIGNATURE, (await fixedKey(name)).publicKey);
      return `witness ${name} ${formatVerifierKey(key)}\n`;
    }),
  );
  return { ...trust, policy: `${lines.join("")}group two 2 w1 w2 w3\nquorum two\n` };
}

describe("no false alarm is raised by", () => {
  it("a receipt key that was rotated: receipts of both verify while both are trusted", async () => {
    const { world, receipt } = await recorded();
    const next = (await fixedKey("receipt-2")).publicJwk;
    const at = Date.parse(parseReceipt(receipt).entry.header.at) / 1000;
    const retired = { ...world.receiptKey.publicJwk, exp: at + 60 };
    expect(await verdictOf({ receipt }, { ...world.trust, receiptKeys: [next, retired] })).toBe("signed");
    expect(await verdictOf({ receipt }, { ...world.trust, receiptKeys: [next] })).toBe("unknown-key");
  });

  it("a key that was retired before: its own code says that the time does not fit", async () => {
    const { world, receipt } = await recorded();
    const at = Date.parse(parseReceipt(receipt).entry.header.at) / 1000;
    const retired = { ...world.receiptKey.publicJwk, exp: at - 60 };
    expect(await verdictOf({ receipt }, { ...world.trust, receiptKeys: [retired] })).toBe("key-not-valid");
  });

  it("private values that were erased: everything else still matches, and the query is not compared", async () => {
    const { world, receipt, proof } = await recorded();
    const kept = await verifyEvidence({ receipt, proof, seed: SEED, exchange: SEEN }, world.trust);
    const erased = await verifyEvidence({ receipt, proof, exchange: SEEN }, world.trust);
    expect(kept.matched).toContain("query");
    expect(erased.matched).toEqual(["method", "host", "path"]);
    expect(erased.rungs).toEqual(["signed", "matched", "included"]);
  });

  it("an anchor that is behind the proof", async () => {
    const { world, receipt } = await recorded();
    await world.anchor();
    const anchor = new TextDecoder().decode(world.anchors.objects.get("anchors/0000000000.jws"));
    await world.append({});
    await world.publish();
    const proof = await proofOf(world, receipt);
    expect(await verdictOf({ proof, anchor }, world.trust)).toBe("not-yet-included");
    expect(await verdictOf({ proof }, world.trust)).toBe("signed included");
  });

  it("a published tree that is behind the receipt", async () => {
    const { world, proof } = await recorded();
    const [receipt] = await world.append({});
    const { index } = parseReceipt(receipt!).entry.header;
    const early = formatProof({ ...parseProof(proof), extra: new TextEncoder().encode(receipt), index });
    expect(await verdictOf({ proof: early }, world.trust)).toBe("not-yet-included");
  });

  it("a witness that is offline, as long as the quorum is met, and else its own code", async () => {
    const { world, proof } = await recorded();
    const trust = await withPolicy(world.trust);
    expect(await verdictOf({ proof: await cosigned(proof, "w1", "w3") }, trust)).toBe(
      "signed included witnessed",
    );
    expect(await verdictOf({ proof: await cosigned(proof, "w2") }, trust)).toBe("quorum-not-met");
    expect(await verdictOf({ proof }, trust)).toBe("quorum-not-met");
    expect(await verdictOf({ proof: await cosigned(proof, "stranger") }, world.trust)).toBe(
      "signed included",
    );
  });

  it("an unknown witness beside known ones", async () => {
    const { world, proof } = await recorded();
    const trust = await withPolicy(world.trust);
    const verdict = await verifyEvidence({ proof: await cosigned(proof, "stranger", "w1", "w2") }, trust);
    expect(verdict.witnesses).toEqual(["w1", "w2"]);
  });
});

describe("an alarm is raised by", () => {
  it("a cosignature that does not fit, even when the quorum is met without it", async () => {
    const { world, proof } = await recorded();
    const trust = await withPolicy(world.trust);
    const good = await cosigned(proof, "w1", "w2", "w3");
    const lines = good.split("\n");
    const at = lines.findIndex(line => line.startsWith("— w3 "));
    const bytes = Buffer.from(lines[at]!.split(" ")[2]!, "base64");
    bytes[40]! ^= 1;
    lines[at] = `— w3 ${bytes.toString("base64")}`;
    await expect(verifyEvidence({ proof: lines.join("\n") }, trust)).rejects.toMatchObject({
      code: "bad-signature",
    });
  });
});
