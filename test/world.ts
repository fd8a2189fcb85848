// A small world for tests: a real ledger, publisher and anchor writer over SQLite in memory and an archive
// in a Map, with fixed keys and a clock that the test moves.
import { createHash, createPrivateKey } from "node:crypto";
import { Anchorer, type Copy, readNewestAnchor, type TimestampOptions } from "../durable/anchor.ts";
import type { Archive, Versioned } from "../durable/archive.ts";
import type { Cosigner } from "../durable/cosigner.ts";
import { Ledger } from "../durable/ledger.ts";
import { type Lock, plainLock } from "../durable/lock.ts";
import { publish } from "../durable/publish.ts";
import { readPublished } from "../durable/published.ts";
import { recheck } from "../durable/recheck.ts";
import type { Sql } from "../durable/sql.ts";
import { openSqlite } from "../src/hosts/sqlite.ts";
import { formatEntry } from "../src/receipt/entry.ts";
import { firstJti } from "../src/receipt/jti.ts";
import { importSigningKey, type SigningKey, type TrustedKey } from "../src/receipt/key.ts";
import { issueReceipt } from "../src/receipt/receipt.ts";
import type { Trust, TrustedLedger } from "../src/receipt/trust.ts";
import { decodeBase64url } from "../src/tlog/base64.ts";
import { ED25519, formatVerifierKey, makeNoteKey, type NoteSigner } from "../src/tlog/note.ts";

export const ISSUER = "https://api.example.com";
export const ORIGIN = "api.example.com/audit/main";
export const LEDGER = "main";
export const START_MS = Date.parse("2026-11-21T05:22:22.000Z");

export class MemoryArchive implements Archive {
  readonly objects = new Map<string, Uint8Array>();
  readonly #versions = new Map<string, number>();

