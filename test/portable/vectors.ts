// Runs the vectors of test/vectors against src/ on whatever runtime this is. The vectors come in as data, made
// by the references in test/reference, which share nothing with src/.
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { judgeAbsent } from "../../src/receipt/control.ts";
import { commitFields, disclose, openDisclosure, parseSeed } from "../../src/receipt/disclosure.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import type { TrustedKey } from "../../src/receipt/key.ts";
import type { SeenExchange } from "../../src/receipt/match.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { verifyTimestamp } from "../../src/receipt/timestamp.ts";
import type { Trust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { decodeBase64 } from "../../src/tlog/base64.ts";
import { decodeBundle, encodeBundle } from "../../src/tlog/bundle.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosignedMessage, makeVerifier, openCosignatures } from "../../src/tlog/cosignature.ts";
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
import { decodeHex, encodeHex } from "./bytes.ts";
import { expectSame, outcomeOf } from "./expect.ts";

/** A file of test/vectors. */
export interface Vector {
  /** Its folder. */
  readonly format: string;
  /** Its file, which names the mutation. */
  readonly file: string;
  readonly description: string;
  readonly input: unknown;
  /** "ok", or the code of the Fault. */
  readonly expect: string;
  /** Some members of what comes out, when that is ok. */
  readonly output?: Output;
}

/** How a vector gives bytes. */
type Hex = string;
type Output = Readonly<Record<string, unknown>>;

/** @throws Error when src/ answers otherwise than the vector says. */
export async function checkVector({ format, input, expect, output = {} }: Vector): Promise<void> {
  const run = RUNNERS[format];
  if (run === undefined) throw new Error(`no such vectors are known: ${format}`);
  let found: Output = {};
  const outcome = await outcomeOf(async () => {
    found = await run(spellOut(input) as never);
  });
  expectSame(outcome, expect, "outcome");
  for (const [member, value] of Object.entries(output)) expectSame(found[member], spellOut(value), member);
}

function runVerifierKey({ vkey }: { vkey: string }): Output {
  const key = parseVerifierKey(vkey);
  expectSame(formatVerifierKey(key), vkey, "the key, written again");
  return { name: key.name, id: hexId(key.id), type: key.type, public_key: encodeHex(key.publicKey) };
}

async function runNote(input: { note?: string; note_bytes?: Hex; keys: string[] }): Promise<Output> {
  const note = parseNote(input.note ?? decodeHex(input.note_bytes!));
  const verified = await openNote(note, input.keys.map(parseVerifierKey));
  return { text: note.text, verified: [...new Set(verified.map(({ key }) => formatVerifierKey(key)))] };
}

async function runCheckpoint(input: { text?: string; note: string; keys: string[] }): Promise<Output> {
  if (input.text !== undefined) return checkpointOutput(parseCheckpoint(input.text));
  const { checkpoint } = await openCheckpoint(input.note, input.keys.map(parseVerifierKey));
  return checkpointOutput(checkpoint);
}

function checkpointOutput({ origin, size, root, extensions }: Checkpoint): Output {
  return { origin, size, root: encodeHex(root), extensions };
}

async function runProof(input: { proof: string; leaf: Hex; keys: string[] }): Promise<Output> {
  const { extra, index, hashes, checkpoint } = parseProof(input.proof);
  const { size, root } = (await openCheckpoint(checkpoint, input.keys.map(parseVerifierKey))).checkpoint;
  checkInclusion({ index, size, leaf: decodeHex(input.leaf), root, proof: hashes });
  return present({ extra: extra && encodeHex(extra), index, hashes: hashes.map(encodeHex), checkpoint });
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
  expectSame(formatTilePath(tile), input.path, "the path, written again");
  if (input.data === undefined) return { ...tile };
  return { hashes: tileHashes(tile, decodeHex(input.data)).map(encodeHex) };
}

function pathsToWrite(oldSize: number, newSize: number): string[] {
  const tiles = [...tilesBetween(oldSize, newSize)];
  const isPartial = tiles.map(({ width }) => width < 256);
  expectSame(isPartial, isPartial.toSorted(), "full tiles come before partial ones");
  return tiles.map(formatTilePath);
}

function runBundle(input: { bundle: Hex; width: number } | { entries: Hex[] }): Output {
  if ("entries" in input) return { bundle: encodeHex(encodeBundle(input.entries.map(decodeHex))) };
  return { entries: decodeBundle(decodeHex(input.bundle), input.width).map(encodeHex) };
}

function runInclusion(input: { index: number; size: number; leaf: Hex; root: Hex; proof: Hex[] }): Output {
  const { index, size, leaf, root, proof } = input;
  checkInclusion({ index, size, leaf: decodeHex(leaf), root: decodeHex(root), proof: proof.map(decodeHex) });
  return {};
}

interface ConsistencyInput {
  readonly size1: number;
  readonly root1: Hex;
  readonly size2: number;
  readonly root2: Hex;
  readonly proof: Hex[];
}

function runConsistency({ size1, root1, size2, root2, proof }: ConsistencyInput): Output {
  const [older, newer] = [decodeHex(root1), decodeHex(root2)];
  checkConsistency({ size1, root1: older, size2, root2: newer, proof: proof.map(decodeHex) });
  return {};
}

const verifyAnyNote = makeVerifier((publicKey, message, signature) =>
  ml_dsa44.verify(signature, message, publicKey),
);

type CosignatureInput =
  | { note: string; keys: string[] }
  | { cosigner: string; text: string; timestamp: number };

async function runCosignature(input: CosignatureInput): Promise<Output> {
  if ("cosigner" in input) {
    const key = makeNoteKey(input.cosigner, ML_DSA_44_COSIGNATURE, new Uint8Array(1312));
    return { message: encodeHex(cosignedMessage(key, input.text, input.timestamp)) };
  }
  const keys = input.keys.map(parseVerifierKey);
  const cosignatures = await openCosignatures(parseNote(input.note), keys, verifyAnyNote);
  return {
    cosigned: cosignatures.map(({ key, timestamp }) => ({ key: formatVerifierKey(key), timestamp })),
  };
}

function runPolicy(input: { policy?: string; policy_bytes?: Hex; cosigned?: string[] }): Output {
  const policy = parsePolicy(input.policy ?? decodeHex(input.policy_bytes!));
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
        signature: encodeHex(signature),
      })),
    };
  }
  const { oldSize, proof, checkpoint } = parseAddCheckpoint(input.request);
  return { old_size: oldSize, proof: proof.map(encodeHex), checkpoint };
}

