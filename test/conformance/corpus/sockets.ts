// WebSockets: messages of every kind and size both ways, and every way in which one ends.
import type { Message, Peer, SocketCase } from "../sockets.ts";
import { noise } from "./make.ts";

/** Closes in good order, once the other side has got what was sent. */
async function closeAfter(client: Peer, upstream: Peer, up: number, down: number) {
  await Promise.all([upstream.got(up), client.got(down)]);
  client.socket.close(1000, "done");
}

const SENT: [string, Message[]][] = [
  ["a text", ["grüße 🎫 \u0000 \ufeff \u2028"]],
  ["an empty text", [""]],
  ["a binary", [Buffer.from([0, 255, 128, 10])]],
  ["an empty binary", [Buffer.alloc(0)]],
  ["all kinds in turn", ["a", Buffer.of(1), "", Buffer.alloc(0), "b", Buffer.of(2)]],
  ...[125, 126, 65_535, 65_536, 1024 * 1024].flatMap((size): [string, Message[]][] => [
    [`a binary of ${size} bytes`, [noise(size)]],
    [`a text of ${size} bytes`, ["ü".repeat(size / 2) + "x".repeat(size % 2)]],
  ]),
  ["500 short ones", Array.from({ length: 500 }, (_, i) => (i % 2 ? `message ${i}` : Buffer.of(i & 255)))],
];

const MESSAGES: SocketCase[] = SENT.flatMap(([what, messages]) => [
  {
    name: `${what}, up`,
    async play(client, upstream) {
      client.send(...messages);
      await closeAfter(client, upstream, messages.length, 0);
    },
  },
  {
    name: `${what}, down`,
    async play(client, upstream) {
      upstream.send(...messages);
      await closeAfter(client, upstream, 0, messages.length);
    },
  },
  {
    name: `${what}, both ways at once`,
    async play(client, upstream) {
      for (const message of messages) {
        client.send(message);
        upstream.send(message);
      }
      await closeAfter(client, upstream, messages.length, messages.length);
    },
  },
]);

const FRAMES: [string, Message[]][] = [
  ["a text in three frames", ["one, ", "two, ", "three"]],
  ["a text with empty frames", ["", "text", "", ""]],
  ["a binary in many frames", Array.from({ length: 100 }, (_, i) => Buffer.alloc(1000, i))],
  ["a character that is cut in two", ["x", "\u00e9"]],
];

const FRAGMENTS: SocketCase[] = FRAMES.flatMap(([what, frames]) => [
  {
    name: `${what}, up`,
    async play(client, upstream) {
      client.sendFrames(...frames);
      client.send("another");
      await closeAfter(client, upstream, 2, 0);
    },
  },
  {
    name: `${what}, down`,
    async play(client, upstream) {
      upstream.sendFrames(...frames);
      upstream.send("another");
      await closeAfter(client, upstream, 0, 2);
    },
  },
]);

const PROTOCOLS: SocketCase[] = [[], ["chat"], ["chat", "other.v2"]].map(protocols => ({
  name: `${protocols.length} subprotocols`,
  protocols,
  async play(client, upstream) {
    client.send("x");
    await closeAfter(client, upstream, 1, 0);
  },
}));

const CODES: [code: number | undefined, reason?: string][] = [
  [undefined],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999].map(
    (code): [number, string] => [code, `because of ${code}`],
  ),
  [1000],
  [4000, "ü".repeat(61)],
];

const CLOSES: SocketCase[] = CODES.flatMap(([code, reason]) =>
  (["client", "upstream"] as const).map(by => ({
    name: `close by the ${by} with ${code ?? "no code"}${reason === undefined ? ", no reason" : `, ${reason}`}`,
    async play(client: Peer, upstream: Peer) {
      client.send("up");
      upstream.send("down");
      await Promise.all([upstream.got(1), client.got(1)]);
      ({ client, upstream })[by].socket.close(code, reason);
    },
  })),
);

const ENDS: SocketCase[] = [
  {
    name: "what was sent before a close by the upstream",
    async play(_, upstream) {
      for (let i = 0; i < 100; i++) upstream.send(`${i}`);
      upstream.socket.close(1000);
    },
  },
  {
    name: "what was sent before a close by the client",
    async play(client) {
      for (let i = 0; i < 100; i++) client.send(`${i}`);
      client.socket.close(1000);
    },
  },
];

/** Here the platform alone leaves the other side with nothing, and the edge with a close that says why. */
export const BREAKS: readonly SocketCase[] = [
  {
    name: "an end without a close by the client",
    async play(client, upstream) {
      client.send("up");
      await upstream.got(1);
      client.socket.terminate();
    },
    ending: { stage: "aborted", error: "the client went away" },
    hears: { upstream: [1001, "the client went away"] },
  },
  {
    name: "an end without a close by the upstream",
    async play(client, upstream) {
      upstream.send("down");
      await client.got(1);
      upstream.socket.terminate();
    },
    ending: { stage: "failed", error: "the upstream broke off" },
    hears: { client: [1014, "the upstream broke off"] },
  },
];

export const SOCKETS: readonly SocketCase[] = [...MESSAGES, ...FRAGMENTS, ...PROTOCOLS, ...CLOSES, ...ENDS];
