// Bun: Node's HTTP as it is in Bun. In the place of ws, Bun puts something of its own, which closes WebSockets by
// itself; so the library is loaded from where it is installed.
import { createRequire } from "node:module";
import { createRuntime } from "./embedded.ts";
import type { Runtime } from "./runtime.ts";
import type { Library } from "./socket.ts";

const require = createRequire(import.meta.url);
const library: Library = require(require.resolve("ws/package.json").replace("package.json", "index.js"));

const common = createRuntime("bun", library);

export const runtime: Runtime = {
  ...common,
  async listen(options) {
    if (options.tls?.clientCa === undefined) return common.listen(options);
    throw new Error(
      "Bun does not tell of the certificates of clients: serve without an authority for them, or on Node or Deno",
    );
  },
};
