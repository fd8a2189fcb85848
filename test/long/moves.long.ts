// One state folder that moves between runtimes: it is one ledger, whichever of them has written which part of it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { audit, startOn, writeConfig, writeStartConfig } from "../../scripts/edges.ts";
import { answer, ask, checkHeld, ITEM, type Known, newKnown } from "../../scripts/held.ts";
import type { Reached } from "../e2e/copy.ts";
import { startEdge } from "../e2e/edge.ts";
import { startUpstream, type Upstream } from "../e2e/upstream.ts";

const APPENDS = 1000;
const CLIENTS = 16;

let folder: string;
let upstream: Upstream;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-moves-"));
  upstream = await startUpstream(answer);
});
afterAll(async () => {
  upstream.close();
  await rm(folder, { recursive: true, force: true });
});

/** Has so many exchanges recorded. */
async function append(edge: Reached, count: number, known: Known, label: string): Promise<void> {
  let next = 0;
  const client = async () => {
    for (let n = next++; n < count; n = next++) await ask(edge, `${ITEM}${label}/${n}`, known);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

test("a thousand appends each on Bun, Deno, Node and Bun again are one ledger, and the audit passes", async () => {
  const config = await writeConfig(folder, upstream.url);
  const state = join(folder, "state");
  const known = newKnown();
  for (const [turn, runtime] of (["bun", "deno", "node", "bun"] as const).entries()) {
    const edge = await startOn({ runtime, config, state });
    try {
      await append(edge, APPENDS, known, `${turn}`);
      await checkHeld(edge, known);
      await audit(edge);
    } finally {
      await edge.stop();
    }
    // One entry of genesis, and nothing else: no key and no policy has changed.
    expect(known.held).toHaveLength((turn + 1) * APPENDS);
    expect(known.entries).toHaveLength((turn + 1) * APPENDS + 1);
  }
});

test("a ledger that began on local workerd goes on under Node, Deno and Bun with the same receipts and anchors", async () => {
  const state = join(folder, "workerd");
  const known = newKnown();
  const args = ["--config", await writeStartConfig(folder)];
  const first = await startEdge({ state, upstream: upstream.url, args });
  try {
    await append(first, 300, known, "workerd");
  } finally {
    await first.stop();
  }
  for (const runtime of ["node", "deno", "bun"] as const) {
    const edge = await startEdge({ state, upstream: upstream.url, args: [...args, "--runtime", runtime] });
    try {
      expect(edge.url).toBe(first.url);
      await append(edge, 300, known, runtime);
      await audit(edge);
      await checkHeld(edge, known);
    } finally {
      await edge.stop();
    }
  }
  expect([known.held.length, known.refused]).toEqual([1200, 0]);
});
