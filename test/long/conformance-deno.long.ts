// The edge on Deno against a plain pass-through on Deno.
import { testEmbedded } from "../conformance/embedded.ts";

testEmbedded("deno", {
  reasons: { "no status text": "200 OK", "odd: an answer with no reason and no space": "200 OK" },
});
