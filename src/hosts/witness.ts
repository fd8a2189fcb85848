// The witness as a process, on Node, Deno or Bun: HTTP in front, and all that it must remember in one folder. The
// folder is the witness: its key, its name, and what it has cosigned. Whoever loses it has another witness.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Witness } from "../../durable/witness.ts";
import { Undecided } from "../client/outcome.ts";
import type { WitnessAddress, WitnessSettings } from "../client/platform.ts";
import { importSigningKey } from "../receipt/key.ts";
import { ED25519_COSIGNATURE, formatVerifierKey, makeNoteKey } from "../tlog/note.ts";
import { makeSigningKey, readOrMake } from "./keys.ts";
import { untilToldToEnd } from "./signals.ts";
import { openSqlite } from "./sqlite.ts";

interface RunningWitness extends WitnessAddress {
  /** Answers what it was asked already, and ends. */
  stop(): Promise<void>;
}

/** The longest request that is read, in bytes: what C2SP tlog-witness lets a request need, and no more. */
const BODY_BYTES_MAX = 1024 * 1024;

/** How long a client may take to send its request, in ms. */
const REQUEST_WAIT_MS = 30_000;

/** Runs a witness until a signal tells it to end. @throws Undecided when it cannot begin. */
export async function serveWitness(
  settings: WitnessSettings,
  ready: (address: WitnessAddress) => Promise<void>,
): Promise<void> {
  const witness = await startWitness(settings).catch((error: Error) => {
    throw new Undecided("the witness cannot begin", { found: error.message });
  });
  const told = untilToldToEnd();
  await ready(witness);
  await told;
  await witness.stop();
}

/** Starts a witness. @throws Error when its folder holds another name, or the address is taken. */
async function startWitness({ state, name, logs, host, port }: WitnessSettings): Promise<RunningWitness> {
  const kept = (await readOrMake(join(state, "name"), async () => name)).trim();
  if (kept !== name) throw new Error(`the witness of ${state} is called "${kept}", not "${name}"`);
  const jwk = await readOrMake(join(state, "key.json"), makeSigningKey);
  const { publicKey, sign } = await importSigningKey(jwk, join(state, "key.json"));
  const key = makeNoteKey(name, ED25519_COSIGNATURE, publicKey);
  const sql = openSqlite(join(state, "cosigned.sqlite"));
  const witness = new Witness({ sql, signer: { key, sign }, logs, now: Date.now });
  const about = `${formatVerifierKey(key)}\n${logs.map(log => `${log.name}\n`).join("")}`;
  const server = createServer({ requestTimeout: REQUEST_WAIT_MS }, (request, response) => {
    answer(request, response, witness, about).catch(error => {
      console.error(error);
      end(response, 500, "text/plain; charset=utf-8", "The witness failed; ask again.\n");
    });
  });
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  return {
    url: `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`,
    key: formatVerifierKey(key),
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      await closed;
    },
  };
}

/** Anybody may ask: a request proves itself by the log's signature on the checkpoint that it is about. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  witness: Witness,
  about: string,
): Promise<void> {
  const text = "text/plain; charset=utf-8";
  const path = new URL(request.url ?? "/", "http://witness").pathname;
  if (path === "/" && request.method === "GET") return end(response, 200, text, about);
  if (path !== "/add-checkpoint")
    return end(response, 404, text, "POST /add-checkpoint is all there is here.\n");
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return end(response, 405, text, "Expected POST.\n");
  }
  const body = await readBody(request);
  if (body === undefined) return end(response, 413, text, `At most ${BODY_BYTES_MAX} bytes.\n`);
  const answered = await witness.addCheckpoint(body);
  end(response, answered.status, answered.type, answered.body);
}

/** The body of a request, or undefined when it is longer than any honest one. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function end(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
