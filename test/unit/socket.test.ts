// A WebSocket that a host has accepted: who reads slowly gets all that was sent before the close, and then the close.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, expect, it, vi } from "vitest";
import * as library from "ws";
import { createSockets } from "../../src/hosts/socket.ts";

/** More than the system takes for somebody who reads nothing. */
const MESSAGE = Buffer.alloc(24 * 1024 * 1024, "m");

/** As long as the library waits for the answer to a close, in ms, and longer. */
const CLOSING_MS = 40_000;

afterEach(() => void vi.useRealTimers());

it("is closed to a slow reader behind all that was sent, however long that takes", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const sockets = createSockets(library);
  const { socket, response } = sockets.upgrade(new Headers());
  const server = createServer().on("upgrade", (incoming: IncomingMessage, connection: Duplex, head: Buffer) =>
    sockets.accept(incoming, connection, head, response),
  );
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = new library.WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await once(client, "open");
  client.pause();
  socket.send(MESSAGE);
  socket.close(1000, "that was all");
  vi.advanceTimersByTime(CLOSING_MS);
  const came: Buffer[] = [];
  client.on("error", () => {}).on("message", data => came.push(data as Buffer));
  const closed = once(client, "close");
  client.resume();
  expect(await closed).toEqual([1000, Buffer.from("that was all")]);
  expect(came.map(data => data.equals(MESSAGE))).toEqual([true]);
  server.close();
});
