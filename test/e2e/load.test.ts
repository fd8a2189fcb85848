// The promise of the main job under load, in real workerd. What happens when it is killed: kill.test.ts.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkReceipt, pullChecked, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { send, startUpstream, type Upstream } from "./upstream.ts";

let folder: string;
let upstream: Upstream;
let edge: Edge;

const start = () =>
  startEdge({
    upstream: upstream.url,
    state: join(folder, "state"),
    args: ["--config", join(folder, "wrangler.toml")],
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  const toml = await readFile("wrangler.toml", "utf8");
  await writeFile(
    join(folder, "wrangler.toml"),
    toml
      .replace(/interval_seconds = \d+/, "interval_seconds = 1")
      .replace(/main = "src/, `main = "${process.cwd()}/src`),
  );
  upstream = await startUpstream((request, response) => response.end(`you asked for ${request.url}`));
  edge = await start();
});

afterAll(async () => {
  await edge.stop();
  upstream.close();
  await rm(folder, { recursive: true, force: true });
});

/** Sends requests, so many at a time, and returns the receipts in no particular order. */
async function load(requests: number, atOnce: number): Promise<string[]> {
  const receipts: string[] = [];
  let next = 0;
  const client = async () => {
    while (next < requests) {
      const path = `/item/${next++}`;
      const { status, headers, body } = await send(`${edge.url}${path}`);
      expect([status, body.toString()]).toEqual([200, `you asked for ${path}`]);
      receipts.push(headers["audit-receipt"] as string);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return receipts;
}

async function receiptKeys(): Promise<JsonWebKey[]> {
  return JSON.parse((await read(edge, "jwks.json")).toString()).keys;
}

describe("an edge under load", () => {
  test("gives 1,000 concurrent requests 1,000 distinct places, each included under the anchored root", async () => {
    const receipts = await load(1000, 100);
    const keys = await receiptKeys();
    // Entry 0 is the ledger's own: its genesis.
    const copy = await pullChecked(edge, 1001);
    const indexes = receipts.map(receipt => checkReceipt(receipt, copy, keys)).sort((a, b) => a - b);
    expect(indexes).toEqual(Array.from({ length: 1000 }, (_, n) => n + 1));
  });
});
