// The platform and the server that Node, Deno and Bun have in common: Node's own HTTP, which the other two speak as
// exactly, and far more so than their own servers and clients pass an exchange through (docs/conformance.md).
import type { Platform } from "../edge/platform.ts";
import { asHeaders, makeResponse } from "./message.ts";
import type { Runtime } from "./runtime.ts";
import { listen } from "./server.ts";
import { createSockets, type Library } from "./socket.ts";
import { send } from "./upstream.ts";

/** @param library `ws`, as the runtime can load it. */
export function createRuntime(name: Runtime["name"], library: Library): Runtime {
  const sockets = createSockets(library);
  const platform: Platform = {
    send: async (url, init) =>
      asHeaders(init.headers).get("upgrade") === "websocket" ? sockets.connect(url, init) : send(url, init),
    fetch: (url, init) => fetch(url, init),
    respond: makeResponse,
    // Standard streams hand on what they are given, and have nothing of their own that could hold it.
    passThrough: () => new TransformStream(),
    socketOf: sockets.socketOf,
    upgrade: sockets.upgrade,
  };
  return { name, platform, listen: options => listen(options, sockets) };
}
