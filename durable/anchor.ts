// Anchoring: every ledger's published root, pinned in one object that is written once and never again.
//
// The writer looks at a ledger as an outsider would, through the archive: it checks the checkpoint's
// signature, recomputes the root from the tiles, and checks that the tree extends the last anchored one
// before it pins it. A ledger that contradicts what was anchored keeps its last pin, and the anchor says so: one
// that was tampered with must not keep the others from being anchored. The anchor's bytes are stored before they
// are put, so a crash repeats the same bytes; of two writers alive at once, the second takes over what the first
// has put.
import {
  type Anchor,
  type AnchorPayload,
  digestAnchor,
  FIRST_ANCHOR_PREV,
  formatAnchorPath,
  imprintAnchor,
  issueAnchor,
  openAnchor,
  type Pin,
  type Refused,
} from "../src/receipt/anchor.ts";
import { FIRST_PREV } from "../src/receipt/entry.ts";
import { isRetired, type SigningKey, type TrustedKey } from "../src/receipt/key.ts";
import { openTrusted, type TrustedLedger } from "../src/receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../src/tlog/base64.ts";
import type { Checkpoint } from "../src/tlog/checkpoint.ts";
import { Fault } from "../src/tlog/fault.ts";
import { type Get, readTiles } from "../src/tlog/reader.ts";
import { TILE_WIDTH, tileAt, tileHashes } from "../src/tlog/tile.ts";
import { type Archive, putImmutable } from "./archive.ts";
import type { Cosigner } from "./cosigner.ts";
import type { Lock } from "./lock.ts";
import { checkExtends, lostCheckpoint, readPublished, readTree } from "./published.ts";
import type { Sql } from "./sql.ts";

export interface AnchorOptions {
  readonly sql: Sql;
  /** Where the ledgers are published. */
  readonly archive: Archive;
  /** Where the anchors go; under a retention lock. */
  readonly anchors: Archive;
  readonly issuer: string;
  readonly ledgers: readonly TrustedLedger[];
  readonly key: SigningKey;
  /** The keys that signed anchors before. */
  readonly retired: readonly TrustedKey[];
  readonly now: () => number;
  /** The lock on the anchor store. */
  readonly lock: Lock;
  /** Other stores that get every anchor as well, independent of the first. */
  readonly copies?: readonly Copy[];
  readonly timestamps?: TimestampOptions;
  /** Who is asked to cosign what has grown, if anybody is. */
  readonly cosigner?: Cosigner;
}

export interface Copy {
  /** What it is remembered by; never two of the same. */
  readonly name: string;
  readonly archive: Archive;
  readonly lock: Lock;
}

/** Which anchors get a timestamp, and from whom. */
export interface TimestampOptions {
  /** Every so many anchors. */
  readonly every: number;
  /** Whether no anchor is written while one that is due cannot be had. */
  readonly required: boolean;
  /** A verified token for a digest. @throws when there is none to be had. */
  readonly stamp: (digest: Uint8Array) => Promise<Uint8Array>;
}

/** How many anchors a copy gets at once: one that is new may lack very many, and no anchor is written meanwhile. */
export const COPIES_AT_ONCE = 100;

/** How much of a reason goes into an anchor, in characters. */
const REASON_LENGTH_MAX = 500;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A ledger whose checkpoint only a retired key has signed. */
class RetiredError extends Error {
  readonly ledger: string;

  constructor({ name, origin }: TrustedLedger) {
    super(`${origin}: only a retired key has signed its checkpoint, so none is pinned yet`);
    this.ledger = name;
  }
}

export class Anchorer {
  readonly #options: AnchorOptions;
  #refused: readonly Error[] = [];
  #waiting: readonly Error[] = [];
  #unlocked: readonly Error[] = [];
  #uncopied: readonly Error[] = [];
  #isCopying = false;
  #missedTimestamp: Error | undefined;

