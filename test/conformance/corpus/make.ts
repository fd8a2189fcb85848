// How cases are written down: what is not said is a GET of a path of its own, answered with 200 and a short text.
import type { Body, Case, CaseRequest, CaseResponse } from "../case.ts";
import type { Field } from "../wire.ts";

export const NO_BODY: Body = { bytes: Buffer.alloc(0), framing: "none" };

/** A field, or several, as they stand on the wire. */
export function fields(...lines: readonly string[]): Field[] {
  return lines.map(line => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  });
}

/** A body that says its length. */
export function sized(bytes: Buffer | string, sizes?: readonly number[]): Body {
  return { bytes: Buffer.from(bytes), framing: "length", ...(sizes && { sizes }) };
}

/** A body in chunks of the given sizes, over and over. */
export function chunked(bytes: Buffer | string, sizes?: readonly number[], more: Partial<Body> = {}): Body {
  return { bytes: Buffer.from(bytes), framing: "chunked", ...(sizes && { sizes }), ...more };
}

/** A body that ends with the connection. */
export function untilClose(bytes: Buffer | string): Body {
  return { bytes: Buffer.from(bytes), framing: "close" };
}

/** Bytes of every value, never twice the same 1,000. */
export function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, state = 1; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

export interface CaseParts extends Partial<Omit<Case, "name" | "request" | "response">> {
  readonly request?: Partial<CaseRequest>;
  readonly response?: Partial<CaseResponse>;
}

/** A case, with what is usual filled in. */
export function one(name: string, { request, response, ...rest }: CaseParts = {}): Case {
  return {
    name,
    request: { method: "GET", target: `/${slug(name)}`, fields: [], body: NO_BODY, ...request },
    response: { status: "200 OK", fields: [], body: sized(`the answer to ${name}`), ...response },
    ...rest,
  };
}

function slug(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}