  async get(key: string): Promise<Versioned | undefined> {
    const bytes = this.objects.get(key);
    return bytes && { bytes, version: String(this.#versions.get(key)) };
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    if (this.objects.has(key)) return false;
    this.set(key, bytes);
    return true;
  }

  async replace(key: string, bytes: Uint8Array, version: string): Promise<boolean> {
    if (!this.objects.has(key) || String(this.#versions.get(key)) !== version) return false;
    this.set(key, bytes);
    return true;
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.objects.delete(key);
  }

  /** Puts bytes there without asking, as somebody would who tampers with the archive. */
  set(key: string, bytes: Uint8Array): void {
    this.objects.set(key, bytes);
    this.#versions.set(key, (this.#versions.get(key) ?? 0) + 1);
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
  /** The clock, and moves it. */
  now(): number;
  tick(ms: number): void;
  /** Appends records (members that differ from a plain one, or the whole text) and returns their receipts. */
  append(...records: (object | string)[]): Promise<string[]>;
  /** @param entriesMax how many entries it may publish at once, if fewer than usual. */
  publish(entriesMax?: number): Promise<number>;
  anchor(): Promise<number | undefined>;
  readonly anchorer: Anchorer;
  /** What the newest attempt to anchor wants a person to look at. */
  anchorTroubles(): readonly Error[];
}

export interface WorldOptions {
  /** The ledger's and the anchor writer's storage; a world on the storage of another goes on where it was. */
  readonly sql?: Sql;
  readonly anchorSql?: Sql;
  readonly archive?: MemoryArchive;
  readonly anchors?: MemoryArchive;
  readonly receiptKey?: SigningKey;
  readonly checkpointKey?: SigningKey;
  readonly anchorKey?: SigningKey;
  /** The keys that were in force before, by use. */
  readonly retired?: Readonly<Record<"receipt" | "checkpoint" | "anchor", readonly TrustedKey[]>>;
  readonly policy?: string;
  readonly startMs?: number;
  readonly random?: (count: number) => Uint8Array;
  readonly cosigner?: Cosigner;
  readonly lock?: Lock;
  readonly copies?: readonly Copy[];
  readonly timestamps?: TimestampOptions;
  readonly timestampers?: readonly Uint8Array[];
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const { archive = new MemoryArchive(), anchors = new MemoryArchive(), policy = "1f3870be" } = options;
  const receiptKey = options.receiptKey ?? (await fixedKey("receipt"));
  const checkpointKey = options.checkpointKey ?? (await fixedKey("checkpoint"));
  const anchorKey = options.anchorKey ?? (await fixedKey("anchor"));
  const retired = options.retired ?? { receipt: [], checkpoint: [], anchor: [] };
  let now = options.startMs ?? START_MS;
  const signer: NoteSigner = {
    key: makeNoteKey(ORIGIN, ED25519, checkpointKey.publicKey),
    sign: checkpointKey.sign,
  };
  const trusted: TrustedLedger = {
    ...{ name: LEDGER, origin: ORIGIN, keys: [signer.key] },
    ...(retired.checkpoint.length > 0 && {
      retired: retired.checkpoint.map(({ x, exp }) => ({
        key: makeNoteKey(ORIGIN, ED25519, decodeBase64url(x!)),
        exp: exp!,
      })),
    }),
  };
  const published = readPublished(archive, LEDGER);
  const anchorer = new Anchorer({
    sql: options.anchorSql ?? openSqlite(":memory:"),
    archive,
    anchors,
    issuer: ISSUER,
    ledgers: [trusted],
    key: anchorKey,
    retired: retired.anchor,
    now: () => now,
    lock: options.lock ?? plainLock("none"),
    ...(options.copies && { copies: options.copies }),
    ...(options.cosigner && { cosigner: options.cosigner }),
    ...(options.timestamps && { timestamps: options.timestamps }),
  });
  const anchorKeys = [anchorKey.publicJwk, ...retired.anchor];
  const ledger = new Ledger({
    sql: options.sql ?? openSqlite(":memory:"),
    issuer: ISSUER,
    origin: ORIGIN,
    identity: {
      receipt: receiptKey.kid,
      checkpoint: formatVerifierKey(signer.key),
      anchor: anchorKey.kid,
      policy,
    },
    published,
    now: () => now,
    random: options.random ?? (count => new Uint8Array(count).fill(7)),
    breathe: () => Promise.resolve(),
    recheck: store =>
      recheck({
        store,
        ledger: trusted,
        published,
        newestAnchor: async () => readNewestAnchor(anchors, anchorer.latest(), anchorKeys),
        anchorKeys,
      }),
  });
  let count = 0;
  return {
    archive,
    anchors,
    ledger,
    receiptKey,
    trust: {
      issuer: ISSUER,
      ledgers: [trusted],
      anchorKeys,
      receiptKeys: [receiptKey.publicJwk, ...retired.receipt],
      ...(options.timestampers && { timestampers: options.timestampers }),
    },
    now: () => now,
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
    publish: entriesMax =>
      publish({ store: ledger.store, archive, ledger: trusted, signer, ...(entriesMax && { entriesMax }) }),
    anchor: () => anchorer.anchor(),
    anchorer,
    anchorTroubles: () => anchorer.troubles,
  };
}

/** The id of the n-th exchange of a world that begins at `now`. */
export function plainJti(n: number, now = START_MS): string {
  return firstJti(now).slice(0, -12) + String(n).padStart(12, "0");
}

function plainRecord(n: number, now: number): object {
  const digest = `sha-256=:${createHash("sha256").update(String(n)).digest("base64")}:`;
  return {
    iss: ISSUER,
    jti: plainJti(n, now),
    iat: Math.floor(now / 1000),
    time: new Date(now).toISOString(),
    stage: "complete",
    ms: 1,
    req: { method: "GET", host: "api.example.com", path: `/orders/${n}`, size: 0 },
    res: { status: 200, size: String(n).length, digest },
  };
}
