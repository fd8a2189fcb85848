// How fast an audit is against hashing the very bytes that it reads, by the same function in the same thread: so much
// no audit can do without. And what it needs of memory, which must not grow with the ledger.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "@noble/hashes/sha2.js";
import { openFolderArchive } from "../../src/client/archive.ts";
import { audit } from "../../src/client/audit.ts";
import { decodeBundle } from "../../src/tlog/bundle.ts";
import { formatTilePath, tilesBetween } from "../../src/tlog/tile.ts";
import { writeArchive } from "./archive.ts";
import { describeMachine, type Findings, round3 } from "./measure.ts";

const SIZES = [100_000, 1_000_000];

/** How many entries lie between two anchors. */
const STEP = 25_600;

const PARTS = 8;

export async function run(): Promise<Findings> {
  const rows = [];
  for (const size of SIZES) {
    const folder = await mkdtemp(join(tmpdir(), "counterfoil-bench-"));
    try {
      rows.push(await measure(folder, size));
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  const what =
    "audit of an archive in a folder, all checks and file reads included, against SHA-256 (the same function of " +
    "@noble/hashes) of each entry with its prefix in place, read beforehand; half before the audit and half after";
  return { bench: "audit", machine: describeMachine(), tables: [{ what, rows }] };
}

async function measure(folder: string, size: number): Promise<Record<string, string | number>> {
  const trust = await writeArchive(folder, size, STEP);
  const platform = {
    readFile: (path: string) => readFile(path).catch(() => undefined),
    listFolder: (path: string) => readdir(path).catch(() => undefined),
  };
  await hashAll(folder, Math.min(size, 20_000), 0, 1);
  let hashed = await hashAll(folder, size, 0, 2);
  let memory = 0;
  const before = process.memoryUsage.rss();
  const watch = setInterval(() => {
    memory = Math.max(memory, process.memoryUsage.rss());
  }, 20);
  const start = process.hrtime.bigint();
  const report = await audit({ archive: openFolderArchive(platform, folder), trust });
  const audited = Number(process.hrtime.bigint() - start);
  clearInterval(watch);
  hashed += await hashAll(folder, size, 1, 2);
  if (report.outcome !== "proven" || report.ledgers[0]!.entries !== size) {
    throw new Error(`the audit ended in ${report.outcome}: ${report.problems[0]?.fault.message}`);
  }
  return {
    entries: size,
    "audit/hashing": round3(audited / hashed),
    "hashing/audit": round3(hashed / audited),
    "audit µs/entry": round3(audited / size / 1000),
    "hashing µs/entry": round3(hashed / size / 1000),
    "RSS MiB before": Math.round(before / 2 ** 20),
    "RSS MiB at most": Math.round(memory / 2 ** 20),
  };
}

/** How long it takes to hash every entry, of one in `of` parts of the bundles, in nanoseconds. */
async function hashAll(folder: string, size: number, part: number, of: number): Promise<number> {
  let spent = 0;
  for (const tile of tilesBetween(0, size)) {
    if (tile.level !== "entries") break;
    if (tile.n % (of * PARTS) < part * PARTS || tile.n % (of * PARTS) >= (part + 1) * PARTS) continue;
    const inputs = decodeBundle(await readFile(join(folder, "main", formatTilePath(tile))), tile.width).map(
      entry => Uint8Array.of(0, ...entry),
    );
    const start = process.hrtime.bigint();
    for (const input of inputs) sha256(input);
    spent += Number(process.hrtime.bigint() - start);
  }
  return spent;
}
