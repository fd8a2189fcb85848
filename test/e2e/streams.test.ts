// Slow, broken and endless exchanges through the edge, in real workerd: whatever happens, at whatever moment, each
// has exactly one ending on record, and it says what happened.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { type AuditRecord, isFinal } from "../../src/receipt/record.ts";
import { type ConfigFile, withRoutes, writeConfig } from "./config.ts";
import { pullRecords, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { eventually, send } from "./upstream.ts";

const ROUTES = `
[[routes]]
name = "quick"
match = "/quick/*"
upstream = "UPSTREAM"
upstream_timeout_ms = 500
[[routes]]
name = "again"
match = "/again/*"
upstream = "UPSTREAM"
retries = 2
[[routes]]
name = "told"
match = "/told/*"
upstream = "UPSTREAM"
interim_bytes = 65536
[[routes]]
name = "all"
match = "/*"
upstream = "UPSTREAM"
`;

/** How the upstream answers, by path; a path that is not here is echoed. */
type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;
const answers = new Map<string, Answer>();
/** The ids of the exchanges that have come to the upstream, by path. */
const arrived = new Map<string, string[]>();
const server = createServer((incoming, response) => {
  const path = incoming.url!.split("?")[0]!;
  arrived.set(path, [...(arrived.get(path) ?? []), incoming.headers["audit-id"] as string]);
  response.on("error", () => {});
  incoming.on("error", () => {});
  (answers.get(path) ?? echo)(incoming, response);
});
let config: ConfigFile;
let edge: Edge;

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  config = await writeConfig(toml => withRoutes(toml, ROUTES.replaceAll("UPSTREAM", upstream)));
  edge = await startEdge({ upstream, args: ["--config", config.path] });
});

afterAll(async () => {
  await edge.stop();
  await config.remove();
  server.close();
  server.closeAllConnections();
});

function echo(incoming: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  incoming.on("data", chunk => chunks.push(chunk));
  incoming.on("end", () => {
    const body = Buffer.concat(chunks);
    response.writeHead(200, { "content-length": body.length }).end(body);
  });
}

function recordOf(headers: IncomingMessage["headers"]): AuditRecord {
  return parseReceipt(headers["audit-receipt"] as string).entry.record;
}

/** The record of an exchange's ending, as soon as there is one. */
function ending(jti: string): Promise<AuditRecord> {
  return eventually(async () => {
    const { record } = parseReceipt(
      (await read(edge, `receipts/${jti}`, { prefer: "wait=5" })).toString(),
    ).entry;
    return isFinal(record.stage) ? record : undefined;
  });
}

