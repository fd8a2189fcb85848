// What Node, Deno and Bun do as hosts, before any edge: each of them in a process of its own, over bare sockets.
import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectSecurely } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { Host, readAll } from "../hosts/host.ts";
import { eventually, startUpstream } from "./upstream.ts";

const folder = mkdtempSync(join(tmpdir(), "counterfoil-tls-"));
const openssl = (...args: string[]) =>
  execFileSync("openssl", args, { cwd: folder, stdio: "pipe" }).toString();

/** A subject with everything that needs an escape, in an order of its own. */
const SUBJECT = '/C=DE/O=A, B \\+ "C"/OU=Grüße;<x>/CN=#robot ';

function makeAuthority(name: string): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
  openssl("req", "-x509", ...key, "-out", `${name}.pem`, "-subj", `/CN=${name}`, "-days", "2");
}

function makeCertificate(name: string, subject: string, authority: string, ...more: string[]): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
  openssl("req", ...key, "-utf8", "-subj", subject, "-out", `${name}.csr`);
  writeFileSync(join(folder, "san.cnf"), "subjectAltName=IP:127.0.0.1");
  const by = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial", "-days", "1"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-extfile", "san.cnf", ...more, "-out", `${name}.pem`);
}

beforeAll(() => {
  makeAuthority("ca");
  makeAuthority("other");
  makeCertificate("server", "/CN=server", "ca");
  makeCertificate("client", SUBJECT, "ca");
  makeCertificate("stranger", "/CN=stranger", "other");
  makeCertificate("expired", "/CN=expired", "ca", "-days", "0");
});

