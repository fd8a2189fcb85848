// Deno: Node's HTTP as it is in Deno.
import * as library from "ws";
import { createRuntime } from "./embedded.ts";
import type { Runtime } from "./runtime.ts";

export const runtime: Runtime = createRuntime("deno", library);
