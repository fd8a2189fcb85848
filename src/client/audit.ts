// The auditor: recomputes everything that an archive claims. It believes the trust document that it is given
// and nothing else, asks nobody but the archive, and needs memory for one block of entries at a time.
//
// Anchors lead the way: they are read from epoch 0 on, and each ledger is recomputed up to the size that the
// next anchor pins. What holds is counted, what does not becomes a problem with a code and a place. An audit that
// goes on from the state of an earlier one begins with the newest anchor of that, and with the block of entries
// in which what it pins ends.
import { type Anchor, type AnchorPayload, formatAnchorPath, openAnchor } from "../receipt/anchor.ts";
import { type AuditPromise, parsePromise, verifyPromise } from "../receipt/promise.ts";
import type { Receipt } from "../receipt/receipt.ts";
import { findLedger, type Trust } from "../receipt/trust.ts";
import { verifyEvidence } from "../receipt/verify.ts";
import { FAULT_CODES, type FaultCode } from "../tlog/fault.ts";
import { AnchorWalk, type TimestampReport } from "./anchors.ts";
import type { Archive } from "./archive.ts";
import { AwaitedRecords, type PromiseReport } from "./awaited.ts";
import type { ClockDifference } from "./clocks.ts";
import { Findings, located, type Place, type Problem } from "./findings.ts";
import { describeHolding, type Holding, requireAnchored } from "./holding.ts";
import type { LedgerReport } from "./ledgerreport.ts";
import { type Outcome, Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Advance } from "./progress.ts";
import { type Standing, type Stretch, Stretches, standingOf } from "./standing.ts";
import { formatState, type Known, type OpenedState, openState } from "./state.ts";
import type { Pause, TimelinePoint } from "./timeline.ts";
import { AnchorVouching, type Unvouched } from "./unvouched.ts";
import { LedgerWalk } from "./walk.ts";

export interface AuditOptions {
  readonly archive: Archive;
  readonly trust: Trust;
  /** An anchor that the auditor kept from an earlier time: the archive must still have it. */
  readonly keptAnchor?: string;
  /** Promises that somebody holds: whether the ledgers have kept them. */
  readonly promises?: readonly string[];
  /** The state of an earlier audit: the archive must still have what that has seen. */
  readonly state?: string;
  /** Reads everything again, although there is a state. */
  readonly full?: boolean;
  /** Receipts in hand: the archive must have their entries. */
  readonly receipts?: readonly string[];
  /** How many seconds after its receipt an anchor must cover an entry; without it, nothing is wrong with any lag. */
  readonly anchoredWithinS?: number;
  /** Is told how many entries of a ledger are verified, and of how many. */
  readonly progress?: Advance;
  /**
   * Called now and then on the way, while nothing is wrong, with a maker of a state: an audit that is interrupted may be
   * gone on with from there.
   */
  readonly keep?: (make: () => string | undefined) => Promise<void>;
}

export interface AuditReport {
  readonly outcome: Outcome;
  readonly anchors: {
    /** How many anchors were read and hold. */
    readonly count: number;
    /** The newest of them. */
    readonly newest?: { readonly epoch: number; readonly time: string };
    readonly timestamps?: TimestampReport;
    /** The evidence of the locks in the newest of them. */
    readonly locks: readonly AnchorPayload["lock"][];
    /** What they have to show, by stretches of anchors that show the same. */
    readonly stretches: readonly Stretch[];
    /** When they were written: enough of them to draw. */
    readonly points: readonly TimelinePoint[];
    /** The longest times between two of them. */
    readonly pauses: readonly Pause[];
    /** Where the clocks of anchor writer and timestamping authority were furthest apart; `index` is the epoch. */
    readonly stamps: readonly ClockDifference[];
  };
  readonly ledgers: readonly LedgerReport[];
  /** What became of the promises that were given. */
  readonly promises: readonly PromiseReport[];
  /** Ledgers that anchors pin, but that the trust document does not name: they were not audited. */
  readonly unnamedOrigins: readonly string[];
  /** What only retired keys have signed: it holds together, and proves nothing any more. */
  readonly unvouched: readonly Unvouched[];
  /** What is wrong, in the order in which it was found; not all of it when there is a great deal. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  /** What became of the receipts in hand. */
  readonly holdings: readonly Holding[];
  /** What a later audit may go on from; only when all that was read is proven. */
  readonly state?: string;
}

