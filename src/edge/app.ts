// The app: what lies below the reserved prefix is answered here, everything else is proxied and recorded.
import { isOwn } from "./admission.ts";
import { Complaints } from "./complaints.ts";
import type { Sources } from "./exchange.ts";
import { readHead } from "./head.ts";
import { Batcher, type Ledger } from "./ledger.ts";
import type { Platform } from "./platform.ts";
import { problem } from "./problem.ts";
import { AuditProxy } from "./proxy.ts";
import { createReader, type ReadOptions } from "./read.ts";
import { type Context, Recorder } from "./recorder.ts";
import { Keeper } from "./vault.ts";

export interface AppOptions extends ReadOptions {
  /** A fresh connection to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, () => Ledger>;
  readonly platform: Platform;
  readonly sources: Sources;
}

export type App = (request: Request, context: Context) => Promise<Response>;

export function createApp(options: AppOptions): App {
  const openWays = () => new Map([...options.ledgers].map(([name, connect]) => [name, new Batcher(connect)]));
  const { now } = options.sources;
  const complaints = new Complaints(now);
  const keepers = new Map(
    [...options.vaults].map(([name, connect]) => [name, new Keeper(connect, now, complaints)]),
  );
  const keepsValues = options.policy.vault.retention_days > 0;
  const recorder = new Recorder({
    ...options,
    ledgers: openWays(),
    signatures: openWays(),
    keepers: keepsValues ? keepers : new Map(),
    complaints,
  });
  const proxy = new AuditProxy({ ...options, recorder });
  const read = createReader(options);
  return async (request, context) => {
    try {
      const head = readHead(request);
      if (isOwn(head, options.policy)) return await read(request);
      return await proxy.handle(request, head, context);
    } catch (error) {
      console.error(error);
      return problem(500, "Internal error", "The edge failed; nothing was released.");
    }
  };
}
