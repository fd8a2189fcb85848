// Every command that the README and the help show is run as it stands there, by a shell, against an edge: only the
// addresses and the place of the operator's token are this edge's. It must end as a command ends that worked.
import { execFile } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConfigFile, writeConfig } from "../e2e/config.ts";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { eventually } from "../e2e/upstream.ts";

const PROJECT = resolve(import.meta.dirname, "../..");
const PROGRAM = join(PROJECT, "src/hosts/counterfoil.mjs");

/** Examples that cannot run here, each with what does instead. */
const ELSEWHERE: readonly (readonly [example: RegExp, where: string])[] = [
  [/^counterfoil watch /, "it goes on until there is trouble: test/unit/client/tools.test.ts"],
  [/^counterfoil witness /, "it runs until it is told to end: test/e2e/witness.test.ts"],
  [
    /counterfoil(\.mjs)? serve /,
    "it runs until it is told to end: test/e2e/serve.test.ts, and package.long.ts",
  ],
  [/--promise response\.txt/, "it needs a response with a promise: test/unit/client/awaited.test.ts"],
];

let desk: string;
let bin: string;
let config: ConfigFile;
let edge: Edge;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  [desk, bin] = [join(folder, "desk"), join(folder, "bin")];
  await mkdir(desk);
  await mkdir(bin);
  await symlink(PROGRAM, join(bin, "counterfoil"));
  await writeFile(join(bin, "npx"), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
  await symlink(process.execPath, join(bin, "node"));
  config = await writeConfig(toml => toml.replace(/interval_seconds = \d+/, "interval_seconds = 1"));
  edge = await startEdge({ args: ["--config", config.path] });
  await writeFile(join(desk, "token.txt"), await edge.operatorToken());
  await writeFile(join(desk, "order.json"), '{"item":"tea"}');
  copyFileSync(join(edge.state, "secrets.json"), join(desk, "secrets.json"));
  copyFileSync(join(PROJECT, "wrangler.toml"), join(desk, "wrangler.toml"));
  const { headers } = await fetch(`${edge.url}/v1/orders`);
  await writeFile(join(desk, "receipt.jws"), headers.get("audit-receipt")!);
  // What the other examples go on from.
  await prepare("counterfoil trust https://api.example.com -o trust.json");
  await prepare("curl -si https://api.example.com/v1/orders > response.txt");
  await prepare("counterfoil proof receipt.jws --trust trust.json -o receipt.tlog-proof");
  // Until an anchor covers the receipt.
  await eventually(async () => {
    await prepare("counterfoil pull https://api.example.com ./archive --trust trust.json --token token.txt");
    const { code } = await runLine("counterfoil audit ./archive --trust trust.json --receipt receipt.jws");
    return code === 0 ? true : undefined;
  });
});

afterAll(async () => {
  await edge?.stop();
  await config?.remove();
  if (desk !== undefined) await rm(resolve(desk, ".."), { recursive: true, force: true });
});

async function prepare(line: string): Promise<void> {
  expect(await runLine(line), line).toMatchObject({ code: 0 });
}

/** What must have happened before an example. */
const BEFORE: readonly (readonly [example: RegExp, line: string])[] = [
  [/--field query=page=2/, "curl -si 'https://api.example.com/v1/orders?page=2' > response.txt"],
  [/--state \.\/state/, "rm -rf state; mkdir state"],
  [/keys (list|rotate|retire) .*--state/, "cp secrets.json state"],
  [/keys retire/, "counterfoil keys rotate receipt --state ./state"],
];

interface Ended {
  readonly code: number;
  readonly text: string;
}

function runLine(line: string): Promise<Ended> {
  const ours = line
    .replaceAll(/https:\/\/api\.example\.com|http:\/\/127\.0\.0\.1:8787/g, edge.url)
    .replace(".counterfoil/8787/operator-token", "token.txt");
  return new Promise(done => {
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, NO_COLOR: "1" };
    execFile("bash", ["-o", "pipefail", "-c", ours], { cwd: desk, env }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), text: out + err }),
    );
  });
}

/** The help of a command, and of all below it. */
async function helpOf(command: readonly string[]): Promise<string[]> {
  const help = await new Promise<string>(done => {
    execFile(process.execPath, [PROGRAM, ...command, "--help"], (_, out) => done(out));
  });
  const [, list = ""] = help.split("Commands:\n");
  const names = [...list.split("\n\n")[0]!.matchAll(/^ {2}([a-z]+)/gm)].map(match => match[1]!);
  const below = await Promise.all(
    names.filter(name => name !== "help").map(name => helpOf([...command, name])),
  );
  return [help, ...below.flat()];
}

const helps = await helpOf([]);
const shown = [
  ...helps.flatMap(help => [...help.matchAll(/^ {2}\$ (.*)$/gm)].map(match => match[1]!)),
  ...[
    ...readFileSync(join(PROJECT, "README.md"), "utf8").matchAll(/^ {4}((?:npx counterfoil|curl) .*)$/gm),
  ].map(match => match[1]!),
];

describe("every command that is shown works", () => {
  const examples = [...new Set(shown)].filter(line => !ELSEWHERE.some(([other]) => other.test(line)));

  test("there are some for every command", () => {
    expect(helps.length).toBeGreaterThan(8);
    for (const help of helps) expect(help).toMatch(/^ {2}\$ counterfoil|Commands:/m);
  });

  test.each(examples)("%s", async line => {
    for (const [example, before] of BEFORE) if (example.test(line)) await prepare(before);
    const { code, text } = await runLine(line);
    expect(text).not.toMatch(/^ {4}at /m);
    expect(code, text).toBe(0);
  });
});
