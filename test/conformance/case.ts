// A case of the corpus: what a client sends and what an upstream answers, as data, and as two small functions
// where the order of events on both sides matters.
import { once } from "node:events";
import type { Socket } from "node:net";
import { type Field, formatChunk, formatHead, formatLastChunk, type Head, type Incoming } from "./wire.ts";

/** A body and how it is framed: `none` has no field that frames it, `close` ends with the connection. */
export interface Body {
  readonly bytes: Buffer;
  readonly framing: "none" | "length" | "chunked" | "close";
  /** The sizes of the pieces in which it is sent, over and over; as one piece when left out. */
  readonly sizes?: readonly number[];
  readonly extension?: string;
  readonly trailers?: readonly Field[];
}

export interface CaseRequest {
  readonly method: string;
  readonly target: string;
  /** Besides Host, the field that names the case, and what frames the body. */
  readonly fields: readonly Field[];
  readonly body: Body;
}

export interface CaseResponse {
  /** The whole status line, but for the version. */
  readonly status: string;
  readonly fields: readonly Field[];
  readonly body: Body;
}

/** How an exchange must end on record. */
export interface Ending {
  readonly stage: "complete" | "aborted" | "failed" | "rejected";
  readonly error?: RegExp;
}

export interface Case {
  readonly name: string;
  readonly request: CaseRequest;
  readonly response: CaseResponse;
  /** Instead of sending the whole request and reading the whole response. */
  readonly client?: (client: ClientSide) => Promise<void>;
  /** Instead of reading the whole request and then sending the whole response. */
  readonly upstream?: (upstream: UpstreamSide) => Promise<void>;
  /** `complete` when it is left out. */
  readonly ending?: Ending;
  /** Where the edge answers itself with a problem, as documented, whatever the platform does: the status line. */
  readonly instead?: string;
  /** After so many bytes of the response the client leaves; what else is on its way to it then is left to chance. */
  readonly leavesAfter?: number;
  /** The platform may end the call before all of the request has gone up: how much of it arrives is left to chance, and
   * up to 64 KiB of what the record has a digest of may be lost behind the edge. */
  readonly mayLoseRequest?: boolean;
  /** The client breaks off its request: how much of it reaches the upstream, if it is called at all, is left to chance. */
  readonly requestIsCut?: boolean;
}

/** Things that the two sides of an exchange wait for: each happens once. */
export class Meeting {
  readonly #points = new Map<string, PromiseWithResolvers<void>>();

  reach(name: string): void {
    this.#point(name).resolve();
  }

  wait(name: string): Promise<void> {
    return this.#point(name).promise;
  }

  #point(name: string): PromiseWithResolvers<void> {
    const known = this.#points.get(name) ?? Promise.withResolvers<void>();
    this.#points.set(name, known);
    return known;
  }
}

/** One side's end of a connection. */
export class Side {
  readonly #socket: Socket;
  readonly #closed: Promise<unknown>;
  readonly meeting: Meeting;

  constructor(socket: Socket, meeting: Meeting) {
    this.#socket = socket;
    this.meeting = meeting;
    this.#closed = socket.closed ? Promise.resolve() : new Promise(resolve => socket.once("close", resolve));
  }

  /** Resolves when the bytes have left, or when nobody takes them any more. */
  async send(...pieces: readonly Buffer[]): Promise<void> {
    for (const piece of pieces) {
      if (this.#socket.writableEnded || this.#socket.destroyed) return;
      if (!this.#socket.write(piece))
        await Promise.race([once(this.#socket, "drain").catch(() => {}), this.#closed]);
    }
  }

  /** Sends the same bytes over and over until nobody takes them any more. */
  async sendUntilGone(bytes: Buffer): Promise<void> {
    while (!this.#socket.destroyed && this.#socket.writable) {
      await this.send(bytes);
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }

  /** Closes both directions at once, in good order as far as TCP allows with bytes that nobody has read. */
  close(): void {
    this.#socket.destroy();
  }

  /** Closes the connection in good order, once everything was sent. */
  end(): void {
    this.#socket.end();
  }

  /** Resets the connection. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }
}

export class ClientSide extends Side {
  /** The head of the request, as bytes. */
  readonly head: Buffer;
  readonly #body: readonly Buffer[];
  /** Resolves when there is an interim response. */
  readonly interim: Promise<void>;
  /** The head of the final response, or undefined when the connection ends before. */
  readonly answered: Promise<Head | undefined>;
  readonly response: Incoming;

  constructor(
    socket: Socket,
    meeting: Meeting,
    request: { head: Buffer; body: readonly Buffer[] },
    answer: { interim: Promise<void>; head: Promise<Head | undefined>; body: Incoming },
  ) {
    super(socket, meeting);
    this.head = request.head;
    this.interim = answer.interim;
    this.#body = request.body;
    this.answered = answer.head;
    this.response = answer.body;
  }

  sendHead(): Promise<void> {
    return this.send(this.head);
  }

  sendBody(): Promise<void> {
    return this.send(...this.#body);
  }
}

export class UpstreamSide extends Side {
  readonly head: Head;
  readonly request: Incoming;
  /** Resolves when the connection has ended, in whatever way, and brings no further request. */
  readonly gone: Promise<void>;
  readonly #response: CaseResponse;

  constructor(
    socket: Socket,
    meeting: Meeting,
    request: { head: Head; body: Incoming },
    gone: Promise<void>,
    response: CaseResponse,
  ) {
    super(socket, meeting);
    this.head = request.head;
    this.request = request.body;
    this.gone = gone;
    this.#response = response;
  }

  sendHead(): Promise<void> {
    const { status, fields, body } = this.#response;
    return this.send(formatHead(`HTTP/1.1 ${status}`, [...fields, ...framingOf(body)]));
  }

  async sendBody(): Promise<void> {
    if (!this.head.line.startsWith("HEAD ")) await this.send(...formatBody(this.#response.body));
    if (this.#response.body.framing === "close") this.end();
  }
}

export function framingOf({ framing, bytes }: Body): Field[] {
  if (framing === "length") return [["Content-Length", String(bytes.length)]];
  return framing === "chunked" ? [["Transfer-Encoding", "chunked"]] : [];
}

/** A body in the pieces in which it is sent. */
export function formatBody({ bytes, framing, sizes = [bytes.length], extension, trailers }: Body): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const piece = bytes.subarray(at, at + sizes[i % sizes.length]!);
    pieces.push(framing === "chunked" ? formatChunk(piece, extension) : piece);
    at += piece.length;
  }
  return framing === "chunked" ? [...pieces, formatLastChunk(trailers)] : pieces;
}