  constructor(options: AnchorOptions) {
    this.#options = options;
    options.sql.all(
      "CREATE TABLE IF NOT EXISTS anchor (epoch INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL)",
    );
    // How many anchors each copy has.
    options.sql.all("CREATE TABLE IF NOT EXISTS copied (name TEXT PRIMARY KEY, count INTEGER NOT NULL)");
  }

  /**
   * Writes the next anchor, if any ledger has grown since the last one, or is refused now and was not then.
   * @returns the epoch of the newest anchor, or undefined while there is none.
   * @throws Fault when what stands in the anchor store is not this writer's; any other error may pass by itself.
   */
  async anchor(): Promise<number | undefined> {
    try {
      await this.#finish();
      await this.#catchUp();
    } finally {
      // What keeps the next one from being written keeps no copy from those before.
      await this.#copy();
    }
    const last = await this.#last();
    const locks = await this.#lookAtLocks(last?.payload.epoch);
    const { ledgers, refused } = await this.#look(last?.payload.ledgers ?? []);
    // One by the key in force must follow those of the key before: it answers for them.
    const isDue = last !== undefined && isRetired(last.key);
    if (!isDue && tellsNothingNew({ ledgers, refused }, last?.payload)) return last?.payload.epoch;
    const epoch = last === undefined ? 0 : last.payload.epoch + 1;
    const { issuer, key, now } = this.#options;
    const time = new Date(now()).toISOString();
    const prev = last?.digest ?? FIRST_ANCHOR_PREV;
    const payload = {
      ...{ v: 1, iss: issuer, epoch, time, prev, ledgers },
      ...(refused.length > 0 && { refused }),
      ...locks,
    };
    const text = await issueAnchor(await this.#stamp(payload), key);
    // Another writer may have gone on meanwhile. Then this anchor is not the next one any more, and never was.
    const intent = this.#options.sql.all(
      "INSERT INTO anchor SELECT ?, ?, 0 WHERE ? > (SELECT coalesce(max(epoch), -1) FROM anchor) RETURNING epoch",
      epoch,
      text,
      epoch,
    );
    if (intent.length === 0) throw new Error(`anchor ${epoch}: was made by another writer meanwhile`);
    await this.#finish();
    await this.#copy();
    return epoch;
  }

  /** What a person should look at after the newest attempt, although it was not in vain; the worst comes first. */
  get troubles(): readonly Error[] {
    const missed = this.#missedTimestamp;
    const others = [...this.#unlocked, ...this.#uncopied, ...this.#waiting];
    return [...this.#refused, ...others, ...(missed === undefined ? [] : [missed])];
  }

  /** Whether a copy that can be reached lacks anchors still. */
  get isCopying(): boolean {
    return this.#isCopying;
  }

  /** Whether the newest attempt found a ledger that had not published under its new key yet. @param ledger its name. */
  awaits(ledger: string): boolean {
    return this.#waiting.some(trouble => trouble instanceof RetiredError && trouble.ledger === ledger);
  }

  /** The evidence of all locks. @param newest the epoch of the newest anchor. */
  async #lookAtLocks(newest: number | undefined): Promise<Pick<AnchorPayload, "lock" | "copies">> {
    const { lock, copies = [] } = this.#options;
    const report = await lock.look(newest);
    const reports = await Promise.all(copies.map(copy => copy.lock.look(newest)));
    this.#unlocked = [report, ...reports].flatMap(({ troubles }) => troubles);
    return {
      lock: report.evidence,
      ...(reports.length > 0 && { copies: reports.map(({ evidence }) => evidence) }),
    };
  }

  /** Brings the other stores up to date. One that is out of reach stops nothing, and gets the rest later. */
  async #copy(): Promise<void> {
    const troubles: Error[] = [];
    this.#isCopying = false;
    for (const copy of this.#options.copies ?? []) {
      await this.#copyTo(copy).catch(error => troubles.push(error as Error));
    }
    this.#uncopied = troubles;
  }

