// The one spelling of a tree size, an index or a time in every C2SP text format: ASCII digits without
// a leading zero. What is read is always a safe integer, so it can be counted with exactly.
import { Fault } from "./fault.ts";

/** Whether `value` can be an index, a size or a count: an integer from 0 to 2^53 - 1. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** @throws Fault `malformed` unless `value` is an integer from 0 to 2^53 - 1; `what` names it. */
export function requireCount(value: number, what: string): void {
  if (isCount(value)) return;
  throw new Fault("malformed", `${what}: not a number that counts something`, {
    expected: "an integer from 0 to 2^53 - 1",
    found: String(value),
  });
}

/**
 * @throws Fault `malformed` unless `text` is ASCII decimal digits without a leading zero, `too-large` when
 *   the number is beyond 2^53 - 1.
 */
export function parseDecimal(text: string, what: string): number {
  if (!/^(?:0|[1-9][0-9]*)$/.test(text)) {
    throw new Fault("malformed", `${what}: not a decimal number`, {
      expected: "ASCII digits without a leading zero",
      found: text,
    });
  }
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new Fault("too-large", `${what}: too large a number`, {
      expected: "at most 2^53 - 1",
      found: text,
    });
  }
  return value;
}

/** @throws Fault `malformed` unless `value` is an integer from 0 to 2^53 - 1. */
export function formatDecimal(value: number, what: string): string {
  requireCount(value, what);
  return String(value);
}
