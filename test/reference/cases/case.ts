// What a test vector is: one input, and what must come of it. A case that is refused names the fault
// code; a case that is accepted says what was read or proven.

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export interface Case {
  /** The file's name, without .json: the mutation. */
  readonly name: string;
  /** A full sentence, which becomes the test's name. */
  readonly description: string;
  readonly input: JsonObject;
  /** "ok", or the code of the Fault. */
  readonly expect: string;
  /** What an accepted input yields. */
  readonly output?: JsonObject;
}

export function accepted(
  name: string,
  description: string,
  input: JsonObject,
  output: JsonObject = {},
): Case {
  return { name, description, input, expect: "ok", output };
}

export function refused(name: string, expect: string, description: string, input: JsonObject): Case {
  return { name, description, input, expect };
}

/** `text` many times over, spelled out only when the vector is run: keeps long inputs out of the files. */
export function repeated(text: string, times: number): JsonObject {
  return { repeat: text, times };
}
