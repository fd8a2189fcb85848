// The verifier. It takes whatever evidence its caller has, and either says what that evidence proves or
// throws the one thing that is wrong. It asks nobody anything: no network, no clock, no platform.
import type { Checkpoint } from "../tlog/checkpoint.ts";
import { type Cosignature, makeVerifier, openCosignatures } from "../tlog/cosignature.ts";
import { Fault } from "../tlog/fault.ts";
import type { Note, VerifySignature } from "../tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../tlog/policy.ts";
import { parseProof } from "../tlog/proof.ts";
import { checkConsistency, checkInclusion, equalBytes } from "../tlog/tree.ts";
import { type Anchor, compareTimestamp, openAnchor } from "./anchor.ts";
import { isRetired } from "./key.ts";
import { matchExchange, type SeenExchange } from "./match.ts";
import { parseReceipt, type Receipt, verifySignature } from "./receipt.ts";
import type { Timestamp } from "./timestamp.ts";
import { findLedger, openTrusted, type Trust, type TrustedLedger } from "./trust.ts";

/** What can be proven of a receipt, weakest first. */
export const RUNGS = ["signed", "matched", "included", "anchored", "witnessed", "timestamped"] as const;
export type Rung = (typeof RUNGS)[number];

export interface Evidence {
  /** The compact JWS. May be left out when `proof` carries it. */
  readonly receipt?: string;
  /** The 16-byte seed that came with the receipt: lets private fields be compared as well. */
  readonly seed?: Uint8Array;
  readonly exchange?: SeenExchange;
  /** A `.tlog-proof` for the receipt's entry. */
  readonly proof?: string;
  /** An anchor object, and (when it pins a larger tree than the proof's) the consistency proof to it. */
  readonly anchor?: string;
  readonly consistency?: readonly Uint8Array[];
}

/** The timestamp of an anchor. */
export interface AnchorTimestamp extends Timestamp {
  /**
   * Where it is more than five minutes from the anchor's own time: an anchor that is stamped so much `later` was there
   * by then and may be dated back; one that is stamped `earlier` claims a time that had not come.
   */
  readonly off?: "later" | "earlier";
}

/** What the evidence proves. */
export interface Verdict {
  readonly rungs: readonly Rung[];
  readonly receipt: Receipt;
  /** The parts of the exchange that were compared and found equal, e.g. `response body`. */
  readonly matched: readonly string[];
  readonly checkpoint?: Checkpoint;
  /** The epoch and time of the anchor that pins the checkpoint. */
  readonly anchor?: { readonly epoch: number; readonly time: string };
  /** Who has cosigned, by the names of the trusted policy, when it asks for anybody. */
  readonly witnesses: readonly string[];
  /** Who has timestamped the anchor, and when, if it is somebody whom the caller trusts. */
  readonly timestamp?: AnchorTimestamp;
  /**
   * What only a retired key has signed, where nothing that is still good vouches for it; left out when there is
   * none. A checkpoint or an anchor among them proves nothing: the rungs, and the members above, are without it.
   */
  readonly unvouched?: readonly ("receipt" | "checkpoint" | "anchor")[];
}

/**
 * Verifies evidence for one receipt against trust that the caller already has.
 * @param verify checks notes and cosignatures; give one that knows ML-DSA-44 if a witness needs it.
 * @throws Fault with the code and place of the first thing that is wrong.
 * @see RFC 7515, RFC 6962 section 2.1, docs/format.md
 * @example
 * import { parseTrust, verifyEvidence } from "counterfoil/verify";
 *
 * const trust = parseTrust(await (await fetch("https://api.example.com/.well-known/audit/trust")).text());
 * const { headers } = await fetch("https://api.example.com/v1/orders/7");
 * const { rungs } = await verifyEvidence({ receipt: headers.get("audit-receipt") }, trust);
 * console.log(rungs.join(", ")); // signed
 */
