// The edge in workerd against a plain pass-through in workerd.
import { startEdge } from "../e2e/edge.ts";
import { startPassThrough } from "./hosts.ts";
import { testConformance } from "./suite.ts";

testConformance({ platform: "workerd", startPassThrough, startEdge: upstream => startEdge({ upstream }) });
