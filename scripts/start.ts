// `npm start`: the edge on this machine, in front of an API of yours or of a small demo. Configuration
// comes from wrangler.toml and nowhere else; keys, ledgers and archive are kept in one state folder and
// survive whatever ends the process. Nothing here needs a network.
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, isIPv6 } from "node:net";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "smol-toml";
import { parsePolicy } from "../src/edge/policy.ts";
import { BUCKET_SECRETS, LATER_SECRETS, openKeySet, operatorTokenPath, SECRETS } from "../src/hosts/keys.ts";
import { parseVars } from "../src/hosts/policy.ts";
import { claimIssuer, openWorkerdState, readIssuer } from "../src/hosts/state.ts";
import { startDemo } from "./demo.ts";
import { RUNTIMES, type RuntimeName } from "./runtimes.ts";
import { startServe } from "./serve.ts";

/** Known here as well as in config.ts, which loads the platform's tools. */
const CONFIG_PATH = resolve(import.meta.dirname, "../wrangler.toml");

const USAGE = `Usage: npm start -- [options]
  --port P        serve on this port (8787); 0 is a free one, kept with the state
  --host H        serve on this address (127.0.0.1)
  --upstream URL  pass requests on to this API (a built-in demo)
  --state DIR     keep keys, ledgers and archive here (.counterfoil/<port>)
  --config FILE   configure it by this file (wrangler.toml)
  --runtime NAME  run it on workerd, node, deno or bun (workerd)`;

interface Settings {
  readonly host: string;
  readonly port: number;
  readonly upstream: string | undefined;
  readonly state: string;
  readonly config: string | undefined;
  readonly runtime: "workerd" | RuntimeName;
}

/** The edge as it runs, on whatever runtime. */
interface Edge {
  readonly pid: number;
  readonly issuer: string;
  /** The path that its own URLs begin with. */
  readonly prefix: string;
  readonly upstream: string;
  /** What has become of the state that workerd has left, if there was any: lines. */
  readonly adopted?: string;
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** What is wrong, in one sentence, for the one who can put it right. */
class UsageError extends Error {}

/** What `read` refuses is wrong in a file of the user's. @param file which one, if the message does not say it. */
async function orUsage<T>(read: () => T | Promise<T>, file?: string): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { message } = error as Error;
    throw new UsageError(file === undefined ? message : `${file}: ${message}`);
  }
}

async function main(args: string[]): Promise<void> {
  const settings = parseSettings(args);
  if (settings === undefined) return console.log(USAGE);
  const edge = await (settings.runtime === "workerd" ? onWorkerd : onRuntime)(settings);
  endTogether(edge, settings.runtime);
  console.log(formatWelcome(settings, edge));
}

async function onWorkerd(settings: Settings): Promise<Edge> {
  const storage = await orUsage(() => openWorkerdState(settings.state));
  const issuer = await orUsage(() => claimUrl(settings));
  // Loading the platform's tools takes a second or two: no refusal waits for it.
  const { readConfig } = await import("./config.ts");
  const { startWorkerd } = await import("./workerd.ts");
  const config = await orUsage(() => readConfig(settings.config));
  const keys = await orUsage(() => openKeySet(settings.state));
  const upstream = settings.upstream ?? (await startDemo());
  const vars = localVars(config.vars, issuer.origin, upstream, "none");
  const { prefix } = await orUsage(() => parsePolicy(vars), settings.config ?? CONFIG_PATH);
  const workerd = await startWorkerd({
    config,
    bindings: { ...vars, ...keys, ...givenSecrets() },
    host: settings.host,
    port: Number(issuer.port || 80),
    storage,
  });
  return { ...workerd, issuer: issuer.origin, upstream, prefix };
}

