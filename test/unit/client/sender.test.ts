// Sending by fetch, where the other side does not do its part: a real server, and the fetch of this Node.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeFailure } from "../../../src/client/outcome.ts";
import type { Sender } from "../../../src/client/platform.ts";
import { readUrl } from "../../../src/client/remote.ts";
import { sendBy } from "../../../src/client/sender.ts";
import { unanswered } from "../../../src/client/unanswered.ts";
import { send } from "../../../src/hosts/wire.ts";
import { hasOpenssl } from "../../tsa.ts";
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

const untrusted: [string, unknown][] = [
  ["Node and Bun, over HTTP as it stands", coded("certificate has expired", "CERT_HAS_EXPIRED")],
  [
    "Node, by fetch",
    new TypeError("fetch failed", { cause: coded("not its name", "ERR_TLS_CERT_ALTNAME_INVALID") }),
  ],
  [
    "Deno, by fetch",
    new TypeError("fetch failed", {
      cause: new Error("client error (Connect): invalid peer certificate: Expired"),
    }),
  ],
];
test.each(untrusted)("a certificate that is not trusted is told as such on %s", (_, error) => {
  expect(unanswered("https://api.example.com/", error)).toMatchObject({ code: "untrusted-host" });
});

test("no other failure is taken for that", () => {
  for (const error of [
    coded("asks for one", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    new Error("x"),
    "x",
  ])
    expect(unanswered("https://api.example.com/", error)).toMatchObject({ code: "no-answer" });
});

function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

test.skipIf(!hasOpenssl)("who shows a certificate of its own making gets no request", async () => {
  const folder = mkdtempSync(join(tmpdir(), "counterfoil-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"];
  const names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert];
  execFileSync("openssl", ["req", "-x509", ...kind, ...names], { stdio: "ignore" });
  let asked = 0;
  const options = { key: readFileSync(key), cert: readFileSync(cert) };
  const secure = createSecureServer(options, (_, response) => response.end(`${++asked}`)).listen(
    0,
    "localhost",
  );
  await once(secure, "listening");
  try {
    for (const sender of [sendBy(fetch), { send }]) {
      const at = `https://localhost:${(secure.address() as AddressInfo).port}/`;
      const error = await failureOf(readUrl(sender, at));
      expect(describeFailure(error)).toMatchObject({
        outcome: "undecided",
        code: "untrusted-host",
        message: `who answers at ${at} is not trusted`,
        found: expect.stringContaining("self-signed"),
      });
    }
    expect(asked).toBe(0);
  } finally {
    secure.close();
    rmSync(folder, { recursive: true });
  }
});
