// Errors in words for everybody, where the edge tells how it is.
import type { Trouble } from "../src/receipt/status.ts";
import { Fault } from "../src/tlog/fault.ts";

/** What has gone wrong. An error of the system has a code, and its message may name files: that is for the log. */
export function describeTrouble(error: Error & { readonly code?: unknown }): Trouble {
  const { code, message } = error;
  if (error instanceof Fault) return { code: error.code, reason: message };
  return { code: "unavailable", reason: typeof code === "string" ? `${code}; the log says more` : message };
}
