// Requests to upstreams over Node's own client: nothing is added, decoded, followed or asked twice, and the body of a
// response is the bytes that were on the wire.
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { request as requestSecurely, Agent as SecureAgent } from "node:https";
import {
  asHeaders,
  HEAD_BYTES_MAX,
  makeResponse,
  openStream,
  pour,
  readFields,
  sendHead,
} from "./message.ts";

/** How long a connection waits for its next request, in ms: not so long as servers do, which mostly wait for 5 s. */
const IDLE_MS = 4000;

/** How long the rest of a request may take that its upstream has answered, once nobody waits for it, in ms. */
const LINGER_MS = 10_000;

const OPTIONS = { keepAlive: true, timeout: IDLE_MS, scheduling: "lifo" } as const;

const PLAIN = { request, agent: new Agent(OPTIONS) };
const SECURE = { request: requestSecurely, agent: new SecureAgent(OPTIONS) };

/** Sends a request, as `Platform.send` says. @throws Error when there is no answer. */
export function send(url: string, { method = "GET", headers, body, signal }: RequestInit): Promise<Response> {
  const { protocol, hostname, port, href, origin } = new URL(url);
  const { request, agent } = protocol === "https:" ? SECURE : PLAIN;
  const outgoing = request({
    agent,
    method,
    // An IPv6 address has brackets in a URL, and none elsewhere.
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port,
    // Not of the URL's parts, which do not tell an empty query from none.
    path: href.slice(origin.length),
    headers: framed(asHeaders(headers), body),
    maxHeaderSize: HEAD_BYTES_MAX,
  });
  // None are dropped without a word.
  outgoing.maxHeadersCount = 0;
  // Deno sends a request again whose connection was used before and broke: nobody would know of two.
  outgoing.on("socket", () => {
    outgoing.reusedSocket = false;
  });
  const answer = receive(outgoing);
  if (signal) breakOffWith(signal, outgoing);
  if (body instanceof ReadableStream) {
    sendHead(outgoing);
    void pour(body, outgoing);
  } else if (body == null) outgoing.end();
  else outgoing.end(body);
  return answer;
}

/** The fields of a request, with one that says how its body is framed: for some methods, Node would say nothing of it. */
function framed(headers: Headers, body: BodyInit | null | undefined): Record<string, string> {
  const fields = Object.fromEntries(headers);
  if (body instanceof ReadableStream && fields["content-length"] === undefined)
    fields["transfer-encoding"] = "chunked";
  if (body instanceof Uint8Array) fields["content-length"] = `${body.length}`;
  return fields;
}

/** The answer to a request. */
async function receive(outgoing: ClientRequest): Promise<Response> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing
      .on("response", resolve)
      .on("error", reject)
      .on("upgrade", (_, socket) => {
        socket.destroy();
        reject(new Error("the upstream changed the protocol, and nobody had asked for that"));
      })
      .on("close", () => reject(new Error("the upstream closed its connection without an answer")));
  });
  try {
    return responseOf(incoming, outgoing.method);
  } catch (error) {
    outgoing.destroy();
    throw error;
  }
}

/** An answer as it came. @param method of the request. @throws as readFields. */
export function responseOf(incoming: IncomingMessage, method: string): Response {
  const status = incoming.statusCode!;
  const headers = readFields(incoming.rawHeaders);
  const hasBody = method !== "HEAD" && status !== 204 && status !== 304;
  const body = hasBody ? openStream(incoming, () => incoming.destroy()) : null;
  if (!hasBody) incoming.resume();
  // Parsers let control characters by, which a server may not send on (RFC 9112 section 4).
  const text = incoming.statusMessage ?? "";
  const statusText = /^[\t\x20-\x7e\x80-\xff]*$/.test(text) ? text : "";
  return makeResponse(body, { status, statusText, headers });
}

/**
 * Ends a request when a signal says so. One whose answer has come whole only has the rest of its body left to send, which
 * ends as that does: what was taken of it must not be lost when the one who took it has nothing else to wait for.
 */
function breakOffWith(signal: AbortSignal, outgoing: ClientRequest): void {
  let lingerMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = () => {
    if (lingerMs === 0) outgoing.destroy();
    else timer = setTimeout(() => outgoing.destroy(), lingerMs);
  };
  outgoing.on("response", incoming =>
    incoming.on("end", () => {
      lingerMs = LINGER_MS;
    }),
  );
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave);
  outgoing.on("close", () => {
    signal.removeEventListener("abort", leave);
    clearTimeout(timer);
  });
}
