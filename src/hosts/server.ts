// The HTTP server of a host: Node's own, with the edge behind it. It refuses what its parser finds malformed (two
// lengths, a length and chunks, a head too large), and what is no request for a resource of HTTP/1.1, before the edge
// hears of it; everything else is for the edge. A connection has one request at a time, and none without an end.
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { EDGE_STOPPED } from "../edge/pass.ts";
import { problem } from "../edge/problem.ts";
import { readCertificate } from "./certificate.ts";
import {
  contentOf,
  FIELDS_MAX,
  makeRequest,
  openStream,
  pour,
  readFields,
  sendHead,
  writeFields,
} from "./message.ts";
import type { Listening, ListenOptions, TlsOptions } from "./runtime.ts";
import type { Sockets } from "./socket.ts";

/** More than any policy allows, so that the edge can say on record what it refuses. */
const HEAD_BYTES_MAX = 256 * 1024;

/** How long a client may take to send a head, and to begin with the next one on the same connection, in ms. */
const HEAD_MS = 60_000;
const IDLE_MS = 65_000;

/** How long a client may go on sending a body that nobody reads, once it has its answer, in ms. */
const LINGER_MS = 5000;

/** How many requests may wait on a connection for the one before them: the few clients that do so send some ten ahead. */
const WAITING_MAX = 100;

/** How long clients may take for the answers of what was broken off when the server is stopped, in ms. */
const ANSWER_MS = 1000;

/** How long what is to be done behind the answers may take when the server is stopped, in ms. */
const WORK_MS = 10_000;

const OPTIONS = {
  maxHeaderSize: HEAD_BYTES_MAX,
  headersTimeout: HEAD_MS,
  keepAliveTimeout: IDLE_MS,
  // A body may take as long as it likes; the edge limits how long it may be silent.
  requestTimeout: 0,
  insecureHTTPParser: false,
  // A request without a host is for the edge to refuse, on record.
  requireHostHeader: false,
  // Any other protocol is an offer that a server need not take up (RFC 9110 section 7.8).
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
};

/** Starts a server, as `Runtime.listen` says. */
export async function listen(options: ListenOptions, sockets: Sockets): Promise<Listening> {
  const { host, port, tls } = options;
  const server = tls === undefined ? createServer(OPTIONS) : createSecure(tls);
  // None are dropped without a word: how large a head may be is limited as it is.
  server.maxHeadersCount = 0;
  const desk = new Desk(server, options, sockets);
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen({ host, port }, resolve);
  }).catch((error: Error) => {
    throw new Error(`cannot serve at ${host}:${port}: ${error.message}`);
  });
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http${tls ? "s" : ""}://${name}:${bound}`,
    port: bound,
    stop: finishMs => desk.close(finishMs),
  };
}

function createSecure({ cert, key, clientCa }: TlsOptions): Server {
  const asking = clientCa === undefined ? {} : { ca: clientCa, requestCert: true };
  try {
    // Not every runtime looks at them before somebody connects.
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
      throw new Error("they do not belong together");
    }
    if (clientCa !== undefined) new X509Certificate(clientCa);
    // Whether a certificate is needed, and which is accepted, is for the route: the edge hears of each.
    return createSecureServer({ ...OPTIONS, ...asking, cert, key, rejectUnauthorized: false });
  } catch (error) {
    throw new Error(`the certificate or the key for TLS cannot be used: ${(error as Error).message}`);
  }
}

/** Takes requests and sees to their answers. */
class Desk {
  readonly #server: Server;
  readonly #options: ListenOptions;
  readonly #sockets: Sockets;
  readonly #protocol: string;
  /** What has begun: requests without a whole answer yet, WebSockets, and work that nobody waits for. */
  readonly #exchanges = new Map<Promise<void>, AbortController>();
  readonly #upgraded = new Map<Duplex, AbortController>();
  readonly #work = new Set<Promise<unknown>>();
  /** What waits on each connection whose request is not answered yet. */
  readonly #waiting = new Map<Socket, (() => void)[]>();
  #isClosing = false;
  /** Nothing more is begun: nobody would wait for its end. */
  #isClosed = false;

