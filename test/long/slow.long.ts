// Clients that hold on to a connection and never get on with it: on each runtime, the host closes it by itself.
import { afterAll, expect, test } from "vitest";
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
