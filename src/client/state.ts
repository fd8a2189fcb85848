// What an auditor has verified for itself, to go on from at the next audit: the newest anchor, and of each ledger
// the published tree, the beginning of it that need not be read again, and what its entries have told so far.
//
// A state is believed, so it is read strictly: it has one spelling, and a digest of its own, and what it holds of
// anchors and checkpoints must still open with the keys that are trusted now.
import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { type Anchor, openAnchor } from "../receipt/anchor.ts";
import { readMinimum } from "../receipt/control.ts";
import { type Entry, parseEntry } from "../receipt/entry.ts";
import { STAGES } from "../receipt/record.ts";
import { Count, Hash as HashText, readExactJson, Time } from "../receipt/shape.ts";
import { findLedger, openTrusted, type Trust } from "../receipt/trust.ts";
import { decodeBase64url, encodeBase64url } from "../tlog/base64.ts";
import { Fault } from "../tlog/fault.ts";
import { TILE_WIDTH } from "../tlog/tile.ts";
import { emptyFrontier, extend, type Frontier, type Hash, makeFrontier } from "../tlog/tree.ts";
import { parseEndings } from "./endings.ts";
import type { SignedTree } from "./signed.ts";

const EntriesSchema = v.strictObject({
  newestAt: v.union([v.literal(""), Time]),
  /** How many entries are gone whose retention has ended, and the entry in which the ledger tells so. */
  pruned: v.pipe(Count, v.multipleOf(TILE_WIDTH)),
  /** How many entries have told it; not there when they are those of the checkpoint. */
  read: v.optional(Count),
  told: v.optional(v.string()),
  /** The exchanges whose private values were erased. */
  erased: v.array(v.string()),
  /** The exchanges that have no ending yet. */
  open: v.array(v.strictObject({ jti: v.string(), stage: v.picklist(STAGES), index: Count, at: Time })),
  /** The last exchanges that ended. */
  endings: v.optional(v.string()),
});

const LedgerSchema = v.strictObject({
  origin: v.string(),
  /** The published checkpoint. */
  checkpoint: v.string(),
  /** The hashes of the last tile of each level from 1 on, of the tree that need not be read again. */
  edge: v.array(v.pipe(v.array(HashText), v.maxLength(TILE_WIDTH - 1))),
  /** The leaf hash of its last entry; 32 zero bytes when it has none. */
  head: HashText,
  /** What its entries up to the published size have told; not there when they were not read. */
  entries: v.optional(EntriesSchema),
});

const StateSchema = v.strictObject({
  v: v.number(),
  issuer: v.string(),
  /** The newest anchor; not there when there was none. */
  anchor: v.optional(v.string()),
  ledgers: v.array(LedgerSchema),
  /** base64url SHA-256 of this text without this, its last member. */
  digest: HashText,
});

/** What the entries of a ledger have told. */
export type EntriesState = v.InferOutput<typeof EntriesSchema>;
export type LedgerState = v.InferOutput<typeof LedgerSchema>;
export type State = Omit<v.InferOutput<typeof StateSchema>, "v" | "digest">;

/** Where to begin in a ledger. */
export interface Start {
  /** A tree of full blocks, which an anchor covers. */
  readonly frontier: Frontier;
  /** The hashes of the last tile of each level, from level 0 on. */
  readonly edges: readonly (readonly Hash[])[];
  readonly head: Hash;
  /** What the entries up to the known size have told, if they were read. */
  readonly entries?: EntriesState;
  readonly told?: Entry;
}

/** What is known of a ledger. */
export interface Known {
  /** The tree that was published: whatever is published later must continue it. */
  readonly tree: SignedTree;
  /** Not there when everything is to be read again. */
  readonly start?: Start;
}

export interface OpenedState {
  readonly anchor?: Anchor;
  /** By origin. */
  readonly ledgers: ReadonlyMap<string, Required<Known>>;
}

const VERSION = 1;
const encoder = new TextEncoder();

