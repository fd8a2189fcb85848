// Proofs: fetched from the operator, believed only after they were checked.
import { openAnchor } from "../receipt/anchor.ts";
import { parseReceipt, type Receipt } from "../receipt/receipt.ts";
import { findLedger, type Trust } from "../receipt/trust.ts";
import type { Verdict } from "../receipt/verify.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import { openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { parseNote } from "../tlog/note.ts";
import { formatProof, parseProof } from "../tlog/proof.ts";
import { type Get, readTiles } from "../tlog/reader.ts";
import { checkConsistency, equalBytes, planConsistency } from "../tlog/tree.ts";
import { openRemoteArchive } from "./archive.ts";
import { verifyTrusted } from "./exchange.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Sender } from "./platform.ts";
import { proveLeaf } from "./prefix.ts";
import { readUrl } from "./remote.ts";

/** A proof that was fetched and checked. */
export interface FetchedProof {
  /** The `.tlog-proof`, byte for byte. */
  readonly bytes: Uint8Array;
  readonly verdict: Verdict;
}

/** The longest that one request asks the edge to wait, in seconds. */
const WAIT_STEP_S = 10;

/**
 * Fetches the proof of an exchange, waiting until the published tree has reached it.
 * @param url the address of the receipt or of its proof.
 * @param receipt the receipt that the proof must be about, where there is one in hand.
 * @param waitS how long to wait at the most, in seconds.
 * @throws Fault when the proof is wrong; Undecided when there is none within the time.
 */
export async function fetchProof(
  sender: Sender,
  url: string,
  receipt: string | undefined,
  trust: Trust,
  waitS: number,
): Promise<FetchedProof> {
  const address = `${url.replace(/\/proof$/, "")}/proof`;
  const { bytes, proof, carried } = await waitForProof(sender, address, waitS)
    .then(bytes => readProof(bytes, address))
    .catch(async error => {
      const made = receipt && (await proveFromTiles(sender, address, receipt, trust).catch(onlyFaults));
      if (made) return readProof(new TextEncoder().encode(made), address);
      throw error;
    });
  if (receipt !== undefined) requireSameExchange(parseReceipt(receipt), parseReceipt(carried));
  const verdict = await verifyTrusted({ receipt: carried, proof }, trust);
  return { bytes, verdict };
}

/** A proof and the receipt that it carries. @throws Undecided for anything else: that says nothing against anybody. */
function readProof(bytes: Uint8Array, address: string) {
  return undecidedIfFaulty(address, () => {
    const proof = new TextDecoder().decode(bytes);
    const carried = carriedReceipt(proof, address);
    parseReceipt(carried);
    return { bytes, proof, carried };
  });
}

/**
 * Makes the proof of a receipt from the published checkpoint and its hash tiles, which are public: for an
 * operator who does not give it, because he has forgotten the exchange, or would like to.
 * @returns undefined when the published tree does not reach the entry.
 * @throws Fault `forked` when another entry stands at its place: the receipt is proof of misbehaviour then.
 */
async function proveFromTiles(
  sender: Sender,
  address: string,
  receipt: string,
  trust: Trust,
): Promise<string | undefined> {
  const { entry } = (await verifyTrusted({ receipt }, trust)).receipt;
  const { index, origin } = entry.header;
  const ledger = findLedger(trust, origin);
  const archive = openRemoteArchive(sender, address.replace(/receipts\/[^/]*\/proof$/, ""), undefined);
  const get: Get = path => archive.get(`${ledger.name}/${path}`);
  const note = await get("checkpoint");
  if (note === undefined) return undefined;
  const { checkpoint } = await openCheckpoint(note, ledger.keys);
  if (index >= checkpoint.size) return undefined;
  const { leaf, proof } = await proveLeaf(get, index, checkpoint);
  if (!equalBytes(leaf, entry.leaf)) {
    throw new Fault(
      "forked",
      `entry ${index}: the published tree has another entry there than your receipt's`,
      {
        expected: `leaf hash ${encodeBase64(entry.leaf)}`,
        found: `leaf hash ${encodeBase64(leaf)}`,
        index,
      },
    );
  }
  const extra = new TextEncoder().encode(receipt);
  return formatProof({ extra, index, hashes: proof, checkpoint: new TextDecoder().decode(note) });
}

