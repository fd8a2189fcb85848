// What the formats cost over the cryptography that they cannot do without: hashing leaves and nodes over the
// bare hash function, verifying evidence over one bare signature check, and proofs in trees of any size.
import { sha256 } from "@noble/hashes/sha2.js";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { formatCheckpoint } from "../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, makeNoteKey, signNote } from "../../src/tlog/note.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import {
  checkConsistency,
  checkInclusion,
  HASH_BYTES,
  leafHash,
  nodeHash,
  planConsistency,
  planInclusion,
} from "../../src/tlog/tree.ts";
import { encodeUtf8 } from "../../test/portable/bytes.ts";
import { type FixedLedger, KNOWN_INDEX, makeLedger, ORIGIN } from "../../test/portable/ledger.ts";
import { makeSyntheticTree } from "../../test/portable/synthetic.ts";
import { describeMachine, type Findings, measure, round3, type Table } from "./measure.ts";

const SIZES = [10 ** 3, 10 ** 6, 10 ** 9];

export async function run(): Promise<Findings> {
  const ledger = await makeLedger();
  return {
    bench: "proof",
    machine: describeMachine(),
    tables: [
      await benchHashes(ledger),
      await benchVerifier(ledger),
      await benchInclusion(ledger),
      await benchConsistency(),
    ],
  };
}

async function benchHashes({ entries }: FixedLedger): Promise<Table> {
  const entry = encodeUtf8(entries[KNOWN_INDEX]!);
  const [left, right] = [sha256(entry), sha256(encodeUtf8("right"))];
  const inputs = [
    {
      hash: "leaf of 64 bytes",
      ours: () => leafHash(entry.subarray(0, 64)),
      raw: [0, ...entry.subarray(0, 64)],
    },
    { hash: `leaf of an entry of ${entry.length} bytes`, ours: () => leafHash(entry), raw: [0, ...entry] },
    { hash: "node of 2 × 32 bytes", ours: () => nodeHash(left, right), raw: [1, ...left, ...right] },
  ];
  const rows = [];
  for (const { hash, ours, raw } of inputs) {
    const bytes = Uint8Array.from(raw);
    const timing = await measure({ raw: () => sha256(bytes), ours });
    rows.push({
      hash,
      ratio: round3(timing.ours.ratio),
      "ours ns": round3(timing.ours.ns),
      "raw ns": round3(timing.raw.ns),
    });
  }
  return {
    what:
      "ratio of leafHash or nodeHash to SHA-256 (the same function of @noble/hashes) of the same bytes with " +
      "the prefix already in place",
    rows,
  };
}

async function benchVerifier(ledger: FixedLedger): Promise<Table> {
  const receipt = ledger.receipts[KNOWN_INDEX]!;
  const { proof } = await proveAt(ledger, 10 ** 6);
  const raw = await rawVerification(ledger);
  const timing = await measure({
    raw,
    receipt: () => verifyEvidence({ receipt }, ledger.trust),
    proof: () => verifyEvidence({ proof }, ledger.trust),
  });
  const row = (evidence: string, signatures: number, { ratio, ns }: { ratio: number; ns: number }) => ({
    evidence,
    signatures,
    ratio: round3(ratio),
    µs: round3(ns / 1000),
  });
  return {
    what:
      "ratio of verifyEvidence to one Ed25519 verification of the same receipt's signing input, by WebCrypto " +
      "with the key already imported",
    rows: [
      row("raw Ed25519", 1, timing.raw),
      row("receipt", 1, timing.receipt),
      row("receipt in a proof of 10^6 entries", 2, timing.proof),
    ],
  };
}

