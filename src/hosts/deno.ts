// Deno: Node's HTTP as it is in Deno.
import * as library from "ws";
import { createRuntime } from "./embedded.ts";
import type { Runtime } from "./runtime.ts";

/** The entries of header fields, made once. */
function entries(this: Headers): HeadersIterator<[string, string]> {
  const list: [string, string][] = [];
  this.forEach((value, name) => {
    list.push([name, value]);
  });
  return list.values() as HeadersIterator<[string, string]>;
}

function keys(this: Headers): HeadersIterator<string> {
  const list: string[] = [];
  this.forEach((_, name) => {
    list.push(name);
  });
  return list.values() as HeadersIterator<string>;
}

// Deno's own make and sort the whole list anew at each step: a request of a thousand fields, which takes a client nothing,
// would hold up everybody else for half a second.
Object.assign(Headers.prototype, { entries, keys, [Symbol.iterator]: entries });

export const runtime: Runtime = createRuntime("deno", library);
