// Node: the runtime as it is.
import * as library from "ws";
import { createRuntime } from "./embedded.ts";
import type { Runtime } from "./runtime.ts";

export const runtime: Runtime = createRuntime("node", library);
