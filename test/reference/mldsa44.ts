// One ML-DSA-44 cosignature that was made once and kept (mldsa44.json), because node:crypto signs with
// fresh randomness every time and vectors must come out the same every time. Made with node:crypto from
// the seed in the file (FIPS 204's xi); its signature verifies with any implementation of FIPS 204.

import kept from "./mldsa44.json" with { type: "json" };

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

/** 1312 bytes. */
export const ML_DSA_44_PUBLIC_KEY = bytes(kept.public_key);

/** The kept signature, 2420 bytes. Throws if it is not over this message. */
export function mlDsaSignature(message: Uint8Array): Uint8Array {
  const found = Buffer.from(message).toString("hex");
  if (found !== kept.message) throw new Error(`the kept ML-DSA-44 signature is not over ${found}`);
  return bytes(kept.signature);
}
