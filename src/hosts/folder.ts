// A folder of this machine as an object store: a key is the path of a file below it.
//
// An object is there as a whole and on disk before anybody is told so, and stays as it was written: it is made as a
// temporary file, synced, and linked to its place, which fails where something is. Only `replace` renames over, for
// the one mutable kind. Whatever ends the process or the machine leaves an object, or none. One process has the folder
// at a time (state.ts); within it any number may write.
import { createHash, randomUUID } from "node:crypto";
import { constants, readFileSync, renameSync } from "node:fs";
import { link, lstat, mkdir, open, opendir, realpath, rm, rmdir, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Archive, Versioned } from "../../durable/archive.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import { codeOf, makeFolder, naming, syncFolder, writeNew } from "./disk.ts";

/** Where files are made that are no objects yet: no key leads there. */
const DRAFTS = ".drafts";

/** The longest key and the longest part of one between slashes, in bytes; what filesystems can name. */
const KEY_LENGTH_MAX = 1024;
const PART_LENGTH_MAX = 255;

/** What a part of a key is made of: visible ASCII, without the separators of any system. */
const PART = /^[!-.0-[\]-~]+$/;

/** The largest object that is read as a whole, in bytes: a bundle of 256 entries is at most half of it. */
const OBJECT_BYTES_MAX = 32 * 1024 * 1024;

/** How many folders are remembered as being there. */
const KNOWN_MAX = 10_000;

/** How often an object is linked to its place while somebody else removes the folder, because it is empty. */
const ATTEMPTS_MAX = 10;

/** A file or an end of one that is no folder, no link and no device. Not to wait for the other end of a pipe. */
const PLAIN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a folder, which is made if there is none, and removes what a process left there that ended while it wrote.
 * @throws Error that names the path, when nothing can be written or linked there.
 */
export async function openFolder(path: string): Promise<Folder> {
  await makeFolder(path);
  const root = await realpath(path);
  const drafts = join(root, DRAFTS);
  await rm(drafts, { recursive: true, force: true });
  await mkdir(drafts, { mode: 0o700 });
  const [one, other] = [join(drafts, "one"), join(drafts, "other")];
  await writeNew(one, new Uint8Array(), 0o400);
  await link(one, other).catch(error => {
    throw new Error(`${path}: is on a filesystem without hard links: ${error.message}`, { cause: error });
  });
  await unlink(one);
  await unlink(other);
  return new Folder(root);
}

export class Folder implements Archive, SpoolStore {
  readonly #root: string;
  /** The folders that are there, also after a loss of power, as keys without an end. */
  readonly #known = new Set<string>();

  /** @param root the real path of a folder that openFolder has prepared. */
  constructor(root: string) {
    this.#root = root;
  }

  async get(key: string): Promise<Versioned | undefined> {
    const bytes = await this.read(key, OBJECT_BYTES_MAX + 1);
    if (bytes === undefined) return undefined;
    if (bytes.length <= OBJECT_BYTES_MAX) return { bytes, version: versionOf(bytes) };
    throw new Error(`${this.#pathOf(key)}: is longer than ${OBJECT_BYTES_MAX} bytes, which no object is`);
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(key);
    return unlessMissing(async () => {
      await this.#checkInside(dirname(path));
      return naming(path, () => readBeginning(path, bytesMax));
    });
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    const path = this.#pathOf(key);
    const draft = await this.#draft(bytes);
    try {
      const isNew = await this.#link(draft, key, path);
      // Also when it was there: whoever put it may have ended before this.
      await syncFolder(dirname(path));
      return isNew;
    } finally {
      await unlink(draft);
    }
  }

