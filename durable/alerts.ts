// Alerts: what a person should know of, though a ledger takes records. Anybody may read them where the edge tells how
// it is, so they say how many and since when, and never name an exchange: whoever knows its id gets its receipt.
import { timeOfJti } from "../src/receipt/jti.ts";
import type { Trouble } from "../src/receipt/status.ts";
import { PLACE_RETENTION_MS } from "./ledger.ts";
import { listSpoolAlerts, type SpoolState } from "./spool.ts";
import type { Store } from "./store.ts";

/** For how long an exchange may have no ending after a stage, in seconds. */
export interface AlertLimits {
  readonly received_seconds: number;
  readonly started_seconds: number;
}

/** How far behind the newest entry a clock may be before a person should know, in ms. */
const CLOCK_BEHIND_MAX_MS = 60_000;

/** How many exchanges without an ending are counted. */
const UNFINISHED_COUNT_MAX = 1000;

/** @param now in milliseconds of Unix time. */
export function listAlerts(store: Store, spool: SpoolState, limits: AlertLimits, now: number): Trouble[] {
  const found: Trouble[] = [];
  for (const stage of ["received", "started"] as const) {
    const seconds = stage === "received" ? limits.received_seconds : limits.started_seconds;
    const jtis = store.unfinished(stage, now - seconds * 1000, UNFINISHED_COUNT_MAX);
    if (jtis.length === 0) continue;
    const count = jtis.length < UNFINISHED_COUNT_MAX ? `${jtis.length}` : `at least ${jtis.length}`;
    const began = new Date(timeOfJti(jtis[0]!)!).toISOString();
    const reason = `${count} exchanges have no ending ${seconds} s after "${stage}"; the oldest began at ${began}`;
    found.push({ code: "unfinished", reason });
  }
  const { at } = store.head();
  if (at - now > CLOCK_BEHIND_MAX_MS) {
    // Exchanges that begin now have begun too long ago for it.
    const refuses = at - now > PLACE_RETENTION_MS ? ", and takes no exchange" : "";
    const reason = `its clock is ${Math.round((at - now) / 1000)} s behind its newest entry${refuses}, until ${new Date(at).toISOString()}`;
    found.push({ code: "clock-behind", reason });
  }
  return [...found, ...listSpoolAlerts(spool, Math.max(now, at))];
}
