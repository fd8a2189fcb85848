// The model of a disk behind `npm run powercut`: what it may lose it can lose, and what it must keep it keeps.
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Cut, Disk } from "../powercut/disk.ts";
import { readTrace } from "../powercut/trace.ts";

const END = 1000;
const SECTOR = 512;

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-disk-"));
  root = join(folder, "root");
  await mkdir(root);
  await writeFile(join(root, "old"), "before");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function hex(text: string): string {
  return [...Buffer.from(text)].map(byte => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function inRoot(path: string): string {
  return path === "/" ? root : `${root}${path}`;
}

/** What is left after these lines of strace, in which `"…"` and `<…>` are still as one reads them; `/` is the root. */
async function leftOf(lines: readonly string[], cut: Partial<Cut>): Promise<Record<string, string>> {
  const trace = join(folder, "trace");
  const written = lines.map(line =>
    line
      .replaceAll(/"([^"]*)"/g, (_, text) => `"${hex(text.startsWith("/") ? inRoot(text) : text)}"`)
      .replaceAll(/<(\/[^>]*)>/g, (_, path) => `<${hex(inRoot(path))}>`),
  );
  await writeFile(trace, `${written.join("\n")}\n`);
  const disk = await Disk.open(root);
  disk.follow(await readTrace(trace));
  const to = join(folder, randomUUID());
  await disk.restore(to, { at: END, fate: () => "lost", random: () => 0, ...cut });
  const names = await readdir(to);
  return Object.fromEntries(
    await Promise.all(names.map(async name => [name, await readFile(join(to, name), "utf8")])),
  );
}

const OVERWRITE = [
  '7 openat(AT_FDCWD, "/old", O_RDWR) = 3</old>',
  '7 pwrite64(3</old>, "BE", 2, 0) = 2',
  "7 fsync(3</old>) = 0",
  '7 pwrite64(3</old>, "FORE", 4, 2) = 4',
];

test("what was synced stays, and what was written after that may go or stay", async () => {
  expect(await leftOf(OVERWRITE, {})).toEqual({ old: "BEfore" });
  expect(await leftOf(OVERWRITE, { fate: () => "kept" })).toEqual({ old: "BEFORE" });
});

test("what comes after the cut has not happened, and a sync that has not ended by then has kept nothing", async () => {
  expect(await leftOf(OVERWRITE, { at: 4, fate: () => "kept" })).toEqual({ old: "BEfore" });
  expect(await leftOf(OVERWRITE, { at: 3 })).toEqual({ old: "before" });
});

test("a write that overlaps with a sync of another thread may go", async () => {
  const lines = [
    OVERWRITE[0]!,
    '7 pwrite64(3</old>, "BE", 2, 0 <unfinished ...>',
    "8 fsync(3</old>) = 0",
    "7 <... pwrite64 resumed>) = 2",
  ];
  expect(await leftOf(lines, {})).toEqual({ old: "before" });
  expect(await leftOf([...lines, "8 fsync(3</old>) = 0"], {})).toEqual({ old: "BEfore" });
});

test("a recording without its syncs loses what one with them keeps", async () => {
  expect(
    await leftOf(
      OVERWRITE.filter(line => !line.includes("fsync")),
      {},
    ),
  ).toEqual({ old: "before" });
  expect(await leftOf(OVERWRITE, { lies: path => path.endsWith("/old") })).toEqual({ old: "before" });
  expect(await leftOf(OVERWRITE, { lies: path => path.endsWith("/other") })).toEqual({ old: "BEfore" });
});

const CREATE = [
  '7 openat(AT_FDCWD, "/draft", O_WRONLY|O_CREAT|O_EXCL, 0400) = 3</draft>',
  '7 write(3</draft>, "one ", 4) = 4',
  '7 write(3</draft>, "two", 3) = 3',
  "7 fsync(3</draft>) = 0",
  '7 linkat(AT_FDCWD, "/draft", AT_FDCWD, "/new", 0) = 0',
  '7 openat(AT_FDCWD, "/", O_RDONLY) = 4</>',
  "7 fsync(4</>) = 0",
];

test("a new file has its bytes when it was synced, and its name when the folder was", async () => {
  expect(await leftOf(CREATE.slice(0, 5), {})).toEqual({ old: "before" });
  expect(await leftOf(CREATE, {})).toEqual({ old: "before", draft: "one two", new: "one two" });
  expect(
    await leftOf(
      CREATE.filter(line => !line.includes("fsync(3")),
      {},
    ),
  ).toEqual({ old: "before", draft: "", new: "" });
});

test("a renaming over a file leaves the one or the other, never neither and never both", async () => {
  const lines = [...CREATE.slice(0, 4), ...CREATE.slice(5), '7 rename("/draft", "/old") = 0'];
  expect(await leftOf(lines, {})).toEqual({ old: "before", draft: "one two" });
  expect(await leftOf(lines, { fate: () => "kept" })).toEqual({ old: "one two" });
  expect(await leftOf([...lines, "7 fsync(4</>) = 0"], {})).toEqual({ old: "one two" });
});

test("a torn write has some of its sectors, each whole", async () => {
  const [a, b] = ["a".repeat(SECTOR), "b".repeat(SECTOR)];
  const lines = [OVERWRITE[0]!, `7 pwrite64(3</old>, "${a}${b}", ${2 * SECTOR}, 0) = ${2 * SECTOR}`];
  const drawn = [1, 0, 1, 0];
  const { old } = await leftOf(lines, { fate: () => "torn", random: () => drawn.shift()! });
  // The first sector is the old one, which had six bytes; the second has arrived.
  expect(old).toBe(`before${"\0".repeat(SECTOR - 6)}${b}`);
});

test("where a file is written that was not begun at its beginning is known, or said not to be", async () => {
  const write = '7 write(3</old>, "!", 1) = 1';
  const opened = '7 openat(AT_FDCWD, "/old", O_WRONLY) = 3</old>';
  const lines = [opened, "7 lseek(3</old>, 0, SEEK_END) = 6", write];
  expect(await leftOf(lines, { fate: () => "kept" })).toEqual({ old: "before!" });
  await expect(leftOf([OVERWRITE[0]!, ...lines.slice(1)], {})).rejects.toThrow("does not know where");
});

test("a call that failed has changed nothing", async () => {
  const lines = [...OVERWRITE.slice(0, 3), '7 pwrite64(3</old>, "FORE", 4, 2) = -1 ENOSPC (No space left)'];
  expect(await leftOf(lines, { fate: () => "kept" })).toEqual({ old: "BEfore" });
});

test.each([
  ["fallocate", "7 fallocate(3</old>, 0, 0, 4096) = 0"],
  ["mmap", "7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</old>, 0) = 0x7f0000000000"],
  ["O_APPEND", '7 openat(AT_FDCWD, "/old", O_WRONLY|O_APPEND) = 4</old>'],
])("what the model does not know, like %s, ends it: it leaves nothing out in silence", async (name, line) => {
  await expect(leftOf([OVERWRITE[0]!, line], {})).rejects.toThrow(`the model of a disk knows no ${name}`);
});
