// A body's chunks, read into one buffer that is used over and over: a stream of any length then leaves no garbage
// behind, which would otherwise grow by tens of MiB before it is collected.

/** The most that one chunk holds, in bytes. */
const CHUNK_BYTES_MAX = 64 * 1024;

/** The part of a stream's reader that is needed to pass a body on. */
export interface Chunks {
  /** The next chunk; what the one before held is lost. */
  read(): Promise<ReadableStreamReadResult<Uint8Array>>;
  cancel(reason?: unknown): Promise<void>;
}

/** Reads a stream's chunks, where the stream can fill a buffer; others come as they are. */
export function openChunks(source: ReadableStream<Uint8Array>): Chunks {
  const reader = tryByob(source);
  if (reader === undefined) return source.getReader();
  let buffer = new ArrayBuffer(CHUNK_BYTES_MAX);
  return {
    async read() {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done || value === undefined) return { done: true, value: undefined };
      buffer = value.buffer;
      return { done: false, value };
    },
    cancel: reason => reader.cancel(reason),
  };
}

function tryByob(source: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return source.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}
