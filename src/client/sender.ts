// Sending by a fetch that the caller gives: what lets the SDK walk the same code as the command line, on every
// runtime that has one. A redirect is an answer, and is not followed.
import type { Undecided } from "./outcome.ts";
import type { Sender, WireRequest, WireResponse } from "./platform.ts";
import { brokenOff, unanswered } from "./unanswered.ts";

/** The function that a platform has by this name, or one like it (WHATWG Fetch). */
export type Fetch = typeof globalThis.fetch;

/**
 * A sender over a fetch.
 * @param signal ends whatever is under way; what it was aborted with is thrown then, as fetch does.
 */
export function sendBy(fetch: Fetch, signal?: AbortSignal | null): Sender {
  return {
    async send({ method, url, headers, body, idleMs }: WireRequest): Promise<WireResponse> {
      const idle = new Idle(idleMs);
      const until = signal ? AbortSignal.any([signal, idle.signal]) : idle.signal;
      const unlessAborted = (failure: Undecided): unknown => (signal?.aborted ? signal.reason : failure);
      try {
        const response = await fetch(url, {
          method,
          headers: headers.map(([name, value]): [string, string] => [name, value]),
          redirect: "manual",
          signal: until,
          ...(body && { body: body as BodyInit }),
        });
        const chunks = readStream(response.body, idle, error => unlessAborted(brokenOff(url, error)));
        return { status: response.status, headers: response.headers, body: chunks };
      } catch (error) {
        idle.end();
        throw unlessAborted(unanswered(url, error));
      }
    },
  };
}

/** Aborts when nothing happens for so long. */
class Idle {
  readonly #controller = new AbortController();
  readonly #ms: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number | undefined) {
    this.#ms = ms;
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    this.end();
    const ms = this.#ms;
    if (ms === undefined) return;
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`nothing came for ${ms / 1000} s`)), ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** By a reader: not every browser iterates over a stream. */
async function* readStream(
  stream: ReadableStream<Uint8Array> | null,
  idle: Idle,
  failure: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  const reader = stream?.getReader();
  try {
    for (;;) {
      idle.restart();
      const chunk = await reader?.read().catch(error => {
        throw failure(error);
      });
      if (chunk === undefined || chunk.done) return;
      yield chunk.value;
    }
  } finally {
    idle.end();
    reader?.cancel().catch(() => {});
  }
}
