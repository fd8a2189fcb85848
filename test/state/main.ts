// The checks of a state folder's stores on Node, Deno or Bun, in the folder that the command line names: one line of
// JSON for each, with its name and, where it failed, why.
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { CHECKS } from "./checks.ts";

for (const [name, check] of Object.entries(CHECKS)) {
  try {
    await check(mkdtempSync(join(process.argv[2]!, "check-")));
    console.log(JSON.stringify({ name }));
  } catch (error) {
    console.log(JSON.stringify({ name, error: (error as Error).stack }));
  }
}
