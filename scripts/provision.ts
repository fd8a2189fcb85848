// `npm run provision`: makes at Cloudflare what wrangler.toml names and `wrangler deploy` does not make: the
// buckets, the lock on the anchors, the secrets. It looks first, does only what is missing, looks again,
// and fails unless it then finds what it wants. Nothing is ever overwritten, weakened or removed.
// Everything goes through the wrangler that is installed; secrets reach it on its stdin and are not shown. Secrets of
// other services cannot be made here: where wrangler.toml needs one that is not there, it says so and fails.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { type Policy, parsePolicy } from "../src/edge/policy.ts";
import {
  hashToken,
  makeSigningKey,
  openOperatorToken,
  operatorTokenPath,
  SECRETS,
} from "../src/hosts/keys.ts";
import { CONFIG_PATH, type Config, readConfig } from "./config.ts";
import { type Days, formatDays, formatRule, parseListing, readTerm } from "./lock.ts";

const USAGE = `Usage: npm run provision -- [options]
  --dry-run      print the commands for an account that has nothing yet, and run none
  --config FILE  provision what this file names (wrangler.toml)
  --state DIR    keep the operator's token here (.counterfoil/<worker's name>)`;

const PROJECT = resolve(import.meta.dirname, "..");

/** Something that shall be there at Cloudflare. */
interface Goal {
  readonly what: string;
  /** The arguments of the wrangler command that shows what is there. */
  readonly look: readonly string[];
  /** How that command fails when nothing is there. */
  readonly nothing: RegExp;
  /** What is missing in what that command printed; undefined stands for nothing at all. */
  findGap(seen: string | undefined): Gap | undefined;
  /** What a person has to do, if nobody else can. */
  readonly byHand?: string;
}

interface Gap {
  /** What is expected, and what was found. */
  readonly reason: string;
  /** The arguments of the wrangler command that fills the gap; undefined where only a person can. */
  readonly fill?: readonly string[];
  /** What that command reads from its stdin, made when it is run. */
  readonly input?: () => Promise<string>;
}

/** Runs wrangler. @returns what it prints. @throws Error with its own message. */
type Wrangler = (args: readonly string[], input?: string) => Promise<string>;

