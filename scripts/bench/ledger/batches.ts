// What both benches of the ledger append, and how they compare: batches for a small and a large ledger in
// turn, so that a slow moment of the machine hits both alike.
import { makeJti } from "../../../src/receipt/jti.ts";
import { round3, type Table } from "../measure.ts";

export const SMALL = 10 ** 3;
export const LARGE = 10 ** 6;
export const SIZES = [10 ** 4, 10 ** 5, LARGE];

const BATCH = 100;
const ROUNDS = 200;

/** After so many rounds the small ledger is not small any more, and another takes its place. */
const ROUNDS_OF_SMALL = 10;

/** How many small ledgers that takes. */
export const SMALL_LEDGERS = ROUNDS / ROUNDS_OF_SMALL;

/** What one batch cost: its time, and whatever else there is to compare. */
export interface Cost {
  readonly ms: number;
  readonly [of: string]: number;
}

/** Appends a batch of so many records to a ledger. */
export type Append = (records: number) => Promise<Cost>;

/**
 * Compares batches on a large ledger with batches on small ones.
 * @param openSmall opens a ledger of `SMALL` entries.
 */
export async function compareBatches(
  durability: string,
  openSmall: (n: number) => Promise<Append>,
  large: Append,
): Promise<Table> {
  const costs: { small: Cost[]; large: Cost[] } = { small: [], large: [] };
  for (let round = 0; round < ROUNDS; round += ROUNDS_OF_SMALL) {
    const small = await openSmall(round / ROUNDS_OF_SMALL);
    for (let i = 0; i < ROUNDS_OF_SMALL; i++) {
      if (i % 2 === 0) costs.small.push(await small(BATCH));
      costs.large.push(await large(BATCH));
      if (i % 2 === 1) costs.small.push(await small(BATCH));
    }
  }
  const row = (size: number, these: readonly Cost[]) => {
    const ratios = these.map(({ ms }, round) => ms / costs.small[round]!.ms);
    const { ms, ...others } = Object.fromEntries(
      Object.keys(these[0]!).map(of => [of, round3(median(these.map(cost => cost[of]!)))]),
    );
    return {
      entries: formatPower(size),
      ratio: round3(median(ratios)),
      "ratio of sums": round3(sum(these) / sum(costs.small)),
      "ms per batch": ms!,
      ...others,
    };
  };
  return {
    what:
      `appending ${ROUNDS} batches of ${BATCH} records, ${durability}: ratio of a batch's time to that of the ` +
      "small ledger in the same round, median of all rounds; ratio of the sums of all rounds; medians per batch",
    rows: [row(SMALL, costs.small), row(LARGE, costs.large)],
  };
}

/** The record of an exchange that began at a time, of the size that an edge's records have. */
export function makeRecord(issuer: string, began: number): string {
  const random = crypto.getRandomValues(new Uint8Array(192));
  const hash = (i: number) => Buffer.from(random.subarray(32 * i, 32 * (i + 1)));
  return JSON.stringify({
    iss: issuer,
    jti: makeJti(began, random.subarray(0, 16)),
    iat: Math.floor(began / 1000),
    time: new Date(began).toISOString(),
    stage: "complete",
    ms: began % 100,
    route: "orders",
    upstream: "orders.internal",
    policy: "1f3870be",
    req: { method: "GET", host: "api.example.com", path: `/v1/orders/${began}`, size: 0 },
    res: { status: 200, size: 1234, digest: `sha-256=:${hash(1).toString("base64")}:` },
    _sd_alg: "sha-256",
    _sd: [2, 3, 4, 5].map(i => hash(i).toString("base64url")),
  });
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

export function formatPower(size: number): string {
  return `10^${Math.round(Math.log10(size))}`;
}

function sum(costs: readonly Cost[]): number {
  return costs.reduce((total, { ms }) => total + ms, 0);
}
