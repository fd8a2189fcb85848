// What an audit says of one ledger.
import type { ClockDifference } from "./clocks.ts";
import type { ControlNote, OpenExchange } from "./entries.ts";

export interface LedgerReport {
  readonly name: string;
  readonly origin: string;
  /** The size of the published tree; undefined when no checkpoint of it can be believed. */
  readonly published: number | undefined;
  /** The entries before this one were verified by an earlier audit, and not read again. */
  readonly from: number;
  /** The largest tree under a signed root that was recomputed equal. */
  readonly recomputed: number;
  /** The largest tree under an anchor that was recomputed equal. */
  readonly anchored: number;
  /** How many entries were read; undefined when the archive does not give them out. */
  readonly entries: number | undefined;
  /** How many entries are gone because their retention has ended, as the ledger itself tells. */
  readonly pruned: number;
  /** How many exchanges' private values were erased, as the ledger itself tells. */
  readonly erased: number;
  /** When the ledger took its newest entry, where entries were read. */
  readonly newestAt: string | undefined;
  /** Exchanges that began and did not end, oldest first. Evidence, but no contradiction. */
  readonly open: readonly OpenExchange[];
  /** The control records among the entries that were read. */
  readonly control: { readonly count: number; readonly list: readonly ControlNote[] };
  /** Where the clocks of edge and ledger were furthest apart. */
  readonly clocks: readonly ClockDifference[];
}
