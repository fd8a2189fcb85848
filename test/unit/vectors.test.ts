// Runs every vector under test/vectors against src/. The vectors are made by the reference implementations
// in test/reference, which share nothing with src/: two readings of the same specifications must agree.

import { execFileSync } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { commitFields, disclose, openDisclosure, parseSeed } from "../../src/receipt/disclosure.ts";
import type { TrustedKey } from "../../src/receipt/key.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import type { Trust } from "../../src/receipt/trust.ts";
import { type SeenExchange, verifyEvidence } from "../../src/receipt/verify.ts";
import { decodeBundle, encodeBundle } from "../../src/tlog/bundle.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosignedMessage, makeVerifier, openCosignatures } from "../../src/tlog/cosignature.ts";
import { FAULT_CODES, Fault } from "../../src/tlog/fault.ts";
import {
  formatVerifierKey,
  ML_DSA_44_COSIGNATURE,
  makeNoteKey,
  openNote,
  parseNote,
  parseSignatureLines,
  parseVerifierKey,
} from "../../src/tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../../src/tlog/policy.ts";
import { parseProof } from "../../src/tlog/proof.ts";
import { formatTilePath, parseTilePath, tileAt, tileHashes, tilesBetween } from "../../src/tlog/tile.ts";
import { checkConsistency, checkInclusion } from "../../src/tlog/tree.ts";
import { parseAddCheckpoint, parseTreeSize } from "../../src/tlog/witness.ts";

/** How a vector gives bytes. */
type Hex = string;
type Output = Readonly<Record<string, unknown>>;

function bytes(hex: Hex): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

function hex(bytes: Uint8Array): Hex {
  return Buffer.from(bytes).toString("hex");
}

function hexId(id: number): string {
  return id.toString(16).padStart(8, "0");
}

