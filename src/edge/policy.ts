// The policy: the one configuration, read from wrangler.toml's [vars] and checked once, at start. An
// unknown key or a bad value stops the start with the path of the key and what was expected.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as v from "valibot";
import { parseCertificate } from "../receipt/certificate.ts";
import { PRIVATE_CHOICES } from "../receipt/disclosure.ts";
import { REFUSED_FOLDER, SPOOL_FOLDER } from "../receipt/spool.ts";
import { decodeBase64 } from "../tlog/base64.ts";
import { parsePolicy as parseWitnessPolicy, type Policy as WitnessPolicy } from "../tlog/policy.ts";
import { ASSURANCE_KEYS, isConsistent } from "./assurance.ts";
import { Count } from "./count.ts";
import { FieldsSchema } from "./fields.ts";
import { ADDRESS_TELLERS } from "./headers.ts";
import { IdentitySchema, isReadBy } from "./identity.ts";
import { isPathPattern } from "./path.ts";
import { coversRoute } from "./route.ts";

const HttpUrl = v.pipe(
  v.string(),
  v.check(isHttpUrl, "expected an absolute http or https URL without credentials, query or fragment"),
);
const Name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name of a-z, 0-9 and -"));
const Method = v.pipe(v.string(), v.regex(/^[A-Z]+$/, "expected an upper-case HTTP method"));

const Certificate = v.pipe(v.string(), v.check(isCertificate, "expected a certificate: base64 of DER"));
const Host = v.pipe(
  v.string(),
  v.regex(
    /^((\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])$/,
    "expected a lower-case host like api.example.com or *.example.com, without a port",
  ),
);

/** A bucket of an S3 service. */
const BUCKET_KEYS = {
  /** The bucket's URL, path-style. */
  url: v.pipe(HttpUrl, v.regex(/[^/]$/, "expected the URL of a bucket, without a slash at its end")),
  region: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/)), "us-east-1"),
};

/** A limit that a policy may lower, but not raise. */
const lowerable = (most: number) => v.optional(Count(1, most), most);

/** The ledger recognises an exchange for 30 days, and may need its entries for it. */
const RETENTION_DAYS_MIN = 31;

const LedgerSchema = v.strictObject({
  name: v.pipe(
    Name,
    v.check(name => !RESERVED_NAMES.includes(name), "expected a name that is not part of the read API"),
  ),
  /** The name in checkpoints: a URL without scheme (C2SP tlog-checkpoint), and without plus signs (C2SP signed-note). */
  origin: v.pipe(
    v.string(),
    v.check(
      isOrigin,
      "expected a name like api.example.com/audit/main: host and path in their normal form, without scheme and +",
    ),
  ),
  /** For how long entries stay in the archive: longer than the ledger must be able to answer for an exchange. */
  retention_days: v.optional(Count(RETENTION_DAYS_MIN)),
});

const RouteSchema = v.strictObject({
  name: Name,
  /** The paths that it takes; see `matchPath`. */
  match: v.pipe(
    v.string(),
    v.check(
      isPathPattern,
      "expected a path like /v1/orders, /v1/orders/:id or /v1/*, in its normal form (RFC 3986 section 6)",
    ),
  ),
  /** The hosts that it takes, without port; all when it is left out. */
  hosts: v.optional(v.pipe(v.array(Host), v.minLength(1, "expected at least one host"))),
  methods: v.optional(v.pipe(v.array(Method), v.minLength(1, "expected at least one method"))),
  upstream: HttpUrl,
  /** What is cut off the beginning of the path before it is put behind the upstream's own. */
  strip_prefix: v.optional(
    v.pipe(
      v.string(),
      v.check(
        text => isPathPattern(text) && !/[:*]|\/$/.test(text),
        "expected a path that does not end with /",
      ),
    ),
  ),
  ledger: Name,
  /** How many bytes of a response may be held back until its record is durable. */
  hold: v.optional(Count(0, 8 * 1024 * 1024), 256 * 1024),
  /** Of which bodies the records have digests. */
  digests: v.optional(
    v.union(
      [v.boolean(), v.picklist(["request", "response"])],
      'expected true, false, "request" or "response"',
    ),
    true,
  ),
  /** Record fields that are private, besides those that always are. */
  private: v.optional(v.array(v.picklist(PRIVATE_CHOICES)), []),
  /** What the records tell besides. */
  fields: v.optional(FieldsSchema, {}),
  /** Whether a trace that comes with a request is continued, and its sender believed. */
  trace: v.optional(v.picklist(["untrusted", "trusted", "off"]), "untrusted"),
  /** The largest request body, in bytes; any when it is left out. */
  body_limit: v.optional(Count(0)),
  /** How callers are identified; not at all when it is left out. */
  identity: v.optional(IdentitySchema),
  /** How long the upstream may be silent before the head of its response, and then for a body that is held. */
  upstream_timeout_ms: v.optional(Count(1, 3_600_000), 60_000),
  /** How often an idempotent request is sent again when the upstream is out of order. */
  retries: v.optional(Count(0, 2), 0),
  /** After so many seconds, or bytes, in which something has passed, an exchange that goes on tells how far it is. */
  interim_seconds: v.optional(Count(1, 86_400), 60),
  interim_bytes: v.optional(Count(64 * 1024), 64 * 1024 * 1024),
  ...ASSURANCE_KEYS,
});

