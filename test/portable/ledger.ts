// A ledger whose every byte is fixed: the keys are those of RFC 8032, the clock stands still between entries,
// and nothing is drawn at random. It is made by src/ alone, so two platforms that make other bytes of it
// disagree about a format.
import { digestAnchor, FIRST_ANCHOR_PREV, issueAnchor, type Pin } from "../../src/receipt/anchor.ts";
import { digestOf } from "../../src/receipt/digest.ts";
import { commitFields } from "../../src/receipt/disclosure.ts";
import {
  type EntryHeader,
  entryHash,
  FIRST_PREV,
  formatEntry,
  formatHeader,
  RECEIPT_TYPE,
} from "../../src/receipt/entry.ts";
import { importSigningKey, type SigningKey } from "../../src/receipt/key.ts";
import type { SeenExchange } from "../../src/receipt/match.ts";
import { issueReceipt } from "../../src/receipt/receipt.ts";
import { type AuditRecord, fitText, formatRecord } from "../../src/receipt/record.ts";
import type { Trust } from "../../src/receipt/trust.ts";
import { encodeBase64, encodeBase64url } from "../../src/tlog/base64.ts";
import { encodeBundle } from "../../src/tlog/bundle.ts";
import { formatCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosign } from "../../src/tlog/cosignature.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatVerifierKey,
  makeNoteKey,
  type NoteKey,
  type NoteSigner,
  signNote,
} from "../../src/tlog/note.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { formatTilePath, TILE_WIDTH, tilesBetween } from "../../src/tlog/tile.ts";
import {
  emptyFrontier,
  extend,
  type Hash,
  planConsistency,
  planInclusion,
  planRoot,
} from "../../src/tlog/tree.ts";
import { concatenate, decodeHex, encodeUtf8 } from "./bytes.ts";

export const ISSUER = "https://api.example.com";
export const ORIGIN = "api.example.com/audit/main";
export const WITNESS = "witness.example.com/portable";

/** The tree sizes that were published: none of a tile, some, a whole tile, and more than one. */
export const SIZES = [1, 3, 256, 300] as const;
export const LAST_SIZE = 300;

/** The sizes that the anchors of epochs 0 and 1 pin. */
export const ANCHORED_SIZES = [3, 300] as const;

/** The entry that everything is known about: its exchange, its private fields and their seed. */
export const KNOWN_INDEX = 2;
export const SEED = Uint8Array.from({ length: 16 }, (_, i) => 16 * i + i);
export const PRIVATE = {
  sub: null,
  client_address: "203.0.113.7",
  user_agent: "Grüße/1.0 (☕; 𝄞)",
  query: "page=2&q=%C3%A9",
};
export const SEEN = {
  method: "POST",
  url: `${ISSUER}/v1/orders?${PRIVATE.query}`,
  requestBody: encodeUtf8('{"item":"tea"}'),
  status: 201,
  responseBody: encodeUtf8('{"id":1}'),
} satisfies SeenExchange;

/** When entry 0 was taken, in milliseconds of Unix time; every next one a second later. */
const START_MS = Date.UTC(2026, 10, 21, 5, 22, 22, 453);

/** The secret and public keys of RFC 8032 section 7.1: TEST 1, TEST 2, TEST 3 and TEST SHA(abc). */
export const KEYS = {
  receipt: [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  ],
  checkpoint: [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
  ],
  anchor: [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
  ],
  witness: [
    "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
  ],
} as const;

type KeyName = keyof typeof KEYS;

export interface FixedLedger {
  readonly keys: Readonly<Record<KeyName, SigningKey>>;
  readonly witnessKey: NoteKey;
  /** Trust in the ledger alone. */
  readonly trust: Trust;
  /** The tlog-policy that asks for the witness as well. */
  readonly policy: string;
  readonly entries: readonly string[];
  /** One for each entry. */
  readonly receipts: readonly string[];
  /** Every tile of every published tree, by its path. */
  readonly tiles: ReadonlyMap<string, Uint8Array>;
  /** The signed and cosigned note of every published size. */
  readonly checkpoints: ReadonlyMap<number, string>;
  readonly anchors: readonly string[];
}

export async function makeLedger(): Promise<FixedLedger> {
  const keys = await makeKeys();
  const entries = makeEntries(keys.receipt.kid);
  const receipts = await Promise.all(entries.map(entry => issueReceipt(entry, keys.receipt)));
  const tiles = makeTiles(entries);
  const signer = makeSigner(ORIGIN, ED25519, keys.checkpoint);
  const witness = makeSigner(WITNESS, ED25519_COSIGNATURE, keys.witness);
  const checkpoints = new Map<number, string>();
  for (const size of SIZES) checkpoints.set(size, await makeCheckpoint(size, tiles, signer, witness));
  return {
    keys,
    witnessKey: witness.key,
    trust: {
      issuer: ISSUER,
      ledgers: [{ name: "main", origin: ORIGIN, keys: [signer.key] }],
      anchorKeys: [keys.anchor.publicJwk],
      receiptKeys: [keys.receipt.publicJwk],
    },
    policy: formatPolicy(signer.key, witness.key),
    entries,
    receipts,
    tiles,
    checkpoints,
    anchors: await makeAnchors(entries, tiles, checkpoints, keys.anchor),
  };
}

/** The proof file of an entry in a published tree, with its receipt. */
export async function proveEntry(ledger: FixedLedger, index: number, size: number): Promise<string> {
  return formatProof({
    extra: encodeUtf8(ledger.receipts[index]!),
    index,
    hashes: await proveInclusion(ledger, index, size),
    checkpoint: ledger.checkpoints.get(size)!,
  });
}

