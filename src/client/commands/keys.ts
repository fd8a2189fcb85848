// counterfoil keys: the keys that an edge signs with. None is ever shown but by its public half: new ones are written
// to a file for their owner alone, and from there go to a secret store through standard input.
import { type Command, InvalidArgumentError, Option } from "commander";
import { formatSeconds, thumbprintOf } from "../../receipt/key.ts";
import type { Trust } from "../../receipt/trust.ts";
import { encodeBase64url } from "../../tlog/base64.ts";
import { type CommonOptions, examples, type Run } from "../command.ts";
import { Undecided } from "../outcome.ts";
import type { KeyUse, KeyView, Platform } from "../platform.ts";
import type { Answer, Row } from "../print.ts";
import { fetchTrust } from "../trust.ts";

const USES: readonly KeyUse[] = ["receipt", "checkpoint", "anchor"];

/** How long a replaced key is believed by default, in ms: an edge may sign with it until it was started anew. */
const RETIRED_AFTER_MS = 24 * 3600 * 1000;

const STATE_HELP = "the folder that has them";

interface FolderOptions extends CommonOptions {
  readonly state: string;
}

interface RotateOptions extends FolderOptions {
  readonly url?: string;
  readonly until?: string;
}

interface ListOptions extends CommonOptions {
  readonly state?: string;
  readonly url?: string;
}

export function addKeys(program: Command, run: Run): void {
  const keys = program.command("keys").summary("make, replace and list the keys that an edge signs with");
  keys
    .command("new")
    .description("Makes the three signing keys of an edge in a folder that has none. Overwrites nothing.")
    .requiredOption("--state <folder>", "the folder to keep them in; for its owner alone")
    .option("--json", "the public halves as JSON")
    .addHelpText("after", examples("counterfoil keys new --state ./state"))
    .action((options: FolderOptions) =>
      run.answer(options, options.state, false, platform => makeKeys(platform, options)),
    );
  keys
    .command("list")
    .description("Lists the keys in force and those that were retired: of a state folder, or of an edge.")
    .option("--state <folder>", STATE_HELP)
    .option("--url <url>", "the API, or its reserved prefix: what its trust document says")
    .option("--json", "the list as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil keys list --state ./state",
        "counterfoil keys list --url https://api.example.com",
      ),
    )
    .action((options: ListOptions) =>
      run.answer(options, options.state ?? options.url ?? "", false, platform => listKeys(platform, options)),
    );
  addRotate(keys, run);
  keys
    .command("retire")
    .description(
      "Destroys the private half of the receipt key before, which a rotation keeps so that receipts of its time can be issued again. What it has signed verifies as ever.",
    )
    .requiredOption("--state <folder>", STATE_HELP)
    .option("--json", "the keys that are left as JSON")
    .addHelpText("after", examples("counterfoil keys retire --state ./state"))
    .action((options: FolderOptions) =>
      run.answer(options, options.state, false, platform => retireKey(platform, options)),
    );
}

function addRotate(keys: Command, run: Run): void {
  keys
    .command("rotate")
    .description(
      "Puts a new key in the place of one in force, and keeps the public half of that with the time until which it is believed. The edge must not run on the folder meanwhile. With --url, the edge is elsewhere, and the folder is where its new key waits to be deployed.",
    )
    .argument("<use>", "receipt, checkpoint or anchor", parseUse)
    .requiredOption("--state <folder>", STATE_HELP)
    .option(
      "--url <url>",
      "the edge to replace a key of, if it does not run on the folder: the API, or its prefix",
    )
    .addOption(
      new Option(
        "--until <time>",
        "until when the old key is believed, as 2026-11-22T05:22:22Z; by then the edge must have the new one",
      ).default(undefined, "in 24 hours"),
    )
    .option("--json", "the keys as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil keys rotate receipt --state ./state",
        "counterfoil keys rotate checkpoint --state ./keys --url https://api.example.com",
      ),
    )
    .action((use: KeyUse, options: RotateOptions) =>
      run.answer(options, options.state, false, platform => rotateKey(platform, use, options)),
    );
}

async function listKeys(platform: Platform, { state, url }: ListOptions): Promise<Answer> {
  if ((state === undefined) === (url === undefined)) {
    throw new Undecided("whose keys are meant?", { expected: "either --state or --url" });
  }
  if (url !== undefined)
    return describeKeys([["edge", url]], await viewOf((await fetchTrust(platform, url)).trust));
  const keys = await platform.keys.list(state!);
  if (keys === undefined)
    throw new Undecided(`${state} has no keys`, { expected: "a folder with secrets.json" });
  return describeKeys([["folder", state!]], keys);
}

