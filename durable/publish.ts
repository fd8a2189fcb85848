// Publishing: what the ledger holds becomes standard tiles and a signed checkpoint in the archive.
// The order makes it safe to stop anywhere: what a checkpoint promises is there before the checkpoint is,
// and the checkpoint is replaced only if this tree continues it and it is still the one that was looked at. A key
// signs only while the ledger's own records say that it is in force: none after the record that retires it.

import { openTrusted, type TrustedLedger } from "../src/receipt/trust.ts";
import { encodeBundle } from "../src/tlog/bundle.ts";
import { formatCheckpoint } from "../src/tlog/checkpoint.ts";
import { formatNote, formatVerifierKey, type NoteSigner, signNote } from "../src/tlog/note.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tilesBetween } from "../src/tlog/tile.ts";
import { type Frontier, HASH_BYTES, planRoot, rootOf } from "../src/tlog/tree.ts";
import { type Archive, putImmutable, type Versioned } from "./archive.ts";
import { lostCheckpoint, readPublished, readTree } from "./published.ts";
import { checkContinues, checkNoOlder } from "./recheck.ts";
import type { Store } from "./store.ts";

export interface PublishOptions {
  readonly store: Store;
  readonly archive: Archive;
  /** Its name is the ledger's folder in the archive. */
  readonly ledger: TrustedLedger;
  /** The checkpoint key. */
  readonly signer: NoteSigner;
  /** How many entries it publishes at once. */
  readonly entriesMax?: number;
}

/**
 * However much there is, no more of it at once: platforms bound what one alarm may do, and what was put before it was
 * stopped has to be looked at again. So a ledger whose archive was away for long gets there in steps.
 */
const PUBLISH_ENTRIES_MAX = 128 * TILE_WIDTH;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Publishes the tree as it is now, or one on the way there. Entries appended meanwhile are for the next time.
 * @returns the published size.
 * @throws Fault when the archive is ahead of storage, behind what storage has published, of another tree, or when
 * an object that must be new holds other bytes; and whatever the archive throws. Calling again continues where it
 * stopped.
 */
export async function publish(options: PublishOptions): Promise<number> {
  const { store, archive, signer, entriesMax = PUBLISH_ENTRIES_MAX } = options;
  const { name } = options.ledger;
  const noted = store.published();
  if (store.head().frontier.size === noted) return noted;
  const present = await archive.get(`${name}/checkpoint`);
  // Read after the checkpoint: another publication may run, and what it has published is not ahead of this.
  const head = store.head();
  const before = store.published();
  if (store.checkpointKey() !== formatVerifierKey(signer.key)) {
    throw new Error(`ledger "${name}": its records do not tell of this checkpoint key; it signs nothing`);
  }
  const reached = await checkPresent(present, noted, before, head.frontier, options);
  const step = reached === undefined ? Number.POSITIVE_INFINITY : Math.max(before, reached) + entriesMax;
  const frontier = step < head.frontier.size ? frontierAt(step, store) : head.frontier;

  const tiles = [...tilesBetween(before, frontier.size)];
  // Remembered before they are written: one that is in the archive is never forgotten.
  store.addPartials(tiles.filter(tile => tile.width < TILE_WIDTH));
  for (const tile of tiles) {
    await putImmutable(archive, `${name}/${formatTilePath(tile)}`, tileBytes(store, tile));
  }
  await putCheckpoint(frontier, present, options);
  store.movePublished(frontier.size);

  // Full tiles have taken their place since the publication before: readers have had time to move on.
  const superseded = store.superseded(before);
  if (superseded.length > 0) {
    await archive.delete(superseded.map(tile => `${name}/${formatTilePath(tile)}`));
    store.forgetPartials(superseded);
  }
  return frontier.size;
}

/**
 * The tree to be published must continue the present checkpoint's. If storage has noted its size, it does. If not,
 * the note of it was lost, or another ledger of the same name has written it: one on storage that was put back, or
 * in another place.
 * @returns the present checkpoint's size, 0 while there is none; undefined when keys may have changed since, because a tree
 * is signed by the key that its own records name, and only the newest are known to name the one in force.
 */
async function checkPresent(
  present: Versioned | undefined,
  noted: number,
  before: number,
  frontier: Frontier,
  { store, archive, ledger }: PublishOptions,
): Promise<number | undefined> {
  const { name, origin } = ledger;
  if (present === undefined) {
    if (noted > 0) throw lostCheckpoint(origin, noted);
    return ledger.retired?.length ? undefined : 0;
  }
  const { checkpoint, isRetired } = await openTrusted(decoder.decode(present.bytes), ledger);
  checkNoOlder(checkpoint, noted);
  const reached = isRetired ? undefined : checkpoint.size;
  if (checkpoint.size === before) return reached;
  const tree = await readTree(checkpoint, readPublished(archive, name));
  if (store.published() > tree.size) throw new Error(`${origin}: was published by another run meanwhile`);
  checkContinues(frontier, tree, store, origin);
  return reached;
}

/** The tree of the first so many entries, from what storage has of it: it has let go of none that is not published. */
function frontierAt(size: number, store: Store): Frontier {
  const plan = planRoot(size);
  return plan.frontier(plan.tiles.map(tile => tileBytes(store, tile)));
}

async function putCheckpoint(
  frontier: Frontier,
  present: Versioned | undefined,
  { archive, ledger: { name, origin }, signer }: PublishOptions,
): Promise<void> {
  const text = formatCheckpoint({ origin, size: frontier.size, root: rootOf(frontier), extensions: [] });
  const bytes = encoder.encode(formatNote({ text, signatures: [await signNote(text, signer)] }));
  const key = `${name}/checkpoint`;
  const put = present
    ? await archive.replace(key, bytes, present.version)
    : await archive.putIfAbsent(key, bytes);
  if (!put) throw new Error(`archive: ${key} was replaced meanwhile; nothing was overwritten`);
}

function tileBytes(store: Store, tile: Tile): Uint8Array {
  const from = tile.n * TILE_WIDTH;
  const to = from + tile.width;
  if (tile.level === "entries") {
    const entries = requireWhole(tile, store.entries(from, to));
    return encodeBundle(entries.map(({ text }) => encoder.encode(text)));
  }
  const bytes = new Uint8Array(tile.width * HASH_BYTES);
  requireWhole(tile, store.hashes(tile.level, from, to)).forEach((hash, i) => {
    bytes.set(hash, i * HASH_BYTES);
  });
  return bytes;
}

/** Another publication may have overtaken this one, and let go what this one was about to write. */
function requireWhole<T>(tile: Tile, rows: readonly T[]): readonly T[] {
  if (rows.length === tile.width) return rows;
  throw new Error(`ledger: ${formatTilePath(tile)} needs ${tile.width} rows, storage has ${rows.length}`);
}
