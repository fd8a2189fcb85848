// Opens the state folder that the command line names, says so, and keeps it until it is told to end by its input's end.
import process from "node:process";
import { openState } from "../../src/hosts/state.ts";

try {
  const state = await openState(process.argv[2]!);
  console.log("open");
  for await (const _ of process.stdin);
  state.close();
} catch (error) {
  console.log((error as Error).message);
  process.exitCode = 2;
}
