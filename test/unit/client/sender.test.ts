// Sending by fetch, where the other side does not do its part: a real server, and the fetch of this Node.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Sender } from "../../../src/client/platform.ts";
import { readUrl } from "../../../src/client/remote.ts";
import { sendBy } from "../../../src/client/sender.ts";
import { failureOf } from "./web.ts";

let server: Server;
let url: string;

beforeAll(async () => {
  server = createServer(({ url: path }, response) => {
    if (path === "/redirect") response.writeHead(302, { location: "/whole" }).end();
    if (path === "/whole") response.end("whole");
    if (path === "/part") response.writeHead(200, { "content-length": 100 }).write("part");
    if (path === "/broken") response.writeHead(200).write("part", () => response.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** A sender that has no patience. */
function hasty({ send }: Sender): Sender {
  return { send: request => send({ ...request, idleMs: 50 }) };
}

test("a redirect is an answer", async () => {
  expect((await readUrl(sendBy(fetch), `${url}/redirect`)).status).toBe(302);
  expect(new TextDecoder().decode((await readUrl(sendBy(fetch), `${url}/whole`)).body)).toBe("whole");
});

test.each(["/silent", "/part"])("who waits for more than is coming gives up: %s", async path => {
  const error = await failureOf(readUrl(hasty(sendBy(fetch)), url + path));
  expect(error).toMatchObject({ name: "Undecided", code: "no-answer" });
  expect(error).toMatchObject({ detail: { found: expect.stringContaining("nothing came for 0.05 s") } });
});

test("a response that breaks off is no answer", async () => {
  const error = await failureOf(readUrl(sendBy(fetch), `${url}/broken`));
  expect(error).toMatchObject({ name: "Undecided", code: "no-answer" });
});

test("nobody there is no answer, and the reason is told", async () => {
  const error = await failureOf(readUrl(sendBy(fetch), "http://127.0.0.1:1/"));
  expect(error).toMatchObject({
    code: "no-answer",
    detail: { found: expect.stringMatching(/fetch failed: ./) },
  });
});

test.each(["/silent", "/part"])("an aborted signal ends it with the signal's own reason: %s", async path => {
  const controller = new AbortController();
  const send: typeof fetch = async (input, init) => {
    setTimeout(() => controller.abort(new Error("enough")), 20);
    return fetch(input, init);
  };
  expect(await failureOf(readUrl(sendBy(send, controller.signal), url + path))).toBe(
    controller.signal.reason,
  );
});
