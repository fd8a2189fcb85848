// The command line as a program of its own on Node: real files, real streams, real HTTP.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concatenate } from "../../../src/client/remote.ts";
import { openSqlite } from "../../../src/hosts/sqlite.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { createWorld } from "../../world.ts";
import { openEdge } from "./edge.ts";

const PROGRAM = resolve("src/hosts/counterfoil.mjs");

let folder: string;
let server: Server;
let url: string;

const ZIPPED = new Uint8Array(gzipSync("hello ".repeat(100)));
const LONG = new Uint8Array(200_000).fill(120);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  const world = await createWorld();
  const edge = openEdge(world, request => {
    const [body, coding] =
      new URL(request.url).pathname === "/zipped" ? [ZIPPED, "gzip"] : [LONG, "identity"];
    return new Response(body, {
      headers: { "content-encoding": coding, "content-length": String(body.length) },
    });
  });
  server = createServer(async (request, response) => {
    const { method, url: path, headers } = request;
    const pairs = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
    const answer = await edge.send({ method: method!, url: `${url}${path}`, headers: pairs });
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const body = concatenate(chunks);
    response.writeHead(answer.status, [...answer.headers].flat());
    if (path === "/broken") {
      response.write(body.subarray(0, 1000));
      response.socket!.destroySoon();
    } else {
      response.end(body);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeFile(join(folder, "trust.json"), formatTrust(world.trust));
});

afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the program in the folder. */
async function run(args: string[], input: Uint8Array | string = "") {
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: folder });
  const out: Buffer[] = [];
  let err = "";
  child.stdout.on("data", chunk => out.push(chunk));
  child.stderr.on("data", chunk => {
    err += chunk;
  });
  child.stdin.end(input);
  const [code] = await once(child, "close");
  expect(err).not.toMatch(/\n\s+at /);
  return { code, out: new Uint8Array(Buffer.concat(out)), err };
}

describe("counterfoil on Node", () => {
  test("gives out and verifies the bytes on the wire, in the coding they came in", async () => {
    const { code, out, err } = await run([
      "fetch",
      `${url}/zipped`,
      "-H",
      "Accept-Encoding: gzip",
      "--trust",
      "trust.json",
    ]);
    expect(err).toMatch(/^compared .*response body$/m);
    expect([code, out]).toEqual([0, ZIPPED]);
  });

  test("writes a body to a file, and a verdict to standard error", async () => {
    const { code, out } = await run([
      "fetch",
      `${url}/long`,
      "--trust",
      "trust.json",
      "-o",
      "body",
      "--json",
    ]);
    expect([code, out.length]).toEqual([0, 0]);
    expect(new Uint8Array(await readFile(join(folder, "body")))).toEqual(LONG);
  });

  test("verifies what is piped into it", async () => {
    const response = await fetch(`${url}/zipped`);
    const { code, out } = await run(
      ["verify", "-", "--trust", "trust.json"],
      response.headers.get("audit-receipt")!,
    );
    expect([code, new TextDecoder().decode(out.subarray(0, 6))]).toEqual([0, "proven"]);
  });

  test("cannot tell when the response breaks off, and gives out what came", async () => {
    const { code, out, err } = await run(["fetch", `${url}/broken`, "--trust", "trust.json"]);
    expect([code, out.length]).toEqual([2, 1000]);
    expect(err).toMatch(/^undecided +no-answer: the response from \S+ broke off\n.*1000 bytes/m);
  });

  test("cannot tell when nobody answers", async () => {
    const { code, err } = await run(["fetch", "http://127.0.0.1:1/", "--trust", "trust.json"]);
    expect([code, err.includes("ECONNREFUSED")]).toEqual([2, true]);
  });

  test.each([
    ["a header field that cannot be sent", ["fetch", "URL/long", "-H", "a: \u0001"]],
    ["a method that cannot be sent", ["fetch", "URL/long", "-X", "G E T"]],
    ["a folder in place of a file", ["verify", "."]],
    ["a file in place of a folder", ["audit", "trust.json"]],
    ["a file that cannot be written", ["trust", "URL", "-o", "no/such/folder"]],
  ])("cannot tell with %s", async (_, args) => {
    const before = await readdir(folder);
    const { code, err } = await run(args.map(arg => arg.replace("URL", url)));
    expect([code, err]).toEqual([2, expect.stringMatching(/^undecided /)]);
    expect(await readdir(folder)).toEqual(before);
  });

  test.each([
    ["an empty file", ["verify", "empty", "--trust", "trust.json"], "empty"],
    ["JSON", ["verify", "trust.json", "--trust", "trust.json"], "trust.json"],
    ["another kind of configuration", ["serve", "--config", "trust.json", "--state", "state"], "trust.json"],
    ["a host that there is not", ["audit", "http://no.invalid", "--trust", "trust.json"], "no.invalid"],
    ["a copy in which an object has no end", ["audit", "endless", "--trust", "trust.json"], "0000000000.jws"],
    ["a copy in which an object is huge", ["audit", "huge", "--trust", "trust.json"], "0000000000.jws"],
  ])("names cause and place in one message, given %s", async (_, args, place) => {
    await writeFile(join(folder, "empty"), "");
    for (const name of ["endless", "huge"]) {
      const anchors = join(folder, name, "anchors");
      const object = join(anchors, "0000000000.jws");
      await mkdir(anchors, { recursive: true });
      if (name === "endless") await symlink("/dev/zero", object).catch(() => {});
      else await truncate(await writeFile(object, "").then(() => object), 2 ** 34);
    }
    const { code, out, err } = await run(args);
    expect([code, out.length]).toEqual([2, 0]);
    expect(err).toMatch(/^undecided +\S.{10,}/);
    expect(err).toContain(place);
  });

  test.each<[string, (path: string) => void | Promise<void>]>([
    ["is none", path => writeFile(path, "x".repeat(5000))],
    ["is empty", path => writeFile(path, "")],
    ["has other tables", path => void openSqlite(path).all("CREATE TABLE records (x)")],
    ["lacks some", path => void openSqlite(path).all("CREATE TABLE meta AS SELECT 1 AS version")],
  ])("names a local database that %s", async (_, make) => {
    const copy = await mkdtemp(join(folder, "copy-"));
    await make(join(copy, "records.sqlite"));
    const { code, err } = await run(["records", copy]);
    expect([code, err]).toEqual([2, expect.stringMatching(/^undecided +\S+records\.sqlite: \S.{10,}/)]);
  });

  test("does not mind when nobody reads its output to the end", async () => {
    const child = spawn(process.execPath, [PROGRAM, "fetch", `${url}/long`, "--trust", "trust.json"], {
      cwd: folder,
    });
    child.stdout.once("data", () => child.stdout.destroy());
    let err = "";
    child.stderr.on("data", chunk => {
      err += chunk;
    });
    const [code] = await once(child, "close");
    expect([code, err]).toEqual([0, expect.stringMatching(/^proven /)]);
  });
});