export async function proveInclusion(ledger: FixedLedger, index: number, size: number): Promise<Hash[]> {
  const plan = planInclusion(index, size);
  return plan.prove(await readTiles(async path => ledger.tiles.get(path), plan.tiles));
}

export async function proveConsistency(ledger: FixedLedger, size1: number, size2: number): Promise<Hash[]> {
  const plan = planConsistency(size1, size2);
  return plan.prove(await readTiles(async path => ledger.tiles.get(path), plan.tiles));
}

export function rootAt(tiles: ReadonlyMap<string, Uint8Array>, size: number): Hash {
  const plan = planRoot(size);
  return plan.root(plan.tiles.map(tile => tiles.get(formatTilePath(tile))!));
}

async function makeKeys(): Promise<Record<KeyName, SigningKey>> {
  const pairs = Object.entries(KEYS).map(async ([name, [d, x]]) => {
    const jwk = {
      kty: "OKP",
      crv: "Ed25519",
      d: encodeBase64url(decodeHex(d)),
      x: encodeBase64url(decodeHex(x)),
    };
    return [name, await importSigningKey(JSON.stringify(jwk), name)] as const;
  });
  return Object.fromEntries(await Promise.all(pairs)) as Record<KeyName, SigningKey>;
}

function makeSigner(name: string, type: number, key: SigningKey): NoteSigner {
  return { key: makeNoteKey(name, type, key.publicKey), sign: key.sign };
}

function formatPolicy(log: NoteKey, witness: NoteKey): string {
  return `log ${formatVerifierKey(log)}\nwitness W ${formatVerifierKey(witness)}\ngroup G any W\nquorum G\n`;
}

function makeEntries(kid: string): string[] {
  const entries: string[] = [];
  let prev = FIRST_PREV;
  for (let index = 0; index < LAST_SIZE; index++) {
    const entry = formatEntry(formatHeader(makeHeader(kid, index, prev)), formatRecord(makeRecord(index)));
    prev = encodeBase64url(entryHash(entry));
    entries.push(entry);
  }
  return entries;
}

function makeHeader(kid: string, index: number, prev: string): EntryHeader {
  const at = new Date(START_MS + index * 1000).toISOString();
  return { alg: "Ed25519", kid, typ: RECEIPT_TYPE, origin: ORIGIN, index, prev, at };
}

function makeRecord(index: number): AuditRecord {
  const ms = START_MS + index * 1000 - 12;
  const known = index === KNOWN_INDEX;
  const [requestBody, responseBody] = known
    ? [SEEN.requestBody, SEEN.responseBody]
    : [new Uint8Array(0), encodeUtf8(`{"order":${index}}`)];
  const path = index === KNOWN_INDEX + 1 ? `/${"long".repeat(1000)}` : `/v1/orders/${index}`;
  return {
    iss: ISSUER,
    jti: `019aa4f7-5b38-7000-8000-${String(index).padStart(12, "0")}`,
    iat: Math.floor(ms / 1000),
    time: new Date(ms).toISOString(),
    stage: "complete",
    ms: 12,
    req: {
      method: known ? SEEN.method : "GET",
      host: "api.example.com",
      path: known ? new URL(SEEN.url).pathname : fitText(path),
      size: requestBody.length,
      digest: digestOf(requestBody),
    },
    res: { status: known ? SEEN.status : 200, size: responseBody.length, digest: digestOf(responseBody) },
    ...(known ? commitFields(SEED, PRIVATE) : {}),
  };
}

function makeTiles(entries: readonly string[]): Map<string, Uint8Array> {
  const levels: Hash[][] = [entries.map(text => entryHash(text))];
  extend(emptyFrontier(), levels[0]!, (level, n, hash) => {
    levels[level] ??= [];
    levels[level][n] = hash;
  });
  const tiles = new Map<string, Uint8Array>();
  let published = 0;
  for (const size of SIZES) {
    for (const tile of tilesBetween(published, size)) {
      const [start, end] = [tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width];
      const bytes =
        tile.level === "entries"
          ? encodeBundle(entries.slice(start, end).map(encodeUtf8))
          : concatenate(levels[tile.level]!.slice(start, end));
      tiles.set(formatTilePath(tile), bytes);
    }
    published = size;
  }
  return tiles;
}

async function makeCheckpoint(
  size: number,
  tiles: ReadonlyMap<string, Uint8Array>,
  signer: NoteSigner,
  witness: NoteSigner,
): Promise<string> {
  const text = formatCheckpoint({ origin: ORIGIN, size, root: rootAt(tiles, size), extensions: [] });
  const cosignature = await cosign(text, Math.floor(START_MS / 1000) + size, witness);
  return formatNote({ text, signatures: [await signNote(text, signer), cosignature] });
}

async function makeAnchors(
  entries: readonly string[],
  tiles: ReadonlyMap<string, Uint8Array>,
  checkpoints: ReadonlyMap<number, string>,
  key: SigningKey,
): Promise<string[]> {
  const anchors: string[] = [];
  let prev = FIRST_ANCHOR_PREV;
  for (const [epoch, size] of ANCHORED_SIZES.entries()) {
    const pin: Pin = {
      origin: ORIGIN,
      size,
      root: encodeBase64(rootAt(tiles, size)),
      head: encodeBase64url(entryHash(entries[size - 1]!)),
      checkpoint: checkpoints.get(size)!,
    };
    const time = new Date(START_MS + size * 1000).toISOString();
    const lock = { kind: "none" };
    anchors.push(await issueAnchor({ v: 1, iss: ISSUER, epoch, time, prev, ledgers: [pin], lock }, key));
    prev = digestAnchor(anchors[epoch]!);
  }
  return anchors;
}
