// WebSockets on their way through the edge: every message is relayed as it is, counted and hashed, until one
// side closes or is lost; and there is exactly one ending.
//
// What is hashed, for each direction: of every message in turn its type (one byte, 1 for text and 2 for binary, as
// the opcodes of RFC 6455), its length in bytes (8 bytes, big-endian), and its bytes (a text's are its UTF-8). So
// either side can compute the digest from the messages that it sent and got, in whatever frames they came.
import { sha256 } from "@noble/hashes/sha2.js";
import { formatDigest } from "../receipt/digest.ts";
import type { Messages, SocketRecord } from "../receipt/record.ts";
import type { Route } from "./policy.ts";

/** One end of a WebSocket as a host hands it over: nothing is read from it before somebody listens. */
export interface Socket {
  listen(listener: SocketListener): void;
  /**
   * Sends a message. @throws when it is closed or lost.
   * @returns when there is room for more, if there is none now and the host can tell.
   */
  send(message: string | Uint8Array): void | Promise<void>;
  /** Says that no more will be sent. Closing what is closed or lost does nothing. */
  close(code?: number, reason?: string): void;
}

export interface SocketListener {
  /** @returns when the next one is wanted, if not at once; a host that can reads no more until then. */
  message(message: string | Uint8Array): void | Promise<void>;
  /** The other side sends no more; it may have given no code. */
  close(code: number | undefined, reason: string): void;
  /** The connection broke off without a close, or against the protocol. */
  lost(): void;
}

/** How a relay ended: closed by one of the sides, or cut by the loss of one. */
export interface RelayEnding {
  readonly kind: "closed" | "lost" | "cut";
  readonly by: Side | "edge";
  /** The close code that the first one to close gave. */
  readonly code?: number;
}

export type Side = "client" | "upstream";

/** The first close. */
interface Closing {
  readonly by: Side;
  readonly code: number | undefined;
  readonly reason: string;
}

/** What an endpoint hears when the other one is lost: it goes away, or the gateway had a bad upstream (RFC 6455, IANA). */
const GOING_AWAY = 1001;
const BAD_GATEWAY = 1014;
const INTERNAL_ERROR = 1011;

/** How long the second side may take to answer a close with its own, in ms. */
const CLOSE_WAIT_MS = 10_000;

const encoder = new TextEncoder();

/** Whether a request asks for a WebSocket. */
export function asksForSocket({ method, headers }: Pick<Request, "method" | "headers">): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** Fields of the handshake of one hop; the subprotocol is for both. */
const HANDSHAKE_FIELDS = ["sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key"];

/** Makes the fields of a request ask the upstream for a WebSocket. */
export function askForSocket(headers: Headers): void {
  for (const name of [...HANDSHAKE_FIELDS, "sec-websocket-version"]) headers.delete(name);
  headers.set("upgrade", "websocket");
}

/** Takes the handshake with the upstream out of the fields of the one with the client. */
export function dropHandshake(headers: Headers): void {
  for (const name of HANDSHAKE_FIELDS) headers.delete(name);
}

/** The messages of one direction, so far. */
class MessageDigest {
  readonly #hash: ReturnType<typeof sha256.create> | undefined;
  #messages = 0;
  #size = 0;

  /** @param isHashed whether they get a digest. */
  constructor(isHashed: boolean) {
    this.#hash = isHashed ? sha256.create() : undefined;
  }

  /** @returns the size of the message in bytes. */
  update(message: string | Uint8Array): number {
    const isText = typeof message === "string";
    const bytes = isText ? encoder.encode(message) : message;
    const head = new DataView(new ArrayBuffer(9));
    head.setUint8(0, isText ? 1 : 2);
    head.setBigUint64(1, BigInt(bytes.length));
    this.#hash?.update(new Uint8Array(head.buffer)).update(bytes);
    this.#messages++;
    this.#size += bytes.length;
    return bytes.length;
  }

