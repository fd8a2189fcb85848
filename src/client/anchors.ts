// The chain of anchors of an archive, read from its first or from where an earlier audit has come to: each is signed,
// stands at its epoch and names the one before it, and none is missing between the first and the newest.
import {
  type Anchor,
  type AnchorPayload,
  digestAnchor,
  FIRST_ANCHOR_PREV,
  formatAnchorPath,
  openAnchor,
  type Pin,
} from "../receipt/anchor.ts";
import type { Trust } from "../receipt/trust.ts";
import { type AnchorTimestamp, openTimestamp } from "../receipt/verify.ts";
import { Fault, type FaultCode } from "../tlog/fault.ts";
import type { Archive } from "./archive.ts";
import { type Findings, located, type Place } from "./findings.ts";
import { ignoreFault } from "./signed.ts";
import { Timeline } from "./timeline.ts";

/** What the anchors' timestamps say, where there are any. */
export interface TimestampReport {
  /** How many are by an authority that the trust document names, and hold. */
  readonly count: number;
  /** How many are by authorities that it does not name. */
  readonly unknown: number;
  /** The newest of those that hold: its anchor's epoch, the authority's clock, and the authority. */
  readonly newest?: AnchorTimestamp & { readonly epoch: number };
}

/** How many epochs beyond the newest known anchor are looked for. */
export const PROBE_AHEAD = 16;

/** The last epoch that has a path. */
const EPOCH_MAX = 9_999_999_999;

/** After so many missing anchors in a row, the rest is not looked for. */
const GAP_MAX = 100_000;

/** After so many in a row that cannot be opened, the rest is not read: who answers anything with a page has no end. */
const UNREADABLE_MAX = 1000;

// Any byte becomes one character; what is not ASCII then opens as no anchor.
const decoder = new TextDecoder("latin1");

/** An anchor that holds. */
export interface AnchorFound {
  readonly anchor: Anchor;
  readonly place: Place;
  /** Whether it names the anchor before it. */
  readonly chained: boolean;
  /** Its timestamp, if one of the trusted authorities has made it. */
  readonly timestamped: AnchorTimestamp | undefined;
}

/** The chain of anchors. */
export class AnchorWalk {
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
  readonly #timeline = new Timeline();
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

  /** When they were written. */
  get timeline(): Pick<Timeline, "points" | "pauses" | "stamps"> {
    const { points, pauses, stamps } = this.#timeline;
    return { points, pauses, stamps };
  }

  /**
   * Finds the newest anchor. What the archive tells of it is not believed: newer ones are looked for, and after each
   * that holds again.
   */
  async begin(): Promise<void> {
    const known = this.#kept.map(({ payload }) => payload.epoch);
    const told = Math.max((await this.#archive.newestEpoch()) ?? -1, ...known);
    if (this.#first > 0) this.#listed = await this.#archive.listEpochs?.();
    this.#last = Math.min(told, EPOCH_MAX - PROBE_AHEAD);
    let sure = this.#last;
    for (let epoch = sure + 1; epoch <= sure + PROBE_AHEAD; epoch++) {
      const text = await this.#get(epoch);
      if (text === undefined) continue;
      this.#last = epoch;
      if ((await this.#peek(text))?.payload.epoch === epoch) sure = epoch;
    }
  }

  /** What the newest anchor pins, if it can be opened; it is checked when its turn comes. */
  async peekNewest(): Promise<readonly Pin[]> {
    const text = this.#last === -1 ? undefined : await this.#get(this.#last);
    return (text === undefined ? undefined : await this.#peek(text))?.payload.ledgers ?? [];
  }

  /** An anchor that is only looked at in advance: its faults show when its turn comes. */
  #peek(text: string): Promise<Anchor | undefined> {
    return openAnchor(text, this.#trust.anchorKeys).catch(ignoreFault);
  }

  /** The anchors that hold, in the order of their epochs. */
  async *read(): AsyncGenerator<AnchorFound> {
    let epoch = 0;
    let unreadable = 0;
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
      let code: FaultCode = "malformed";
      await this.#findings.check(place, async () => {
        anchor = await this.#open(text, epoch, place.path).catch(error => {
          if (error instanceof Fault) code = error.code;
          throw error;
        });
      });
      const timestamped =
        anchor?.timestamp === undefined ? undefined : await this.#checkTimestamp(anchor, place);
      const chained = anchor?.payload.prev === this.#prev;
      this.#prev = anchor?.digest;
      unreadable = anchor === undefined ? unreadable + 1 : 0;
      if (unreadable === UNREADABLE_MAX) {
        const message = `${place.path}: so many before it cannot be opened either that the rest is not read`;
        this.#findings.add(code, place, message, { found: `${unreadable} in a row` });
        return;
      }
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
    const anchor = await openAnchorOf(epoch, text, this.#trust);
    const { payload } = anchor;
    this.count++;
    this.newest = { epoch, time: payload.time };
    this.newestText = text;
    this.#timeline.add(epoch, payload.time);
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
  async #checkTimestamp(anchor: Anchor, place: Place): Promise<AnchorTimestamp | undefined> {
    let timestamp: AnchorTimestamp | undefined;
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
      if (timestamp !== undefined)
        this.#timeline.addStamp(anchor.payload.epoch, anchor.payload.time, timestamp.time);
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

/**
 * Opens the anchor of an epoch. Whether it names the one before is for whoever has that.
 * @throws Fault that names the object: `wrong-origin`, `broken-anchor-chain` for one of another epoch, or as openAnchor.
 */
export async function openAnchorOf(epoch: number, text: string, trust: Trust): Promise<Anchor> {
  const path = formatAnchorPath(epoch);
  const anchor = await openAnchor(text, trust.anchorKeys).catch(error => {
    throw located(error, path);
  });
  const { iss, epoch: own } = anchor.payload;
  if (iss !== trust.issuer) {
    const detail = { expected: trust.issuer, found: iss };
    throw new Fault("wrong-origin", `${path}: is an anchor of another issuer`, detail);
  }
  if (own !== epoch) {
    const detail = { expected: `epoch ${epoch}`, found: `epoch ${own}` };
    throw new Fault("broken-anchor-chain", `${path}: is the anchor of another epoch`, detail);
  }
  return anchor;
}
