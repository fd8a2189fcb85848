// Every bit of every artefact counts: whichever one is flipped, it is rejected, with a code of the closed set.
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { commitFields, disclose, openDisclosure } from "../../src/receipt/disclosure.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { verifyTimestamp } from "../../src/receipt/timestamp.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { decodeBase64 } from "../../src/tlog/base64.ts";
import { openCheckpoint } from "../../src/tlog/checkpoint.ts";
import { FAULT_CODES } from "../../src/tlog/fault.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import { checkInclusion, planInclusion } from "../../src/tlog/tree.ts";
import { createWorld, LEDGER, type World } from "../world.ts";

const SEED = new Uint8Array(16).fill(5);
const utf8 = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

/** A token by the reference; those that carry certificates have their bits flipped in the long tests. */
const timestamp = JSON.parse(readFileSync("test/vectors/timestamp/plain.json", "utf8")) as {
  input: { token: string; digest: string; certificates: string[] };
};
const fromHex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

let world: World;
let receipt: string;
let size: number;
let object: (path: string) => Uint8Array;

beforeAll(async () => {
  world = await createWorld();
  const fields = { sub: null, client_address: "203.0.113.7", user_agent: "curl", query: "page=2" };
  receipt = (await world.append(commitFields(SEED, fields)))[0]!;
  await world.append(...Array.from({ length: 7 }, () => ({})));
  size = await world.publish();
  await world.anchor();
  object = path => world.archive.objects.get(`${LEDGER}/${path}`)!;
});

function proofFrom(tile: Uint8Array) {
  const { index } = parseReceipt(receipt).entry.header;
  const plan = planInclusion(index, size);
  return { index, hashes: plan.prove(plan.tiles.map(() => tile)) };
}

/** Checks an entry's bytes against the signed tree. */
async function checkEntry(entry: string, tile = object(`tile/0/000.p/${size}`)): Promise<void> {
  const { checkpoint } = await openCheckpoint(object("checkpoint"), world.trust.ledgers[0]!.keys);
  const { leaf } = parseEntry(entry);
  const { index, hashes } = proofFrom(tile);
  checkInclusion({ index, size, leaf, root: checkpoint.root, proof: hashes });
}

const entryOf = () => receipt.slice(0, receipt.lastIndexOf("."));
const proofFile = () => {
  const checkpoint = text(object("checkpoint"));
  return formatProof({ ...proofFrom(object(`tile/0/000.p/${size}`)), extra: utf8(receipt), checkpoint });
};

/** Each artefact: its bytes, and the check that must accept them and nothing else. */
const ARTEFACTS: [string, () => Uint8Array, (bytes: Uint8Array) => Promise<unknown>][] = [
  ["a receipt", () => utf8(receipt), bytes => verifyEvidence({ receipt: latin1(bytes) }, world.trust)],
  ["an entry", () => utf8(entryOf()), bytes => checkEntry(latin1(bytes))],
  ["a proof file", () => utf8(proofFile()), bytes => verifyEvidence({ proof: lossy(bytes) }, world.trust)],
  ["a checkpoint", () => object("checkpoint"), bytes => openCheckpoint(bytes, world.trust.ledgers[0]!.keys)],
  [
    "an anchor",
    () => world.anchors.objects.get("anchors/0000000000.jws")!,
    bytes => openAnchor(latin1(bytes), world.trust.anchorKeys),
  ],
  [
    "a disclosure",
    () => utf8(disclose(SEED, "query", "page=2")),
    async bytes => openDisclosure(parseReceipt(receipt).entry.record, latin1(bytes)),
  ],
  [
    "a timestamp token",
    () => fromHex(timestamp.input.token),
    bytes =>
      verifyTimestamp(
        bytes,
        fromHex(timestamp.input.digest),
        timestamp.input.certificates.map(text => decodeBase64(text)),
      ),
  ],
];

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const lossy = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[Math.floor(bit / 8)]! ^= 1 << (bit % 8);
  return flipped;
}

describe("one flipped bit", () => {
  it.each(ARTEFACTS)("anywhere in %s is rejected with a code", async (_, make, check) => {
    const bytes = make();
    await check(bytes);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const error = await check(flip(bytes, bit)).then(
        () => undefined,
        error => error,
      );
      expect(Object.keys(FAULT_CODES), `bit ${bit}: ${error}`).toContain(error?.code);
    }
  });

  it("anywhere in the hashes of a tile that a proof is made of is rejected with a code", async () => {
    const tile = object(`tile/0/000.p/${size}`);
    const { index } = parseReceipt(receipt).entry.header;
    for (let bit = 0; bit < tile.length * 8; bit++) {
      // A proof does not contain the hash of its own entry.
      if (Math.floor(bit / 256) === index) continue;
      await expect(checkEntry(entryOf(), flip(tile, bit)), `bit ${bit}`).rejects.toMatchObject({
        code: "not-included",
      });
    }
  });
});
