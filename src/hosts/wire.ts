// HTTP as it stands on the wire, for the command line: over Node's own client, which follows no redirect and undoes no
// content coding.
import * as http from "node:http";
import * as https from "node:https";
import type { WireRequest, WireResponse } from "../client/platform.ts";
import { brokenOff, unanswered } from "../client/unanswered.ts";
import { readFields } from "./message.ts";

/** How long to wait for the head of a response, in ms. */
const HEAD_WAIT_MS = 60_000;

/** Sends a request, as `Sender.send` says. */
export function send({ method, url, headers, body, idleMs }: WireRequest): Promise<WireResponse> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(unanswered(url, error));
    try {
      const { request } = url.startsWith("https:") ? https : http;
      const outgoing = request(url, { method, timeout: HEAD_WAIT_MS });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`nothing came for ${HEAD_WAIT_MS / 1000} s`)));
      outgoing.on("error", fail);
      outgoing.on("response", response => {
        outgoing.setTimeout(idleMs ?? 0);
        resolve({
          status: response.statusCode!,
          headers: readFields(response.rawHeaders),
          body: readBody(response, url),
        });
      });
      writeRequest(outgoing, headers, body);
    } catch (error) {
      fail(error);
    }
  });
}

function writeRequest(
  outgoing: http.ClientRequest,
  headers: WireRequest["headers"],
  body: Uint8Array | undefined,
): void {
  try {
    for (const [name, value] of headers) outgoing.appendHeader(name, value);
    if (body !== undefined && !outgoing.hasHeader("content-length")) {
      outgoing.setHeader("content-length", body.length);
    }
    outgoing.end(body);
  } catch (error) {
    // Begun and never sent, it would keep the process waiting for an answer.
    outgoing.destroy(error as Error);
  }
}

async function* readBody(response: http.IncomingMessage, url: string): AsyncGenerator<Uint8Array> {
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw brokenOff(url, error, `${length} bytes, then: `);
  }
}
