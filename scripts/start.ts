// `npm start`: the edge on this machine, in front of an API of yours or of a small demo. Configuration
// comes from wrangler.toml and nowhere else; keys, ledgers and archive are kept in one state folder and
// survive whatever ends the process. Nothing here needs a network.
import { once } from "node:events";
import { type AddressInfo, createServer, isIPv6 } from "node:net";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parsePolicy } from "../src/edge/policy.ts";
import { openKeySet, operatorTokenPath, readIfPresent, readOrMake } from "../src/hosts/keys.ts";
import { openWorkerdState } from "../src/hosts/state.ts";
import { startDemo } from "./demo.ts";
import type { Workerd } from "./workerd.ts";

const USAGE = `Usage: npm start -- [options]
  --port P        serve on this port (8787); 0 is a free one, kept with the state
  --host H        serve on this address (127.0.0.1)
  --upstream URL  pass requests on to this API (a built-in demo)
  --state DIR     keep keys, ledgers and archive here (.counterfoil/<port>)
  --config FILE   configure it by this file (wrangler.toml)`;

interface Settings {
  readonly host: string;
  readonly port: number;
  readonly upstream: string | undefined;
  readonly state: string;
  readonly config: string | undefined;
}

/** What is wrong, in one sentence, for the one who can put it right. */
class UsageError extends Error {}

/** What `read` refuses is wrong in a file of the user's. */
async function orUsage<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function main(args: string[]): Promise<void> {
  const settings = parseSettings(args);
  if (settings === undefined) return console.log(USAGE);
  const storage = await orUsage(() => openWorkerdState(settings.state));
  const issuer = await orUsage(() => claimIssuer(settings));
  // Loading the platform's tools takes a second or two: no refusal waits for it.
  const { readConfig } = await import("./config.ts");
  const { startWorkerd } = await import("./workerd.ts");
  const config = await orUsage(() => readConfig(settings.config));
  const keys = await orUsage(() => openKeySet(settings.state));
  const upstream = settings.upstream ?? (await startDemo());
  const vars = localVars(config.vars, issuer.origin, upstream);
  const { prefix } = await orUsage(() => parsePolicy(vars));
  const workerd = await startWorkerd({
    config,
    bindings: { ...vars, ...keys, ...givenSecrets() },
    host: settings.host,
    port: Number(issuer.port || 80),
    storage,
  });
  endTogether(workerd);
  console.log(formatWelcome(settings, issuer.origin, upstream, prefix, workerd.pid));
}

/**
 * @returns undefined when only help is asked for.
 * @throws UsageError for whatever is not as `USAGE` says.
 */
function parseSettings(args: string[]): Settings | undefined {
  const { port, host, upstream, state, config, help } = parseFlags(args);
  if (help) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) {
    throw new UsageError(`--port: expected a number from 0 to 65535, found "${port}"`);
  }
  if (upstream !== undefined && !isUpstream(URL.parse(upstream))) {
    throw new UsageError(
      `--upstream: expected an http or https URL without query or fragment, found "${upstream}"`,
    );
  }
  return {
    host,
    port: Number(port),
    upstream,
    state: resolve(state ?? `.counterfoil/${Number(port)}`),
    config,
  };
}

function parseFlags(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: "string", default: "8787" },
        host: { type: "string", default: "127.0.0.1" },
        upstream: { type: "string" },
        state: { type: "string" },
        config: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function isUpstream(url: URL | null): boolean {
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.search === "" &&
    url.hash === "" &&
    url.username === ""
  );
}

/**
 * The URL to serve at, which nothing else serves at. It is also the issuer that receipts name, so a state
 * folder keeps the one that it began with. Only one process can listen there, so a workerd that has outlived its
 * start script, and with it the lock on the folder, keeps others away still.
 */
