// `counterfoil serve` as an operator runs it, on each runtime: receipts that stand in an anchored ledger, an end in good
// order, one process on a state, and a sentence for whatever it cannot do.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { type Served, type ServeOptions, startServe } from "../../scripts/serve.ts";
import { checkReceipt, pullChecked, read } from "./copy.ts";
import { eventually, send, startUpstream, type Upstream } from "./upstream.ts";

const PREFIX = "/.well-known/audit/";

let folder: string;
let upstream: Upstream;
/** The requests that the upstream has not answered yet. */
const waiting: ServerResponse[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-serve-"));
  upstream = await startUpstream((request, response) => {
    if (request.url === "/wait") waiting.push(response);
    else if (request.url === "/endless") response.write(Buffer.alloc(32 * 1024 * 1024));
    else response.end(JSON.stringify(request.headers));
  });
});

afterAll(async () => {
  upstream.close();
  await rm(folder, { recursive: true, force: true });
});

/** A configuration with these lines in [vars]. @returns its path. */
async function configure(name: string, vars: string, tables = ""): Promise<string> {
  const path = join(folder, `${name}.toml`);
  await writeFile(
    path,
    `[vars]
issuer = "https://api.example.com"
${vars}
[[vars.ledgers]]
name = "main"
origin = "api.example.com/audit/main"
[[vars.routes]]
name = "all"
match = "/*"
upstream = "${upstream.url}"
ledger = "main"
${tables}
[vars.anchor]
interval_seconds = 1
`,
  );
  return path;
}

/** Starts an edge, which ends with the test. */
async function start(
  options: Omit<ServeOptions, "port">,
): Promise<Served & { operatorToken(): Promise<string> }> {
  const served = await startServe({ port: 0, ...options });
  onTestFinished(() => served.stop());
  return Object.assign(served, {
    operatorToken: async () => (await readFile(join(options.state, "operator-token"), "utf8")).trim(),
  });
}

/** Whether requests are welcome, by what a balancer sees. */
async function readiness({ url }: Served): Promise<number> {
  return (await send(`${url}${PREFIX}ready`)).status;
}

/** Sends bytes, and returns all that comes back. */
async function sendRaw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(text);
  return Buffer.concat(await socket.toArray()).toString("latin1");
}

describe.each(RUNTIMES)("counterfoil serve on %s", runtime => {
  test("gives receipts, keeps others off its state, and ends in good order", async () => {
    const config = await configure(runtime, 'client_address = "peer"');
    const state = join(folder, runtime);
    const edge = await start({ runtime, config, state, args: ["--drain-notice", "1"] });
    const first = await send(`${edge.url}/hello?who=me`, { headers: { "x-forwarded-for": "6.6.6.6" } });
    expect(JSON.parse(first.body.toString())).toMatchObject({ "x-forwarded-for": "127.0.0.1" });
    expect((await send(`${edge.url}${PREFIX}ready`, { method: "HEAD" })).status).toBe(200);
    const authorization = { authorization: `Bearer ${await edge.operatorToken()}` };
    const kept = await eventually(async () => {
      const opened = await send(`${edge.url}${PREFIX}private/main/${first.headers["audit-id"]}`, {
        headers: authorization,
      });
      return opened.status === 200 ? JSON.parse(opened.body.toString()) : undefined;
    });
    expect(kept.fields).toMatchObject({ client_address: "127.0.0.1", query: "who=me" });

    const files = await readdir(state, { recursive: true });
    const modes = await Promise.all(files.map(async name => (await stat(join(state, name))).mode & 0o077));
    expect(new Set(modes)).toEqual(new Set([0]));
    await expect(startServe({ runtime, config, state, port: 0 })).rejects.toThrow(
      `another process has the state folder ${state}`,
    );

    // A request that goes on when it is told to end, and one that comes before it takes no more.
    const slow = send(`${edge.url}/wait`);
    await eventually(async () => waiting[0]);
    const stopped = edge.stop();
    await eventually(async () => ((await readiness(edge)) === 503 ? true : undefined));
    const late = await send(`${edge.url}/late`);
    await eventually(() =>
      readiness(edge)
        .then(() => undefined)
        .catch(() => true),
    );
    waiting.pop()!.end("at last");
    const last = await slow;
    expect(last.body.toString()).toBe("at last");
    await stopped;
    expect(await edge.ended).toBe("exit code 0");
    expect(await readFile(join(state, "archive/main/checkpoint"), "utf8")).toMatch(
      /^api\.example\.com\/audit\/main\n5\n/,
    );

    // What it has told its clients is on record and published, and the next process goes on from there.
    const next = await start({ runtime, config, state });
    const after = await send(`${next.url}/again`);
    // Entry 2 tells that the operator has read the values of the first.
    const receipts = [first, late, last, after].map(({ headers }) => headers["audit-receipt"] as string);
    // A request that names no host is refused, on record.
    const nameless = await sendRaw(next.url, "GET /nowhere HTTP/1.0\r\n\r\n");
    expect(nameless).toMatch(/^HTTP\/1.1 400 .*application\/problem\+json.*The Host field must be/s);
    receipts.push(/^audit-receipt: (\S+)/m.exec(nameless)![1]!);
    const copy = await pullChecked(next, 7);
    const { keys } = JSON.parse((await read(next, "jwks.json")).toString());
    expect(receipts.map(receipt => checkReceipt(receipt, copy, keys))).toEqual([1, 3, 4, 5, 6]);
    expect((await send(`${next.url}${PREFIX}ready`, { method: "HEAD" })).status).toBe(200);
  });
});

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
}

