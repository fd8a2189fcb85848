// HTTP Message Signatures (RFC 9421) on requests: by a key that the policy names, over everything that makes a
// request what it is, made a short while ago. A body counts as signed when its Content-Digest is, and fits it.
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import {
  type ComponentDescriptor,
  isSignatureError,
  SignatureErrorCode,
  type Verifier,
  verifySignature,
} from "http-message-sig";
import { importJWK } from "jose";
import { parseDictionary } from "structured-headers";
import * as v from "valibot";
import { makeJti } from "../receipt/jti.ts";
import { equalBytes } from "../tlog/hash.ts";
import { Count } from "./count.ts";
import type { Finding } from "./credential.ts";

/** A body up to this long is read and checked before anything is passed on; a longer one is refused. */
export const SIGNED_BODY_BYTES_MAX = 64 * 1024;

/** How long a body that has to be checked may take to come, in ms. */
const BODY_WAIT_MS = 60_000;

/** Longer signature fields are refused. */
const FIELD_CHARACTERS_MAX = 8192;

/** How much may be covered, each field as often as it is: no more than all fields of a request may have together. */
const COVERED_CHARACTERS_MAX = 128 * 1024;

/** More blanks in a row than a covered field may have. */
const BLANKS = /[\t ]{65}/;

/** How much of a signature tells it from others. */
const MARK_SIGNATURE_BYTES = 32;

/** By a key's `alg` (RFC 7518, RFC 9864): the algorithm's name in RFC 9421, and its WebCrypto parameters. */
const ALGORITHMS = {
  Ed25519: { name: "ed25519", parameters: { name: "Ed25519" } },
  ES256: { name: "ecdsa-p256-sha256", parameters: { name: "ECDSA", hash: "SHA-256" } },
  PS512: { name: "rsa-pss-sha512", parameters: { name: "RSA-PSS", saltLength: 64 } },
} as const;

function base64url(characters: number, most = characters) {
  return v.pipe(
    v.string(),
    v.regex(
      new RegExp(`^[\\w-]{${characters},${most}}$`),
      `expected ${characters} or more characters of base64url`,
    ),
  );
}

/** A public key, and what it may be used with. A private one has a member that is not expected here. */
const PublicJwk = v.variant("alg", [
  v.strictObject({
    alg: v.literal("Ed25519"),
    kty: v.literal("OKP"),
    crv: v.literal("Ed25519"),
    x: base64url(43),
  }),
  v.strictObject({
    alg: v.literal("ES256"),
    kty: v.literal("EC"),
    crv: v.literal("P-256"),
    x: base64url(43),
    y: base64url(43),
  }),
  // 2048 to 8192 bits.
  v.strictObject({
    alg: v.literal("PS512"),
    kty: v.literal("RSA"),
    n: base64url(342, 1366),
    e: base64url(1, 6),
  }),
]);

export const SignatureSchema = v.strictObject({
  by: v.literal("http-signature"),
  keys: v.pipe(
    v.array(
      v.strictObject({
        /** Names the caller; private. */
        keyid: v.pipe(v.string(), v.regex(/^[\x20-\x7e]{1,128}$/, "expected 1 to 128 ASCII characters")),
        jwk: PublicJwk,
      }),
    ),
    v.minLength(1, "expected at least one key"),
    v.maxLength(100, "expected at most 100 keys"),
    v.check(
      keys => new Set(keys.map(({ keyid }) => keyid)).size === keys.length,
      "expected every keyid to be there once",
    ),
  ),
  /** What must be signed besides method, target and body: names of header fields. */
  components: v.optional(
    v.array(
      v.pipe(
        v.string(),
        v.regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "expected the lower-case name of a header field"),
      ),
    ),
    [],
  ),
  /** How long after it was made a signature is accepted. */
  max_age_seconds: v.optional(Count(1, 3600), 300),
  clock_skew_seconds: v.optional(Count(0, 300), 30),
  /** Whether a signature is good for one request only; then it must have a `nonce`. */
  once: v.optional(v.boolean()),
  /** Whether the signature is kept from the upstream. */
  strip: v.optional(v.boolean(), false),
});

export type SignatureRule = v.InferOutput<typeof SignatureSchema>;

