// The system under simulation: the writers of durable/ with all that they lean on, as one module built from their
// sources. Built, and not imported, so that WebCrypto can be one that answers in order, that
// limits can be small enough to be met, and that a safeguard can be taken out on purpose.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import type * as anchor from "../../durable/anchor.ts";
import type * as anchorwriter from "../../durable/anchorwriter.ts";
import type * as cosigner from "../../durable/cosigner.ts";
import type * as ledger from "../../durable/ledger.ts";
import type * as ledgerwriter from "../../durable/ledgerwriter.ts";
import type * as lock from "../../durable/lock.ts";
import type * as fault from "../../src/tlog/fault.ts";
import type * as note from "../../src/tlog/note.ts";
import type * as policy from "../../src/tlog/policy.ts";
import type * as tile from "../../src/tlog/tile.ts";

export type System = Pick<typeof anchor, "Anchorer"> &
  Pick<typeof anchorwriter, "AnchorWriter"> &
  Pick<typeof cosigner, "Cosigner"> &
  Pick<typeof lock, "BucketLock"> &
  Pick<typeof ledger, "APPEND_RECORDS_MAX" | "PLACE_RETENTION_MS" | "POOL_RECORDS_MAX"> &
  Pick<typeof ledgerwriter, "LedgerWriter"> &
  Pick<typeof fault, "Fault"> &
  Pick<typeof note, "formatVerifierKey" | "makeNoteKey"> &
  Pick<typeof policy, "parsePolicy"> &
  Pick<typeof tile, "TILE_WIDTH">;

/** A change of one source file: `find`, which must be there exactly once, becomes `put`. */
export interface Change {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

/**
 * Limits so small that a few thousand steps meet all of them: a full pool, deep trees, deletions in parts.
 * The code is the same for them; half of all seeds run with these.
 */
export const SMALL_LIMITS: readonly Change[] = [
  { file: "src/tlog/tile.ts", find: "TILE_WIDTH = 256;", put: "TILE_WIDTH = 4;" },
  { file: "durable/ledger.ts", find: "POOL_RECORDS_MAX = 5000;", put: "POOL_RECORDS_MAX = 12;" },
  { file: "durable/ledger.ts", find: "APPEND_RECORDS_MAX = 1000;", put: "APPEND_RECORDS_MAX = 6;" },
  { file: "durable/store.ts", find: "PRUNE_ROWS_MAX = 10_000;", put: "PRUNE_ROWS_MAX = 30;" },
  { file: "durable/store.ts", find: "ORDER BY ends LIMIT 500", put: "ORDER BY ends LIMIT 3" },
  {
    file: "durable/publish.ts",
    find: "PUBLISH_ENTRIES_MAX = 128 * TILE_WIDTH;",
    put: "PUBLISH_ENTRIES_MAX = 7;",
  },
  { file: "durable/recheck.ts", find: "LEAVES_AT_ONCE = 4096;", put: "LEAVES_AT_ONCE = 3;" },
];

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const ENTRY = `
  export { Anchorer } from "./durable/anchor.ts";
  export { AnchorWriter } from "./durable/anchorwriter.ts";
  export { Cosigner } from "./durable/cosigner.ts";
  export { BucketLock } from "./durable/lock.ts";
  export { APPEND_RECORDS_MAX, PLACE_RETENTION_MS, POOL_RECORDS_MAX } from "./durable/ledger.ts";
  export { LedgerWriter } from "./durable/ledgerwriter.ts";
  export { Fault } from "./src/tlog/fault.ts";
  export { formatVerifierKey, makeNoteKey } from "./src/tlog/note.ts";
  export { parsePolicy } from "./src/tlog/policy.ts";
  export { TILE_WIDTH } from "./src/tlog/tile.ts";
`;

/** Builds the system with some changes. @throws Error when a change does not fit the source exactly once. */
export async function buildSystem(changes: readonly Change[] = []): Promise<System> {
  const made = new Set<Change>();
  const { outputFiles } = await build({
    stdin: { contents: ENTRY, resolveDir: ROOT, loader: "ts" },
    inject: [fileURLToPath(new URL("webcrypto.ts", import.meta.url))],
    plugins: [changing(changes, made)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    sourcemap: "inline",
    logLevel: "silent",
  });
  for (const change of changes) {
    if (!made.has(change)) throw new Error(`${change.file}: is no part of the system; nothing was changed`);
  }
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString("base64")}`;
  return import(/* @vite-ignore */ url);
}

function changing(changes: readonly Change[], made: Set<Change>): Plugin {
  return {
    name: "changing",
    setup({ onLoad }) {
      onLoad({ filter: /\/(src|durable)\/[^/]+.*\.ts$/ }, async ({ path }) => {
        let contents = await readFile(path, "utf8");
        for (const change of changes) {
          if (change.file !== relative(ROOT, path)) continue;
          const found = contents.split(change.find).length - 1;
          if (found !== 1) throw new Error(`${change.file}: has ${found} times: ${change.find}`);
          contents = contents.replace(change.find, () => change.put);
          made.add(change);
        }
        return { contents, loader: "ts" };
      });
    },
  };
}
