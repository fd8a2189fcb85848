#!/usr/bin/env node
// The program `counterfoil`. In the package it is built; in a clone its sources are TypeScript, which an older Node
// cannot run. Plain JavaScript, so that such a Node can at least say so.
import { existsSync } from "node:fs";

// Node 20 has no such function; the program is for it as well.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

if (!existsSync(new URL("./cli.ts", import.meta.url))) {
  await import("../../dist/program.js");
} else if (process.features.typescript || process.versions.bun) {
  await import("./cli.ts");
} else {
  console.error(
    `in a clone, counterfoil needs Node 22.18 or newer, this is ${process.version}; after \`npm start\` or \`npm test\` once, npx uses the one that comes with it`,
  );
  process.exitCode = 2;
}
