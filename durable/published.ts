// What a ledger has published, looked at as an outsider would: its tiles make up each tree that it has signed, and each
// of these trees continues those before.
import type { Checkpoint } from "../src/tlog/checkpoint.ts";
import { Fault } from "../src/tlog/fault.ts";
import { type Get, readTiles } from "../src/tlog/reader.ts";
import {
  checkConsistency,
  equalBytes,
  type Frontier,
  type Hash,
  planConsistency,
  planRoot,
} from "../src/tlog/tree.ts";
import type { Archive } from "./archive.ts";

/** Reads what a ledger has published, by path below its prefix. @param name the ledger's, which is its folder. */
export function readPublished(archive: Archive, name: string): Get {
  return async path => (await archive.get(`${name}/${path}`))?.bytes;
}

/** A ledger that has published has a checkpoint. */
export function lostCheckpoint(origin: string, least: number): Fault {
  return new Fault("missing", `${origin}: its checkpoint is gone from the archive`, {
    expected: `a tree of at least ${least} entries`,
  });
}

/** The tree of a checkpoint, as far as it is needed to continue it. @throws Fault when its tiles do not make it up. */
export async function readTree({ origin, size, root }: Checkpoint, published: Get): Promise<Frontier> {
  const plan = planRoot(size);
  const tiles = await readTiles(published, plan.tiles);
  if (equalBytes(plan.root(tiles), root)) return plan.frontier(tiles);
  throw new Fault("tampered", `${origin}: the published tiles do not make up the signed root`);
}

/** The proof that the tree of one size begins with that of another. */
export async function proveConsistency(size1: number, size2: number, published: Get): Promise<Hash[]> {
  const plan = planConsistency(size1, size2);
  return plan.prove(await readTiles(published, plan.tiles));
}

/** @throws Fault when a signed tree does not continue an older one, which must not be larger. */
export async function checkExtends(older: Checkpoint, newer: Checkpoint, published: Get): Promise<void> {
  checkConsistency({
    ...{ size1: older.size, root1: older.root },
    ...{ size2: newer.size, root2: newer.root },
    proof: await proveConsistency(older.size, newer.size, published),
  });
}
