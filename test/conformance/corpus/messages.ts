// Methods, statuses, fields, targets: heads of every shape, with the bodies that go with them.
import type { Case } from "../case.ts";
import { chunked, fields, NO_BODY, noise, one, sized } from "./make.ts";

const METHODS: Case[] = [
  ...["GET", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "PROPFIND", "REPORT", "PURGE", "MKCOL", "LOCK"].map(
    method => one(`method ${method} without a body`, { request: { method } }),
  ),
  ...["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"].map(method =>
    one(`method ${method} with a body`, { request: { method, body: sized(`a body for ${method}`) } }),
  ),
  one("method HEAD of what has a length", { request: { method: "HEAD" } }),
  one("method HEAD of what is chunked", { request: { method: "HEAD" }, response: { body: chunked("x") } }),
  one("method HEAD of what says nothing of its length", {
    request: { method: "HEAD" },
    response: { body: NO_BODY, fields: fields('ETag: "x"', "Connection: close") },
    upstream: async upstream => {
      await upstream.sendHead();
      upstream.end();
    },
  }),
  one("method HEAD of an empty body", { request: { method: "HEAD" }, response: { body: sized("") } }),
  one("method HEAD answered with 404", {
    request: { method: "HEAD" },
    response: { status: "404 Not Found" },
  }),
];

/** No platform knows all of these. */
const ODD_METHODS = ["FOO", "get", "M-SEARCH", "X!#$%&'*+-.^_`|~0"].map((method, i) =>
  one(`method ${method}`, { request: { method, target: `/odd-method-${i}` } }),
);

const STATUSES: Case[] = [
  ...[
    "200 OK",
    "201 Created",
    "202 Accepted",
    "203 Non-Authoritative Information",
    "206 Partial Content",
    "207 Multi-Status",
    "208 Already Reported",
    "226 IM Used",
    "299 Whatever",
    "400 Bad Request",
    "401 Unauthorized",
    "402 Payment Required",
    "403 Forbidden",
    "404 Not Found",
    "405 Method Not Allowed",
    "406 Not Acceptable",
    "409 Conflict",
    "410 Gone",
    "411 Length Required",
    "412 Precondition Failed",
    "413 Content Too Large",
    "415 Unsupported Media Type",
    "416 Range Not Satisfiable",
    "418 I'm a teapot",
    "421 Misdirected Request",
    "422 Unprocessable Content",
    "425 Too Early",
    "428 Precondition Required",
    "429 Too Many Requests",
    "431 Request Header Fields Too Large",
    "451 Unavailable For Legal Reasons",
    "499 Client Closed Request",
    "500 Internal Server Error",
    "501 Not Implemented",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "505 HTTP Version Not Supported",
    "507 Insufficient Storage",
    "511 Network Authentication Required",
    "599 Out Of Range",
  ].map(status => one(`status ${status}`, { response: { status } })),
  one("status 204 without a body", { response: { status: "204 No Content", body: NO_BODY } }),
  one("status 205 with an empty body", { response: { status: "205 Reset Content", body: sized("") } }),
  one("status 304 without a length", {
    response: { status: "304 Not Modified", body: NO_BODY, fields: fields('ETag: "x"') },
  }),
  one("status 304 with the length of what it stands for", {
    response: {
      status: "304 Not Modified",
      body: NO_BODY,
      fields: fields("Content-Length: 1234", 'ETag: "x"'),
    },
  }),
  one("a status text of its own", { response: { status: "200 All Is Well, Really" } }),
  one("no status text", { response: { status: "200 " } }),
  one("a status text that is not the status's", { response: { status: "404 OK" } }),
];

