// Bodies on their way through the edge: counted, hashed, and followed to whichever end they come to.
import { sha256 } from "@noble/hashes/sha2.js";
import { formatDigest } from "../receipt/digest.ts";
import { openChunks, openFill } from "./chunks.ts";

/** What every body without bytes has. */
const EMPTY_DIGEST = formatDigest(sha256(new Uint8Array()));

/** What has been seen of a body so far. */
export class BodyDigest {
  readonly #hashWhole: ((body: Uint8Array) => Uint8Array) | undefined;
  readonly #limit: number;
  #hash: ReturnType<typeof sha256.create> | undefined;
  /** The digest of the whole body, once somebody has asked for it. */
  #digest: string | undefined;
  #size = 0;
  #state: "open" | "whole" | "broken" | "over" | "doubtful" = "open";
  /** Whether its source is being waited for. */
  isAwaited = false;

  /**
   * @param hashWhole SHA-256 of a body that is there at once; without it, no body gets a digest.
   * @param limit the most bytes that may pass.
   */
  constructor(hashWhole?: (body: Uint8Array) => Uint8Array, limit = Number.POSITIVE_INFINITY) {
    this.#hashWhole = hashWhole;
    this.#limit = limit;
  }

  /** Whether so many more bytes may pass. Once they may not, the body is broken off. */
  admits(bytes: number): boolean {
    if (this.#size + bytes > this.#limit) this.#state = "over";
    return this.#state !== "over";
  }

  update(chunk: Uint8Array): void {
    if (this.#hashWhole !== undefined) {
      this.#hash ??= sha256.create();
      this.#hash.update(chunk);
    }
    this.#size += chunk.length;
  }

  /** The whole body at once: the platform hashes that several times faster than anything here could. */
  take(body: Uint8Array): void {
    if (this.#hashWhole !== undefined && body.length > 0) this.#digest = formatDigest(this.#hashWhole(body));
    this.#size = body.length;
    this.end();
  }

  /** The whole body has passed. */
  end(): void {
    this.#state = "whole";
  }

  /** Its source broke off before the end. */
  breakOff(): void {
    if (this.#state !== "over") this.#state = "broken";
  }

  /** All of it has passed, but its end may have been lost behind the edge: it gets no digest. */
  doubt(): void {
    if (this.#state === "whole") this.#state = "doubtful";
  }

  /** The bytes that have passed so far. */
  get size(): number {
    return this.#size;
  }

  /** It was larger than its limit, and was broken off here. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  get isBroken(): boolean {
    return this.#state === "broken";
  }

  /** The bytes that have passed so far, with their digest (if they are to have one) even though more are to come. */
  readSoFar(): { size: number; digest_so_far?: string } {
    if (this.#hashWhole === undefined) return { size: this.#size };
    return { size: this.#size, digest_so_far: this.#current() };
  }

  /** The bytes that have passed so far, and once all of them have, their Content-Digest if there is to be one. */
  read(): { size: number; digest?: string } {
    if (this.#hashWhole === undefined || this.#state !== "whole") return { size: this.#size };
    this.#digest ??= this.#current();
    return { size: this.#size, digest: this.#digest };
  }

  #current(): string {
    return this.#hash === undefined ? EMPTY_DIGEST : formatDigest(this.#hash.clone().digest());
  }
}

/**
 * Reads a body of a known length whole.
 * @returns undefined when its source broke off, sent more than it had announced (nobody may make the edge hold
 * more than it was prepared for), or had not sent all by the time of `gone`.
 */
export async function readWhole(
  source: ReadableStream<Uint8Array> | null,
  length: number,
  seen: BodyDigest,
  gone: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const fill = source && openFill(source, length + 1);
  // Ends whatever is being waited for below.
  const leave = () => void fill?.cancel(gone.reason).catch(() => {});
  gone.addEventListener("abort", leave);
  try {
    seen.isAwaited = true;
    const body = fill === null ? new Uint8Array() : await fill.read();
    seen.isAwaited = false;
    if (gone.aborted) throw gone.reason;
    if (body.length > length) throw new Error("longer than announced");
    seen.take(body);
    return body;
  } catch (error) {
    seen.isAwaited = false;
    seen.breakOff();
    await fill?.cancel(error).catch(() => {});
    return undefined;
  } finally {
    gone.removeEventListener("abort", leave);
  }
}

/** How the passing on of a body ended: `source` and `sink` say which side broke it off. */
export type Ending = "whole" | "source" | "sink";

/**
 * Passes a body on, chunk by chunk, digested on the way, until its end or until `gone` says that nobody reads
 * it any more; `passed` hears of every chunk. A loop of its own rather than pipeTo, which on some platforms reports success when the reader
 * has gone, and on all of them waits for ever when source and sink are both silent.
 */
export async function pump(
  source: ReadableStream<Uint8Array>,
  sink: WritableStream<Uint8Array>,
  seen: BodyDigest,
  gone: AbortSignal,
  passed: (bytes: number) => void,
): Promise<Ending> {
  const reader = openChunks(source);
  const writer = sink.getWriter();
  // Ends whatever is being waited for below.
  const leave = () => {
    reader.cancel(gone.reason).catch(() => {});
    writer.abort(gone.reason).catch(() => {});
  };
  if (gone.aborted) leave();
  gone.addEventListener("abort", leave);
  try {
    for (;;) {
      seen.isAwaited = true;
      const chunk = await reader.read().catch(() => undefined);
      seen.isAwaited = false;
      if (gone.aborted) return "sink";
      if (chunk === undefined || !seen.admits(chunk.value?.length ?? 0)) {
        // Known before the other side hears of it: whoever asks why it broke gets the true answer.
        seen.breakOff();
        await writer.abort().catch(() => {});
        await reader.cancel().catch(() => {});
        return "source";
      }
      if (chunk.done) {
        await writer.close();
        seen.end();
        return "whole";
      }
      seen.update(chunk.value);
      await writer.write(chunk.value);
      passed(chunk.value.length);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    return "sink";
  } finally {
    gone.removeEventListener("abort", leave);
  }
}
