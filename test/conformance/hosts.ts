// What stands between client and upstream: a plain pass-through, and the edge, both on the same platform.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readConfig } from "../../scripts/config.ts";
import { findPort } from "../../scripts/port.ts";
import { startWorkerd } from "../../scripts/workerd.ts";

export interface PassThrough {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** A worker that only passes on, in workerd, under the edge's compatibility date and flags. */
export async function startPassThrough(upstream: string): Promise<PassThrough> {
  const port = await findPort("127.0.0.1");
  const storage = await mkdtemp(join(tmpdir(), "counterfoil-"));
  const workerd = await startWorkerd({
    config: {
      ...readConfig(),
      name: "passthrough",
      main: resolve(import.meta.dirname, "passthrough.js"),
      durable_objects: { bindings: [] },
      migrations: [],
      r2_buckets: [],
      vars: {},
    },
    bindings: { UPSTREAM: upstream },
    host: "127.0.0.1",
    port,
    storage,
  });
  return {
    url: `http://127.0.0.1:${port}`,
    pid: workerd.pid,
    async stop() {
      await workerd.stop();
      await rm(storage, { recursive: true, force: true });
    },
  };
}