/** On a runtime that serves by itself: what is different on this machine goes into a configuration beside its state. */
async function onRuntime(settings: Settings): Promise<Edge> {
  const { host, runtime, state } = settings;
  const issuer = await orUsage(() => claimUrl(settings));
  const given = await orUsage(async () => parseVars(await readFile(settings.config ?? CONFIG_PATH, "utf8")));
  const upstream = settings.upstream ?? (await startDemo());
  const vars = localVars(given as Record<string, unknown>, issuer.origin, upstream, "peer");
  const { prefix } = await orUsage(() => parsePolicy(vars), settings.config ?? CONFIG_PATH);
  const config = join(state, "wrangler.toml");
  await writeFile(
    config,
    `# Made by npm start from the configuration that it was given.\n${stringify({ vars })}`,
  );
  const port = Number(issuer.port || 80);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOurs(name)));
  const served = await orUsage(() =>
    startServe({ runtime: runtime as RuntimeName, config, state, host, port, env }),
  );
  const adopted = served.output.match(/^(adopted|set aside) .*\n/gm)?.join("");
  return { ...served, issuer: issuer.origin, upstream, prefix, ...(adopted && { adopted }) };
}

/** The keys of this edge are those of its state folder, whatever the environment has for another one. */
function isOurs(name: string): boolean {
  return [...SECRETS, ...LATER_SECRETS].some(ours => ours === name);
}

/**
 * @returns undefined when only help is asked for.
 * @throws UsageError for whatever is not as `USAGE` says.
 */
function parseSettings(args: string[]): Settings | undefined {
  const { port, host, upstream, state, config, runtime, help } = parseFlags(args);
  if (help) return undefined;
  if (runtime !== "workerd" && !isRuntime(runtime)) {
    throw new UsageError(`--runtime: expected workerd, ${RUNTIMES.join(", ")}, found "${runtime}"`);
  }
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
    runtime,
  };
}

function isRuntime(name: string): name is RuntimeName {
  return (RUNTIMES as readonly string[]).includes(name);
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
        runtime: { type: "string", default: "workerd" },
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
async function claimUrl({ host, port, state }: Settings): Promise<URL> {
  const kept = await readIssuer(state);
  const wanted = port === 0 && kept !== undefined ? Number(new URL(kept).port || 80) : port;
  const url = formatOrigin(host, await probePort(host, wanted));
  await claimIssuer(state, url);
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
function localVars(
  vars: Record<string, unknown>,
  issuer: string,
  upstream: string,
  client_address: "peer" | "none",
): Record<string, unknown> {
  const [first, ...others] = Array.isArray(vars.routes) ? vars.routes : [];
  // Nothing here is locked, and no API could tell of it: the anchors say so.
  const { rules_url: _, ...lock } = (vars.lock ?? { retention_days: 1 }) as Record<string, unknown>;
  return {
    ...vars,
    issuer,
    client_address,
    lock: { ...lock, local: true },
    routes: [{ ...first, upstream }, ...others],
  };
}

/** The secrets that nobody can make up here: those of other services, from the environment. */
function givenSecrets(): Record<string, string> {
  return Object.fromEntries(
    BUCKET_SECRETS.flatMap(name => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
}

/** Ends this process with the edge: in good order when told to, as a failure when the edge ends by itself. */
function endTogether(edge: Edge, runtime: string): void {
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    await edge.stop();
    process.exit(0);
  };
  for (const signal of STOP_SIGNALS) {
    // Miniflare's own listeners would call it a failure.
    process.removeAllListeners(signal).on(signal, stop);
  }
  edge.ended.then(how => {
    // Ctrl-C may reach both processes, in either order.
    if (stopping || STOP_SIGNALS.includes(how)) return stop();
    console.error(
      `${runtime} has ended by itself (${how}); what clients were told is kept: start again to go on`,
    );
    process.exit(1);
  });
}

const STOP_SIGNALS: string[] = ["SIGINT", "SIGTERM", "SIGHUP"];

function formatWelcome(
  { state, upstream: given, runtime }: Settings,
  { issuer, upstream, prefix, pid, adopted }: Edge,
): string {
  const taken =
    adopted === undefined
      ? ""
      : `
Workerd's state was taken over, and workerd cannot go on with it:

${adopted.replace(/^(adopted|set aside) +/gm, (_, label) => `  ${label.padEnd(16)}`)}`;
  const request = `curl -si ${new URL(given === undefined ? "/hello" : "/", issuer)}`;
  return `
Counterfoil is at ${issuer}

  upstream        ${upstream}${given === undefined ? " (the built-in demo)" : ""}
  state           ${formatPath(state)}
  operator token  ${formatPath(operatorTokenPath(state))}
  ${runtime.padEnd(14)}  process ${pid}
${taken}
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
