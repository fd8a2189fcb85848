// One exchange on its way through the edge: what was seen of it so far, and the records about it.
import { commitFields, type PRIVATE_FIELDS, SEED_BYTES } from "../receipt/disclosure.ts";
import { makeJti } from "../receipt/jti.ts";
import type { Opening } from "../receipt/opening.ts";
import { type AuditRecord, fitText, formatRecord, type Stage } from "../receipt/record.ts";
import { encodeBase64url } from "../tlog/base64.ts";
import { BodyDigest } from "./body.ts";
import type { Policy, Route } from "./policy.ts";

/** Sources of what must differ between exchanges; passed in, so that a test can fix them. */
export interface Sources {
  /** The edge's clock, in milliseconds of Unix time. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
}

const NOWHERE = { host: "", pathname: "", search: "" };

export class Exchange {
  readonly jti: string;
  /** Opens the private fields; for the caller only. */
  readonly seed: string;
  readonly requestBody: BodyDigest;
  readonly responseBody = new BodyDigest();
  readonly route: Route | undefined;
  readonly #policy: Policy;
  readonly #sources: Sources;
  readonly #began: number;
  readonly #request: { method: AuditRecord["req"] & object }["method"];
  readonly #private: Opening["fields"];
  readonly #commitment: { _sd_alg: "sha-256"; _sd: string[] };

  constructor(
    request: Request,
    address: string | undefined,
    route: Route | undefined,
    policy: Policy,
    sources: Sources,
  ) {
    // Without a URL, there is nothing that can be said of where a request went; it is refused.
    const { host, pathname, search } = URL.parse(request.url) ?? NOWHERE;
    const seed = sources.random(SEED_BYTES);
    this.#began = sources.now();
    this.jti = makeJti(this.#began, sources.random(16));
    this.seed = encodeBase64url(seed);
    this.route = route;
    this.#policy = policy;
    this.#sources = sources;
    this.requestBody = new BodyDigest(route?.body_limit);
    this.#request = { method: fitText(request.method), host: fitText(host), path: fitText(pathname) };
    this.#private = {
      sub: null,
      client_address: address ?? null,
      user_agent: request.headers.get("user-agent"),
      query: search === "" ? null : search.slice(1),
    } satisfies Record<(typeof PRIVATE_FIELDS)[number], string | null>;
    this.#commitment = commitFields(seed, this.#private);
  }

  /** What opens the private fields: for the operator's copy. */
  get opening(): Opening {
    return { jti: this.jti, seed: this.seed, fields: this.#private };
  }

  /** The record of a stage, as JSON text: everything that is known by now. */
  record(stage: Stage, seen: { status?: number; error?: string } = {}): string {
    const now = this.#sources.now();
    const record: AuditRecord = {
      iss: this.#policy.issuer,
      jti: this.jti,
      iat: Math.floor(now / 1000),
      time: new Date(now).toISOString(),
      stage,
      ms: now - this.#began,
      ...(this.route && { route: this.route.name, upstream: new URL(this.route.upstream).host }),
      policy: this.#policy.hash,
      req: { ...this.#request, ...this.requestBody.read() },
      ...this.#response(stage, seen.status),
      ...(seen.error === undefined ? {} : { error: seen.error }),
      ...this.#commitment,
    };
    return formatRecord(record);
  }

  #response(stage: Stage, status: number | undefined): Pick<AuditRecord, "res"> {
    if (status === undefined) return {};
    // When a response has only started, nothing true can be said of its body yet.
    return { res: { status, ...(stage === "started" ? {} : this.responseBody.read()) } };
  }
}
