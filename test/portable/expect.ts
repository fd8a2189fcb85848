// The assertions of the portable suite: plain functions that throw, for runtimes without a test runner.
import { FAULT_CODES, Fault, type FaultCode } from "../../src/tlog/fault.ts";
import { encodeHex } from "./bytes.ts";

/** @throws Error with this message unless the condition holds. */
export function expectTrue(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** @throws Error unless both are the same JSON value, whatever the order of members; bytes count as hex. */
export function expectSame(found: unknown, expected: unknown, what: string): void {
  const [foundText, expectedText] = [formatSorted(found), formatSorted(expected)];
  if (foundText !== expectedText) throw new Error(`${what}: expected ${expectedText}, found ${foundText}`);
}

/**
 * How `run` ends: the code of a Fault, or "ok".
 * @throws Error when it ends in anything else.
 */
export async function outcomeOf(run: () => unknown): Promise<FaultCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof Fault && Object.hasOwn(FAULT_CODES, error.code)) return error.code;
    throw new Error(`not a Fault: ${error}`, { cause: error });
  }
}

/** JSON with the members of every object in one order. */
function formatSorted(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (member instanceof Uint8Array) return encodeHex(member);
    if (member === null || typeof member !== "object" || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