/** What is wrong with a signature, in words of our own. */
class Flaw extends Error {
  readonly status: number | undefined;
  constructor(why: string, status?: number) {
    super(why);
    this.status = status;
  }
}

/**
 * Checks the signature of a request. Its body, if it has one, is read from a copy: the request can still be sent on.
 * @param gone ends the reading of a body for which nobody waits any more.
 * @returns undefined when the request is not signed.
 */
export async function checkSignature(
  rule: SignatureRule,
  request: Request,
  nowMs: number,
  gone: AbortSignal,
): Promise<Finding | undefined> {
  const fields = ["signature", "signature-input"].map(name => request.headers.get(name));
  if (fields.every(value => value === null)) return undefined;
  try {
    if (fields.some(value => (value?.length ?? 0) > FIELD_CHARACTERS_MAX)) throw new Flaw("is too long");
    requireModest(request.headers);
    let mark: Uint8Array;
    const { parameters, components } = await verifySignature(request, {
      policy: {
        algorithms: Object.values(ALGORITHMS).map(({ name }) => name),
        requiredComponents: ["@method", ...rule.components],
        requiredParameters: ["created", "keyid", ...(rule.once ? ["nonce" as const] : [])],
        maxAge: rule.max_age_seconds,
        clockSkew: rule.clock_skew_seconds,
        now: Math.floor(nowMs / 1000),
      },
      resolveVerifier: ({ parameters }) =>
        verifierOf(rule, parameters.keyid, (base, signature) => {
          mark = markOf(base, signature);
        }),
    });
    await checkCoverage(request, components, gone);
    const once = rule.once && { once: makeJti(parameters.created! * 1000, mark!) };
    return { is: "valid", subject: parameters.keyid!, ...once };
  } catch (error) {
    return {
      is: "invalid",
      why: `the signature ${reasonOf(error)}`,
      ...(error instanceof Flaw && error.status !== undefined ? { status: error.status } : {}),
    };
  }
}

/**
 * Whoever has no key can have a signature looked at, and the library parses a field anew for each of its members that is
 * covered, and takes for each row of blanks in it the square of its length. So no more is looked at here than may be
 * covered, however often it is. @throws Flaw
 */
function requireModest(headers: Headers): void {
  const fields = new Map(headers);
  let characters = 0;
  for (const [, name] of (fields.get("signature-input") ?? "").matchAll(/"((?:[^"\\]|\\.)*)"/g)) {
    const value = fields.get(name!) ?? "";
    characters += value.length;
    if (characters > COVERED_CHARACTERS_MAX) throw new Flaw("covers too much");
    if (BLANKS.test(value)) throw new Flaw("covers a field with more than 64 blanks in a row");
  }
}

/** The verifier of a key that the policy names. The algorithm is the key's, never what the signature asks for. */
async function verifierOf(
  rule: SignatureRule,
  keyid: string | undefined,
  see: (base: Uint8Array, signature: Uint8Array) => void,
): Promise<Verifier> {
  const jwk = rule.keys.find(key => key.keyid === keyid)?.jwk;
  if (jwk === undefined) throw new Error("no such key");
  const { name, parameters } = ALGORITHMS[jwk.alg];
  const key = (await importJWK(jwk, jwk.alg)) as CryptoKey;
  return {
    algorithm: name,
    verify: (data, signature) => {
      see(data, signature);
      return crypto.subtle.verify(parameters, key, signature as BufferSource, data as BufferSource);
    },
  };
}

/**
 * What is the same whenever a signature is sent again, and nobody can guess who does not have it. Not all of it: of an
 * ECDSA signature everybody can make another one, which differs in the second half.
 */
function markOf(base: Uint8Array, signature: Uint8Array): Uint8Array {
  return sha256.create().update(base).update(signature.subarray(0, MARK_SIGNATURE_BYTES)).digest();
}

