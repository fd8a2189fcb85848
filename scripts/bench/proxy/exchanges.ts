// What the processes of a bench with proxies say to each other, and the exchanges that they measure with: one half
// GET with a query, one half POST with a small body, each answered with 1 KiB of JSON.

export const HOST = "127.0.0.1";

/** What the upstream answers. */
export const ANSWER = Buffer.from(JSON.stringify({ order: 41, state: "placed", note: "x".repeat(984) }));

const BODY = Buffer.from(JSON.stringify({ item: "tea", note: "x".repeat(220) }));

/** One exchange to be made. */
export interface Asked {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: Buffer | null;
}

export function makeExchange(n: number): Asked {
  return n % 2 === 0
    ? { method: "GET", path: `/v1/orders/${n}?expand=items&page=${n % 7}`, body: null }
    : { method: "POST", path: `/v1/orders/${n}`, body: BODY };
}

/** Of which exchange a path is; NaN if it is of none. */
export function numberOf(path: string): number {
  return Number(/^\/v1\/orders\/(\d+)/.exec(path)?.[1]);
}

/** What the load generator is told to do: exchanges through so many connections, for so long. */
export interface Turn {
  readonly url: string;
  readonly connections: number;
  readonly ms: number;
}

/** What came of it. */
export interface Outcome {
  readonly exchanges: number;
  readonly seconds: number;
  /** How long the middle one of the exchanges took, and the 90th and the 99th of a hundred, in ms. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** What went wrong, in words, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Some of the answers, for a closer look. */
  readonly samples: readonly Sample[];
}

/** The marks of one answer whose body was what the upstream sends. */
export interface Sample {
  /** The number of its exchange, for `makeExchange`. */
  readonly n: number;
  readonly receipt: string | undefined;
  readonly seed: string | undefined;
}
