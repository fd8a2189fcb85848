// The HTTP server of a host: Node's own, with the edge behind it. What its parser finds malformed, and what is no request
// for a resource of HTTP/1.1, is refused before the edge hears of it (refusal.ts), and counted in the log; everything else
// is for the edge. A connection has one request at a time, and none without an end.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { Complaints } from "../edge/complaints.ts";
import { CLIENT_STUCK, EDGE_STOPPED } from "../edge/pass.ts";
import { problem } from "../edge/problem.ts";
import { readCertificate } from "./certificate.ts";
import {
  contentOf,
  fieldsOf,
  HEAD_BYTES_MAX,
  makeRequest,
  openStream,
  patienceFor,
  pour,
  readFields,
  reasonOf,
  sendHead,
} from "./message.ts";
import {
  answerBarely,
  hasBody,
  isHandshake,
  refuseFraming,
  refuseTunnel,
  refuseUnread,
  refuseUpgrade,
} from "./refusal.ts";
import type { Listening, ListenOptions, TlsOptions } from "./runtime.ts";
import type { Sockets } from "./socket.ts";

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

/** The request that a connection has been asked, and what waits for its answer. */
interface Line {
  request?: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse; abort(): void };
  readonly waiting: (() => void)[];
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
  /** Each connection with a request that is not answered yet. */
  readonly #lines = new Map<Duplex, Line>();
  /** Connections on which nothing more is taken, because something could not be read. */
  readonly #garbled = new WeakSet<Duplex>();
  readonly #complaints = new Complaints(Date.now);
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
      .on("connect", ({ socket }, connection) => this.#refuseTunnel(socket, connection))
      .on("clientError", (error: NodeJS.ErrnoException, connection) => this.#refuseUnread(error, connection));
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
    this.#complaints.end();
  }

  /** Resolves when all that has begun was answered, and what has begun meanwhile. */
  async #finish(): Promise<void> {
    while (this.#exchanges.size > 0) await Promise.all(this.#exchanges.keys());
  }

  /** Takes the requests of one connection one after another: who sends many at once must not have more than its share. */
  #queue(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    const line = this.#lines.get(socket);
    if (line === undefined) {
      this.#lines.set(socket, { waiting: [] });
      this.#take(incoming, outgoing);
    } else if (line.waiting.length < WAITING_MAX) line.waiting.push(() => this.#take(incoming, outgoing));
    else socket.destroy();
  }

  /** A request of this connection is done. */
  #next(socket: Socket): void {
    const next = socket.destroyed ? undefined : this.#lines.get(socket)?.waiting.shift();
    if (next === undefined) this.#lines.delete(socket);
    else next();
  }

  /** Answers what could not be read, when its turn has come: who sent it takes any answer for that to its first request. */
  #refuseUnread({ code, message }: NodeJS.ErrnoException, connection: Duplex): void {
    const refusal = refuseUnread(code);
    if (refusal === undefined || !connection.writable) return void connection.destroy();
    if (this.#garbled.has(connection)) return;
    this.#garbled.add(connection);
    // Most of those that are late have only kept a connection at hand. The error itself has what was sent.
    if (refusal.status !== 408)
      this.#complaints.make("what is no HTTP was refused", [code!], message, () => {});
    const answer = () => {
      this.#lines.delete(connection);
      void answerBarely(refusal, connection);
    };
    const line = this.#lines.get(connection);
    if (line?.request === undefined) answer();
    else if (line.request.incoming.complete) line.waiting.push(answer);
    else {
      // It is the body of this request, of which nobody will ever know the end.
      line.request.abort();
      if (line.request.outgoing.headersSent) connection.destroy();
      else answer();
    }
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
    this.#lines.get(socket)!.request = { incoming, outgoing, abort: () => controller.abort() };
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
    const stuck = () => {
      controller.abort(CLIENT_STUCK);
      outgoing.destroy();
    };
    void this.#ask(incoming, () => body.open(), controller.signal).then(async response => {
      await this.#answer(response, outgoing, stuck);
      body.drop();
    });
  }

  /** @param stuck Called when the client does not take the answer. */
  async #answer(response: Response, outgoing: ServerResponse, stuck: () => void): Promise<void> {
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
      await pour(content, outgoing, stuck);
    }
    if (!outgoing.writableFinished && !outgoing.destroyed) {
      const timer = setTimeout(stuck, patienceFor(content instanceof Uint8Array ? content.length : 0));
      outgoing.on("close", () => clearTimeout(timer));
    }
    if (this.#isClosing) outgoing.once("finish", () => this.#server.closeIdleConnections());
  }

  #refuseTunnel(socket: Socket, connection: Duplex): void {
    // An answer before it is still on its way, and its client would take this one for that.
    if (this.#lines.has(socket)) connection.destroy();
    else void answerBarely(refuseTunnel(), connection);
  }

  #takeUpgrade(incoming: IncomingMessage, connection: Duplex, head: Buffer): void {
    // As above.
    if (this.#lines.has(incoming.socket)) return void connection.destroy();
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
      refusal === undefined ? this.#ask(incoming, () => null, controller.signal) : Promise.resolve(refusal);
    void answer.then(response => {
      if (response.status === 101) this.#sockets.accept(incoming, connection, head, response);
      else void answerBarely(response, connection);
    });
  }

  /** Asks the edge. */
  async #ask(
    incoming: IncomingMessage,
    openBody: () => ReadableStream<Uint8Array<ArrayBuffer>> | null,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      const refusal = refuseFraming(incoming);
      if (refusal !== undefined) return refusal;
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

/** Whether the client sends its body when it is asked to. One of HTTP/1.0 must not be (RFC 9110 section 10.1.1). */
function expectsToBeAsked({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === "1.1" && headers.expect?.toLowerCase() === "100-continue";
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
