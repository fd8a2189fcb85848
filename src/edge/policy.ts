// The policy: the one configuration, read from wrangler.toml's [vars] and checked once, at start. An
// unknown key or a bad value stops the start with the path of the key and what was expected.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as v from "valibot";
import { parseCertificate } from "../receipt/certificate.ts";
import { decodeBase64 } from "../tlog/base64.ts";

const HttpUrl = v.pipe(
  v.string(),
  v.check(isHttpUrl, "expected an absolute http or https URL without credentials, query or fragment"),
);
const Name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name of a-z, 0-9 and -"));
const Method = v.pipe(v.string(), v.regex(/^[A-Z]+$/, "expected an upper-case HTTP method"));

const Certificate = v.pipe(v.string(), v.check(isCertificate, "expected a certificate: base64 of DER"));

const LedgerSchema = v.strictObject({
  name: v.pipe(
    Name,
    v.check(name => !RESERVED_NAMES.includes(name), "expected a name that is not part of the read API"),
  ),
  /** The name in checkpoints: a URL without scheme, without spaces and plus signs (C2SP tlog-checkpoint). */
  origin: v.pipe(v.string(), v.regex(/^[^\s+]{1,255}$/, "expected a URL without scheme, spaces and +")),
});

const RouteSchema = v.strictObject({
  name: Name,
  /** A path, or the beginning of one followed by `*`. */
  match: v.pipe(v.string(), v.regex(/^\/[^*]*\*?$/, "expected a path like /v1/orders or /v1/*")),
  methods: v.optional(v.array(Method)),
  upstream: HttpUrl,
  ledger: Name,
  /** How many bytes of a response may be held back until its record is durable. */
  hold: v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(8 * 1024 * 1024)),
    256 * 1024,
  ),
});

const PolicySchema = v.strictObject({
  issuer: HttpUrl,
  prefix: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\/[a-z0-9.\-/]+\/$/, "expected a lower-case path that begins and ends with /"),
    ),
    "/.well-known/audit/",
  ),
  ledgers: v.pipe(v.array(LedgerSchema), v.minLength(1, "expected at least one ledger")),
  routes: v.pipe(v.array(RouteSchema), v.minLength(1, "expected at least one route")),
  /** Who tells the client's address: Cloudflare's front in its header, or nobody. */
  client_address: v.optional(v.picklist(["cf-connecting-ip", "none"]), "cf-connecting-ip"),
  anchor: v.optional(
    v.strictObject({
      interval_seconds: v.optional(
        v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(86_400)),
        60,
      ),
      /** An RFC 3161 timestamp authority, whose tokens go into anchors. */
      timestamp: v.optional(
        v.strictObject({
          url: HttpUrl,
          certificates: v.pipe(v.array(Certificate), v.minLength(1, "expected at least one certificate")),
          every: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1)), 1),
          required: v.optional(v.boolean(), false),
        }),
      ),
    }),
    {},
  ),
  /** The operator's copy of private values. */
  vault: v.optional(
    v.strictObject({
      /** 0 keeps none. */
      retention_days: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(36_500)), 30),
    }),
    {},
  ),
  /** What `provision` sets on the anchor bucket. */
  lock: v.optional(
    v.pipe(
      v.strictObject({
        retention_days: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
        retention: v.optional(v.literal("indefinite")),
      }),
      v.check(
        ({ retention_days, retention }) => (retention_days === undefined) !== (retention === undefined),
        "expected either retention_days or retention",
      ),
    ),
  ),
});

/** First path segments below the prefix that belong to the read API, so no ledger may be called so. */
const RESERVED_NAMES = ["trust", "receipts", "anchors", "health", "private"];

export type Route = v.InferOutput<typeof RouteSchema>;

export interface Policy extends v.InferOutput<typeof PolicySchema> {
  /** 8 hex digits of the SHA-256 of what rules an exchange: which rules were in force, in every record. */
  readonly hash: string;
}

/** @throws Error that names the key, what was expected and what was found. */
export function parsePolicy(vars: unknown): Policy {
  const result = v.safeParse(PolicySchema, vars);
  if (!result.success) {
    const issue = result.issues[0];
    throw new Error(
      `wrangler.toml: vars.${v.getDotPath(issue) ?? ""}: ${issue.message}${issue.received ? `, found ${issue.received}` : ""}`,
    );
  }
  const policy = result.output;
  const names = policy.ledgers.map(ledger => ledger.name);
  policy.ledgers.forEach((ledger, i) => {
    if (names.indexOf(ledger.name) !== i) {
      throw new Error(`wrangler.toml: vars.ledgers.${i}.name: "${ledger.name}" is there twice`);
    }
  });
  policy.routes.forEach((route, i) => {
    if (!names.includes(route.ledger)) {
      throw new Error(
        `wrangler.toml: vars.routes.${i}.ledger: expected one of ${names.join(", ")}, found "${route.ledger}"`,
      );
    }
  });
  const { issuer, prefix, ledgers, routes } = policy;
  const rules = new TextEncoder().encode(JSON.stringify({ issuer, prefix, ledgers, routes }));
  const hash = bytesToHex(sha256(rules)).slice(0, 8);
  return { ...policy, hash };
}

/** The first route that takes this request, or undefined. */
export function matchRoute(policy: Policy, method: string, path: string): Route | undefined {
  return policy.routes.find(
    ({ match, methods }) =>
      (methods === undefined || methods.includes(method)) &&
      (match.endsWith("*") ? path.startsWith(match.slice(0, -1)) : path === match),
  );
}

function isCertificate(text: string): boolean {
  try {
    parseCertificate(decodeBase64(text));
    return true;
  } catch {
    return false;
  }
}

/** An absolute http or https URL with nothing in it that is not an address. */
export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "" && url.username === "";
}
