// The part of WebCrypto that signature checks use, answering at once. The platform's own answers from other
// threads, in an order that no seed controls. The system under simulation is bundled with this in its place.
import { createPublicKey, type KeyObject, verify } from "node:crypto";

interface PublicKey {
  readonly [Symbol.toStringTag]: "CryptoKey";
  readonly type: "public";
  readonly algorithm: { readonly name: "Ed25519" };
  readonly usages: readonly string[];
  readonly x: string;
}

const keys = new Map<string, KeyObject>();

/** Answers are remembered: the same few objects are checked again and again. */
const answers = new Map<string, boolean>();
const ANSWERS_MAX = 4096;

async function importKey(format: "raw" | "jwk", data: Uint8Array | { x: string }): Promise<PublicKey> {
  const x =
    format === "raw" ? Buffer.from(data as Uint8Array).toString("base64url") : (data as { x: string }).x;
  return {
    [Symbol.toStringTag]: "CryptoKey",
    type: "public",
    algorithm: { name: "Ed25519" },
    usages: ["verify"],
    x,
  };
}

async function check(
  _algorithm: unknown,
  { x }: PublicKey,
  signature: Uint8Array,
  data: Uint8Array,
): Promise<boolean> {
  const name = `${x} ${Buffer.from(signature).toString("latin1")} ${Buffer.from(data).toString("latin1")}`;
  const known = answers.get(name);
  if (known !== undefined) return known;
  const key = keys.get(x) ?? createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  keys.set(x, key);
  const answer = verify(null, data, key, signature);
  if (answers.size === ANSWERS_MAX) answers.clear();
  answers.set(name, answer);
  return answer;
}

export const crypto = { subtle: { importKey, verify: check } };
