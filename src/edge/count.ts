// Counts in the policy: whole numbers within bounds.
import * as v from "valibot";

export function Count(min: number, max = Number.MAX_SAFE_INTEGER) {
  return v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
}