const REDIRECTS: Case[] = [
  ...[
    "300 Multiple Choices",
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
  ].map(status =>
    one(`redirect ${status}`, { response: { status, fields: fields("Location: /elsewhere?x=1#y") } }),
  ),
  one("redirect 308 Permanent Redirect of a POST", {
    request: { method: "POST", body: sized("once") },
    response: { status: "308 Permanent Redirect", fields: fields("Location: https://other.example/") },
  }),
  one("redirect 303 See Other of a POST", {
    request: { method: "POST", body: sized("once") },
    response: { status: "303 See Other", fields: fields("Location: result/1") },
  }),
  one("redirect 302 without a Location", { response: { status: "302 Found" } }),
  one("redirect 302 to what is no address", {
    response: { status: "302 Found", fields: fields("Location: http://[not an address") },
  }),
  one("redirect 301 with an empty body", {
    response: { status: "301 Moved Permanently", body: sized(""), fields: fields("Location: //host/path") },
  }),
  one("redirect 302 in chunks", {
    response: { status: "302 Found", body: chunked("moved"), fields: fields("Location: /x") },
  }),
];

const RESPONSE_FIELDS: Case[] = (
  [
    ["a field twice", ["X-Twice: a", "X-Twice: b"]],
    ["a field three times between others", ["X-A: 1", "X-B: 1", "X-A: 2", "X-C: 1", "X-A: 3"]],
    ["a field in two spellings", ["X-Case-Of: a", "x-cASE-oF: b"]],
    ["a field in an odd spelling", ["x-SpOnGe-BoB: 1"]],
    ["an empty field", ["X-Empty:"]],
    ["an empty field among others of its name", ["X-Some: a", "X-Some:", "X-Some: b"]],
    ["a field of commas", ["X-Commas: , ,,a,, b ,"]],
    ["a field of 8,000 characters", [`X-Long: ${"l".repeat(8000)}`]],
    ["a field of 60,000 characters", [`X-Long: ${"l".repeat(60_000)}`]],
    ["a name of 200 characters", [`X-${"n".repeat(198)}: 1`]],
    ["200 fields", Array.from({ length: 200 }, (_, i) => `X-Field-${i}: ${i}`)],
    ["a name of all the legal characters", ["X!#$%&'*+-.^_`|~09az: 1"]],
    ["a value of all the visible characters", [`X-Visible: ${ascii(33, 126)}`]],
    ["a tab and spaces within a value", ["X-Spaces: a \t  b"]],
    ["a value in UTF-8", [`X-Utf8: ${Buffer.from("Grüße ☕").toString("latin1")}`]],
    ["a value in ISO-8859-1", ["X-Latin: caf\xe9"]],
    ["a quoted string", ['X-Quoted: "a, \\"b\\"; c=d"']],
    [
      "three cookies",
      [
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "Set-Cookie: a=3",
      ],
    ],
    ["a cookie, another field, a cookie", ["Set-Cookie: a=1", "X-Between: 1", "set-cookie: b=2, c"]],
    ["one Link", ['Link: </next>; rel="next"']],
    ["two Links in one field", ['Link: </next>; rel="next", </prev,x>; rel="prev"; title="a, b"']],
    ["a Server-Timing", ['Server-Timing: db;dur=53, cache;desc="hit, miss"']],
    ["two Link fields", ["Link: </a>; rel=preload; as=style", "Link: </b>; rel=preload"]],
    ["a Link with another relation of a similar name", ['Link: </x>; rel="audit-receipts-of-mine"']],
    ["Vary", ["Vary: Accept-Encoding, Origin", "Vary: Cookie"]],
    ["Vary: *", ["Vary: *"]],
    [
      "caching fields",
      ["Cache-Control: public, max-age=60, s-maxage=120", "Age: 10", "Expires: 0", "Pragma: no-cache"],
    ],
    ["a weak ETag and Last-Modified", ['ETag: W/"abc"', "Last-Modified: Sat, 21 Nov 2026 05:22:22 GMT"]],
    ["Date and Server", ["Date: Sat, 21 Nov 2026 05:22:22 GMT", "Server: odd/1.0 (test)"]],
    [
      "two challenges",
      ['WWW-Authenticate: Basic realm="x"', 'WWW-Authenticate: Bearer error="invalid_token", scope="a b"'],
    ],
    [
      "security fields",
      [
        "Strict-Transport-Security: max-age=1",
        "Content-Security-Policy: default-src 'none'; img-src *",
        "Content-Security-Policy: sandbox",
      ],
    ],
    [
      "CORS fields",
      [
        "Access-Control-Allow-Origin: https://a.example",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: X-A, X-B",
      ],
    ],
    [
      "a content type of its own",
      [
        'Content-Type: multipart/mixed; boundary="a b"',
        'Content-Disposition: attachment; filename="\\"x\\".txt"',
      ],
    ],
    [
      "a digest of its own",
      ["Repr-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", 'ETag: ""'],
    ],
    ["Retry-After and Alt-Svc", ["Retry-After: 120", 'Alt-Svc: h3=":443"; ma=60']],
    [
      "Server-Timing and a trace of the upstream's",
      ["Server-Timing: db;dur=1, app;dur=2", "traceresponse: 00-x"],
    ],
    ["Via and Warning", ["Via: 1.1 other", 'Warning: 110 other "stale"']],
    ["Upgrade that is only an offer", ["Upgrade: h2c", "Connection: Upgrade"]],
    ["a request id of the upstream's", ["X-Request-Id: of-the-upstream"]],
  ] as [string, string[]][]
).map(([name, lines]) => one(`response field: ${name}`, { response: { fields: fields(...lines) } }));

