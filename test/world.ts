// A small world for tests: a real ledger, publisher and anchor writer over SQLite in memory and an archive
// in a Map, with fixed keys and a clock that the test moves.
import { createHash, createPrivateKey } from "node:crypto";
import { Anchorer } from "../durable/anchor.ts";
import type { Archive } from "../durable/archive.ts";
import { Ledger } from "../durable/ledger.ts";
import { publish } from "../durable/publish.ts";
import { openSqlite } from "../src/hosts/sqlite.ts";
import { formatEntry } from "../src/receipt/entry.ts";
import { importSigningKey, type SigningKey } from "../src/receipt/key.ts";
import { issueReceipt } from "../src/receipt/receipt.ts";
import type { Trust } from "../src/receipt/trust.ts";
import { ED25519, makeNoteKey, type NoteSigner } from "../src/tlog/note.ts";

export const ISSUER = "https://api.example.com";
export const ORIGIN = "api.example.com/audit/main";
export const LEDGER = "main";
export const START_MS = Date.parse("2026-11-21T05:22:22.000Z");

export class MemoryArchive implements Archive {
  readonly objects = new Map<string, Uint8Array>();

  get = async (key: string): Promise<Uint8Array | undefined> => this.objects.get(key);

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    if (this.objects.has(key)) return false;
    this.objects.set(key, bytes);
    return true;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.objects.set(key, bytes);
  }
}

/** A key made from a label: the same in every run. */
export function fixedKey(label: string): Promise<SigningKey> {
  const seed = createHash("sha256").update(label).digest();
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const jwk = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "jwk" });
  return importSigningKey(JSON.stringify(jwk), label);
}

export interface World {
  readonly archive: MemoryArchive;
  readonly anchors: MemoryArchive;
  readonly ledger: Ledger;
  readonly trust: Trust;
  readonly receiptKey: SigningKey;
  /** Moves the clock. */
  tick(ms: number): void;
  /** Appends records (members that differ from a plain one, or the whole text) and returns their receipts. */
  append(...records: (object | string)[]): Promise<string[]>;
  publish(): Promise<number>;
  anchor(): Promise<number | undefined>;
}

export async function createWorld(
  archive = new MemoryArchive(),
  anchors = new MemoryArchive(),
): Promise<World> {
  const [receiptKey, checkpointKey, anchorKey] = await Promise.all(
    ["receipt", "checkpoint", "anchor"].map(fixedKey) as [
      Promise<SigningKey>,
      Promise<SigningKey>,
      Promise<SigningKey>,
    ],
  );
  let now = START_MS;
  const breathe = () => Promise.resolve();
  const ledger = new Ledger({
    sql: openSqlite(":memory:"),
    origin: ORIGIN,
    kid: receiptKey.kid,
    now: () => now,
    breathe,
  });
  const signer: NoteSigner = {
    key: makeNoteKey(ORIGIN, ED25519, checkpointKey.publicKey),
    sign: checkpointKey.sign,
  };
  const ledgers = [{ name: LEDGER, origin: ORIGIN, keys: [signer.key] }];
  const anchorer = new Anchorer({
    sql: openSqlite(":memory:"),
    archive,
    anchors,
    issuer: ISSUER,
    ledgers,
    key: anchorKey,
    now: () => now,
    lock: { kind: "none" },
  });
  let count = 0;
  return {
    archive,
    anchors,
    ledger,
    receiptKey,
    trust: {
      issuer: ISSUER,
      ledgers,
      anchorKeys: [anchorKey.publicJwk],
      receiptKeys: [receiptKey.publicJwk],
    },
    tick(ms) {
      now += ms;
    },
    async append(...records) {
      const texts = records.map(record =>
        typeof record === "string" ? record : JSON.stringify({ ...plainRecord(count++, now), ...record }),
      );
      const placements = await ledger.append(texts);
      return Promise.all(
        placements.map((placement, i) => {
          if ("refused" in placement) throw new Error(placement.reason);
          return issueReceipt(formatEntry(placement.header, texts[i]!), receiptKey);
        }),
      );
    },
    publish: () => publish({ store: ledger.store, archive, name: LEDGER, origin: ORIGIN, signer }),
    anchor: () => anchorer.anchor(),
  };
}

function plainRecord(n: number, now: number): object {
  const jti = `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
  const digest = `sha-256=:${createHash("sha256").update(String(n)).digest("base64")}:`;
  return {
    iss: ISSUER,
    jti,
    iat: Math.floor(now / 1000),
    time: new Date(now).toISOString(),
    stage: "complete",
    ms: 1,
    req: { method: "GET", host: "api.example.com", path: `/orders/${n}`, size: 0 },
    res: { status: 200, size: String(n).length, digest },
  };
}
