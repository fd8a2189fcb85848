#!/usr/bin/env node
const version: string = "stub";
console.log(version, process.version, process.argv.slice(2), process.cwd());
