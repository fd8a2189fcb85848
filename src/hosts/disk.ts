// Folders and files that stay: what is made here is on disk when it is told, for its owner alone, and a loss of power
// leaves it there. Errors name the path.
import { constants, existsSync, statSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Makes a folder, with those above it. */
export async function makeFolder(path: string): Promise<void> {
  const first = await makeFolders(path, 0o700);
  // Also where it was there already: whoever made it may have ended before this.
  for (let at = resolve(path); ; at = dirname(at)) {
    await syncFolder(dirname(at));
    if (first === undefined || at === resolve(first)) return;
  }
}

/**
 * Makes a folder, with those above it; whether that is on disk is another matter. Not by the `recursive` of the runtimes:
 * Node's never ends where a folder is there and none can be made in it, as in /proc, and others do not tell the first.
 * @returns the first that was made, or undefined when it was there already.
 */
export async function makeFolders(path: string, mode: number): Promise<string | undefined> {
  const at = resolve(path);
  try {
    await mkdir(at, { mode });
    return at;
  } catch (error) {
    if (isFolder(at)) return undefined;
    const above = dirname(at);
    if (codeOf(error) !== "ENOENT" || existsSync(above)) {
      const { message, code } = error as NodeJS.ErrnoException;
      throw Object.assign(new Error(`${at}: the folder cannot be made: ${message}`), { code });
    }
    const first = await makeFolders(above, mode);
    const last = await makeFolders(at, mode);
    return first ?? last;
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Has the names in a folder written to disk. */
export async function syncFolder(path: string): Promise<void> {
  await naming(path, async () => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/**
 * Writes a file that is not there yet. When this returns, its bytes are on disk; its name may not be.
 * @param mode 0o400 for what nobody is to change, 0o600 for the rest.
 */
export async function writeNew(
  path: string,
  content: Uint8Array | string,
  mode: 0o400 | 0o600,
): Promise<void> {
  try {
    await naming(path, async () => {
      const handle = await open(path, "wx", mode);
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") await rm(path, { force: true });
    throw error;
  }
}

/** Has errors name the path: those of an open file say only that there is no space left, say. */
export async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (message.includes(path)) throw error;
    throw Object.assign(new Error(`${path}: ${message}`, { cause: error }), code && { code });
  }
}

/** What the system calls an error. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
