// The auditor: recomputes everything that an archive claims. It believes the trust document that it is given
// and nothing else, asks nobody but the archive, and needs memory for one block of entries at a time.
//
// Anchors lead the way: they are read from epoch 0 on, and each ledger is recomputed up to the size that the
// next anchor pins. What holds is counted, what does not becomes a problem with a code and a place. An audit that
// goes on from the state of an earlier one begins with the newest anchor of that, and with the block of entries
// in which what it pins ends.
import {
  type Anchor,
  type AnchorPayload,
  digestAnchor,
  FIRST_ANCHOR_PREV,
  formatAnchorPath,
  openAnchor,
  type Pin,
} from "../receipt/anchor.ts";
import { type AuditPromise, parsePromise, verifyPromise } from "../receipt/promise.ts";
import type { Receipt } from "../receipt/receipt.ts";
import type { Timestamp } from "../receipt/timestamp.ts";
import { findLedger, type Trust } from "../receipt/trust.ts";
import { openTimestamp, verifyEvidence } from "../receipt/verify.ts";
import { FAULT_CODES, Fault, type FaultCode } from "../tlog/fault.ts";
import type { Archive } from "./archive.ts";
import { AwaitedRecords, type PromiseReport } from "./awaited.ts";
import { Findings, located, type Place, type Problem } from "./findings.ts";
import { describeHolding, type Holding, requireAnchored } from "./holding.ts";
import { type Outcome, Undecided, undecidedIfFaulty } from "./outcome.ts";
import { type Standing, type Stretch, Stretches, standingOf } from "./standing.ts";
import { formatState, type Known, type OpenedState, openState } from "./state.ts";
import { AnchorVouching, type Unvouched } from "./unvouched.ts";
import { type LedgerReport, LedgerWalk } from "./walk.ts";

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
}