const REQUEST_FIELDS: Case[] = (
  [
    ["a field twice", ["X-Twice: a", "X-Twice: b"]],
    ["a field three times between others", ["X-A: 1", "X-B: 1", "X-A: 2", "X-C: 1", "X-A: 3"]],
    ["a field in an odd spelling", ["x-SpOnGe-BoB: 1"]],
    ["an empty field", ["X-Empty:"]],
    ["a field of 8,000 characters", [`X-Long: ${"l".repeat(8000)}`]],
    ["a field of 60,000 characters", [`X-Long: ${"l".repeat(60_000)}`]],
    ["200 fields", Array.from({ length: 200 }, (_, i) => `X-Field-${i}: ${i}`)],
    ["a name of all the legal characters", ["X!#$%&'*+-.^_`|~09az: 1"]],
    ["a value of all the visible characters", [`X-Visible: ${ascii(33, 126)}`]],
    ["a tab and spaces within a value", ["X-Spaces: a \t  b"]],
    ["a value in UTF-8", [`X-Utf8: ${Buffer.from("Grüße ☕").toString("latin1")}`]],
    ["a value in ISO-8859-1", ["X-Latin: caf\xe9"]],
    ["two Cookie fields", ["Cookie: a=1; b=2", "Cookie: c=3"]],
    ["one Cookie field", ['Cookie: a=1; b="x, y"; c=']],
    ["credentials", ["Authorization: Basic dXNlcjpwYXNz"]],
    ["conditions", ['If-None-Match: W/"a", "b"', "If-Modified-Since: Sat, 21 Nov 2026 05:22:22 GMT"]],
    ["an unmet precondition", ['If-Match: "a"', "If-Unmodified-Since: Sat, 21 Nov 2026 05:22:22 GMT"]],
    ["a range", ["Range: bytes=0-9, 20-29", 'If-Range: "a"']],
    [
      "what it accepts",
      ["Accept: text/html;q=0.9, */*;q=0.1", "Accept: application/json", "Accept-Language: de, en;q=0.5"],
    ],
    ["which codings it accepts", ["Accept-Encoding: gzip, br, zstd;q=0.5, identity;q=0"]],
    ["that it accepts no coding", ["Accept-Encoding: identity"]],
    ["an empty Accept-Encoding", ["Accept-Encoding:"]],
    ["a user agent", ["User-Agent: odd/1.0 (x; y)"]],
    ["an origin and a referrer", ["Origin: https://a.example", "Referer: https://a.example/page?x=1"]],
    ["a preflight's fields", ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]],
    [
      "browser hints",
      ["Sec-Fetch-Mode: cors", 'Sec-CH-UA: "x";v="1"', "DNT: 1", "Upgrade-Insecure-Requests: 1"],
    ],
    ["a trace", ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b"]],
    ["a request id of its own", ["X-Request-Id: of-the-client"]],
    [
      "an idempotency key and a priority",
      ['Idempotency-Key: "a"', "Priority: u=1, i", "Prefer: return=minimal"],
    ],
    ["fields of an older proxy", ["Via: 1.0 other", "Max-Forwards: 3", "Cache-Control: no-cache, no-store"]],
    ["a method override", ["X-HTTP-Method-Override: DELETE"]],
  ] as [string, string[]][]
).map(([name, lines]) => one(`request field: ${name}`, { request: { fields: fields(...lines) } }));