async function claimIssuer({ host, port, state }: Settings): Promise<URL> {
  const path = join(state, "issuer");
  const kept = (await readIfPresent(path))?.trim();
  const wanted = port === 0 && kept !== undefined ? Number(new URL(kept).port || 80) : port;
  const url = formatOrigin(host, await probePort(host, wanted));
  const issuer = kept ?? (await readOrMake(path, async () => url)).trim();
  if (issuer !== url) {
    throw new UsageError(
      `the receipts of ${state} name ${issuer} as issuer: serve there, or give another --state`,
    );
  }
  return new URL(url);
}

/** Where clients reach a server: one that listens on every address is called by a name of this machine. */
function formatOrigin(host: string, port: number): string {
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : isIPv6(host) ? `[${host}]` : host;
  return new URL(`http://${name}:${port}`).origin;
}

/** @returns the port, or for 0 one that is free. @throws UsageError when nothing can listen there. */
async function probePort(host: string, port: number): Promise<number> {
  const server = createServer().listen(port, host);
  try {
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") throw new UsageError(`cannot serve on ${host}, port ${port}: ${message}`);
    throw new UsageError(`port ${port} of ${host} is in use: end what serves there, or give another --port`);
  } finally {
    server.close();
  }
}

/** The vars of wrangler.toml, with the issuer and the first route's upstream of this machine, and no front. */
function localVars(vars: Record<string, unknown>, issuer: string, upstream: string): Record<string, unknown> {
  const [first, ...others] = Array.isArray(vars.routes) ? vars.routes : [];
  // Nothing here is locked, and no API could tell of it: the anchors say so.
  const { rules_url: _, ...lock } = (vars.lock ?? { retention_days: 1 }) as Record<string, unknown>;
  return {
    ...vars,
    issuer,
    client_address: "none",
    lock: { ...lock, local: true },
    routes: [{ ...first, upstream }, ...others],
  };
}

/** The secrets that nobody can make up here: those of other services, from the environment. */
function givenSecrets(): Record<string, string> {
  const names = ["ARCHIVE_S3_KEY_ID", "ARCHIVE_S3_SECRET", "ANCHOR_S3_KEY_ID", "ANCHOR_S3_SECRET"];
  return Object.fromEntries(names.flatMap(name => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** Ends this process with workerd: in good order when told to, as a failure when workerd ends by itself. */
function endTogether(workerd: Workerd): void {
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    await workerd.stop();
    process.exit(0);
  };
  for (const signal of STOP_SIGNALS) {
    // Miniflare's own listeners would call it a failure.
    process.removeAllListeners(signal).on(signal, stop);
  }
  workerd.ended.then(how => {
    // Ctrl-C reaches both processes, in either order.
    if (stopping || STOP_SIGNALS.includes(how)) return stop();
    console.error(
      `workerd has ended by itself (${how}); what clients were told is kept: start again to go on`,
    );
    process.exit(1);
  });
}

const STOP_SIGNALS: string[] = ["SIGINT", "SIGTERM", "SIGHUP"];

function formatWelcome(
  { state, upstream: given }: Settings,
  issuer: string,
  upstream: string,
  prefix: string,
  pid: number,
): string {
  const request = `curl -si ${new URL(given === undefined ? "/hello" : "/", issuer)}`;
  return `
Counterfoil is at ${issuer}

  upstream        ${upstream}${given === undefined ? " (the built-in demo)" : ""}
  state           ${formatPath(state)}
  operator token  ${formatPath(operatorTokenPath(state))}
  workerd         process ${pid}

Get a receipt, and check it (in another terminal, in this folder):

  ${request}
  ${request} | npx counterfoil verify - --trust ${issuer}${prefix}trust

Ctrl-C stops it.
`;
}

/** A path as one types it here. */
function formatPath(path: string): string {
  const short = relative("", path);
  return short.startsWith("..") ? path : short;
}

main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error instanceof UsageError ? `npm start: ${error.message}` : error);
  process.exit(error instanceof UsageError ? 2 : 1);
});