/** The text of a state. */
export function formatState(state: State): string {
  const text = JSON.stringify({ v: VERSION, ...state });
  return text.slice(0, -1) + formatEnd(text);
}

/**
 * Reads a state, and opens what was signed in it.
 * @throws Fault when it is not exactly as it was written, or when the trust does not go with it.
 */
export async function openState(text: string, trust: Trust): Promise<OpenedState> {
  const members = readExactJson(StateSchema, text, "state");
  const rest = `${text.slice(0, text.lastIndexOf(","))}}`;
  if (!text.endsWith(formatEnd(rest))) {
    throw new Fault("malformed", "state: is not as it was written", { found: `digest ${members.digest}` });
  }
  if (members.v !== VERSION) {
    const detail = { expected: `${VERSION}`, found: `${members.v}` };
    throw new Fault("unsupported", "state: of a version that is not known", detail);
  }
  if (members.issuer !== trust.issuer) {
    const detail = { expected: trust.issuer, found: members.issuer };
    throw new Fault("wrong-origin", "state: is about another issuer", detail);
  }
  const anchor =
    members.anchor === undefined ? undefined : await openAnchor(members.anchor, trust.anchorKeys);
  const ledgers = new Map<string, Required<Known>>();
  for (const ledger of members.ledgers) ledgers.set(ledger.origin, await openKnown(ledger, trust));
  return { ...(anchor && { anchor }), ledgers };
}

async function openKnown(
  { origin, checkpoint, edge, head, entries }: LedgerState,
  trust: Trust,
): Promise<Required<Known>> {
  const tree = (await openTrusted(checkpoint, findLedger(trust, origin))).checkpoint;
  const above = edge.map(hashes => hashes.map(hash => decodeBase64url(hash)));
  const frontier = frontierOf(above);
  if (frontier.size > tree.size) {
    throw new Fault("malformed", `state: ${origin}: has read more than was published`, {
      expected: `at most ${tree.size} entries`,
      found: `${frontier.size} entries`,
    });
  }
  const told = entries?.told === undefined ? undefined : parseEntry(entries.told);
  if (entries !== undefined) requireSeen(entries, told, origin, tree.size);
  const start = { frontier, edges: [[], ...above], head: decodeBase64url(head) };
  return { tree, start: { ...start, ...(entries && { entries }), ...(told && { told }) } };
}

/**
 * What entries have told is believed, but nothing that none of those that were read can have told: so nobody who can
 * write the file may excuse an entry that came later from being there, or from being read.
 * @throws Fault `malformed`
 */
function requireSeen(
  { pruned, read = 0, endings = "" }: EntriesState,
  told: Entry | undefined,
  origin: string,
  size: number,
): void {
  parseEndings(endings, Math.max(size, read));
  // A block is read whole, also where the tree ends in it.
  const isRead = read <= Math.ceil(size / TILE_WIDTH) * TILE_WIDTH;
  const minimum = told === undefined ? 0 : (readMinimum(told) ?? 0);
  const isOwn =
    told === undefined ||
    (minimum > 0 && told.header.origin === origin && told.header.index < Math.max(size, read));
  if (isRead && isOwn && pruned <= minimum) return;
  throw new Fault("malformed", `state: ${origin}: tells of more than its entries can have told`, {
    expected: `what ${size} entries can tell`,
    found: `${pruned} that are gone of ${minimum} that may be, ${read} that were read`,
  });
}

/** The tree of full blocks whose last tiles, from level 1 on, hold these hashes. */
function frontierOf(edge: readonly (readonly Hash[])[]): Frontier {
  const size = edge.reduce((sum, hashes, i) => sum + hashes.length * TILE_WIDTH ** (i + 1), 0);
  const hashes = edge.toReversed().flatMap(level => extend(emptyFrontier(), level).hashes);
  return makeFrontier(size, hashes);
}

/** The last member of a state, and its end. @param text all of it without that member. */
function formatEnd(text: string): string {
  return `,"digest":"${encodeBase64url(sha256(encoder.encode(text)))}"}`;
}
