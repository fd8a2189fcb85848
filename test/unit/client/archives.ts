// Archives to audit: made by the real ledger, publisher and anchor writer, and then altered.
import type { Archive } from "../../../src/client/archive.ts";
import { createWorld, MemoryArchive, type World } from "../../world.ts";

export type Objects = Map<string, Uint8Array>;

/** A world whose archive and anchors are below one prefix, as clients see them. */
export async function createOneWorld(): Promise<World> {
  const archive = new MemoryArchive();
  return createWorld(archive, archive);
}

/** Appends, publishes and anchors, once for each count. */
export async function grow(world: World, ...counts: number[]): Promise<World> {
  for (const count of counts) {
    world.tick(1000);
    await world.append(...Array.from({ length: count }, () => ({})));
    await world.publish();
    await world.anchor();
  }
  return world;
}

/** A copy that a test can alter. */
export function copyOf(world: World): Objects {
  return new Map([...world.archive.objects].map(([path, bytes]) => [path, bytes.slice()]));
}

/** An auditor's view. `latest` is what the archive says its newest epoch is. */
export function viewOf(
  objects: ReadonlyMap<string, Uint8Array>,
  { holdsEntries = true, latest }: { holdsEntries?: boolean; latest?: number } = {},
): Archive {
  return { get: async path => objects.get(path), holdsEntries, newestEpoch: async () => latest };
}

/** Changes one byte. */
export function flip(objects: Objects, path: string, at: number): void {
  const bytes = objects.get(path);
  if (bytes?.[at] === undefined) throw new Error(`there is no byte ${at} in ${path} to alter`);
  bytes[at]! ^= 1;
}
