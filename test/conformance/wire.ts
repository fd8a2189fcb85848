// HTTP/1.1 as bytes on a socket: heads with every field as it was spelled and in the order it came, bodies without
// their framing. It judges nothing and repairs nothing, so a test that uses it sees what was really sent.
import type { Socket } from "node:net";

export type Field = readonly [name: string, value: string];

/** The head of a message: its first line, and its fields as they came. */
export interface Head {
  readonly line: string;
  readonly fields: readonly Field[];
}

/** `whole` when the framing says that nothing is missing, `cut` when the connection ended before. */
export type End = "whole" | "cut";

/** A body on its way in, or all of it. */
export class Incoming {
  readonly #chunks: Buffer[] = [];
  readonly #ended = Promise.withResolvers<End>();
  #size = 0;
  #trailers: readonly Field[] = [];
  #wake = Promise.withResolvers<void>();

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  finish(end: End, trailers: readonly Field[] = []): void {
    this.#trailers = trailers;
    this.#ended.resolve(end);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get trailers(): readonly Field[] {
    return this.#trailers;
  }

  /** How it ended, once it has. */
  get ended(): Promise<End> {
    return this.#ended.promise;
  }

  /** Resolves when so many bytes have come. @throws Error when it ends before. */
  async atLeast(size: number): Promise<void> {
    while (this.#size < size) {
      const end = await Promise.race([this.#wake.promise, this.#ended.promise]);
      if (end !== undefined && this.#size < size) {
        throw new Error(`the body ended (${end}) after ${this.#size} of ${size} bytes`);
      }
    }
  }
}

/** Reads messages off a socket, one after the other. */
export class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  }

  /** @returns undefined when the connection ends before the head does. */
  async head(): Promise<Head | undefined> {
    const line = await this.#line();
    const fields = line === undefined ? undefined : await this.#fields();
    return fields && { line: line!, fields };
  }

  /** Reads a body into `body`, until its framing or the connection ends. */
  async body(head: Head, kind: "request" | "response", body: Incoming): Promise<void> {
    const length = fieldOf(head, "content-length");
    if (/\bchunked\b/i.test(fieldOf(head, "transfer-encoding") ?? "")) return this.#chunked(body);
    if (length !== undefined) return this.#exactly(Number(length), body);
    if (kind === "request") return body.finish("whole");
    for (;;) {
      const chunk = await this.#take(Number.POSITIVE_INFINITY);
      if (chunk === undefined) return body.finish("whole");
      body.add(chunk);
    }
  }

  /** What comes on the connection when HTTP is over, until it ends. */
  async *bytes(): AsyncGenerator<Buffer> {
    for (let chunk = await this.#take(Infinity); chunk !== undefined; chunk = await this.#take(Infinity)) {
      yield chunk;
    }
  }

  async #chunked(body: Incoming): Promise<void> {
    for (;;) {
      const line = await this.#line();
      if (line === undefined) return body.finish("cut");
      const size = Number.parseInt(line, 16);
      if (size === 0) {
        const trailers = await this.#fields();
        return trailers === undefined ? body.finish("cut") : body.finish("whole", trailers);
      }
      if (!(await this.#copy(size, body)) || (await this.#line()) === undefined) return body.finish("cut");
    }
  }

  async #exactly(length: number, body: Incoming): Promise<void> {
    body.finish((await this.#copy(length, body)) ? "whole" : "cut");
  }

  /** @returns whether all of it came. */
  async #copy(length: number, body: Incoming): Promise<boolean> {
    for (let missing = length; missing > 0; ) {
      const chunk = await this.#take(missing);
      if (chunk === undefined) return false;
      body.add(chunk);
      missing -= chunk.length;
    }
    return true;
  }

  async #fields(): Promise<Field[] | undefined> {
    const fields: Field[] = [];
    for (;;) {
      const line = await this.#line();
      if (line === undefined) return undefined;
      if (line === "") return fields;
      const colon = line.indexOf(":");
      fields.push([line.slice(0, colon), line.slice(colon + 1).trim()]);
    }
  }

  async #line(): Promise<string | undefined> {
    for (;;) {
      const at = this.#rest.indexOf("\r\n");
      if (at >= 0) {
        const line = this.#rest.toString("latin1", 0, at);
        this.#rest = this.#rest.subarray(at + 2);
        return line;
      }
      const more = await this.#next();
      if (more === undefined) return undefined;
      this.#rest = Buffer.concat([this.#rest, more]);
    }
  }

  /** 1 to `most` bytes, or undefined at the end of the connection. */
  async #take(most: number): Promise<Buffer | undefined> {
    const chunk = this.#rest.length > 0 ? this.#rest : await this.#next();
    if (chunk === undefined) return undefined;
    this.#rest = chunk.subarray(Math.min(most, chunk.length));
    return chunk.subarray(0, most);
  }

  /** A connection that was reset has ended, like one that was closed in good order. */
  async #next(): Promise<Buffer | undefined> {
    const next = await this.#chunks.next().catch(() => ({ done: true, value: undefined }));
    return next.done ? undefined : next.value;
  }
}

export function fieldOf(head: Head, name: string): string | undefined {
  return head.fields.find(([field]) => field.toLowerCase() === name)?.[1];
}

/** A head as bytes; one character is one byte. */
export function formatHead(line: string, fields: readonly Field[]): Buffer {
  const lines = [line, ...fields.map(([name, value]) => `${name}: ${value}`)];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** A chunk of a chunked body. */
export function formatChunk(bytes: Buffer | string, extension = ""): Buffer {
  const data = Buffer.from(bytes);
  return Buffer.concat([
    Buffer.from(`${data.length.toString(16)}${extension}\r\n`),
    data,
    Buffer.from("\r\n"),
  ]);
}

/** The end of a chunked body. */
export function formatLastChunk(trailers: readonly Field[] = []): Buffer {
  return Buffer.from(`0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
}