  async #copyTo({ name, archive }: Copy): Promise<void> {
    const { sql } = this.#options;
    const [known] = sql.all("SELECT count FROM copied WHERE name = ?", name);
    const from = (known?.count as number | undefined) ?? 0;
    const total = (this.latest() ?? -1) + 1;
    const end = Math.min(total, from + COPIES_AT_ONCE);
    for (let epoch = from; epoch < end; epoch++) {
      const text = await this.#read(epoch);
      if (text === undefined) throw new Fault("missing", `anchor ${epoch}: is gone from the anchor store`);
      await putImmutable(archive, formatAnchorPath(epoch), encoder.encode(text));
      sql.all("INSERT OR REPLACE INTO copied VALUES (?, ?)", name, epoch + 1);
    }
    if (end === total) return;
    this.#isCopying = true;
    throw new Error(`the copy ${name}: has ${end} of ${total} anchors, and gets the others`);
  }

  /** Looks at every ledger. One that is refused keeps the pin that it had, if it had one. */
  async #look(pinned: readonly Pin[]): Promise<{ ledgers: Pin[]; refused: Refused[] }> {
    const ledgers: Pin[] = [];
    const faults: Fault[] = [];
    const refused: Refused[] = [];
    const waiting: Error[] = [];
    for (const ledger of this.#options.ledgers) {
      const { origin } = ledger;
      const before = pinned.find(pin => pin.origin === origin);
      try {
        const pin = await this.#pin(ledger, before, waiting);
        if (pin !== undefined) ledgers.push(pin);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        faults.push(error);
        refused.push({ origin, code: error.code, reason: error.message.slice(0, REASON_LENGTH_MAX) });
        if (before !== undefined) ledgers.push(before);
      }
    }
    this.#refused = faults;
    this.#waiting = waiting;
    return { ledgers, refused };
  }

  /** Adds a timestamp, if one is due: one that could not be had is due again with the next anchor. */
  async #stamp(payload: AnchorPayload): Promise<AnchorPayload> {
    const { timestamps } = this.#options;
    const isMissed = this.#missedTimestamp !== undefined;
    if (timestamps === undefined || (payload.epoch % timestamps.every !== 0 && !isMissed)) return payload;
    try {
      const token = encodeBase64(await timestamps.stamp(imprintAnchor(payload)));
      this.#missedTimestamp = undefined;
      return { ...payload, timestamp: { token } };
    } catch (error) {
      if (timestamps.required) throw error;
      this.#missedTimestamp = error as Error;
      return payload;
    }
  }

  /** The newest epoch that is known to be written. */
  latest(): number | undefined {
    const row = this.#options.sql.all("SELECT max(epoch) AS epoch FROM anchor WHERE done = 1")[0];
    return (row?.epoch as number | null) ?? undefined;
  }

  /** Puts an anchor that was made but is not known to have arrived, unless another took its epoch. */
  async #finish(): Promise<void> {
    const row = this.#options.sql.all("SELECT epoch, text FROM anchor WHERE done = 0")[0];
    if (row === undefined) return;
    const epoch = row.epoch as number;
    const text = row.text as string;
    const put = await this.#options.anchors.putIfAbsent(formatAnchorPath(epoch), encoder.encode(text));
    const present = put ? text : await this.#read(epoch);
    if (present === undefined)
      throw new Error(`anchor ${epoch}: neither written nor there; will be tried again`);
    if (present !== text) await this.#findVoucher(epoch, present);
    await this.#take(epoch, present);
  }

  /**
   * Catches up with anchors that this storage does not know: another instance of this writer has written
   * them, or storage was rewound. They are taken only if they are ours and follow the last one known.
   */
  async #catchUp(): Promise<void> {
    let vouchedFor = -1;
    for (;;) {
      const epoch = ((await this.#last())?.payload.epoch ?? -1) + 1;
      const present = await this.#read(epoch);
      if (present === undefined) return;
      if (epoch > vouchedFor) vouchedFor = await this.#findVoucher(epoch, present);
      await this.#take(epoch, present);
    }
  }

  /**
   * The first epoch, from that of a found anchor on, whose anchor the key in force has signed. One that a retired key
   * has signed may be a thief's: to go on from it would vouch for it.
   * @throws Fault `key-not-valid` when there is none.
   */
  async #findVoucher(first: number, found: string): Promise<number> {
    let epoch = first;
    for (let text: string | undefined = found; text !== undefined; text = await this.#read(++epoch)) {
      if (!isRetired((await this.#openFound(epoch, text)).key)) return epoch;
    }
    throw new Fault(
      "key-not-valid",
      `${formatAnchorPath(first)}: is unknown here, and from there on only a retired key has signed`,
    );
  }

  /** Opens what stands in the store. @throws Fault that says where, and of which bytes, when it is none of ours. */
  async #openFound(epoch: number, text: string): Promise<Anchor> {
    try {
      return await this.#open(text);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const what = `${formatAnchorPath(epoch)}: what stands there is no anchor by a key of this edge`;
      // Whoever keys unknown here belong to, they may be the edge's own: of a configuration that is not this one.
      const code = error.code === "unknown-key" ? error.code : "broken-anchor-chain";
      throw new Fault(code, `${what}, so none is written: ${error.message}`);
    }
  }

  #open(text: string): Promise<Anchor> {
    const { key, retired } = this.#options;
    return openAnchor(text, [key.publicJwk, ...retired]);
  }

  /** Remembers the anchor that stands in the store as the newest. @throws Fault when it is not a next one of ours. */
  async #take(epoch: number, text: string): Promise<void> {
    const { sql } = this.#options;
    const { payload } = await this.#open(text);
    const [before] = sql.all("SELECT text FROM anchor WHERE epoch = ?", epoch - 1);
    const prev = epoch === 0 ? FIRST_ANCHOR_PREV : before && digestAnchor(before.text as string);
    if (payload.epoch !== epoch || (prev !== undefined && payload.prev !== prev)) {
      throw new Fault(
        "broken-anchor-chain",
        `${formatAnchorPath(epoch)}: what stands there does not follow anchor ${epoch - 1}`,
        {
          expected: `epoch ${epoch}, prev ${prev}`,
          found: `epoch ${payload.epoch}, prev ${payload.prev}`,
        },
      );
    }
    sql.transaction(() => {
      sql.all("INSERT OR REPLACE INTO anchor VALUES (?, ?, 1)", epoch, text);
      // The one before is kept, to check what follows it.
      sql.all("DELETE FROM anchor WHERE epoch < ?", epoch - 1);
    });
  }

  async #read(epoch: number): Promise<string | undefined> {
    const object = await this.#options.anchors.get(formatAnchorPath(epoch));
    return object && decoder.decode(object.bytes);
  }

  async #last(): Promise<Anchor | undefined> {
    const row = this.#options.sql.all("SELECT text FROM anchor ORDER BY epoch DESC LIMIT 1")[0];
    return row === undefined ? undefined : this.#open(row.text as string);
  }

  /**
   * What the archive shows of a ledger, checked, and cosigned if it has grown; undefined while nothing of it is
   * published. @param waiting collects why witnesses have not cosigned, or why it is not pinned yet.
   * @throws Fault when it contradicts itself or what was pinned `before`, or when too few witnesses have cosigned.
   */
  async #pin(ledger: TrustedLedger, before: Pin | undefined, waiting: Error[]): Promise<Pin | undefined> {
    const get = readPublished(this.#options.archive, ledger.name);
    const note = await get("checkpoint");
    if (note === undefined) {
      if (before === undefined) return undefined;
      throw lostCheckpoint(ledger.origin, before.size);
    }
    const text = decoder.decode(note);
    const { checkpoint, isRetired } = await openTrusted(text, ledger);
    await readTree(checkpoint, get);
    if (before !== undefined) {
      await checkPinned(before, checkpoint, ledger, get);
      if (checkpoint.size === before.size) return before;
    }
    if (isRetired) {
      // An anchor would vouch for it, and a retired key may be anybody's. The ledger will sign with its new one.
      waiting.push(new RetiredError(ledger));
      return before;
    }
    const cosigned = await this.#options.cosigner?.cosign(text, checkpoint, get);
    waiting.push(...(cosigned?.troubles ?? []).map(trouble => new Error(trouble)));
    return {
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: encodeBase64(checkpoint.root),
      head: await readHead(checkpoint.size, get),
      checkpoint: cosigned?.note ?? text,
    };
  }
}

