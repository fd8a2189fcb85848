// The least that passes an HTTP exchange through Node's own HTTP, which Deno and Bun speak as well: what the edge is
// measured against on these three.
import { Agent, createServer, request } from "node:http";

const [listen, upstream] = process.argv.slice(2).map(text => new URL(text)) as [URL, URL];
const { hostname, port } = upstream;
const agent = new Agent({ keepAlive: true });

const server = createServer((incoming, outgoing) => {
  const { method, url, headers } = incoming;
  const up = request({ agent, hostname, port, method, path: url, headers }, answer => {
    outgoing.writeHead(answer.statusCode!, answer.headers);
    answer.pipe(outgoing);
  });
  up.on("error", () => outgoing.destroy());
  incoming.pipe(up);
});
server.listen(Number(listen.port), listen.hostname);
