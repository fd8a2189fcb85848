// Worlds whose keys were replaced while their storage, archive and anchors stayed.
import { openSqlite } from "../src/hosts/sqlite.ts";
import type { SigningKey, TrustedKey } from "../src/receipt/key.ts";
import { createWorld, fixedKey, MemoryArchive, START_MS, type World, type WorldOptions } from "./world.ts";

export const USES = ["receipt", "checkpoint", "anchor"] as const;
export type Use = (typeof USES)[number];

const HOUR_MS = 3600 * 1000;
export const DAY_S = 24 * 3600;

/** The n-th key of a use, and as one that was retired a day after the world's beginning. */
export const keyOf = (use: Use, n: number): Promise<SigningKey> => fixedKey(n === 0 ? use : `${use}-${n}`);
export async function retiredKey(use: Use, n: number): Promise<TrustedKey> {
  return { ...(await keyOf(use, n)).publicJwk, exp: START_MS / 1000 + DAY_S };
}

/** What a world keeps when it is started anew. */
export type State = Required<Pick<WorldOptions, "sql" | "anchorSql" | "archive" | "anchors">>;

export function emptyState(): State {
  return {
    ...{ sql: openSqlite(":memory:"), anchorSql: openSqlite(":memory:") },
    ...{ archive: new MemoryArchive(), anchors: new MemoryArchive() },
  };
}

/** Starts a world in which the key of each of these uses was replaced once. */
export async function rotated(
  state: State,
  uses: readonly Use[],
  startMs = START_MS + HOUR_MS,
): Promise<World> {
  const at = (use: Use) => (uses.includes(use) ? 1 : 0);
  const before = async (use: Use) => (uses.includes(use) ? [await retiredKey(use, 0)] : []);
  return createWorld({
    ...state,
    startMs,
    random: count => crypto.getRandomValues(new Uint8Array(count)),
    receiptKey: await keyOf("receipt", at("receipt")),
    checkpointKey: await keyOf("checkpoint", at("checkpoint")),
    anchorKey: await keyOf("anchor", at("anchor")),
    retired: {
      receipt: await before("receipt"),
      checkpoint: await before("checkpoint"),
      anchor: await before("anchor"),
    },
  });
}