/** Whether an anchor would say no more than the last one. Reasons are for people, and differ from time to time. */
function tellsNothingNew(
  { ledgers, refused }: { ledgers: readonly Pin[]; refused: readonly Refused[] },
  last: AnchorPayload | undefined,
): boolean {
  const essence = (pins: readonly Pin[], refusals: readonly Refused[]) =>
    JSON.stringify([
      pins.map(({ origin, size, root }) => [origin, size, root]),
      refusals.map(({ origin, code }) => [origin, code]),
    ]);
  return essence(ledgers, refused) === essence(last?.ledgers ?? [], last?.refused ?? []);
}

/**
 * The newest anchor object of a store.
 * @param known the newest epoch that its writer knows of; ones that were put after it are found as well, as far as each
 *   is by one of the keys and follows the one before. Whatever else stands there says nothing: it may be anybody's.
 * @throws Fault `missing` when the known one is gone.
 */
export async function readNewestAnchor(
  anchors: Archive,
  known: number | undefined,
  keys: readonly TrustedKey[],
): Promise<string | undefined> {
  let newest: string | undefined;
  for (let epoch = known ?? 0; ; epoch++) {
    const object = await anchors.get(formatAnchorPath(epoch));
    if (object === undefined && epoch === known)
      throw new Fault("missing", `${formatAnchorPath(epoch)}: is gone from the anchor store`);
    if (object === undefined) return newest;
    const text = decoder.decode(object.bytes);
    if (epoch !== known && !(await follows(text, epoch, newest, keys))) return newest;
    newest = text;
  }
}

