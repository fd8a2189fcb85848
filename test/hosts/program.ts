// A host without an edge, for tests of what hosts do by themselves: a program that runs on Node, Deno and Bun, serves by
// their `listen` and answers by path. It tells on stdout, a line each, where it serves and what befalls it.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Relay } from "../../src/edge/websocket.ts";
import type { ListenOptions, Runtime } from "../../src/hosts/runtime.ts";

const [name, tls, clientCa] = process.argv.slice(2);
const { runtime }: { runtime: Runtime } = await import(`../../src/hosts/${name}.ts`);
const tell = (what: object) => console.log(JSON.stringify(what));
console.error = (...logged: unknown[]) => tell({ logged: logged.map(String).join(" ") });
const read = (file: string) => readFileSync(`${tls}/${file}`, "utf8");

/** Resolve when the test says so. */
const released = Promise.withResolvers<void>();
process.stdin.on("data", () => released.resolve());

const { platform } = runtime;
let relay: Relay | undefined;
const options: ListenOptions = {
  host: "127.0.0.1",
  port: 0,
  ...(tls && {
    tls: { cert: read("server.pem"), key: read("server.key"), ...(clientCa && { clientCa: read(clientCa) }) },
  }),
  async handle(request, { address, certificate, waitUntil }) {
    const url = URL.parse(request.url);
    if (url === null) return platform.respond(null, { status: 400 });
    tell({ asked: url.pathname });
    const { signal } = request;
    signal.addEventListener("abort", () => tell({ aborted: url.pathname, because: signal.reason?.error }));
    // Whether there is a body is looked at, as the edge does, and no more.
    if (url.pathname === "/unread") return platform.respond(null, { status: request.body ? 401 : 404 });
    if (url.pathname === "/late") waitUntil(released.promise.then(() => tell({ done: url.pathname })));
    if (url.pathname === "/hold") await released.promise;
    if (url.pathname === "/endless") {
      const { readable, writable } = platform.passThrough(undefined);
      void produce(writable.getWriter());
      return platform.respond(readable, { status: 200 });
    }
    if (url.pathname === "/up") {
      const upstream = url.searchParams.get("url")!;
      const { method, headers, body } = request;
      const sent = platform.send(upstream, { method, headers, body, signal });
      return sent.then(
        answer => platform.respond(answer.body, answer),
        () => platform.respond(null, { status: 502 }),
      );
    }
    if (url.pathname === "/relay") {
      const headers = { upgrade: "websocket" };
      const answer = await platform.send(url.searchParams.get("url")!, { headers });
      const { socket, response } = platform.upgrade(new Headers());
      relay = new Relay(socket, platform.socketOf(answer)!, false, () => {});
      return response;
    }
    if (url.pathname === "/relayed") {
      return platform.respond(new TextEncoder().encode(JSON.stringify(relay!.read())), { status: 200 });
    }
    const read = await new Response(request.body).arrayBuffer().catch(() => undefined);
    if (read === undefined) return platform.respond(null, { status: 400 });
    const body = Buffer.from(read);
    const seen = {
      method: request.method,
      url: request.url,
      headers: [...request.headers],
      size: body.length,
      sha256: createHash("sha256").update(body).digest("hex"),
      address,
      certificate,
    };
    return platform.respond(new TextEncoder().encode(JSON.stringify(seen)), { status: 200 });
  },
};
const listening = await runtime.listen(options).catch(({ message }: Error) => {
  tell({ refused: message });
  return process.exit(1);
});
tell({ url: listening.url });

/** Writes until nobody reads it any more, and tells how much that was. */
async function produce(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  let bytes = 0;
  try {
    for (;;) {
      await writer.write(new Uint8Array(64 * 1024));
      bytes += 64 * 1024;
    }
  } catch {
    tell({ produced: bytes });
  }
}

process.on("SIGTERM", async () => {
  tell({ stopping: true });
  await listening.stop(20_000);
  tell({ stopped: true });
  process.exit(0);
});
