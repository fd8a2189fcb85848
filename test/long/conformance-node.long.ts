// The edge on Node against a plain pass-through on Node.
import { testEmbedded } from "../conformance/embedded.ts";

testEmbedded("node", {
  different: {
    "no status text": ["HTTP/1.1 200 ", "HTTP/1.1 200 OK"],
    "odd: an answer with no reason and no space": ["HTTP/1.1 200 ", "HTTP/1.1 200 OK"],
  },
});
