// What the edge asks of its platform beyond the Web interfaces.
import type { Socket } from "./websocket.ts";

export interface Platform {
  /** Sends a request up without following redirects; the response body comes as the bytes on the wire. */
  send(url: string, init: RequestInit): Promise<Response>;
  /** Fetches a document for the edge itself; its body comes decoded. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Makes a response whose body is passed on as the bytes on the wire. */
  respond(body: BodyInit | null, init: ResponseInit): Response;
  /**
   * An unbuffered pass-through; of a known length where there is one, so that Content-Length survives. When a write
   * has resolved, its bytes have been taken, and their buffer may be used again.
   */
  passThrough(bytes: number | undefined): TransformStream<Uint8Array, Uint8Array>;
  /** The upstream's end of a WebSocket, if that is what it answered with. */
  socketOf(response: Response): Socket | undefined;
  /** Answers a request for a WebSocket. @returns the edge's end, and the response that gives the client its own. */
  upgrade(headers: Headers): { readonly socket: Socket; readonly response: Response };
}
