// The baseline on Node, Deno and Bun: what is left of an exchange by Node's HTTP, which all three speak, and by the
// Web's URL. What is for one hop is not passed on, and everything else is, as it came.
import { Agent, createServer, request } from "node:http";

const upstream = new URL(process.argv[2]);
const agent = new Agent({ keepAlive: true });
const OPTIONS = { maxHeaderSize: 256 * 1024, requestTimeout: 0, keepAliveTimeout: 65_000 };
const HOP = ["connection", "keep-alive", "transfer-encoding", "upgrade", "expect", "host"];
const isWebSocket = ({ headers }) => headers.upgrade?.toLowerCase() === "websocket";

const server = createServer({ ...OPTIONS, shouldUpgradeCallback: isWebSocket })
  .on("request", pass)
  .on("checkContinue", (incoming, outgoing) => {
    outgoing.writeContinue();
    pass(incoming, outgoing);
  })
  .on("upgrade", (incoming, socket) => (isWebSocket(incoming) ? tunnel(incoming, socket) : socket.destroy()))
  .listen(0, "127.0.0.1", () => console.log(server.address().port));
server.maxHeadersCount = 0;

function pass(incoming, outgoing) {
  const headers = fieldsOf(incoming);
  if (incoming.headers["transfer-encoding"]) headers["transfer-encoding"] = "chunked";
  const up = ask(incoming, headers)
    .on("response", answer => {
      outgoing.writeHead(
        answer.statusCode,
        answer.statusMessage,
        Object.entries(fieldsOf(answer)).flatMap(each),
      );
      sendHead(outgoing);
      copy(answer, outgoing);
    })
    .on("upgrade", (_, socket) => {
      socket.destroy();
      outgoing.writeHead(502).end();
    })
    .on("error", () => outgoing.headersSent || outgoing.writeHead(502).end());
  outgoing.on("close", () => outgoing.writableFinished || up.destroy());
  if ("content-length" in headers || "transfer-encoding" in headers) {
    sendHead(up);
    copy(incoming, up);
  } else up.end();
}

/** What is no HTTP any more passes both ways as it is. */
function tunnel(incoming, socket) {
  const headers = { ...fieldsOf(incoming), connection: "upgrade", upgrade: "websocket" };
  ask(incoming, headers)
    .on("upgrade", (answer, other) => {
      writeHead(socket, answer);
      for (const [from, to] of [
        [socket, other],
        [other, socket],
      ]) {
        from.on("error", () => to.destroy()).on("close", () => to.destroy());
        from.pipe(to);
      }
    })
    .on("response", answer => {
      writeHead(socket, answer);
      answer.pipe(socket);
    })
    .on("error", () => socket.destroy())
    .end();
}

function ask({ method, url, headers: { host } }, headers) {
  const { origin, href } = new URL(url.startsWith("/") ? `http://${host}${url}` : url);
  const { hostname, port } = upstream;
  const path = href.slice(origin.length);
  const options = { agent, method, hostname, port, path, headers, maxHeaderSize: OPTIONS.maxHeaderSize };
  const up = request(options);
  // Deno would send it twice where a connection broke.
  return up.on("socket", () => {
    up.reusedSocket = false;
  });
}

/** Fields by name, each with all of its values. */
function fieldsOf({ rawHeaders }) {
  const fields = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    if (!HOP.includes(name))
      fields[name] = name in fields ? [fields[name], rawHeaders[i + 1]].flat() : rawHeaders[i + 1];
  }
  return fields;
}

function each([name, values]) {
  return [values].flat().flatMap(value => [name, value]);
}

function sendHead(message) {
  if ("bun" in process.versions) message.flushHeaders();
  else message.write(Buffer.alloc(0));
}

function writeHead(socket, { statusCode, statusMessage, rawHeaders }) {
  const lines = rawHeaders.flatMap((text, i) => (i % 2 === 0 ? `${text}: ${rawHeaders[i + 1]}\r\n` : []));
  socket.write(`HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join("")}\r\n`, "latin1");
}

/** Copies a body, piece by piece, and breaks the copy off where the original was. */
async function copy(source, sink) {
  const gone = new Promise(resolve => sink.once("close", resolve));
  try {
    for await (const piece of source.iterator({ destroyOnReturn: false })) {
      await Promise.race([gone, new Promise(resolve => sink.write(piece, resolve))]);
      if (sink.destroyed) return;
    }
    sink.end();
  } catch {
    sink.destroy();
  }
}
