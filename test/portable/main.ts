// The portable suite on Node, Deno or Bun: vectors in on standard input, the report out on standard output.
import process from "node:process";
import { json } from "node:stream/consumers";
import { runSuite } from "./suite.ts";
import type { Vector } from "./vectors.ts";

const vectors = (await json(process.stdin)) as Vector[];
process.stdout.write(JSON.stringify(await runSuite(vectors)));
