// Exchanges in which the order of events matters: streams, slow sides, answers that come early, interim responses.
import type { Case, ClientSide, UpstreamSide } from "../case.ts";
import { formatChunk, formatHead, formatLastChunk } from "../wire.ts";
import { chunked, fields, noise, one, sized, untilClose } from "./make.ts";

const EVENTS = [
  "data: one\n\n",
  "id: 2\ndata: two\ndata: more\n\n",
  ": a comment\n\n",
  "event: x\ndata: 3\n\n",
];

/** Sends one piece after the other, each when the client has got the one before. */
async function drip(upstream: UpstreamSide, pieces: readonly (string | Buffer)[], chunks: boolean) {
  await upstream.request.ended;
  await upstream.sendHead();
  for (const [i, piece] of pieces.entries()) {
    await upstream.send(chunks ? formatChunk(piece) : Buffer.from(piece));
    await upstream.meeting.wait(`piece ${i}`);
  }
  if (chunks) await upstream.send(formatLastChunk());
}

/** Asks, and says of each piece when it has come. */
async function sip(client: ClientSide, pieces: readonly (string | Buffer)[]) {
  await client.sendHead();
  await client.sendBody();
  await client.answered;
  let size = 0;
  for (const [i, piece] of pieces.entries()) {
    size += piece.length;
    await client.response.atLeast(size);
    client.meeting.reach(`piece ${i}`);
  }
}

const HALVES = [noise(200_000), noise(200_000)];
const WHOLE = Buffer.concat(HALVES);

const DOWN: Case[] = [
  one("flow down: events one by one", {
    request: { fields: fields("Accept: text/event-stream") },
    response: {
      fields: fields("Content-Type: text/event-stream", "Cache-Control: no-cache"),
      body: chunked(EVENTS.join("")),
    },
    upstream: upstream => drip(upstream, EVENTS, true),
    client: client => sip(client, EVENTS),
  }),
  one("flow down: events one by one, until the connection is closed", {
    response: { fields: fields("Content-Type: text/event-stream"), body: untilClose(EVENTS.join("")) },
    upstream: async upstream => {
      await drip(upstream, EVENTS, false);
      upstream.end();
    },
    client: client => sip(client, EVENTS),
  }),
  one("flow down: events character by character", {
    response: { fields: fields("Content-Type: text/event-stream"), body: chunked(EVENTS.join("")) },
    upstream: upstream => drip(upstream, [...EVENTS.join("")], true),
    client: client => sip(client, [...EVENTS.join("")]),
  }),
  one("flow down: events in answer to a POST", {
    request: { method: "POST", body: sized("{}"), fields: fields("Accept: text/event-stream") },
    response: { fields: fields("Content-Type: text/event-stream"), body: chunked(EVENTS.join("")) },
    upstream: upstream => drip(upstream, EVENTS, true),
    client: client => sip(client, EVENTS),
  }),
  one("flow down: lines of JSON one by one", {
    response: { fields: fields("Content-Type: application/x-ndjson"), body: chunked('{"a":1}\n{"a":2}\n') },
    upstream: upstream => drip(upstream, ['{"a":1}\n', '{"a":2}\n'], true),
    client: client => sip(client, ['{"a":1}\n', '{"a":2}\n']),
  }),
  one("flow down: a long body with a length, half by half", {
    response: { body: sized(WHOLE) },
    upstream: upstream => drip(upstream, HALVES, false),
    client: client => sip(client, HALVES),
  }),
  one("flow down: the head long before the body", {
    response: { body: chunked("late") },
    upstream: async upstream => {
      await upstream.sendHead();
      await upstream.meeting.wait("head");
      await upstream.sendBody();
    },
    client: async client => {
      await client.sendHead();
      await client.answered;
      client.meeting.reach("head");
    },
  }),
  one("flow down: the head byte by byte", {
    upstream: async upstream => {
      const head = formatHead("HTTP/1.1 200 OK", fields("Content-Length: 2", "X-Slow: 1"));
      for (const byte of head) await upstream.send(Buffer.of(byte));
      await upstream.send(Buffer.from("ok"));
    },
  }),
  one("flow down: a chunk in pieces of one byte", {
    response: { body: chunked("chunk") },
    upstream: async upstream => {
      await upstream.sendHead();
      for (const byte of Buffer.concat([formatChunk("chunk"), formatLastChunk()])) {
        await upstream.send(Buffer.of(byte));
      }
    },
  }),
];

/** Reads the request in two steps, and answers when all of it has come. */
async function readHalves(upstream: UpstreamSide) {
  await upstream.request.atLeast(HALVES[0]!.length);
  upstream.meeting.reach("half");
  await upstream.request.ended;
  await upstream.sendHead();
  await upstream.sendBody();
}

