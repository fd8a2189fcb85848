// Anchors under Object Lock in a real Ceph radosgw, written by a real edge in workerd and audited by the command
// line. The service comes from ../shared/tools; without it, or without Debian's packages, this says that it is not run.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { AwsClient } from "aws4fetch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONFIG_PATH } from "../../scripts/config.ts";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { parseTrust } from "../../src/receipt/trust.ts";
import { read } from "../e2e/copy.ts";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { eventually, send } from "../e2e/upstream.ts";

const TOOL = resolve(import.meta.dirname, "../../../shared/tools/object-lock-s3.sh");
const SERVICE = "http://127.0.0.1:8890";
const BUCKET = `${SERVICE}/anchors-${process.pid}`;
const DAY_MS = 24 * 3600 * 1000;
const KEY = "anchors/0000000000.jws";

const client = new AwsClient({
  accessKeyId: "AK",
  secretAccessKey: "SK",
  region: "us-east-1",
  service: "s3",
  retries: 0,
});

const canRun = existsSync(TOOL) && existsSync("/usr/bin/apt-get");
if (!canRun)
  console.log("not run: object lock in a real radosgw, for there is no tool here that brings one up");

let folder: string;
let edge: Edge;

async function run(command: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { stdout, stderr, code };
}

/** The file of a process id that the service has left, if it has. */
function endProcess(file: string): void {
  if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8")));
}

describe.runIf(canRun)("anchors in a real bucket under Object Lock", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "counterfoil-s3-"));
    // What it prints goes nowhere: it leaves processes behind that would hold its output open.
    const child = spawn("bash", ["-c", `apt-get update -qq; bash ${TOOL} ${folder}/s3`], { stdio: "ignore" });
    await once(child, "exit");
    const made = await client.fetch(BUCKET, {
      method: "PUT",
      headers: { "x-amz-bucket-object-lock-enabled": "true" },
    });
    expect(made.status).toBe(200);
    const config = join(folder, "wrangler.toml");
    const ours = readFileSync(CONFIG_PATH, "utf8").replace('main = "', `main = "${resolve(".")}/`);
    const s3 = `[vars.anchor.s3]\nurl = "${BUCKET}"\nretention_days = 2\nrole = "store"\n`;
    await writeFile(config, `${ours.replace("interval_seconds = 60", "interval_seconds = 1")}\n${s3}`);
    process.env.ANCHOR_S3_KEY_ID = "AK";
    process.env.ANCHOR_S3_SECRET = "SK";
    edge = await startEdge({ args: ["--config", config] });
  });

  afterAll(async () => {
    await edge?.stop();
    for (const name of ["rgw", "osd.0", "mon.a"]) endProcess(join(folder, "s3/c/run", `${name}.pid`));
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  /** The newest anchor, once it pins at least so many entries. */
  async function anchored(size: number) {
    const trust = parseTrust((await read(edge, "trust")).toString());
    return eventually(async () => {
      const { latest } = JSON.parse((await read(edge, "anchors")).toString());
      if (latest === null) return undefined;
      const { payload } = await openAnchor(
        (await read(edge, `anchors/${latest}`)).toString(),
        trust.anchorKeys,
      );
      return payload.ledgers[0]!.size >= size ? payload : undefined;
    });
  }

  it("hold against whoever has the keys of the account", async () => {
    await send(`${edge.url}/hello`);
    await anchored(2);
    const first = (await read(edge, "anchors/0")).toString();
    const listing = await (await client.fetch(`${BUCKET}?versions&prefix=${KEY}`)).text();
    const version = /<VersionId>([^<]+)<\/VersionId>/.exec(listing)![1]!;
    const head = await client.fetch(`${BUCKET}/${KEY}?versionId=${version}`, { method: "HEAD" });
    expect(head.headers.get("x-amz-object-lock-mode")).toBe("COMPLIANCE");
    const until = Date.parse(head.headers.get("x-amz-object-lock-retain-until-date")!);
    expect(until).toBeGreaterThan(Date.now() + DAY_MS);

    const status = async (url: string, init: RequestInit) => (await client.fetch(url, init)).status;
    expect(await status(`${BUCKET}/${KEY}`, { method: "PUT", body: "overwritten" })).toBe(200);
    expect(await status(`${BUCKET}/${KEY}`, { method: "DELETE" })).toBe(204);
    const bypass = { "x-amz-bypass-governance-retention": "true" };
    expect(await status(`${BUCKET}/${KEY}?versionId=${version}`, { method: "DELETE", headers: bypass })).toBe(
      403,
    );
    const shorter = `<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>${new Date(Date.now() + 60_000).toISOString()}</RetainUntilDate></Retention>`;
    expect(
      await status(`${BUCKET}/${KEY}?retention&versionId=${version}`, { method: "PUT", body: shorter }),
    ).toBe(403);
    expect((await read(edge, "anchors/0")).toString()).toBe(first);

    // The next anchor carries what was read back of this one, and the audit prints it.
    await send(`${edge.url}/hello`);
    const next = await anchored(3);
    expect(next.lock).toMatchObject({
      kind: "s3-object-lock",
      version,
      mode: "COMPLIANCE",
      legal_hold: false,
    });
    const token = join(edge.state, "operator-token");
    const args = [resolve("src/hosts/counterfoil.mjs"), "audit", edge.url, "--token", token];
    const { stdout, code } = await run(process.execPath, args);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`COMPLIANCE until ${next.lock.until}`)]);
  });
});
