// WebSockets through the edge in workerd against those through a plain pass-through in workerd.
import { startEdge } from "../e2e/edge.ts";
import { startPassThrough } from "./hosts.ts";
import { testSockets } from "./socketsuite.ts";

testSockets({ platform: "workerd", startPassThrough, startEdge: upstream => startEdge({ upstream }) });