/**
 * Audits an archive.
 * @throws Undecided when it could not be read, when there is nothing in it, or when what the auditor has in hand
 *   (state, anchor, promises, receipts) cannot be opened. Whatever is wrong with the archive itself is in the report.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { archive, trust, full = false } = options;
  const hand = await openHand(options);
  const findings = new Findings();
  const first = full ? undefined : hand.known?.anchor;
  const anchors = new AnchorWalk(archive, trust, findings, hand.anchors, first);
  const walks = openWalks(options, hand, findings);
  const { stretches, unnamed, unvouched } = await walkAll(anchors, walks, options, findings, hand.anchors);
  requireQuorum(stretches.list.at(-1), findings);
  const ledgers = [...walks.values()].map(walk => walk.report());
  const holdings = await coverAll(hand.receipts, walks);
  if (options.anchoredWithinS !== undefined) {
    const shown = { newest: anchors.newest, entriesAt: ledgers.map(({ newestAt }) => newestAt) };
    requireAnchored(holdings, shown, options.anchoredWithinS, findings);
  }
  const promises = [...walks.values()].flatMap(walk => walk.promises);
  const isNamed = [...walks.values()].some(walk => walk.isKnown);
  const isSettled =
    (isNamed || unnamed.length === 0) &&
    unvouched.length === 0 &&
    promises.every(({ state }) => state === "kept") &&
    holdings.every(({ coverage }) => coverage === "anchored");
  const isKnown = isNamed || anchors.count > 0 || hand.anchors.length > 0 || hand.known !== undefined;
  const outcome = decide(findings, isKnown, isSettled);
  return {
    outcome,
    anchors: reportAnchors(anchors, stretches),
    ...{ ledgers, promises, unnamedOrigins: unnamed, unvouched },
    problems: findings.problems,
    problemCount: findings.count,
    holdings,
    ...(outcome === "proven" && { state: stateOf(trust, anchors, walks) }),
  };
}

/** What the auditor has of his own, opened. */
interface Hand {
  readonly known: OpenedState | undefined;
  /** The anchors that the archive must have: the one that was kept, and that of the state. */
  readonly anchors: readonly Anchor[];
  readonly receipts: readonly Receipt[];
  readonly promises: readonly AuditPromise[];
}

/** @throws Undecided when something of it cannot be opened: that says nothing about the archive. */
async function openHand(options: AuditOptions): Promise<Hand> {
  const { trust, receipts = [], promises = [], keptAnchor } = options;
  const known = await openKnown(options);
  const opened = await Promise.all(receipts.map((receipt, i) => openReceipt(receipt, i, trust)));
  const given = await openPromises(promises, trust);
  const anchors = [await openKept(keptAnchor, trust), known?.anchor].filter(anchor => anchor !== undefined);
  return { known, anchors, receipts: opened, promises: given };
}

/** The ledgers that the trust document names, none of which is read yet. */
function openWalks(
  { archive, trust, full = false, progress }: AuditOptions,
  { known, promises }: Hand,
  findings: Findings,
): Map<string, LedgerWalk> {
  return new Map(
    trust.ledgers.map(ledger => {
      const { origin } = ledger;
      const awaited = new AwaitedRecords(promises.filter(({ header }) => header.origin === origin));
      const before = knownOf(known, origin, full);
      return [origin, new LedgerWalk(ledger, archive, findings, awaited, before, progress)];
    }),
  );
}

