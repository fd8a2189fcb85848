// Identity: who calls, and how that was established. A route's policy names the methods; every credential that a
// request carries for one of them must be good, and the first is the caller's identity. One that is not good is a
// refusal, whether the route requires an identity or not. Nothing is passed on before this is known.
import * as v from "valibot";
import { ApiKeySchema, checkApiKey } from "./apikey.ts";
import { CertificateSchema, type ClientCertificate, checkCertificate } from "./certificate.ts";
import type { Finding } from "./credential.ts";
import { Jwks, type JwksSources } from "./jwks.ts";
import { checkJwt, JwtSchema } from "./jwt.ts";
import { checkSignature, SignatureSchema } from "./signature.ts";

const MethodSchema = v.variant("by", [JwtSchema, ApiKeySchema, CertificateSchema, SignatureSchema]);

type Method = v.InferOutput<typeof MethodSchema>;

export const IdentitySchema = v.strictObject({
  /** Whether a request without an identity is refused. */
  require: v.optional(v.boolean(), false),
  methods: v.pipe(
    v.array(MethodSchema),
    v.minLength(1, "expected at least one method"),
    v.check(haveFieldsOfTheirOwn, "expected every method to read header fields that no other one reads"),
  ),
});

export type IdentityRule = v.InferOutput<typeof IdentitySchema>;

/** Who calls, as far as it was established. */
export interface Identity {
  /** How, for the record: nothing in it says who. */
  readonly auth: { readonly by: Method["by"] | "none"; readonly iss?: string; readonly error?: string };
  /** Who; private. */
  readonly sub: string | null;
  /** The header fields that are kept from the upstream. */
  readonly strip: readonly string[];
  /** The exchange id by which a credential that is good only once is used up. */
  readonly once?: string | undefined;
}

/** Why a request is not passed on. */
export class Refused {
  readonly status: number;
  readonly title: string;
  /** For the record and the client; says nothing of who calls. */
  readonly error: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, title: string, error: string, headers: Readonly<Record<string, string>>) {
    this.status = status;
    this.title = title;
    this.error = error;
    this.headers = headers;
  }
}

/** What a request brings, to be identified by. */
export interface Claims {
  readonly request: Request;
  /** As the front tells it, if there is one. */
  readonly certificate: ClientCertificate | undefined;
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
}

export class Identifier {
  readonly #sources: JwksSources;
  readonly #jwks: Jwks;

  constructor(sources: JwksSources) {
    this.#sources = sources;
    this.#jwks = new Jwks(sources);
  }

  /** @returns undefined on a route that does not ask for identities. */
  async identify(rule: IdentityRule | undefined, claims: Claims): Promise<Identity | Refused | undefined> {
    if (rule === undefined) return undefined;
    let auth: Identity["auth"] = { by: "none" };
    let sub: string | null = null;
    let unverifiable: string | undefined;
    let once: string | undefined;
    for (const method of rule.methods) {
      const found = await this.#check(method, claims);
      if (found?.is === "invalid") return refuse(method, found);
      if (found?.is === "unverifiable") unverifiable ??= found.why;
      if (found?.is === "valid") once ??= found.once;
      if (found?.is !== "valid" || sub !== null) continue;
      auth = { by: method.by, ...(found.issuer === undefined ? {} : { iss: found.issuer }) };
      sub = found.subject;
    }
    if (sub === null && rule.require) return demand(rule, unverifiable);
    if (sub === null && unverifiable !== undefined) auth = { by: "none", error: unverifiable };
    return {
      auth,
      sub,
      once,
      strip: rule.methods.flatMap(method => (isStripped(method) ? fieldsOf(method) : [])),
    };
  }

  async #check(method: Method, { request, certificate, signal }: Claims): Promise<Finding | undefined> {
    const now = this.#sources.now();
    switch (method.by) {
      case "jwt":
        return checkJwt(method, request.headers, this.#jwks, now);
      case "api-key":
        return checkApiKey(method, request.headers);
      case "mtls":
        return checkCertificate(certificate);
      case "http-signature":
        return checkSignature(method, request, now, signal);
    }
  }
}

/** Whether a header field is one that a credential is read from. */
export function isReadBy(rule: IdentityRule | undefined, header: string | undefined): boolean {
  return rule?.methods.some(method => header !== undefined && fieldsOf(method).includes(header)) ?? false;
}

/** Refuses a credential that is not good. */
function refuse(method: Method, { why, status }: Finding & { is: "invalid" }): Refused {
  const challenge = challengeOf(method);
  if (status !== undefined) return new Refused(status, "Not verifiable", why, {});
  // Without a scheme to ask for there can be no 401 (RFC 9110 section 15.5.2).
  if (challenge === undefined) return new Refused(403, "Invalid credential", why, {});
  const error = method.by === "jwt" ? ', error="invalid_token"' : "";
  return new Refused(401, "Invalid credential", why, { "www-authenticate": `${challenge}${error}` });
}

/** Refuses a request without an identity. */
function demand(rule: IdentityRule, unverifiable: string | undefined): Refused {
  if (unverifiable !== undefined) {
    return new Refused(503, "Not verifiable", unverifiable, { "retry-after": "10" });
  }
  const error = `this route asks for an identity, by ${rule.methods.map(({ by }) => by).join(" or ")}`;
  const challenges = rule.methods.flatMap(method => challengeOf(method) ?? []);
  if (challenges.length === 0) return new Refused(403, "Identity required", error, {});
  return new Refused(401, "Identity required", error, { "www-authenticate": challenges.join(", ") });
}

/** How a client is asked for a credential (RFC 9110 section 11.6.1). */
function challengeOf(method: Method): string | undefined {
  switch (method.by) {
    case "jwt":
      return 'Bearer realm="api"';
    case "api-key":
      return method.header === "authorization"
        ? 'Bearer realm="api"'
        : `ApiKey realm="api", header="${method.header}"`;
    case "http-signature":
      return 'Signature realm="api"';
    case "mtls":
      return undefined;
  }
}

/** The header fields that a method reads its credential from. */
function fieldsOf(method: Method): string[] {
  if (method.by === "http-signature") return ["signature", "signature-input"];
  return method.by === "mtls" ? [] : [method.header];
}

function isStripped(method: Method): boolean {
  return method.by !== "mtls" && method.strip;
}

function haveFieldsOfTheirOwn(methods: Method[]): boolean {
  const fields = methods.flatMap(method => (method.by === "mtls" ? ["mtls"] : fieldsOf(method)));
  return new Set(fields).size === fields.length;
}
