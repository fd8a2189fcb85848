// The ledger's bench on node:sqlite. Ledger, publisher and anchor writer are the real ones. The archive is in
// memory and drops the entry bundles that it is given, because nothing here reads them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Versioned } from "../../../durable/archive.ts";
import { PLACE_RETENTION_MS } from "../../../durable/ledger.ts";
import type { Sql } from "../../../durable/sql.ts";
import { openSqlite } from "../../../src/hosts/sqlite.ts";
import { createWorld, ISSUER, MemoryArchive, START_MS, type World } from "../../../test/world.ts";
import { round3, type Table } from "../measure.ts";
import {
  type Cost,
  compareBatches,
  formatPower,
  LARGE,
  makeRecord,
  median,
  SIZES,
  SMALL,
} from "./batches.ts";

/** A ledger that grows is published and pruned after so many entries, as its alarm would do once a second. */
const PUBLISHED_EVERY = 5000;

/** How often a cold start is measured, and with how many entries that are not published yet. */
const STARTS = 21;
const TAIL = 100;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** What outlives a ledger, and the ledger that is open on it. */
interface Subject {
  readonly path: string;
  readonly sql: Sql;
  readonly anchorSql: Sql;
  readonly archive: SlimArchive;
  readonly anchors: SlimArchive;
  readonly world: World;
  /** The time of its clock. */
  nowMs: number;
}

