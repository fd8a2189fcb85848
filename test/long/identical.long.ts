// One product on four runtimes: a whole edge whose clock, keys and randomness are fixed makes the same receipts, entries,
// tiles, checkpoints, anchors and proofs, byte for byte. Each runtime has its own stores: files and node:sqlite, or a
// Durable Object and buckets in workerd.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commandOf, type RuntimeName } from "../../scripts/runtimes.ts";
import type { Artefacts } from "../portable/scenario.ts";

interface Made {
  /** What the runtime calls itself. */
  readonly runtime: string;
  readonly artefacts: Artefacts;
}

/** The scenario inside a Durable Object, with what that has of its own. */
const WORKER = `
  import { DurableObject } from "cloudflare:workers";
  import { bucketArchive, bucketSpool, objectSql } from "../../src/hosts/stores.ts";
  import { runScenario } from "../portable/scenario.ts";
  const store = bucket => ({ ...bucketArchive(bucket), ...bucketSpool(bucket) });
  export class Scenario extends DurableObject {
    async run() {
      const { storage } = this.ctx;
      const artefacts = await runScenario({
        sql: objectSql(storage),
        sync: () => storage.sync(),
        archive: store(this.env.ARCHIVE),
        anchors: store(this.env.ANCHORS),
      });
      return { runtime: navigator.userAgent, artefacts };
    }
  }
  export default {
    fetch: async (_, env) => Response.json(await env.SCENARIO.get(env.SCENARIO.idFromName("one")).run()),
  };`;

async function runOn(runtime: RuntimeName): Promise<Made> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-identical-"));
  try {
    const [command, ...args] = commandOf(runtime, resolve("test/portable/scenariomain.ts"));
    const child = spawn(command, [...args, folder], { stdio: ["ignore", "pipe", "pipe"] });
    const exit = once(child, "exit");
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect((await exit)[0], errors).toBe(0);
    return JSON.parse(output);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runOnWorkerd(): Promise<Made> {
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir: import.meta.dirname, loader: "js" },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  });
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.ERROR),
      cf: false,
      workers: [
        {
          name: "identical",
          compatibilityDate: "2026-10-23",
          modules: [{ type: "ESModule", path: "worker.js", contents: outputFiles[0]!.text }],
          durableObjects: { SCENARIO: { className: "Scenario", useSQLite: true } },
          r2Buckets: ["ARCHIVE", "ANCHORS"],
        },
      ],
    }),
  );
  onTestFinished(() => miniflare.dispose());
  const response = await miniflare.dispatchFetch("http://localhost/");
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Made;
}

describe("the fixed scenario", () => {
  let made: Made;

  beforeAll(async () => {
    made = await runOn("node");
  });

  test("is a whole one: every kind of answer, full tiles, anchors and proofs", () => {
    const { artefacts, runtime } = made;
    expect(runtime).toMatch(/^Node/);
    const statuses = Object.entries(artefacts).flatMap(([name, value]) =>
      name.endsWith(".head") ? value.slice(0, 3) : [],
    );
    expect(new Set(statuses)).toEqual(new Set(["200", "404"]));
    expect(statuses.length).toBeGreaterThan(560);
    expect(artefacts["archive/main/checkpoint"]).toMatch(/^api\.example\.com\/audit\/main\n5\d\d\n/);
    expect(Object.keys(artefacts)).toEqual(
      expect.arrayContaining([
        ...["archive/main/tile/0/001", "archive/main/tile/entries/001", "anchors/anchors/0000000002.jws"],
      ]),
    );
    for (const name of ["trust", "jwks", "health", "post.tlog-proof", "many-300.tlog-proof", "post.values"]) {
      expect(artefacts[name], name).toMatch(/^200\n/);
    }
  });

  test.each([
    ["deno", /^Deno/, () => runOn("deno")],
    ["bun", /^Bun/, () => runOn("bun")],
    ["workerd", /^Cloudflare-Workers$/, runOnWorkerd],
  ] as const)("is the same on %s, byte for byte", async (_, name, run) => {
    const { runtime, artefacts } = await run();
    expect(runtime).toMatch(name);
    const names = new Set([...Object.keys(artefacts), ...Object.keys(made.artefacts)]);
    expect([...names].filter(each => artefacts[each] !== made.artefacts[each])).toEqual([]);
  });
});
