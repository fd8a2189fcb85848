// Bodies of 1 GiB, up and down, in constant memory, on each runtime. What is measured is the resident memory of the
// whole process, which holds the edge, the ledger and the stores, at its peak as the kernel counts it (VmHWM). Before it,
// as many bytes go through in shorter bodies. For workerd, idle is what it has after these. On Node, Deno and Bun the garbage
// of some tens of MiB comes and goes, so that what they have at one moment tells little: there it is the peak of these.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { noise } from "../conformance/corpus/make.ts";
import { read } from "../e2e/copy.ts";
import { type Edge, startEdge } from "../e2e/edge.ts";
import { eventually } from "../e2e/upstream.ts";

const MIB = 1024 * 1024;
const LARGE_BYTES = 1024 * MIB;
const WARM_BYTES = 64 * MIB;

/** How far above that. The collectors of Deno and Bun let more lie about before they begin, however long a body is. */
const GROWTH_BYTES_MAX = { workerd: 32 * MIB, node: 24 * MIB, deno: 112 * MIB, bun: 48 * MIB };

let server: Server;
let edge: Edge;

/** A body of so many bytes, made as it is read. */
function body(bytes: number): Readable {
  const piece = noise(256 * 1024);
  let sent = 0;
  return new Readable({
    read() {
      if (sent === bytes) return void this.push(null);
      piece.writeDoubleBE(sent);
      sent += piece.length;
      this.push(Buffer.from(piece));
    },
  });
}

/** What came: how much, and its digest as a record has it. */
async function digest(source: Readable): Promise<{ size: number; digest: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of source) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { size, digest: `sha-256=:${hash.digest("base64")}:` };
}

beforeAll(async () => {
  server = createServer(async (incoming, response) => {
    const bytes = Number(new URL(incoming.url!, "http://upstream").searchParams.get("bytes"));
    if (incoming.method === "POST") return response.end(JSON.stringify(await digest(incoming)));
    response.writeHead(200, { "content-length": bytes });
    await pipeline(body(bytes), response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(() => {
  server.close();
});

/** The record that ends the exchange of a response. */
async function ending(response: IncomingMessage) {
  return eventually(async () => {
    const path = `receipts/${response.headers["audit-id"]}`;
    const { record } = parseReceipt((await read(edge, path, { prefer: "wait=5" })).toString()).entry;
    return record.stage === "complete" ? record : undefined;
  });
}

const WAYS = {
  async down(bytes: number) {
    const outgoing = request(`${edge.url}/?bytes=${bytes}`, { agent: false });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const came = await digest(response);
    expect(came.size).toBe(bytes);
    const { size, digest: recorded } = (await ending(response)).res!;
    expect({ size, digest: recorded }).toEqual(came);
  },
  async up(bytes: number) {
    const headers = { "content-length": bytes };
    const outgoing = request(edge.url, { method: "POST", headers, agent: false });
    const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
    await pipeline(body(bytes), outgoing);
    const [response] = await answered;
    const came = JSON.parse(Buffer.concat(await response.toArray()).toString());
    expect(came.size).toBe(bytes);
    const { size, digest: recorded } = (await ending(response)).req!;
    expect({ size, digest: recorded }).toEqual(came);
  },
};

/** A figure of the process's memory, in bytes. */
function memory(figure: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${edge.servingPid}/status`, "utf8");
  return Number(new RegExp(`^${figure}:\\s*(\\d+) kB$`, "m").exec(status)![1]) * 1024;
}

/** Forgets the peak so far. */
function resetPeak(): void {
  writeFileSync(`/proc/${edge.servingPid}/clear_refs`, "5");
}

describe.each(["workerd", ...RUNTIMES] as const)("on %s", runtime => {
  beforeAll(async () => {
    const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    edge = await startEdge({ upstream, args: ["--runtime", runtime] });
  });

  afterAll(() => edge.stop());

  test.each(["down", "up"] as const)("1 GiB %s keeps the process near idle", async way => {
    resetPeak();
    for (let bytes = 0; bytes < LARGE_BYTES; bytes += WARM_BYTES) await WAYS[way](WARM_BYTES);
    const before = memory(runtime === "workerd" ? "VmRSS" : "VmHWM");
    resetPeak();
    const began = performance.now();
    await WAYS[way](LARGE_BYTES);
    const seconds = (performance.now() - began) / 1000;
    const growth = memory("VmHWM") - before;
    console.log(
      `${runtime}: 1 GiB ${way}: before ${mib(before)} MiB, at most ${mib(growth)} MiB more; ${mib(LARGE_BYTES / seconds)} MiB/s`,
    );
    expect(growth).toBeLessThanOrEqual(GROWTH_BYTES_MAX[runtime]);
  });
});

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
