// An archive of any size in a folder, as a busy edge would leave it: mostly plain exchanges with private fields, some
// that were streamed or failed, a few whose values need escapes. It is made by the formats alone, block by block.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digestAnchor, FIRST_ANCHOR_PREV, formatAnchorPath, issueAnchor } from "../../src/receipt/anchor.ts";
import { digestOf } from "../../src/receipt/digest.ts";
import { commitFields } from "../../src/receipt/disclosure.ts";
import { FIRST_PREV, formatEntry, formatHeader, RECEIPT_TYPE } from "../../src/receipt/entry.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import type { Trust } from "../../src/receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../../src/tlog/base64.ts";
import { encodeBundle } from "../../src/tlog/bundle.ts";
import { formatCheckpoint } from "../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, makeNoteKey, signNote } from "../../src/tlog/note.ts";
import { formatTilePath, TILE_WIDTH, type Tile, tilesBetween } from "../../src/tlog/tile.ts";
import { emptyFrontier, extend, type Hash, leafHash, rootOf } from "../../src/tlog/tree.ts";
import { concatenate, encodeUtf8 } from "../../test/portable/bytes.ts";
import { ISSUER, makeLedger, ORIGIN } from "../../test/portable/ledger.ts";

const START_MS = Date.UTC(2026, 10, 21, 5, 22, 22, 453);
const LEDGER = "main";

/** @param step how many entries lie between two anchors; a multiple of 256. @returns whom to trust. */
export async function writeArchive(folder: string, size: number, step: number): Promise<Trust> {
  const { keys, trust } = await makeLedger();
  const signer = { key: makeNoteKey(ORIGIN, ED25519, keys.checkpoint.publicKey), sign: keys.checkpoint.sign };
  const write = async (path: string, bytes: Uint8Array | string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  };
  /** The hashes of the tile that is being filled, by level. */
  const edges: Hash[][] = [];
  let frontier = emptyFrontier();
  let [prev, anchor] = [FIRST_PREV, FIRST_ANCHOR_PREV];
  let bundle: Uint8Array[] = [];
  const writeTile = (tile: Tile, hashes: readonly Hash[]) =>
    write(`${LEDGER}/${formatTilePath(tile)}`, concatenate(hashes.slice(0, tile.width)));
  for (let index = 0, epoch = 0; index < size; index++) {
    const ms = START_MS + index * 3;
    const at = new Date(ms).toISOString();
    const header = { alg: "Ed25519", kid: keys.receipt.kid, typ: RECEIPT_TYPE, origin: ORIGIN } as const;
    const entry = encodeUtf8(
      formatEntry(formatHeader({ ...header, index, prev, at }), JSON.stringify(makeRecord(index, ms))),
    );
    const leaf = leafHash(entry);
    prev = encodeBase64url(leaf);
    bundle.push(entry);
    if (bundle.length < TILE_WIDTH && index < size - 1) continue;
    const n = Math.floor(index / TILE_WIDTH);
    await write(
      `${LEDGER}/${formatTilePath({ level: "entries", n, width: bundle.length })}`,
      encodeBundle(bundle),
    );
    const full: [Tile, Hash[]][] = [];
    const add = (level: number, n: number, hash: Hash) => {
      const hashes = edges[level] ?? [];
      hashes.push(hash);
      const isFull = hashes.length === TILE_WIDTH;
      edges[level] = isFull ? [] : hashes;
      if (isFull) full.push([{ level, n: Math.floor(n / TILE_WIDTH), width: TILE_WIDTH }, hashes]);
    };
    const leaves = bundle.map(entry => leafHash(entry));
    for (const [i, leaf] of leaves.entries()) add(0, n * TILE_WIDTH + i, leaf);
    frontier = extend(frontier, leaves, add);
    for (const [tile, hashes] of full) await writeTile(tile, hashes);
    bundle = [];
    if ((index + 1) % step !== 0 && index < size - 1) continue;
    const text = formatCheckpoint({
      origin: ORIGIN,
      size: frontier.size,
      root: rootOf(frontier),
      extensions: [],
    });
    const checkpoint = formatNote({ text, signatures: [await signNote(text, signer)] });
    for (const tile of tilesBetween(0, frontier.size)) {
      if (tile.width < TILE_WIDTH && tile.level !== "entries") await writeTile(tile, edges[tile.level]!);
    }
    const root = encodeBase64(rootOf(frontier));
    const pin = { origin: ORIGIN, size: frontier.size, root, head: prev, checkpoint };
    const payload = {
      v: 1,
      iss: ISSUER,
      epoch,
      time: at,
      prev: anchor,
      ledgers: [pin],
      lock: { kind: "none" },
    };
    const object = await issueAnchor(payload, keys.anchor);
    anchor = digestAnchor(object);
    await write(formatAnchorPath(epoch++), object);
    if (frontier.size === size) await write(`${LEDGER}/checkpoint`, checkpoint);
  }
  return trust;
}

const [ORDER, ANSWER] = [digestOf(encodeUtf8('{"item":"tea"}')), digestOf(encodeUtf8('{"id":1}'))];

/** Every 64th exchange has its beginning on record, every 100th has failed, every 1000th has a path with escapes. */
function makeRecord(index: number, ms: number): AuditRecord {
  const isBegun = index % 64 === 0;
  const exchange = index % 64 === 1 ? index - 1 : index;
  const hasFailed = index % 100 === 99;
  return {
    iss: ISSUER,
    jti: `019aa4f7-5b38-7000-8000-${String(exchange).padStart(12, "0")}`,
    iat: Math.floor(ms / 1000),
    time: new Date(ms - (index % 40)).toISOString(),
    stage: isBegun ? "received" : hasFailed ? "failed" : "complete",
    ...(isBegun ? {} : { ms: index % 40 }),
    ...{ route: "orders", upstream: "orders-eu", policy: "1f3870be" },
    req: {
      method: index % 3 === 0 ? "POST" : "GET",
      host: "api.example.com",
      path: index % 1000 === 500 ? `/v1/orders/"${index}"` : `/v1/orders/${index}`,
      size: 14,
      digest: ORDER,
    },
    ...(isBegun || hasFailed
      ? {}
      : { res: { status: index % 10 === 9 ? 404 : 200, size: 8, digest: ANSWER } }),
    ...(hasFailed ? { error: "the upstream closed the connection" } : {}),
    auth: { by: "jwt", iss: "https://idp.example.com" },
    trace: {
      traceparent: `00-0af7651916cd43dd8448eb211c80319c-${index.toString(16).padStart(16, "0")}-01`,
    },
    ...commitFields(SEED, {
      sub: index % 1000,
      client_address: "203.0.113.7",
      user_agent: "curl",
      query: null,
    }),
  };
}

const SEED = new Uint8Array(16).fill(1);
