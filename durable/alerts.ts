// Alerts: what a person should know of, though a ledger takes records. Anybody may read them where the edge tells how
// it is, so they say how many and since when, and never name an exchange: whoever knows its id gets its receipt.
import { timeOfJti } from "../src/receipt/jti.ts";
import type { Trouble } from "../src/receipt/status.ts";
import { PLACE_RETENTION_MS } from "./ledger.ts";
import type { SpoolState } from "./spool.ts";
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

/** What there is to know of a spool, by the ledger's clock. */
export function listSpoolAlerts(state: SpoolState, nowMs: number): Trouble[] {
  const { waiting, oldest, deadlines, refused, trouble } = state;
  const found: Trouble[] = [];
  if (waiting > 0) {
    const since = oldest === undefined ? "" : `, the oldest of an exchange of ${oldest}`;
    found.push({ code: "spooled", reason: `at least ${waiting} records wait in the spool${since}` });
  }
  const broken = deadlines.filter(deadline => Date.parse(deadline) < nowMs);
  if (broken.length > 0) {
    const reason = `at least ${broken.length} records wait in the spool that were promised to be on record before now; the oldest by ${broken[0]}`;
    found.push({ code: "promise-broken", reason });
  }
  if (refused > 0) {
    found.push({ code: "set-aside", reason: `at least ${refused} objects of the spool were set aside` });
  }
  if (trouble !== undefined) found.push({ code: "unavailable", reason: `the spool: ${trouble}` });
  return found;
}
