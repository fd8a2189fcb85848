// Entry bundles (C2SP tlog-tiles, text of 2026-02-05): up to 256 consecutive entries in one object, each
// after its length as a big-endian u16. One bundle has one encoding, and decoding leaves nothing over.
import { Fault } from "./fault.ts";
import { TILE_WIDTH } from "./tile.ts";

const LENGTH_BYTES = 2;
const MAX_ENTRY_BYTES = 0xffff;

/**
 * The bundle of 1 to 256 entries.
 * @throws Fault `malformed` for another number of entries, `too-large` for an entry of more than 65535 bytes.
 * @example
 * import { decodeBundle, encodeBundle } from "counterfoil/tlog";
 *
 * const entries = ["a", "bc"].map(text => new TextEncoder().encode(text));
 * const bytes = encodeBundle(entries);
 * console.log(bytes.join(" ")); // 0 1 97 0 2 98 99
 * console.log(decodeBundle(bytes, 2).map(entry => new TextDecoder().decode(entry)).join()); // a,bc
 */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  requireWidth(entries.length);
  const total = entries.reduce((sum, entry) => sum + LENGTH_BYTES + entry.length, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [i, entry] of entries.entries()) {
    if (entry.length > MAX_ENTRY_BYTES) {
      throw new Fault("too-large", `entry bundle: entry ${i} does not fit`, {
        expected: `at most ${MAX_ENTRY_BYTES} bytes`,
        found: `${entry.length} bytes`,
      });
    }
    view.setUint16(at, entry.length);
    bytes.set(entry, at + LENGTH_BYTES);
    at += LENGTH_BYTES + entry.length;
  }
  return bytes;
}

/**
 * The entries of a bundle of `width` (1 to 256) entries. They are views of `bytes`.
 * @throws Fault `malformed` unless `bytes` is exactly `width` entries.
 */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  requireWidth(width);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    const start = at + LENGTH_BYTES;
    const end = start <= bytes.length ? start + view.getUint16(at) : start;
    if (end > bytes.length) {
      throw new Fault("malformed", `entry bundle: cut off in entry ${entries.length}`, {
        expected: `at least ${end} bytes`,
        found: `${bytes.length} bytes`,
      });
    }
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  if (at !== bytes.length) {
    throw new Fault("malformed", `entry bundle: more than ${width} entries`, {
      expected: `${at} bytes`,
      found: `${bytes.length} bytes`,
    });
  }
  return entries;
}

function requireWidth(width: number): void {
  if (Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH) return;
  throw new Fault("malformed", "entry bundle: not a number of entries that a bundle can hold", {
    expected: `1 to ${TILE_WIDTH}`,
    found: String(width),
  });
}
