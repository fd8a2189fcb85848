// Admission: whether a request is let in, and by which route; everything that can be told from its head and the policy
// alone. On doubt it is refused, and what is refused is on record like any other exchange.
import type { Head } from "./head.ts";
import { once } from "./once.ts";
import { isReserved, normalizePath, readPath } from "./path.ts";
import type { Policy, Route } from "./policy.ts";
import { findRoute, upstreamUrl } from "./route.ts";

/** How an exchange ends that gets an answer of the edge's own. */
export interface Refusal {
  readonly stage: "rejected" | "failed" | "aborted";
  readonly status: number;
  readonly title: string;
  /** What went wrong; in the record as well as in the answer, so it quotes nothing that might be private. */
  readonly error: string;
  /** What else the answer says in its header. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request as it was let in, or not. */
export type Admission =
  | { readonly route: Route; readonly refusal?: undefined }
  | { readonly route: Route | undefined; readonly refusal: Refusal };

/** Fields that are for the upstream, whatever Connection says: to take one away would change who asks, or what. */
const END_TO_END =
  /^(authorization|cookie|host|content-.*|cache-control|if-.*|range|origin|accept.*|date|vary|via|forwarded|x-forwarded-.*|x-real-ip|cf-.*|cdn-loop|traceparent|tracestate|signature.*|audit-.*)$/;

/** Whether a request is for Counterfoil itself: its reserved prefix, spelled as it is. */
export function isOwn(head: Head, { prefix }: Policy): boolean {
  return head.url?.pathname.startsWith(prefix) === true && hasPlainHost(head, head.url);
}

/** Lets a request in, or says why not. */
export function admit(head: Head, policy: Policy): Admission {
  const { method, url } = head;
  if (url === null || !hasPlainHost(head, url)) return { route: undefined, refusal: ODD_HOST };
  const early = judgeSize(head, policy) ?? judgeFields(head, policy);
  if (early !== undefined) return { route: undefined, refusal: early };
  if (isReserved(url.pathname, policy.prefix)) {
    return { route: undefined, refusal: reject(404, `spell the reserved prefix as ${policy.prefix}`) };
  }
  const found = findRoute(policy, method, url);
  if (found.route === undefined) return { route: undefined, refusal: NO_ROUTE[found.why] };
  const { route } = found;
  const refusal = judgeTarget(route, url, policy) ?? judgeBody(head, route);
  return refusal === undefined ? { route } : { route, refusal };
}

/** The refusal of a body that is larger than its route allows. */
export function refuseBody({ body_limit }: Route): Refusal {
  return reject(413, `the request's body is larger than the ${body_limit} bytes that its route allows`);
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  404: "Not found",
  413: "Content too large",
  414: "URI too long",
  431: "Request header fields too large",
  508: "Loop detected",
};

const NO_ROUTE = {
  none: reject(404, "no route of this API takes this method, host and path"),
  ambiguous: reject(
    400,
    "servers differ in what this path means, and by that it would take different routes",
  ),
};

function reject(status: number, error: string): Refusal {
  return { stage: "rejected", status, title: TITLES[status]!, error };
}

const ODD_HOST = reject(400, "the Host field must be a host and at most a port, as in the URL");

/**
 * A host as names and addresses have it. URLs let more be one (RFC 3986 section 3.2.2), such as quotes and commas, by which
 * a client could add to what Forwarded and X-Forwarded-Host tell the upstream.
 */
const HOST = /^[\w.~:[\]-]+$/;

/** Some platforms make the URL of whatever the Host field says; a path or a user in it would move the route. */
function hasPlainHost({ headers }: Head, url: URL): boolean {
  if (url.username !== "" || url.password !== "" || !HOST.test(url.host)) return false;
  const host = headers.get("host");
  if (host === null || host === url.host) return true;
  return !/[/?#@\\\s]/.test(host) && URL.parse(`${url.protocol}//${host}/`)?.host === url.host;
}

function judgeSize({ target, fields }: Head, { limits }: Policy): Refusal | undefined {
  if (target.length > limits.url_bytes) {
    return reject(414, `the URL is longer than the ${limits.url_bytes} bytes that are allowed`);
  }
  let bytes = 0;
  for (const [name, value] of fields) bytes += name.length + value.length + ": \r\n".length;
  if (bytes > limits.header_bytes) {
    return reject(431, `the header fields are longer than the ${limits.header_bytes} bytes that are allowed`);
  }
  if (fields.length > limits.header_count) {
    return reject(431, `there are more than the ${limits.header_count} header fields that are allowed`);
  }
  return undefined;
}

/** Shapes by which two servers in a row could come to see different requests, and loops. */
function judgeFields({ headers, fields, method, hasBody }: Head, policy: Policy): Refusal | undefined {
  for (const [name, value] of fields) {
    if (/[\0\r\n]/.test(value)) return reject(400, "a header field has a line break or NUL in its value");
    if (/^(content_length|transfer_encoding)$/i.test(name)) {
      return reject(400, `the field ${name} could be taken for another that says how long the body is`);
    }
  }
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (length !== null && !/^\d{1,15}$/.test(length)) {
    return reject(400, "Content-Length must be one number");
  }
  if (coding !== null && coding.toLowerCase() !== "chunked") {
    return reject(400, "Transfer-Encoding must be chunked and nothing else");
  }
  if (length !== null && coding !== null) {
    return reject(400, "a request has either Content-Length or Transfer-Encoding");
  }
  // Some clients announce that there is no body, and some platforms make an empty one of that.
  if (hasBody && isBodiless(method) && length !== "0") {
    return reject(400, `a ${method} request with a body cannot be passed on`);
  }
  for (const name of (headers.get("connection") ?? "").toLowerCase().split(",")) {
    if (END_TO_END.test(name.trim())) {
      return reject(400, `Connection names ${name.trim()}, which is for the upstream`);
    }
  }
  if (namesLoop(headers, policy)) return reject(508, "this request has been through this edge already");
  return undefined;
}

/** Whether a request of this method is sent without a body: fetch lets none have one. */
export function isBodiless(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** Whether the request says that it has been here (RFC 8586). */
function namesLoop(headers: Headers, policy: Policy): boolean {
  const passed = headers.get("cdn-loop")?.split(",") ?? [];
  return passed.some(info => info.split(";")[0]!.trim().toLowerCase() === loopName(policy));
}

/** What the edge calls itself in CDN-Loop (RFC 8586 section 2): its issuer's host. */
export const loopName = once(({ issuer }: Policy) => new URL(issuer).host);

/** Rewriting must not make a path that could never have been asked for, nor one outside the upstream's own. */
function judgeTarget(route: Route, url: URL, { prefix }: Policy): Refusal | undefined {
  const base = basePathOf(route);
  // A path that goes up as it came is judged already.
  if (base === "/" && route.strip_prefix === undefined) return undefined;
  const { pathname } = new URL(upstreamUrl(route, url));
  if (isReserved(pathname, prefix)) return reject(404, "this path would become a reserved one");
  if (readPath(pathname)?.every(path => `${path}/`.startsWith(base)) !== true) {
    return reject(400, "servers differ in what this path means, and by that it would leave its upstream");
  }
  return undefined;
}

/** The path that all paths of an upstream begin with. */
const basePathOf = once(({ upstream }: Route) =>
  normalizePath(new URL(upstream).pathname).replace(/\/?$/, "/"),
);

function judgeBody({ headers }: Head, route: Route): Refusal | undefined {
  const length = Number(headers.get("content-length") ?? 0);
  return route.body_limit !== undefined && length > route.body_limit ? refuseBody(route) : undefined;
}
