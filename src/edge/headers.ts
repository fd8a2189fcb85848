// Which header fields cross the edge, which are only for one hop (RFC 9110 section 7.6.1), and which the edge adds.
import { loopName } from "./admission.ts";
import type { Head } from "./head.ts";
import type { Policy } from "./policy.ts";
import { setTrace, type Trace } from "./trace.ts";

/** Fields of one hop, besides those that Connection names. */
const HOP_BY_HOP = new Set([
  "connection",
  "expect", // the edge has answered it by then
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Counterfoil's own response fields: never believed when they come from anybody else. */
const OWN_PREFIX = "audit-";

/** The relations of a link, as they follow each `rel`. What one match has looked at, the next one does not look at again. */
const RELATIONS = /;\s*rel\s*=\s*(?="([^"]*)|([^\s;,]*))/gi;

/** The field in which Cloudflare's front tells the client's address. */
const ADDRESS_FIELD = "cf-connecting-ip";

/**
 * Who may tell the client's address: Cloudflare's front in its field; a front of one's own, which adds the address that
 * it sees to the end of X-Forwarded-For; the connection itself, where there is no front; or nobody.
 */
export const ADDRESS_TELLERS = [ADDRESS_FIELD, "x-forwarded-for", "peer", "none"] as const;

/** An IP address as fronts write it, with or without a port. */
const ADDRESS =
  /^(?:\[([\da-f:.]{2,45})\](?::\d{1,5})?|([\da-f:]{2,45}|[\d.]{7,15}|::ffff:[\d.]{7,15})|([\d.]{7,15}):\d{1,5})$/i;

/** The client's address, if there is somebody who tells it; never what the client itself claims. */
export function clientAddress(
  headers: Headers,
  peer: string | undefined,
  teller: (typeof ADDRESS_TELLERS)[number],
): string | undefined {
  if (teller === "none") return undefined;
  if (teller === "peer") return peer;
  if (teller === ADDRESS_FIELD) return headers.get(ADDRESS_FIELD) ?? undefined;
  const [, bracketed, plain, withPort] =
    ADDRESS.exec(headers.get(teller)?.split(",").at(-1)?.trim() ?? "") ?? [];
  return bracketed ?? plain ?? withPort;
}

/** What clients claim about where a request came from; only fronts may say so. */
const CLAIMED =
  /^(forwarded|x-forwarded-.*|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|cf-connecting-ip.*)$/;

/** What the edge has to say about a request. */
export interface Provenance {
  readonly address: string | undefined;
  readonly jti: string;
  readonly trace: Trace | undefined;
  readonly policy: Policy;
}

/** The fields that go up to the upstream. */
export function requestHeaders(head: Head, { address, jti, trace, policy }: Provenance): Headers {
  const headers = new Headers(head.headers);
  // What stays of them: nothing that is known here is asked of the platform.
  const present = new Map<string, string>();
  const named = namedBy(head.headers.get("connection"));
  for (const [spelled, value] of head.fields) {
    const name = spelled.toLowerCase();
    if (isOfOneHop(name, named) || isWithheld(name, policy)) headers.delete(spelled);
    else present.set(name, value);
  }
  const set = (name: string, value: string) => headers.set(name, value);
  const append = (name: string, value: string) => {
    const before = present.get(name);
    set(name, before === undefined ? value : `${before}, ${value}`);
  };
  // Who asked, for what host and how: after what a trusted front said, and by itself where there is none.
  const { host, protocol } = head.url!;
  const proto = protocol.slice(0, -1);
  const node = address?.includes(":") ? `"[${address}]"` : address;
  append("forwarded", `${node === undefined ? "" : `for=${node};`}host="${host}";proto=${proto}`);
  if (address !== undefined) append("x-forwarded-for", address);
  if (!present.has("x-forwarded-host")) set("x-forwarded-host", host);
  if (!present.has("x-forwarded-proto")) set("x-forwarded-proto", proto);
  if (trace !== undefined) setTrace(headers, trace);
  append("cdn-loop", loopName(policy));
  set("audit-id", jti);
  if (!present.has("x-request-id")) set("x-request-id", jti);
  return headers;
}

/** Whether a field that crosses more than one hop is not for the upstream, or must not be believed there. */
function isWithheld(name: string, { forwarded }: Policy): boolean {
  if (name === "host" || name === ADDRESS_FIELD) return true;
  // Some upstreams take _ for -.
  const isOdd = name.includes("_");
  const plain = isOdd ? name.replaceAll("_", "-") : name;
  return (
    ((forwarded === "replace" || isOdd) && CLAIMED.test(plain)) || (isOdd && plain.startsWith(OWN_PREFIX))
  );
}

/** Lets scripts of other origins read what the edge added, where they may read the response at all (Fetch, CORS). */
export function exposeOwn(headers: Headers): void {
  if (headers.has("access-control-allow-origin")) append(headers, "access-control-expose-headers", EXPOSED);
}

/** Content-Encoding too: who cannot see that a body was decoded would take it for another. */
const EXPOSED = "Audit-Receipt, Audit-Receipt-Seed, Audit-Promise, Audit-Id, Link, Content-Encoding";

/** Takes out fields by their lower-case names, also as spelled with _ for -: some upstreams take one for the other. */
export function withhold(headers: Headers, names: readonly string[]): void {
  if (names.length === 0) return;
  for (const name of [...headers.keys()]) {
    if (names.includes(name.toLowerCase().replaceAll("_", "-"))) headers.delete(name);
  }
}

/** The fields that go down to the client, several Set-Cookie fields kept apart. */
export function responseHeaders(response: Response): Headers {
  const headers = endToEnd(response.headers, [...response.headers.keys()]);
  const links = headers.get("link")?.split(/,(?=\s*<)/) ?? [];
  const others = links.filter(link => !isOwnLink(link));
  if (others.length < links.length) headers.delete("link");
  if (others.length > 0 && others.length < links.length) headers.set("link", others.join(",").trim());
  return headers;
}

/** Whether a link has the relation of a receipt, alone or among others, in quotes that end or do not. */
function isOwnLink(link: string): boolean {
  // A backslash says that the next character stands for itself (RFC 9110 section 5.6.4).
  const plain = link.replace(/\\(.)/g, (_, quoted: string) => (quoted === '"' ? " " : quoted));
  return [...plain.matchAll(RELATIONS)].some(([, quoted, token]) =>
    (quoted ?? token)!.toLowerCase().split(/\s+/).includes("audit-receipt"),
  );
}

/** A copy, so that what stays is as it was: in its spelling, in as many fields, and byte for byte. */
function endToEnd(from: Headers, names: readonly string[]): Headers {
  const named = namedBy(from.get("connection"));
  const headers = new Headers(from);
  for (const name of names) if (isOfOneHop(name.toLowerCase(), named)) headers.delete(name);
  return headers;
}

/** The fields that Connection names. */
function namedBy(connection: string | null): ReadonlySet<string> {
  return new Set(
    connection
      ?.toLowerCase()
      .split(",")
      .map(name => name.trim()),
  );
}

/** Whether a field is for one hop only, or one of Counterfoil's own that somebody else sent. */
function isOfOneHop(name: string, named: ReadonlySet<string>): boolean {
  return HOP_BY_HOP.has(name) || named.has(name) || name.startsWith(OWN_PREFIX);
}

function append(headers: Headers, name: string, value: string): void {
  const present = headers.get(name);
  headers.set(name, present === null ? value : `${present}, ${value}`);
}
