// The conformance test on a runtime that runs the edge as one process.
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { RuntimeName } from "../../scripts/runtimes.ts";
import { startEdge } from "../e2e/edge.ts";
import { spawnOn } from "../hosts/host.ts";
import { testSockets } from "./socketsuite.ts";
import { type Hosts, testConformance } from "./suite.ts";

/** The plain pass-through on a runtime. */
async function startPassThrough(runtime: RuntimeName, upstream: string) {
  const child = spawnOn(runtime, join(import.meta.dirname, "passthrough.mjs"), [upstream]);
  const [port] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** What Node's parser refuses with 400, on all three. */
const UNSEEN = ["method FOO", "method get", "method X!#$%&'*+-.^_`|~0", "target: bytes of UTF-8 as they are"];

/** What it takes for no HTTP when an upstream says it. */
const UNREADABLE = ["odd: an answer with the same length twice", "odd: an answer with bare line feeds"];

export function testEmbedded(
  runtime: RuntimeName,
  { unseen = [], reasons }: Partial<Pick<Hosts, "unseen" | "reasons">>,
): void {
  const hosts = {
    platform: runtime,
    startPassThrough: (upstream: string) => startPassThrough(runtime, upstream),
    startEdge: (upstream: string) => startEdge({ upstream, args: ["--runtime", runtime] }),
  };
  const peculiarities = { unseen: [...UNSEEN, ...unseen], unreadable: UNREADABLE, reasons };
  testConformance({ ...hosts, form: "by name", ...peculiarities });
  testSockets(hosts);
}