afterAll(async () => {
  await Host.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const GET = (path: string, ...fields: string[]) => [`GET ${path} HTTP/1.1`, "Host: h", ...fields, "", ""];
const bodyOf = (answer: string) =>
  JSON.parse(Buffer.from(answer.slice(answer.indexOf("\r\n\r\n") + 4), "latin1").toString());
const statusOf = (answer: string) => Number(answer.split(" ")[1]);

/** An upstream that answers when it is told to. */
async function startHolding() {
  const waiting: (() => void)[] = [];
  const paths: string[] = [];
  let wake = () => {};
  const server = createServer((request, response) => {
    paths.push(request.url!);
    waiting.push(() => response.end(`answer to ${request.url}`));
    wake();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Waits until something was asked; it must be this. */
    async asked(path: string): Promise<void> {
      if (waiting.length === 0) await new Promise<void>(resolve => (wake = resolve));
      expect(paths).toEqual([...paths.slice(0, -1), path]);
    },
    /** Answers what was asked, which must be one thing. */
    answer(): void {
      expect(waiting).toHaveLength(1);
      waiting.pop()!();
    },
    close(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe.each(RUNTIMES)("on %s, a host", runtime => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.start(runtime);
  });
  afterAll(() => host.stop());

  test("gives a request as it came, and the address at the other end", async () => {
    const fields = ["X-Latin: caf\xe9", "X-Twice: a", "x-twice: b", "Cookie: a=1", "Cookie: b=2"];
    const seen = bodyOf(await host.send(...GET("/p?q=%2f&", ...fields, "Connection: close")));
    expect(seen).toMatchObject({ method: "GET", url: "http://h/p?q=%2f&", address: "127.0.0.1", size: 0 });
    expect(Object.fromEntries(seen.headers)).toMatchObject({
      "x-latin": "caf\xe9",
      "x-twice": "a, b",
      cookie: "a=1; b=2",
    });
  });

  test.each([
    ["two lengths", ["Content-Length: 3", "Content-Length: 4"]],
    ["two lengths in one field", ["Content-Length: 3, 4"]],
    ["a length with a sign", ["Content-Length: +3"]],
    ["a length and chunks", ["Content-Length: 3", "Transfer-Encoding: chunked"]],
    ["chunks that are not the last coding", ["Transfer-Encoding: chunked, gzip"]],
    ["chunks under another name", ["Transfer-Encoding: xchunked"]],
    ["chunks twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]],
    ["a space before the colon", ["Content-Length : 3"]],
    ["a folded field", ["X-Folded: a", " Content-Length: 3"]],
    ["a NUL in a field", ["X-Nul: a\0b"]],
    ["a carriage return in a field", ["X-Cr: a\rContent-Length: 3"]],
  ])("answers no request with %s but with 400, and takes nothing after it for another", async (_, fields) => {
    const smuggled = GET("/smuggled", "Connection: close").join("\r\n");
    const answer = await host.send("POST /first HTTP/1.1", "Host: h", ...fields, "", `abc${smuggled}`);
    // What the parser lets by, it must frame in one way only, and the edge refuses it by its fields.
    expect(answer).not.toContain("/smuggled");
    expect(answer.startsWith("HTTP/1.1 400")).toBe(true);
  });

  test.each([
    ["a method that is none", "FOO / HTTP/1.1\r\nHost: h\r\n\r\n", 400],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
    ["two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
    ["a head that is too large", GET("/", `X-Large: ${"x".repeat(300_000)}`).join("\r\n"), 431],
  ])("answers %s with a problem, and counts it in the log", async (_, sent, status) => {
    const answer = await host.send(sent);
    const [head] = answer.split("\r\n\r\n");
    expect(head).toMatch(/^content-type: application\/problem\+json$/im);
    expect(bodyOf(answer)).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
    // Nothing of what was sent: it may hold a credential.
    expect(await host.hears("logged")).toMatch(/^what is no HTTP was refused, for HPE_\w+: [\w .:-]+$/);
  });

  test("answers what could not be read after what was asked before it on the connection", async () => {
    const { url, asked, answer, close } = await startHolding();
    const socket = await host.connect();
    socket.write(GET(`/up?url=${url}/first`).join("\r\n") + GET("/second").join("\r\n"));
    await asked("/first");
    socket.write("FOO / HTTP/1.1\r\nHost: h\r\n\r\n");
    const answers = readAll(socket);
    await host.send(...GET("/echo", "Connection: close"));
    socket.write("and more\r\n\r\n");
    await host.send(...GET("/echo", "Connection: close"));
    answer();
    const came = await answers;
    expect(came.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 400"]);
    expect(came).toMatch(/answer to \/first.*\/second.*application\/problem\+json/s);
    close();
  });

  test("tells the edge that a client is gone whose body cannot be read to its end", async () => {
    const head = ["POST /broken HTTP/1.1", "Host: h", "Transfer-Encoding: chunked"];
    const answer = await host.send(...head, "", "3", "abc", "zz", "");
    expect(statusOf(answer)).toBe(400);
    expect(await host.hears("aborted", "/broken")).toBe("/broken");
  });

  test("frames chunks strictly", async () => {
    for (const chunk of ["3;\r\nabc\n", "0x3\r\nabc\r\n", "3\nabc\r\n", "-1\r\nabc\r\n", "3\r\nabcd\r\n"]) {
      const answer = await host.send(
        "POST /first HTTP/1.1",
        "Host: h",
        "Transfer-Encoding: chunked",
        "",
        `${chunk}0\r\n\r\n${GET("/smuggled", "Connection: close").join("\r\n")}`,
      );
      expect(answer, JSON.stringify(chunk)).not.toMatch(/^HTTP\/1.1 200/);
      expect(answer).not.toContain("/smuggled");
    }
  });

  test.each([
    ["HTTP/1.1", ["GET / HTTP/1.1"]],
    ["HTTP/1.1, and an empty one", ["GET / HTTP/1.1", "Host:"]],
    ["HTTP/1.1, and two", ["GET / HTTP/1.1", "Host: a", "Host: b"]],
    ["HTTP/1.1, and two beside a target in absolute form", ["GET http://a/ HTTP/1.1", "Host: a", "Host: a"]],
    ["HTTP/1.1, and a target in absolute form", ["GET http://a/ HTTP/1.1"]],
    ["HTTP/1.0", ["GET / HTTP/1.0"]],
    ["HTTP/1.0, and a target in absolute form", ["GET http://a/ HTTP/1.0"]],
  ])("gives the edge no URL of a request without one host: %s", async (_, head) => {
    expect(statusOf(await host.send(...head, "Connection: close", "", ""))).toBe(400);
  });

  test.each([
    ["HTTP/0.9", ["GET /x"]],
    ["HTTP/2.0", ["GET /x HTTP/2.0", "Host: h"]],
    ["HTTP/1.0 with chunks", ["GET /x HTTP/1.0", "Host: h", "Transfer-Encoding: chunked"]],
    ["the asterisk", ["OPTIONS * HTTP/1.1", "Host: h"]],
    ["another scheme", ["GET ftp://h/x HTTP/1.1", "Host: h"]],
    ["CONNECT", ["CONNECT h:80 HTTP/1.1", "Host: h:80"]],
    ["CONNECT, and a path", ["CONNECT /x HTTP/1.1", "Host: h"]],
  ])("does not ask the edge about %s", async (_, head) => {
    const answer = await host.send(...head, "Connection: close", "", "0\r\n\r\n");
    expect(statusOf(answer)).toBeGreaterThanOrEqual(400);
  });

  test("takes a user in a target in absolute form to the edge, which refuses it", async () => {
    const head = ["GET http://u:p@real/x HTTP/1.1", "Host: real", "Connection: close", "", ""];
    expect(bodyOf(await host.send(...head)).url).toBe("http://u:p@real/x");
  });

  test("takes the requests of a connection one after another", async () => {
    const { url, asked, answer, close } = await startHolding();
    const socket = await host.connect();
    const ask = (path: string, ...fields: string[]) => GET(`/up?url=${url}${path}`, ...fields).join("\r\n");
    socket.write(ask("/first") + ask("/second") + ask("/third", "Connection: close"));
    const answers = readAll(socket);
    for (const path of ["/first", "/second", "/third"]) {
      await asked(path);
      await host.send(...GET("/echo", "Connection: close"));
      answer();
    }
    expect((await answers).match(/answer to \/[a-z]+/g)).toEqual(
      ["first", "second", "third"].map(name => `answer to /${name}`),
    );
    close();
  });

  test("closes a connection on which too many requests wait, and lets others go on", async () => {
    const { url, asked, close } = await startHolding();
    const socket = await host.connect();
    socket.write(GET(`/up?url=${url}/first`).join("\r\n"));
    await asked("/first");
    socket.write(GET("/waiting").join("\r\n").repeat(1000));
    expect(await readAll(socket)).toBe("");
    expect(statusOf(await host.send(...GET("/echo", "Connection: close")))).toBe(200);
    close();
  });

  test("does not upgrade a connection on which an answer is still due", async () => {
    const { url, asked, answer, close } = await startHolding();
    const offer = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    const socket = await host.connect();
    socket.write(GET(`/up?url=${url}/first`).join("\r\n"));
    await asked("/first");
    const answers = readAll(socket);
    socket.write(GET("/echo", ...offer, key).join("\r\n"));
    await host.send(...GET("/echo", "Connection: close"));
    answer();
    // Either the connection is closed, or the answers come in their order.
    expect(await answers).toMatch(/^(HTTP\/1.1 200 [^{]*answer to \/firstHTTP\/1.1 200 .*)?$/s);
    close();
  });

  test("refuses no tunnel before the answer that is due on the same connection", async () => {
    const { url, asked, answer, close } = await startHolding();
    const socket = await host.connect();
    socket.write(GET(`/up?url=${url}/first`).join("\r\n"));
    await asked("/first");
    const answers = readAll(socket);
    socket.write("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n");
    await host.send(...GET("/echo", "Connection: close"));
    answer();
    // Either the connection is closed, or the answers come in their order.
    expect(await answers).toMatch(/^(HTTP\/1.1 200 [^{]*answer to \/firstHTTP\/1.1 501 .*)?$/s);
    close();
  });

  test("takes no request for a part of one that offers another protocol, and goes on with none after it", async () => {
    const offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"];
    const next = GET("/next", "Connection: close").join("\r\n");
    const answer = await host.send(...GET("/offer", ...offer), next);
    expect(answer).toContain("/offer");
    expect(answer.toLowerCase()).toContain("connection: close");
    expect(answer).not.toContain("/next");
  });

  test("takes the host of a target in absolute form, and not that of the field", async () => {
    const seen = bodyOf(
      await host.send(...["GET http://real/x HTTP/1.1", "Host: other", "Connection: close", "", ""]),
    );
    expect(seen.url).toBe("http://real/x");
    expect(Object.fromEntries(seen.headers)).toMatchObject({ host: "real" });
  });

  test("answers a head that is too large with 431", async () => {
    const answer = await host.send(...GET("/", `X-Large: ${"x".repeat(300_000)}`, "Connection: close"));
    expect(statusOf(answer)).toBe(431);
  });

  test("takes a head of 128 KiB, for the edge to refuse or not", async () => {
    const answer = await host.send(...GET("/", `X-Large: ${"x".repeat(128 * 1024)}`, "Connection: close"));
    expect(statusOf(answer)).toBe(200);
  });

  test("answers a head of more fields than any policy allows with 431, however many they are", async () => {
    for (const field of ["Cookie: a", "X-Same: a"]) {
      const answer = await host.send(...GET("/", ...Array<string>(20_000).fill(field), "Connection: close"));
      expect(statusOf(answer)).toBe(431);
    }
  });

  test("is not held up by fields, of any number that it takes", async () => {
    const fields = Array.from({ length: 1900 }, (_, i) => `X-${i}: a`);
    for (let i = 0; i < 25; i++) {
      // Bun takes 200 at the most.
      const status = statusOf(await host.send(...GET("/", ...fields, "Connection: close")));
      expect(status).toBe(runtime === "bun" ? 431 : 200);
    }
  }, 30_000);

  test("is not held up by the spaces in a list of protocols", async () => {
    const handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    const key = `Sec-WebSocket-Key: ${"A".repeat(22)}==`;
    const protocols = `Sec-WebSocket-Protocol: a${" ".repeat(200_000)}b`;
    const answer = await host.send(...GET("/up?url=http://127.0.0.1:1/", ...handshake, key, protocols));
    expect(statusOf(answer)).toBe(502);
  }, 30_000);

  test("asks for nothing on behalf of a client that is gone before it is heard", async () => {
    const asked: string[] = [];
    const upstream = await startUpstream((request, response) => {
      asked.push(request.url!);
      response.end();
    });
    const ask = (path: string) => GET(`/up?url=${upstream.url}${path}`, "Connection: close").join("\r\n");
    host.process.kill("SIGSTOP");
    for (let i = 0; i < 10; i++) {
      const socket = await host.connect();
      socket.write(ask("/gone"));
      socket.resetAndDestroy();
      await once(socket, "close");
    }
    const answer = host.send(ask("/here"));
    host.process.kill("SIGCONT");
    expect(statusOf(await answer)).toBe(200);
    expect(asked).toEqual(["/here"]);
    upstream.close();
  });

  test.each([
    ["a reason with a control character", "HTTP/1.1 200 a\x01b\r\nContent-Length: 2\r\n\r\nok", 200],
    ["more fields than are taken", `HTTP/1.1 200 OK\r\n${"Set-Cookie: a\r\n".repeat(3000)}\r\n`, 502],
  ])("answers when an upstream answers with %s", async (_, text, status) => {
    const server = createTcpServer(socket => {
      socket.on("error", () => {}).once("data", () => socket.end(Buffer.from(text, "latin1")));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    expect(statusOf(await host.send(...GET(`/up?url=${url}`, "Connection: close")))).toBe(status);
    server.close();
  });

  test.each(["up", "down"] as const)(
    "reads a WebSocket no faster than the other side does, %s",
    async direction => {
      const upstream = createServer().listen(0, "127.0.0.1");
      await once(upstream, "listening");
      const sockets = new WebSocketServer({ server: upstream });
      const connected = once(sockets, "connection");
      const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/`;
      const near = new WebSocket(`ws://${host.url.host}/relay?url=${url}`);
      const [[far]] = (await Promise.all([connected, once(near, "open")])) as [[WebSocket], unknown];
      const [fast, slow] = direction === "up" ? [near, far] : [far, near];
      slow.pause();
      const message = Buffer.alloc(64 * 1024);
      for (let i = 0; i < 1024; i++) fast.send(message);
      const relayed = async () =>
        bodyOf(await host.send(...GET("/relayed", "Connection: close")))[direction].size as number;
      // It has come to a stop when nothing more came for as long as a hundred other requests take.
      for (let size = -1, i = 0; i < 100; i++) {
        const now = await relayed();
        if (now > size) i = 0;
        size = now;
      }
      expect(await relayed()).toBeLessThan(32 * 1024 * 1024);
      let left = 1024;
      const all = new Promise<void>(resolve => {
        slow.on("message", () => --left === 0 && resolve());
      });
      slow.resume();
      await all;
      for (const socket of [near, far]) socket.terminate();
      upstream.close();
    },
  );

  test("asks for a body when somebody reads it, and not for one that nobody wants", async () => {
    const ask = (path: string) =>
      host.send(
        `POST ${path} HTTP/1.1`,
        "Host: h",
        "Expect: 100-continue",
        "Content-Length: 3",
        "Connection: close",
        "",
        "abc",
      );
    expect(await ask("/read")).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200/);
    expect(await ask("/unread")).toMatch(/^HTTP\/1.1 401/);
  });

  test("asks for no body that there is none of, nor by HTTP/1.0, nor because of other expectations", async () => {
    const get = await host.send(...GET("/echo", "Expect: 100-continue", "Connection: close"));
    expect(get).toContain("HTTP/1.1 200");
    const post = ["Host: h", "Content-Length: 3", "Connection: close"];
    const old = await host.send("POST /read HTTP/1.0", ...post, "Expect: 100-continue", "", "abc");
    expect(old).toMatch(/^HTTP\/1.1 200/);
    const other = await host.send("POST /read HTTP/1.1", ...post, "Expect: more", "", "abc");
    expect(other).toMatch(/^HTTP\/1.1 200/);
  });

  test("throws away a body that nobody wanted, and goes on with the next request", async () => {
    const refused = ["POST /unread HTTP/1.1", "Host: h", "Content-Length: 300000", "", "a".repeat(300_000)];
    const answers = await host.send(refused.join("\r\n") + GET("/next", "Connection: close").join("\r\n"));
    expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 401", "HTTP/1.1 200"]);
  });

  test("tells when a client goes away", async () => {
    const socket = await host.connect();
    socket.write(GET("/hold").join("\r\n"));
    socket.end();
    socket.resetAndDestroy();
    await host.hears("aborted", "/hold");
  });

  test("does not read ahead of a client that reads slowly", async () => {
    const socket = await host.connect();
    socket.pause().write(GET("/endless").join("\r\n"));
    await once(socket, "readable");
    // It has come to a stop when nothing more came for as long as a hundred other requests take.
    for (let i = 0; i < 100; i++) await host.send(...GET("/echo", "Connection: close"));
    socket.resetAndDestroy();
    expect(await host.hears("produced")).toBeLessThan(16 * 1024 * 1024);
  });

  test("sends a request once, also on a connection that was used before and is closed", async () => {
    let requests = 0;
    const server = createTcpServer(socket => {
      socket
        .on("error", () => {})
        .on("data", data => {
          requests += data.toString().split("POST ").length - 1;
          if (requests % 2 === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
          else socket.end();
        });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const ask = () =>
      host.send(
        `POST /up?url=${url} HTTP/1.1`,
        "Host: h",
        "Content-Length: 2",
        "Connection: close",
        "",
        "hi",
      );
    expect([statusOf(await ask()), statusOf(await ask()), requests]).toEqual([200, 502, 2]);
    server.close();
  });

  test.each(["DELETE", "OPTIONS", "POST", "PUT"])(
    "frames the chunked body of a %s on its way up",
    async method => {
      const server = createServer(async (incoming, response) => {
        const body = Buffer.concat(await incoming.toArray());
        response.end(`${incoming.method} ${incoming.headers["transfer-encoding"]} ${body}`);
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const head = [
        `${method} /up?url=${url} HTTP/1.1`,
        "Host: h",
        "Transfer-Encoding: chunked",
        "Connection: close",
      ];
      expect(await host.send(...head, "", "5", "hello", "0", "", "")).toContain(`${method} chunked hello`);
      server.closeAllConnections();
      server.close();
    },
  );
});

describe.each(RUNTIMES)("on %s, a host that is stopped", runtime => {
  test("begins nothing when it only waits for what is left to do behind the answers", async () => {
    const host = await Host.start(runtime, folder);
    try {
      // One that has not said a word when it is stopped, and is no connection to HTTP yet.
      const silent = await host.connect();
      (await askFor(host, "/late")).resume();
      host.process.kill("SIGTERM");
      await host.hears("stopping");
      await eventually(() =>
        host.connect().then(
          socket => void socket.destroy(),
          () => true,
        ),
      );
      const late = connectSecurely({ socket: silent, ca: read("ca.pem"), host: "127.0.0.1" });
      late.on("error", () => {}).write(GET("/echo").join("\r\n"));
      expect(await readAll(late)).toBe("");
      host.release();
      await host.hears("stopped");
    } finally {
      await host.stop();
    }
  });

  test("answers what has begun, ends what is idle, and takes nothing new", async () => {
    const host = await Host.start(runtime);
    try {
      const [idle, busy] = [await host.connect(), await host.connect()];
      idle.write(GET("/echo").join("\r\n"));
      await once(idle, "data");
      busy.write(GET("/hold").join("\r\n"));
      const late = await host.connect();
      late.write(GET("/late").join("\r\n"));
      await once(late, "data");
      // The one that is held has been taken when one after it has been answered.
      await host.send(...GET("/echo", "Connection: close"));
      const answers = [readAll(idle), readAll(busy)];
      host.process.kill("SIGTERM");
      await host.hears("stopping");
      expect(await answers[0]).toBe("");
      await expect(fetch(host.url)).rejects.toThrow();
      host.release();
      const answer = (await answers[1])!;
      expect(statusOf(answer)).toBe(200);
      expect(answer.toLowerCase()).toContain("connection: close");
      expect(await host.hears("done")).toBe("/late");
      await host.hears("stopped");
    } finally {
      await host.stop();
    }
  });
});

const read = (file: string) => readFileSync(join(folder, file));

/** Asks a host with TLS for a path. */
async function askFor(host: Host, path: string): Promise<IncomingMessage> {
  const outgoing = request(new URL(path, host.url), { ca: read("ca.pem"), agent: false });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return response;
}

/** Asks a host with TLS, over connections of an agent or one of its own. @returns what it has seen. */
async function askSecurely(host: Host, name?: string, agent: Agent | false = false) {
  const own = name && { cert: read(`${name}.pem`), key: read(`${name}.key`) };
  const outgoing = request(host.url, { ca: read("ca.pem"), agent, ...own });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return JSON.parse(Buffer.concat(await response.toArray()).toString());
}

describe.each(RUNTIMES)("on %s, a host with TLS", runtime => {
  test("serves, and asks no client for a certificate", async () => {
    const host = await Host.start(runtime, folder);
    const seen = await askSecurely(host, "client");
    expect([seen.url, seen.certificate]).toEqual([`${host.url}`, undefined]);
    await host.stop();
  });

  test("says what is wrong with a key that is not the certificate's", async () => {
    const bad = mkdtempSync(join(folder, "bad-"));
    copyFileSync(join(folder, "server.pem"), join(bad, "server.pem"));
    copyFileSync(join(folder, "client.key"), join(bad, "server.key"));
    await expect(Host.start(runtime, bad)).rejects.toThrow(
      /the certificate or the key for TLS cannot be used: they do not belong together/,
    );
  });
});

test("Bun, which tells nobody of the certificates of clients, does not serve as if it did", async () => {
  await expect(Host.start("bun", folder, "ca.pem")).rejects.toThrow(/Bun does not tell of the certificates/);
});

describe.each(["node", "deno"] as const)("on %s, a host with TLS and an authority for clients", runtime => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.start(runtime, folder, "ca.pem");
  });
  afterAll(() => host.stop());

  test("serves clients without a certificate too", async () => {
    expect((await askSecurely(host)).certificate).toBeUndefined();
  });

  test("says whose certificate a client has, as OpenSSL writes it", async () => {
    const subject = openssl("x509", "-in", "client.pem", "-noout", "-subject", "-nameopt", "RFC2253");
    const der = new X509Certificate(read("client.pem")).raw;
    const expected = {
      verified: true,
      fingerprint: createHash("sha256").update(der).digest("hex"),
      subject: subject.trimEnd().replace(/^subject=/, ""),
    };
    expect((await askSecurely(host, "client")).certificate).toEqual(expected);
    // A session that is taken up again has the certificate of the one before.
    const agent = new Agent({ keepAlive: false });
    for (let i = 0; i < 3; i++) {
      expect((await askSecurely(host, "client", agent)).certificate).toEqual(expected);
    }
  });

  test("says that a certificate is of an authority that is not accepted", async () => {
    const { certificate } = await askSecurely(host, "stranger");
    expect(certificate).toMatchObject({ verified: false, subject: "CN=stranger" });
  });

  test("says that a certificate is no longer in force", async () => {
    expect((await askSecurely(host, "expired")).certificate).toMatchObject({ verified: false });
  });
});
