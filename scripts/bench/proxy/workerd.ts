// Proxies in a plain workerd, each in a process of its own, from a folder as `npm run selfhost` writes it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { type Config, readConfig } from "../../config.ts";
import { findPort } from "../../port.ts";
import { ENVIRONMENT, WORKERD, writeSelfhost } from "../../selfhost.ts";
import { HOST } from "./exchanges.ts";
import { askVersion, type Ground, type Started, startProcess, untilServing } from "./ground.ts";
import { receipted } from "./receipts.ts";

/** The version of workerd; undefined where it does not run. */
export function findVersion(): string | undefined {
  return askVersion(WORKERD, "--version");
}

/** The least that passes an exchange through a worker. */
export async function startBare({ upstream, folder }: Ground): Promise<Started> {
  const main = join(import.meta.dirname, "passthrough.js");
  const config = { ...readConfig(), main, durable_objects: { bindings: [] } };
  return startWorker(config, join(folder, "workerd-bare"), () => ({ UPSTREAM_URL: upstream }));
}

/** Receipts as naive code makes them. */
export async function startNaive({ upstream, folder }: Ground): Promise<Started> {
  const main = join(import.meta.dirname, "naive.js");
  const durable_objects = { bindings: [{ name: "LEDGER", class_name: "LedgerObject" }] };
  const config = { ...readConfig(), main, durable_objects };
  return startWorker(config, join(folder, "workerd-naive"), () => ({ UPSTREAM_URL: upstream }));
}

/** The edge, with a vault. */
export async function startReceipted(ground: Ground): Promise<Started> {
  const buckets = ground.keep(startProcess(join(import.meta.dirname, "../../../test/s3process.ts"))).child;
  const [[archive, anchors]] = (await once(buckets, "message")) as [[string, string]];
  const config = readConfig();
  const folder = join(ground.folder, "workerd-receipted");
  const worker = await startWorker(config, folder, issuer => ({
    issuer,
    client_address: "cf-connecting-ip",
    vault: { retention_days: 30 },
    ledgers: [{ name: "main", origin: "localhost/audit/main" }],
    routes: [{ name: "all", match: "/*", upstream: ground.upstream, ledger: "main" }],
    archive: { s3: { url: archive } },
    anchor: { s3: { url: anchors, retention_days: 1, role: "store" } },
  }));
  return { ...worker, ...(await receipted(worker.url, (config.vars as { prefix: string }).prefix)) };
}

/** Starts a worker, and returns when it serves. */
async function startWorker(
  config: Config,
  folder: string,
  varsOf: (url: string) => Record<string, unknown>,
): Promise<Started> {
  const listen = `${HOST}:${await findPort(HOST)}`;
  const url = `http://${listen}`;
  await writeSelfhost(folder, { config, vars: varsOf(url), listen, allow: ["private"] });
  const keys = parseEnv(await readFile(join(folder, ENVIRONMENT), "utf8")) as NodeJS.ProcessEnv;
  const child = spawn(WORKERD, ["serve", "config.capnp"], {
    cwd: folder,
    env: { ...keys, ...BUCKET_KEYS },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return untilServing(child, url);
}

/** What the stand-ins for buckets are signed to, which check no signature. */
const BUCKET_KEYS = {
  ARCHIVE_S3_KEY_ID: "AK",
  ARCHIVE_S3_SECRET: "SK",
  ANCHOR_S3_KEY_ID: "AK",
  ANCHOR_S3_SECRET: "SK",
};