/** Whether the whole target is signed, and the body if there is one. @throws Flaw */
async function checkCoverage(
  request: Request,
  components: readonly ComponentDescriptor[],
  gone: AbortSignal,
): Promise<void> {
  // With parameters a component may be only a part of what its name says.
  const whole = components.filter(({ parameters }) => Object.keys(parameters).length === 0);
  const covers = (name: string) => whole.some(component => component.name === name);
  if (!covers("@target-uri") && !["@authority", "@path", "@query"].every(covers)) {
    throw new Flaw("does not cover @target-uri, nor @authority, @path and @query");
  }
  if (covers("content-digest")) return checkDigest(request, gone);
  if (request.body !== null && request.headers.get("content-length") !== "0") {
    throw new Flaw("does not cover content-digest, and there is a body");
  }
}

/** Whether the body is what Content-Digest says (RFC 9530 section 2). @throws Flaw */
async function checkDigest(request: Request, gone: AbortSignal): Promise<void> {
  const digests = parseDictionary(request.headers.get("content-digest") ?? "");
  const hashes = { "sha-256": sha256.create(), "sha-512": sha512.create() };
  const known = Object.entries(hashes).filter(([name]) => digests.has(name));
  if (known.length === 0) throw new Flaw("covers a content-digest that is neither sha-256 nor sha-512");
  for await (const chunk of readBody(request, gone)) {
    for (const [, hash] of known) hash.update(chunk);
  }
  for (const [name, hash] of known) {
    const value = digests.get(name)?.[0];
    if (!(value instanceof ArrayBuffer) || !equalBytes(new Uint8Array(value), hash.digest())) {
      throw new Flaw("covers a content-digest that does not fit the body");
    }
  }
}

/** The chunks of a copy of the body. @throws Flaw when it is too long to be checked, or broke off. */
async function* readBody(request: Request, gone: AbortSignal): AsyncGenerator<Uint8Array> {
  const tooLong = new Flaw(
    `covers a body longer than ${SIGNED_BODY_BYTES_MAX} bytes, which cannot be checked before it is passed on`,
    413,
  );
  // Not copied at all: what one copy reads, the other one has to hold.
  if (Number(request.headers.get("content-length")) > SIGNED_BODY_BYTES_MAX) throw tooLong;
  const reader = request.clone().body?.getReader();
  let hasLeft = false;
  const leave = () => {
    hasLeft = true;
    reader?.cancel().catch(() => {});
  };
  if (gone.aborted) leave();
  const timer = setTimeout(leave, BODY_WAIT_MS);
  gone.addEventListener("abort", leave);
  try {
    for (let size = 0; ; ) {
      const chunk = await reader?.read().catch(() => ({ done: true as const, value: null }));
      if (chunk?.value === null || hasLeft) throw new Flaw("covers a body that broke off", 400);
      if (chunk?.value === undefined) return;
      size += chunk.value.length;
      if (size > SIGNED_BODY_BYTES_MAX) throw tooLong;
      yield chunk.value;
    }
  } finally {
    clearTimeout(timer);
    gone.removeEventListener("abort", leave);
    leave();
  }
}

const REASONS: Readonly<Partial<Record<SignatureErrorCode, string>>> = {
  [SignatureErrorCode.MissingField]:
    "has no Signature, no Signature-Input, or covers a field that is not there",
  [SignatureErrorCode.LabelRequired]: "is not the only one",
  [SignatureErrorCode.DuplicateLabel]: "is not the only one",
  [SignatureErrorCode.LabelMismatch]: "has no Signature-Input of its own",
  [SignatureErrorCode.UnsupportedFeature]: "covers a component of a kind that is not supported",
  [SignatureErrorCode.AlgorithmMismatch]: "names an algorithm that is not its key's",
  [SignatureErrorCode.ResolverFailed]: "is by a key that is not known",
  [SignatureErrorCode.VerificationFailed]: "does not fit the request",
};

/** The library's words for what the policy asks for; they repeat nothing that a client wrote. */
const POLICY_REASON =
  /^(?:Required (?:component|parameter) |Signature (?:was created in the future|has expired|is too old)$)/;

/** What is wrong with a signature; nothing that it says itself. */
function reasonOf(error: unknown): string {
  if (error instanceof Flaw) return error.message;
  if (!isSignatureError(error)) return "is malformed";
  if (error.code === SignatureErrorCode.PolicyViolation && POLICY_REASON.test(error.message)) {
    return `is not accepted: ${error.message[0]!.toLowerCase()}${error.message.slice(1)}`;
  }
  return REASONS[error.code] ?? "is malformed";
}
