// The edge on Node against a plain pass-through on Node.
import { testEmbedded } from "../conformance/embedded.ts";

testEmbedded("node", {
  reasons: { "no status text": "200 OK", "odd: an answer with no reason and no space": "200 OK" },
});
