// An exchange on bare sockets: a client and an upstream that play a case, and what each of them saw of the other
// through whatever stands between them.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Case, ClientSide, formatBody, framingOf, Meeting, UpstreamSide } from "./case.ts";
import { type End, type Field, fieldOf, formatHead, type Head, Incoming, Reader } from "./wire.ts";

/** The request field that tells the upstream which case is played. */
export const CASE_FIELD = "x-case";

/** A message as it was received; nothing is judged yet. */
export interface Seen {
  readonly line: string;
  readonly fields: readonly Field[];
  readonly body: Buffer;
  readonly trailers: readonly Field[];
  readonly end: End;
}

export interface SeenResponse extends Seen {
  /** The status lines of the interim responses before it. */
  readonly interim: readonly string[];
}

/** What both ends saw. A side that saw nothing has no message. */
export interface Outcome {
  readonly client: SeenResponse | undefined;
  readonly upstream: readonly Seen[];
}

/** An upstream that plays cases, and remembers what came to it. */
export class Upstream {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #plays = new Map<string, { play: Case; meeting: Meeting; seen: Promise<Seen>[] }>();
  /** Errors of the cases' functions, by case. */
  readonly faults = new Map<string, unknown>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", socket => {
      this.#sockets.add(socket);
      // Each exchange on a kept connection adds its own.
      socket.setMaxListeners(0);
      socket.on("error", () => {}).once("close", () => this.#sockets.delete(socket));
      this.#serve(socket);
    });
  }

  static async start(): Promise<Upstream> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Upstream(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Makes a case known, before its request comes. */
  expect(play: Case): Meeting {
    const meeting = new Meeting();
    this.#plays.set(play.name, { play, meeting, seen: [] });
    return meeting;
  }

  /** What came for a case, once all of it has. */
  seen(name: string): Promise<Seen[]> {
    return Promise.all(this.#plays.get(name)!.seen);
  }

  async #serve(socket: Socket): Promise<void> {
    const reader = new Reader(socket);
    for (let next = reader.head(); ; ) {
      const head = await next;
      if (head === undefined) break;
      const name = fieldOf(head, CASE_FIELD);
      const known = name === undefined ? undefined : this.#plays.get(name);
      if (known === undefined) return void socket.destroy();
      const body = new Incoming();
      known.seen.push(collect(head, body));
      next = reader.body(head, "request", body).then(() => reader.head());
      const gone = next.then(another => (another === undefined ? undefined : new Promise<void>(() => {})));
      const side = new UpstreamSide(socket, known.meeting, { head, body }, gone, known.play.response);
      await (known.play.upstream ?? answer)(side).catch(error => {
        this.faults.set(name!, error);
        socket.destroy();
      });
    }
    socket.end();
  }
}

/** What an upstream does unless its case says otherwise. */
async function answer(upstream: UpstreamSide): Promise<void> {
  if ((await upstream.request.ended) === "cut") return upstream.cut();
  await upstream.sendHead();
  await upstream.sendBody();
}

/** Plays a case through what listens at `url` and passes on to the upstream. */
export async function play(name: Case, url: URL, upstream: Upstream): Promise<Outcome> {
  const meeting = upstream.expect(name);
  const socket = connect({
    port: Number(url.port),
    host: url.hostname,
    allowHalfOpen: true,
    noDelay: true,
  }).on("error", () => {});
  await once(socket, "connect");
  const interim: string[] = [];
  const body = new Incoming();
  const asked = Promise.withResolvers<void>();
  const head = receive(new Reader(socket), name.request.method, body, line => {
    interim.push(line);
    asked.resolve();
  });
  const { method, target, fields, body: sent } = name.request;
  const request = {
    head: formatHead(`${method} ${target} HTTP/1.1`, [
      ["Host", url.host],
      [CASE_FIELD, name.name],
      ...fields,
      ...framingOf(sent),
    ]),
    body: formatBody(sent),
  };
  const client = new ClientSide(socket, meeting, request, { interim: asked.promise, head, body });
  await (name.client ?? ask)(client);
  const answered = await head;
  const message = answered && (await collect(answered, body));
  socket.destroy();
  return { client: message && { ...message, interim }, upstream: await upstream.seen(name.name) };
}

/** What a client does unless its case says otherwise. */
async function ask(client: ClientSide): Promise<void> {
  await client.sendHead();
  await client.sendBody();
}

/** Reads a response; its head is known before its body. */
async function receive(
  reader: Reader,
  method: string,
  body: Incoming,
  interim: (line: string) => void,
): Promise<Head | undefined> {
  for (;;) {
    const head = await reader.head();
    if (head === undefined) return undefined;
    const status = Number(head.line.split(" ")[1]);
    if (status < 200) interim(head.line);
    else {
      if (method === "HEAD" || status === 204 || status === 304) body.finish("whole");
      else reader.body(head, "response", body);
      return head;
    }
  }
}

async function collect({ line, fields }: Head, body: Incoming): Promise<Seen> {
  const end = await body.ended;
  return { line, fields, body: body.bytes, trailers: body.trailers, end };
}
