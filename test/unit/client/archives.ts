// Archives to audit: made by the real ledger, publisher and anchor writer, and then altered.
import type { Archive } from "../../../src/client/archive.ts";
import { concatenate } from "../../../src/client/remote.ts";
import { formatEntry, formatHeader, parseEntry } from "../../../src/receipt/entry.ts";
import { encodeBase64 } from "../../../src/tlog/base64.ts";
import { decodeBundle, encodeBundle } from "../../../src/tlog/bundle.ts";
import { formatCheckpoint, parseCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, makeNoteKey, parseNote, signNote } from "../../../src/tlog/note.ts";
import { formatTilePath, parseTilePath, TILE_WIDTH, tilesBetween } from "../../../src/tlog/tile.ts";
import { emptyFrontier, extend, type Hash, leafHash, rootOf } from "../../../src/tlog/tree.ts";
import { fixedKey, LEDGER, ORIGIN, type World } from "../../world.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type Objects = Map<string, Uint8Array>;

/** Appends, publishes and anchors, once for each count. The first append also makes the ledger's genesis entry. */
export async function grow(world: World, ...counts: number[]): Promise<World> {
  for (const count of counts) {
    world.tick(1000);
    await world.append(...Array.from({ length: count }, () => ({})));
    await world.publish();
    await world.anchor();
  }
  return world;
}

/** A copy of all that a world has published, with the paths that clients see. */
export function copyOf({ archive, anchors }: World): Objects {
  return new Map([...archive.objects, ...anchors.objects].map(([path, bytes]) => [path, bytes.slice()]));
}

/** An auditor's view. `latest` is what the archive says its newest epoch is; a folder lists its anchors besides. */
export function viewOf(
  objects: ReadonlyMap<string, Uint8Array>,
  {
    holdsEntries = true,
    latest,
    isFolder = false,
  }: { holdsEntries?: boolean; latest?: number; isFolder?: boolean } = {},
): Archive {
  const epochs = [...objects.keys()]
    .flatMap(path => /^anchors\/(\d+)\.jws$/.exec(path)?.[1] ?? [])
    .map(Number);
  return {
    get: async path => objects.get(path),
    holdsEntries,
    newestEpoch: async () => latest,
    ...(isFolder && { listEpochs: async () => new Set(epochs) }),
  };
}

/** Changes one byte. */
export function flip(objects: Objects, path: string, at: number): void {
  const bytes = objects.get(path);
  if (bytes?.[at] === undefined) throw new Error(`there is no byte ${at} in ${path} to alter`);
  bytes[at]! ^= 1;
}

/** A checkpoint of some tree, signed with the checkpoint key. */
export async function signTree(size: number, root: string, origin = ORIGIN): Promise<Uint8Array> {
  const key = await fixedKey("checkpoint");
  const text = formatCheckpoint({
    origin,
    size,
    root: Uint8Array.from(atob(root), character => character.charCodeAt(0)),
    extensions: [],
  });
  const signer = { key: makeNoteKey(origin, ED25519, key.publicKey), sign: key.sign };
  return encoder.encode(formatNote({ text, signatures: [await signNote(text, signer)] }));
}

/** Replaces an entry and makes all that follows from it anew, with good chain, tiles and checkpoint. */
export async function rewrite(
  objects: Objects,
  index: number,
  replace = (entry: string) => entry.replace(/\..*/, `.${changedRecord(entry)}`),
): Promise<void> {
  const entries = readEntries(objects);
  entries[index] = replace(entries[index]!);
  for (let i = index + 1; i < entries.length; i++) {
    const [, record] = entries[i]!.split(".") as [string, string];
    const { header } = parseEntry(entries[i]!);
    const prev = Buffer.from(leafHash(encoder.encode(entries[i - 1]!))).toString("base64url");
    entries[i] = `${formatHeader({ ...header, prev })}.${record}`;
  }
  const leaves = entries.map(entry => leafHash(encoder.encode(entry)));
  const levels = hashLevels(leaves);
  for (const path of objects.keys()) {
    if (!path.startsWith(`${LEDGER}/tile/`)) continue;
    const { level, n, width } = parseTilePath(path.slice(LEDGER.length + 1));
    const from = n * TILE_WIDTH;
    const bundle = entries.slice(from, from + width).map(entry => encoder.encode(entry));
    objects.set(
      path,
      level === "entries" ? encodeBundle(bundle) : concatenate(levels[level]!.slice(from, from + width)),
    );
  }
  objects.set(
    `${LEDGER}/checkpoint`,
    await signTree(leaves.length, encodeBase64(rootOf(extend(emptyFrontier(), leaves)))),
  );
}

function changedRecord(entry: string): string {
  const { header, record } = parseEntry(entry);
  return formatEntry("", JSON.stringify({ ...record, iss: header.origin })).slice(1);
}

function readEntries(objects: Objects): string[] {
  const { size } = parseCheckpoint(parseNote(objects.get(`${LEDGER}/checkpoint`)!).text);
  return [...tilesBetween(0, size)]
    .filter(({ level }) => level === "entries")
    .flatMap(tile => decodeBundle(objects.get(`${LEDGER}/${formatTilePath(tile)}`)!, tile.width))
    .map(entry => decoder.decode(entry));
}

/** The hashes of every tile level. */
export function hashLevels(leaves: readonly Hash[]): Hash[][] {
  const levels: Hash[][] = [[...leaves]];
  extend(emptyFrontier(), leaves, (level, _n, hash) => {
    levels[level] ??= [];
    levels[level]!.push(hash);
  });
  return levels;
}
