// What every command of the command line has in common: how it runs to its answer whatever happens on the way, how
// that is printed, and how what a person types is read.
import { InvalidArgumentError } from "commander";
import type { Outcome } from "./outcome.ts";
import type { Platform } from "./platform.ts";
import { type Answer, describeError, formatAnswer } from "./print.ts";

export interface CommonOptions {
  readonly json?: true;
}

export const TRUST_HELP =
  "whom to believe: a trust document that you kept (default: the operator's own, fetched now)";

/** Runs a command to its answer, whatever happens on the way, and prints that. */
export class Run {
  readonly #platform: Platform;
  outcome: Outcome = "undecided";

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Writes data, and ends well. */
  async write(data: string): Promise<void> {
    await this.#platform.writeOut(data);
    this.outcome = "proven";
  }

  /**
   * @param where what an error is about whose message does not say so.
   * @param hasData whether the command writes other data to standard output.
   */
  async answer(
    options: CommonOptions,
    where: string | undefined,
    hasData: boolean,
    command: (platform: Platform) => Promise<Answer>,
  ) {
    let failed = false;
    const answer = await command(this.#platform).catch(error => {
      failed = true;
      return describeError(error, where);
    });
    this.outcome = answer.outcome;
    const { isTerminal, variable, writeErr, writeOut } = this.#platform;
    const toErr = hasData || (failed && options.json === undefined);
    const colour = (toErr ? isTerminal.err : isTerminal.out) && !variable("NO_COLOR");
    const text = formatAnswer(answer, { json: options.json === true, colour });
    await (toErr ? writeErr(text) : writeOut(text));
  }
}

export function examples(...lines: string[]): string {
  return `\nExample${lines.length === 1 ? "" : "s"}:\n${lines.map(line => `  $ ${line}`).join("\n")}`;
}

export function collect(line: string, lines: readonly string[]): string[] {
  return [...lines, line];
}

export function parseSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number of seconds.");
}

/** @returns a reader of a whole number in a range. */
export function parseCount(min: number, max: number): (text: string) => number {
  return text => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

export function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  throw new InvalidArgumentError("Expected a number from 0 to 65535.");
}
