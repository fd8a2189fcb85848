// Proof files (C2SP tlog-proof, text of 2026-05-22): everything needed to check offline that an entry is in
// a log, but for the entry itself. Well-formed is all that `parseProof` says: the checkpoint must still be
// opened, and the inclusion proof checked against its root.
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { parseCheckpoint } from "./checkpoint.ts";
import { formatDecimal, parseDecimal } from "./decimal.ts";
import { Fault } from "./fault.ts";
import { formatHash, type Hash, parseHash } from "./hash.ts";
import { parseNote } from "./note.ts";

const FIRST_LINE = "c2sp.org/tlog-proof@v1";
/** The first line of this format in any version. */
const FIRST_LINES = /^c2sp\.org\/tlog-proof@v[0-9]{1,3}$/;
const MAX_PROOF_LENGTH = 2 ** 20;
/** No inclusion proof in a tree of less than 2^63 leaves is longer. */
const MAX_HASHES = 63;

export interface TlogProof {
  /** Data for the application, at least one byte. Nothing in the proof vouches for it. */
  readonly extra?: Uint8Array;
  /** The 0-based index of the entry in its log. */
  readonly index: number;
  /** The inclusion proof, from the leaf's sibling upwards. */
  readonly hashes: readonly Hash[];
  /** The signed note of a checkpoint, verbatim. */
  readonly checkpoint: string;
}

/**
 * Reads a proof file.
 * @throws Fault `malformed` unless it is exactly what `formatProof` writes for some proof, `unsupported` for
 *   another version, `too-large` for one beyond 1 MiB, 63 hashes, 100 signatures or 2^53 - 1 in a number.
 * @see C2SP tlog-proof
 * @example
 * import { fetchProof, createTrust } from "counterfoil";
 * import { parseProof } from "counterfoil/verify";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const { headers } = await fetch("https://api.example.com/v1/orders/7");
 * const { bytes, verdict } = await fetchProof(headers.get("audit-receipt"), trust);
 * const { index } = parseProof(new TextDecoder().decode(bytes));
 * console.log(index === verdict.receipt.entry.header.index); // true
 */
export function parseProof(text: string): TlogProof {
  requireLength(text);
  const end = text.indexOf("\n\n");
  if (end === -1) throw new Fault("malformed", "proof: no checkpoint after an empty line", { found: text });
  const lines = text.slice(0, end).split("\n");
  requireFirstLine(lines.shift()!);
  const extra = lines[0]?.startsWith("extra ")
    ? parseExtra(lines.shift()!.slice("extra ".length))
    : undefined;
  const index = parseIndex(lines.shift());
  const hashes = parseHashes(lines);
  const checkpoint = text.slice(end + 2);
  requireCheckpoint(checkpoint);
  return { ...(extra === undefined ? {} : { extra }), index, hashes, checkpoint };
}

/**
 * Writes a proof file.
 * @throws Fault `malformed` or `too-large` when it could not be read back.
 * @example
 * import { formatProof, parseProof } from "counterfoil/tlog";
 *
 * const answer = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const checkpoint = await answer.text();
 * const text = formatProof({ index: 0, hashes: [], checkpoint }); // of the only entry of a tree
 * console.log(parseProof(text).index); // 0
 */
export function formatProof({ extra, index, hashes, checkpoint }: TlogProof): string {
  if (extra?.length === 0) throw new Fault("malformed", "proof: extra data that is empty is left out");
  requireFew(hashes);
  requireCheckpoint(checkpoint);
  const lines = [
    FIRST_LINE,
    ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]),
    `index ${formatDecimal(index, "proof index")}`,
    ...hashes.map((hash, i) => formatHash(hash, `proof hash ${i}`)),
  ];
  const text = `${lines.join("\n")}\n\n${checkpoint}`;
  requireLength(text);
  return text;
}

function requireFirstLine(line: string): void {
  if (line === FIRST_LINE) return;
  throw FIRST_LINES.test(line)
    ? new Fault("unsupported", "proof: of another version", { expected: FIRST_LINE, found: line })
    : new Fault("malformed", "proof: not a proof file", { expected: FIRST_LINE, found: line });
}

function parseExtra(encoded: string): Uint8Array {
  const extra = decodeBase64(encoded, "proof extra data");
  if (extra.length === 0) throw new Fault("malformed", "proof: extra data that is empty is left out");
  return extra;
}

function parseIndex(line: string | undefined): number {
  if (line?.startsWith("index ")) return parseDecimal(line.slice("index ".length), "proof index");
  throw new Fault("malformed", "proof: no index line", {
    expected: "index <decimal>",
    found: line ?? "nothing",
  });
}

function parseHashes(lines: readonly string[]): Hash[] {
  requireFew(lines);
  return lines.map((line, i) => parseHash(line, `proof hash ${i}`));
}

function requireLength(text: string): void {
  if (text.length <= MAX_PROOF_LENGTH) return;
  throw new Fault("too-large", "proof: larger than any honest one", {
    expected: `at most ${MAX_PROOF_LENGTH} characters`,
  });
}

function requireFew(hashes: readonly unknown[]): void {
  if (hashes.length <= MAX_HASHES) return;
  throw new Fault("too-large", "proof: longer than any tree is high", {
    expected: `at most ${MAX_HASHES} hashes`,
    found: `${hashes.length} hashes`,
  });
}

function requireCheckpoint(note: string): void {
  parseCheckpoint(parseNote(note).text);
}
