// The edge on Deno against a plain pass-through on Deno.
import { testEmbedded } from "../conformance/embedded.ts";

testEmbedded("deno", {
  different: {
    "no status text": ["HTTP/1.1 200 ", "HTTP/1.1 200 OK"],
    "odd: an answer with no reason and no space": ["HTTP/1.1 200 ", "HTTP/1.1 200 OK"],
  },
});