/** Members that are there; vectors leave out what is absent. */
function present(members: Output): Output {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

const verifyAnyNote = makeVerifier((publicKey, message, signature) => {
  const spki = Buffer.concat([Buffer.from("30820532300b06096086480165030403110382052100", "hex"), publicKey]);
  return verify(null, message, createPublicKey({ key: spki, format: "der", type: "spki" }), signature);
});

function checkpointOutput({ origin, size, root, extensions }: Checkpoint): Output {
  return { origin, size, root: hex(root), extensions };
}

async function runNote(input: { note?: string; note_bytes?: Hex; keys: string[] }): Promise<Output> {
  const note = parseNote(input.note ?? bytes(input.note_bytes!));
  const verified = await openNote(note, input.keys.map(parseVerifierKey));
  return { text: note.text, verified: [...new Set(verified.map(({ key }) => formatVerifierKey(key)))] };
}

function runVerifierKey({ vkey }: { vkey: string }): Output {
  const key = parseVerifierKey(vkey);
  expect(formatVerifierKey(key)).toBe(vkey);
  return { name: key.name, id: hexId(key.id), type: key.type, public_key: hex(key.publicKey) };
}

async function runCheckpoint(input: { text?: string; note: string; keys: string[] }): Promise<Output> {
  if (input.text !== undefined) return checkpointOutput(parseCheckpoint(input.text));
  const { checkpoint } = await openCheckpoint(input.note, input.keys.map(parseVerifierKey));
  return checkpointOutput(checkpoint);
}

async function runProof(input: { proof: string; leaf: Hex; keys: string[] }): Promise<Output> {
  const { extra, index, hashes, checkpoint } = parseProof(input.proof);
  const { size, root } = (await openCheckpoint(checkpoint, input.keys.map(parseVerifierKey))).checkpoint;
  checkInclusion({ index, size, leaf: bytes(input.leaf), root, proof: hashes });
  return present({ extra: extra && hex(extra), index, hashes: hashes.map(hex), checkpoint });
}

type TileInput =
  | { path: string; data?: Hex }
  | { size: number; level: number; n: number }
  | { old_size: number; new_size: number };

function runTile(input: TileInput): Output {
  if ("old_size" in input) return { paths: pathsToWrite(input.old_size, input.new_size).toSorted() };
  if ("size" in input) {
    const tile = tileAt(input.level, input.n, input.size);
    return { path: tile === undefined ? null : formatTilePath(tile) };
  }
  const tile = parseTilePath(input.path);
  expect(formatTilePath(tile)).toBe(input.path);
  return input.data === undefined ? { ...tile } : { hashes: tileHashes(tile, bytes(input.data)).map(hex) };
}

function pathsToWrite(oldSize: number, newSize: number): string[] {
  const tiles = [...tilesBetween(oldSize, newSize)];
  const partial = tiles.map(({ width }) => width < 256);
  expect(partial, "full tiles come before partial ones").toEqual(partial.toSorted());
  return tiles.map(formatTilePath);
}

function runBundle(input: { bundle: Hex; width: number } | { entries: Hex[] }): Output {
  if ("entries" in input) return { bundle: hex(encodeBundle(input.entries.map(bytes))) };
  return { entries: decodeBundle(bytes(input.bundle), input.width).map(hex) };
}

function runInclusion(input: { index: number; size: number; leaf: Hex; root: Hex; proof: Hex[] }): Output {
  const { index, size, leaf, root, proof } = input;
  checkInclusion({ index, size, leaf: bytes(leaf), root: bytes(root), proof: proof.map(bytes) });
  return {};
}

function runConsistency(input: {
  size1: number;
  root1: Hex;
  size2: number;
  root2: Hex;
  proof: Hex[];
}): Output {
  const { size1, root1, size2, root2, proof } = input;
  checkConsistency({ size1, root1: bytes(root1), size2, root2: bytes(root2), proof: proof.map(bytes) });
  return {};
}

type CosignatureInput =
  | { note: string; keys: string[] }
  | { cosigner: string; text: string; timestamp: number };

async function runCosignature(input: CosignatureInput): Promise<Output> {
  if ("cosigner" in input) {
    const key = makeNoteKey(input.cosigner, ML_DSA_44_COSIGNATURE, new Uint8Array(1312));
    return { message: hex(cosignedMessage(key, input.text, input.timestamp)) };
  }
  const cosignatures = await openCosignatures(
    parseNote(input.note),
    input.keys.map(parseVerifierKey),
    verifyAnyNote,
  );
  return {
    cosigned: cosignatures.map(({ key, timestamp }) => ({ key: formatVerifierKey(key), timestamp })),
  };
}

function runPolicy(input: { policy?: string; policy_bytes?: Hex; cosigned?: string[] }): Output {
  const policy = parsePolicy(input.policy ?? bytes(input.policy_bytes!));
  if (input.cosigned !== undefined) {
    return { met: meetsQuorum(policy, input.cosigned.map(parseVerifierKey)) };
  }
  return {
    logs: policy.logs.map(({ key, url }) => present({ vkey: formatVerifierKey(key), url })),
    witnesses: policy.witnesses.map(({ name, key, url }) =>
      present({ name, vkey: formatVerifierKey(key), url }),
    ),
    groups: policy.groups.map(({ name, threshold, members }) => ({ name, threshold, members })),
    quorum: policy.quorum,
  };
}

function runWitness(input: { request: string } | { conflict: string } | { answer: string }): Output {
  if ("conflict" in input) return { size: parseTreeSize(input.conflict) };
  if ("answer" in input) {
    const signatures = parseSignatureLines(input.answer);
    return {
      signatures: signatures.map(({ name, id, signature }) => ({
        name,
        id: hexId(id),
        signature: hex(signature),
      })),
    };
  }
  const { oldSize, proof, checkpoint } = parseAddCheckpoint(input.request);
  return { old_size: oldSize, proof: proof.map(hex), checkpoint };
}

interface TrustInput {
  readonly issuer: string;
  readonly origin: string;
  readonly log_keys: string[];
  readonly receipt_keys: TrustedKey[];
  readonly anchor_keys: TrustedKey[];
}

function trustOf(input: TrustInput): Trust {
  return {
    issuer: input.issuer,
    ledgers: [{ name: "main", origin: input.origin, keys: input.log_keys.map(parseVerifierKey) }],
    receiptKeys: input.receipt_keys,
    anchorKeys: input.anchor_keys,
  };
}

async function runReceipt(input: TrustInput & { receipt: string }): Promise<Output> {
  const { entry } = (await verifyEvidence({ receipt: input.receipt }, trustOf(input))).receipt;
  return { header: entry.header, record: entry.record, leaf: hex(entry.leaf) };
}

type DisclosureInput =
  | { seed_text: string }
  | { seed: Hex; values: Record<string, string | null> }
  | { record: AuditRecord; disclosure: string };

function runDisclosure(input: DisclosureInput): Output {
  if ("seed_text" in input) return { seed: hex(parseSeed(input.seed_text)) };
  if ("disclosure" in input) return { ...openDisclosure(input.record, input.disclosure) };
  const seed = bytes(input.seed);
  const values = Object.entries(input.values);
  return {
    disclosures: Object.fromEntries(values.map(([name, value]) => [name, disclose(seed, name, value)])),
    _sd: commitFields(seed, input.values)._sd,
  };
}

async function runAnchor(input: { anchor: string; anchor_keys: TrustedKey[] }): Promise<Output> {
  const { payload, digest } = await openAnchor(input.anchor, input.anchor_keys);
  const { epoch, time, prev } = payload;
  const ledgers = payload.ledgers.map(({ origin, size, root, head }) => ({ origin, size, root, head }));
  return { epoch, time, prev, digest, ledgers };
}

interface EvidenceInput extends TrustInput {
  readonly receipt?: string;
  readonly seed?: Hex;
  readonly exchange?: {
    method?: string;
    url?: string;
    request_body?: Hex;
    status?: number;
    response_body?: Hex;
  };
  readonly proof?: string;
  readonly anchor?: string;
  readonly consistency?: Hex[];
}

async function runEvidence(input: EvidenceInput): Promise<Output> {
  const { receipt, proof, anchor } = input;
  const { rungs, matched } = await verifyEvidence(
    present({
      receipt,
      proof,
      anchor,
      seed: input.seed === undefined ? undefined : bytes(input.seed),
      exchange: input.exchange && seenExchange(input.exchange),
      consistency: input.consistency?.map(bytes),
    }),
    trustOf(input),
  );
  return { rungs, matched };
}

function seenExchange(exchange: NonNullable<EvidenceInput["exchange"]>): SeenExchange {
  const { method, url, status, request_body, response_body } = exchange;
  return present({
    method,
    url,
    status,
    requestBody: request_body === undefined ? undefined : bytes(request_body),
    responseBody: response_body === undefined ? undefined : bytes(response_body),
  });
}

/** How the vectors of each folder are run; each input has the shape that its folder's vectors have. */
const RUNNERS: Readonly<Record<string, (input: never) => Output | Promise<Output>>> = {
  note: runNote,
  "verifier-key": runVerifierKey,
  checkpoint: runCheckpoint,
  proof: runProof,
  tile: runTile,
  bundle: runBundle,
  inclusion: runInclusion,
  consistency: runConsistency,
  cosignature: runCosignature,
  policy: runPolicy,
  witness: runWitness,
  receipt: runReceipt,
  disclosure: runDisclosure,
  anchor: runAnchor,
  evidence: runEvidence,
};

interface Vector {
  /** The file, which names the mutation. */
  readonly file: string;
  readonly description: string;
  readonly input: never;
  readonly expect: string;
  readonly output?: Output;
}

/** Spells out `{"repeat": text, "times": n}`, and joins the list of texts that it stands in. */
function spellOut(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const items = value.map(spellOut);
    return value.some(isRepetition) ? items.join("") : items;
  }
  if (isRepetition(value)) return value.repeat.repeat(value.times);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, spellOut(member)]));
}

