// The app: what lies below the reserved prefix is answered here, everything else is proxied and recorded.

import type { Sources } from "./exchange.ts";
import { Batcher, type Ledger } from "./ledger.ts";
import { problem } from "./problem.ts";
import { AuditProxy, type Platform } from "./proxy.ts";
import { createReader, type ReadOptions } from "./read.ts";
import { type Context, Recorder } from "./recorder.ts";
import { sinkOf } from "./vault.ts";

export interface AppOptions extends ReadOptions {
  /** A fresh connection to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, () => Ledger>;
  readonly platform: Platform;
  readonly sources: Sources;
}

export type App = (request: Request, context: Context) => Promise<Response>;

export function createApp(options: AppOptions): App {
  const batchers = new Map([...options.ledgers].map(([name, connect]) => [name, new Batcher(connect)]));
  const vaults = new Map([...options.vaults].map(([name, connect]) => [name, new Batcher(sinkOf(connect))]));
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
      if (!hasPlainHost(request)) {
        return problem(
          400,
          "Bad request",
          "The Host field must be a host and at most a port, as in the URL.",
        );
      }
      const { pathname } = new URL(request.url);
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

/** Some platforms make the URL of whatever the Host field says; a path or a user in it would move the route. */
function hasPlainHost(request: Request): boolean {
  const host = request.headers.get("host");
  if (!URL.canParse(request.url)) return false;
  const url = new URL(request.url);
  if (url.username !== "" || url.password !== "") return false;
  return (
    host === null || (URL.parse(`${url.protocol}//${host}/`)?.host === url.host && !/[/?#@\\]/.test(host))
  );
}

/**
 * Whether some upstream might take this path for one below the reserved prefix: after any number of rounds of
 * percent-decoding, with its parameters dropped, its dots and slashes resolved, and in any case.
 */
function isReserved(pathname: string, prefix: string): boolean {
  for (let path = pathname, round = 0; ; round++) {
    const plain = path
      .toLowerCase()
      .replaceAll("\\", "/")
      .replace(/;[^/]*/g, "")
      .replace(/\/{2,}/g, "/");
    if (`${new URL(plain.replace(/[?#]/g, "_"), "http://reserved").pathname}/`.startsWith(prefix))
      return true;
    const decoded = path.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    if (decoded === path) return false;
    // Nobody has an honest reason to encode a path so often.
    if (round === 8) return true;
    path = decoded;
  }
}
