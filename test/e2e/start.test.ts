// `npm start` as its user sees it: what it prints, what it refuses, what it keeps, and how it ends.
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { type Edge, type EdgeOptions, isListening, startEdge } from "./edge.ts";

/** An edge that ends with the test. */
async function start(options?: EdgeOptions): Promise<Edge> {
  const edge = await startEdge(options);
  onTestFinished(() => edge.stop());
  return edge;
}

/** A state folder that outlives the edges on it, and ends with the test. */
async function makeState(): Promise<string> {
  const state = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  return state;
}

async function trustOf(edge: Edge): Promise<unknown> {
  return (await fetch(`${edge.url}/.well-known/audit/trust`)).json();
}

/** The index in the receipt of a new exchange. */
async function nextIndex(edge: Edge): Promise<number> {
  const response = await fetch(`${edge.url}/hello`);
  const [header] = response.headers.get("audit-receipt")!.split(".");
  return (JSON.parse(Buffer.from(header!, "base64url").toString()) as { index: number }).index;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("an edge that serves", () => {
  let edge: Edge;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge.stop());

  test("answers at the URL that it prints, with the demo's answer and a receipt", async () => {
    const response = await fetch(`${edge.url}/hello?name=you`);
    expect(await response.json()).toEqual({ hello: "you" });
    expect(response.headers.get("audit-receipt")).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  });

  test("names itself as the issuer", async () => {
    expect(await trustOf(edge)).toMatchObject({ issuer: edge.url });
  });

  test("prints a request and how to check its receipt", () => {
    expect(edge.output).toContain(`\n  curl -si ${edge.url}/hello\n`);
    expect(edge.output).toContain(
      `\n  curl -si ${edge.url}/hello | npx counterfoil verify - --trust ${edge.url}/.well-known/audit/trust\n`,
    );
  });

  test("prints where the operator's token is, and not the token", async () => {
    expect(edge.output).toContain(join(edge.state, "operator-token"));
    expect(edge.output).not.toContain(await edge.operatorToken());
  });

  test("keeps its secrets for its owner alone", async () => {
    const files = ["secrets.json", "operator-token"].map(name => stat(join(edge.state, name)));
    expect((await Promise.all(files)).map(({ mode }) => mode & 0o777)).toEqual([0o600, 0o600]);
  });

  test("leaves no half-made file in its state", async () => {
    expect((await readdir(edge.state)).sort()).toEqual([
      "issuer",
      "lock.sqlite",
      "operator-token",
      "secrets.json",
      "storage",
    ]);
  });

  test("keeps a second edge away from its state", async () => {
    await expect(startEdge({ state: edge.state })).rejects.toThrow(
      `exit code 2: npm start: another process has the state folder ${edge.state}`,
    );
  });
});

describe("the end of an edge", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s is a success, and nothing serves afterwards",
    async signal => {
      const edge = await start();
      expect(await edge.kill(signal)).toEqual({ code: 0, signal: null });
      expect(isRunning(edge.servingPid)).toBe(false);
      expect(await isListening("127.0.0.1", Number(new URL(edge.url).port))).toBe(false);
    },
  );

  test("by the death of workerd is a failure that says so, and a new edge goes on where it stopped", async () => {
    const state = await makeState();
    const first = await start({ state });
    const index = await nextIndex(first);
    expect(await first.killServing()).toEqual({ code: 1, signal: null });
    expect(first.output).toContain("workerd has ended by itself (SIGKILL)");
    const second = await start({ state });
    // One entry lies between: the demo is at another port now, and the ledger tells of the changed policy.
    expect(await nextIndex(second)).toBe(index + 2);
  });

  test("is followed by others on other runtimes, which go on with its ledger and keep workerd off", async () => {
    const state = await makeState();
    const first = await start({ state });
    let index = await nextIndex(first);
    expect(await first.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    for (const runtime of RUNTIMES) {
      const next = await start({ state, args: ["--runtime", runtime] });
      expect(next.url).toBe(first.url);
      expect(next.output).toMatch(new RegExp(`${runtime} +process \\d+`));
      const taken =
        /workerd cannot go on with it:\n\n +adopted +ledger main, \d+ entries\n +set aside +\S+storage\.adopted\n/;
      expect(taken.test(next.output)).toBe(runtime === RUNTIMES[0]);
      // One entry lies between: the demo is at another port now, and the ledger tells of the changed policy.
      index += 2;
      expect(await nextIndex(next)).toBe(index);
      expect(await next.kill("SIGINT")).toEqual({ code: 0, signal: null });
    }
    await expect(startEdge({ state })).rejects.toThrow("exit code 2");
  });

  test("by the death of the start script leaves a workerd that keeps others away from its state", async () => {
    const edge = await start();
    await edge.kill("SIGKILL");
    const { port } = new URL(edge.url);
    await expect(startEdge({ state: edge.state })).rejects.toThrow(
      `exit code 2: npm start: port ${port} of 127.0.0.1 is in use`,
    );
  });

  test("leaves its address, its keys and its token for the next one", async () => {
    const state = await makeState();
    const first = await start({ state });
    const [trust, token] = [await trustOf(first), await first.operatorToken()];
    await first.stop();
    const second = await start({ state });
    expect(second.url).toBe(first.url);
    expect(await trustOf(second)).toEqual(trust);
    expect(await second.operatorToken()).toBe(token);
  });
});

describe("the command line", () => {
  test("puts the edge in front of the upstream that it names", async () => {
    const server = createServer((request, response) => response.end(`upstream saw ${request.url}`)).listen(0);
    onTestFinished(() => void server.close());
    const edge = await start({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base` });
    expect(await (await fetch(`${edge.url}/a?b=c`)).text()).toBe("upstream saw /base/a?b=c");
    expect(edge.output).not.toContain("demo");
  });

  test.each([
    ["an unknown option", ["--prot", "80"], "Unknown option '--prot'"],
    ["a stray word", ["8080"], "Unexpected argument '8080'"],
    [
      "a port that is no number",
      ["--port", "http"],
      '--port: expected a number from 0 to 65535, found "http"',
    ],
    [
      "a port that is too large",
      ["--port", "65536"],
      '--port: expected a number from 0 to 65535, found "65536"',
    ],
    ["an upstream that is no URL", ["--upstream", "api"], "--upstream: expected an http or https URL"],
    [
      "an upstream of another scheme",
      ["--upstream", "ftp://api"],
      "--upstream: expected an http or https URL",
    ],
    ["an address of another machine", ["--host", "192.0.2.1"], "cannot serve on 192.0.2.1"],
  ])("is refused in one sentence for %s", async (_what, args, sentence) => {
    await expect(startEdge({ args })).rejects.toThrow(`exit code 2: npm start: ${sentence}`);
  });

  test("is refused for a port that is in use, and names it", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await new Promise(resolve => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    await expect(startEdge({ args: ["--port", `${port}`] })).rejects.toThrow(
      `exit code 2: npm start: port ${port} of 127.0.0.1 is in use`,
    );
  });

  test("is refused for a state whose receipts name another address", async () => {
    const state = await makeState();
    const first = await start({ state });
    await first.stop();
    await expect(startEdge({ state, args: ["--host", "localhost"] })).rejects.toThrow(
      `exit code 2: npm start: the receipts of ${state} name ${first.url} as issuer`,
    );
  });
});