/** A route of which no record can have a credential. */
const SafeRouteSchema = v.pipe(
  RouteSchema,
  v.forward(
    v.partialCheck(
      [["fields"], ["identity"]],
      ({ fields, identity }) => !Object.values(fields).some(({ header }) => isReadBy(identity, header)),
      "expected no field that carries a credential of this route",
    ),
    ["fields"],
  ),
);

/** A key that signed before; the public half of it. */
const RetiredKeySchema = v.strictObject({
  use: v.picklist(["receipt", "checkpoint", "anchor"]),
  key: v.pipe(
    v.string(),
    v.regex(/^[\w-]{43}$/, "expected an Ed25519 public key: 32 bytes in base64url, the x of its JWK"),
  ),
  /** Until when it may have signed. */
  until: v.pipe(
    v.string(),
    v.check(
      text => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) && !Number.isNaN(Date.parse(text)),
      "expected a time like 2026-11-21T05:22:22Z",
    ),
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
  routes: v.pipe(v.array(SafeRouteSchema), v.minLength(1, "expected at least one route")),
  /** Who tells the client's address; see `clientAddress`. */
  client_address: v.optional(v.picklist(ADDRESS_TELLERS), "cf-connecting-ip"),
  /** What becomes of Forwarded and X-Forwarded-*: the edge's word alone, or at the end of what a trusted front says. */
  forwarded: v.optional(v.picklist(["replace", "append"]), "replace"),
  /** What a request may have before it is refused, whichever route it would take. */
  limits: v.optional(
    v.strictObject({
      url_bytes: lowerable(16 * 1024),
      header_bytes: lowerable(128 * 1024),
      header_count: lowerable(1000),
    }),
    {},
  ),
  /** Where ledgers publish, if not in the platform's own bucket. */
  archive: v.optional(
    v.strictObject({
      /** A bucket whose keys are the secrets ARCHIVE_S3_KEY_ID and ARCHIVE_S3_SECRET. */
      s3: v.optional(v.strictObject(BUCKET_KEYS)),
    }),
    {},
  ),
  anchor: v.optional(
    v.strictObject({
      interval_seconds: v.optional(Count(1, 86_400), 60),
      /** How many new entries of a ledger do not wait for the interval to pass. */
      entries: v.optional(Count(1), 10_000),
      /** A bucket under S3 Object Lock; its keys are the secrets ANCHOR_S3_KEY_ID and ANCHOR_S3_SECRET. */
      s3: v.optional(
        v.strictObject({
          ...BUCKET_KEYS,
          retention_days: Count(1, 36_500),
          /** `copy`: every anchor goes there as well; `store`: the anchors lie there and nowhere else. */
          role: v.optional(v.picklist(["copy", "store"]), "copy"),
        }),
      ),
      /** Witnesses that are asked to cosign what an anchor pins. */
      witnesses: v.optional(
        v.strictObject({
          /** The text of a C2SP tlog-policy file: the witnesses with their URLs, and the quorum. */
          policy: v.pipe(v.string(), v.rawTransform(readWitnesses)),
          /** Whether a checkpoint without the quorum is not pinned. */
          required: v.optional(v.boolean(), false),
          wait_ms: v.optional(Count(100, 60_000), 5000),
        }),
      ),
      /** An RFC 3161 timestamp authority, whose tokens go into anchors. */
      timestamp: v.optional(
        v.strictObject({
          url: HttpUrl,
          certificates: v.pipe(v.array(Certificate), v.minLength(1, "expected at least one certificate")),
          every: v.optional(Count(1), 1),
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
      retention_days: v.optional(Count(0, 36_500), 30),
    }),
    {},
  ),
  /** When an exchange without an ending raises an alert: after it was received, and after its response started. */
  alerts: v.optional(
    v.strictObject({
      received_seconds: v.optional(Count(1), 300),
      started_seconds: v.optional(Count(1), 86_400),
    }),
    {},
  ),
  /** The keys that signed before those in force. One that is in force still is not retired yet. */
  retired_keys: v.optional(
    v.pipe(
      v.array(RetiredKeySchema),
      v.maxLength(100, "expected at most 100 keys"),
      v.check(
        keys => new Set(keys.map(({ use, key }) => `${use} ${key}`)).size === keys.length,
        "expected each key once",
      ),
    ),
    [],
  ),
  /** What `provision` sets on the anchor bucket. */
  lock: v.optional(
    v.pipe(
      v.strictObject({
        retention_days: v.optional(Count(1)),
        retention: v.optional(v.literal("indefinite")),
        /** Where Cloudflare's API tells the anchor bucket's lock rules; read with the secret LOCK_API_TOKEN. */
        rules_url: v.optional(HttpUrl),
        /** Whether the anchors lie on this machine, where nothing is locked; `npm start` says so. */
        local: v.optional(v.boolean(), false),
      }),
      v.check(
        ({ retention_days, retention }) => (retention_days === undefined) !== (retention === undefined),
        "expected either retention_days or retention",
      ),
    ),
  ),
});

/** First path segments of the read API and of the archive that are no ledger's, so none may be called so. */
const RESERVED_NAMES = [
  "trust",
  "receipts",
  "anchors",
  "health",
  "ready",
  "private",
  SPOOL_FOLDER,
  REFUSED_FOLDER,
];

export type Route = v.InferOutput<typeof RouteSchema>;

export interface Policy extends v.InferOutput<typeof PolicySchema> {
  /** 8 hex digits of the SHA-256 of what rules an exchange: which rules were in force, in every record. */
  readonly hash: string;
}

/** What is wrong with a policy. It names the key; in which file that is, only the host knows. */
export class PolicyError extends Error {
  constructor(key: string, reason: string) {
    super(`vars${key === "" ? "" : `.${key}`}: ${reason}`);
    this.name = "PolicyError";
  }
}

/** @throws PolicyError that names the key, what was expected and what was found. */
export function parsePolicy(vars: unknown): Policy {
  const result = v.safeParse(PolicySchema, vars);
  if (!result.success) {
    // A key that nobody knows is a slip of the pen more often than not, and another one is missing because of it.
    const issue = result.issues.find(isUnknownKey) ?? result.issues[0];
    throw new PolicyError(v.getDotPath(issue) ?? "", describeIssue(issue));
  }
  const policy = result.output;
  checkLedgers(policy);
  policy.routes.forEach((_, i) => {
    checkRoute(policy, i);
  });
  return { ...policy, hash: hashRules(policy) };
}

type Issue = v.InferIssue<typeof PolicySchema>;

function isUnknownKey({ type, expected }: Issue): boolean {
  return type === "strict_object" && expected === "never";
}

function describeIssue(issue: Issue): string {
  const { expected, message, received } = issue;
  if (isUnknownKey(issue)) return "there is no such key";
  if (received === "undefined") return "is not there";
  // What the library says by itself repeats what was found; what is said here does not.
  return message.startsWith("Invalid ") && expected !== null
    ? `expected ${expected}, found ${received}`
    : `${message}, found ${received}`;
}

type Rules = v.InferOutput<typeof PolicySchema>;

/** What no single value shows to be wrong: names that are there twice. */
function checkLedgers({ ledgers }: Rules): void {
  for (const key of ["name", "origin"] as const) {
    const names = ledgers.map(ledger => ledger[key]);
    names.forEach((name, i) => {
      if (names.indexOf(name) !== i) refuse(`ledgers.${i}.${key}`, `"${name}" is there twice`);
    });
  }
}

/** What is wrong with a route beside the others, and beside the edge itself. */
function checkRoute({ issuer, ledgers, routes }: Rules, i: number): void {
  const route = routes[i]!;
  const names = ledgers.map(({ name }) => name);
  if (!names.includes(route.ledger)) {
    refuse(`routes.${i}.ledger`, `expected one of ${names.join(", ")}, found "${route.ledger}"`);
  }
  if (!isConsistent(route)) {
    const found = `found "${route.on_ledger_failure}"`;
    refuse(`routes.${i}.on_ledger_failure`, `expected "spool" with assurance = "promised", ${found}`);
  }
  const earlier = routes.slice(0, i);
  if (earlier.some(({ name }) => name === route.name)) {
    refuse(`routes.${i}.name`, `"${route.name}" is there twice`);
  }
  const taker = earlier.find(other => coversRoute(other, route));
  if (taker !== undefined) {
    refuse(
      `routes.${i}`,
      `"${route.name}" is never reached, because "${taker.name}" before it takes everything`,
    );
  }
  checkGuessing(route, `routes.${i}`);
  const { strip_prefix: cut, match } = route;
  if (cut !== undefined && match !== cut && !match.startsWith(`${cut}/`)) {
    refuse(`routes.${i}.strip_prefix`, `expected a path that "${match}" begins with, found "${cut}"`);
  }
  if ([issuer, ...routes.flatMap(exactHosts)].some(edge => isSamePlace(new URL(route.upstream), edge))) {
    refuse(`routes.${i}.upstream`, `expected another host than the edge's own, found "${route.upstream}"`);
  }
}

/** The digest of a short body would let everybody test what a private field in it may be. */
function checkGuessing(route: Route, key: string): void {
  for (const [name, { from, pointer, private: isPrivate }] of Object.entries(route.fields)) {
    const digest = from === "request" ? "req.digest" : "res.digest";
    const hasDigest = (route.digests === true || route.digests === from) && !route.private.includes(digest);
    if (isPrivate && pointer !== undefined && hasDigest) {
      refuse(
        `${key}.fields.${name}.private`,
        `expected "${digest}" in the route's private, or no digest, because guesses could be tested by it`,
      );
    }
  }
}

/** The hosts that are certainly the edge's own, as URLs without a port. */
function exactHosts({ hosts = [] }: Route): string[] {
  return hosts.filter(host => !host.startsWith("*.")).map(host => `https://${host}`);
}

function isSamePlace(upstream: URL, edge: string): boolean {
  const { hostname, port } = new URL(edge);
  return upstream.hostname.replace(/\.$/, "") === hostname && upstream.port === port;
}

function refuse(key: string, reason: string): never {
  throw new PolicyError(key, reason);
}

/** What is published where, alerts and old keys rule no exchange; whatever else there is does, and whatever is yet to come. */
function hashRules({ archive, anchor, lock, alerts, retired_keys, ...rules }: Rules): string {
  return bytesToHex(sha256(new TextEncoder().encode(formatSorted(rules)))).slice(0, 8);
}

/** JSON with the members of every object in order (as RFC 8785 has it, for what a policy may hold). */
function formatSorted(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Reads a tlog-policy, whose witnesses must all have URLs to be asked at. */
function readWitnesses({
  dataset: { value },
  addIssue,
  NEVER,
}: v.RawTransformContext<string>): WitnessPolicy {
  try {
    const policy = parseWitnessPolicy(value);
    const silent = policy.witnesses.find(({ url }) => url === undefined || !isHttpUrl(url));
    if (silent === undefined) return policy;
    addIssue({ message: `expected an http or https URL for the witness "${silent.name}"` });
  } catch (error) {
    addIssue({ message: `expected a tlog-policy: ${(error as Error).message}` });
  }
  return NEVER;
}

function isCertificate(text: string): boolean {
  try {
    parseCertificate(decodeBase64(text));
    return true;
  } catch {
    return false;
  }
}

/** A URL without its scheme. In the normal form nothing is left that two readers could take for different names. */
function isOrigin(text: string): boolean {
  const url = `https://${text}`;
  const isNormal = isHttpUrl(url) && [url, `${url}/`].includes(new URL(url).href);
  return isNormal && text.length <= 255 && !text.includes("+");
}

/** An absolute http or https URL with nothing in it that is not an address. */
function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return false;
  return /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "";
}
