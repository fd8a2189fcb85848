// Asking somebody else's server: no longer waited for, and no more of its answer read, than any honest one takes; and
// nobody is asked in its place, wherever it would send us.

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export interface Bounds {
  /** Who is asked, for what is told of its answer. */
  readonly who: string;
  /** How long to wait for all of the answer, in ms. */
  readonly waitMs: number;
  /** The most that it may have, in bytes. */
  readonly bytesMax: number;
}

/**
 * Sends a request and reads the answer to its end, whatever its status.
 * @param send a fetch of the request, which takes these settings over.
 * @throws Error when there is no answer in time, or more of it than it may have.
 */
export async function ask(
  send: (settings: { readonly redirect: "manual"; readonly signal: AbortSignal }) => Promise<Response>,
  { who, waitMs, bytesMax }: Bounds,
): Promise<Answer> {
  const response = await send({ redirect: "manual", signal: AbortSignal.timeout(waitMs) });
  const { status, headers } = response;
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      await reader?.cancel();
      throw new Error(`${who}: answered with status ${status} and more than ${bytesMax} bytes`);
    }
    chunks.push(value);
  }
  return { status, headers, body: join(chunks, length) };
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
