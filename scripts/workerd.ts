// The worker in real workerd on this machine, as Miniflare sets it up from wrangler.toml: Durable Objects
// on SQLite and buckets in files, both below one folder. Clients reach workerd directly: no process stands
// before it that would change a header, an encoding or a byte of what the receipts are about.
import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { basename } from "node:path";
import { convertV4MiniflareOptions, type Json, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import type { Config } from "./config.ts";
import { bundleWorker } from "./worker.ts";

export interface WorkerdOptions {
  readonly config: Config;
  /** The worker's environment, but for its objects and buckets: vars and secrets. */
  readonly bindings: Record<string, unknown>;
  readonly host: string;
  readonly port: number;
  /** The folder for what objects and buckets store. */
  readonly storage: string;
}

export interface Workerd {
  readonly pid: number;
  /** What workerd ended by, a signal or an exit code, once it has. Nothing may count on a restart. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** Starts the worker that a configuration names, and returns when it serves. */
export async function startWorkerd({
  config,
  bindings,
  host,
  port,
  storage,
}: WorkerdOptions): Promise<Workerd> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(config);
  const options = convertV4MiniflareOptions({
    log: new Log(LogLevel.ERROR),
    logRequests: false,
    cf: false,
    resourcePersistencePath: storage,
    workers: [
      {
        ...workerOptions,
        name: config.name!,
        modules: [{ type: "ESModule", path: "worker.js", contents: await bundleWorker(config.main!) }],
        bindings: bindings as Record<string, Json>,
        stripCfConnectingIp: false,
        unsafeDirectSockets: [{ host, port }],
      },
    ],
  });
  const children = new Set<ChildProcess>();
  const remember = (message: unknown) => children.add((message as { process: ChildProcess }).process);
  subscribe("child_process", remember);
  const miniflare = new Miniflare(options);
  try {
    await miniflare.ready;
  } finally {
    unsubscribe("child_process", remember);
  }
  const workerd = [...children].find(child => basename(child.spawnfile).startsWith("workerd"))!;
  return {
    pid: workerd.pid!,
    ended: once(workerd, "exit").then(([code, signal]) => signal ?? `exit code ${code}`),
    stop: () => miniflare.dispose(),
  };
}
