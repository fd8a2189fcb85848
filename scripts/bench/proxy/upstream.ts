// The upstream of the benches with proxies, as a process of its own: it reads what it is sent, compares it with what
// the load generator has sent, and answers 1 KiB of JSON.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { ANSWER, HOST, makeExchange, numberOf } from "./exchanges.ts";

const NOTHING = Buffer.alloc(0);
const headers = { "content-type": "application/json", "content-length": ANSWER.length };

const server = createServer(async (request, response) => {
  const { method, path, body } = makeExchange(numberOf(request.url!));
  const came = await buffer(request);
  const isWhole = request.method === method && request.url === path && came.equals(body ?? NOTHING);
  if (isWhole) response.writeHead(200, headers).end(ANSWER);
  else response.writeHead(500).end("the request is not what was sent");
});
server.listen(0, HOST, () => process.send!((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