function reportAnchors(anchors: AnchorWalk, { list: stretches }: Stretches): AuditReport["anchors"] {
  const { count, newest, timestamps, locks, timeline } = anchors;
  return {
    count,
    ...(newest && { newest }),
    ...(timestamps && { timestamps }),
    locks,
    stretches,
    ...timeline,
  };
}

/** Reads the anchors, and each ledger up to what they pin; then what is published beyond. */
async function walkAll(
  anchors: AnchorWalk,
  walks: ReadonlyMap<string, LedgerWalk>,
  { trust, keep }: AuditOptions,
  findings: Findings,
  kept: readonly Anchor[],
): Promise<{ stretches: Stretches; unnamed: string[]; unvouched: Unvouched[] }> {
  const vouching = new AnchorVouching(kept);
  const unnamed = new Set<string>();
  const refused = new Map<string, string>();
  await anchors.begin();
  for (const walk of walks.values()) await walk.begin();
  for (const pin of await anchors.peekNewest()) await walks.get(pin.origin)?.expect(pin);
  const stretches = new Stretches();
  for await (const { anchor, place, chained, timestamped } of anchors.read()) {
    let standing: Standing | undefined;
    await findings.check(place, async () => {
      standing = await standingOf(anchor, chained, timestamped?.by, trust).catch(error => {
        throw located(error, place.path);
      });
      stretches.add(anchor.payload.epoch, standing);
    });
    vouching.add(anchor, place, standing, timestamped);
    reportRefused(anchor, place, findings, refused);
    for (const pin of anchor.payload.ledgers) {
      const walk = walks.get(pin.origin);
      if (walk === undefined) unnamed.add(pin.origin);
      else await walk.checkPin(pin, place);
    }
    // What a retired key alone has signed is nothing to go on from.
    if (findings.count === 0 && vouching.unvouched.length === 0)
      await keep?.(() => progressOf(trust, anchor, walks));
  }
  for (const walk of walks.values()) walk.mark();
  for (const walk of walks.values()) await walk.finish();
  const alone = [...walks.values()].map(walk => walk.unvouched).filter(tree => tree !== undefined);
  return { stretches, unnamed: [...unnamed], unvouched: [...vouching.unvouched, ...alone] };
}

async function coverAll(
  receipts: readonly Receipt[],
  walks: ReadonlyMap<string, LedgerWalk>,
): Promise<Holding[]> {
  const holdings: Holding[] = [];
  for (const receipt of receipts) {
    const coverage = await walks.get(receipt.entry.header.origin)!.cover(receipt.entry);
    holdings.push(describeHolding(receipt, coverage));
  }
  return holdings;
}

/** Opens the state of an earlier audit. @throws Undecided when it is damaged, or this audit is of another kind. */
async function openKnown({ state, trust, archive, full }: AuditOptions): Promise<OpenedState | undefined> {
  if (state === undefined) return undefined;
  const known = await undecidedIfFaulty("the state of your last audit", () => openState(state, trust));
  for (const [origin, { start }] of known.ledgers) {
    const hasRead = start.entries !== undefined;
    if (full || hasRead === archive.holdsEntries) continue;
    throw new Undecided(`your last audit has ${hasRead ? "" : "not "}read the entries of ${origin}`, {
      expected: hasRead ? "the operator's token (--token), or --full" : "an audit of all of them: --full",
    });
  }
  return known;
}

function knownOf(state: OpenedState | undefined, origin: string, full: boolean): Known | undefined {
  const known = state?.ledgers.get(origin);
  return known && full ? { tree: known.tree } : known;
}

function stateOf(trust: Trust, anchors: AnchorWalk, walks: ReadonlyMap<string, LedgerWalk>): string {
  const ledgers = [...walks.values()].map(walk => walk.state()).filter(ledger => ledger !== undefined);
  const anchor = anchors.newestText;
  return formatState({ issuer: trust.issuer, ...(anchor !== undefined && { anchor }), ledgers });
}

