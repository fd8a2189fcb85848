// The object store port: where tiles, checkpoints and anchors are published. R2, S3 and a local folder
// fit it.
import { Fault } from "../src/tlog/fault.ts";
import { equalBytes } from "../src/tlog/hash.ts";

/** An object with what tells its present content from any other: an ETag, or the like. */
export interface Versioned {
  readonly bytes: Uint8Array;
  readonly version: string;
}

export interface Archive {
  /** The object, or undefined when there is none. Reads see every completed write. */
  get(key: string): Promise<Versioned | undefined>;
  /** Writes an object that must not exist yet. @returns false, and changes nothing, when it does. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Replaces an object that must still be of this version. @returns false, and changes nothing, when it is not.
   * Only for `checkpoint` objects, the one mutable kind.
   */
  replace(key: string, bytes: Uint8Array, version: string): Promise<boolean>;
  /** Deletes objects, those that are not there included. Only for partial tiles whose full tile is there. */
  delete(keys: readonly string[]): Promise<void>;
}

/**
 * Writes an immutable object, or makes sure that the one already there is the same: after a crash the same
 * bytes are written again through here.
 * @throws Fault `tampered` when other bytes stand there. That is never overwritten and never ignored.
 */
export async function putImmutable(archive: Archive, key: string, bytes: Uint8Array): Promise<void> {
  if (await archive.putIfAbsent(key, bytes)) return;
  const present = await archive.get(key);
  if (present === undefined) throw new Error(`archive: ${key} was neither written nor is it there`);
  if (equalBytes(present.bytes, bytes)) return;
  throw new Fault("tampered", `archive: ${key} already holds other bytes; nothing was overwritten`);
}
