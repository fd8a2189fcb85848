// Exchanges that somebody breaks off, at every moment, and answers that are not HTTP. One ending each, that says which side.
import type { Body, Case, Ending, UpstreamSide } from "../case.ts";
import { formatChunk, formatHead } from "../wire.ts";
import { chunked, fields, noise, one, sized, untilClose } from "./make.ts";

const CLIENT: Ending = { stage: "aborted", error: /^the client (went away|broke off its request)$/ };
const UPSTREAM: Ending = { stage: "failed", error: /^the upstream ended its response too early$/ };

const LONG = noise(400_000);

/** Sends what it has, and then goes on until nobody reads it any more, or waits for that. */
async function streamUntilGone(upstream: UpstreamSide, first: Buffer, more: Buffer | undefined) {
  await upstream.request.ended;
  await upstream.sendHead();
  await upstream.send(first);
  if (more !== undefined) await upstream.sendUntilGone(more);
  await upstream.gone;
}

const CLIENT_LEAVES: Case[] = [
  one("break: the client leaves while the upstream is silent", {
    upstream: async upstream => {
      await upstream.request.ended;
      upstream.meeting.reach("asked");
      await upstream.gone;
    },
    client: async client => {
      await client.sendHead();
      await client.meeting.wait("asked");
      client.cut();
    },
    ending: CLIENT,
  }),
  ...[sized("0123456789"), sized(LONG), chunked("0123456789"), chunked(LONG)].map(body =>
    one(`break: the client leaves within ${body.bytes.length} bytes of request, ${body.framing}`, {
      request: { method: "POST", fields: fields("Expect: 100-continue"), body },
      upstream: async upstream => {
        await upstream.gone;
      },
      client: async client => {
        await client.sendHead();
        // Once it is asked for, a worker has the request: of a reset before that, nobody would hear.
        await Promise.race([client.interim, client.answered]);
        const half = body.bytes.subarray(0, body.bytes.length / 2);
        await client.send(body.framing === "chunked" ? formatChunk(half) : half);
        client.cut();
      },
      requestIsCut: true,
      ending: CLIENT,
    }),
  ),
  ...(
    [
      ["a stream of events", chunked("data: x\n\n"), true],
      ["a stream of events that has fallen silent", chunked("data: x\n\n"), false],
      ["a long body", sized(LONG), false],
      ["a body until the connection is closed", untilClose("data: x\n\n"), true],
    ] as [string, Body, boolean][]
  ).map(([what, body, goesOn]) =>
    one(`break: the client leaves within ${what}`, {
      response: { fields: fields("Content-Type: text/event-stream"), body },
      upstream: upstream => {
        const piece = body.framing === "chunked" ? formatChunk("data: x\n\n") : Buffer.from("data: x\n\n");
        return streamUntilGone(upstream, piece, goesOn ? piece : undefined);
      },
      client: async client => {
        await client.sendHead();
        await client.response.atLeast("data: x\n\n".length);
        client.cut();
      },
      leavesAfter: "data: x\n\n".length,
      ending: CLIENT,
    }),
  ),
  one("break: the client closes its connection in good order within a stream of events", {
    response: { fields: fields("Content-Type: text/event-stream"), body: chunked("data: x\n\n") },
    upstream: upstream => streamUntilGone(upstream, formatChunk("data: x\n\n"), formatChunk("data: x\n\n")),
    client: async client => {
      await client.sendHead();
      await client.response.atLeast("data: x\n\n".length);
      client.close();
    },
    leavesAfter: "data: x\n\n".length,
    ending: CLIENT,
  }),
];

const HOW: readonly (readonly [string, (upstream: UpstreamSide) => void])[] = [
  ["closes", upstream => upstream.end()],
  ["resets", upstream => upstream.cut()],
];

/** Sends part of a response, and breaks off when the client has got it. */
function partly(bytes: Buffer, leave: (upstream: UpstreamSide) => void) {
  return {
    upstream: async (upstream: UpstreamSide) => {
      await upstream.request.ended;
      await upstream.sendHead();
      await upstream.send(bytes);
      await upstream.meeting.wait("part");
      leave(upstream);
    },
  };
}