/** A key, and a certificate for it that an authority has issued, or none but itself: `name.key` and `name.pem`. */
function makeCertificate(name: string, authority?: string): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
  const about = ["-subj", `/CN=${name}`];
  if (authority === undefined) {
    openssl("req", "-x509", ...key, ...about, "-out", `${name}.pem`);
    return;
  }
  openssl("req", ...key, ...about, "-addext", "subjectAltName=IP:127.0.0.1", "-out", `${name}.csr`);
  const by = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-copy_extensions", "copy", "-out", `${name}.pem`);
}

const MTLS = `[vars.routes.identity]
require = true
[[vars.routes.identity.methods]]
by = "mtls"`;

test.each(["node", "deno"] as const)(
  "counterfoil serve on %s takes a client's certificate for who calls",
  async runtime => {
    makeCertificate("authority");
    makeCertificate("server", "authority");
    makeCertificate("client", "authority");
    const config = await configure(`tls-${runtime}`, 'client_address = "peer"', MTLS);
    const file = (name: string) => join(folder, name);
    const tls = [
      "--tls-cert",
      file("server.pem"),
      "--tls-key",
      file("server.key"),
      "--tls-client-ca",
      file("authority.pem"),
    ];
    const edge = await start({ runtime, config, state: file(`tls-${runtime}`), args: tls });
    const ask = async (own: object) => {
      const outgoing = request(edge.url, {
        ca: await readFile(file("authority.pem")),
        agent: false,
        ...own,
      }).end();
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      response.resume();
      return response;
    };
    expect((await ask({})).statusCode).toBe(403);
    const known = await ask({
      cert: await readFile(file("client.pem")),
      key: await readFile(file("client.key")),
    });
    expect(known.statusCode).toBe(200);
    const [, record] = (known.headers["audit-receipt"] as string).split(".");
    expect(JSON.parse(Buffer.from(record!, "base64url").toString()).auth).toEqual({ by: "mtls" });
  },
);

