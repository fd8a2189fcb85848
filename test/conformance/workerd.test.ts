// The edge in workerd against a plain pass-through in workerd.
import { startEdge } from "../e2e/edge.ts";
import { startPassThrough } from "./hosts.ts";
import { testConformance } from "./suite.ts";

testConformance({
  platform: "workerd",
  form: "as they stand",
  unseen: [
    "method FOO",
    "method get",
    "method M-SEARCH",
    "method X!#$%&'*+-.^_`|~0",
    "target: characters that should have been encoded",
  ],
  startPassThrough,
  startEdge: upstream => startEdge({ upstream }),
});
