// The edge on Bun against a plain pass-through on Bun.
import { testEmbedded } from "../conformance/embedded.ts";

// Bun takes 198 fields, and answers more with 431.
testEmbedded("bun", { unseen: ["request field: 200 fields"] });