describe("counterfoil serve", () => {
  test("breaks off what goes on after the time that it has to end, and has that on record", async () => {
    const config = await configure("bounded", 'client_address = "none"');
    const state = join(folder, "bounded");
    const edge = await start({ runtime: "node", config, state, args: ["--drain-wait", "1"] });
    const hanging = send(`${edge.url}/wait`).catch(error => error as Error);
    await eventually(async () => waiting[0]);
    await edge.stop();
    expect(await edge.ended).toBe("exit code 0");
    await hanging;
    waiting.pop()!.destroy();
    const next = await start({ runtime: "node", config, state });
    const copy = await pullChecked(next, 2);
    const record = JSON.parse(Buffer.from(copy.entries[1]!.split(".")[1]!, "base64url").toString());
    expect(record).toMatchObject({ stage: "aborted", error: "the edge was stopped" });
  });

  test("has the end of an answer on record that its client does not read", async () => {
    const config = await configure("deaf", 'client_address = "none"');
    const state = join(folder, "deaf");
    const edge = await start({ runtime: "node", config, state, args: ["--drain-wait", "0"] });
    const deaf = connect(Number(new URL(edge.url).port), "127.0.0.1").on("error", () => {});
    deaf.write("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
    await once(deaf, "readable");
    // All buffers are full when as much time has passed as a hundred other requests take.
    for (let i = 0; i < 100; i++) await readiness(edge);
    await edge.stop();
    expect(await edge.ended).toBe("exit code 0");
    deaf.destroy();
    const next = await start({ runtime: "node", config, state });
    const copy = await pullChecked(next, 3);
    const record = JSON.parse(Buffer.from(copy.entries[2]!.split(".")[1]!, "base64url").toString());
    expect(record).toMatchObject({ stage: "aborted", error: "the edge was stopped" });
  });

  test("starts while its archive is out of reach, and releases nothing meanwhile", async () => {
    const archive = '[vars.archive.s3]\nurl = "http://127.0.0.1:1/bucket"';
    const config = await configure("unreachable", 'client_address = "none"', archive);
    const env = { ...process.env, ARCHIVE_S3_KEY_ID: "id", ARCHIVE_S3_SECRET: "secret" };
    const edge = await start({ runtime: "node", config, state: join(folder, "unreachable"), env });
    expect((await send(`${edge.url}/hello`)).status).toBe(503);
    expect(await readiness(edge)).toBe(200);
    const health = await send(`${edge.url}${PREFIX}health`);
    expect(health.status).toBe(503);
    expect(JSON.parse(health.body.toString()).ledgers).toMatchObject([{ state: "unreachable" }]);
  });

  test("ends at once with a second signal", async () => {
    const config = await configure("twice", 'client_address = "none"');
    const edge = await start({ runtime: "node", config, state: join(folder, "twice") });
    const hanging = send(`${edge.url}/wait`).catch(error => error as Error);
    await eventually(async () => waiting[0]);
    process.kill(edge.pid, "SIGTERM");
    await eventually(() =>
      readiness(edge)
        .then(() => undefined)
        .catch(() => true),
    );
    process.kill(edge.pid, "SIGINT");
    expect(await edge.ended).toBe("SIGINT");
    await hanging;
    waiting.pop()!.destroy();
  });

  test("tells the upstream of the front's word and of the front, where the policy says that there is one", async () => {
    const config = await configure("front", 'client_address = "x-forwarded-for"\nforwarded = "append"');
    const edge = await start({ runtime: "node", config, state: join(folder, "front") });
    const { body } = await send(`${edge.url}/`, { headers: { "x-forwarded-for": "6.6.6.6, 198.51.100.4" } });
    expect(JSON.parse(body.toString())).toMatchObject({
      "x-forwarded-for": "6.6.6.6, 198.51.100.4, 127.0.0.1",
    });
  });

  const LOCK = "[vars.lock]\nretention_days = 30";
  test.each([
    [
      "an address that nobody here can tell",
      'client_address = "cf-connecting-ip"',
      "",
      "vars.client_address",
    ],
    [
      "a lock on a folder",
      'client_address = "peer"',
      LOCK,
      "vars.lock: a folder of this machine locks nothing",
    ],
    ["certificates without TLS", 'client_address = "peer"', MTLS, "give --tls-client-ca"],
    ["an unknown key", 'client_address = "peer"\nledger = 1', "", "vars.ledger"],
  ])("refuses %s", async (name, vars, tables, reason) => {
    const config = await configure(name.replaceAll(" ", "-"), vars, tables);
    const state = join(folder, "refused");
    const refused = startServe({ runtime: "node", config, state, port: 0 });
    await expect(refused).rejects.toThrow(config);
    await expect(refused).rejects.toThrow(reason);
  });

  test("refuses to go on under another issuer, with half of a set of keys, believing everybody, or without its configuration", async () => {
    const state = join(folder, "bounded");
    const config = await configure("other", 'client_address = "none"');
    await writeFile(config, (await readFile(config, "utf8")).replace("https://api", "https://other"));
    const options = { runtime: "node", config, state, port: 0 } as const;
    await expect(startServe(options)).rejects.toThrow(
      "name https://api.example.com as issuer, and this edge would name https://other.example.com",
    );
    const env = { ...process.env, RECEIPT_KEY: "{}" };
    await expect(startServe({ ...options, env })).rejects.toThrow("CHECKPOINT_KEY, ANCHOR_KEY is missing");
    const believing = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    await expect(startServe({ ...options, env: believing })).rejects.toThrow(
      "every certificate of an upstream",
    );
    await expect(startServe({ ...options, config: join(folder, "none.toml") })).rejects.toThrow(
      "the configuration cannot be read",
    );
  });
});
