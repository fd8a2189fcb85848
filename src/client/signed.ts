// Trees that a ledger has signed, what they must be, and what their tiles are about.
import type { Pin } from "../receipt/anchor.ts";
import { openTrusted, type TrustedLedger } from "../receipt/trust.ts";
import { encodeBase64url } from "../tlog/base64.ts";
import type { Checkpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { TILE_WIDTH, type Tile } from "../tlog/tile.ts";
import type { Hash } from "../tlog/tree.ts";
import { located } from "./findings.ts";

/** A tree that somebody signed. */
export type SignedTree = Pick<Checkpoint, "size" | "root">;

export interface OpenedTree extends SignedTree {
  /** Whether only retired keys have signed it. */
  readonly isRetired: boolean;
}

/** Opens a checkpoint of a ledger; a Fault names the object. */
export async function openTree(
  note: string | Uint8Array,
  ledger: TrustedLedger,
  path: string,
): Promise<OpenedTree> {
  try {
    const { checkpoint, isRetired } = await openTrusted(note, ledger);
    return { ...checkpoint, isRetired };
  } catch (error) {
    throw located(error, path);
  }
}

/** @throws Fault `rolled-back` */
export function requireAtLeast({ size }: SignedTree, before: number, was: string, path: string): void {
  if (size >= before) return;
  throw new Fault("rolled-back", `${path}: a smaller tree than was ${was} before`, {
    expected: `at least ${before} entries`,
    found: `${size} entries`,
  });
}

/** @throws Fault `broken-chain` when the chain head of a pin is not the last leaf of its tree. */
export function requireHead({ head, size }: Pin, last: Hash, path: string): void {
  const expected = encodeBase64url(last);
  if (head === expected) return;
  throw new Fault("broken-chain", `${path}: its chain head is not the leaf hash of entry ${size - 1}`, {
    expected,
    found: head,
    index: size - 1,
  });
}

/** The index of the first entry below a hash of a tile. */
export function firstEntry({ level, n }: Tile, position: number): number {
  return (n * TILE_WIDTH + position) * TILE_WIDTH ** (level === "entries" ? 0 : level);
}

/** For what is only looked at in advance: its faults show when its turn comes. */
export function ignoreFault(error: unknown): undefined {
  if (!(error instanceof Fault)) throw error;
}
