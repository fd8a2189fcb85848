// How a body is read. Chunk by chunk, into one buffer that is used over and over: a stream of any length then leaves no
// garbage behind, which would otherwise grow by tens of MiB before it is collected. Or whole, into one buffer that
// bounds it, with as few reads as the platform allows: each costs more than the bytes do.

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

/** The reading of a short body. */
export interface Fill {
  /** The stream's bytes up to its end, or the first so many. */
  read(): Promise<Uint8Array<ArrayBuffer>>;
  cancel(reason?: unknown): Promise<void>;
}

/** Reads a stream to its end, or until it has filled so many bytes. */
export function openFill(source: ReadableStream<Uint8Array>, bytesMax: number): Fill {
  const reader = tryPatient(source);
  if (reader === undefined) return openCopy(source, bytesMax);
  return {
    async read() {
      const { value } = await reader.readAtLeast(bytesMax, new Uint8Array(bytesMax));
      return value ?? new Uint8Array();
    },
    cancel: reason => reader.cancel(reason),
  };
}

/** The part of workerd's readers that waits for so many bytes, or the end of the stream. */
interface PatientReader {
  readAtLeast(
    bytesMin: number,
    view: Uint8Array<ArrayBuffer>,
  ): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>>;
  cancel(reason?: unknown): Promise<void>;
}

/** Asked once: to be refused a reader takes longer, where there are none such, than to read a short body. */
const HAS_PATIENT_READERS = "readAtLeast" in ReadableStreamBYOBReader.prototype;

/** Not by the standard's `min`, with which Node fails on a stream that has ended. */
function tryPatient(source: ReadableStream<Uint8Array>): PatientReader | undefined {
  return HAS_PATIENT_READERS ? (tryByob(source) as PatientReader | undefined) : undefined;
}

function openCopy(source: ReadableStream<Uint8Array>, bytesMax: number): Fill {
  const reader = source.getReader();
  return {
    async read() {
      const body = new Uint8Array(bytesMax);
      for (let at = 0; ; ) {
        const { value, done } = await reader.read();
        if (done) return body.subarray(0, at);
        body.set(value.subarray(0, bytesMax - at), at);
        at = Math.min(bytesMax, at + value.length);
        if (at === bytesMax) return body;
      }
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
