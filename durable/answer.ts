// The answer of somebody else's server: read to its end, but never more of it than any honest answer has.

/** @returns the body's bytes. @throws Error that names `who`, when there are more than `bytesMax`. */
export async function readAnswer(response: Response, who: string, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      await reader?.cancel();
      throw new Error(`${who}: answered more than ${bytesMax} bytes`);
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
