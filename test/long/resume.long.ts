// An audit that is ended by kill -9 on its way, as a program of its own against an edge over HTTP: the same command goes
// on from where it was, reads nothing again that it had verified, and comes to the same end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test, vi } from "vitest";
import { formatTrust } from "../../src/receipt/trust.ts";
import { grow } from "../unit/client/archives.ts";
import { OPERATOR_TOKEN, openEdge } from "../unit/client/edge.ts";
import { createWorld } from "../world.ts";

const PROGRAM = resolve("src/hosts/counterfoil.mjs");

/** A clock by which a minute passes from one look at it to the next: whatever is done every so often is due each time. */
const HASTY_CLOCK = "let ms = Date.now(); Date.now = () => (ms += 60_000);";

test("an audit goes on after kill -9, and reads nothing again that was verified", async () => {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-resume-"));
  const world = await grow(await createWorld(), 300, 300, 300, 300);
  const edge = openEdge(world, () => new Response(""));
  let asked: string[] = [];
  let isHeld = true;
  const server = createServer(async (request, response) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${request.url}`;
    asked.push(request.url!);
    // The fourth block does not come at all.
    if (isHeld && url.endsWith("/tile/entries/003")) return;
    const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [
      name,
      `${value}`,
    ]);
    const answer = await edge.send({ method: request.method!, url, headers });
    response.writeHead(answer.status, [...answer.headers].flat());
    for await (const chunk of answer.body) response.write(chunk);
    response.end();
  }).listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    await writeFile(join(folder, "trust.json"), formatTrust(world.trust));
    const start = (...options: string[]) =>
      spawn(
        process.execPath,
        [
          ...[...options, PROGRAM, "audit", `http://127.0.0.1:${(server.address() as AddressInfo).port}`],
          ...["--trust", "trust.json", "--state", "audit.json"],
        ],
        { cwd: folder, env: { ...process.env, COUNTERFOIL_TOKEN: OPERATOR_TOKEN } },
      );
    const killed = start("--import", `data:text/javascript,${encodeURIComponent(HASTY_CLOCK)}`);
    await vi.waitFor(async () => expect(await readdir(folder)).toContain("audit.json.progress"), 60_000);
    killed.kill("SIGKILL");
    expect(await once(killed, "close")).toEqual([null, "SIGKILL"]);
    expect(await readdir(folder)).not.toContain("audit.json");

    [isHeld, asked] = [false, []];
    const second = start();
    let out = "";
    second.stdout.on("data", chunk => {
      out += chunk;
    });
    expect(await once(second, "close")).toEqual([0, null]);
    expect(out).toMatch(/^proven +all that was read holds together$/m);
    expect(out).toMatch(/^state +went on with an audit that was interrupted/m);
    expect(out).toMatch(/^ledger main +1201 entries published, 1201 recomputed/m);
    expect(asked.filter(path => path.endsWith("/tile/entries/003"))).toHaveLength(1);
    // The block in which the tree of the newest anchor ends is read again, and none before it.
    const from = Number(/^ledger main +read from index (\d+) on/m.exec(out)?.[1]);
    expect(from).toBeGreaterThanOrEqual(256);
    expect(asked.filter(path => path.endsWith("/tile/0/000"))).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual(["audit.json", "trust.json"]);
    expect(JSON.parse(await readFile(join(folder, "audit.json"), "utf8"))).toHaveProperty("anchor");
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
});