async function main(args: string[]): Promise<void> {
  const flags = parseArgs({
    args,
    options: {
      "dry-run": { type: "boolean", default: false },
      config: { type: "string", default: CONFIG_PATH },
      state: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
  if (flags.help) return console.log(USAGE);
  const config = readConfig(flags.config);
  const state = resolve(flags.state ?? join(".counterfoil", config.name ?? ""));
  const goals = listGoals(config, parsePolicy(config.vars), state);
  const file = flags.config === CONFIG_PATH ? [] : ["--config", resolve(flags.config)];
  if (flags["dry-run"]) return rehearse(goals, file);
  for (const goal of goals) {
    console.log(
      `${goal.what}: ${await reach(goal, (args, input) => runWrangler([...args, ...file], input))}`,
    );
  }
  const token = operatorTokenPath(state);
  if (existsSync(token)) console.log(`The operator's token is in ${relative("", token)}`);
  console.log("Next: npx wrangler deploy");
}

function listGoals(config: Config, policy: Policy, state: string): Goal[] {
  const anchors = findBucket(config, "ANCHORS");
  return [
    ...(policy.archive.s3 === undefined ? [bucketGoal(findBucket(config, "ARCHIVE"))] : []),
    bucketGoal(anchors),
    lockGoal(anchors, readTerm(policy.lock)),
    secretsGoal(state),
    ...givenSecretsGoals(policy),
  ];
}

/** The arguments that name a bucket: its name, and its jurisdiction if it has one. */
function findBucket(config: Config, binding: string): string[] {
  const bucket = config.r2_buckets.find(candidate => candidate.binding === binding);
  if (bucket?.bucket_name === undefined)
    throw new Error(`wrangler.toml: no bucket_name for the binding ${binding}`);
  return [
    bucket.bucket_name,
    ...(bucket.jurisdiction === undefined ? [] : ["--jurisdiction", bucket.jurisdiction]),
  ];
}

/** R2's answer for a bucket that is not there: NoSuchBucket. */
const NO_BUCKET = /\[code: 10006\]/;

function bucketGoal(bucket: string[]): Goal {
  return {
    what: `bucket ${bucket[0]}`,
    look: ["r2", "bucket", "lock", "list", ...bucket],
    nothing: NO_BUCKET,
    findGap: seen =>
      seen === undefined
        ? { reason: "it is not there", fill: ["r2", "bucket", "create", ...bucket] }
        : undefined,
  };
}

function lockGoal(bucket: string[], days: Days): Goal {
  return {
    what: `lock on all of ${bucket[0]}, ${formatDays(days)}`,
    look: ["r2", "bucket", "lock", "list", ...bucket],
    nothing: NO_BUCKET,
    findGap: seen => {
      const held = seen === undefined ? 0 : parseListing(seen);
      return held >= days
        ? undefined
        : {
            reason: `expected to be held ${formatDays(days)}, found ${formatDays(held)}`,
            fill: ["r2", "bucket", "lock", "add", ...bucket, ...formatRule(days)],
          };
    },
  };
}

/** How the secrets of the worker are listed, as long as there is one and before. */
const SECRET_LIST = {
  look: ["secret", "list", "--format", "json"],
  nothing: /Worker ".*" not found/,
};

/** Those of some secrets that are not there. @param seen what the listing of secrets printed. */
function findMissing<Name extends string>(names: readonly Name[], seen = "[]"): Name[] {
  const present = (JSON.parse(seen) as { name: string }[]).map(({ name }) => name);
  return names.filter(name => !present.includes(name));
}

/** All secrets that are made here. Those that are there stay; those that are missing are made and sent at once. */
function secretsGoal(state: string): Goal {
  return {
    what: `secrets ${SECRETS.join(", ")}`,
    ...SECRET_LIST,
    findGap: seen => {
      const missing = findMissing(SECRETS, seen);
      return missing.length === 0
        ? undefined
        : {
            reason: `no ${missing.join(", ")}`,
            fill: ["secret", "bulk"],
            input: () => makeSecrets(missing, state),
          };
    },
  };
}

/** The secrets of other services that the policy makes the worker need. They come last: all else is done by then. */
function givenSecretsGoals({ lock, archive, anchor }: Policy): Goal[] {
  const needed = [
    ...(lock?.rules_url === undefined ? [] : ["LOCK_API_TOKEN"]),
    ...(archive.s3 === undefined ? [] : ["ARCHIVE_S3_KEY_ID", "ARCHIVE_S3_SECRET"]),
    ...(anchor.s3 === undefined ? [] : ["ANCHOR_S3_KEY_ID", "ANCHOR_S3_SECRET"]),
  ];
  if (needed.length === 0) return [];
  const say = (names: readonly string[]) =>
    names.map(name => `npx wrangler secret put ${name}  # ${GIVEN_SECRETS[name]}`);
  return [
    {
      what: `secrets ${needed.join(", ")}`,
      ...SECRET_LIST,
      findGap: seen => {
        const missing = findMissing(needed, seen);
        if (missing.length === 0) return undefined;
        const reason = `no ${missing.join(", ")}; nobody here can make them up, so set them and run this again:`;
        return { reason: [reason, ...say(missing)].join("\n  ") };
      },
      byHand: say(needed).join("\n"),
    },
  ];
}

/** What each secret of another service is. */
const GIVEN_SECRETS: Readonly<Record<string, string>> = {
  LOCK_API_TOKEN: "an API token of Cloudflare that may read R2, for vars.lock.rules_url",
  ARCHIVE_S3_KEY_ID: "the id of an access key of the bucket of vars.archive.s3",
  ARCHIVE_S3_SECRET: "the secret of that access key",
  ANCHOR_S3_KEY_ID: "the id of an access key of the bucket of vars.anchor.s3",
  ANCHOR_S3_SECRET: "the secret of that access key",
};

async function makeSecrets(names: readonly (typeof SECRETS)[number][], state: string): Promise<string> {
  const secrets: Record<string, string> = {};
  for (const name of names) {
    // The token is kept before its hash is sent: a hash whose token nobody has would lock the operator out.
    secrets[name] =
      name === "OPERATOR_TOKEN_SHA256" ? hashToken(await openOperatorToken(state)) : await makeSigningKey();
  }
  return JSON.stringify(secrets);
}

/** @returns whether there was something to do. @throws Error when it is not there after that either. */
async function reach(goal: Goal, wrangler: Wrangler): Promise<"done" | "already there"> {
  const look = () =>
    wrangler(goal.look).catch((error: Error) => {
      if (goal.nothing.test(error.message)) return undefined;
      throw error;
    });
  const gap = goal.findGap(await look());
  if (gap === undefined) return "already there";
  if (gap.fill === undefined) throw new Error(`${goal.what}: ${gap.reason}`);
  await wrangler(gap.fill, await gap.input?.());
  const left = goal.findGap(await look());
  if (left !== undefined) throw new Error(`${goal.what}: ${left.reason}`);
  return "done";
}

/** Prints what `reach` would run for an account that has nothing. */
function rehearse(goals: readonly Goal[], file: readonly string[]): void {
  for (const { what, look, findGap, byHand } of goals) {
    const { fill, input } = findGap(undefined)!;
    console.log(`# ${what}`);
    if (byHand !== undefined) console.log(`# by hand, when this says that one is missing:\n${byHand}`);
    for (const args of fill === undefined ? [look] : [look, fill, look]) {
      const stdin = args === fill && input !== undefined ? "  # reads them from stdin, as JSON" : "";
      console.log(`npx wrangler ${[...args, ...file].join(" ")}${stdin}`);
    }
  }
}

async function runWrangler(args: readonly string[], input = ""): Promise<string> {
  const wrangler = join(PROJECT, "node_modules/wrangler/bin/wrangler.js");
  const child = spawn(process.execPath, [wrangler, ...args], { cwd: PROJECT, stdio: "pipe" });
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  if (code === 0) return stripVTControlCharacters(stdout);
  const message = stripVTControlCharacters(stderr || stdout).trim();
  throw new Error(`wrangler ${args.join(" ")} ended with exit code ${code}:\n${message}`);
}

main(process.argv.slice(2)).catch((error: NodeJS.ErrnoException) => {
  console.error(`npm run provision: ${error.message}`);
  process.exit(error.code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1);
});
