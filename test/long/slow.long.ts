// Those who hold on to a connection and never get on with it, or take nothing of what they are sent: on each runtime,
// the host closes it by itself.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { Host, readAll } from "../hosts/host.ts";

afterAll(() => Host.stopAll());

const DRIBBLE_MS = 1000;

/** Sends a beginning, and then a byte every second until the connection is closed. @returns what came. */
async function dribble(host: Host, beginning: string): Promise<string> {
  const socket = await host.connect();
  if (beginning !== "") socket.write(beginning);
  const timer = setInterval(() => beginning !== "" && socket.write("x"), DRIBBLE_MS);
  return readAll(socket).finally(() => clearInterval(timer));
}

test.concurrent.each(RUNTIMES)("%s closes connections that do not get on", async runtime => {
  const host = await Host.start(runtime);
  const get = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
  const [nothing, head, second, body, refused] = await Promise.all([
    dribble(host, ""),
    dribble(host, "GET / HTTP/1.1\r\nHost: h\r\nX-"),
    dribble(host, `${get}GET / HTTP/1.1\r\nX-`),
    dribble(host, "POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"),
    dribble(host, "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
  ]);
  expect(nothing).toMatch(/^(HTTP\/1.1 408 .*)?$/s);
  expect(head).toMatch(/^(HTTP\/1.1 408 .*)?$/s);
  expect(second.match(/HTTP\/1.1 200/g)).toHaveLength(1);
  expect(body).toMatch(/^HTTP\/1.1 401 /);
  expect(refused).toMatch(/^HTTP\/1.1 501 /);
  await host.stop();
});

/** Relays messages between two sides of which one reads nothing. @returns the close that the other one gets. */
async function relayToNobody(host: Host, slow: "client" | "upstream"): Promise<number> {
  const upstream = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(upstream, "listening");
  const connected = once(upstream, "connection");
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/`;
  const near = new WebSocket(`ws://${host.url.host}/relay?url=${url}`);
  const [[far]] = (await Promise.all([connected, once(near, "open")])) as [[WebSocket], unknown];
  const [reading, other] = slow === "client" ? [near, far] : [far, near];
  reading.on("error", () => {}).pause();
  for (let i = 0; i < 1024; i++) other.send(Buffer.alloc(64 * 1024));
  const [code] = (await once(other, "close")) as [number];
  reading.terminate();
  upstream.close();
  return code;
}

test.concurrent.each(RUNTIMES)("%s gives up who takes nothing of what is sent", async runtime => {
  const host = await Host.start(runtime);
  const socket = await host.connect();
  socket.write("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  const closes = Promise.all([relayToNobody(host, "client"), relayToNobody(host, "upstream")]);
  await host.hears("because", "the client took no more of the response");
  expect(await readAll(socket)).toMatch(/^HTTP\/1.1 200 /);
  expect(await closes).toEqual([1001, 1014]);
  await host.stop();
});
