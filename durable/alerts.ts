// Alerts: what a person should know of, though a ledger takes records. Anybody may read them where the edge tells how
// it is, so they say how many and since when, and never name an exchange: whoever knows its id gets its receipt.
import { timeOfJti } from "../src/receipt/jti.ts";
import type { Trouble } from "../src/receipt/status.ts";
import { PLACE_RETENTION_MS } from "./ledger.ts";
import type { SpoolState } from "./spool.ts";
import type { Store } from "./store.ts";
import { describeTrouble } from "./trouble.ts";

/** For how long an exchange may have no ending after a stage, in seconds. */
export interface AlertLimits {
  readonly received_seconds: number;
  readonly started_seconds: number;
}

/** How far behind the newest entry a clock may be before a person should know, in ms. */
const CLOCK_BEHIND_MAX_MS = 60_000;

/** How many exchanges are counted. */
const COUNT_MAX = 1000;

/** What alerts are about, besides the clock. */
export interface Watched {
  readonly store: Store;
  readonly spool: SpoolState;
  /** Why the vault could not be asked, if it could not. */
  readonly vault: Error | undefined;
}

/** @param now in milliseconds of Unix time. */
export function listAlerts({ store, spool, vault }: Watched, limits: AlertLimits, now: number): Trouble[] {
  return [
    ...listUnfinished(store, limits, now),
    ...listClockAlerts(store, now),
    ...listSpoolAlerts(spool, Math.max(now, store.head().at)),
    ...listVaultAlerts(store, vault),
  ];
}

function listUnfinished(store: Store, limits: AlertLimits, now: number): Trouble[] {
  return (["received", "started"] as const).flatMap(stage => {
    const seconds = stage === "received" ? limits.received_seconds : limits.started_seconds;
    const found = countExchanges(store.unfinished(stage, now - seconds * 1000, COUNT_MAX));
    if (found === undefined) return [];
    const reason = `${found.count} exchanges have no ending ${seconds} s after "${stage}"; the oldest began at ${found.began}`;
    return [{ code: "unfinished", reason }];
  });
}

function listClockAlerts(store: Store, now: number): Trouble[] {
  const { at } = store.head();
  if (at - now <= CLOCK_BEHIND_MAX_MS) return [];
  // Exchanges that begin now have begun too long ago for it.
  const refuses = at - now > PLACE_RETENTION_MS ? ", and takes no exchange" : "";
  const reason = `its clock is ${Math.round((at - now) / 1000)} s behind its newest entry${refuses}, until ${new Date(at).toISOString()}`;
  return [{ code: "clock-behind", reason }];
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

/** What there is to know of what opens exchanges. @param trouble why the vault could not be asked, if it could not. */
export function listVaultAlerts(store: Store, trouble: Error | undefined): Trouble[] {
  const found: Trouble[] = [];
  const unopened = countExchanges(store.unopened(COUNT_MAX));
  if (unopened !== undefined) {
    const { count, began } = unopened;
    const reason = `the private values of ${count} exchanges on record have not got to the vault; the oldest began at ${began}`;
    found.push({ code: "unopened", reason });
  }
  if (trouble !== undefined) {
    const reason = `the vault cannot be asked: ${describeTrouble(trouble).reason}`;
    found.push({ code: "unavailable", reason });
  }
  return found;
}

/** How many exchanges these are, at most COUNT_MAX of them, the oldest first, and when that began; undefined for none. */
function countExchanges(jtis: readonly string[]): { count: string; began: string } | undefined {
  const [oldest] = jtis;
  if (oldest === undefined) return undefined;
  const count = jtis.length < COUNT_MAX ? `${jtis.length}` : `at least ${jtis.length}`;
  return { count, began: new Date(timeOfJti(oldest)!).toISOString() };
}