/** What cannot be read settles nothing; what contradicts itself does. */
function onlyFaults(error: unknown): undefined {
  if (error instanceof Fault) throw error;
}

/** The receipt in the extra line of a proof. @throws Fault when it is no proof; Undecided when it carries none */
export function carriedReceipt(proof: string, what: string): string {
  const { extra } = parseProof(proof);
  if (extra === undefined) {
    throw new Undecided(`${what}: the proof carries no receipt`, { expected: "a receipt in its extra line" });
  }
  return new TextDecoder("latin1").decode(extra);
}

async function waitForProof(sender: Sender, url: string, waitS: number): Promise<Uint8Array> {
  for (let left = waitS; ; left -= WAIT_STEP_S) {
    const wait = Math.max(0, Math.min(left, WAIT_STEP_S));
    const { status, headers, body } = await readUrl(sender, url, wait > 0 ? { prefer: `wait=${wait}` } : {});
    if (status === 200) return body;
    // An edge that knows the entry, and has not published it yet, says when to ask again.
    const isComing = status === 404 && headers.has("retry-after");
    if (isComing && left > WAIT_STEP_S) continue;
    const detail = { expected: "a proof", found: `status ${status}: ${readDetail(body)}` };
    if (isComing)
      throw new Undecided(`${url}: the entry is not in a published tree yet`, detail, "not-yet-included");
    throw new Undecided(`${url}: there is no proof here`, detail);
  }
}

/** The `detail` of a problem document (RFC 9457), or nothing. */
function readDetail(body: Uint8Array): string {
  try {
    const { detail } = JSON.parse(new TextDecoder().decode(body)) as { detail?: unknown };
    return typeof detail === "string" ? detail : "";
  } catch {
    return "";
  }
}

/**
 * The edge proves the newest record of an exchange, so a receipt of its beginning gets the proof of its
 * ending; but never that of another exchange, nor of another record at the same place.
 */
function requireSameExchange(held: Receipt, proven: Receipt): void {
  const [a, b] = [held, proven].map(({ entry }) => `exchange ${entry.record.jti} in ${entry.header.origin}`);
  if (a !== b)
    throw new Fault("mismatched", "the proof is about another exchange", { expected: a!, found: b! });
  const { index } = held.entry.header;
  if (index !== proven.entry.header.index || held.entry.text === proven.entry.text) return;
  throw new Fault("forked", `entry ${index}: the proof is for another entry than your receipt`, {
    expected: held.entry.text,
    found: proven.entry.text,
    index,
  });
}

/**
 * The consistency proof from the tree of a proof to the larger one that an anchor pins, made from the
 * operator's hash tiles. Nobody has to believe those: the proof either fits two signed roots or is refused.
 * @returns undefined when none is needed, or when the verifier will find something else wrong.
 * @throws Undecided when the tiles are not there or make no proof.
 */
export async function fetchConsistency(
  get: Get,
  proof: string,
  anchor: string,
  trust: Trust,
): Promise<Uint8Array[] | undefined> {
  const { origin, size: size1, root: root1 } = parseCheckpoint(parseNote(parseProof(proof).checkpoint).text);
  const { payload } = await openAnchor(anchor, trust.anchorKeys);
  const pin = payload.ledgers.find(candidate => candidate.origin === origin);
  const ledger = trust.ledgers.find(candidate => candidate.origin === origin);
  if (pin === undefined || ledger === undefined || pin.size <= size1) return undefined;
  const { size: size2, root: root2 } = parseCheckpoint(parseNote(pin.checkpoint).text);
  return undecidedIfFaulty(`consistency of anchor ${payload.epoch} with the proof`, async () => {
    const plan = planConsistency(size1, size2);
    const tiles = await readTiles(path => get(`${ledger.name}/${path}`), plan.tiles);
    const hashes = plan.prove(tiles);
    checkConsistency({ size1, root1, size2, root2, proof: hashes });
    return hashes;
  });
}
