// WebSockets through the edge, in real workerd, between a client and an upstream that nobody here wrote.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { type AuditRecord, isFinal } from "../../src/receipt/record.ts";
import { parseTrust, type Trust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { type ConfigFile, writeConfig } from "./config.ts";
import { pullRecords, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { eventually, send } from "./upstream.ts";

const PAYLOAD_MAX = 32 * 1024 * 1024;

/** The upstream's ends, in the order of the connections, and how each one was closed. */
const sockets: WebSocket[] = [];
const closes: (readonly [code: number, reason: string])[] = [];
const server = createServer((_, response) =>
  response.writeHead(426, { upgrade: "websocket" }).end("upgrade!"),
);
const upstream = new WebSocketServer({ noServer: true, maxPayload: PAYLOAD_MAX });
let config: ConfigFile;
let edge: Edge;
let trust: Trust;

beforeAll(async () => {
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/refused") {
      socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
      return;
    }
    upstream.handleUpgrade(request, socket, head, ws => upstream.emit("connection", ws, request));
  });
  upstream.on("connection", (socket, request) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("close", (code, reason) => closes.push([code, reason.toString()]));
    if (request.url === "/greeting") socket.send("good morning");
    if (request.url === "/echo")
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  config = await writeConfig(toml =>
    toml.replace("[[vars.routes]]", "[[vars.routes]]\ninterim_seconds = 1\ninterim_bytes = 100_000"),
  );
  edge = await startEdge({
    upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    args: ["--config", config.path],
  });
  trust = parseTrust((await read(edge, "trust")).toString());
});

afterAll(async () => {
  await edge.stop();
  await config.remove();
  server.close();
  server.closeAllConnections();
});

afterEach(() => {
  sockets.length = 0;
  closes.length = 0;
});

interface Client {
  readonly socket: WebSocket;
  readonly jti: string;
  readonly receipt: string;
  /** The messages that have come, as they were sent. */
  readonly messages: Message[];
  readonly closed: Promise<readonly [code: number, reason: string]>;
}

type Message = string | Buffer;

async function open(path: string, protocols: string[] = []): Promise<Client> {
  const socket = new WebSocket(`${edge.url.replace("http", "ws")}${path}`, protocols, {
    maxPayload: PAYLOAD_MAX,
  });
  socket.on("error", () => {});
  const messages: Message[] = [];
  socket.on("message", (data, isBinary) => messages.push(isBinary ? (data as Buffer) : data.toString()));
  const closed = once(socket, "close").then(([code, reason]) => [code, reason.toString()] as const);
  const [{ headers }] = await once(socket, "upgrade");
  if (socket.readyState !== socket.OPEN) await once(socket, "open");
  return { socket, jti: headers["audit-id"], receipt: headers["audit-receipt"], messages, closed };
}

/** The record of an exchange's ending, as soon as there is one. */
async function ending(jti: string): Promise<AuditRecord> {
  const { record } = await eventually(async () => {
    const text = (await read(edge, `receipts/${jti}`, { prefer: "wait=5" })).toString();
    const { entry } = parseReceipt(text);
    return ["started", "interim"].includes(entry.record.stage) ? undefined : entry;
  });
  return record;
}

/** The digest of messages as docs/format.md defines it, by Node's own hash. */
function digestOf(messages: readonly Message[]) {
  const hash = createHash("sha256");
  let size = 0;
  for (const message of messages) {
    const bytes = Buffer.from(message as string);
    const head = Buffer.alloc(9);
    head.writeUInt8(typeof message === "string" ? 1 : 2);
    head.writeBigUInt64BE(BigInt(bytes.length), 1);
    hash.update(head).update(bytes);
    size += bytes.length;
  }
  return { messages: messages.length, size, digest: `sha-256=:${hash.digest("base64")}:` };
}

const until = (condition: () => boolean) => eventually(async () => condition() || undefined);

