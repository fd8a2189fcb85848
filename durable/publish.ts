// Publishing: what the ledger holds becomes standard tiles and a signed checkpoint in the archive.
// The order makes it safe to stop anywhere: what a checkpoint promises is there before the checkpoint is,
// and the checkpoint is replaced only if it is still the one that this tree was seen to continue.
import { encodeBundle } from "../src/tlog/bundle.ts";
import { formatCheckpoint, openCheckpoint } from "../src/tlog/checkpoint.ts";
import { Fault } from "../src/tlog/fault.ts";
import { formatNote, type NoteSigner, signNote } from "../src/tlog/note.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tilesBetween } from "../src/tlog/tile.ts";
import { type Frontier, HASH_BYTES, rootOf } from "../src/tlog/tree.ts";
import { type Archive, putImmutable, type Versioned } from "./archive.ts";
import type { Store } from "./store.ts";

export interface PublishOptions {
  readonly store: Store;
  readonly archive: Archive;
  /** The ledger's folder in the archive. */
  readonly name: string;
  readonly origin: string;
  /** The checkpoint key. */
  readonly signer: NoteSigner;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Publishes the tree as it is now. Entries appended meanwhile are for the next time.
 * @returns the published size.
 * @throws Fault `rolled-back` when the archive is ahead of storage; Error when an object that must be new
 * holds other bytes; and whatever the archive throws. Calling again continues where it stopped.
 */
export async function publish(options: PublishOptions): Promise<number> {
  const { store, archive, name } = options;
  const { frontier } = store.head();
  const before = store.published();
  if (frontier.size === before) return before;
  const present = await archive.get(`${name}/checkpoint`);
  await checkNotAhead(present, frontier.size, options);

  for (const tile of tilesBetween(before, frontier.size)) {
    // Remembered before it is written: one that is in the archive is never forgotten.
    if (tile.width < TILE_WIDTH) store.addPartial(tile);
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

/** The archive may hold a checkpoint that storage does not know of only if storage was rewound. */
async function checkNotAhead(
  present: Versioned | undefined,
  size: number,
  { signer, origin }: PublishOptions,
): Promise<void> {
  if (present === undefined) return;
  const { checkpoint } = await openCheckpoint(decoder.decode(present.bytes), [signer.key]);
  if (checkpoint.size <= size) return;
  throw new Fault("rolled-back", `${origin}: storage is older than what was published`, {
    expected: `at least ${checkpoint.size} entries`,
    found: `${size} entries`,
  });
}

async function putCheckpoint(
  frontier: Frontier,
  present: Versioned | undefined,
  { archive, name, origin, signer }: PublishOptions,
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
