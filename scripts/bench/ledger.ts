// What a ledger costs as it grows: appending, its storage, a cold start and memory, at 10^6 entries against
// 10^3; on node:sqlite, where everything can be looked into, and in workerd, where it is deployed.
import { benchSqlite } from "./ledger/sqlite.ts";
import { benchWorkerd } from "./ledger/workerd.ts";
import { describeMachine, type Findings } from "./measure.ts";

export async function run(): Promise<Findings> {
  const tables = [...(await benchSqlite()), ...(await benchWorkerd())];
  return { bench: "ledger", machine: describeMachine(), tables };
}