describe("a WebSocket through the edge", () => {
  test("is open with a receipt, and relays every message as it is", async () => {
    const { socket, messages, receipt, jti, closed } = await open("/echo", ["chat", "other"]);
    expect(socket.protocol).toBe("chat");
    const { rungs } = await verifyEvidence({ receipt }, trust);
    expect(rungs).toEqual(["signed"]);
    expect(parseReceipt(receipt).entry.record).toMatchObject({ stage: "started", jti, res: { status: 101 } });
    const sent = ["a text, grüße 🎫", Buffer.from([0, 255, 1]), "", Buffer.alloc(0), Buffer.alloc(70_000, 7)];
    for (const message of sent) socket.send(message);
    await until(() => messages.length === sent.length);
    expect(messages).toEqual(sent);
    socket.close(4123, "that is all");
    expect(await closed).toEqual([4123, "that is all"]);
    expect(closes).toEqual([[4123, "that is all"]]);
    const { stage, ws } = await ending(jti);
    expect([stage, ws]).toEqual([
      "complete",
      { up: digestOf(sent), down: digestOf(sent), close: { by: "client", code: 4123 } },
    ]);
  });

  test("relays a message of 20 MiB whole", async () => {
    const { socket, messages, jti } = await open("/echo");
    const big = Buffer.alloc(20 * 1024 * 1024, "counterfoil ");
    socket.send(big);
    await until(() => messages.length === 1);
    expect(big.equals(messages[0] as Buffer)).toBe(true);
    socket.close();
    expect((await ending(jti)).ws).toMatchObject({ up: digestOf([big]), down: digestOf([big]) });
  });

  test("brings what the upstream says first, and the upstream's own close", async () => {
    const { messages, jti, closed } = await open("/greeting");
    await until(() => messages.length === 1);
    sockets[0]!.close(1000, "good night");
    expect([messages, await closed]).toEqual([["good morning"], [1000, "good night"]]);
    const { stage, ws } = await ending(jti);
    expect([stage, ws!.close, ws!.down]).toEqual([
      "complete",
      { by: "upstream", code: 1000 },
      digestOf(["good morning"]),
    ]);
  });

  test("closes without a code when no code was given", async () => {
    const { socket, jti, closed } = await open("/echo");
    socket.close();
    expect((await closed)[0]).toBe(1005);
    expect(closes).toEqual([[1005, ""]]);
    expect((await ending(jti)).ws!.close).toEqual({ by: "client" });
  });

  test("answers a ping of either side", async () => {
    const { socket, jti } = await open("/echo");
    const pongs = [once(socket, "pong"), once(sockets[0]!, "pong")];
    socket.ping("x");
    sockets[0]!.ping("y");
    await Promise.all(pongs);
    socket.terminate();
    await ending(jti);
  });

  test("tells how far it is after so many bytes, and at the end once more", async () => {
    const { socket, messages, jti } = await open("/echo");
    const sent: Message[] = [];
    for (let n = 0; n < 4; n++) {
      const message = Buffer.alloc(60_000, n);
      sent.push(message);
      socket.send(message);
      await until(() => messages.length === sent.length);
    }
    socket.close(1000);
    await ending(jti);
    const records = (await pullRecords(edge)).filter(record => record.jti === jti);
    const interim = records.filter(({ stage }) => stage === "interim");
    expect(interim.length).toBeGreaterThan(0);
    expect(interim.map(({ seq }) => seq)).toEqual(interim.map((_, i) => i + 1));
    for (const { ws } of interim) {
      expect(ws!.up).toEqual(digestOf(sent.slice(0, ws!.up.messages)));
      expect(ws!.down).toEqual(digestOf(sent.slice(0, ws!.down.messages)));
    }
    expect(records.map(({ stage }) => stage)).toEqual([
      "started",
      ...interim.map(() => "interim"),
      "complete",
    ]);
  });

  test("tells how far it is after so many seconds, if anything has passed", async () => {
    const { socket, messages, jti } = await open("/echo");
    socket.send("one");
    await until(() => messages.length === 1);
    const seen = await eventually(async () => {
      const text = (await read(edge, `receipts/${jti}`)).toString();
      const { record } = parseReceipt(text).entry;
      return record.stage === "interim" ? record : undefined;
    });
    expect([seen.seq, seen.ws]).toEqual([1, { up: digestOf(["one"]), down: digestOf(["one"]) }]);
    socket.close();
    await ending(jti);
  });
});

describe("a WebSocket that breaks off", () => {
  test("is on record as aborted when the client is gone, and the upstream hears of it", async () => {
    const { socket, jti } = await open("/echo");
    socket.terminate();
    expect(await ending(jti)).toMatchObject({ stage: "aborted", error: "the client went away" });
    await until(() => closes.length === 1);
    expect(closes).toEqual([[1001, "the client went away"]]);
  });

  test("is on record as failed when the upstream is gone, and the client hears of it", async () => {
    const { jti, closed } = await open("/silent");
    sockets[0]!.terminate();
    expect(await ending(jti)).toMatchObject({ stage: "failed", error: "the upstream broke off" });
    expect(await closed).toEqual([1014, "the upstream broke off"]);
  });

  test("is complete when the second side is gone after the first has closed", async () => {
    const { socket, jti, closed } = await open("/silent");
    // An upstream that never answers a close: it reads nothing any more.
    sockets[0]!.pause();
    socket.close(1000, "bye");
    sockets[0]!.terminate();
    expect(await closed).toEqual([1000, "bye"]);
    expect(await ending(jti)).toMatchObject({
      stage: "complete",
      ws: { close: { by: "client", code: 1000 } },
    });
  });

  test("has one ending each, however many end at once and in whatever way", async () => {
    const ways = [
      ({ socket }: Client) => socket.terminate(),
      ({ socket }: Client) => socket.close(1000),
      ({ socket }: Client, own: WebSocket) => [socket.close(1000), own.close(1001)],
      ({ socket }: Client, own: WebSocket) => [socket.terminate(), own.terminate()],
      (_: Client, own: WebSocket) => own.terminate(),
      (_: Client, own: WebSocket) => own.close(),
    ];
    const clients: Client[] = [];
    for (let n = 0; n < 30; n++) clients.push(await open("/echo"));
    clients.forEach((client, n) => {
      client.socket.send("on the way");
      ways[n % ways.length]!(client, sockets[n]!);
    });
    for (const { jti } of clients) await ending(jti);
    const records = await pullRecords(edge);
    for (const { jti } of clients) {
      const own = records.filter(record => record.jti === jti && record.stage !== "interim");
      expect(own.map(({ stage }) => isFinal(stage))).toEqual([false, true]);
    }
  });
});

describe("a request for a WebSocket", () => {
  test("that the upstream refuses gets the upstream's answer", async () => {
    const socket = new WebSocket(`${edge.url.replace("http", "ws")}/refused`);
    const [, response] = await once(socket, "unexpected-response");
    expect([response.statusCode, response.headers["audit-receipt"]]).toEqual([401, expect.any(String)]);
    const { record } = parseReceipt(response.headers["audit-receipt"]).entry;
    expect(record).toMatchObject({ stage: "complete", res: { status: 401 } });
    response.destroy();
  });

  test("that is none gets the upstream's answer", async () => {
    const { status, body } = await send(`${edge.url}/x`);
    expect([status, body.toString()]).toEqual([426, "upgrade!"]);
  });
});
