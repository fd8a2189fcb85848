// `counterfoil serve`: an edge as a process on the runtime that this is, from its wrangler.toml and its state folder
// to its end. Whatever keeps it from beginning is said in one sentence.
import { readFile } from "node:fs/promises";
import { Undecided } from "../client/outcome.ts";
import type { EdgeAddress, EdgeSettings } from "../client/platform.ts";
import { PolicyError } from "../edge/policy.ts";
import { SECRET_NAMES, type Secrets } from "./environment.ts";
import { openKeySet, SIGNING_KEYS } from "./keys.ts";
import { parseVars } from "./policy.ts";
import { type EdgeOptions, type RunningEdge, startEdge } from "./process.ts";
import type { Runtime, TlsOptions } from "./runtime.ts";
import { untilToldToEnd } from "./signals.ts";

/** Runs an edge until a signal tells it to end. @throws Undecided when it cannot begin. */
export async function serve(
  settings: EdgeSettings,
  ready: (address: EdgeAddress) => Promise<void>,
): Promise<void> {
  // Whatever it makes is for its owner alone, what SQLite makes too.
  process.umask(0o077);
  const runtime = await loadRuntime();
  const edge = await begin(settings, runtime).catch((error: Error) => {
    // In the message, which is never cut off: the sentence says at its end what to do.
    const where = error instanceof PolicyError ? `${settings.config}: ` : "";
    throw new Undecided(`the edge cannot begin: ${where}${error.message}`);
  });
  const told = untilToldToEnd();
  // One exchange that fails in a way that nobody has thought of must not end all others.
  process.on("unhandledRejection", error => console.error("nobody has handled:", error));
  const { adoption, policy, url } = edge;
  await ready({
    url,
    issuer: policy.issuer,
    prefix: policy.prefix,
    runtime: `${runtime.name} ${versionOf(runtime)}`,
    ...(adoption && { adopted: adoption }),
  });
  await told;
  await edge.drain(settings);
  // What was broken off may leave something behind that would keep the process.
  setTimeout(() => process.exit(), 1000).unref();
}

async function begin(settings: EdgeSettings, runtime: Runtime): Promise<RunningEdge> {
  const { config, state, host, port, tls } = settings;
  const options: EdgeOptions = {
    vars: await readVars(config),
    secrets: () => readSecrets(state),
    ...{ state, host, port },
    tls: tls && (await readTls(tls)),
  };
  return startEdge(options, runtime);
}

/** Which of the runtimes this is. */
async function loadRuntime(): Promise<Runtime> {
  if ("Deno" in globalThis) return (await import("./deno.ts")).runtime;
  if ("Bun" in globalThis) return (await import("./bun.ts")).runtime;
  return (await import("./node.ts")).runtime;
}

/** The runtime's version as it calls itself. */
function versionOf({ name }: Runtime): string {
  return process.versions[name] ?? process.versions.node;
}

async function readVars(path: string): Promise<unknown> {
  const text = await readText(path, "the configuration");
  try {
    return parseVars(text);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
}

async function readTls({ cert, key, clientCa }: NonNullable<EdgeSettings["tls"]>): Promise<TlsOptions> {
  return {
    cert: await readText(cert, "--tls-cert"),
    key: await readText(key, "--tls-key"),
    clientCa: clientCa === undefined ? undefined : await readText(clientCa, "--tls-client-ca"),
  };
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${what} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * The secrets: what the environment has, and the signing keys and the operator's token of the state folder, made there
 * on first use, if it has none of the keys.
 */
async function readSecrets(state: string): Promise<Secrets> {
  const given = Object.fromEntries(
    SECRET_NAMES.flatMap(name => (process.env[name] ? [[name, process.env[name]]] : [])),
  ) as Partial<Record<keyof Secrets, string>>;
  const missing = SIGNING_KEYS.filter(name => given[name] === undefined);
  if (missing.length === 0) return given as Secrets;
  if (missing.length < SIGNING_KEYS.length) {
    throw new Error(
      `expected all of ${SIGNING_KEYS.join(", ")} in the environment, or none of them: ${missing.join(", ")} is missing`,
    );
  }
  return { ...(await openKeySet(state)), ...given };
}