function isRepetition(value: unknown): value is { repeat: string; times: number } {
  return value !== null && typeof value === "object" && "repeat" in value && "times" in value;
}

const FOLDER = new URL("../vectors/", import.meta.url);

function readVectors(format: string): Vector[] {
  const folder = new URL(`${format}/`, FOLDER);
  return readdirSync(folder).map(file => {
    const vector = JSON.parse(readFileSync(new URL(file, folder), "utf8"));
    return { file, ...(spellOut(vector) as Omit<Vector, "file">) };
  });
}

async function codeOf(result: Promise<Output>): Promise<string> {
  try {
    return `nothing was thrown, but read: ${JSON.stringify(await result)}`;
  } catch (error) {
    return error instanceof Fault ? error.code : `not a Fault: ${error}`;
  }
}

for (const [format, run] of Object.entries(RUNNERS)) {
  describe(`vectors: ${format}`, () => {
    for (const { file, description, input, expect: expected, output } of readVectors(format)) {
      it(`${description} (${file})`, async () => {
        const result = async () => run(input);
        if (expected === "ok") {
          const found = await result();
          for (const [member, value] of Object.entries(output ?? {})) {
            expect(found[member], member).toEqual(value);
          }
        } else {
          expect(FAULT_CODES).toHaveProperty(expected);
          expect(await codeOf(result())).toBe(expected);
        }
      });
    }
  });
}

describe("vectors", () => {
  it("Every folder of vectors is run.", () => {
    expect(readdirSync(FOLDER).toSorted()).toEqual(Object.keys(RUNNERS).toSorted());
  });

  it("The vectors are byte for byte those that the reference makes.", () => {
    const script = fileURLToPath(new URL("../../scripts/vectors.ts", import.meta.url));
    expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
  });
});
