// What the edge asks of a vault: the operator's copy of seeds and private values, apart from the ledger.
import type { Opening, Page, Search } from "../receipt/opening.ts";
import type { Sink } from "./ledger.ts";

export interface Vault {
  /** Keeps openings durably; one that is known already, or was erased, is left as it is. */
  keep(openings: Opening[]): Promise<void>;
  /** What opens an exchange, `erased`, or undefined when the vault does not know it (any more). */
  find(jti: string): Promise<Opening | "erased" | undefined>;
  search(search: Search): Promise<Page>;
  /** Erases the seeds and values of exchanges for good. */
  erase(jtis: string[]): Promise<void>;
}

/** A vault as the place where batches of openings go. */
export function sinkOf(connect: () => Vault): () => Sink<Opening, void> {
  return () => ({
    async append(openings) {
      await connect().keep(openings);
      return openings.map(() => undefined);
    },
  });
}
