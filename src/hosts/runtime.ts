// What differs between the runtimes that run the edge as one process: what they give it as its platform, and how they
// serve. `node.ts`, `deno.ts` and `bun.ts` each export one `runtime`; whatever else such a process does is the same.
import type { Platform } from "../edge/platform.ts";
import type { Context } from "../edge/recorder.ts";

export interface Runtime {
  readonly name: "node" | "deno" | "bun";
  readonly platform: Platform;
  /**
   * Serves until it is stopped.
   * @throws Error with a sentence that says what cannot be had: the address, the certificate, or what the runtime
   * cannot do.
   */
  listen(options: ListenOptions): Promise<Listening>;
}

export interface ListenOptions {
  /** The address or the name of one; all of the machine's are `::` or `0.0.0.0`. */
  readonly host: string;
  /** 0 is any that is free. */
  readonly port: number;
  readonly tls?: TlsOptions | undefined;
  /**
   * The request's signal aborts when its client goes away, with CLIENT_STUCK when that takes no more of the answer. What
   * this throws is answered with 500, and its end is logged.
   */
  handle(request: Request, context: Context): Promise<Response>;
}

/** Texts in PEM. */
export interface TlsOptions {
  /** The server's certificate, and those that lead to its authority. */
  readonly cert: string;
  readonly key: string;
  /** The authorities whose client certificates are accepted; without any, no client is asked for one. */
  readonly clientCa?: string | undefined;
}

export interface Listening {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no new connection and no new request, ends what is idle, and resolves when all requests that had begun were
   * answered and the work of `waitUntil` is done.
   * @param finishMs after how long what still goes on is broken off; its signals abort with EDGE_STOPPED.
   */
  stop(finishMs: number): Promise<void>;
}
