// Publishing: what the ledger holds becomes standard tiles and a signed checkpoint in the archive.
// The order makes it safe to stop anywhere: what a checkpoint promises is there before the checkpoint is.
import { encodeBundle } from "../src/tlog/bundle.ts";
import { formatCheckpoint } from "../src/tlog/checkpoint.ts";
import { formatNote, type NoteSigner, signNote } from "../src/tlog/note.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tilesBetween } from "../src/tlog/tile.ts";
import { HASH_BYTES, rootOf } from "../src/tlog/tree.ts";
import { type Archive, putImmutable } from "./archive.ts";
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

/**
 * Publishes the tree as it is now. Entries appended meanwhile are for the next time.
 * @returns the published size.
 * @throws Error when an object that must be new holds other bytes, and whatever the archive throws; calling
 * again continues where it stopped.
 */
export async function publish({ store, archive, name, origin, signer }: PublishOptions): Promise<number> {
  const { frontier } = store.head();
  const published = store.published();
  if (frontier.size === published) return published;
  for (const tile of tilesBetween(published, frontier.size)) {
    await putImmutable(archive, `${name}/${formatTilePath(tile)}`, tileBytes(store, tile));
  }
  const text = formatCheckpoint({ origin, size: frontier.size, root: rootOf(frontier), extensions: [] });
  const note = formatNote({ text, signatures: [await signNote(text, signer)] });
  await archive.put(`${name}/checkpoint`, encoder.encode(note));
  store.movePublished(frontier.size);
  return frontier.size;
}

function tileBytes(store: Store, tile: Tile): Uint8Array {
  const from = tile.n * TILE_WIDTH;
  const to = from + tile.width;
  if (tile.level === "entries")
    return encodeBundle(store.entries(from, to).map(({ text }) => encoder.encode(text)));
  const bytes = new Uint8Array(tile.width * HASH_BYTES);
  const hashes = store.hashes(tile.level, from, to);
  if (hashes.length !== tile.width) {
    throw new Error(
      `ledger: ${formatTilePath(tile)} needs ${tile.width} hashes, storage has ${hashes.length}`,
    );
  }
  hashes.forEach((hash, i) => {
    bytes.set(hash, i * HASH_BYTES);
  });
  return bytes;
}
