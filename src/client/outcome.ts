// How a command can end. "wrong" needs a contradiction: evidence that could be read and does not hold.
// Whatever keeps a question open (no network, an unreadable file, a key that nobody vouched for, a ledger
// that has not caught up) is "undecided" and says nothing against anybody.
import { FAULT_CODES, Fault, type FaultCode, type FaultDetail } from "../tlog/fault.ts";

/** Exit codes of the command line, by outcome. */
export const EXIT_CODES = { proven: 0, wrong: 1, undecided: 2 } as const;
export type Outcome = keyof typeof EXIT_CODES;

/** Faults that leave it open whether anything is wrong. */
const OPEN_CODES: ReadonlySet<FaultCode> = new Set(["unknown-key", "not-yet-included", "pruned", "erased"]);

/** Every code that an Undecided can have besides those of a Fault, with what it means to the person who reads it. */
export const UNDECIDED_CODES = {
  undecided: "It could not be told whether anything is wrong; the message says why.",
  "wrong-input": "What was given is not what is needed here; the message says what is.",
  "no-answer": "Nobody answered, or the answer broke off. That proves nothing against anybody: try again.",
  "untrusted-host":
    "Who answers there has shown no TLS certificate for that host that this machine trusts, so nothing was sent. That proves nothing against anybody.",
  "no-receipt": "The response came without a receipt: not through Counterfoil, or it is not on record.",
  "not-covered": "There is a receipt, but none that speaks of this exchange and of the bytes that you saw.",
} as const;

export type UndecidedCode = keyof typeof UNDECIDED_CODES;

const FOUND_MAX = 200;

/** It could not be told; the message says why, and what to do about it. */
export class Undecided extends Error {
  /** Of a Fault's codes where one fits. */
  readonly code: FaultCode | UndecidedCode;
  readonly detail: FaultDetail;

  constructor(message: string, detail: FaultDetail = {}, code: FaultCode | UndecidedCode = "undecided") {
    super(message);
    this.name = "Undecided";
    this.code = code;
    this.detail = clipDetail(detail);
  }
}

/** Why a command did not end in "proven". */
export interface Failure extends FaultDetail {
  readonly outcome: "wrong" | "undecided";
  readonly code?: FaultCode | UndecidedCode;
  readonly message: string;
  /** What the code means to the person who reads it. */
  readonly meaning?: string;
}

/**
 * What an error says about the question that was asked. Takes any error, and shows none of its stack.
 * @returns what the command line prints of it: `outcome` (`wrong` or `undecided`), `code`, `message`, `meaning`, and
 *   what was `expected` and `found`, and at which `index`, as far as there is such a thing.
 * @throws nothing: an error of another kind is described as one of the program itself.
 * @see docs/sdk.md "Errors"
 * @example
 * import { createTrust, describeFailure, verifyReceipt } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const error = await verifyReceipt("no receipt", trust).catch(error => error);
 * const { outcome, code } = describeFailure(error);
 * console.log(outcome, code); // undecided wrong-input
 */
export function describeFailure(error: unknown): Failure {
  if (error instanceof Fault) {
    const outcome = OPEN_CODES.has(error.code) ? "undecided" : "wrong";
    return { outcome, message: error.message, ...describeCode(error.code), ...pickDetail(error) };
  }
  if (error instanceof Undecided) {
    const { code, message, detail } = error;
    const described = code === "undecided" ? {} : describeCode(code);
    return { outcome: "undecided", message, ...described, ...pickDetail(detail) };
  }
  return { outcome: "undecided", message: `the program itself failed: ${String(error)}` };
}

/** Runs a reading whose faults are the reader's own input's: then nothing is proven wrong by them. */
export async function undecidedIfFaulty<T>(what: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Undecided(`${what}: ${error.message}`, pickDetail(error), error.code);
  }
}

function describeCode<Code extends FaultCode | UndecidedCode>(code: Code): { code: Code; meaning: string } {
  return { code, meaning: { ...FAULT_CODES, ...UNDECIDED_CODES }[code] };
}

/** What was found may be a whole file of something else. */
function clipDetail(detail: FaultDetail): FaultDetail {
  const { found } = detail;
  return found === undefined || found.length <= FOUND_MAX
    ? pickDetail(detail)
    : { ...pickDetail(detail), found: `${found.slice(0, FOUND_MAX)}… (${found.length} characters)` };
}

/** The detail of a Fault, without the rest of it. */
export function pickDetail({ expected, found, index }: FaultDetail): FaultDetail {
  return {
    ...(expected !== undefined && { expected }),
    ...(found !== undefined && { found }),
    ...(index !== undefined && { index }),
  };
}