/** What is verified up to an anchor; undefined while something about a ledger is undecided. */
function progressOf(
  trust: Trust,
  anchor: Anchor,
  walks: ReadonlyMap<string, LedgerWalk>,
): string | undefined {
  const ledgers = [...walks.values()].map(walk => walk.stateAtPin());
  if (ledgers.includes("undecided")) return undefined;
  const known = ledgers.filter(ledger => typeof ledger === "object");
  return formatState({ issuer: trust.issuer, anchor: anchor.text, ledgers: known });
}

async function openReceipt(text: string, i: number, trust: Trust): Promise<Receipt> {
  const verdict = await undecidedIfFaulty(`receipt ${i + 1}`, () => verifyEvidence({ receipt: text }, trust));
  return verdict.receipt;
}

/** Only the newest anchor must have the policy's quorum: a witness that was away for a while is no contradiction. */
function requireQuorum(newest: Stretch | undefined, findings: Findings): void {
  if (newest?.quorum !== false) return;
  const path = formatAnchorPath(newest.last);
  const message = `${path}: what it pins is cosigned by fewer witnesses than your policy asks for`;
  const found = newest.witnesses.join(", ") || "no cosignature by a known witness";
  findings.add("quorum-not-met", { path, epoch: newest.last }, message, { found });
}

/**
 * What the anchor writer itself has refused, once for each time that it began. That too few witnesses had cosigned
 * in time is no contradiction: the ledger was only not pinned, and the next anchor that pins it makes up for it.
 * @param refused the code of each ledger that the anchor before had refused; brought up to date.
 */
function reportRefused(
  { payload }: Anchor,
  place: Place,
  findings: Findings,
  refused: Map<string, string>,
): void {
  const now = new Map((payload.refused ?? []).map(({ origin, code }) => [origin, code]));
  for (const { origin, code, reason } of payload.refused ?? []) {
    if (refused.get(origin) === code || code === "quorum-not-met") continue;
    const known = Object.hasOwn(FAULT_CODES, code) ? (code as FaultCode) : "unsupported";
    findings.add(known, place, `${place.path}: the anchor writer refused ${origin}: ${reason}`);
  }
  refused.clear();
  for (const [origin, code] of now) refused.set(origin, code);
}

/** What says nothing against anybody where nothing bears a good signature. */
const UNKNOWN_CODES: readonly FaultCode[] = [
  "unknown-key",
  "wrong-origin",
  "malformed",
  "unsupported",
  "too-large",
];

/**
 * @param isKnown whether anything bears a good signature, in the archive or in the auditor's hand.
 * @param isSettled whether no question is left that the auditor has asked.
 */
function decide({ problems, count }: Findings, isKnown: boolean, isSettled: boolean): Outcome {
  if (isKnown && count === 0) return isSettled ? "proven" : "undecided";
  if (count === 0) {
    throw new Undecided("there is nothing to audit", { expected: "anchors, or a checkpoint of a ledger" });
  }
  // Nothing contradicts anything: the trust document is older than some keys, or about something else altogether; or
  // this is no archive, but whatever else somebody answers with.
  const open: readonly FaultCode[] = isKnown ? ["unknown-key"] : UNKNOWN_CODES;
  return problems.every(({ fault }) => open.includes(fault.code)) ? "undecided" : "wrong";
}

async function openKept(text: string | undefined, trust: Trust): Promise<Anchor | undefined> {
  if (text === undefined) return undefined;
  return undecidedIfFaulty("the anchor that you kept", () => openAnchor(text, trust.anchorKeys));
}

/** Only a promise that its ledger's edge has signed says anything against the ledger. */
async function openPromises(texts: readonly string[], trust: Trust): Promise<AuditPromise[]> {
  const opened: AuditPromise[] = [];
  for (const [i, text] of texts.entries()) {
    const which = texts.length === 1 ? "the promise" : `promise ${i + 1} of those`;
    await undecidedIfFaulty(`${which} that you hold`, async () => {
      const promise = parsePromise(text);
      findLedger(trust, promise.header.origin);
      await verifyPromise(promise, trust.receiptKeys);
      opened.push(promise);
    });
  }
  return opened;
}
