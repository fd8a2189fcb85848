// What must hold on every platform: of the platform itself, of the bytes that are made there, and of what is
// read back, proven and verified from them.
import { openAnchor } from "../../src/receipt/anchor.ts";
import { disclose, openDisclosure, parseSeed } from "../../src/receipt/disclosure.ts";
import { FIRST_PREV, parseEntry } from "../../src/receipt/entry.ts";
import { issueReceipt, parseReceipt, verifySignature } from "../../src/receipt/receipt.ts";
import { formatTrust, parseTrust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { encodeBase64url } from "../../src/tlog/base64.ts";
import { decodeBundle } from "../../src/tlog/bundle.ts";
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { openCosignatures } from "../../src/tlog/cosignature.ts";
import { verifyEd25519 } from "../../src/tlog/ed25519.ts";
import { formatNote, formatSignatureLines, parseNote } from "../../src/tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../../src/tlog/policy.ts";
import { formatProof, parseProof } from "../../src/tlog/proof.ts";
import { formatTilePath, parseTilePath, TILE_WIDTH } from "../../src/tlog/tile.ts";
import {
  checkConsistency,
  checkInclusion,
  leafHash,
  planConsistency,
  planInclusion,
} from "../../src/tlog/tree.ts";
import { formatAddCheckpoint, openAnswer, parseAddCheckpoint } from "../../src/tlog/witness.ts";
import { concatenate, decodeHex, encodeUtf8 } from "./bytes.ts";
import { expectSame, expectTrue, outcomeOf } from "./expect.ts";
import {
  ANCHORED_SIZES,
  type FixedLedger,
  KNOWN_INDEX,
  LAST_SIZE,
  ORIGIN,
  PRIVATE,
  proveConsistency,
  proveEntry,
  proveInclusion,
  rootAt,
  SEED,
  SEEN,
  SIZES,
} from "./ledger.ts";
import { makeSyntheticTree } from "./synthetic.ts";

/** Hands over what a check has made, to be compared with what other platforms made. */
export type Keep = (name: string, artefact: string | Uint8Array) => void;

export type Check = (ledger: FixedLedger, keep: Keep) => void | Promise<void>;

export const CHECKS: Readonly<Record<string, Check>> = {
  "The platform's Ed25519 makes the signatures of RFC 8032.": async ({ keys }) => {
    for (const [name, message, signature] of RFC_8032) {
      const bytes = decodeHex(message);
      expectSame(await keys[name].sign(bytes), decodeHex(signature), `signature by the ${name} key`);
      expectTrue(await verifyEd25519(keys[name].publicKey, bytes, decodeHex(signature)), "verifies");
    }
  },

  "The platform's Ed25519 has one signature for a message: a scalar beyond the group order is refused.":
    async ({ keys }) => {
      const message = encodeUtf8("message");
      const signature = await keys.receipt.sign(message);
      const other = concatenate([signature.subarray(0, 32), addGroupOrder(signature.subarray(32))]);
      expectTrue(await verifyEd25519(keys.receipt.publicKey, message, signature), "the signature verifies");
      expectTrue(!(await verifyEd25519(keys.receipt.publicKey, message, other)), "another does not");
    },

  "A point of small order is no key and no part of a signature, on any platform.": async ({ keys }) => {
    const message = encodeUtf8("message");
    for (const point of SMALL_ORDER.map(decodeHex)) {
      const signature = concatenate([point, new Uint8Array(32)]);
      expectTrue(!(await verifyEd25519(point, message, signature)), "no key");
      expectTrue(
        !(await verifyEd25519(keys.receipt.publicKey, message, signature)),
        "no part of a signature",
      );
    }
    // Who holds a private key can make a signature of the neutral element that fits where it is not refused.
    const [publicKey, signature] = OF_NEUTRAL_ELEMENT.map(decodeHex);
    expectTrue(!(await verifyEd25519(publicKey!, encodeUtf8("a"), signature!)), "no signature of its own");
  },

  "The platform's own SHA-256 makes the same leaf hashes.": async ({ entries }) => {
    for (const entry of entries) {
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`\0${entry}`));
      expectSame(leafHash(encodeUtf8(entry)), new Uint8Array(digest), "leaf hash");
    }
  },

  "Every entry is read back, names the one before it, and stands at its place.": ({ entries }, keep) => {
    let prev = FIRST_PREV;
    for (const [index, text] of entries.entries()) {
      const { header, leaf } = parseEntry(text);
      expectSame([header.index, header.prev], [index, prev], "place and chain");
      prev = encodeBase64url(leaf);
    }
    keep("chain head", prev);
  },

  "A receipt that is issued again is the same, bit for bit.": async ({ entries, receipts, keys }, keep) => {
    for (const [index, entry] of entries.entries()) {
      expectSame(await issueReceipt(entry, keys.receipt), receipts[index], `receipt ${index}`);
      keep(`receipt ${index}`, receipts[index]!);
    }
  },

  "Every receipt verifies.": async ({ receipts, trust }) => {
    for (const receipt of receipts) await verifySignature(parseReceipt(receipt), trust.receiptKeys);
  },

  "Every tile lies at a path that is read back, and every bundle holds the entries.": (
    { tiles, entries },
    keep,
  ) => {
    for (const [path, bytes] of tiles) {
      const tile = parseTilePath(path);
      expectSame(formatTilePath(tile), path, "path");
      keep(path, bytes);
      if (tile.level !== "entries") continue;
      const start = tile.n * TILE_WIDTH;
      const texts = decodeBundle(bytes, tile.width).map(entry => new TextDecoder().decode(entry));
      expectSame(texts, entries.slice(start, start + tile.width), path);
    }
  },

  "Every checkpoint opens, and is written again as it was read.": async (
    { checkpoints, trust, tiles },
    keep,
  ) => {
    for (const [size, text] of checkpoints) {
      const { checkpoint, note } = await openCheckpoint(text, trust.ledgers[0]!.keys);
      expectSame(
        checkpoint,
        { origin: ORIGIN, size, root: rootAt(tiles, size), extensions: [] },
        "checkpoint",
      );
      expectSame(formatCheckpoint(parseCheckpoint(note.text)), note.text, "text");
      expectSame(formatNote(note), text, "note");
      keep(`checkpoint ${size}`, text);
    }
  },

  "Every entry is proven to be in every tree that has it.": async (ledger, keep) => {
    for (const size of SIZES) {
      const root = rootAt(ledger.tiles, size);
      for (let index = 0; index < size; index++) {
        const { leaf } = parseEntry(ledger.entries[index]!);
        const proof = await proveInclusion(ledger, index, size);
        checkInclusion({ index, size, leaf, root, proof });
        keep(`inclusion of ${index} in ${size}`, concatenate(proof));
      }
    }
  },

  "Every tree is proven to extend every smaller one.": async (ledger, keep) => {
    for (const size2 of SIZES) {
      for (const size1 of SIZES.filter(size => size <= size2)) {
        const [root1, root2] = [rootAt(ledger.tiles, size1), rootAt(ledger.tiles, size2)];
        const proof = await proveConsistency(ledger, size1, size2);
        checkConsistency({ size1, root1, size2, root2, proof });
        keep(`consistency of ${size1} with ${size2}`, concatenate(proof));
      }
    }
  },

  "Proofs hold, and no others do, in trees of more than 2^31, 2^32, 2^40 and almost 2^53 entries.": async (
    _,
    keep,
  ) => {
    const leaf = leafHash(encodeUtf8("the one leaf"));
    for (const size of [2 ** 31 + 3, 2 ** 32 + 300, 2 ** 40 + 70_000, Number.MAX_SAFE_INTEGER]) {
      const index = size - 2 ** 31;
      const { root, read } = makeSyntheticTree(size, index, leaf);
      const plan = planInclusion(index, size);
      const proof = plan.prove(plan.tiles.map(read));
      checkInclusion({ index, size, leaf, root, proof });
      const elsewhere = { index: index + 1, size, leaf, root, proof };
      expectSame(await outcomeOf(() => checkInclusion(elsewhere)), "not-included", "another index");
      keep(`inclusion of ${index} in ${size}`, concatenate(proof));

      const older = makeSyntheticTree(index + 1, index, leaf);
      const extension = planConsistency(older.size, size);
      const hashes = extension.prove(extension.tiles.map(read));
      checkConsistency({ size1: older.size, root1: older.root, size2: size, root2: root, proof: hashes });
      keep(`consistency of ${older.size} with ${size}`, concatenate(hashes));
    }
  },

  "A proof file is written again as it was read.": async (ledger, keep) => {
    for (const index of [0, KNOWN_INDEX, 255, 256, LAST_SIZE - 1]) {
      const text = await proveEntry(ledger, index, LAST_SIZE);
      expectSame(formatProof(parseProof(text)), text, `proof of ${index}`);
      keep(`proof file of ${index}`, text);
    }
  },

  "A witness's cosignatures open, and make up the quorum of a policy.": async (
    { checkpoints, witnessKey, policy },
    keep,
  ) => {
    keep("policy", policy);
    for (const [size, text] of checkpoints) {
      const cosignatures = await openCosignatures(parseNote(text), [witnessKey]);
      keep(`time of the cosignature of ${size}`, String(cosignatures[0]!.timestamp));
      const cosigners = cosignatures.map(({ key }) => key);
      expectSame(meetsQuorum(parsePolicy(policy), cosigners), true, "quorum with a cosignature");
      expectSame(meetsQuorum(parsePolicy(policy), []), false, "quorum without one");
    }
  },

  "A witness's request is written again as it was read, and its answer opens.": async (ledger, keep) => {
    const checkpoint = ledger.checkpoints.get(LAST_SIZE)!;
    const proof = await proveConsistency(ledger, 3, LAST_SIZE);
    const request = formatAddCheckpoint({ oldSize: 3, proof, checkpoint });
    expectSame(formatAddCheckpoint(parseAddCheckpoint(request)), request, "request");
    keep("add-checkpoint", request);
    const answer = formatSignatureLines(parseNote(checkpoint).signatures.slice(1));
    expectSame((await openAnswer(answer, checkpoint, [ledger.witnessKey])).length, 1, "cosignatures");
  },

  "Every private field opens with its own disclosure.": ({ entries }, keep) => {
    const { record } = parseEntry(entries[KNOWN_INDEX]!);
    const seed = parseSeed(encodeBase64url(SEED));
    for (const [name, value] of Object.entries(PRIVATE)) {
      const disclosure = disclose(seed, name, value);
      expectSame(openDisclosure(record, disclosure), { name, value }, name);
      keep(`disclosure of ${name}`, disclosure);
    }
  },

  "Every anchor opens, and names the one before it.": async ({ anchors, trust }, keep) => {
    let prev: string | undefined;
    for (const [epoch, text] of anchors.entries()) {
      const { payload, digest } = await openAnchor(text, trust.anchorKeys);
      expectSame([payload.epoch, payload.ledgers[0]!.size], [epoch, ANCHORED_SIZES[epoch]], "epoch and size");
      if (prev !== undefined) expectSame(payload.prev, prev, "the anchor before");
      prev = digest;
      keep(`anchor ${epoch}`, text);
    }
  },

  "The trust document is read back as it was written.": ({ trust }, keep) => {
    expectSame(parseTrust(formatTrust(trust)), trust, "trust");
    keep("trust", formatTrust(trust));
  },

  "All evidence together is signed, matched, included, anchored and witnessed.": async (ledger, keep) => {
    const { rungs, matched, witnesses } = await verifyEvidence(
      {
        exchange: SEEN,
        seed: SEED,
        proof: await proveEntry(ledger, KNOWN_INDEX, 3),
        anchor: ledger.anchors[1]!,
        consistency: await proveConsistency(ledger, 3, LAST_SIZE),
      },
      { ...ledger.trust, policy: ledger.policy },
    );
    expectSame(rungs, ["signed", "matched", "included", "anchored", "witnessed"], "rungs");
    expectSame(witnesses, ["W"], "witnesses");
    keep("parts that matched", matched.join(", "));
  },

  "A receipt with any byte altered in one bit is rejected, everywhere with the same code.": async (
    { receipts, trust },
    keep,
  ) => {
    const bytes = encodeUtf8(receipts[KNOWN_INDEX]!);
    const codes: string[] = [];
    for (const at of bytes.keys()) {
      const altered = bytes.with(at, bytes[at]! ^ (1 << (at % 8)));
      const receipt = new TextDecoder("latin1").decode(altered);
      codes.push(await outcomeOf(() => verifyEvidence({ receipt }, trust)));
    }
    expectTrue(!codes.includes("ok"), `accepted with an altered byte ${codes.indexOf("ok")}`);
    keep("codes of altered receipts", codes.join(" "));
  },
};

/** Key, message and signature of TEST 1, TEST 2 and TEST 3 of RFC 8032 section 7.1. */
const RFC_8032 = [
  [
    "receipt",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "checkpoint",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "anchor",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
] as const;

/** A public key, and a signature over "a" by its private key whose first half is the neutral element. */
const OF_NEUTRAL_ELEMENT = [
  "7db0dc9222f3c183457ddde4c708de8e5ea6bf3d5c4404cca14b32729a05c32a",
  "010000000000000000000000000000000000000000000000000000000000000091084f2d32a40f98823d25fea9fc2ec7ddfe0d2cab9f3f6d7a6f6fb36d6e4408",
];

/** The points of small order, some in two spellings or with either sign. */
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/** The order of the group that Ed25519 signs in (RFC 8032 section 5.1). */
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** A scalar plus the group order, both 32 bytes little-endian. */
function addGroupOrder(scalar: Uint8Array): Uint8Array {
  let rest = scalar.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n) + GROUP_ORDER;
  return Uint8Array.from({ length: 32 }, () => {
    const byte = Number(rest % 256n);
    rest /= 256n;
    return byte;
  });
}
