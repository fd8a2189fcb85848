// What is said to a witness and what it answers (C2SP tlog-witness, text of 2026-07-06): the bodies of
// add-checkpoint. Well-formed is all that parsing a request says: signatures, the consistency proof and what
// the witness last cosigned are for the witness to check. The answer is checked as it is opened.
import { parseCheckpoint } from "./checkpoint.ts";
import { type Cosignature, openCosignatures } from "./cosignature.ts";
import { formatDecimal, parseDecimal } from "./decimal.ts";
import { Fault } from "./fault.ts";
import { formatHash, type Hash, parseHash } from "./hash.ts";
import { type NoteKey, parseNote, parseSignatureLines, type VerifySignature } from "./note.ts";

const MAX_REQUEST_LENGTH = 2 ** 20;
const MAX_HASHES = 63;

/** The body of add-checkpoint: a checkpoint, and the proof that it extends what the witness last cosigned. */
export interface AddCheckpoint {
  /** The size of the tree that the witness last cosigned, 0 for none; at most the size of the checkpoint. */
  readonly oldSize: number;
  /** The consistency proof from `oldSize`, at most 63 hashes. */
  readonly proof: readonly Hash[];
  /** The signed note of the checkpoint, verbatim. */
  readonly checkpoint: string;
}

/**
 * Reads the body of an add-checkpoint request.
 * @throws Fault `malformed` unless it is exactly what `formatAddCheckpoint` writes for some request,
 *   `too-large` for one beyond 1 MiB, 63 hashes, 100 signatures or 2^53 - 1 in a number.
 */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  requireLength(body);
  const end = body.indexOf("\n\n");
  const [first, ...lines] = body.slice(0, Math.max(end, 0)).split("\n");
  if (!first?.startsWith("old ")) {
    throw new Fault("malformed", "add-checkpoint: no old size, proof and empty line", {
      expected: "old <decimal>",
      found: body,
    });
  }
  requireFew(lines);
  const request: AddCheckpoint = {
    oldSize: parseDecimal(first.slice("old ".length), "add-checkpoint old size"),
    proof: lines.map((line, i) => parseHash(line, `add-checkpoint proof hash ${i}`)),
    checkpoint: body.slice(end + 2),
  };
  requireExtension(request);
  return request;
}

/**
 * Writes the body of an add-checkpoint request.
 * @throws Fault `malformed` or `too-large` when it could not be read back.
 * @example
 * import { formatAddCheckpoint, parseAddCheckpoint } from "counterfoil/tlog";
 *
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const body = formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: await answer.text() });
 * console.log(parseAddCheckpoint(body).oldSize); // 0
 */
export function formatAddCheckpoint(request: AddCheckpoint): string {
  requireFew(request.proof);
  requireExtension(request);
  const lines = [
    `old ${formatDecimal(request.oldSize, "add-checkpoint old size")}`,
    ...request.proof.map((hash, i) => formatHash(hash, `add-checkpoint proof hash ${i}`)),
  ];
  const body = `${lines.join("\n")}\n\n${request.checkpoint}`;
  requireLength(body);
  return body;
}

/**
 * Reads the body of a 409 answer (text/x.tlog.size): the size of the tree that the witness last cosigned.
 * @throws Fault `malformed` unless it is a decimal number and a newline, `too-large` beyond 2^53 - 1.
 */
export function parseTreeSize(body: string): number {
  if (body.endsWith("\n")) return parseDecimal(body.slice(0, -1), "witness's tree size");
  throw new Fault("malformed", "witness's tree size: the line does not end", { found: body });
}

/**
 * Writes the body of a 409 answer. @throws Fault `malformed` unless `size` is a count.
 * @example
 * import { formatTreeSize, parseTreeSize } from "counterfoil/tlog";
 *
 * console.log(parseTreeSize(formatTreeSize(7))); // 7
 */
export function formatTreeSize(size: number): string {
  return `${formatDecimal(size, "witness's tree size")}\n`;
}

/**
 * Reads the body of a 200 answer to `checkpoint`, the signed note that was sent, and checks the cosignatures
 * in it by the witness's `keys`; others are ignored. (A witness writes the body with `formatSignatureLines`.)
 * @throws Fault `malformed` or `too-large` as in `parseSignatureLines`, `unknown-key` when none is by those
 *   keys, `malformed` when one has no time; and as in `openCosignatures`.
 * @example
 * import {
 *   ED25519_COSIGNATURE,
 *   cosign,
 *   formatSignatureLines,
 *   makeNoteKey,
 *   openAnswer,
 *   parseNote,
 * } from "counterfoil/tlog";
 *
 * const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
 * const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
 * const sign = async bytes => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes));
 * const key = makeNoteKey("witness.example.com/w1", ED25519_COSIGNATURE, publicKey);
 * const checkpoint = await (await fetch("https://api.example.com/.well-known/audit/main/checkpoint")).text();
 * const { text } = parseNote(checkpoint);
 * const body = formatSignatureLines([await cosign(text, 1795238600, { key, sign })]); // the witness's answer
 * console.log((await openAnswer(body, checkpoint, [key])).length); // 1
 */
export async function openAnswer(
  body: string,
  checkpoint: string,
  keys: readonly NoteKey[],
  verify?: VerifySignature,
): Promise<Cosignature[]> {
  const answer = { text: parseNote(checkpoint).text, signatures: parseSignatureLines(body) };
  const cosignatures = await openCosignatures(answer, keys, verify);
  if (cosignatures.length === 0) {
    throw new Fault("unknown-key", "witness's answer: no cosignature by any of its keys");
  }
  for (const { key, timestamp } of cosignatures) {
    if (timestamp > 0) continue;
    throw new Fault("malformed", `witness's answer: the cosignature of ${key.name} has no time`);
  }
  return cosignatures;
}

function requireLength(body: string): void {
  if (body.length <= MAX_REQUEST_LENGTH) return;
  throw new Fault("too-large", "add-checkpoint: larger than any honest one", {
    expected: `at most ${MAX_REQUEST_LENGTH} characters`,
  });
}

function requireFew(hashes: readonly unknown[]): void {
  if (hashes.length <= MAX_HASHES) return;
  throw new Fault("too-large", "add-checkpoint: longer a proof than any tree is high", {
    expected: `at most ${MAX_HASHES} hashes`,
    found: `${hashes.length} hashes`,
  });
}

/** A request is about a well-formed checkpoint that is not smaller than what it extends. */
function requireExtension({ oldSize, checkpoint }: AddCheckpoint): void {
  const { size } = parseCheckpoint(parseNote(checkpoint).text);
  if (oldSize <= size) return;
  throw new Fault("malformed", "add-checkpoint: the checkpoint is smaller than the old size", {
    expected: `at least ${oldSize}`,
    found: String(size),
  });
}
