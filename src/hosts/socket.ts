// WebSockets by the library ws, half open as the edge needs them: a close is answered with the other side's own, and
// not by the library at once; and nothing is read before somebody listens.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket as LibrarySocket, RawData } from "ws";
import type { Socket, SocketListener } from "../edge/websocket.ts";
import { makeResponse, patienceFor } from "./message.ts";
import { responseOf } from "./upstream.ts";

/** What is used of the library. Handed in, because a runtime may put something else in its place. */
export type Library = Pick<typeof import("ws"), "WebSocket" | "WebSocketServer">;

/** The most bytes of a message, as on Workers. */
const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;

/** How many bytes may wait for a side that reads slowly, before the other one is read no further. */
const WAITING_BYTES_MAX = 1024 * 1024;

/** A close without a code, as the library tells of it (RFC 6455 section 7.1.5). */
const NO_CODE = 1005;

/** Compression is for one hop, and its bombs for none. */
const OPTIONS = { perMessageDeflate: false, maxPayload: MESSAGE_BYTES_MAX } as const;

/** Fields of the handshake, which the library writes by itself. */
const OWN_FIELDS = /^(connection|upgrade|sec-websocket-.*)$/;

/** A socket whose closing is in the hands of whoever listens. */
interface HalfOpenSocket extends LibrarySocket {
  /** Sends the close. */
  finish(code?: number, reason?: string): void;
}

export type Sockets = ReturnType<typeof createSockets>;

export function createSockets({ WebSocket, WebSocketServer }: Library) {
  /** Emits `closing` with a code and a reason when the other side says that it sends no more. */
  class HalfOpen extends WebSocket implements HalfOpenSocket {
    /** The library calls it to answer a close, without a code or with one and a reason, and to refuse, with a code. */
    override close(code?: number, reason?: string | Buffer): void {
      if (code !== undefined && reason === undefined) super.close(code);
      else this.emit("closing", code ?? NO_CODE, reason ?? "");
    }

    finish(code?: number, reason?: string): void {
      super.close(code, reason);
    }
  }

  const ends = new WeakMap<Response, End>();
  const handshakes = new WeakMap<IncomingMessage, Headers>();
  const server = new WebSocketServer({
    ...OPTIONS,
    noServer: true,
    clientTracking: false,
    WebSocket: HalfOpen,
    handleProtocols: (_, request) => handshakes.get(request)?.get("sec-websocket-protocol") ?? false,
  });
  server.on("headers", (lines, request) => {
    for (const [name, value] of handshakes.get(request) ?? []) {
      if (!OWN_FIELDS.test(name)) lines.push(`${name}: ${value}`);
    }
  });

  return {
    /** Asks an upstream for a WebSocket. @returns its answer: 101 with a socket, or another one. */
    async connect(url: string, { headers: init, signal }: RequestInit): Promise<Response> {
      const headers = new Headers(init);
      const protocols =
        headers
          .get("sec-websocket-protocol")
          ?.split(",")
          .map(name => name.trim()) ?? [];
      for (const name of [...headers.keys()]) if (OWN_FIELDS.test(name)) headers.delete(name);
      const options = { ...OPTIONS, headers: Object.fromEntries(headers) };
      const socket = new HalfOpen(url.replace(/^http/, "ws"), protocols, options);
      const leave = () => socket.terminate();
      signal?.addEventListener("abort", leave);
      if (signal?.aborted) leave();
      const { incoming, isOpen } = await answerTo(socket);
      try {
        const response = responseOf(incoming, isOpen ? "HEAD" : "GET");
        if (isOpen) {
          signal?.removeEventListener("abort", leave);
          ends.set(response, new End(socket));
        }
        return response;
      } catch (error) {
        leave();
        throw error;
      }
    },

    /** The upstream's end, if that is what it answered with. */
    socketOf: (response: Response): Socket | undefined => ends.get(response),

    /** As `Platform.upgrade` says. */
    upgrade(headers: Headers): { readonly socket: Socket; readonly response: Response } {
      const socket = new End();
      const response = makeResponse(null, { status: 101, headers });
      ends.set(response, socket);
      return { socket, response };
    },

    /** Gives the client its end of what `upgrade` has answered with. */
    accept(incoming: IncomingMessage, connection: Duplex, head: Buffer, response: Response): void {
      const end = ends.get(response)!;
      handshakes.set(incoming, response.headers);
      connection.on("close", () => end.lose());
      server.handleUpgrade(incoming, connection, head, socket => end.attach(socket as HalfOpenSocket));
    },
  };
}

