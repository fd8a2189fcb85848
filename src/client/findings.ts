// What an audit found wrong, in the order in which it was found.
import { Fault, type FaultCode, type FaultDetail } from "../tlog/fault.ts";
import { pickDetail } from "./outcome.ts";

/** Where something is wrong. */
export interface Place {
  /** The object in the archive, below its prefix. */
  readonly path: string;
  /** The ledger's name, where it is about one ledger. */
  readonly ledger?: string;
  /** The anchor's epoch, where it is about an anchor. */
  readonly epoch?: number;
}

export interface Problem extends Place {
  readonly fault: Fault;
}

/** How many problems are kept: one tells that something is wrong, a hundred tell what. */
const PROBLEMS_MAX = 100;

export class Findings {
  readonly problems: Problem[] = [];
  /** How many there are in all, kept or not. */
  count = 0;

  add(code: FaultCode, place: Place, message: string, detail: FaultDetail = {}): void {
    this.#keep(new Fault(code, message, detail), place);
  }

  /** Runs a check. A Fault is kept, and the audit goes on. @returns whether there was none. */
  async check(place: Place, run: () => void | Promise<void>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#keep(error, place);
      return false;
    }
  }

  /** As `check`, of what is not waited for. */
  checkNow(place: Place, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#keep(error, place);
      return false;
    }
  }

  #keep(fault: Fault, place: Place): void {
    // An object may be read for several reasons; what is wrong with it is one problem.
    if (
      this.problems.some(({ path, fault: { message } }) => path === place.path && message === fault.message)
    )
      return;
    this.count++;
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ fault, ...place });
  }
}

/** The same Fault, saying where it was found; any other error as it is. */
export function located(error: unknown, where: string, index?: number): unknown {
  if (!(error instanceof Fault)) return error;
  return new Fault(error.code, `${where}: ${error.message}`, {
    ...pickDetail(error),
    ...(index !== undefined && { index }),
  });
}
