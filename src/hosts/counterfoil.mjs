#!/usr/bin/env node
// The program `counterfoil`: its sources are TypeScript, which an older Node cannot run. Plain JavaScript, so that
// such a Node can at least say so; `npm start` and `npm test` bring one along that can.
if (process.features.typescript) {
  await import("./cli.ts");
} else {
  console.error(
    `counterfoil needs Node 22.18 or newer, this is ${process.version}; after \`npm start\` or \`npm test\` once, npx uses the one that comes with it`,
  );
  process.exitCode = 2;
}
