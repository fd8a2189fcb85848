// What receipts in hand say about an archive. An archive must have the entry of every receipt, at its index. That no
// anchor covers it yet says nothing by itself: anchors lag, and a copy of an archive may be older than a receipt.
// Only the archive can show that it is not: by the newest time in it. How far anchors may lag is for the auditor
// to say.
import { formatAnchorPath } from "../receipt/anchor.ts";
import type { Receipt } from "../receipt/receipt.ts";
import type { Findings } from "./findings.ts";
import type { Coverage } from "./walk.ts";

/** A receipt in hand, and how far the archive has its entry. */
export interface Holding {
  readonly origin: string;
  readonly index: number;
  readonly at: string;
  readonly coverage: Coverage;
}

/** What an archive shows of its own age. */
export interface Shown {
  /** Its newest anchor. */
  readonly newest: { readonly epoch: number; readonly time: string } | undefined;
  /** When its ledgers have taken the newest entries that were read. */
  readonly entriesAt: readonly (string | undefined)[];
}

export function describeHolding({ entry: { header } }: Receipt, coverage: Coverage): Holding {
  const { origin, index, at } = header;
  return { origin, index, at, coverage };
}

/** Finds it wrong that no anchor covers an entry though the archive goes on for more than `withinS` seconds. */
export function requireAnchored(
  holdings: readonly Holding[],
  { newest, entriesAt }: Shown,
  withinS: number,
  findings: Findings,
): void {
  const published = holdings.filter(({ coverage }) => coverage !== "unpublished");
  const times = [newest?.time, ...entriesAt, ...published.map(({ at }) => at)];
  const shown = times.reduce<string>((a, b) => (b !== undefined && b > a ? b : a), "");
  const epoch = (newest?.epoch ?? -1) + 1;
  const path = formatAnchorPath(epoch);
  for (const { at, index, coverage } of holdings) {
    if (coverage === "anchored" || !(Date.parse(shown) - Date.parse(at) > withinS * 1000)) continue;
    const message = `${path}: is not in the archive, and no other anchor covers entry ${index}, which you hold a receipt of`;
    findings.add("truncated", { path, epoch }, message, {
      expected: `an anchor within ${withinS} seconds of ${at}`,
      found: `an archive that goes on to ${shown}`,
      index,
    });
  }
}