async function makeKeys(platform: Platform, { state }: FolderOptions): Promise<Answer> {
  const keys = await platform.keys.make(state);
  return describeKeys([["made", `${state}/secrets.json, for its owner alone`]], keys, [
    ["next", `counterfoil serve --state ${state}`],
    ["or, on Cloudflare", `npx wrangler secret bulk ${state}/secrets.json, and then npm run provision`],
  ]);
}

async function rotateKey(platform: Platform, use: KeyUse, options: RotateOptions): Promise<Answer> {
  const { state, url } = options;
  const until = readUntil(options.until, platform.now());
  const deployed = url === undefined ? undefined : await viewOf((await fetchTrust(platform, url)).trust);
  const keys = await platform.keys.rotate(state, use, until, deployed);
  const isKept = keys.some(key => key.isKept === true);
  return describeKeys([["replaced", `the ${use} key; the one before is believed until ${until}`]], keys, [
    ...(url === undefined
      ? ([["next", "start the edge again by then"]] as const)
      : ([
          ["next", `by then, in one step: npx wrangler secret bulk ${state}/secrets.json`],
          ["then", `counterfoil keys list --url ${url}`],
        ] as const)),
    ...(isKept
      ? ([
          ["later", `counterfoil keys retire --state ${state}, when no receipt of before is asked for`],
        ] as const)
      : []),
    ["note", "those who keep a trust document get it anew: counterfoil trust URL"],
  ]);
}

async function retireKey(platform: Platform, { state }: FolderOptions): Promise<Answer> {
  const keys = await platform.keys.retire(state);
  if (keys === undefined) {
    throw new Undecided(`${state} has no receipt key of before`, {
      expected: "a folder in which one was replaced; the others are destroyed when they are",
    });
  }
  return describeKeys([["destroyed", "the private half of the receipt key before"]], keys, [
    ["next", "start the edge again"],
    ["or, on Cloudflare", `echo '{"RECEIPT_KEY_BEFORE":null}' | npx wrangler secret bulk`],
  ]);
}

/** What a trust document says. @throws Undecided when it has not one key in force for each use: none can be replaced. */
async function viewOf({ anchorKeys, ledgers, receiptKeys }: Trust): Promise<KeyView[]> {
  const checkpointKeys = ledgers.flatMap(({ keys, retired = [] }) => [
    ...keys.map(key => ({ x: encodeBase64url(key.publicKey), exp: undefined })),
    ...retired.map(({ key, exp }) => ({ x: encodeBase64url(key.publicKey), exp })),
  ]);
  const byUse = { receipt: receiptKeys, checkpoint: checkpointKeys, anchor: anchorKeys };
  const views: KeyView[] = [];
  for (const use of USES) {
    // All ledgers of an edge have one checkpoint key, under names of their own.
    const keys = new Map(byUse[use].map(({ x, exp }) => [String(x), exp]));
    const inForce = [...keys.values()].filter(exp => exp === undefined).length;
    if (inForce !== 1) {
      const detail = { expected: "one", found: `${inForce}` };
      throw new Undecided(`the trust document does not name one ${use} key in force`, detail);
    }
    for (const [key, exp] of keys) {
      const until = exp === undefined ? {} : { until: new Date(exp * 1000).toISOString() };
      views.push({ use, key, kid: await thumbprintOf(key), ...until });
    }
  }
  return views;
}

function describeKeys(first: readonly Row[], keys: readonly KeyView[], next: readonly Row[] = []): Answer {
  const rows = [...first, ...keys.map(describeKey), ...next];
  return { outcome: "proven", rows, json: { keys } };
}

function describeKey({ use, key, kid, until, isKept }: KeyView): Row {
  const name = `${key}, thumbprint ${kid}`;
  if (until === undefined) return [use, name];
  const kept = isKept ? ", and its private half is kept to issue receipts again" : "";
  return [use, `${name}, retired: believed until ${formatSeconds(Date.parse(until) / 1000)}${kept}`];
}

/** @throws Undecided */
function readUntil(text: string | undefined, now: number): string {
  if (text === undefined) return new Date(now + RETIRED_AFTER_MS).toISOString();
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? Date.parse(text) : Number.NaN;
  // A time that has passed would take from its receipts what the edge signs until it has the new key.
  if (time >= now) return new Date(time).toISOString();
  throw new Undecided("--until: not a time to come", {
    expected: "one like 2026-11-22T05:22:22Z",
    found: text,
  });
}

function parseUse(text: string): KeyUse {
  const use = USES.find(known => known === text);
  if (use !== undefined) return use;
  throw new InvalidArgumentError(`Expected ${USES.join(", ")}.`);
}