/** The upstream's answer to a handshake, and whether there is a WebSocket by it; that is not read yet then. */
function answerTo(socket: HalfOpenSocket): Promise<{ incoming: IncomingMessage; isOpen: boolean }> {
  return new Promise((resolve, reject) => {
    let incoming: IncomingMessage;
    socket
      .on("error", reject)
      .on("close", () => reject(new Error("the upstream closed its connection without an answer")))
      .on("unexpected-response", (_, response) => resolve({ incoming: response, isOpen: false }))
      .on("upgrade", response => {
        incoming = response;
      })
      .on("open", () => {
        socket.pause();
        resolve({ incoming, isOpen: true });
      });
  });
}

/** One end of a WebSocket; what is to be done with it before it is there waits. */
class End implements Socket {
  #socket: HalfOpenSocket | undefined;
  #listener: SocketListener | undefined;
  #waiting: (() => void)[] = [];
  /** Ends a connection that takes nothing of what waits for it. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How many messages were given to the library and not taken yet, and what is to be done once all are. */
  #given = 0;
  #finish: (() => void) | undefined;
  #isLost = false;

  constructor(socket?: HalfOpenSocket) {
    if (socket !== undefined) this.attach(socket);
  }

  attach(socket: HalfOpenSocket): void {
    this.#socket = socket;
    socket.on("error", () => {});
    if (this.#listener === undefined) socket.pause();
    else this.#open(socket, this.#listener);
    for (const act of this.#waiting.splice(0)) act();
  }

  /** The connection is gone; does nothing when that is known. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    clearTimeout(this.#timer);
    this.#listener?.lost();
  }

  listen(listener: SocketListener): void {
    this.#listener = listener;
    if (this.#isLost) listener.lost();
    else if (this.#socket !== undefined) this.#open(this.#socket, listener);
  }

  send(message: string | Uint8Array): void | Promise<void> {
    if (this.#isLost) throw new Error("the socket is lost");
    const socket = this.#socket;
    if (socket === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(() => this.#give(message, resolve));
      return promise;
    }
    if (socket.readyState !== socket.OPEN) throw new Error("the socket is closed");
    if (socket.bufferedAmount < WAITING_BYTES_MAX) return this.#give(message);
    return new Promise(resolve => this.#give(message, resolve));
  }

  /** @param done Called when the message was taken, or never will be. */
  #give(message: string | Uint8Array, done = () => {}): void {
    this.#given++;
    this.#socket!.send(message, () => {
      this.#given--;
      this.#expect();
      done();
      if (this.#given === 0) this.#finish?.();
    });
    if (this.#timer === undefined) this.#expect();
  }

  /** From here on, some of what waits must be taken in time. */
  #expect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = this.#socket!;
    if (this.#isLost || socket.bufferedAmount === 0) return;
    this.#timer = setTimeout(() => socket.terminate(), patienceFor(socket.bufferedAmount));
  }

  close(code?: number, reason?: string): void {
    if (this.#socket === undefined) {
      this.#waiting.push(() => this.close(code, reason));
      return;
    }
    this.#socket.resume();
    // From its close on, the library gives whoever reads slowly half a minute for all that was sent before.
    this.#finish ??= () => finish(this.#socket!, code, reason);
    if (this.#given === 0) this.#finish();
  }

  #open(socket: HalfOpenSocket, { message, close }: SocketListener): void {
    let waiting = 0;
    const pause = async (room: Promise<void>) => {
      waiting++;
      socket.pause();
      await room;
      if (--waiting === 0) socket.resume();
    };
    socket
      .on("message", (data, isBinary) => {
        const room = message(isBinary ? bytesOf(data) : data.toString());
        if (room !== undefined) void pause(room);
      })
      .on("closing", (code: number, reason: Buffer | string) =>
        close(code === NO_CODE ? undefined : code, reason.toString()),
      )
      .on("close", () => this.lose());
    socket.resume();
  }
}

function finish(socket: HalfOpenSocket, code?: number, reason?: string): void {
  try {
    socket.finish(code, reason);
  } catch {
    // The code is one that nobody may send.
    socket.finish();
  }
}

/** A message as one piece, which is how the library gives it unless it was told otherwise. */
function bytesOf(data: RawData): Uint8Array {
  return data as Buffer;
}
