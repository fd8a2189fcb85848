// The upstream of the proxy's bench, as a process of its own: it reads what it is sent and answers 1 KiB of JSON.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ANSWER, HOST } from "./exchanges.ts";

const headers = { "content-type": "application/json", "content-length": ANSWER.length };

const server = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(200, headers).end(ANSWER));
});
server.listen(0, HOST, () => process.send!((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