export async function verifyEvidence(
  evidence: Evidence,
  trust: Trust,
  verify: VerifySignature = makeVerifier(),
): Promise<Verdict> {
  const proof = evidence.proof === undefined ? undefined : parseProof(evidence.proof);
  const receipt = parseReceipt(evidence.receipt ?? carriedReceipt(proof?.extra));
  const ledger = findLedger(trust, receipt.entry.header.origin);
  const key = await verifySignature(receipt, trust.receiptKeys);
  checkIssuer(receipt.entry.record.iss, trust, "receipt");
  const matched =
    evidence.exchange === undefined ? [] : matchExchange(receipt, evidence.exchange, evidence.seed);
  const rungs: Rung[] = matched.length > 0 ? ["signed", "matched"] : ["signed"];
  const receiptAlone = isRetired(key) ? { unvouched: ["receipt"] as const } : {};
  if (proof === undefined) return { rungs, receipt, matched, witnesses: [], ...receiptAlone };

  const proven = await openTrusted(proof.checkpoint, ledger, verify);
  checkIncluded(receipt, proof, proven.checkpoint);
  const pin = await openPin(evidence, proven.checkpoint, ledger, trust, verify);
  const witnesses = await checkWitnessed(pin ? [proven.note, pin.note] : [proven.note], trust, verify);
  // Witnesses cosign one history: what they have cosigned, nobody makes up later.
  const isWitnessed = witnesses.length > 0;
  const anchored = pin && (isWitnessed || !pin.isRetired) ? pin : undefined;
  const unanchored = pin !== undefined && anchored === undefined ? (["anchor"] as const) : [];
  if (proven.isRetired && anchored === undefined && !isWitnessed) {
    const { unvouched = [] } = receiptAlone;
    return { rungs, receipt, matched, witnesses, unvouched: [...unvouched, "checkpoint", ...unanchored] };
  }
  return {
    rungs: [
      ...rungs,
      "included",
      ...(anchored === undefined ? [] : (["anchored"] as const)),
      ...(isWitnessed ? (["witnessed"] as const) : []),
      ...(anchored?.timestamp === undefined ? [] : (["timestamped"] as const)),
    ],
    receipt,
    matched,
    checkpoint: proven.checkpoint,
    ...(anchored && { anchor: anchored.anchor }),
    witnesses,
    ...(anchored?.timestamp && { timestamp: anchored.timestamp }),
    ...(unanchored.length > 0 && { unvouched: unanchored }),
  };
}

interface OpenedPin {
  readonly note: Note;
  readonly anchor: { readonly epoch: number; readonly time: string };
  readonly timestamp: AnchorTimestamp | undefined;
  /** Whether a key has signed it that was retired, and nobody says that it was there before. */
  readonly isRetired: boolean;
}

/** The anchor's checkpoint of the ledger, if there is an anchor; it must pin the proven tree or a later one. */
async function openPin(
  { anchor, consistency }: Evidence,
  proven: Checkpoint,
  ledger: TrustedLedger,
  trust: Trust,
  verify: VerifySignature,
): Promise<OpenedPin | undefined> {
  if (anchor === undefined) return undefined;
  const opened = await openAnchor(anchor, trust.anchorKeys);
  const { epoch, time, iss, ledgers } = opened.payload;
  checkIssuer(iss, trust, `anchor ${epoch}`);
  const pin = ledgers.find(({ origin }) => origin === ledger.origin);
  if (pin === undefined) {
    throw new Fault("missing", `anchor ${epoch}: does not pin the receipt's ledger`, {
      expected: ledger.origin,
      found: ledgers.map(({ origin }) => origin).join(", "),
    });
  }
  const { checkpoint, note } = await openTrusted(pin.checkpoint, ledger, verify);
  checkPinned(proven, checkpoint, consistency, epoch);
  const timestamp = await openTimestamp(opened, trust);
  // Somebody else says that the anchor was there while its key was good.
  const isDated = timestamp !== undefined && Date.parse(timestamp.time) / 1000 < (opened.key.exp ?? 0);
  return { note, anchor: { epoch, time }, timestamp, isRetired: isRetired(opened.key) && !isDated };
}

/**
 * The timestamp of an anchor; undefined when it has none, or one by an authority that is not trusted: like an
 * unknown witness, that proves nothing and says nothing against anybody.
 * @throws Fault as verifyTimestamp, when a trusted authority's timestamp does not hold.
 */
