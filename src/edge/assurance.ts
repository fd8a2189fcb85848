// Assurance: what a route promises about its records, and what it does when the ledger cannot be reached.
// These keys are part of a route's table in wrangler.toml; docs/architecture.md says what each setting means
// for a client.
import * as v from "valibot";
import { Count } from "./count.ts";

/** The keys of a route. */
export const ASSURANCE_KEYS = {
  assurance: v.optional(v.picklist(["committed", "write-ahead", "promised"]), "committed"),
  /** `closed` unless it is said otherwise; `spool` with `promised`, where nothing is left to be closed. */
  on_ledger_failure: v.optional(v.picklist(["closed", "spool", "open"])),
  /**
   * How long to wait for the ledger, and then for the spool, in ms. The platform ends what is still at work 30 s
   * after its response, so both must have had their time by then.
   */
  ledger_wait_ms: v.optional(Count(100, 10_000), 5000),
  /** The delay that promises state: within it the record is in the ledger. */
  promise_seconds: v.optional(Count(10, 7 * 86_400), 3600),
};

export interface Assurance {
  readonly assurance: "committed" | "write-ahead" | "promised";
  readonly onFailure: "closed" | "spool" | "open";
  readonly waitMs: number;
  readonly promiseSeconds: number;
}

const KeysSchema = v.object(ASSURANCE_KEYS);
type AssuranceKeys = v.InferOutput<typeof KeysSchema>;

/** What holds for a request that no route takes. */
const DEFAULTS = v.parse(KeysSchema, {});

/** Whether the keys of a route fit together. A promise is out before the ledger is asked. */
export function isConsistent({ assurance, on_ledger_failure }: AssuranceKeys): boolean {
  return assurance !== "promised" || on_ledger_failure === undefined || on_ledger_failure === "spool";
}

/** What holds for the requests of a route. */
export function assuranceOf(route: AssuranceKeys = DEFAULTS): Assurance {
  const { assurance, on_ledger_failure, ledger_wait_ms, promise_seconds } = route;
  return {
    assurance,
    onFailure: on_ledger_failure ?? (assurance === "promised" ? "spool" : "closed"),
    waitMs: ledger_wait_ms,
    promiseSeconds: promise_seconds,
  };
}
