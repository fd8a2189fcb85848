// npm run interop -- [--entries N] [--keep FOLDER]
//
// Has programs that nobody here wrote read what a ledger publishes. A real ledger takes entries and publishes
// them, several times on the way; the Go program in test/interop/go then checks all of it with Go's checksum
// database packages, Tessera's fsck and a JOSE library. After that it must find every damage that is done on
// purpose, so that a pass means something. At last our client asks a witness of others for cosignatures, and a
// client of others asks ours. Go fetches those packages the first time.
//   --entries N     so many entries (5000)
//   --keep FOLDER   write the published ledger there, and leave it
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openSqlite } from "../src/hosts/sqlite.ts";
import { parseEntry } from "../src/receipt/entry.ts";
import { formatVerifierKey } from "../src/tlog/note.ts";
import { formatProof } from "../src/tlog/proof.ts";
import { readTiles } from "../src/tlog/reader.ts";
import { planInclusion } from "../src/tlog/tree.ts";
import { createWorld, LEDGER, type World } from "../test/world.ts";
import { checkWitnesses } from "./interop/witness.ts";

const PROGRAM = resolve(import.meta.dirname, "../test/interop/go");

/** Sizes at which it is published on the way, as far as there are so many entries. */
const PUBLISHED_AT = [2, 3, 255, 256, 257, 1000, 2500, 65_536, 65_537, 200_000];
const FORKED_AT = 257;

/** How many receipts and proofs are written, spread over all entries. */
const RECEIPTS = 500;
const PROOFS = 50;

interface Damage {
  readonly what: string;
  readonly file: string;
  /** The programs that must notice. */
  readonly finders: readonly string[];
  change(bytes: Buffer): Promise<Uint8Array> | Uint8Array;
}

const DAMAGES: readonly Damage[] = [
  {
    what: "a bit of an entry",
    file: "log/tile/entries/000",
    finders: ["sumdb/tlog", "tessera/fsck"],
    change: flipBit,
  },
  {
    what: "a bit of a hash",
    file: "log/tile/0/000",
    finders: ["sumdb/tlog", "tessera/fsck"],
    change: flipBit,
  },
  {
    what: "the size of the checkpoint",
    file: "log/checkpoint",
    finders: ["sumdb/note", "tessera/fsck"],
    change: bytes => Buffer.from(bytes.toString().replace(/^\d+$/m, size => `${Number(size) + 1}`)),
  },
  {
    what: "an earlier checkpoint, by one of another tree",
    file: `checkpoints/${formatSize(FORKED_AT)}`,
    finders: ["sumdb/tlog"],
    change: forkedCheckpoint,
  },
  {
    what: "a hash of a proof",
    file: "proofs/000.tlog-proof",
    finders: ["sumdb/tlog"],
    change: bytes => Buffer.from(bytes.toString().replace(/(\n.{44})(\n.{44})/, "$2$1")),
  },
  { what: "a bit of a receipt", file: "receipts.txt", finders: ["jwx"], change: flipBit },
];

