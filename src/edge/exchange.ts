// One exchange on its way through the edge: what was seen of it so far, and the records about it.
import { commitFields, type PRIVATE_FIELDS, SEED_BYTES } from "../receipt/disclosure.ts";
import { makeJti } from "../receipt/jti.ts";
import type { Opening } from "../receipt/opening.ts";
import {
  type Attempt,
  type AuditRecord,
  fitText,
  formatRecord,
  formatSmallRecord,
  isFinal,
  type SocketRecord,
  type Stage,
  TEXT_BYTES_MAX,
} from "../receipt/record.ts";
import { encodeBase64url } from "../tlog/base64.ts";
import { BodyDigest } from "./body.ts";
import { type FieldValue, fitFields, pickHeaders, pickMembers, type Side } from "./fields.ts";
import type { Head } from "./head.ts";
import type { Identity } from "./identity.ts";
import type { Policy, Route } from "./policy.ts";
import { hidePrivate, type Privacy, privacyOf } from "./privacy.ts";
import { hostOf } from "./route.ts";
import { makeTrace, type Trace } from "./trace.ts";

/** Sources of what must differ between exchanges; passed in, so that a test can fix them. */
export interface Sources {
  /** The edge's clock, in milliseconds of Unix time. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** The platform's own SHA-256, at once: to wait for one takes a platform longer than to make that of a short body. */
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

/** What a text may have in a record that would be too large with longer ones. */
const SHORT_TEXT_BYTES_MAX = 64;

const NOWHERE = { host: "", pathname: "", search: "" };

/** What a record says besides what the exchange itself has seen. */
interface Seen {
  readonly status?: number;
  readonly error?: string;
  readonly seq?: number;
  readonly ws?: SocketRecord;
}

export class Exchange {
  readonly jti: string;
  /** Opens the private fields; for the caller only. */
  readonly seed: string;
  readonly requestBody: BodyDigest;
  readonly responseBody: BodyDigest;
  readonly route: Route | undefined;
  /** The calls of the upstream so far. */
  readonly attempts: Attempt[] = [];
  readonly #policy: Policy;
  readonly #sources: Sources;
  readonly #began: number;
  readonly trace: Trace | undefined;
  readonly #seed: Uint8Array;
  readonly #request: { readonly method: string; readonly host: string; readonly path: string };
  readonly #private: Record<string, unknown>;
  readonly #privacy: Privacy;
  readonly #picked: Record<string, FieldValue>;
  #identity: Identity | undefined;
  #hasEnded = false;
  #commitment: { _sd_alg: "sha-256"; _sd: string[] } | undefined;