  constructor(server: Server, options: ListenOptions, sockets: Sockets) {
    this.#server = server;
    this.#options = options;
    this.#sockets = sockets;
    this.#protocol = options.tls === undefined ? "http:" : "https:";
    server
      .on("request", (incoming, outgoing) => this.#queue(incoming, outgoing))
      .on("checkContinue", (incoming, outgoing) => this.#queue(incoming, outgoing))
      // Nobody here can meet any other expectation, and nobody is told that it was met.
      .on("checkExpectation", (incoming, outgoing) => this.#queue(incoming, outgoing))
      .on("upgrade", (incoming, connection, head) => this.#takeUpgrade(incoming, connection, head))
      .on("connect", (_, connection) => void refuse(noTunnel(), connection));
  }

  async close(finishMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const closed = new Promise(resolve => this.#server.once("close", resolve));
    this.#server.close();
    this.#server.closeIdleConnections();
    // A WebSocket has no end to wait for.
    for (const controller of this.#upgraded.values()) controller.abort(EDGE_STOPPED);
    await within(finishMs, this.#finish());
    this.#isClosed = true;
    for (const controller of this.#exchanges.values()) controller.abort(EDGE_STOPPED);
    // What a client does not take holds up its own ending, and that is to be on record.
    await within(ANSWER_MS, this.#finish());
    this.#server.closeAllConnections();
    while (this.#work.size > 0) {
      if (!(await within(WORK_MS, Promise.allSettled(this.#work)))) break;
    }
    for (const connection of this.#upgraded.keys()) connection.destroy();
    await closed;
  }

  /** Resolves when all that has begun was answered, and what has begun meanwhile. */
  async #finish(): Promise<void> {
    while (this.#exchanges.size > 0) await Promise.all(this.#exchanges.keys());
  }

  /** Takes the requests of one connection one after another: who sends many at once must not have more than its share. */
  #queue(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, []);
      this.#take(incoming, outgoing);
    } else if (waiting.length < WAITING_MAX) waiting.push(() => this.#take(incoming, outgoing));
    else socket.destroy();
  }

  /** A request of this connection is done. */
  #next(socket: Socket): void {
    const next = socket.destroyed ? undefined : this.#waiting.get(socket)?.shift();
    if (next === undefined) this.#waiting.delete(socket);
    else next();
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    // Nobody would hear the answer, so it is not asked for. A client that is gone may have no address any more.
    if (this.#isClosed || !socket.writable || socket.remoteAddress === undefined) {
      socket.destroy();
      this.#next(socket);
      return;
    }
    const controller = new AbortController();
    // After an offer of another protocol, Node drops what follows the request: the next one would pass unseen.
    if (incoming.headers.upgrade !== undefined) outgoing.shouldKeepAlive = false;
    // Nobody will ask for a body that there is none of, and Node closes the connection of a client that was not told.
    if (expectsToBeAsked(incoming) && !hasBody(incoming)) outgoing.writeContinue();
    const done = new Promise<void>(resolve => {
      outgoing
        .on("error", () => {})
        .on("close", () => {
          // A client that has its whole answer may go.
          if (!outgoing.writableFinished) controller.abort();
          resolve();
        });
    });
    this.#exchanges.set(done, controller);
    void done.then(() => {
      this.#exchanges.delete(done);
      this.#next(socket);
    });
    const body = new IncomingBody(incoming, outgoing);
    void this.#ask(incoming, () => body.open(), controller.signal).then(async response => {
      await this.#answer(response, outgoing);
      body.drop();
    });
  }

  async #answer(response: Response, outgoing: ServerResponse): Promise<void> {
    if (outgoing.destroyed) {
      const content = contentOf(response);
      if (content instanceof ReadableStream) await content.cancel().catch(() => {});
      return;
    }
    const content = contentOf(response);
    const fields = fieldsOf(response);
    if (this.#isClosing) fields.push("connection", "close");
    outgoing.writeHead(response.status, reasonOf(response), fields);
    if (content === null) outgoing.end();
    else if (content instanceof Uint8Array) outgoing.end(content);
    else {
      sendHead(outgoing);
      await pour(content, outgoing);
    }
    if (this.#isClosing) outgoing.once("finish", () => this.#server.closeIdleConnections());
  }

  #takeUpgrade(incoming: IncomingMessage, connection: Duplex, head: Buffer): void {
    // An answer before it is still on its way, and they would mix.
    if (this.#waiting.has(incoming.socket)) return void connection.destroy();
    // As for any request; and a WebSocket would have no end to wait for.
    if (this.#isClosing || incoming.socket.remoteAddress === undefined) return void connection.destroy();
    const controller = new AbortController();
    connection
      .on("error", () => {})
      .on("close", () => {
        this.#upgraded.delete(connection);
        controller.abort();
      });
    this.#upgraded.set(connection, controller);
    const refusal = refuseUpgrade(incoming);
    const answer =
      refusal === undefined
        ? this.#ask(incoming, () => null, controller.signal)
        : Promise.resolve(problem(400, "Bad request", refusal, { "sec-websocket-version": "13" }));
    void answer.then(response => {
      if (response.status === 101) this.#sockets.accept(incoming, connection, head, response);
      else void refuse(response, connection);
    });
  }

  /** Asks the edge. */
  async #ask(
    incoming: IncomingMessage,
    openBody: () => ReadableStream<Uint8Array<ArrayBuffer>> | null,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      const oddity = refuseFraming(incoming);
      if (oddity !== undefined) return oddity;
      if (incoming.rawHeaders.length > 2 * FIELDS_MAX) {
        return problem(431, "Request header fields too large", `At most ${FIELDS_MAX} are taken.`);
      }
      const headers = readFields(incoming.rawHeaders);
      // An offer without its Connection field is none, and one of another protocol is not taken up.
      if (!isHandshake(incoming)) headers.delete("upgrade");
      const url = urlOf(incoming, this.#protocol, headers);
      if (url === undefined)
        return problem(400, "Bad request", "The target must be a path, or a URL of HTTP.");
      const request = makeRequest({ method: incoming.method!, url, headers, signal, openBody });
      return await this.#options.handle(request, this.#context(incoming.socket));
    } catch (error) {
      console.error(error);
      return problem(500, "Internal error", "The edge failed; nothing was released.");
    }
  }

  #context(socket: Socket): Parameters<ListenOptions["handle"]>[1] {
    return {
      waitUntil: work => {
        const settled = work.catch(() => {});
        this.#work.add(settled);
        void settled.then(() => this.#work.delete(settled));
      },
      certificate:
        this.#options.tls?.clientCa === undefined ? undefined : readCertificate(socket as TLSSocket),
      address: socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, ""),
    };
  }
}

/** The body of a request, on its way in. */
class IncomingBody {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  #isRead = false;
  #isDropped = false;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  open(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (!hasBody(this.#incoming)) return null;
    return openStream(
      this.#incoming,
      () => {
        this.#isRead = false;
        if (this.#isDropped) this.drop();
      },
      () => this.#begin(),
    );
  }

  /** Somebody reads it: a client that asks whether to send it is told so, unless it has its answer already. */
  #begin(): void {
    if (this.#isRead) return;
    if (this.#isDropped) throw new Error("the body was thrown away");
    this.#isRead = true;
    if (expectsToBeAsked(this.#incoming) && !this.#outgoing.headersSent) this.#outgoing.writeContinue();
  }

  /** The answer is out: what still comes is thrown away, for a while, unless somebody reads it. */
  drop(): void {
    this.#isDropped = true;
    if (this.#isRead || this.#incoming.complete) return;
    const timer = setTimeout(() => this.#incoming.destroy(), LINGER_MS);
    this.#incoming
      .removeAllListeners("data")
      .on("close", () => clearTimeout(timer))
      .resume();
  }
}

/** The reason of an answer; the usual one where it has none, which is what the edge's own have. */
function reasonOf({ status, statusText }: Response): string {
  return statusText === "" ? (STATUS_CODES[status] ?? "") : statusText;
}

/** The fields of an answer; what is at hand whole has a length. */
function fieldsOf(response: Response): string[] {
  const fields = writeFields(response.headers);
  const content = contentOf(response);
  if (content instanceof Uint8Array && !response.headers.has("content-length")) {
    fields.push("content-length", `${content.length}`);
  }
  return fields;
}

/** Whether a request begins a WebSocket: an offer that Connection does not name is none. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  return (
    method === "GET" &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? "")
  );
}

/** What is wrong with a request for an upgrade; undefined if nothing is. */
function refuseUpgrade(incoming: IncomingMessage): string | undefined {
  const { headers } = incoming;
  if (hasBody(incoming)) return "A request for an upgrade has no body.";
  if (!isHandshake(incoming)) return undefined;
  // RFC 6455 section 4.2.1.
  if (headers["sec-websocket-version"] !== "13") return "Sec-WebSocket-Version must be 13.";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return "Sec-WebSocket-Key must be 16 bytes in base64.";
  }
  return undefined;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

/** Whether the client sends its body when it is asked to. One of HTTP/1.0 must not be (RFC 9110 section 10.1.1). */
function expectsToBeAsked({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === "1.1" && headers.expect?.toLowerCase() === "100-continue";
}

/** What is wrong with how a message is framed that the parser lets by; undefined if nothing is. */
function refuseFraming({ headers, httpVersion, httpVersionMajor }: IncomingMessage): Response | undefined {
  if (httpVersionMajor !== 1) {
    return problem(505, "HTTP version not supported", `Expected HTTP/1.1, and not HTTP/${httpVersion}.`);
  }
  // Whoever speaks HTTP/1.0 may see another end of it (RFC 9112 section 6.1).
  if (httpVersion === "1.0" && headers["transfer-encoding"] !== undefined) {
    return problem(400, "Bad request", "A request of HTTP/1.0 has no Transfer-Encoding.");
  }
  return undefined;
}

function noTunnel(): Response {
  return problem(501, "Not implemented", "This is no proxy that CONNECT could ask for a tunnel.");
}

/**
 * The URL that a request is for; empty, which the edge refuses, unless there is one Host field that says something.
 * A target in absolute form outdoes it (RFC 9112 section 3.2). @returns undefined for a target of another form.
 */
function urlOf({ url }: IncomingMessage, protocol: string, headers: Headers): string | undefined {
  const host = headers.get("host");
  const isPath = url!.startsWith("/");
  const absolute = /^https?:\/\//i.test(url!) ? URL.parse(url!) : null;
  if (!isPath && absolute === null) return undefined;
  // Several fields are one here, with spaces in it.
  if (host === null || host === "" || /\s/.test(host)) return "";
  if (absolute === null) return `${protocol}//${host}${url}`;
  headers.set("host", absolute.host);
  return `${protocol}${absolute.href.slice(absolute.protocol.length)}`;
}

/** Answers a request for an upgrade or a tunnel with something else, on the bare connection. */
async function refuse(response: Response, connection: Duplex): Promise<void> {
  connection.on("error", () => {});
  const fields = [...fieldsOf(response), "connection", "close"];
  const lines = fields.flatMap((text, i) => (i % 2 === 0 ? `${text}: ${fields[i + 1]}` : []));
  const head = [`HTTP/1.1 ${response.status} ${reasonOf(response)}`, ...lines, "", ""].join("\r\n");
  connection.write(Buffer.from(head, "latin1"));
  const content = contentOf(response);
  if (content instanceof ReadableStream) await pour(content, connection);
  else connection.end(content ?? undefined);
  // Nobody else sees to it that a client leaves which has its answer.
  if (connection.destroyed) return;
  const timer = setTimeout(() => connection.destroy(), LINGER_MS);
  connection.on("close", () => clearTimeout(timer)).resume();
}

/** @returns whether it was done in time. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const inTime = await Promise.race([
    work.then(() => true),
    wait(ms, false, { signal: late.signal, ref: false }),
  ]).catch(() => false);
  late.abort();
  return inTime;
}
