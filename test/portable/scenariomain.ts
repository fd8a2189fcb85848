// The fixed scenario on Node, Deno or Bun, in an empty folder that is named: what it made goes to standard output.
import { join } from "node:path";
import process from "node:process";
import { openFolder } from "../../src/hosts/folder.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { runScenario } from "./scenario.ts";

const folder = process.argv[2]!;
const artefacts = await runScenario({
  sql: openSqlite(join(folder, "all.sqlite")),
  sync: async () => {},
  archive: await openFolder(join(folder, "archive")),
  anchors: await openFolder(join(folder, "anchors")),
});
process.stdout.write(JSON.stringify({ runtime: navigator.userAgent, artefacts }));
