// The lock on a bucket: how long R2 refuses to overwrite or delete what is in it. Rules are on the bucket;
// of several the strictest holds, so a lock is made longer by one more rule and never by taking one away.
import type { Policy } from "../src/edge/policy.ts";

/** The days for which something is retained; Infinity is for ever. */
export type Days = number;

/** What the `[vars.lock]` of wrangler.toml asks for. @throws Error when there is none. */
export function readTerm(lock: Policy["lock"]): Days {
  if (lock === undefined) {
    throw new Error('wrangler.toml: vars.lock: expected retention_days or retention = "indefinite"');
  }
  return lock.retention_days ?? Number.POSITIVE_INFINITY;
}

export function formatDays(days: Days): string {
  return days === Number.POSITIVE_INFINITY ? "indefinitely" : `for ${days} days`;
}

/** The arguments of `wrangler r2 bucket lock add` for a rule on everything in a bucket. */
export function formatRule(days: Days): string[] {
  return days === Number.POSITIVE_INFINITY
    ? ["--name", "all-indefinitely", "--retention-indefinite", "--force"]
    : ["--name", `all-${days}-days`, "--retention-days", `${days}`, "--force"];
}

/**
 * For how long everything in a bucket is retained, by what `wrangler r2 bucket lock list` prints. A rule
 * that ends on a date does not count: it says nothing of what is written after it.
 * @throws Error for a listing in any form but that of the pinned wrangler.
 */
export function parseListing(listing: string): Days {
  const [heading = "", ...lines] = listing.trim().split("\n");
  if (!heading.startsWith("Listing lock rules for bucket")) throw unreadable(heading);
  const rules = lines.join("\n");
  if (/^There are no lock rules for bucket .*$/.test(rules)) return 0;
  return Math.max(...rules.split("\n\n").map(parseRule));
}

const RULE =
  /^name: +.*\nenabled: +(Yes|No)\nprefix: +(.*)\ncondition: +(?:(indefinitely)|after (\d+(?:\.\d+)?) days?|on [-\d]+)$/;

function parseRule(rule: string): Days {
  const fields = RULE.exec(rule);
  if (fields === null) throw unreadable(rule);
  const [, enabled, prefix, indefinitely, days = "0"] = fields;
  if (enabled === "No" || prefix !== "(all prefixes)") return 0;
  return indefinitely === undefined ? Number(days) : Number.POSITIVE_INFINITY;
}

function unreadable(text: string): Error {
  return new Error(`wrangler lists lock rules in a form that is not known here: ${JSON.stringify(text)}`);
}
