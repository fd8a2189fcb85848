// Timestamps from end to end: a running edge in workerd that has its anchors timestamped by `openssl ts` over
// HTTP, and an audit of it that shows the rung.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { hasOpenssl, makeTsa, removeTsas, serveTsa } from "../tsa.ts";
import { startEdge } from "./edge.ts";

if (!hasOpenssl) console.warn("openssl is missing: timestamps are not tested end to end");

const ROOT = resolve(import.meta.dirname, "../..");
afterAll(removeTsas);

it.skipIf(!hasOpenssl)("an audit of a running edge shows who has timestamped its anchors", async () => {
  const tsa = makeTsa({ key: "rsa", name: "TSA of the test" });
  const authority = await serveTsa(tsa);
  const folder = mkdtempSync(join(tmpdir(), "counterfoil-"));
  const config = join(folder, "wrangler.toml");
  const certificate = Buffer.from(tsa.issuer).toString("base64");
  const timestamps = `[vars.anchor.timestamp]\nurl = "${authority.url}"\ncertificates = ["${certificate}"]\n`;
  const toml = readFileSync(join(ROOT, "wrangler.toml"), "utf8")
    .replace("interval_seconds = 60", "interval_seconds = 1")
    .replace('main = "src', `main = "${ROOT}/src`);
  writeFileSync(config, `${toml}\n${timestamps}`);
  const edge = await startEdge({ args: ["--config", config] });
  try {
    expect((await fetch(`${edge.url}/hello`)).status).toBe(200);
    const anchors = `${edge.url}/.well-known/audit/anchors`;
    await vi.waitFor(async () => expect(await (await fetch(anchors)).json()).toEqual({ latest: 0 }), {
      timeout: 30_000,
      interval: 200,
    });
    const cli = join(ROOT, "src/hosts/cli.ts");
    // In another process, and without blocking this one, which is the authority.
    const output = await new Promise<string>((done, fail) =>
      execFile(process.execPath, [cli, "audit", edge.url], (error, stdout) =>
        error ? fail(error) : done(stdout),
      ),
    );
    expect(output).toMatch(/timestamps +1 hold, the newest of 20\S+Z by TSA of the test, on epoch 0\n/);
  } finally {
    await edge.stop();
    authority.close();
    rmSync(folder, { recursive: true });
  }
});
