// The app: what lies below the reserved prefix is answered here, everything else is proxied and recorded.

import type { Sources } from "./exchange.ts";
import { Batcher, type Ledger } from "./ledger.ts";
import { problem } from "./problem.ts";
import { AuditProxy, type Context, type Platform } from "./proxy.ts";
import { createReader, type ReadOptions } from "./read.ts";

export interface AppOptions extends ReadOptions {
  /** A fresh connection to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, () => Ledger>;
  readonly platform: Platform;
  readonly sources: Sources;
}

export type App = (request: Request, context: Context) => Promise<Response>;

export function createApp(options: AppOptions): App {
  const batchers = new Map([...options.ledgers].map(([name, connect]) => [name, new Batcher(connect)]));
  const proxy = new AuditProxy({ ...options, ledgers: batchers });
  const read = createReader(options);
  return async (request, context) => {
    const { pathname } = new URL(request.url);
    try {
      if (pathname.startsWith(options.policy.prefix)) return await read(request);
      if (isReserved(pathname, options.policy.prefix)) {
        return problem(404, "Not found", `Spell the prefix as ${options.policy.prefix}.`);
      }
      return await proxy.handle(request, context);
    } catch (error) {
      console.error(error);
      return problem(500, "Internal error", "The edge failed; nothing was released.");
    }
  };
}

/** Whether some upstream might take this path for one below the reserved prefix. */
function isReserved(pathname: string, prefix: string): boolean {
  let path = pathname;
  // Percent-encoding may be nested; a few rounds undo whatever an upstream would.
  for (let round = 0; round < 3; round++) {
    try {
      path = decodeURIComponent(path);
    } catch {
      break;
    }
  }
  const plain = new URL(
    path.replaceAll("\\", "/").replace(/\/{2,}/g, "/"),
    "http://reserved",
  ).pathname.toLowerCase();
  return `${plain}/`.startsWith(prefix);
}
