// Keys, randomness and faults for the tests of the transparency-log room. Everything is made from fixed
// seeds, and signed by node:crypto, so that no test checks our code with itself.
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { Fault, type FaultCode } from "../../../src/tlog/fault.ts";
import { makeNoteKey, type NoteSigner } from "../../../src/tlog/note.ts";

/** The seed of every property, so that a run is repeated exactly. */
export const seeded = { seed: 20261121 };

/** A repeatable stream of numbers from 0 up to, not including, 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An Ed25519 signer whose private key is 32 times the byte `seed`. */
export function makeSigner(name: string, type: number, seed: number): NoteSigner {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const der = Buffer.concat([prefix, Buffer.alloc(32, seed)]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  return {
    key: makeNoteKey(name, type, publicKey),
    sign: async message => new Uint8Array(sign(null, message, privateKey)),
  };
}

/** The Fault that `run` throws. Anything else it throws is thrown on; throwing nothing is an error. */
export function faultOf(run: () => unknown): Fault {
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`no Fault, but ${JSON.stringify(result)?.slice(0, 300)}`);
}

/** The Fault that `promise` rejects with; as `faultOf`. */
export async function faultIn(promise: Promise<unknown>): Promise<Fault> {
  return promise.then(
    result => {
      throw new Error(`no Fault, but ${JSON.stringify(result)?.slice(0, 300)}`);
    },
    error => {
      if (error instanceof Fault) return error;
      throw error;
    },
  );
}

/** What `read` makes of its input, or the code of the Fault it throws. Any other exception is thrown on. */
export function resultOrCode<T>(read: () => T): T | FaultCode {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
}

/** Every copy of `bytes` with a single bit changed. */
export function* bitFlips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const copy = bytes.slice();
      copy[at] = copy[at]! ^ (1 << bit);
      yield copy;
    }
  }
}

/** A copy of `bytes` after one to four edits: bytes changed, removed, repeated, inserted, or cut off. */
export function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  let copy = Array.from(bytes);
  const place = () => Math.floor(random() * (copy.length + 1));
  for (let edits = 1 + Math.floor(random() * 4); edits > 0; edits--) {
    const at = place();
    const length = 1 + Math.floor(random() * 8);
    const kind = Math.floor(random() * 6);
    if (kind === 0) copy[at] = Math.floor(random() * 256);
    else if (kind === 1) copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    else if (kind === 2) copy.splice(at, length);
    else if (kind === 3) copy.splice(place(), 0, ...copy.slice(at, at + length));
    else if (kind === 4)
      copy.splice(
        at,
        0,
        ..."\n\n — +/x= 0\r"
          .slice(0, length)
          .split("")
          .map(c => c.charCodeAt(0) & 255),
      );
    else copy = copy.slice(0, at);
  }
  return Uint8Array.from(copy);
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
