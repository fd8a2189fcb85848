// The Cloudflare Worker: binds the edge to the platform's fetch, Durable Objects and buckets.
import { anchorObject, type Env, readEnvironment } from "../../durable/objects.ts";
import type { App } from "../edge/app.ts";
import type { ClientCertificate } from "../edge/certificate.ts";
import type { Platform } from "../edge/platform.ts";
import type { Socket } from "../edge/websocket.ts";
import { openApp } from "./parts.ts";
import { bucketArchive, bucketSpool } from "./stores.ts";

export { AnchorObject, LedgerObject, VaultObject } from "../../durable/objects.ts";

/** What the Web interfaces leave open: bodies pass in the coding they came in, redirects are passed on. */
const platform: Platform = {
  send: (url, init) => fetch(url, { ...init, encodeResponseBody: "manual" } as RequestInit),
  fetch: (url, init) => fetch(url, init),
  respond: (body, init) => new Response(body, { ...init, encodeBody: "manual" }),
  passThrough: bytes => (bytes === undefined ? new IdentityTransformStream() : new FixedLengthStream(bytes)),
  socketOf: ({ webSocket }) => (webSocket ? openSocket(webSocket) : undefined),
  upgrade(headers) {
    const { 0: client, 1: own } = new WebSocketPair();
    return {
      socket: openSocket(own),
      response: new Response(null, { status: 101, headers, webSocket: client }),
    };
  },
};

/** A close without a code, as the platform's events tell of it (RFC 6455 section 7.1.5). */
const NO_CODE = 1005;

function openSocket(socket: WebSocket): Socket {
  socket.binaryType = "arraybuffer";
  // Half open: a close is answered with the other side's own, and not by the platform at once.
  let open = () => {
    open = () => {};
    socket.accept({ allowHalfOpen: true });
  };
  return {
    listen({ message, close, lost }) {
      socket.addEventListener("message", ({ data }) =>
        message(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer)),
      );
      socket.addEventListener("close", ({ code, reason, wasClean }) =>
        wasClean ? close(code === NO_CODE ? undefined : code, reason) : lost(),
      );
      socket.addEventListener("error", lost);
      open();
    },
    send: message => socket.send(message),
    close(code, reason) {
      open();
      try {
        if (code === undefined) socket.close();
        else socket.close(code, reason);
      } catch {
        // The code is one that the platform lets nobody send.
        socket.close();
      }
    },
  };
}

interface Edge {
  readonly app: App;
  /** Whether Cloudflare's front stands before it, so that what comes beside a request was told by that. */
  readonly hasFront: boolean;
}

let edge: Edge | undefined;

export default {
  async fetch(request, env, context) {
    // Each request that comes before there is an edge makes one: a promise must not be shared by requests.
    edge ??= await start(env);
    return edge.app(request, {
      waitUntil: work => context.waitUntil(work),
      certificate: edge.hasFront ? certificateOf(request.cf?.tlsClientAuth) : undefined,
    });
  },
} satisfies ExportedHandler<Env>;

/** What Cloudflare's front tells of the client's certificate: beside the request, where no client can write. */
function certificateOf(
  tls: IncomingRequestCfProperties["tlsClientAuth"] | undefined,
): ClientCertificate | undefined {
  if (tls?.certPresented !== "1") return undefined;
  return {
    verified: tls.certVerified === "SUCCESS" && tls.certRevoked === "0",
    fingerprint: tls.certFingerprintSHA256,
    subject: tls.certSubjectDNRFC2253,
  };
}

async function start(env: Env): Promise<Edge> {
  const environment = await readEnvironment(env);
  const app = openApp(environment, {
    archive: bucketArchive(env.ARCHIVE),
    spool: bucketSpool(env.ARCHIVE),
    anchors: bucketArchive(env.ANCHORS),
    platform,
    ledger: name => env.LEDGER.get(env.LEDGER.idFromName(name)),
    vault: name => env.VAULT.get(env.VAULT.idFromName(name)),
    anchorWriter: () => anchorObject(env),
  });
  return { app, hasFront: environment.policy.client_address === "cf-connecting-ip" };
}