/** Whether an object is the anchor of an epoch, after the one `before`. */
async function follows(
  text: string,
  epoch: number,
  before: string | undefined,
  keys: readonly TrustedKey[],
): Promise<boolean> {
  const anchor = await openAnchor(text, keys).catch(error => {
    if (error instanceof Fault) return undefined;
    throw error;
  });
  const prev = before === undefined ? FIRST_ANCHOR_PREV : digestAnchor(before);
  return anchor?.payload.epoch === epoch && anchor.payload.prev === prev;
}

/** @throws Fault when a tree does not continue the one that was pinned before. */
async function checkPinned(before: Pin, after: Checkpoint, ledger: TrustedLedger, get: Get): Promise<void> {
  const old = (await openTrusted(before.checkpoint, ledger)).checkpoint;
  if (after.size < old.size) {
    throw new Fault("rolled-back", `${ledger.origin}: smaller than when it was last anchored`, {
      expected: `at least ${old.size} entries`,
      found: `${after.size} entries`,
    });
  }
  await checkExtends(old, after, get);
}

/** The leaf hash of the newest entry: the last hash of the rightmost tile of level 0. */
async function readHead(size: number, get: Get): Promise<string> {
  const tile = tileAt(0, Math.floor((size - 1) / TILE_WIDTH), size);
  if (tile === undefined) return FIRST_PREV;
  const [data] = await readTiles(get, [tile]);
  return encodeBase64url(tileHashes(tile, data!).at(-1)!);
}
