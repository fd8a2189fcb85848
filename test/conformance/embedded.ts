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

/** After such an offer, Node drops what follows the request, so the host closes the connection. */
const DIFFERENT = {
  "request field of one hop: an offer to upgrade to HTTP/2": ["connection: keep-alive", "connection: close"],
} as const;

export function testEmbedded(
  runtime: RuntimeName,
  { unseen = [], different = {} }: Partial<Pick<Hosts, "unseen" | "different">>,
): void {
  const hosts = {
    platform: runtime,
    startPassThrough: (upstream: string) => startPassThrough(runtime, upstream),
    startEdge: (upstream: string) => startEdge({ upstream, args: ["--runtime", runtime] }),
  };
  testConformance({
    ...hosts,
    form: "by name",
    unseen: [...UNSEEN, ...unseen],
    explains: true,
    unreadable: UNREADABLE,
    different: { ...DIFFERENT, ...different },
  });
  testSockets(hosts);
}