/** What the anchors' timestamps say, where there are any. */
export interface TimestampReport {
  /** How many are by an authority that the trust document names, and hold. */
  readonly count: number;
  /** How many are by authorities that it does not name. */
  readonly unknown: number;
  /** The newest of those that hold: its anchor's epoch, the authority's clock, and the authority. */
  readonly newest?: { readonly epoch: number; readonly time: string; readonly by: string };
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

/** How many epochs beyond the newest known anchor are looked for. */
const PROBE_AHEAD = 16;

/** The last epoch that has a path. */
const EPOCH_MAX = 9_999_999_999;

/** After so many missing anchors in a row, the rest is not looked for. */
const GAP_MAX = 100_000;

// Any byte becomes one character; what is not ASCII then opens as no anchor.
const decoder = new TextDecoder("latin1");

/**
 * Audits an archive.
 * @throws Undecided when it could not be read, when there is nothing in it, or when what the auditor has in hand
 *   (state, anchor, promises, receipts) cannot be opened. Whatever is wrong with the archive itself is in the report.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { archive, trust, receipts = [], anchoredWithinS, full = false } = options;
  const known = await openKnown(options);
  const held = await Promise.all(receipts.map((receipt, i) => openReceipt(receipt, i, trust)));
  const promises = await openPromises(options.promises ?? [], trust);
  const findings = new Findings();
  const first = full ? undefined : known?.anchor;
  const kept = [await openKept(options.keptAnchor, trust), known?.anchor].filter(
    anchor => anchor !== undefined,
  );
  const anchors = new AnchorWalk(archive, trust, findings, kept, first);
  const walks = new Map(
    trust.ledgers.map(ledger => {
      const own = promises.filter(({ header }) => header.origin === ledger.origin);
      const before = knownOf(known, ledger.origin, full);
      return [ledger.origin, new LedgerWalk(ledger, archive, findings, new AwaitedRecords(own), before)];
    }),
  );
  const vouching = new AnchorVouching(kept);
  const { stretches, unnamed } = await walkAll(anchors, walks, trust, findings, vouching);
  requireQuorum(stretches.list.at(-1), findings);
  const holdings = await coverAll(held, walks);
  const ledgers = [...walks.values()].map(walk => walk.report());
  if (anchoredWithinS !== undefined) {
    const shown = { newest: anchors.newest, entriesAt: ledgers.map(({ newestAt }) => newestAt) };
    requireAnchored(holdings, shown, anchoredWithinS, findings);
  }
  const isKnown = anchors.count > 0 || [...walks.values()].some(walk => walk.isKnown);
  const became = [...walks.values()].flatMap(walk => walk.promises);
  const alone = [...walks.values()].map(walk => walk.unvouched).filter(tree => tree !== undefined);
  const unvouched = [...vouching.unvouched, ...alone];
  const outcome = decide(findings, isKnown, became, holdings, unvouched);
  return {
    outcome,
    anchors: {
      count: anchors.count,
      ...(anchors.newest && { newest: anchors.newest }),
      ...(anchors.timestamps && { timestamps: anchors.timestamps }),
      locks: anchors.locks,
      stretches: stretches.list,
    },
    ledgers,
    promises: became,
    unnamedOrigins: unnamed,
    unvouched,
    problems: findings.problems,
    problemCount: findings.count,
    holdings,
    ...(outcome === "proven" && { state: stateOf(trust, anchors, walks) }),
  };
}

/** Reads the anchors, and each ledger up to what they pin; then what is published beyond. */
async function walkAll(
  anchors: AnchorWalk,
  walks: ReadonlyMap<string, LedgerWalk>,
  trust: Trust,
  findings: Findings,
  vouching: AnchorVouching,
): Promise<{ stretches: Stretches; unnamed: string[] }> {
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
  }
  for (const walk of walks.values()) walk.mark();
  for (const walk of walks.values()) await walk.finish();
  return { stretches, unnamed: [...unnamed] };
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

function decide(
  { problems, count }: Findings,
  isKnown: boolean,
  promises: readonly PromiseReport[],
  holdings: readonly Holding[],
  unvouched: readonly Unvouched[],
): Outcome {
  const isSettled =
    unvouched.length === 0 &&
    promises.every(({ state }) => state === "kept") &&
    holdings.every(({ coverage }) => coverage === "anchored");
  if (isKnown && count === 0) return isSettled ? "proven" : "undecided";
  if (count === 0) {
    throw new Undecided("there is nothing to audit", { expected: "anchors, or a checkpoint of a ledger" });
  }
  // Nothing contradicts anything: the trust document is older than some keys, or about something else altogether.
  const open = isKnown ? ["unknown-key"] : ["unknown-key", "wrong-origin"];
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

/** An anchor that holds. */
interface AnchorFound {
  readonly anchor: Anchor;
  readonly place: Place;
  /** Whether it names the anchor before it. */
  readonly chained: boolean;
  /** Its timestamp, if one of the trusted authorities has made it. */
  readonly timestamped: Timestamp | undefined;
}

/** The chain of anchors. */
class AnchorWalk {
  readonly #archive: Archive;
  readonly #trust: Trust;
  readonly #findings: Findings;
  readonly #kept: readonly Anchor[];
  /** The first epoch that is read; those before were verified earlier. */
  readonly #first: number;
  /** The epochs that the archive lists, where they are not all read. */
  #listed: ReadonlySet<number> | undefined;
  /** The newest epoch that there must be; -1 for none. */
  #last = -1;
  /** What the next anchor must name; undefined after one that could not be opened. */
  #prev: string | undefined;
  count = 0;
  /** The newest anchor that holds. */
  newestText: string | undefined;
  newest: { readonly epoch: number; readonly time: string } | undefined;
  timestamps: TimestampReport | undefined;
  /** The evidence of the locks in the newest of them. */
  locks: readonly AnchorPayload["lock"][] = [];

  /**
   * @param kept anchors that the archive must have.
   * @param first the one of them to begin with, instead of that of epoch 0.
   */
  constructor(archive: Archive, trust: Trust, findings: Findings, kept: readonly Anchor[], first?: Anchor) {
    this.#archive = archive;
    this.#trust = trust;
    this.#findings = findings;
    this.#kept = kept;
    this.#first = first?.payload.epoch ?? 0;
    this.#prev = first?.payload.prev ?? FIRST_ANCHOR_PREV;
  }

  /** Finds the newest anchor. What the archive tells of it is not believed: newer ones are looked for. */
  async begin(): Promise<void> {
    const known = this.#kept.map(({ payload }) => payload.epoch);
    const told = Math.max((await this.#archive.newestEpoch()) ?? -1, ...known);
    if (this.#first > 0) this.#listed = await this.#archive.listEpochs?.();
    this.#last = Math.min(told, EPOCH_MAX - PROBE_AHEAD);
    for (let epoch = this.#last + 1; epoch <= this.#last + PROBE_AHEAD; epoch++) {
      if ((await this.#get(epoch)) !== undefined) this.#last = epoch;
    }
  }

  /** What the newest anchor pins, if it can be opened; it is checked when its turn comes. */
  async peekNewest(): Promise<readonly Pin[]> {
    const text = this.#last === -1 ? undefined : await this.#get(this.#last);
    if (text === undefined) return [];
    try {
      return (await openAnchor(text, this.#trust.anchorKeys)).payload.ledgers;
    } catch (error) {
      if (error instanceof Fault) return [];
      throw error;
    }
  }

  /** The anchors that hold, in the order of their epochs. */
  async *read(): AsyncGenerator<AnchorFound> {
    let epoch = 0;
    while (epoch <= this.#last) {
      if (this.#isSettled(epoch)) {
        epoch++;
        continue;
      }
      const text = await this.#get(epoch);
      if (text === undefined) {
        epoch = await this.#skipGap(epoch);
        continue;
      }
      const place = { path: formatAnchorPath(epoch), epoch };
      if (epoch < this.#first) {
        await this.#findings.check(place, () => this.#requireKept(text, epoch, place.path));
        epoch++;
        continue;
      }
      let anchor: Anchor | undefined;
      await this.#findings.check(place, async () => {
        anchor = await this.#open(text, epoch, place.path);
      });
      const timestamped =
        anchor?.timestamp === undefined ? undefined : await this.#checkTimestamp(anchor, place);
      const chained = anchor?.payload.prev === this.#prev;
      this.#prev = anchor?.digest;
      if (anchor !== undefined) {
        this.locks = [anchor.payload.lock, ...(anchor.payload.copies ?? [])];
        yield { anchor, place, chained, timestamped };
      }
      epoch++;
    }
  }

  /** Whether nothing needs to be read of an anchor that was verified earlier: it is listed, or there is no list. */
  #isSettled(epoch: number): boolean {
    const isKept = this.#kept.some(({ payload }) => payload.epoch === epoch);
    return epoch < this.#first && !isKept && this.#listed?.has(epoch) !== false;
  }

  async #open(text: string, epoch: number, path: string): Promise<Anchor> {
    this.#requireKept(text, epoch, path);
    const anchor = await openNamed(text, this.#trust, path);
    const { payload } = anchor;
    if (payload.iss !== this.#trust.issuer) {
      const detail = { expected: this.#trust.issuer, found: payload.iss };
      throw new Fault("wrong-origin", `${path}: is an anchor of another issuer`, detail);
    }
    if (payload.epoch !== epoch) {
      const detail = { expected: `epoch ${epoch}`, found: `epoch ${payload.epoch}` };
      throw new Fault("broken-anchor-chain", `${path}: is the anchor of another epoch`, detail);
    }
    this.count++;
    this.newest = { epoch, time: payload.time };
    this.newestText = text;
    if (this.#prev !== undefined && payload.prev !== this.#prev) {
      const detail = { expected: this.#prev, found: payload.prev };
      this.#findings.add(
        "broken-anchor-chain",
        { path, epoch },
        `${path}: does not name the anchor before it`,
        detail,
      );
    }
    return anchor;
  }

  /** A timestamp that does not hold is a problem of its own: the anchor stands without it. */
  async #checkTimestamp(anchor: Anchor, place: Place): Promise<Timestamp | undefined> {
    let timestamp: Timestamp | undefined;
    const { count, unknown, newest } = this.timestamps ?? { count: 0, unknown: 0 };
    this.timestamps = { count, unknown, ...(newest && { newest }) };
    await this.#findings.check(place, async () => {
      timestamp = await openTimestamp(anchor, this.#trust).catch(error => {
        throw located(error, place.path);
      });
      this.timestamps =
        timestamp === undefined
          ? { count, unknown: unknown + 1, ...(newest && { newest }) }
          : { count: count + 1, unknown, newest: { epoch: anchor.payload.epoch, ...timestamp } };
    });
    return timestamp;
  }

  #requireKept(text: string, epoch: number, path: string): void {
    const other = this.#kept.find(kept => kept.payload.epoch === epoch && kept.text !== text);
    if (other === undefined) return;
    throw new Fault("forked", `${path}: is another anchor than the one that you kept of this epoch`, {
      expected: other.digest,
      found: digestAnchor(text),
    });
  }

  /** Reports a run of missing anchors. @returns the next epoch that there is, or one beyond the last. */
  async #skipGap(first: number): Promise<number> {
    let next = first + 1;
    while (next <= this.#last && next - first < GAP_MAX && (await this.#get(next)) === undefined) next++;
    const isTail = next > this.#last || next - first === GAP_MAX;
    const last = isTail ? this.#last : next - 1;
    const path = formatAnchorPath(first);
    const rest =
      last === first ? "is not in the archive" : `and all up to epoch ${last} are not in the archive`;
    this.#findings.add(isTail ? "truncated" : "missing", { path, epoch: first }, `${path}: ${rest}`, {
      expected: `anchors from epoch 0 to ${this.#last}`,
    });
    this.#prev = undefined;
    return isTail ? this.#last + 1 : next;
  }

  async #get(epoch: number): Promise<string | undefined> {
    const bytes = await this.#archive.get(formatAnchorPath(epoch));
    return bytes && decoder.decode(bytes);
  }
}

async function openNamed(text: string, trust: Trust, path: string): Promise<Anchor> {
  try {
    return await openAnchor(text, trust.anchorKeys);
  } catch (error) {
    throw located(error, path);
  }
}