const { values } = parseArgs({
  options: { entries: { type: "string", default: "5000" }, keep: { type: "string" } },
});
const scratch = await mkdtemp(join(tmpdir(), "counterfoil-interop-"));
try {
  process.exitCode = await main(Number(values.entries), resolve(values.keep ?? join(scratch, "published")));
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** @returns the exit status. */
async function main(entries: number, folder: string): Promise<number> {
  if (spawnSync("go", ["version"]).error !== undefined) {
    console.log("skipped, all of it: there is no go on this machine (https://go.dev/doc/install)");
    return 0;
  }
  const program = join(scratch, "interop");
  const built = spawnSync("go", ["build", "-o", program, "."], { cwd: PROGRAM, stdio: "inherit" });
  if (built.status !== 0) return 1;
  const world = await createWorld({ sql: openSqlite(join(scratch, "ledger.sqlite")) });
  await publishInto(folder, world, entries);
  const { status, stdout } = spawnSync(program, [folder], { encoding: "utf8" });
  process.stdout.write(stdout);
  if (status !== 0) return 1;
  for (const damage of DAMAGES) {
    if (!(await isFound(damage, program, folder))) return 1;
  }
  return (await checkWitnesses(scratch)) ? 0 : 1;
}

/** Damages a copy of a published ledger, and says whether the program finds it. */
async function isFound(
  { what, file, finders, change }: Damage,
  program: string,
  folder: string,
): Promise<boolean> {
  const copy = join(scratch, "damaged");
  await cp(folder, copy, { recursive: true });
  await writeFile(join(copy, file), await change(await readFile(join(copy, file))));
  const { status, stdout } = spawnSync(program, [copy], { encoding: "utf8" });
  await rm(copy, { recursive: true });
  const failures = stdout.split("\n").filter(line => line.includes("FAILED"));
  const found = finders.filter(finder => failures.some(line => line.includes(finder)));
  const well = status === 1 && found.length === finders.length;
  console.log(`${what} was changed:`.padEnd(60), well ? `found by ${found.join(" and ")}` : "NOT FOUND");
  return well;
}

/** Grows and publishes a ledger, and writes what test/interop/go/main.go asks for. */
async function publishInto(folder: string, world: World, entries: number): Promise<void> {
  const receipts: string[] = [];
  const write = async (path: string, content: Uint8Array | string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  };
  for (const size of [...PUBLISHED_AT.filter(size => size < entries), entries]) {
    await growTo(size, world, receipts);
    await world.publish();
    world.ledger.prune();
    await write(`checkpoints/${formatSize(size)}`, checkpointOf(world));
  }
  for (const [key, bytes] of world.archive.objects) {
    await write(`log/${key.slice(LEDGER.length + 1)}`, bytes);
  }
  const some = spread(receipts, RECEIPTS);
  await write("receipts.txt", some.map(receipt => `${receipt}\n`).join(""));
  for (const [i, receipt] of spread(some, PROOFS).entries()) {
    await write(`proofs/${String(i).padStart(3, "0")}.tlog-proof`, await prove(receipt, world, entries));
  }
  await write("vkey", formatVerifierKey(world.trust.ledgers[0]!.keys[0]!));
  await write("jwks.json", JSON.stringify({ keys: world.trust.receiptKeys }));
}

/** Lets a ledger take records until it has so many entries; entry 0 is its own. */
async function growTo(size: number, world: World, receipts: string[], more: object = {}): Promise<void> {
  while (receipts.length + 1 < size) {
    const count = Math.min(500, size - receipts.length - 1);
    receipts.push(...(await world.append(...Array.from({ length: count }, () => more))));
  }
}

function checkpointOf(world: World): Uint8Array {
  return world.archive.objects.get(`${LEDGER}/checkpoint`)!;
}

/** The proof file of a receipt, as the edge serves it. */
async function prove(receipt: string, world: World, size: number): Promise<string> {
  const { index } = parseEntry(receipt.slice(0, receipt.lastIndexOf("."))).header;
  const plan = planInclusion(index, size);
  const tiles = await readTiles(async path => world.archive.objects.get(`${LEDGER}/${path}`), plan.tiles);
  return formatProof({
    extra: Buffer.from(receipt),
    index,
    hashes: plan.prove(tiles),
    checkpoint: Buffer.from(checkpointOf(world)).toString(),
  });
}

/** What the ledger would have signed, had it told somebody else another story. */
async function forkedCheckpoint(): Promise<Uint8Array> {
  const fork = await createWorld();
  await growTo(FORKED_AT, fork, [], { ms: 99 });
  await fork.publish();
  return checkpointOf(fork);
}

function flipBit(bytes: Buffer): Uint8Array {
  bytes[100]! ^= 1;
  return bytes;
}

function formatSize(size: number): string {
  return String(size).padStart(9, "0");
}

/** So many of a list, from its first to its last. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * (list.length - 1)) / (count - 1))]!);
}
