// WebSockets between a client and an upstream that nobody here wrote, through whatever stands between them: what each
// side saw, and what must be on record of it.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

export type Message = string | Buffer;

/** One side of a WebSocket. */
export class Peer {
  readonly socket: WebSocket;
  /** The messages that have come, as they were sent. */
  readonly messages: Message[] = [];
  readonly closed: Promise<readonly [code: number, reason: string]>;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) =>
      this.messages.push(isBinary ? (data as Buffer) : data.toString()),
    );
    this.closed = once(socket, "close").then(([code, reason]) => [code, reason.toString()] as const);
  }

  send(...messages: readonly Message[]): void {
    for (const message of messages) this.socket.send(message);
  }

  /** Sends one message in so many frames. */
  sendFrames(...frames: readonly Message[]): void {
    const binary = typeof frames[0] !== "string";
    for (const [i, frame] of frames.entries()) {
      this.socket.send(frame, { binary, fin: i === frames.length - 1 });
    }
  }

  /** Resolves when so many messages have come. */
  async got(count: number): Promise<void> {
    while (this.messages.length < count) await once(this.socket, "message");
  }
}

/** A case: what the two sides do once they are connected. */
export interface SocketCase {
  readonly name: string;
  /** The subprotocols that the client offers; the upstream takes the last one. */
  readonly protocols?: readonly string[];
  play(client: Peer, upstream: Peer): Promise<void>;
  /** How it must end on record; `complete` when it is left out. */
  readonly ending?: { readonly stage: "aborted" | "failed"; readonly error: string };
  /** The close that a side gets through the edge, where without it there is none. */
  readonly hears?: { readonly client?: SeenSocket["close"]; readonly upstream?: SeenSocket["close"] };
}

/** What one side saw. */
export interface SeenSocket {
  readonly protocol: string;
  readonly messages: readonly Message[];
  readonly close: readonly [code: number, reason: string];
}

export interface SocketOutcome {
  readonly id: string | undefined;
  readonly client: SeenSocket;
  readonly upstream: SeenSocket;
}

export class SocketUpstream {
  readonly #server: Server = createServer((_, response) => response.writeHead(426).end("upgrade!"));
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: true,
    handleProtocols: offered => [...offered].at(-1) ?? false,
  });
  /** Those who wait for a connection, by its path. */
  readonly #waiting = new Map<string, (peer: Peer) => void>();

  constructor() {
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  async start(): Promise<string> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  /** The upstream's end of the next connection for a path. */
  expect(path: string): Promise<Peer> {
    const { promise, resolve } = Promise.withResolvers<Peer>();
    this.#waiting.set(path, resolve);
    return promise;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = request.url!;
    const refusal = /^\/refused\/(\d+)$/.exec(path);
    if (refusal !== null) {
      socket.end(`HTTP/1.1 ${refusal[1]} Refused\r\nX-Why: because\r\nContent-Length: 2\r\n\r\nno`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, ws => this.#waiting.get(path)!(new Peer(ws)));
  }
}

/** Plays a case through what listens at `url` and passes on to the upstream. */
export async function playSocket(
  { name, protocols, play }: SocketCase,
  url: string,
  upstream: SocketUpstream,
): Promise<SocketOutcome> {
  const path = `/${name.replace(/[^a-z0-9]+/gi, "-")}`;
  const connected = upstream.expect(path);
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, [...(protocols ?? [])]);
  const client = new Peer(socket);
  const [{ headers }] = (await once(socket, "upgrade")) as [IncomingMessage];
  if (socket.readyState === socket.CONNECTING) await once(socket, "open");
  const other = await connected;
  await play(client, other);
  return {
    id: headers["audit-id"] as string | undefined,
    client: await see(client),
    upstream: await see(other),
  };
}

async function see({ socket, messages, closed }: Peer): Promise<SeenSocket> {
  return { close: await closed, messages, protocol: socket.protocol };
}

/** What was seen, as something that is quickly compared. */
export function describeSocket({ protocol, messages, close }: SeenSocket): object {
  return {
    protocol,
    close,
    messages: messages.map(message => (typeof message === "string" ? message : [message.toString("latin1")])),
  };
}

/** What a record says of messages, as docs/format.md defines it, by Node's own hash. */
export function recordOf(messages: readonly Message[]): object {
  const hash = createHash("sha256");
  let size = 0;
  for (const message of messages) {
    const bytes = Buffer.from(message as string);
    const head = Buffer.alloc(9);
    head.writeUInt8(typeof message === "string" ? 1 : 2);
    head.writeBigUInt64BE(BigInt(bytes.length), 1);
    hash.update(head).update(bytes);
    size += bytes.length;
  }
  return { messages: messages.length, size, digest: `sha-256=:${hash.digest("base64")}:` };
}
