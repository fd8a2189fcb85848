// Proxies on a runtime that serves by itself: the edge by `counterfoil serve`, on a state folder of its own.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { findPort } from "../../port.ts";
import { commandOf, type RuntimeName } from "../../runtimes.ts";
import { startServe } from "../../serve.ts";
import { HOST } from "./exchanges.ts";
import { askVersion, type Ground, type Started, untilServing } from "./ground.ts";
import { receipted } from "./receipts.ts";

/** The version of a runtime; undefined where it does not run. */
export function findVersion(runtime: RuntimeName): string | undefined {
  return askVersion(commandOf(runtime, "")[0], "--version");
}

/** The least that passes an exchange through it. */
export async function startBare(runtime: RuntimeName, { upstream }: Ground): Promise<Started> {
  const url = `http://${HOST}:${await findPort(HOST)}`;
  const [command, ...args] = commandOf(runtime, join(import.meta.dirname, "pipe.ts"));
  const child = spawn(command, [...args, url, upstream], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
  });
  return untilServing(child, url);
}

/** The edge. */
export async function startReceipted(runtime: RuntimeName, { upstream, folder }: Ground): Promise<Started> {
  const state = join(folder, runtime);
  const port = await findPort(HOST);
  const prefix = "/.well-known/audit/";
  const vars = {
    issuer: `http://${HOST}:${port}`,
    prefix,
    client_address: "peer",
    vault: { retention_days: 30 },
    lock: { retention_days: 1, local: true },
    ledgers: [{ name: "main", origin: "localhost/audit/main" }],
    routes: [{ name: "all", match: "/*", upstream, ledger: "main" }],
  };
  const config = join(folder, `${runtime}.toml`);
  await mkdir(state);
  await writeFile(config, stringify({ vars }));
  const { url, pid, stop } = await startServe({ runtime, config, state, port });
  return { pid, stop, ...(await receipted(url, prefix)) };
}