export async function benchSqlite(): Promise<Table[]> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-bench-"));
  try {
    const small = await openSubject(join(folder, "small"));
    await grow(small, SMALL);
    const large = await openSubject(join(folder, "large"));
    const storage = [];
    for (const size of SIZES) {
      await grow(large, size);
      storage.push({ entries: formatPower(size), ...measureStorage(large) });
    }
    const starts = [await measureStarts(small), await measureStarts(large)];
    const openSmall = async (n: number) => {
      const subject = await openSubject(join(folder, `small-${n}`));
      await grow(subject, SMALL);
      return (count: number) => append(subject, count);
    };
    const durability = "node:sqlite in a file, WAL, synchronous=FULL: on disk before it is answered";
    const appending = await compareBatches(durability, openSmall, count => append(large, count));
    await outlivePlaces(large);
    storage.push({ entries: `${formatPower(LARGE)}, a month later`, ...measureStorage(large) });
    return [appending, tableOfStorage(storage), tableOfStarts(starts)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An archive that keeps no entries, and counts what is read of it. */
class SlimArchive extends MemoryArchive {
  reads = 0;
  readBytes = 0;

  override async get(key: string): Promise<Versioned | undefined> {
    const object = await super.get(key);
    this.reads++;
    this.readBytes += object?.bytes.length ?? 0;
    return object;
  }

  override set(key: string, bytes: Uint8Array): void {
    super.set(key, key.includes("/tile/entries/") ? new Uint8Array() : bytes);
  }
}

async function openSubject(path: string): Promise<Subject> {
  const stores = {
    sql: openSqlite(path),
    anchorSql: openSqlite(":memory:"),
    archive: new SlimArchive(),
    anchors: new SlimArchive(),
  };
  const world = await createWorld(stores);
  // Tells of the genesis.
  await world.ledger.append([]);
  return { path, ...stores, world, nowMs: START_MS };
}

function sizeOf({ world }: Subject): number {
  return world.ledger.store.head().frontier.size;
}

function passTime(subject: Subject, ms: number): void {
  subject.nowMs += ms;
  subject.world.tick(ms);
}

/** Appends records, one in a millisecond. */
async function append(subject: Subject, count: number): Promise<Cost> {
  const records = Array.from({ length: count }, (_, i) => makeRecord(ISSUER, subject.nowMs + i));
  passTime(subject, count);
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const placements = await subject.world.ledger.append(records);
  const { user, system } = process.cpuUsage(cpu);
  const ms = performance.now() - start;
  if (placements.some(placement => "refused" in placement)) throw new Error("a record was refused");
  return { ms, "CPU ms": (user + system) / 1000 };
}

/** Lets a ledger grow to so many entries, all of them published and anchored. */
async function grow(subject: Subject, size: number): Promise<void> {
  const { ledger, publish, anchor } = subject.world;
  for (let from = sizeOf(subject); from < size; from = sizeOf(subject)) {
    await append(subject, Math.min(1000, size - from, PUBLISHED_EVERY - (from % PUBLISHED_EVERY)));
    if (sizeOf(subject) % PUBLISHED_EVERY !== 0 && sizeOf(subject) < size) continue;
    await publish();
    ledger.prune();
    await anchor();
  }
}

/** Lets the month pass for which places are kept, and a new exchange come. */
async function outlivePlaces(subject: Subject): Promise<void> {
  const { ledger, publish } = subject.world;
  passTime(subject, PLACE_RETENTION_MS);
  await append(subject, 1);
  await publish();
  while (ledger.prune());
}

/** What is in storage: rows, and bytes of the pages that they take. */
function measureStorage({ sql }: Subject) {
  const one = (query: string) => Object.values(sql.all(query)[0]!)[0] as number;
  const bytes = one("SELECT sum(pgsize) FROM dbstat");
  const placeBytes = one("SELECT sum(pgsize) FROM dbstat WHERE name = 'place'");
  return {
    "entry rows": one("SELECT count(*) FROM entry"),
    "node rows": one("SELECT count(*) FROM node"),
    "partial rows": one("SELECT count(*) FROM partial"),
    "bytes but for places": bytes - placeBytes,
    "place rows": one("SELECT count(*) FROM place"),
    "place bytes": placeBytes,
  };
}

function tableOfStorage(rows: Table["rows"]): Table {
  return {
    what:
      "what storage holds after publishing and pruning: rows, and the bytes of their pages. Places are kept " +
      `for ${PLACE_RETENTION_MS / 86_400_000} days: they are bounded by time, not by the size of the ledger`,
    rows,
  };
}

/** Starts a ledger again and again on what is there: published and anchored, but for a tail. */
async function measureStarts(subject: Subject): Promise<Record<string, string | number>> {
  const { path, archive, anchors, anchorSql, nowMs: startMs } = subject;
  await append(subject, TAIL);
  const sql = countReads(openSqlite(path));
  const times: number[] = [];
  const held: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const before = usedMemory();
    Object.assign(sql, { statements: 0, rows: 0 });
    Object.assign(archive, { reads: 0, readBytes: 0 });
    const began = performance.now();
    const { ledger } = await createWorld({ sql, archive, anchors, anchorSql, startMs });
    // Compares with the archive, and takes the head into memory.
    await ledger.append([]);
    times.push(performance.now() - began);
    held.push(usedMemory() - before);
    if (ledger.halted !== undefined) throw ledger.halted;
  }
  return {
    entries: formatPower(sizeOf(subject)),
    "SQL rows": sql.rows,
    "SQL statements": sql.statements,
    "archive objects": archive.reads,
    "archive bytes": archive.readBytes,
    "hashes in memory": subject.world.ledger.store.head().frontier.hashes.length + 1,
    "heap KB": round3(median(held) / 1024),
    ms: round3(median(times)),
  };
}

function tableOfStarts(rows: Table["rows"]): Table {
  return {
    what:
      `a cold start with ${TAIL} entries that are not published yet: what it reads, the hashes that it keeps, ` +
      "heap and buffers after garbage collection beyond those before, and how long it takes",
    rows,
  };
}

/** Counts statements, and the rows that they return. */
function countReads(sql: Sql): Sql & { statements: number; rows: number } {
  return {
    statements: 0,
    rows: 0,
    all(statement, ...values) {
      const rows = sql.all(statement, ...values);
      this.statements++;
      this.rows += rows.length;
      return rows;
    },
    transaction: work => sql.transaction(work),
  };
}

/** The bytes of heap and buffers that are in use. */
function usedMemory(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