const UP: Case[] = [
  one("flow up: a long body with a length, half by half", {
    request: { method: "POST", body: sized(WHOLE) },
    upstream: readHalves,
    client: async client => {
      await client.sendHead();
      await client.send(HALVES[0]!);
      await client.meeting.wait("half");
      await client.send(HALVES[1]!);
    },
  }),
  one("flow up: a chunked body, half by half", {
    request: { method: "POST", body: chunked(WHOLE) },
    upstream: readHalves,
    client: async client => {
      await client.sendHead();
      await client.send(formatChunk(HALVES[0]!));
      await client.meeting.wait("half");
      await client.send(formatChunk(HALVES[1]!), formatLastChunk());
    },
  }),
  one("flow up: short chunks, each when the one before has come", {
    request: { method: "POST", body: chunked("onetwothree") },
    upstream: async upstream => {
      for (const [i, size] of [3, 6, 11].entries()) {
        await upstream.request.atLeast(size);
        upstream.meeting.reach(`chunk ${i}`);
      }
      await upstream.request.ended;
      await upstream.sendHead();
      await upstream.sendBody();
    },
    client: async client => {
      await client.sendHead();
      for (const [i, chunk] of ["one", "two", "three"].entries()) {
        await client.send(formatChunk(chunk));
        await client.meeting.wait(`chunk ${i}`);
      }
      await client.send(formatLastChunk());
    },
  }),
  one("flow up: a short body with a length, byte by byte", {
    request: { method: "POST", body: sized("slow body", [1]) },
  }),
  one("flow up: a head byte by byte", {
    client: async client => {
      for (const byte of client.head) await client.send(Buffer.of(byte));
    },
  }),
];

/** Answers as soon as the head has come. */
async function answerEarly(upstream: UpstreamSide) {
  await upstream.sendHead();
  await upstream.sendBody();
  await upstream.request.ended;
}

/** Sends the body when the answer to the head has come. */
async function sendLate(client: ClientSide) {
  await client.sendHead();
  await client.answered;
  await client.response.ended;
  await client.sendBody();
}

const EARLY: Case[] = [
  ...[sized("short"), chunked("short"), sized(WHOLE), chunked(WHOLE, [50_000])].map(body =>
    one(`flow early: an answer before ${body.bytes.length} bytes of request are read, ${body.framing}`, {
      request: { method: "POST", body },
      response: { status: "401 Unauthorized" },
      upstream: answerEarly,
      ...(body.bytes.length === WHOLE.length && { mayLoseRequest: true }),
    }),
  ),
  ...[sized(WHOLE), chunked(WHOLE, [50_000]), chunked("short")].map(body =>
    one(`flow early: ${body.bytes.length} bytes of request after the answer, ${body.framing}`, {
      request: { method: "POST", body },
      response: { body: chunked("the answer") },
      upstream: answerEarly,
      client: sendLate,
    }),
  ),
  one("flow early: an echo, chunk by chunk", {
    request: { method: "POST", body: chunked("onetwothree") },
    response: { body: chunked("onetwothree") },
    upstream: async upstream => {
      await upstream.sendHead();
      for (const [size, chunk] of [
        [3, "one"],
        [6, "two"],
        [11, "three"],
      ] as const) {
        await upstream.request.atLeast(size);
        await upstream.send(formatChunk(chunk));
      }
      await upstream.request.ended;
      await upstream.send(formatLastChunk());
    },
    client: async client => {
      await client.sendHead();
      for (const [size, chunk] of [
        [3, "one"],
        [6, "two"],
        [11, "three"],
      ] as const) {
        await client.send(formatChunk(chunk));
        await client.response.atLeast(size);
      }
      await client.send(formatLastChunk());
    },
  }),
];

/** Waits for leave to send the body, as a client does that has said that it expects it. */
async function sendWhenAsked(client: ClientSide) {
  await client.sendHead();
  await Promise.race([client.interim, client.answered]);
  await client.sendBody();
}

const EXPECTING: Case[] = [
  one("flow with Expect: 100-continue, the body when it is asked for", {
    request: { method: "POST", fields: fields("Expect: 100-continue"), body: sized("expected") },
    client: sendWhenAsked,
  }),
  one("flow with Expect: 100-continue, a long chunked body when it is asked for", {
    request: { method: "PUT", fields: fields("Expect: 100-continue"), body: chunked(WHOLE, [30_000]) },
    client: sendWhenAsked,
  }),
  one("flow with Expect: 100-continue, the body at once", {
    request: { method: "POST", fields: fields("Expect: 100-continue"), body: sized("unasked") },
  }),
  one("flow with Expect: 100-continue and no body", { request: { fields: fields("Expect: 100-continue") } }),
];

/** Sends interim responses before the final one. */
function interim(...heads: readonly Buffer[]) {
  return async (upstream: UpstreamSide) => {
    await upstream.request.ended;
    await upstream.send(...heads);
    await upstream.sendHead();
    await upstream.sendBody();
  };
}

const INTERIM: Case[] = [
  one("flow with 100 Continue, unasked", { upstream: interim(formatHead("HTTP/1.1 100 Continue", [])) }),
  one("flow with 102 Processing twice", {
    upstream: interim(
      formatHead("HTTP/1.1 102 Processing", []),
      formatHead("HTTP/1.1 102 Processing", fields("X-Progress: 1")),
    ),
  }),
  one("flow with 103 Early Hints", {
    upstream: interim(formatHead("HTTP/1.1 103 Early Hints", fields("Link: </a.css>; rel=preload"))),
  }),
];

export const FLOWS: readonly Case[] = [...DOWN, ...UP, ...EARLY, ...EXPECTING, ...INTERIM];
