// JSON Web Tokens (RFC 7519, with the advice of RFC 8725): signed with an algorithm that the policy allows, by a key
// that the issuer publishes where the policy says, for this audience and for now.
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from "jose";
import * as v from "valibot";
import { Count } from "./count.ts";
import { FieldName, type Finding, readCredential } from "./credential.ts";
import { type Jwks, KeysUnavailable } from "./jwks.ts";

/** What a route may allow: signatures by a key pair. With any of these a public key cannot pass for a secret. */
const ALGORITHMS = [
  ...(["Ed25519", "EdDSA", "ES256", "ES384", "ES512"] as const),
  ...(["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"] as const),
] as const;

/** A longer token, or subject in one, is refused. */
const TOKEN_CHARACTERS_MAX = 8192;
const SUBJECT_CHARACTERS_MAX = 1024;

const JwksUrl = v.pipe(
  v.string(),
  v.check(isKeysUrl, "expected an https URL without credentials and fragment; http only to this machine"),
);

export const JwtSchema = v.strictObject({
  by: v.literal("jwt"),
  /** Where the issuer publishes its keys. */
  jwks: JwksUrl,
  issuer: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
  /** The token must be for one of these. */
  audience: v.pipe(v.array(v.pipe(v.string(), v.minLength(1))), v.minLength(1, "expected at least one")),
  algorithms: v.optional(
    v.pipe(v.array(v.picklist(ALGORITHMS)), v.minLength(1, "expected at least one algorithm")),
    ["Ed25519", "EdDSA", "ES256", "PS256", "RS256"],
  ),
  /** The token's own type, such as at+jwt (RFC 9068); any, when it is left out. */
  typ: v.optional(v.pipe(v.string(), v.minLength(1))),
  header: v.optional(FieldName, "authorization"),
  /** Whether the token is kept from the upstream. */
  strip: v.optional(v.boolean(), false),
  clock_skew_seconds: v.optional(Count(0, 300), 30),
});

export type JwtRule = v.InferOutput<typeof JwtSchema>;

/** @returns undefined when the request carries no token. */
export async function checkJwt(
  rule: JwtRule,
  headers: Headers,
  jwks: Jwks,
  nowMs: number,
): Promise<Finding | undefined> {
  const token = readCredential(headers, rule.header);
  if (token === undefined) return undefined;
  if (token === "" || token.length > TOKEN_CHARACTERS_MAX) {
    return { is: "invalid", why: `the token is malformed or longer than ${TOKEN_CHARACTERS_MAX} characters` };
  }
  try {
    const keys = await jwks.get(rule.jwks);
    const subject = await verify(token, rule, keys, nowMs).catch(async error => {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // It may be signed by a key that is newer than the ones that are kept.
      const newer = await jwks.beyond(rule.jwks, keys);
      if (newer === keys) throw error;
      return verify(token, rule, newer, nowMs);
    });
    return { is: "valid", subject, issuer: rule.issuer };
  } catch (error) {
    if (error instanceof KeysUnavailable) return { is: "unverifiable", why: error.message };
    return { is: "invalid", why: `the token ${reasonOf(error)}` };
  }
}

/** @returns the subject. @throws whatever is wrong with the token. */
async function verify(token: string, rule: JwtRule, keys: JSONWebKeySet, nowMs: number): Promise<string> {
  // Made anew for each token: it keeps promises, which requests may not share.
  const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
    algorithms: [...rule.algorithms],
    issuer: rule.issuer,
    audience: rule.audience,
    ...(rule.typ === undefined ? {} : { typ: rule.typ }),
    requiredClaims: ["exp", "sub"],
    clockTolerance: rule.clock_skew_seconds,
    currentDate: new Date(nowMs),
  });
  const { sub } = payload;
  if (typeof sub !== "string" || sub === "" || sub.length > SUBJECT_CHARACTERS_MAX) {
    throw new errors.JWTClaimValidationFailed("not a subject", payload, "sub");
  }
  return sub;
}

/** What is wrong with a token; nothing that it says itself. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "has expired";
  if (error instanceof errors.JWTClaimValidationFailed)
    return `has a "${claimOf(error)}" that is not accepted`;
  if (error instanceof errors.JOSEAlgNotAllowed) return "is signed with an algorithm that is not allowed";
  if (error instanceof errors.JWKSNoMatchingKey) return "is signed by no key of its issuer";
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "does not say by which key it is signed";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "has a signature that does not fit";
  return "is not a signed JWT that can be verified";
}

function claimOf({ claim }: errors.JWTClaimValidationFailed): string {
  return ["aud", "exp", "iat", "iss", "nbf", "sub", "typ"].includes(claim) ? claim : "claim";
}

function isKeysUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || url.hash !== "") return false;
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && isLocal);
}
