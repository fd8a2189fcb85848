// Bodies: codings, ranges, every way to frame them, and sizes around the limits of what is held in one piece.
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { Body, Case } from "../case.ts";
import { chunked, fields, NO_BODY, noise, one, sized, untilClose } from "./make.ts";

const TEXT = Buffer.from("a text that is worth compressing, ".repeat(50));

const CODED: readonly (readonly [coding: string, bytes: Buffer])[] = [
  ["gzip", gzipSync(TEXT)],
  ["x-gzip", gzipSync(TEXT)],
  ["br", brotliCompressSync(TEXT)],
  ["deflate", deflateSync(TEXT)],
  ["zstd", zstdCompressSync(TEXT)],
  ["identity", TEXT],
  ["gzip, br", brotliCompressSync(gzipSync(TEXT))],
  ["GZIP", gzipSync(TEXT)],
  ["aes128gcm", noise(500)],
  ["an-unknown-coding", noise(500)],
];

const ACCEPT = fields("Accept-Encoding: gzip, deflate, br, zstd");

const CODINGS: Case[] = [
  ...CODED.flatMap(([coding, bytes]) =>
    [sized(bytes), chunked(bytes, [100])].map(body =>
      one(`coding ${coding}, ${body.framing}`, {
        request: { fields: ACCEPT },
        response: { fields: fields(`Content-Encoding: ${coding}`, "Vary: Accept-Encoding"), body },
      }),
    ),
  ),
  ...CODED.slice(0, 5).map(([coding, bytes]) =>
    one(`coding ${coding} to a client that did not ask for it`, {
      response: { fields: fields(`Content-Encoding: ${coding}`), body: sized(bytes) },
    }),
  ),
  ...CODED.slice(0, 5).map(([coding, bytes]) =>
    one(`coding ${coding} of a request`, {
      request: { method: "POST", fields: fields(`Content-Encoding: ${coding}`), body: sized(bytes) },
    }),
  ),
  ...["gzip", "br", "deflate", "zstd"].map(coding =>
    one(`coding ${coding} of bytes that are not`, {
      request: { fields: ACCEPT },
      response: { fields: fields(`Content-Encoding: ${coding}`), body: sized("no such coding") },
    }),
  ),
  one("coding gzip that is cut short", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Encoding: gzip"), body: sized(gzipSync(TEXT).subarray(0, 50)) },
  }),
  one("coding gzip of several members", {
    request: { fields: ACCEPT },
    response: {
      fields: fields("Content-Encoding: gzip"),
      body: sized(Buffer.concat([gzipSync("one"), gzipSync("two")])),
    },
  }),
  one("coding deflate without its wrapper", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Encoding: deflate"), body: sized(deflateRawSync(TEXT)) },
  }),
  one("coding gzip of an empty body", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Encoding: gzip"), body: sized("") },
  }),
  one("coding gzip of a HEAD response", {
    request: { method: "HEAD", fields: ACCEPT },
    response: { fields: fields("Content-Encoding: gzip"), body: sized(gzipSync(TEXT)) },
  }),
  one("coding gzip of a 304", {
    request: { fields: ACCEPT },
    response: { status: "304 Not Modified", fields: fields("Content-Encoding: gzip"), body: NO_BODY },
  }),
  one("coding gzip, longer than is held", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Encoding: gzip"), body: sized(gzipSync(noise(400_000))) },
  }),
  one("compressible text that is not compressed", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Type: text/html"), body: sized(TEXT) },
  }),
  one("compressible text in chunks that is not compressed", {
    request: { fields: ACCEPT },
    response: { fields: fields("Content-Type: text/html"), body: chunked(TEXT, [333]) },
  }),
];

const PARTS = Buffer.from(
  "--sep\r\nContent-Range: bytes 0-1/10\r\n\r\nab\r\n--sep\r\nContent-Range: bytes 4-5/10\r\n\r\nef\r\n--sep--\r\n",
);

const RANGES: Case[] = [
  one("range of the first bytes", {
    request: { fields: fields("Range: bytes=0-4") },
    response: {
      status: "206 Partial Content",
      fields: fields("Content-Range: bytes 0-4/100", "Accept-Ranges: bytes"),
      body: sized("01234"),
    },
  }),
  one("range of the last bytes", {
    request: { fields: fields("Range: bytes=-5") },
    response: {
      status: "206 Partial Content",
      fields: fields("Content-Range: bytes 95-99/*"),
      body: sized("56789"),
    },
  }),
  one("range of several parts", {
    request: { fields: fields("Range: bytes=0-1,4-5") },
    response: {
      status: "206 Partial Content",
      fields: fields("Content-Type: multipart/byteranges; boundary=sep"),
      body: sized(PARTS),
    },
  }),
  one("range of several parts, chunked", {
    request: { fields: fields("Range: bytes=0-1,4-5") },
    response: {
      status: "206 Partial Content",
      fields: fields('Content-Type: multipart/byteranges; boundary="sep"'),
      body: chunked(PARTS, [17]),
    },
  }),
  one("range that cannot be satisfied", {
    request: { fields: fields("Range: bytes=1000-") },
    response: {
      status: "416 Range Not Satisfiable",
      fields: fields("Content-Range: bytes */100"),
      body: sized(""),
    },
  }),
  one("range of an odd unit", { request: { fields: fields("Range: lines=1-2") } }),
  one("range of what is compressed", {
    request: { fields: [...ACCEPT, ...fields("Range: bytes=10-59")] },
    response: {
      status: "206 Partial Content",
      fields: fields("Content-Encoding: gzip", "Content-Range: bytes 10-59/70"),
      body: sized(gzipSync(TEXT).subarray(10, 60)),
    },
  }),
  one("range that is written with Content-Range", {
    request: { method: "PUT", fields: fields("Content-Range: bytes 0-4/5"), body: sized("01234") },
  }),
];

