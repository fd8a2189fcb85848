// Archives to audit: made by the real ledger, publisher and anchor writer, and then altered.
import type { Archive } from "../../../src/client/archive.ts";
import type { World } from "../../world.ts";

export type Objects = Map<string, Uint8Array>;

/** Appends, publishes and anchors, once for each count. The first append also makes the ledger's genesis entry. */
export async function grow(world: World, ...counts: number[]): Promise<World> {
  for (const count of counts) {
    world.tick(1000);
    await world.append(...Array.from({ length: count }, () => ({})));
    await world.publish();
    await world.anchor();
  }
  return world;
}

/** A copy of all that a world has published, with the paths that clients see. */
export function copyOf({ archive, anchors }: World): Objects {
  return new Map([...archive.objects, ...anchors.objects].map(([path, bytes]) => [path, bytes.slice()]));
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