interface TrustInput {
  readonly issuer: string;
  readonly origin: string;
  readonly log_keys: string[];
  readonly receipt_keys: TrustedKey[];
  readonly anchor_keys: TrustedKey[];
  /** DER in base64. */
  readonly timestampers?: string[];
}

function trustOf(input: TrustInput): Trust {
  return {
    issuer: input.issuer,
    ledgers: [{ name: "main", origin: input.origin, keys: input.log_keys.map(parseVerifierKey) }],
    receiptKeys: input.receipt_keys,
    anchorKeys: input.anchor_keys,
    ...(input.timestampers && { timestampers: input.timestampers.map(text => decodeBase64(text)) }),
  };
}

async function runReceipt(input: TrustInput & { receipt: string }): Promise<Output> {
  const { entry } = (await verifyEvidence({ receipt: input.receipt }, trustOf(input))).receipt;
  return { header: entry.header, record: entry.record, leaf: encodeHex(entry.leaf) };
}

type DisclosureInput =
  | { seed_text: string }
  | { seed: Hex; values: Record<string, string | null> }
  | { record: AuditRecord; disclosure?: string; erasure?: string };

function runDisclosure(input: DisclosureInput): Output {
  if ("seed_text" in input) return { seed: encodeHex(parseSeed(input.seed_text)) };
  if ("record" in input) {
    const erasure = input.erasure === undefined ? undefined : parseEntry(input.erasure);
    return { ...openDisclosure(input.record, input.disclosure, erasure) };
  }
  const seed = decodeHex(input.seed);
  const values = Object.entries(input.values);
  return {
    disclosures: Object.fromEntries(values.map(([name, value]) => [name, disclose(seed, name, value)])),
    _sd: commitFields(seed, input.values)._sd,
  };
}

async function runTimestamp(input: {
  token: Hex;
  digest: Hex;
  certificates: string[];
  nonce?: Hex;
}): Promise<Output> {
  const { time, by } = await verifyTimestamp(
    decodeHex(input.token),
    decodeHex(input.digest),
    input.certificates.map(text => decodeBase64(text)),
    input.nonce === undefined ? undefined : decodeHex(input.nonce),
  );
  return { time, by };
}

function runRetention({ index, told }: { index: number; told?: string }): Output {
  return judgeAbsent(index, told === undefined ? undefined : parseEntry(told));
}

async function runAnchor(input: { anchor: string; anchor_keys: TrustedKey[] }): Promise<Output> {
  const { payload, digest, timestamp } = await openAnchor(input.anchor, input.anchor_keys);
  const { epoch, time, prev } = payload;
  const ledgers = payload.ledgers.map(({ origin, size, root, head }) => ({ origin, size, root, head }));
  return { epoch, time, prev, digest, ledgers, ...(timestamp && { imprint: encodeHex(timestamp.imprint) }) };
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
  const { rungs, matched, timestamp } = await verifyEvidence(
    present({
      receipt,
      proof,
      anchor,
      seed: input.seed && decodeHex(input.seed),
      exchange: input.exchange && seenExchange(input.exchange),
      consistency: input.consistency?.map(decodeHex),
    }),
    trustOf(input),
  );
  return { rungs, matched, ...(timestamp && { timestamp }) };
}

function seenExchange(exchange: NonNullable<EvidenceInput["exchange"]>): SeenExchange {
  const { method, url, status, request_body, response_body } = exchange;
  return present({
    method,
    url,
    status,
    requestBody: request_body === undefined ? undefined : decodeHex(request_body),
    responseBody: response_body === undefined ? undefined : decodeHex(response_body),
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
  timestamp: runTimestamp,
  retention: runRetention,
};

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

/** Members that are there; vectors leave out what is absent. */
function present(members: Output): Output {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function hexId(id: number): string {
  return id.toString(16).padStart(8, "0");
}