const sha256 = (bytes: Uint8Array) => `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;

/** A connection to the edge with what is written to it, and what comes back. */
function open(text: string): { socket: Socket; got: () => string } {
  const socket = connect({ port: Number(new URL(edge.url).port), host: "127.0.0.1", allowHalfOpen: true });
  let got = "";
  socket.on("error", () => {});
  socket.setEncoding("latin1").on("data", chunk => {
    got += chunk;
  });
  socket.write(text);
  return { socket, got: () => got };
}

const until = (condition: () => boolean) => eventually(async () => condition() || undefined);

describe("an upstream that is silent for too long", () => {
  test("before its response is given up with 504, and is on record as failed", async () => {
    answers.set("/quick/never", () => {});
    const { status, headers, body } = await send(`${edge.url}/quick/never`);
    expect([status, JSON.parse(body.toString()).title]).toEqual([504, "Gateway timeout"]);
    expect(recordOf(headers)).toMatchObject({
      stage: "failed",
      error: expect.stringContaining("was silent for 500 ms"),
      res: { status: 504 },
    });
  });

  test("in the middle of a body that is held is given up, too", async () => {
    answers.set("/quick/stalled", (_, response) =>
      response.writeHead(200, { "content-length": 9 }).write("x"),
    );
    const { status, headers } = await send(`${edge.url}/quick/stalled`);
    expect([status, recordOf(headers).stage]).toEqual([504, "failed"]);
  });

  test("is not asked again", async () => {
    expect(arrived.get("/quick/never")).toHaveLength(1);
  });

  test.each([100, 100_000])(
    "is not blamed for a client that stops in the middle of %i bytes",
    async length => {
      const { socket, got } = open(
        `POST /quick/upload HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\nthe beginning`,
      );
      await until(() => got().includes("\r\n\r\n"));
      expect(got()).toMatch(/^HTTP\/1.1 408 /);
      const receipt = /audit-receipt: (\S+)/i.exec(got())![1]!;
      expect(parseReceipt(receipt).entry.record).toMatchObject({
        stage: "aborted",
        error: "the client was silent for 500 ms in the middle of its request",
      });
      socket.destroy();
    },
  );
});

describe("a route with repetitions", () => {
  /** Answers with a 503 so many times, and then echoes. */
  function fail(
    path: string,
    times: number,
    how: Answer = (_, response) => response.writeHead(503, { "content-length": 4 }).end("busy"),
  ) {
    let left = times;
    answers.set(path, (incoming, response) =>
      left-- > 0 ? how(incoming, response) : echo(incoming, response),
    );
  }

  test("asks an upstream again that is out of order, and lists the attempts", async () => {
    fail("/again/busy", 2);
    const { status, headers } = await send(`${edge.url}/again/busy`);
    expect([status, arrived.get("/again/busy")!.length]).toEqual([200, 3]);
    expect(recordOf(headers).attempts!.map(attempt => attempt.status)).toEqual([503, 503, 200]);
  });

  test("asks again with the same body when no answer came", async () => {
    fail("/again/reset", 1, incoming => incoming.socket.destroy());
    const { status, headers, body } = await send(`${edge.url}/again/reset`, {
      method: "PUT",
      body: "a body",
    });
    expect([status, body.toString()]).toEqual([200, "a body"]);
    expect(recordOf(headers).attempts).toMatchObject([{ error: "no answer came" }, { status: 200 }]);
  });

  test("passes the last answer on when all are of that kind", async () => {
    fail("/again/always", 9);
    const { status, headers, body } = await send(`${edge.url}/again/always`);
    expect([status, body.toString(), recordOf(headers).stage]).toEqual([503, "busy", "complete"]);
    expect(arrived.get("/again/always")).toHaveLength(3);
  });

  test.each([
    ["what may have had an effect", "/again/post", { method: "POST", body: "x" }],
    ["a body that is not at hand", "/again/large", { method: "PUT", body: Buffer.alloc(100_000) }],
  ])("never repeats %s", async (_, path, options) => {
    fail(path, 1, (incoming, response) => incoming.on("end", () => response.writeHead(503).end()).resume());
    const { status, headers } = await send(`${edge.url}${path}`, options);
    expect([status, recordOf(headers).attempts, arrived.get(path)!.length]).toEqual([503, undefined, 1]);
  });

  test("waits as long as it is asked to, but passes the answer on when that is too long", async () => {
    const askFor = (value: string) => (_: unknown, response: ServerResponse) =>
      response.writeHead(503, { "retry-after": value }).end();
    fail("/again/soon", 1, askFor("0"));
    fail("/again/later", 1, askFor("60"));
    expect((await send(`${edge.url}/again/soon`)).status).toBe(200);
    expect((await send(`${edge.url}/again/later`)).status).toBe(503);
  });
});

describe("a stream", () => {
  test("brings each event by itself, before the next one is made", async () => {
    const seen: number[] = [];
    answers.set("/events", async (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let n = 1; n <= 5; n++) {
        response.write(`data: ${n}\n\n`);
        await until(() => seen.includes(n));
      }
      response.end();
    });
    const response = await fetch(`${edge.url}/events`);
    for await (const chunk of response.body!) seen.push(Number(Buffer.from(chunk).toString().slice(6)));
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect((await ending(response.headers.get("audit-id")!)).stage).toBe("complete");
  });

  test("is told of in between, with the digest of its beginning", async () => {
    const body = Buffer.alloc(400_000, "counterfoil ");
    answers.set("/told/body", (_, response) => response.writeHead(200).end(body));
    const { headers } = await send(`${edge.url}/told/body`);
    const jti = headers["audit-id"] as string;
    await ending(jti);
    const records = (await pullRecords(edge)).filter(record => record.jti === jti);
    const interim = records.slice(1, -1);
    expect(interim.length).toBeGreaterThan(0);
    interim.forEach(({ stage, seq, res }, i) => {
      expect([stage, seq]).toEqual(["interim", i + 1]);
      expect(res!.digest_so_far).toBe(sha256(body.subarray(0, res!.size)));
      expect(res!.digest).toBeUndefined();
    });
    expect(records.at(-1)).toMatchObject({ stage: "complete", res: { digest: sha256(body) } });
  });

  describe("of a request whose response is there before its end", () => {
    const parts = [Buffer.alloc(50_000, "a"), Buffer.alloc(50_000, "b")];
    const whole = sha256(Buffer.concat(parts));

    /** Sends the second part when the response has come. */
    async function upload(path: string, answer: Answer): Promise<AuditRecord> {
      answers.set(path, answer);
      const outgoing = request(`${edge.url}${path}`, { method: "POST", agent: false });
      // An edge that wants no more of the request may close the connection.
      outgoing.on("error", () => {});
      outgoing.write(parts[0]);
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      expect(recordOf(response.headers).stage).toBe("started");
      outgoing.end(parts[1]);
      response.on("error", () => {}).resume();
      return ending(response.headers["audit-id"] as string);
    }

    test("goes on, and both are on record whole", async () => {
      const record = await upload("/duplex", (incoming, response) => {
        response.writeHead(200, { "content-length": 5 }).write("ear");
        incoming.on("end", () => response.end("ly")).resume();
      });
      expect(record).toMatchObject({
        stage: "complete",
        req: { size: 100_000, digest: whole },
        res: { size: 5, digest: sha256(Buffer.from("early")) },
      });
    });

    test("has time to arrive whole, although the platform ends the call with the response", async () => {
      const sent = Buffer.concat(Array.from({ length: 8 }, (_, i) => Buffer.alloc(50_000, `part ${i}`)));
      const came: Buffer[] = [];
      answers.set("/hasty", (incoming, response) => {
        const chunks: Buffer[] = [];
        response.writeHead(401, { "content-length": 2 }).end("no");
        incoming.on("data", chunk => chunks.push(chunk)).on("close", () => came.push(Buffer.concat(chunks)));
      });
      // On a machine that is busy the time may be too short, but not always.
      await eventually(async () => {
        const outgoing = request(`${edge.url}/hasty`, { method: "POST", agent: false });
        outgoing.on("error", () => {}).write(sent);
        outgoing.end();
        const [response] = (await once(outgoing, "response")) as [IncomingMessage];
        response.on("error", () => {}).resume();
        const { stage, req, res } = await ending(response.headers["audit-id"] as string);
        expect([stage, res!.status]).toEqual(["complete", 401]);
        await until(() => came.length > 0);
        return (req!.digest === sha256(sent) && came.pop()!.equals(sent)) || undefined;
      });
    });

    test("has no digest unless all of it has passed", async () => {
      const { stage, req, res } = await upload("/early", (incoming, response) => {
        response.writeHead(200, { "content-length": 5 }).end("early");
        incoming.resume();
      });
      expect([stage, res!.size]).toEqual(["complete", 5]);
      expect(req!.digest).toBe(req!.size === 100_000 ? whole : undefined);
    });
  });
});

describe("a client", () => {
  test("that closes its half of the connection gets its response", async () => {
    const { socket, got } = open("");
    socket.end("GET /half HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await once(socket, "end");
    expect(got()).toMatch(/^HTTP\/1.1 200 /);
  });

  test("that expects 100 is told to continue", async () => {
    const outgoing = request(`${edge.url}/expect`, {
      method: "POST",
      agent: false,
      headers: { expect: "100-continue", "content-length": "5" },
    });
    outgoing.flushHeaders();
    await once(outgoing, "continue");
    outgoing.end("hello");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    expect([response.statusCode, recordOf(response.headers).req!.size]).toEqual([200, 5]);
    response.resume();
  });

  test("gets the share of the audit beside what the upstream measured", async () => {
    answers.set("/timed", (_, response) => response.writeHead(200, { "server-timing": "db;dur=5" }).end());
    const { headers } = await send(`${edge.url}/timed`);
    expect(headers["server-timing"]).toMatch(/^db;dur=5, audit;dur=\d+$/);
  });
});

describe("a storm of clients that go away", () => {
  test("leaves one ending for each exchange, and an edge that works", async () => {
    answers.set("/storm/never", incoming => incoming.resume());
    answers.set("/storm/stalled", (_, response) =>
      response.writeHead(200, { "content-length": 99 }).write("x"),
    );
    answers.set("/storm/endless", (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("more\n"), 5);
      response.on("close", () => clearInterval(timer));
    });
    const heads = [
      "GET /storm/never HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /storm/stalled HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /storm/endless HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /storm/echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /storm/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
      "POST /storm/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nhalf",
      "POST /storm/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    const clients = Array.from({ length: 210 }, async (_, n) => {
      const { socket, got } = open(heads[n % heads.length]!);
      await once(socket, "connect");
      // At once, a few turns later, or in the middle of the response.
      const moment = Math.floor(n / heads.length) % 3;
      for (let turn = 0; turn < moment * 20; turn++) await new Promise(resolve => setImmediate(resolve));
      if (n % heads.length === 2 && moment === 2) await until(() => got().includes("more"));
      socket.resetAndDestroy();
    });
    await Promise.all(clients);
    expect((await send(`${edge.url}/storm/after`)).status).toBe(200);
    const came = [...arrived].filter(([path]) => path.startsWith("/storm/")).flatMap(([, jtis]) => jtis);
    const records = await eventually(async () => {
      const all = await pullRecords(edge);
      const ended = new Set(all.filter(({ stage }) => isFinal(stage)).map(({ jti }) => jti));
      const begun = all.filter(({ stage }) => stage === "started").map(({ jti }) => jti);
      return [...came, ...begun].every(jti => ended.has(jti)) ? all : undefined;
    });
    const endings = new Map<string, number>();
    for (const { jti, stage } of records) {
      if (isFinal(stage)) endings.set(jti, (endings.get(jti) ?? 0) + 1);
    }
    expect([...endings.values()].filter(count => count !== 1)).toEqual([]);
    expect(endings.size).toBeGreaterThan(came.length - 1);
  });
});
