// HTTP messages between Node's streams and the Web's interfaces, byte for byte: what the Web's own classes refuse or
// rewrite (a GET with a body, a status text of one's own) comes through, for the edge to judge. Nobody reads ahead: a
// body is asked for its next piece when somebody waits for it, and not before.
import { type OutgoingMessage, STATUS_CODES } from "node:http";
import type { Readable, Writable } from "node:stream";

/** The parts of the Web's interfaces that the edge uses of what a host gives it. */
type Asked = Pick<Request, "method" | "url" | "headers" | "signal" | "body" | "clone" | "json">;
type Answered = Pick<Response, "status" | "statusText" | "headers" | "body">;

/** What a body is made of. */
export type Content = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;

/** The most bytes of a head, either way: more than any policy allows, so that the edge can say on record what it refuses. */
export const HEAD_BYTES_MAX = 256 * 1024;

/** The most header fields of a message, twice what any policy allows: with their number grows what each of them costs. */
export const FIELDS_MAX = 2000;

/**
 * Header fields; several of one name stay in their order, and several Cookie fields are one (RFC 9113 section 8.2.3).
 * @throws Error when there are more than FIELDS_MAX, or one is none.
 */
export function readFields(raw: readonly string[]): Headers {
  if (raw.length > 2 * FIELDS_MAX) throw new Error(`more than ${FIELDS_MAX} header fields`);
  const headers = new Headers();
  const cookies: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const [name, value] = [raw[i]!, raw[i + 1]!];
    if (name.length === 6 && name.toLowerCase() === "cookie") cookies.push(value);
    else headers.append(name, value);
  }
  if (cookies.length > 0) headers.set("cookie", cookies.join("; "));
  return headers;
}

/** Header fields as Node takes them: name, value, name, value. */
function writeFields(headers: Headers): string[] {
  return [...headers].flat();
}

/** Header fields that are the Web's object already as they are: a copy costs as much as all that is done with it. */
export function asHeaders(fields: HeadersInit | undefined): Headers {
  return fields instanceof Headers ? fields : new Headers(fields);
}

export interface RequestParts extends Pick<Request, "method" | "url" | "headers" | "signal"> {
  /** Called when the body is first asked for. */
  readonly openBody: () => ReadableStream<Uint8Array<ArrayBuffer>> | null;
}

/** Makes a request of its parts. */
export function makeRequest(parts: RequestParts): Request {
  return new WireRequest(parts) satisfies Asked as Asked as Request;
}

class WireRequest implements Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly signal: AbortSignal;
  readonly #openBody: RequestParts["openBody"];
  #body: ReadableStream<Uint8Array<ArrayBuffer>> | null | undefined;

  constructor({ method, url, headers, signal, openBody }: RequestParts) {
    this.method = method;
    this.url = url;
    this.headers = headers;
    this.signal = signal;
    this.#openBody = openBody;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#body === undefined) this.#body = this.#openBody();
    return this.#body;
  }

  clone(): Request {
    const [own, copy] = this.body?.tee() ?? [null, null];
    this.#body = own;
    const { method, url, headers, signal } = this;
    return makeRequest({ method, url, headers: new Headers(headers), signal, openBody: () => copy });
  }

  json(): Promise<unknown> {
    return new Response(this.body).json();
  }
}

/** Makes a response of its parts. */
export function makeResponse(
  body: BodyInit | null,
  { status = 200, statusText = "", headers }: ResponseInit,
): Response {
  const isContent = body === null || body instanceof Uint8Array || body instanceof ReadableStream;
  const content = isContent ? (body as Content) : new Response(body).body;
  const fields = asHeaders(headers);
  return new WireResponse(content, status, statusText, fields) satisfies Answered as Answered as Response;
}

class WireResponse implements Answered {
  readonly content: Content;
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;

  constructor(content: Content, status: number, statusText: string, headers: Headers) {
    this.content = content;
    this.status = status;
    this.statusText = statusText;
    this.headers = headers;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.content instanceof Uint8Array ? new Response(this.content).body : this.content;
  }
}

/** What the body of any response is made of. */
export function contentOf(response: Response): Content {
  return (response as Answered) instanceof WireResponse
    ? (response as Answered as WireResponse).content
    : response.body;
}

/** The reason of an answer; the usual one where it has none, which is what the edge's own have. */
export function reasonOf({ status, statusText }: Response): string {
  return statusText === "" ? (STATUS_CODES[status] ?? "") : statusText;
}

/** The fields of an answer; what is at hand whole has a length. */
export function fieldsOf(response: Response): string[] {
  const fields = writeFields(response.headers);
  const content = contentOf(response);
  if (content instanceof Uint8Array && !response.headers.has("content-length")) {
    fields.push("content-length", `${content.length}`);
  }
  return fields;
}

/**
 * A stream of Node's as one of the Web's: each piece as it came, and only when somebody waits for it.
 * @param leave Called when its reader has lost interest. @param ask Called for each piece that a reader waits for; what
 * it throws breaks the stream off.
 */
export function openStream(
  source: Readable,
  leave: () => void,
  ask: () => void = () => {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let isOver = false;
  const end = (settle: () => void) => {
    if (isOver) return;
    isOver = true;
    source.off("data", take);
    settle();
  };
  let take: (piece: Uint8Array<ArrayBuffer>) => void;
  return new ReadableStream(
    {
      start(controller) {
        take = piece => {
          source.pause();
          controller.enqueue(piece);
        };
        const breakOff = () => end(() => controller.error(new Error("the body broke off")));
        source
          .pause()
          .on("data", take)
          .on("end", () => end(() => controller.close()))
          .on("error", breakOff)
          .on("close", breakOff);
        if (source.destroyed) breakOff();
      },
      pull() {
        ask();
        source.resume();
      },
      cancel() {
        end(leave);
      },
    },
    { highWaterMark: 0 },
  );
}

/** How long whoever is sent something may take for it, in ms, and by how many bytes more it may be for each time more. */
const TAKEN_MS = 60_000;
const TAKEN_BYTES = 1024 * 1024;

/** How long who is sent so many bytes may take for them, in ms; longer than that, and the connection is given up. */
export function patienceFor(bytes: number): number {
  return TAKEN_MS * (1 + bytes / TAKEN_BYTES);
}

/** Sends a head before there is anything of its body: Node's `flushHeaders` takes it for UTF-8, and Bun knows no other way. */
export function sendHead(message: OutgoingMessage): void {
  if ("bun" in process.versions) message.flushHeaders();
  else message.write(NOTHING);
}

const NOTHING = new Uint8Array();

/**
 * Writes a body into a stream of Node's, as fast as that takes it, and ends or breaks off the one as the other does.
 * Returns when either is over.
 * @param stuck Called when a piece is not taken in time, by who is to give up then; without it, anything is waited for.
 */
export async function pour(
  body: ReadableStream<Uint8Array>,
  sink: Writable,
  stuck?: () => void,
): Promise<void> {
  const reader = body.getReader();
  let go = () => {};
  sink
    .on("error", () => {})
    .on("close", () => {
      reader.cancel(new Error("its reader has gone")).catch(() => {});
      go();
    });
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (sink.destroyed) return;
      if (done) return void sink.end();
      const timer = stuck && setTimeout(stuck, patienceFor(value.length));
      // Not until `drain`, of which a request does not tell any more once its response has ended.
      await new Promise<void>(resolve => {
        go = resolve;
        sink.write(value, () => resolve());
      });
      clearTimeout(timer);
      if (sink.destroyed) return;
    }
  } catch {
    sink.destroy();
  }
}