async function benchInclusion(ledger: FixedLedger): Promise<Table> {
  const raw = await rawVerification(ledger);
  const rows = [];
  for (const size of SIZES) {
    const { proof, bare, plan, tiles, claim } = await proveAt(ledger, size);
    const timing = await measure({
      raw,
      build: () => planInclusion(KNOWN_INDEX, size).prove(tiles),
      check: () => checkInclusion(claim),
      verify: () => verifyEvidence({ proof }, ledger.trust),
    });
    rows.push({
      entries: formatPower(size),
      hashes: claim.proof.length,
      "proof bytes": bare.length,
      "with receipt": proof.length,
      tiles: plan.tiles.length,
      "tile bytes": totalLength(tiles),
      "build µs": round3(timing.build.ns / 1000),
      "check µs": round3(timing.check.ns / 1000),
      "verify µs": round3(timing.verify.ns / 1000),
      "verify/Ed25519": round3(timing.verify.ratio),
    });
  }
  return {
    what:
      `the longest inclusion proof of a tree, that of entry ${KNOWN_INDEX}, from synthetic tiles in memory: its ` +
      ".tlog-proof without and with the receipt, planInclusion and prove (build), checkInclusion (check), " +
      "verifyEvidence of receipt and proof (verify), and its ratio to one raw Ed25519 verification",
    rows,
  };
}

async function benchConsistency(): Promise<Table> {
  const leaf = leafHash(encodeUtf8("leaf"));
  const rows = [];
  for (const size2 of SIZES) {
    const size1 = Math.floor((size2 * 2) / 3);
    const [older, newer] = [size1, size2].map(size => makeSyntheticTree(size, 0, leaf));
    const plan = planConsistency(size1, size2);
    const tiles = plan.tiles.map(newer!.read);
    const proof = plan.prove(tiles);
    const claim = { size1, root1: older!.root, size2, root2: newer!.root, proof };
    const timing = await measure({
      build: () => planConsistency(size1, size2).prove(tiles),
      check: () => checkConsistency(claim),
    });
    rows.push({
      entries: formatPower(size2),
      hashes: proof.length,
      "proof bytes": proof.length * HASH_BYTES,
      tiles: tiles.length,
      "tile bytes": totalLength(tiles),
      "build µs": round3(timing.build.ns / 1000),
      "check µs": round3(timing.check.ns / 1000),
    });
  }
  return {
    what:
      "the consistency proof of a tree with its first two thirds, from synthetic tiles in memory: its hashes, " +
      "planConsistency and prove (build), checkConsistency (check)",
    rows,
  };
}

/** The known receipt's proof, as an entry of a tree of any size that the ledger has signed. */
async function proveAt(ledger: FixedLedger, size: number) {
  const leaf = leafHash(encodeUtf8(ledger.entries[KNOWN_INDEX]!));
  const { root, read } = makeSyntheticTree(size, KNOWN_INDEX, leaf);
  const plan = planInclusion(KNOWN_INDEX, size);
  const tiles = plan.tiles.map(read);
  const hashes = plan.prove(tiles);
  const text = formatCheckpoint({ origin: ORIGIN, size, root, extensions: [] });
  const { checkpoint: key } = ledger.keys;
  const signer = { key: makeNoteKey(ORIGIN, ED25519, key.publicKey), sign: key.sign };
  const checkpoint = formatNote({ text, signatures: [await signNote(text, signer)] });
  const extra = encodeUtf8(ledger.receipts[KNOWN_INDEX]!);
  return {
    plan,
    tiles,
    claim: { index: KNOWN_INDEX, size, leaf, root, proof: hashes },
    bare: formatProof({ index: KNOWN_INDEX, hashes, checkpoint }),
    proof: formatProof({ extra, index: KNOWN_INDEX, hashes, checkpoint }),
  };
}

/** One verification of the known receipt's signature by the platform, and nothing else. */
async function rawVerification({ keys, entries }: FixedLedger): Promise<() => Promise<boolean>> {
  const input = new TextEncoder().encode(entries[KNOWN_INDEX]!);
  const publicKey = new Uint8Array(keys.receipt.publicKey);
  const signature = new Uint8Array(await keys.receipt.sign(input));
  const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  return () => crypto.subtle.verify("Ed25519", key, signature, input);
}

function totalLength(tiles: readonly Uint8Array[]): number {
  return tiles.reduce((sum, tile) => sum + tile.length, 0);
}

function formatPower(size: number): string {
  return `10^${Math.round(Math.log10(size))}`;
}
