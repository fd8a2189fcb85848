// Runs the smoke test on Node, Deno or Bun: its input comes on standard input, and what it found goes out.
import process from "node:process";
import { json } from "node:stream/consumers";
import { smoke } from "./smoke.mjs";

process.stdout.write(JSON.stringify(await smoke(await json(process.stdin))));
