// Ledgers that grow step by step, for those who watch them: checkpoints, and requests to have them cosigned.
import { parseCheckpoint } from "../src/tlog/checkpoint.ts";
import { parseNote } from "../src/tlog/note.ts";
import { type Get, readTiles } from "../src/tlog/reader.ts";
import { planConsistency } from "../src/tlog/tree.ts";
import { formatAddCheckpoint } from "../src/tlog/witness.ts";
import { createWorld, LEDGER, type World } from "./world.ts";

export interface GrownLedger {
  readonly world: World;
  /** The published checkpoint after each step. */
  readonly notes: readonly string[];
}

/** A ledger that has grown to each of these sizes. @param ms tells its records from those of another one. */
export async function growLedger(sizes: readonly number[], ms = 1): Promise<GrownLedger> {
  const world = await createWorld();
  const notes: string[] = [];
  let size = 0;
  for (const next of sizes) {
    // Entry 0 is the genesis, which comes with the first append.
    const count = next - size - (size === 0 ? 1 : 0);
    await world.append(...Array.from({ length: count }, () => ({ ms })));
    await world.publish();
    size = next;
    notes.push(new TextDecoder().decode(world.archive.objects.get(`${LEDGER}/checkpoint`)));
  }
  return { world, notes };
}

export function getOf({ archive }: World): Get {
  return async path => archive.objects.get(`${LEDGER}/${path}`);
}

export function sizeOf(note: string): number {
  return parseCheckpoint(parseNote(note).text).size;
}

/** The body of an add-checkpoint request with the proof from `oldSize`. */
export async function requestFor({ world }: GrownLedger, note: string, oldSize: number): Promise<string> {
  const plan = planConsistency(oldSize, sizeOf(note));
  const proof = plan.prove(await readTiles(getOf(world), plan.tiles));
  return formatAddCheckpoint({ oldSize, proof, checkpoint: note });
}
