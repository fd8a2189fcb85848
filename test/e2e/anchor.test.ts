// When an anchor is written, in real workerd: after the interval, or as soon as enough entries are new.
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { CONFIG_PATH } from "../../scripts/config.ts";
import { read } from "./copy.ts";
import { startEdge } from "./edge.ts";
import { eventually, send } from "./upstream.ts";

it("does not wait for the interval once enough entries are new", async () => {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const config = join(folder, "wrangler.toml");
  const ours = readFileSync(CONFIG_PATH, "utf8").replace('main = "', `main = "${resolve(".")}/`);
  // An interval of a day: whatever is anchored here was not waited for.
  const hasty = ours.replace("interval_seconds = 60", "interval_seconds = 86400");
  await writeFile(config, hasty.replace("entries = 10000", "entries = 3"));
  const edge = await startEdge({ args: ["--config", config] });
  onTestFinished(() => edge.stop());
  const newest = await eventually(async () => {
    await send(`${edge.url}/hello`);
    const { latest } = JSON.parse((await read(edge, "anchors")).toString());
    return latest === null ? undefined : (latest as number);
  });
  expect(newest).toBe(0);
});