export async function openTimestamp(
  { timestamp, payload }: Anchor,
  trust: Trust,
): Promise<AnchorTimestamp | undefined> {
  const { timestampers = [] } = trust;
  if (timestamp === undefined || timestampers.length === 0) return undefined;
  // Loaded only where there is something to verify: it comes with an ASN.1 library as large as all the rest.
  const { verifyTimestamp } = await import("./timestamp.ts");
  try {
    const stamped = await verifyTimestamp(timestamp.token, timestamp.imprint, timestampers);
    const off = compareTimestamp(payload.time, stamped.time);
    return { ...stamped, ...(off && { off }) };
  } catch (error) {
    if (error instanceof Fault && error.code === "unknown-key") return undefined;
    throw error;
  }
}

/**
 * Who of the trusted policy's witnesses has cosigned one of the checkpoints; nobody when there is no policy.
 * @throws Fault `quorum-not-met` when the policy asks for more on each of them.
 */
async function checkWitnessed(
  notes: readonly Note[],
  { policy: text }: Trust,
  verify: VerifySignature,
): Promise<string[]> {
  if (text === undefined) return [];
  const policy = parsePolicy(text);
  const keys = policy.witnesses.map(({ key }) => key);
  const names = (found: readonly Cosignature[]) =>
    policy.witnesses
      .filter(({ key }) => found.some(({ key: { id } }) => id === key.id))
      .map(({ name }) => name);
  let most: readonly Cosignature[] = [];
  for (const note of notes) {
    const found = await openCosignatures(note, keys, verify);
    if (
      meetsQuorum(
        policy,
        found.map(({ key }) => key),
      )
    )
      return names(found);
    if (found.length > most.length) most = found;
  }
  throw new Fault("quorum-not-met", "checkpoint: cosigned by fewer witnesses than your policy asks for", {
    expected: `the quorum "${policy.quorum}"`,
    found: names(most).join(", ") || "no cosignature by a known witness",
  });
}

function carriedReceipt(extra: Uint8Array | undefined): string {
  if (extra === undefined) {
    throw new Fault("malformed", "there is no receipt to verify", {
      expected: "a receipt, or a proof whose extra line carries one",
    });
  }
  // A receipt is ASCII; any other byte makes text that parses as no receipt.
  return new TextDecoder("latin1").decode(extra);
}

function checkIssuer(issuer: string, trust: Trust, what: string): void {
  if (issuer === trust.issuer) return;
  throw new Fault("wrong-origin", `${what}: by another issuer`, { expected: trust.issuer, found: issuer });
}

function checkIncluded(
  receipt: Receipt,
  proof: { readonly index: number; readonly hashes: readonly Uint8Array[] },
  checkpoint: Checkpoint,
): void {
  const { index, origin } = receipt.entry.header;
  if (checkpoint.origin !== origin || proof.index !== index) {
    throw new Fault("wrong-origin", "the proof is for another entry than the receipt", {
      expected: `entry ${index} of ${origin}`,
      found: `entry ${proof.index} of ${checkpoint.origin}`,
    });
  }
  if (index >= checkpoint.size) {
    throw new Fault("not-yet-included", `the checkpoint does not reach entry ${index} yet`, {
      expected: `a tree of more than ${index} entries`,
      found: `a tree of ${checkpoint.size} entries`,
      index,
    });
  }
  checkInclusion({
    index,
    size: checkpoint.size,
    leaf: receipt.entry.leaf,
    root: checkpoint.root,
    proof: proof.hashes,
  });
}

function checkPinned(
  proven: Checkpoint,
  pinned: Checkpoint,
  consistency: readonly Uint8Array[] | undefined,
  epoch: number,
): void {
  if (pinned.size < proven.size) {
    throw new Fault("not-yet-included", `anchor ${epoch} pins an earlier tree than the proof's`, {
      expected: `a tree of at least ${proven.size} entries`,
      found: `a tree of ${pinned.size} entries`,
    });
  }
  if (pinned.size === proven.size && !equalBytes(pinned.root, proven.root)) {
    throw new Fault("forked", `anchor ${epoch} pins another tree of the same size`, {
      expected: `one root for ${proven.size} entries`,
    });
  }
  if (pinned.size === proven.size) return;
  if (consistency === undefined) {
    throw new Fault("missing", `anchor ${epoch} pins a later tree than the proof's`, {
      expected: `a consistency proof from ${proven.size} to ${pinned.size} entries`,
    });
  }
  checkConsistency({
    size1: proven.size,
    root1: proven.root,
    size2: pinned.size,
    root2: pinned.root,
    proof: consistency,
  });
}