  async replace(key: string, bytes: Uint8Array, version: string): Promise<boolean> {
    const path = this.#pathOf(key);
    await unlessMissing(() => this.#checkInside(dirname(path)));
    const draft = await this.#draft(bytes);
    try {
      if (!replaceSync(draft, path, version)) return false;
      await syncFolder(dirname(path));
      return true;
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** What was deleted stays so, also after a loss of power. Folders that are empty by that go as well. */
  async delete(keys: readonly string[]): Promise<void> {
    const folders = new Set<string>();
    for (const key of keys) {
      const path = this.#pathOf(key);
      await unlessMissing(async () => {
        await this.#checkInside(dirname(path));
        await unlink(path);
        folders.add(folderOf(key));
      });
    }
    for (const folder of folders) {
      await unlessMissing(() => syncFolder(join(this.#root, folder)));
      if (folder !== "") await this.#removeIfEmpty(folder);
    }
  }

  async list(prefix: string, count: number): Promise<string[]> {
    const keys: string[] = [];
    const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    if (folder !== "") checkKey(folder.slice(0, -1));
    await unlessMissing(async () => {
      await this.#checkInside(join(this.#root, folder));
      await this.#collect(folder, prefix, count, keys);
    });
    return keys;
  }

  /** Adds the first keys below a folder, in their order, until there are `count`. */
  async #collect(folder: string, prefix: string, count: number, keys: string[]): Promise<void> {
    for (const name of await this.#namesIn(folder, prefix, count - keys.length)) {
      if (keys.length === count) return;
      if (!name.endsWith("/")) keys.push(folder + name);
      else await unlessMissing(() => this.#collect(folder + name, prefix, count, keys));
    }
  }

  /** The names in a folder up to the `count`-th file, in the order of keys, folders with a slash at their end. */
  async #namesIn(folder: string, prefix: string, count: number): Promise<string[]> {
    let names: string[] = [];
    for await (const entry of await opendir(join(this.#root, folder))) {
      const name = entry.isDirectory() ? `${entry.name}/` : entry.name;
      if (!entry.isDirectory() && !entry.isFile()) continue;
      if (!isKey(folder + entry.name) || !beginAlike(folder + name, prefix)) continue;
      names.push(name);
      // However many there are, few more are held in memory than are asked for.
      if (names.length > 2 * count + 1000) names = firstOf(names, count);
    }
    return firstOf(names, count);
  }

  /** Links a file to the place of a key. @returns false when something is there. */
  async #link(draft: string, key: string, path: string): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#make(folderOf(key));
        await link(draft, path);
        return true;
      } catch (error) {
        const code = codeOf(error);
        if (code === "EEXIST") return false;
        if (code !== "ENOENT" || attempt === ATTEMPTS_MAX) throw error;
        this.#known.clear();
      }
    }
  }

  /** Makes a folder below the root, with those above it. */
  async #make(folder: string): Promise<void> {
    if (folder === "" || this.#known.has(folder)) return;
    await this.#make(folderOf(folder));
    const path = join(this.#root, folder);
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      if (!(await lstat(path)).isDirectory()) throw new Error(`${path}: is in the place of a folder`);
    }
    await syncFolder(dirname(path));
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(folder);
  }

  /** Whoever puts something there meanwhile makes it again. */
  async #removeIfEmpty(folder: string): Promise<void> {
    this.#known.delete(folder);
    try {
      await rmdir(join(this.#root, folder));
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes(codeOf(error) ?? "")) throw error;
    }
  }

  async #draft(bytes: Uint8Array): Promise<string> {
    const path = join(this.#root, DRAFTS, randomUUID());
    await writeNew(path, bytes, 0o400);
    return path;
  }

  #pathOf(key: string): string {
    checkKey(key);
    return join(this.#root, key);
  }

  /** @throws Error for a folder that is reached through a symbolic link. */
  async #checkInside(path: string): Promise<void> {
    const wanted = resolve(path);
    if (wanted === this.#root || this.#known.has(wanted.slice(this.#root.length + 1))) return;
    const real = await realpath(wanted);
    if (real !== wanted) throw new Error(`${wanted}: leads to ${real} by a symbolic link`);
  }
}

/** Puts a file in the place of another, if that is of this version still. Nothing can come between: it never waits. */
function replaceSync(draft: string, path: string, version: string): boolean {
  let present: Uint8Array;
  try {
    present = readFileSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
  if (versionOf(present) !== version) return false;
  renameSync(draft, path);
  return true;
}

async function readBeginning(path: string, bytesMax: number): Promise<Uint8Array> {
  const handle = await open(path, PLAIN);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Error("is not a file");
    const bytes = new Uint8Array(Math.min(stat.size, bytesMax));
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, at, bytes.length - at, at);
      if (bytesRead === 0) return bytes.slice(0, at);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** @throws Error for what is no key: nothing that is not below the folder can be named. */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new Error(`archive: expected a path of visible ASCII characters, found ${JSON.stringify(key)}`);
}

function isKey(key: string): boolean {
  return (
    key.length <= KEY_LENGTH_MAX &&
    !key.startsWith(DRAFTS) &&
    key
      .split("/")
      .every(part => PART.test(part) && part.length <= PART_LENGTH_MAX && part !== "." && part !== "..")
  );
}

/** The folder that a key or a folder lies in; empty for the root. */
function folderOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf("/")));
}

/** Whether one of two begins with the other: a folder may hold what a longer prefix asks for. */
function beginAlike(one: string, other: string): boolean {
  return one.startsWith(other) || (one.endsWith("/") && other.startsWith(one));
}

/** The names in order, up to the `count`-th that is no folder. A folder may turn out to be empty. */
function firstOf(names: string[], count: number): string[] {
  names.sort();
  let files = 0;
  const end = names.findIndex(name => !name.endsWith("/") && ++files === count);
  return end === -1 ? names : names.slice(0, end + 1);
}

function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url");
}

/** What `work` answers, or undefined when it fails because something is not there. */
async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
