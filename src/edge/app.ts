// The app: what lies below the reserved prefix is answered here, everything else is proxied and recorded.
import { isOwn } from "./admission.ts";
import type { Sources } from "./exchange.ts";
import { Batcher, type Ledger } from "./ledger.ts";
import type { Platform } from "./platform.ts";
import { problem } from "./problem.ts";
import { AuditProxy } from "./proxy.ts";
import { createReader, type ReadOptions } from "./read.ts";
import { type Context, Recorder } from "./recorder.ts";
import { sinkOf } from "./vault.ts";

export interface AppOptions extends ReadOptions {
  /** A fresh connection to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, () => Ledger>;
  readonly platform: Platform;
  readonly sources: Sources;
}

/** For how long openings are gathered on their way to a vault, in ms: each batch is one wait for the disk. */
const VAULT_GATHER_MS = 100;

export type App = (request: Request, context: Context) => Promise<Response>;

export function createApp(options: AppOptions): App {
  const batchers = new Map([...options.ledgers].map(([name, connect]) => [name, new Batcher(connect)]));
  const vaults = new Map(
    [...options.vaults].map(([name, connect]) => [name, new Batcher(sinkOf(connect), VAULT_GATHER_MS)]),
  );
  const keepsValues = options.policy.vault.retention_days > 0;
  const recorder = new Recorder({
    ...options,
    ledgers: batchers,
    vaults: keepsValues ? vaults : new Map(),
  });
  const proxy = new AuditProxy({ ...options, recorder });
  const read = createReader(options);
  return async (request, context) => {
    try {
      if (isOwn(request, options.policy)) return await read(request);
      return await proxy.handle(request, context);
    } catch (error) {
      console.error(error);
      return problem(500, "Internal error", "The edge failed; nothing was released.");
    }
  };
}
