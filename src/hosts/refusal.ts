// What a host refuses before the edge hears of it, so that no record tells of it: what is no HTTP/1.1 that can be read,
// what is no request for a resource, and a handshake that is none. Each gets a problem for an answer.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { problem } from "../edge/problem.ts";
import { contentOf, FIELDS_MAX, fieldsOf, HEAD_BYTES_MAX, pour, reasonOf } from "./message.ts";

/** How long a client may take to leave that has its answer, in ms. */
const LINGER_MS = 5000;

const TOO_LARGE = "Request header fields too large";

/**
 * Refuses what Node's parser could not read.
 * @param code what the parser calls it; nothing of the request is known well enough to be told.
 * @returns undefined for the failures of connections, which nobody can be told of.
 */
export function refuseUnread(code: string | undefined): Response | undefined {
  if (code === "HPE_HEADER_OVERFLOW") {
    return problem(431, TOO_LARGE, `At most ${HEAD_BYTES_MAX} bytes are taken.`);
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return problem(408, "Request timeout", "The head of a request did not come in time.");
  }
  if (!code?.startsWith("HPE_")) return undefined;
  return problem(400, "Bad request", `This is no request of HTTP/1.1 that could be read (${code}).`);
}

/** Refuses how a request is framed that the parser lets by, and a head of too many fields. */
export function refuseFraming({
  headers,
  httpVersion,
  httpVersionMajor,
  rawHeaders,
}: IncomingMessage): Response | undefined {
  if (httpVersionMajor !== 1) {
    return problem(505, "HTTP version not supported", `Expected HTTP/1.1, and not HTTP/${httpVersion}.`);
  }
  // Whoever speaks HTTP/1.0 may see another end of it (RFC 9112 section 6.1).
  if (httpVersion === "1.0" && headers["transfer-encoding"] !== undefined) {
    return problem(400, "Bad request", "A request of HTTP/1.0 has no Transfer-Encoding.");
  }
  if (rawHeaders.length > 2 * FIELDS_MAX) return problem(431, TOO_LARGE, `At most ${FIELDS_MAX} are taken.`);
  return undefined;
}

/** Refuses CONNECT. */
export function refuseTunnel(): Response {
  return problem(501, "Not implemented", "This is no proxy that CONNECT could ask for a tunnel.");
}

/** Refuses what looks like the handshake of a WebSocket and is none (RFC 6455 section 4.2.1). */
export function refuseUpgrade(incoming: IncomingMessage): Response | undefined {
  const refuse = (detail: string) => problem(400, "Bad request", detail, { "sec-websocket-version": "13" });
  const { headers } = incoming;
  if (hasBody(incoming)) return refuse("A request for an upgrade has no body.");
  if (!isHandshake(incoming)) return undefined;
  if (headers["sec-websocket-version"] !== "13") return refuse("Sec-WebSocket-Version must be 13.");
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return refuse("Sec-WebSocket-Key must be 16 bytes in base64.");
  }
  return undefined;
}

/** Whether a request begins a WebSocket: an offer that Connection does not name is none. */
export function isHandshake({ method, headers }: IncomingMessage): boolean {
  return (
    method === "GET" &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? "")
  );
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

/** Writes an answer onto a connection that Node has let go of, and has the client leave. */
export async function answerBarely(response: Response, connection: Duplex): Promise<void> {
  connection.on("error", () => {});
  const fields = [...fieldsOf(response), "connection", "close"];
  const lines = fields.flatMap((text, i) => (i % 2 === 0 ? `${text}: ${fields[i + 1]}` : []));
  const head = [`HTTP/1.1 ${response.status} ${reasonOf(response)}`, ...lines, "", ""].join("\r\n");
  connection.write(Buffer.from(head, "latin1"));
  const content = contentOf(response);
  if (content instanceof ReadableStream) await pour(content, connection, () => connection.destroy());
  else connection.end(content ?? undefined);
  // Nobody else sees to it that a client leaves which has its answer.
  if (connection.destroyed) return;
  const timer = setTimeout(() => connection.destroy(), LINGER_MS);
  connection.on("close", () => clearTimeout(timer)).resume();
}