  read(): Messages {
    const counts = { messages: this.#messages, size: this.#size };
    return this.#hash === undefined
      ? counts
      : { ...counts, digest: formatDigest(this.#hash.clone().digest()) };
  }
}

/** Relays between the two sides from the moment it is made. */
export class Relay {
  /** How it ended, once it has. */
  readonly ended: Promise<RelayEnding>;
  readonly #sockets: Readonly<Record<Side, Socket>>;
  /** The messages that each side sent, and that were passed on. */
  readonly #sent: Readonly<Record<Side, MessageDigest>>;
  readonly #passed: (bytes: number) => void;
  readonly #end: (ending: RelayEnding) => void;
  #closing: Closing | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  /** @param digests Which side's messages get a digest. @param passed Hears of every message that was passed on, in bytes. */
  constructor(client: Socket, upstream: Socket, digests: Route["digests"], passed: (bytes: number) => void) {
    const { promise, resolve } = Promise.withResolvers<RelayEnding>();
    this.ended = promise;
    this.#sockets = { client, upstream };
    this.#sent = {
      client: new MessageDigest(digests === true || digests === "request"),
      upstream: new MessageDigest(digests === true || digests === "response"),
    };
    this.#passed = passed;
    this.#end = ending => {
      this.#isOver = true;
      if (this.#timer !== undefined) clearTimeout(this.#timer);
      resolve(ending);
    };
    this.#listen("client", "upstream");
    this.#listen("upstream", "client");
  }

  /** What has been passed on so far, and how it ended. */
  read(ending?: RelayEnding): SocketRecord {
    return {
      up: this.#sent.client.read(),
      down: this.#sent.upstream.read(),
      ...(ending && { close: { by: ending.by, ...(ending.code !== undefined && { code: ending.code }) } }),
    };
  }

  /** Ends it from the edge. */
  cut(reason: string): void {
    if (this.#isOver) return;
    for (const socket of Object.values(this.#sockets)) socket.close(INTERNAL_ERROR, reason);
    this.#end({ kind: "cut", by: "edge" });
  }

  /** One side is gone without a close. */
  lose(side: Side): void {
    if (this.#isOver) return;
    // Between a close and its answer there is nothing left to lose.
    if (this.#closing !== undefined) {
      this.#answerClose(this.#closing);
      return;
    }
    if (side === "client") this.#sockets.upstream.close(GOING_AWAY, "the client went away");
    else this.#sockets.client.close(BAD_GATEWAY, "the upstream broke off");
    this.#end({ kind: "lost", by: side });
  }

  #listen(from: Side, to: Side): void {
    this.#sockets[from].listen({
      message: message => this.#pass(from, to, message),
      close: (code, reason) => this.#close(from, to, code, reason),
      lost: () => this.lose(from),
    });
  }

  #pass(from: Side, to: Side, message: string | Uint8Array): void | Promise<void> {
    // A side that has closed sends nothing, and whoever was cut off hears nothing more.
    if (this.#isOver || this.#closing?.by === from) return;
    let room: void | Promise<void>;
    try {
      room = this.#sockets[to].send(message);
    } catch {
      this.lose(to);
      return;
    }
    this.#passed(this.#sent[from].update(message));
    return room;
  }

  #close(from: Side, to: Side, code: number | undefined, reason: string): void {
    if (this.#isOver) return;
    this.#sockets[to].close(code, reason);
    if (this.#closing !== undefined) {
      this.#end(endingOf(this.#closing));
      return;
    }
    const closing = { by: from, code, reason };
    this.#closing = closing;
    this.#timer = setTimeout(() => this.#answerClose(closing), CLOSE_WAIT_MS);
  }

  /** Answers a close in the place of the second side, which does not. */
  #answerClose(closing: Closing): void {
    this.#sockets[closing.by].close(closing.code, closing.reason);
    this.#end(endingOf(closing));
  }
}

function endingOf({ by, code }: Closing): RelayEnding {
  return { kind: "closed", by, ...(code !== undefined && { code }) };
}