/** Up to 64 KiB of request and 256 KiB of response are handled in one piece. */
const SIZES = [1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_000_000];

const LONG: Case[] = SIZES.flatMap(size => {
  const bytes = noise(size);
  return [
    one(`${size} bytes down, with a length`, { response: { body: sized(bytes) } }),
    one(`${size} bytes down, chunked`, { response: { body: chunked(bytes, [10_007]) } }),
    one(`${size} bytes up, with a length`, { request: { method: "POST", body: sized(bytes) } }),
    one(`${size} bytes up, chunked`, { request: { method: "POST", body: chunked(bytes, [10_007]) } }),
    one(`${size} bytes both ways`, {
      request: { method: "PUT", body: sized(bytes, [4096]) },
      response: { body: sized(bytes, [5000]) },
    }),
  ];
});

const BODY = "a body in several pieces, of which some are odd";

/** Ways to frame the same body. */
const FRAMED: readonly (readonly [string, Body])[] = [
  ["chunks of one byte", chunked(BODY, [1])],
  ["chunks of odd sizes", chunked(BODY, [7, 1, 13, 2])],
  ["a chunk with an extension", chunked(BODY, [20], { extension: ';name="value"' })],
  ["chunks and trailers", chunked(BODY, [20], { trailers: fields("X-Checksum: abc", "X-Other: 1") })],
  ["no chunks", chunked("")],
  ["a length of 0", sized("")],
  ["a length, byte by byte", sized(BODY, [1])],
];

const FRAMINGS: Case[] = [
  ...FRAMED.flatMap(([name, body]) => [
    one(`framing of a request: ${name}`, { request: { method: "POST", body } }),
    one(`framing of a response: ${name}`, { response: { body } }),
    one(`framing of an error: ${name}`, { response: { status: "500 Internal Server Error", body } }),
  ]),
  one("framing of a request: announced trailers", {
    request: {
      method: "POST",
      fields: fields("Trailer: X-Checksum"),
      body: chunked(BODY, [20], { trailers: fields("X-Checksum: abc") }),
    },
  }),
  one("framing of a response: announced trailers", {
    request: { fields: fields("TE: trailers") },
    response: {
      fields: fields("Trailer: X-Checksum"),
      body: chunked(BODY, [20], { trailers: fields("X-Checksum: abc") }),
    },
  }),
  one("framing of a request: a GET with a length of 0", { request: { body: sized("") } }),
  one("framing of a request: a HEAD with a length of 0", { request: { method: "HEAD", body: sized("") } }),
  ...["GET", "HEAD"].flatMap(method =>
    [sized('{"query":{}}'), chunked('{"query":{}}', [5]), sized(noise(100_000)), chunked("")].map(body =>
      one(`framing of a request: ${method} with ${body.bytes.length} bytes, ${body.framing}`, {
        request: { method, body },
        instead: "400 Bad Request",
        ending: { stage: "rejected", error: /request with a body cannot be passed on/ },
      }),
    ),
  ),
  // Methods for which some clients frame no body unless they are told to.
  ...["DELETE", "OPTIONS", "PROPFIND"].map(method =>
    one(`framing of a request: chunks of a ${method}`, { request: { method, body: chunked(BODY, [20]) } }),
  ),
  one("framing of a request: a DELETE with a length of 0", {
    request: { method: "DELETE", body: sized("") },
  }),
  one("framing of a response: until the connection is closed", { response: { body: untilClose(BODY) } }),
  one("framing of a response: until the connection is closed, long", {
    response: { body: untilClose(noise(300_000)) },
  }),
  one("framing of a response: empty until the connection is closed", { response: { body: untilClose("") } }),
  one("framing of a response: 204 with a length of 0", {
    response: { status: "204 No Content", fields: fields("Content-Length: 0"), body: NO_BODY },
  }),
  one("framing of a response: the connection is closed after it", {
    response: { fields: fields("Connection: close"), body: sized(BODY) },
    upstream: async upstream => {
      await upstream.sendHead();
      await upstream.sendBody();
      upstream.end();
    },
  }),
];

export const BODIES: readonly Case[] = [...CODINGS, ...RANGES, ...LONG, ...FRAMINGS];
