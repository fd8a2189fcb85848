// Which header fields cross the edge, and which are only for one hop (RFC 9110 section 7.6.1).

/** Fields of one hop, besides those that Connection names. */
const HOP_BY_HOP = [
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
];

/** Counterfoil's own response fields: never believed when they come from anybody else. */
const OWN_PREFIX = "audit-";

/** Who asked, as the edge saw it. */
export interface Caller {
  /** The client's address as the platform reports it, never as the client claims it. */
  readonly address: string | undefined;
}

/** The fields that go up to the upstream. */
export function requestHeaders(request: Request, caller: Caller, jti: string): Headers {
  const headers = endToEnd(request.headers);
  const url = new URL(request.url);
  if (caller.address !== undefined) append(headers, "x-forwarded-for", caller.address);
  headers.set("x-forwarded-host", url.host);
  headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
  headers.set("audit-id", jti);
  if (!headers.has("x-request-id")) headers.set("x-request-id", jti);
  headers.delete("host");
  return headers;
}

/** The fields that go down to the client, several Set-Cookie fields kept apart. */
export function responseHeaders(response: Response): Headers {
  return endToEnd(response.headers);
}

function endToEnd(from: Headers): Headers {
  const dropped = new Set(HOP_BY_HOP);
  for (const name of (from.get("connection") ?? "").split(",")) dropped.add(name.trim().toLowerCase());
  const headers = new Headers();
  for (const [name, value] of from) {
    if (!dropped.has(name) && !name.startsWith(OWN_PREFIX)) headers.append(name, value);
  }
  return headers;
}

function append(headers: Headers, name: string, value: string): void {
  const present = headers.get(name);
  headers.set(name, present === null ? value : `${present}, ${value}`);
}
