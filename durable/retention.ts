// Retention: full entry bundles leave the archive when every entry in them is older than the ledger keeps entries.
// Hash tiles never do, so roots and proofs stay. The ledger tells of the new minimum index first, in a control record;
// only when that is published are bundles deleted: whoever finds one gone finds the reason under a signed root.
//
// It is measured by the ledger's own newest entry, whose time never runs backwards, and not by the clock. How old an
// entry is, is believed only of one that stands in the tree: who can write to the archive must not make the ledger say
// under its own root that entries have had their time.
import { parseEntry } from "../src/receipt/entry.ts";
import { decodeBundle } from "../src/tlog/bundle.ts";
import { readTiles } from "../src/tlog/reader.ts";
import { formatTilePath, TILE_WIDTH } from "../src/tlog/tile.ts";
import { checkInclusion, type Hash, leafHash, planInclusion, planRoot, rootOf } from "../src/tlog/tree.ts";
import type { Archive } from "./archive.ts";
import type { Ledger } from "./ledger.ts";
import { readPublished } from "./published.ts";
import { checkContinues } from "./recheck.ts";

export interface RetentionOptions {
  readonly ledger: Ledger;
  readonly archive: Archive;
  /** The ledger's folder in the archive. */
  readonly name: string;
  /** How long entries are kept at least, in ms. */
  readonly retentionMs: number;
}

/** Bundles are let go of once a day at the most: each time costs an entry. */
const EVERY_MS = 24 * 3600 * 1000;

/** How many bundles are deleted in one go. */
const DELETE_MAX = 500;

const decoder = new TextDecoder();

/**
 * Lets go of the bundles whose retention has ended; comes after a publication. Calling again continues where it stopped.
 * @returns whether there is more to do.
 * @throws Error when a bundle that must be there cannot be read, or the ledger takes no record; then nothing is deleted.
 */
export async function retire(options: RetentionOptions): Promise<boolean> {
  const { store } = options.ledger;
  const { minimum, toldAt, deleted } = store.retention();
  if (deleted < minimum) return store.published() > toldAt ? deleteBundles(options, deleted, minimum) : true;
  return tellMinimum(options, minimum);
}

async function deleteBundles(
  { ledger, archive, name }: RetentionOptions,
  deleted: number,
  minimum: number,
): Promise<boolean> {
  const until = Math.min(minimum, deleted + DELETE_MAX * TILE_WIDTH);
  const count = (until - deleted) / TILE_WIDTH;
  const bundles = Array.from({ length: count }, (_, i) => bundlePath(name, deleted / TILE_WIDTH + i));
  await archive.delete(bundles);
  ledger.store.moveDeleted(until);
  return until < minimum;
}

async function tellMinimum(options: RetentionOptions, minimum: number): Promise<boolean> {
  const { ledger, retentionMs } = options;
  const { store } = ledger;
  const { at } = store.head();
  if (at < store.retention().dueAt) return false;
  const expiredAt = at - retentionMs;
  const first = minimum / TILE_WIDTH;
  const end = Math.floor(store.published() / TILE_WIDTH);
  const next = await findFirstKept(options, first, end, expiredAt);
  const dueAt = at + EVERY_MS;
  if (next === first) {
    store.setRetention({ minimum, toldAt: 0, dueAt });
    return false;
  }
  const told = { type: "pruned", minimum: next * TILE_WIDTH, before: new Date(expiredAt).toISOString() };
  const placement = await ledger.control(told);
  if ("refused" in placement) throw new Error(`retention: the ledger took no record: ${placement.reason}`);
  store.setRetention({ minimum: told.minimum, toldAt: placement.index, dueAt });
  return true;
}

/** The first bundle that is still to be kept, from `first` up to `end`: their times ascend, so it is searched by halves. */
async function findFirstKept(
  options: RetentionOptions,
  first: number,
  end: number,
  expiredAt: number,
): Promise<number> {
  let [low, high] = [first, end];
  // Most often nothing has expired, and one look tells.
  for (let middle = first; low < high; middle = Math.floor((low + high) / 2)) {
    if ((await readNewestAt(options, middle)) < expiredAt) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The time of a bundle's newest entry. @throws Error: a damaged archive is no reason to take no more records. */
async function readNewestAt(options: RetentionOptions, n: number): Promise<number> {
  const { archive, name } = options;
  const path = bundlePath(name, n);
  const object = await archive.get(path);
  if (object === undefined) throw new Error(`retention: ${path}: is not in the archive`);
  try {
    const newest = decodeBundle(object.bytes, TILE_WIDTH).at(-1)!;
    await checkStands(options, (n + 1) * TILE_WIDTH - 1, leafHash(newest));
    return Date.parse(parseEntry(decoder.decode(newest)).header.at);
  } catch (error) {
    throw new Error(`retention: ${path}: ${(error as Error).message}`);
  }
}

/** Whether a leaf stands in the published tree, and that tree in storage's. @throws Fault */
async function checkStands(
  { ledger, archive, name }: RetentionOptions,
  index: number,
  leaf: Hash,
): Promise<void> {
  const { store } = ledger;
  const get = readPublished(archive, name);
  const size = store.published();
  const whole = planRoot(size);
  const tree = whole.frontier(await readTiles(get, whole.tiles));
  const plan = planInclusion(index, size);
  const proof = plan.prove(await readTiles(get, plan.tiles));
  checkContinues(store.head().frontier, tree, store, name);
  checkInclusion({ index, size, leaf, root: rootOf(tree), proof });
}

function bundlePath(name: string, n: number): string {
  return `${name}/${formatTilePath({ level: "entries", n, width: TILE_WIDTH })}`;
}
