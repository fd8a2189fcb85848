// `npm run selfhost`: what a plain workerd needs to serve the edge without Cloudflare, in one folder: the worker as one
// module, a config.capnp made from wrangler.toml, and the folder of the objects' databases. Archive and anchors are
// S3 buckets, because a workerd by itself has none. No secret is in the config: workerd takes them from its
// environment, for which they are made once and kept in a file that its owner alone can read.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Policy, parsePolicy } from "../src/edge/policy.ts";
import { BUCKET_SECRETS, LATER_SECRETS, openKeySet, SECRETS } from "../src/hosts/keys.ts";
import { CONFIG_PATH, type Config, readConfig } from "./config.ts";
import { bundleWorker } from "./worker.ts";

const USAGE = `Usage: npm run selfhost -- [options]
  --out DIR       write the folder here (selfhost)
  --config FILE   make it from this file (wrangler.toml)
  --listen A:P    the address and port to serve on (*:8443 with TLS, *:8080 without)
  --tls-cert FILE --tls-key FILE
                  serve TLS with this certificate chain and key (PEM), named as workerd finds them from DIR
  --allow LIST    the networks to reach, of public and private (public,private)
  --front         a front sets the field that vars.client_address names`;

/** Where the folder has its parts. */
const CONFIG = "config.capnp";
const WORKER = "worker.js";
const OBJECTS = "objects";
export const ENVIRONMENT = "secrets.env";

/** The workerd that is installed here. */
export const WORKERD = resolve(import.meta.dirname, "../node_modules/workerd/bin/workerd");

export interface SelfhostOptions {
  readonly config: Config;
  /** The policy, as `[vars]` has it. */
  readonly vars: Record<string, unknown>;
  /** As workerd understands it: `127.0.0.1:8080`, `*:8443`. */
  readonly listen: string;
  /** PEM files, by paths from the folder. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly allow: readonly string[];
}

/** Writes the folder; what its objects store and its keys are left as they are. */
export async function writeSelfhost(folder: string, options: SelfhostOptions): Promise<void> {
  await mkdir(join(folder, OBJECTS), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, WORKER), await bundleWorker(options.config.main!));
  await writeFile(join(folder, CONFIG), formatConfig(options));
  const keys = Object.entries(await openKeySet(folder)).map(([name, value]) => `${name}='${value}'\n`);
  // Made anew: one that is there keeps its mode, whatever that is.
  await rm(join(folder, ENVIRONMENT), { force: true });
  await writeFile(join(folder, ENVIRONMENT), keys.join(""), { mode: 0o600 });
}

/** The configuration of workerd (workerd.capnp in its package). */
export function formatConfig({ config, vars, listen, tls, allow }: SelfhostOptions): string {
  const classes = config.durable_objects.bindings;
  const bindings = [
    ...Object.entries(vars).map(([name, value]) =>
      typeof value === "string"
        ? `(name = ${quote(name)}, text = ${quote(value)})`
        : `(name = ${quote(name)}, json = ${quote(JSON.stringify(value))})`,
    ),
    ...classes.map(
      ({ name, class_name }) => `(name = ${quote(name)}, durableObjectNamespace = ${quote(class_name)})`,
    ),
    ...[...SECRETS, ...LATER_SECRETS, ...BUCKET_SECRETS].map(
      name => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`,
    ),
  ];
  const namespaces = classes.map(
    ({ class_name }) =>
      `(className = ${quote(class_name)}, uniqueKey = ${quote(`${config.name}-${class_name}`)}, enableSql = true)`,
  );
  const protocol =
    tls === undefined
      ? "http = ()"
      : `https = (options = (), tlsOptions = (keypair = (privateKey = embed ${quote(tls.key)}, certificateChain = embed ${quote(tls.cert)})))`;
  return `# Made by \`npm run selfhost\` from wrangler.toml: change that, and make it again.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "internet", network = (allow = [${allow.map(quote).join(", ")}], tlsOptions = (trustBrowserCas = true))),
    (name = "objects", disk = (path = ${quote(OBJECTS)}, writable = true)),
  ],
  sockets = [(name = "http", address = ${quote(listen)}, service = "edge", ${protocol})],
);

const edge :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${quote(WORKER)})],
  compatibilityDate = ${quote(config.compatibility_date!)},
  compatibilityFlags = [${config.compatibility_flags.map(quote).join(", ")}],
  bindings = [${bindings.map(line => `\n    ${line},`).join("")}
  ],
  durableObjectNamespaces = [${namespaces.map(line => `\n    ${line},`).join("")}
  ],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** A text as Cap'n Proto's schema language has it; JSON's escapes of control characters are not among its own. */
function quote(text: string): string {
  return JSON.stringify(text).replace(/\\u00([0-9a-f]{2})/g, "\\x$1");
}

/** What keeps an edge from running in a plain workerd as this policy says. */
function findObstacle(policy: Policy, hasFront: boolean): string | undefined {
  if (policy.archive.s3 === undefined)
    return "vars.archive.s3: expected a bucket, for workerd itself has none";
  if (policy.anchor.s3?.role !== "store") {
    return 'vars.anchor.s3: expected a bucket under Object Lock with role = "store", for workerd itself has none';
  }
  if (policy.client_address !== "none" && !hasFront) {
    return `vars.client_address: expected "none" where clients could set ${policy.client_address} themselves, or --front`;
  }
  return undefined;
}

async function main(args: string[]): Promise<void> {
  const flags = parseArgs({
    args,
    options: {
      out: { type: "string", default: "selfhost" },
      config: { type: "string", default: CONFIG_PATH },
      listen: { type: "string" },
      "tls-cert": { type: "string" },
      "tls-key": { type: "string" },
      allow: { type: "string", default: "public,private" },
      front: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
  if (flags.help) return console.log(USAGE);
  const [cert, key] = [flags["tls-cert"], flags["tls-key"]];
  if ((cert === undefined) !== (key === undefined)) throw new Error("--tls-cert and --tls-key go together");
  const allow = flags.allow.split(",");
  if (!allow.every(network => network === "public" || network === "private")) {
    throw new Error(`--allow: expected public, private or both, found "${flags.allow}"`);
  }
  const config = readConfig(flags.config);
  const obstacle = findObstacle(parsePolicy(config.vars), flags.front);
  if (obstacle !== undefined) throw new Error(`wrangler.toml: ${obstacle}`);
  const tls = cert === undefined || key === undefined ? undefined : { cert, key };
  const folder = resolve(flags.out);
  const listen = flags.listen ?? (tls === undefined ? "*:8080" : "*:8443");
  await writeSelfhost(folder, { config, vars: config.vars, listen, tls, allow });
  console.log(`Written to ${flags.out}. To serve, with the keys of the two buckets in the environment as well:

  (cd ${flags.out} && set -a && . ./${ENVIRONMENT} && exec flock -n ${OBJECTS} npx workerd serve ${CONFIG})`);
}

if (import.meta.main) {
  await main(process.argv.slice(2)).catch((error: Error) => {
    console.error(`npm run selfhost: ${error.message}`);
    process.exitCode = 2;
  });
}