const HOP_FIELDS: Case[] = (
  [
    ["what Connection names", ["Connection: X-Hop", "X-Hop: 1", "X-End: 2"]],
    ["TE", ["TE: trailers"]],
    ["Keep-Alive", ["Keep-Alive: timeout=5", "Connection: keep-alive"]],
    ["Proxy-Authorization", ["Proxy-Authorization: Basic dXNlcjpwYXNz"]],
    [
      "an offer to upgrade to HTTP/2",
      ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
    ],
  ] as [string, string[]][]
).map(([name, lines]) => one(`request field of one hop: ${name}`, { request: { fields: fields(...lines) } }));

const TARGETS: Case[] = (
  [
    ["the root", "/"],
    ["a query alone", "/?x=1"],
    ["an empty query", "/target?"],
    ["two question marks", "/target?a?b=c"],
    ["a query of odd characters", "/target?x=a+b&y=%20&z=%2B&&=&q=[1]|{2}^`"],
    ["a query of 8,000 characters", `/target?q=${"q".repeat(8000)}`],
    ["a path of 4,000 characters", `/${"p/".repeat(2000)}`],
    ["percent-encodings in both cases", "/a%2Fb%2fc%20d%c3%a9%C3%A9"],
    ["percent-encoded letters", "/%61%62%63"],
    ["a percent sign alone", "/100%/x%zz?y=%"],
    ["bytes that are not UTF-8", "/%ff%fe?x=%80"],
    ["a percent-encoded question mark and number sign", "/a%3Fb%23c"],
    ["legal odd characters", "/a!$&'()*+,;=:@b~-._"],
    ["parameters of a path", "/a;x=1;y/b;z"],
    ["double slashes", "/a//b///c"],
    ["a slash at the end", "/a/b/"],
    ["dot segments", "/a/./b/../c"],
    ["percent-encoded dot segments", "/a/%2e/b/%2E%2e/c"],
    ["three dots", "/a/.../b"],
    ["a URL in a path", "/proxy/http://other.example/x"],
    ["two slashes at the beginning", "//a/b"],
    ["a backslash", "/a\\b"],
    [
      "bytes of UTF-8 as they are",
      `/${Buffer.from("é").toString("latin1")}?${Buffer.from("ü").toString("latin1")}`,
    ],
  ] as [string, string][]
).map(([name, target]) => one(`target: ${name}`, { request: { target } }));

const ODD_TARGETS: Case[] = [
  one("target: in absolute form", { request: { target: "http://api.example/absolute?x=1" } }),
  one("target: characters that should have been encoded", { request: { target: '/a"<>^`{|}b' } }),
];

const LARGE: Case[] = [
  one("large heads both ways", {
    request: { fields: fields(...Array.from({ length: 40 }, (_, i) => `X-Req-${i}: ${"r".repeat(1000)}`)) },
    response: { fields: fields(...Array.from({ length: 40 }, (_, i) => `X-Res-${i}: ${"s".repeat(1000)}`)) },
  }),
  one("binary bodies both ways", {
    request: { method: "POST", body: sized(noise(5000)) },
    response: { body: sized(noise(7000)) },
  }),
];

export const MESSAGES: readonly Case[] = [
  ...METHODS,
  ...ODD_METHODS,
  ...STATUSES,
  ...REDIRECTS,
  ...RESPONSE_FIELDS,
  ...REQUEST_FIELDS,
  ...HOP_FIELDS,
  ...TARGETS,
  ...ODD_TARGETS,
  ...LARGE,
];

function ascii(from: number, to: number): string {
  return String.fromCharCode(...Array.from({ length: to - from + 1 }, (_, i) => from + i));
}