const UPSTREAM_LEAVES: Case[] = HOW.flatMap(([how, leave]) => [
  one(`break: the upstream ${how} its connection without an answer`, {
    upstream: async upstream => {
      await upstream.request.ended;
      leave(upstream);
    },
    instead: "502 Bad Gateway",
    ending: { stage: "failed", error: /^no answer came from / },
  }),
  one(`break: the upstream ${how} its connection within the head`, {
    upstream: async upstream => {
      await upstream.request.ended;
      await upstream.send(Buffer.from("HTTP/1.1 200 OK\r\nX-Cut: 1"));
      leave(upstream);
    },
    instead: "502 Bad Gateway",
    ending: { stage: "failed", error: /^no answer came from / },
  }),
  one(`break: the upstream ${how} its connection within a body that is held`, {
    response: { body: sized("held back") },
    upstream: async upstream => {
      await upstream.request.ended;
      await upstream.sendHead();
      await upstream.send(Buffer.from("held"));
      leave(upstream);
    },
    instead: "502 Bad Gateway",
    ending: { stage: "failed", error: /^the upstream did not send what it announced$/ },
  }),
  ...(
    [
      ["a long body", sized(LONG), LONG.subarray(0, 1000)],
      ["a chunked body, between chunks", chunked("0123456789"), formatChunk("01234")],
      ["a chunk", chunked("0123456789"), formatChunk("0123456789").subarray(0, 8)],
      [
        "the end of a chunked body",
        chunked("0123456789"),
        Buffer.concat([formatChunk("0123456789"), Buffer.from("0\r\n")]),
      ],
    ] as [string, Body, Buffer][]
  ).map(([what, body, bytes]) =>
    one(`break: the upstream ${how} its connection within ${what}`, {
      response: { body },
      ...partly(bytes, leave),
      client: async client => {
        await client.sendHead();
        await client.response.atLeast(body.framing === "length" ? 1000 : 5);
        client.meeting.reach("part");
      },
      ending: UPSTREAM,
    }),
  ),
]);

/** Answers with these bytes, and closes. */
function answerWith(head: string) {
  return async (upstream: UpstreamSide) => {
    await upstream.request.ended;
    await upstream.send(Buffer.from(head, "latin1"));
    upstream.end();
  };
}

const MALFORMED: Case[] = (
  [
    ["is no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ["has a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"],
    ["has a status that is no number", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"],
    ["has status 999", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"],
    [
      "has status 101 unasked",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
    ["has a field without a colon", "HTTP/1.1 200 OK\r\nNo colon here\r\nContent-Length: 0\r\n\r\n"],
    ["folds a field", "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok"],
    ["has a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
    ["has a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"],
    ["has a NUL in a field", "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n"],
    [
      "sends more than it announced with chunks and a length",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
  ] as [string, string][]
).map(([name, head]) =>
  one(`malformed: an answer that ${name}`, {
    upstream: answerWith(head),
    instead: "502 Bad Gateway",
    ending: { stage: "failed", error: /./ },
  }),
);

const ODD: Case[] = (
  [
    ["the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    ["HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\nok"],
    ["bare line feeds", "HTTP/1.1 200 OK\nX-Bare: 1\nContent-Length: 2\n\nok"],
    ["more than it announced", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore"],
    [
      "upper-case chunk sizes",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
    ],
    ["no space after colons", "HTTP/1.1 200 OK\r\nX-Tight:1\r\nContent-Length:2\r\n\r\nok"],
    ["spaces around values", "HTTP/1.1 200 OK\r\nX-Wide:   1 \t \r\nContent-Length:  2 \r\n\r\nok"],
    ["no reason and no space", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"],
  ] as [string, string][]
).map(([name, head]) => one(`odd: an answer with ${name}`, { upstream: answerWith(head) }));

const HEADS: Case[] = [
  one("odd: a request with a body that nobody announced", {
    request: { method: "POST", fields: fields("Content-Type: text/plain") },
  }),
  one("odd: an interim response and then the end", {
    upstream: async upstream => {
      await upstream.request.ended;
      await upstream.send(formatHead("HTTP/1.1 103 Early Hints", []));
      upstream.end();
    },
    instead: "502 Bad Gateway",
    ending: { stage: "failed", error: /^no answer came from / },
  }),
];

export const BREAKS: readonly Case[] = [...CLIENT_LEAVES, ...UPSTREAM_LEAVES, ...MALFORMED, ...ODD, ...HEADS];