  constructor(
    head: Head,
    address: string | undefined,
    route: Route | undefined,
    policy: Policy,
    sources: Sources,
  ) {
    // Without a URL, there is nothing that can be said of where a request went; it is refused.
    const { host, pathname, search } = head.url ?? NOWHERE;
    this.#seed = sources.random(SEED_BYTES);
    this.#began = sources.now();
    this.jti = makeJti(this.#began, sources.random(16));
    this.seed = encodeBase64url(this.#seed);
    this.route = route;
    this.#policy = policy;
    this.#sources = sources;
    const { digests = true, fields = {}, trace = "untrusted" } = route ?? {};
    const hash = (side: Side) => (digests === true || digests === side ? sources.sha256 : undefined);
    this.requestBody = new BodyDigest(hash("request"), route?.body_limit);
    this.responseBody = new BodyDigest(hash("response"));
    this.#request = { method: head.method, host, path: pathname };
    this.#privacy = privacyOf(route, policy);
    this.#picked = pickHeaders(fields, "request", head.headers);
    this.trace = trace === "off" ? undefined : makeTrace(head.headers, trace, sources.random(24));
    this.#private = {
      sub: null,
      client_address: address ?? null,
      user_agent: head.headers.get("user-agent"),
      query: search === "" ? null : search.slice(1),
    } satisfies Record<(typeof PRIVATE_FIELDS)[number], string | null>;
  }

  /**
   * Picks the route's extra fields out of a message.
   * @param body all of it, or undefined when it is not held whole.
   */
  pick(from: Side, headers: Headers, body: Uint8Array | undefined): void {
    const rules = this.route?.fields ?? {};
    Object.assign(this.#picked, pickHeaders(rules, from, headers), pickMembers(rules, from, headers, body));
  }

  /** Whether the record that ends it has been made. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether the operator's copy has more to say than when the request came. */
  get hasMore(): boolean {
    return this.#privacy.members.length + this.#privacy.fields.length > 0;
  }

  /** Says who calls: before the first record, because all records of an exchange commit to the same values. */
  identify(identity: Identity): void {
    if (this.#commitment !== undefined) throw new Error("an exchange is identified before it is recorded");
    this.#identity = identity;
    this.#private.sub = identity.sub;
  }

  /** Who calls, as far as it was established. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** What opens the private fields: for the operator's copy, once it is known who calls. */
  get opening(): Opening {
    return { jti: this.jti, seed: this.seed, fields: { ...this.#private } };
  }

  /** The record of a stage, as JSON text: everything that is known by now. */
  record(stage: Stage, { status, ...seen }: Seen = {}): string {
    const now = this.#sources.now();
    this.#hasEnded = isFinal(stage);
    const record: AuditRecord = {
      iss: this.#policy.issuer,
      jti: this.jti,
      iat: Math.floor(now / 1000),
      time: new Date(now).toISOString(),
      stage,
      ...(seen.seq === undefined ? {} : { seq: seen.seq }),
      ms: now - this.#began,
      ...(this.route && { route: this.route.name, upstream: hostOf(this.route) }),
      policy: this.#policy.hash,
      ...(this.#identity && { auth: this.#identity.auth }),
      // When a request was only received, nothing true can be said of its body yet.
      req: { ...this.#request, ...(stage === "received" ? {} : this.requestBody.read()) },
      ...this.#response(stage, status),
      ...(seen.ws === undefined ? {} : { ws: seen.ws }),
      // One call is the rule and tells nothing.
      ...(this.attempts.length > 1 && { attempts: this.attempts }),
      ...(seen.error === undefined ? {} : { error: seen.error }),
      ...(this.trace && { trace: { ...this.trace } }),
    };
    return this.#close(record);
  }

  /** Takes out of a record what is private and too long, commits it to what is private, and formats it. */
  #close(record: AuditRecord): string {
    const { shown, fields, hidden } = hidePrivate(record, this.#picked, this.#privacy);
    if (this.hasMore) {
      Object.assign(this.#private, hidden);
      this.#commitment = undefined;
    }
    this.#commitment ??= commitFields(this.#seed, this.#private);
    const closed = { ...shown, ...this.#commitment };
    const fitTo = (bytesMax: number) => ({
      ...closed,
      req: fitRequest(closed.req!, bytesMax),
      ...(Object.keys(fields).length > 0 && { fields: fitFields(fields, bytesMax) }),
    });
    // Several long texts can be too much together, each of which would have had its place.
    return formatSmallRecord(fitTo(TEXT_BYTES_MAX)) ?? formatRecord(fitTo(SHORT_TEXT_BYTES_MAX));
  }

  #response(stage: Stage, status: number | undefined): Pick<AuditRecord, "res"> {
    if (status === undefined) return {};
    // When a response has only started, nothing true can be said of its body yet; and a socket has none.
    if (stage === "started" || status === 101) return { res: { status } };
    const body = stage === "interim" ? this.responseBody.readSoFar() : this.responseBody.read();
    return { res: { status, ...body } };
  }
}

function fitRequest(request: AuditRecord["req"] & object, bytesMax: number): AuditRecord["req"] & object {
  const fitted = { ...request };
  for (const name of ["method", "host", "path"] as const) {
    const text = fitted[name];
    if (typeof text === "string") fitted[name] = fitText(text, bytesMax);
  }
  return fitted;
}
