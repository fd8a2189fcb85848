// Vectors of the product's own formats: receipts (JWS, RFC 7515), disclosures (SD-JWT, RFC 9901), anchors,
// and whole evidence for one receipt.

import {
  base64,
  checkpointText,
  concat,
  hex,
  makeKey,
  NOTE_ED25519,
  note,
  proofFile,
  sha256,
  signText,
  utf8,
  verifierKey,
} from "../note.ts";
import {
  type AnchoredLedger,
  anchorHeader,
  anchorPayload,
  base64url,
  disclosure,
  disclosureDigest,
  ed25519Key,
  es256Key,
  hmac,
  type JwsKey,
  PRIVATE_FIELDS,
  type PrivateField,
  receiptHeader,
  sealed,
  signed,
  signingInput,
} from "../receipt.ts";
import { leafHash, mthOfLeaves, pathOfLeaves, proofOfLeaves } from "../rfc6962.ts";
import { certificate, p256Key, type TokenParts, token } from "../timestamp.ts";
import { accepted, type Case, type Json, type JsonObject, refused, repeated } from "./case.ts";
import { TSA } from "./timestamps.ts";

type Bytes = Uint8Array;

const ISSUER = "https://api.example.com";
const ORIGIN = "api.example.com/audit/main";
const KEY = ed25519Key("counterfoil test: receipts");
const OTHER_KEY = ed25519Key("counterfoil test: other receipts");
const P256_KEY = es256Key("counterfoil test: receipts on P-256");
const STRANGER_KEY = ed25519Key("counterfoil test: stranger");
const ANCHOR_KEY = ed25519Key("counterfoil test: anchors");
const LOG = makeKey(ORIGIN, NOTE_ED25519, "counterfoil test: receipts' log");
const ZEROS = new Uint8Array(32);

/** A public key as the trust document lists it. */
function listed(key: JwsKey, window: JsonObject = {}): JsonObject {
  return { ...key.jwk, kid: key.kid, ...window };
}

const TRUST = {
  issuer: ISSUER,
  origin: ORIGIN,
  log_keys: [verifierKey(LOG)],
  receipt_keys: [KEY, OTHER_KEY, P256_KEY].map(key => listed(key)),
  anchor_keys: [listed(ANCHOR_KEY)],
} as const;

// The ledger: four entries, chained

function seedOf(n: number): Bytes {
  return sha256(utf8(`counterfoil test: seed ${n}`)).subarray(0, 16);
}

const REQUEST_BODY = utf8('{"item":"stamps","count":12}');
const RESPONSE_BODY = utf8('{"order":41}');

function contentDigest(body: Bytes): string {
  return `sha-256=:${base64(sha256(body))}:`;
}

const PRIVATE: Readonly<Record<PrivateField, string>> = {
  sub: "ada@example.com",
  client_address: "192.0.2.7",
  user_agent: "curl/8.11.0",
  query: "page=2&sort=asc",
};

function recordOf(n: number): { readonly [key: string]: Json } {
  const second = 22 + n;
  return {
    iss: ISSUER,
    jti: `019aa4d0-2a5${n}-7000-8000-00000000000${n}`,
    iat: 1795238520 + second,
    time: `2026-11-21T05:22:${second}.441Z`,
    stage: "complete",
    ms: 12,
    route: "orders",
    upstream: "orders-eu",
    policy: "0a1b2c3d",
    req: {
      method: "POST",
      host: "api.example.com",
      path: "/v1/orders",
      size: REQUEST_BODY.length,
      digest: contentDigest(REQUEST_BODY),
    },
    res: { status: 201, size: RESPONSE_BODY.length, digest: contentDigest(RESPONSE_BODY) },
    _sd_alg: "sha-256",
    _sd: sealed(seedOf(n), PRIVATE),
  };
}

function atOf(n: number): string {
  return `2026-11-21T05:22:${22 + n}.453Z`;
}

const ENTRIES: string[] = [];
const LEAVES: Bytes[] = [];
for (let n = 0; n < 4; n++) {
  const prev = LEAVES[n - 1] ?? ZEROS;
  const header = receiptHeader({ kid: KEY.kid, origin: ORIGIN, index: n, prev, at: atOf(n) });
  const text = signingInput(JSON.stringify(header), JSON.stringify(recordOf(n)));
  ENTRIES.push(text);
  LEAVES.push(leafHash(utf8(text)));
}

const INDEX = 2;
const HEADER = receiptHeader({
  kid: KEY.kid,
  origin: ORIGIN,
  index: INDEX,
  prev: LEAVES[INDEX - 1]!,
  at: atOf(INDEX),
});
const RECORD = recordOf(INDEX);
const SD = sealed(seedOf(INDEX), PRIVATE);
const ENTRY = ENTRIES[INDEX]!;
const RECEIPT = signed(ENTRY, KEY);
const [HEADER_PART, RECORD_PART, SIGNATURE_PART] = RECEIPT.split(".") as [string, string, string];

// Receipts

function check(receipt: Json, changes: JsonObject = {}): JsonObject {
  return { receipt, ...TRUST, ...changes };
}

function proven(receipt: string): JsonObject {
  const entry = receipt.slice(0, receipt.lastIndexOf("."));
  const [header, record] = entry
    .split(".")
    .map(part => JSON.parse(Buffer.from(part, "base64url").toString())) as [JsonObject, JsonObject];
  return { header, record, leaf: hex(leafHash(utf8(entry))) };
}

function good(name: string, description: string, receipt: string): Case {
  return accepted(name, description, check(receipt), proven(receipt));
}

/** A receipt with another header, signed again by the right key: only the header is wrong. */
function withHeader(header: JsonObject | string, key = KEY): string {
  return signed(
    signingInput(typeof header === "string" ? header : JSON.stringify(header), JSON.stringify(RECORD)),
    key,
  );
}

/** A receipt with another record, signed again by the right key: only the record is wrong. */
function withRecord(record: JsonObject | string): string {
  return signed(
    signingInput(JSON.stringify(HEADER), typeof record === "string" ? record : JSON.stringify(record)),
    KEY,
  );
}

function without(object: JsonObject, name: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
}

function malformed(name: string, description: string, receipt: Json): Case {
  return refused(name, "malformed", description, check(receipt));
}

function badHeader(name: string, description: string, header: JsonObject | string, code = "malformed"): Case {
  return refused(`header-${name}`, code, description, check(withHeader(header)));
}

/** The header with the text of its index replaced, so that any JSON can stand there. */
function withIndex(json: string): string {
  return JSON.stringify(HEADER).replace('"index":2', `"index":${json}`);
}

function badRecord(name: string, description: string, record: JsonObject | string, code = "malformed"): Case {
  return refused(`record-${name}`, code, description, check(withRecord(record)));
}

/** A record whose JSON is exactly this many bytes. */
function recordOfBytes(bytes: number): JsonObject {
  const bare = JSON.stringify({ ...RECORD, note: "" }).length;
  return { ...RECORD, note: "x".repeat(bytes - bare) };
}

/** A base64url text with an unused bit of its last digit set. */
function withUnusedBitSet(text: string): string {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + digits[digits.indexOf(text.at(-1)!) + 1];
}

/** The header with its members in another order. */
const REORDERED = { typ: HEADER.typ, ...without(HEADER, "typ") };
/** A header whose length leaves unused bits in its base64url. */
const EDDSA_HEADER_PART = base64url(utf8(JSON.stringify({ ...HEADER, alg: "EdDSA" })));
const EMBEDDED_KEY = { ...HEADER, kid: STRANGER_KEY.kid, jwk: STRANGER_KEY.jwk };

/** A receipt whose signature anyone can make who knows the public key. */
function forgedWith(alg: "HS256" | "HS512", secret: Bytes): string {
  const input = signingInput(JSON.stringify({ ...HEADER, alg }), JSON.stringify(RECORD));
  return `${input}.${base64url(hmac(alg === "HS256" ? "sha256" : "sha512", secret, utf8(input)))}`;
}

const PUBLIC_BYTES = Buffer.from(KEY.jwk.x!, "base64url");

/** The DER form of a 64-byte ECDSA signature, as X.509 has it and JWS has not. */
function der(signature: Bytes): Bytes {
  const integer = (bytes: Bytes) => {
    const value = bytes[0]! >= 0x80 ? concat(Uint8Array.of(0), bytes) : bytes;
    return concat(Uint8Array.of(2, value.length), value);
  };
  const body = concat(integer(signature.subarray(0, 32)), integer(signature.subarray(32)));
  return concat(Uint8Array.of(0x30, body.length), body);
}

const ES256_RECEIPT = withHeader({ ...HEADER, alg: "ES256", kid: P256_KEY.kid }, P256_KEY);

const goodReceipts: readonly Case[] = [
  good("plain", "A receipt signed by a trusted key is genuine.", RECEIPT),
  good(
    "first",
    "The receipt of entry 0 names 32 zero bytes as the entry before it.",
    signed(ENTRIES[0]!, KEY),
  ),
  good(
    "by-other-trusted-key",
    "A receipt is verified by the key that it names.",
    withHeader({ ...HEADER, kid: OTHER_KEY.kid }, OTHER_KEY),
  ),
  good(
    "alg-eddsa",
    "A receipt may call its Ed25519 signature EdDSA.",
    withHeader({ ...HEADER, alg: "EdDSA" }),
  ),
  good("alg-es256", "A receipt may be signed by a P-256 key.", ES256_RECEIPT),
  good(
    "record-unknown-members",
    "Members of a record that a verifier does not know are kept.",
    withRecord({ ...RECORD, zeta: { nested: [1, null] } }),
  ),
  good(
    "record-not-ascii",
    "A record may hold any text.",
    withRecord({ ...RECORD, route: "bücher \u{1f9fe} \u2028" }),
  ),
  good("record-of-4096-bytes", "A record of 4 KiB is read.", withRecord(recordOfBytes(4096))),
  good(
    "record-stage-received",
    "A record of another stage is read.",
    withRecord({ ...without(RECORD, "res"), stage: "received" }),
  ),
  good(
    "index-largest-safe",
    "The largest index that a number holds exactly is read.",
    withHeader({ ...HEADER, index: 2 ** 53 - 1 }),
  ),
  accepted(
    "inside-key-window",
    "A receipt from the time in which its key was valid stays genuine.",
    check(RECEIPT, {
      receipt_keys: [listed(KEY, { nbf: 1795238500, exp: 1795238600 })],
    }),
    proven(RECEIPT),
  ),
];

const badSignatures: readonly Case[] = [
  refused(
    "record-altered",
    "bad-signature",
    "A receipt whose record was altered is refused.",
    check(`${HEADER_PART}.${base64url(utf8(JSON.stringify({ ...RECORD, ms: 13 })))}.${SIGNATURE_PART}`),
  ),
  refused(
    "index-altered",
    "bad-signature",
    "A receipt whose index was altered is refused.",
    check(`${base64url(utf8(withIndex("3")))}.${RECORD_PART}.${SIGNATURE_PART}`),
  ),
  refused(
    "header-of-other-receipt",
    "bad-signature",
    "A receipt with another receipt's header is refused.",
    check(`${ENTRIES[1]!.split(".")[0]}.${RECORD_PART}.${SIGNATURE_PART}`),
  ),
  refused(
    "record-of-other-receipt",
    "bad-signature",
    "A receipt with another receipt's record is refused.",
    check(`${HEADER_PART}.${ENTRIES[1]!.split(".")[1]}.${SIGNATURE_PART}`),
  ),
  refused(
    "signature-of-other-receipt",
    "bad-signature",
    "A receipt with another receipt's signature is refused.",
    check(`${ENTRY}.${signed(ENTRIES[1]!, KEY).split(".")[2]}`),
  ),
  refused(
    "signature-by-stranger",
    "bad-signature",
    "A stranger's signature under a trusted key's name is refused.",
    check(signed(ENTRY, STRANGER_KEY)),
  ),
  refused(
    "signature-by-other-trusted-key",
    "bad-signature",
    "A trusted key does not sign in another trusted key's name.",
    check(signed(ENTRY, OTHER_KEY)),
  ),
  refused(
    "signature-all-zeros",
    "bad-signature",
    "A signature of zeros is refused.",
    check(`${ENTRY}.${base64url(new Uint8Array(64))}`),
  ),
  refused(
    "signature-over-json",
    "bad-signature",
    "A signature covers the encoded parts, not the JSON in them.",
    check(`${ENTRY}.${base64url(KEY.sign(utf8(JSON.stringify(HEADER) + JSON.stringify(RECORD))))}`),
  ),
  refused(
    "signature-over-record-alone",
    "bad-signature",
    "A signature covers the header.",
    check(`${ENTRY}.${base64url(KEY.sign(utf8(RECORD_PART)))}`),
  ),
  refused(
    "es256-all-zeros",
    "bad-signature",
    "An ECDSA signature of zeros is refused.",
    check(ES256_RECEIPT.replace(/[^.]*$/, base64url(new Uint8Array(64)))),
  ),
];

const wrongAlgorithms: readonly Case[] = [
  refused(
    "alg-none",
    "unsupported",
    "A receipt that asks for no signature is refused.",
    check(withHeader({ ...HEADER, alg: "none" })),
  ),
  refused(
    "alg-none-in-other-case",
    "unsupported",
    "A receipt that asks for nOnE is refused.",
    check(withHeader({ ...HEADER, alg: "nOnE" })),
  ),
  refused(
    "alg-none-unsigned",
    "malformed",
    "A receipt that asks for no signature and has none is refused.",
    check(`${signingInput(JSON.stringify({ ...HEADER, alg: "none" }), JSON.stringify(RECORD))}.`),
  ),
  refused(
    "alg-hs256",
    "unsupported",
    "A receipt that asks for an HMAC is refused.",
    check(withHeader({ ...HEADER, alg: "HS256" })),
  ),
  refused(
    "alg-hs256-with-public-key",
    "malformed",
    "An HMAC of 32 bytes is no signature, whatever its secret.",
    check(forgedWith("HS256", PUBLIC_BYTES)),
  ),
  refused(
    "alg-hs512-with-public-key",
    "unsupported",
    "A public key is no HMAC secret.",
    check(forgedWith("HS512", PUBLIC_BYTES)),
  ),
  refused(
    "alg-hs512-with-jwk-text",
    "unsupported",
    "A public key's text is no HMAC secret.",
    check(forgedWith("HS512", utf8(JSON.stringify(KEY.jwk)))),
  ),
  refused(
    "alg-es256-of-ed25519-key",
    "unsupported",
    "An Ed25519 key is not used as one of another family.",
    check(withHeader({ ...HEADER, alg: "ES256" })),
  ),
  refused(
    "alg-ed25519-of-p256-key",
    "unsupported",
    "A P-256 key is not used as one of another family.",
    check(withHeader({ ...HEADER, kid: P256_KEY.kid }, P256_KEY)),
  ),
  refused(
    "alg-es384",
    "unsupported",
    "An algorithm that is not on the list is refused.",
    check(withHeader({ ...HEADER, alg: "ES384", kid: P256_KEY.kid }, P256_KEY)),
  ),
  refused(
    "alg-lowercase",
    "unsupported",
    "Algorithms are compared byte by byte.",
    check(withHeader({ ...HEADER, alg: "ed25519" })),
  ),
  refused(
    "alg-of-object-member",
    "unsupported",
    "The name of an object's own member is no algorithm.",
    check(withHeader({ ...HEADER, alg: "constructor" })),
  ),
];

const wrongKeys: readonly Case[] = [
  refused(
    "kid-unknown",
    "unknown-key",
    "A receipt by a key that is not trusted is refused.",
    check(withHeader({ ...HEADER, kid: STRANGER_KEY.kid }, STRANGER_KEY)),
  ),
  refused(
    "kid-empty-trust",
    "unknown-key",
    "Who trusts no key accepts no receipt.",
    check(RECEIPT, { receipt_keys: [] }),
  ),
  refused(
    "kid-in-other-case",
    "unknown-key",
    "Key names are compared byte by byte.",
    check(withHeader({ ...HEADER, kid: KEY.kid.toLowerCase() })),
  ),
  refused(
    "kid-of-anchor-key",
    "unknown-key",
    "The key of the anchors does not sign receipts.",
    check(withHeader({ ...HEADER, kid: ANCHOR_KEY.kid }, ANCHOR_KEY)),
  ),
  refused(
    "kid-of-object-member",
    "unknown-key",
    "The name of an object's own member is no key.",
    check(withHeader({ ...HEADER, kid: "constructor" })),
  ),
  refused(
    "before-key-window",
    "key-not-valid",
    "A receipt from before its key was valid is refused.",
    check(RECEIPT, { receipt_keys: [listed(KEY, { nbf: 1795238545 })] }),
  ),
  refused(
    "after-key-window",
    "key-not-valid",
    "A receipt from after its key was retired is refused.",
    check(RECEIPT, { receipt_keys: [listed(KEY, { exp: 1795238540 })] }),
  ),
];

const wrongOrigins: readonly Case[] = [
  refused(
    "origin-other",
    "wrong-origin",
    "A receipt of another ledger is refused.",
    check(withHeader({ ...HEADER, origin: "api.example.com/audit/other" })),
  ),
  refused(
    "origin-in-other-case",
    "wrong-origin",
    "Origins are compared byte by byte.",
    check(withHeader({ ...HEADER, origin: ORIGIN.toUpperCase() })),
  ),
  refused(
    "origin-with-newline",
    "wrong-origin",
    "Nothing is cut off an origin.",
    check(withHeader({ ...HEADER, origin: `${ORIGIN}\n4` })),
  ),
  refused(
    "origin-with-slash",
    "wrong-origin",
    "Origins are not normalised.",
    check(withHeader({ ...HEADER, origin: `${ORIGIN}/` })),
  ),
  refused(
    "issuer-other",
    "wrong-origin",
    "A receipt by another issuer is refused.",
    check(withRecord({ ...RECORD, iss: "https://api.example.org" })),
  ),
];

const illFormed: readonly Case[] = [
  malformed("empty", "Nothing is no receipt.", ""),
  malformed("one-part", "A word is no receipt.", "receipt"),
  malformed("dots-only", "Dots are no receipt.", ".."),
  malformed("entry-alone", "An entry without a signature is no receipt.", ENTRY),
  malformed("signature-empty", "A receipt must carry its signature.", `${ENTRY}.`),
  malformed("record-empty", "A receipt must carry its record.", `${HEADER_PART}..${SIGNATURE_PART}`),
  malformed("header-empty", "A receipt must carry its header.", `.${RECORD_PART}.${SIGNATURE_PART}`),
  malformed("four-parts", "A receipt has three parts.", `${RECEIPT}.e30`),
  malformed(
    "five-parts",
    "An encrypted token is no receipt.",
    `${HEADER_PART}.e30.${RECORD_PART}.e30.${SIGNATURE_PART}`,
  ),
  malformed(
    "json-serialization",
    "The JSON form of a JWS is no receipt.",
    JSON.stringify({ protected: HEADER_PART, payload: RECORD_PART, signature: SIGNATURE_PART }),
  ),
  malformed("trailing-newline", "A newline behind a receipt is refused.", `${RECEIPT}\n`),
  malformed("leading-space", "A space before a receipt is refused.", ` ${RECEIPT}`),
  malformed(
    "space-within",
    "A space in a receipt is refused.",
    `${HEADER_PART.slice(0, 8)} ${RECEIPT.slice(8)}`,
  ),
  malformed(
    "signature-unused-bits",
    "A signature with an unused bit set is a second form of the same bytes.",
    `${ENTRY}.${withUnusedBitSet(SIGNATURE_PART)}`,
  ),
  malformed("signature-padded", "A padded signature is refused.", `${RECEIPT}==`),
  malformed(
    "signature-standard-alphabet",
    "The standard alphabet is refused.",
    `${ENTRY}.${"+/".repeat(42)}AA`,
  ),
  malformed(
    "signature-of-63-bytes",
    "A signature has 64 bytes and not 63.",
    `${ENTRY}.${base64url(KEY.sign(utf8(ENTRY)).subarray(1))}`,
  ),
  malformed(
    "signature-of-65-bytes",
    "A signature has 64 bytes and not 65.",
    `${ENTRY}.${base64url(concat(KEY.sign(utf8(ENTRY)), Uint8Array.of(0)))}`,
  ),
  malformed(
    "es256-in-der",
    "An ECDSA signature in DER is refused.",
    ES256_RECEIPT.replace(/[^.]*$/, last => base64url(der(Buffer.from(last, "base64url")))),
  ),
  malformed(
    "header-part-unused-bits",
    "A header with an unused bit set is refused, although it is signed.",
    signed(`${withUnusedBitSet(EDDSA_HEADER_PART)}.${RECORD_PART}`, KEY),
  ),
  malformed(
    "record-part-unused-bits",
    "A record with an unused bit set is refused, although it is signed.",
    signed(`${HEADER_PART}.${withUnusedBitSet(RECORD_PART)}`, KEY),
  ),
  malformed(
    "header-part-padded",
    "A padded header is refused, although it is signed.",
    signed(`${HEADER_PART}=.${RECORD_PART}`, KEY),
  ),
  malformed(
    "record-part-padded",
    "A padded record is refused, although it is signed.",
    signed(`${HEADER_PART}.${RECORD_PART}==`, KEY),
  ),
  badHeader("not-json", "A header must be JSON.", "header"),
  badHeader("array", "A header must be an object.", "[]"),
  badHeader("null", "A header must not be null.", "null"),
  badHeader("byte-order-mark", "A byte order mark is no JSON.", `\ufeff${JSON.stringify(HEADER)}`),
  badHeader("order-changed", "The members of a header have one order.", REORDERED),
  badHeader("white-space", "A header has no white space.", JSON.stringify(HEADER, null, 1)),
  badHeader("trailing-space", "A header has no white space behind it.", `${JSON.stringify(HEADER)} `),
  badHeader(
    "alg-twice",
    "A header that says two things of its algorithm is refused.",
    JSON.stringify(HEADER).replace("{", '{"alg":"none",'),
  ),
  badHeader(
    "index-twice",
    "A header that names two places is refused.",
    JSON.stringify(HEADER).replace('"prev"', '"index":2,"prev"'),
  ),
  badHeader(
    "escaped-name",
    "A header spells its names without escapes.",
    JSON.stringify(HEADER).replace('"index"', '"\\u0069ndex"'),
  ),
  badHeader(
    "escaped-value",
    "A header spells its values without needless escapes.",
    JSON.stringify(HEADER).replace("api.example", "\\u0061pi.example"),
  ),
  badHeader("unknown-member", "A header has no other members.", { ...HEADER, x: 1 }),
  badHeader("jwk", "A header does not bring its own key.", EMBEDDED_KEY),
  badHeader("jku", "A header does not say where to fetch keys.", {
    ...HEADER,
    jku: "https://stranger.example/jwks",
  }),
  badHeader("crit", "A header has no extensions that must be understood.", { ...HEADER, crit: ["exp"] }),
  badHeader("b64-false", "A header does not change how its record is encoded.", {
    ...HEADER,
    b64: false,
    crit: ["b64"],
  }),
  badHeader("alg-missing", "A header names its algorithm.", without(HEADER, "alg")),
  badHeader("alg-number", "An algorithm is a text.", { ...HEADER, alg: 1 }),
  badHeader("kid-missing", "A header names its key.", without(HEADER, "kid")),
  badHeader("kid-number", "A key's name is a text.", { ...HEADER, kid: 1 }),
  badHeader("typ-missing", "A header names its type.", without(HEADER, "typ")),
  badHeader("typ-jwt", "A token of another type is no receipt.", { ...HEADER, typ: "JWT" }),
  badHeader("typ-anchor", "An anchor is no receipt.", { ...HEADER, typ: "audit-anchor+jwt" }),
  badHeader("typ-in-other-case", "The type is compared byte by byte.", {
    ...HEADER,
    typ: "Audit-Receipt+JWT",
  }),
  badHeader("typ-with-prefix", "The type stands without its prefix.", {
    ...HEADER,
    typ: "application/audit-receipt+jwt",
  }),
  badHeader("origin-missing", "A header names its ledger.", without(HEADER, "origin")),
  badHeader("origin-empty", "An origin is not empty.", { ...HEADER, origin: "" }),
  badHeader("origin-number", "An origin is a text.", { ...HEADER, origin: 1 }),
  badHeader("index-missing", "A header names its place.", without(HEADER, "index")),
  badHeader("index-text", "An index is a number, not a text.", withIndex('"2"')),
  badHeader("index-null", "An index is a number, not null.", withIndex("null")),
  badHeader("index-negative", "An index is not negative.", withIndex("-2")),
  badHeader("index-negative-zero", "An index is not minus zero.", withIndex("-0")),
  badHeader("index-fraction", "An index is no fraction.", withIndex("2.5")),
  badHeader("index-with-point", "An index has one spelling.", withIndex("2.0")),
  badHeader("index-with-exponent", "An index has no exponent.", withIndex("2e0")),
  badHeader(
    "index-not-safe",
    "An index that a number cannot hold exactly is refused, not rounded.",
    withIndex("9007199254740993"),
  ),
  badHeader("index-infinite", "An index is finite.", withIndex("1e999")),
  badHeader("prev-missing", "A header names the entry before it.", without(HEADER, "prev")),
  badHeader("prev-of-31-bytes", "The hash of the entry before has 32 bytes.", {
    ...HEADER,
    prev: base64url(LEAVES[1]!.subarray(1)),
  }),
  badHeader("prev-in-hexadecimal", "The hash of the entry before is base64url.", {
    ...HEADER,
    prev: hex(LEAVES[1]!),
  }),
  badHeader("prev-padded", "The hash of the entry before has no padding.", {
    ...HEADER,
    prev: `${HEADER.prev}=`,
  }),
  badHeader("prev-unused-bits", "A hash with an unused bit set is a second form of the same bytes.", {
    ...HEADER,
    prev: withUnusedBitSet(HEADER.prev),
  }),
  badHeader("prev-of-first-entry", "Before entry 0 there is none, so it names 32 zero bytes.", {
    ...HEADER,
    index: 0,
  }),
  badHeader("at-missing", "A header says when.", without(HEADER, "at")),
  badHeader("at-number", "A time is a text.", { ...HEADER, at: 1795238544453 }),
  badHeader("at-without-milliseconds", "A time has milliseconds.", { ...HEADER, at: "2026-11-21T05:22:24Z" }),
  badHeader("at-with-microseconds", "A time has no microseconds.", {
    ...HEADER,
    at: "2026-11-21T05:22:24.453000Z",
  }),
  badHeader("at-with-offset", "A time is UTC and says so with Z.", {
    ...HEADER,
    at: "2026-11-21T06:22:24.453+01:00",
  }),
  badHeader("at-lowercase", "A time is spelled in uppercase.", { ...HEADER, at: "2026-11-21t05:22:24.453z" }),
  badHeader("at-no-such-day", "A time must exist.", { ...HEADER, at: "2026-02-30T05:22:24.453Z" }),
  badHeader("at-no-such-month", "A time must exist, or no key's window can be compared with it.", {
    ...HEADER,
    at: "2026-13-21T05:22:24.453Z",
  }),
  badHeader("at-no-such-hour", "A day has 24 hours.", { ...HEADER, at: "2026-11-21T25:22:24.453Z" }),
  refused(
    "at-no-such-time-by-retired-key",
    "malformed",
    "A retired key does not outlive its window by signing a time that does not exist.",
    check(withHeader({ ...HEADER, at: "2026-99-99T99:99:99.999Z" }), {
      receipt_keys: [listed(KEY, { nbf: 1, exp: 2 })],
    }),
  ),
  badRecord("not-json", "A record must be JSON.", "record"),
  badRecord("array", "A record must be an object.", "[]"),
  badRecord("null", "A record must not be null.", "null"),
  badRecord("text", "A record must not be a text.", '"record"'),
  badRecord("two-values", "A record is one value.", `${JSON.stringify(RECORD)}{}`),
  badRecord("byte-order-mark", "A byte order mark is no JSON.", `\ufeff${JSON.stringify(RECORD)}`),
  badRecord(
    "stage-twice",
    "A record that says two things of its stage is refused.",
    JSON.stringify(RECORD).replace('"stage"', '"stage":"failed","stage"'),
  ),
  badRecord(
    "status-twice",
    "A record that says two things within is refused.",
    JSON.stringify(RECORD).replace('"status":201', '"status":500,"status":201'),
  ),
  badRecord("iss-missing", "A record names its issuer.", without(RECORD, "iss")),
  badRecord("iss-array", "An issuer is one text.", { ...RECORD, iss: [ISSUER] }),
  badRecord("jti-missing", "A record names its exchange.", without(RECORD, "jti")),
  badRecord("jti-number", "An exchange's name is a text.", { ...RECORD, jti: 7 }),
  badRecord("iat-text", "The time in seconds is a number.", { ...RECORD, iat: "1795238544" }),
  badRecord("time-missing", "A record says when.", without(RECORD, "time")),
  badRecord("time-no-such-day", "A record's time must exist.", {
    ...RECORD,
    time: "2026-02-30T05:22:24.441Z",
  }),
  badRecord("stage-missing", "A record names its stage.", without(RECORD, "stage")),
  badRecord("stage-unknown", "A record's stage is one of the known ones.", { ...RECORD, stage: "done" }),
  badRecord("status-text", "A status is a number.", { ...RECORD, res: { status: "201" } }),
  badRecord("sd-not-array", "The digests are a list.", { ...RECORD, _sd: "none" }),
  badRecord("sd-of-numbers", "The digests are texts.", { ...RECORD, _sd: [1] }),
  badRecord(
    "sd-alg-other",
    "A record that commits with another hash than SHA-256 is not supported.",
    { ...RECORD, _sd_alg: "sha-512" },
    "unsupported",
  ),
  badRecord("sd-twice", "A record that holds a digest twice is refused (RFC 9901 section 7.1).", {
    ...RECORD,
    _sd: [SD[0]!, SD[0]!],
  }),
  badRecord("of-4097-bytes", "A record is at most 4 KiB.", recordOfBytes(4097), "too-large"),
  refused(
    "record-not-utf8",
    "malformed",
    "A record must be UTF-8.",
    check(
      signed(
        `${HEADER_PART}.${base64url(concat(utf8(JSON.stringify(RECORD).slice(0, -1)), utf8(',"x":"'), Uint8Array.of(0xff), utf8('"}')))}`,
        KEY,
      ),
    ),
  ),
  refused(
    "million-characters",
    "too-large",
    "A receipt of a million characters is refused.",
    check([`${HEADER_PART}.`, repeated("A", 1_000_000), `.${SIGNATURE_PART}`]),
  ),
];

export const receiptCases: readonly Case[] = [
  ...goodReceipts,
  ...badSignatures,
  ...wrongAlgorithms,
  ...wrongKeys,
  ...wrongOrigins,
  ...illFormed,
];

// Disclosures

const SEED = seedOf(INDEX);

function made(
  name: string,
  description: string,
  seed: Bytes,
  values: Partial<Record<PrivateField, string>>,
): Case {
  const all = Object.fromEntries(PRIVATE_FIELDS.map(field => [field, values[field] ?? null]));
  const disclosures = Object.fromEntries(
    PRIVATE_FIELDS.map(field => [field, disclosure(seed, field, all[field]!)]),
  );
  return accepted(
    name,
    description,
    { seed: hex(seed), values: all },
    { disclosures, _sd: sealed(seed, values) },
  );
}

/** A disclosure opened in the record of entry 2, or in that record with other digests. */
function opening(text: string, record: JsonObject = RECORD): JsonObject {
  return { record, disclosure: text };
}

function encoded(json: string): string {
  return base64url(utf8(json));
}

/** A disclosure and a record that commits to it, so that only the disclosure's form can be wrong. */
function committed(text: string): JsonObject {
  return opening(text, { ...RECORD, _sd: [disclosureDigest(text)] });
}

function opens(name: string, description: string, input: JsonObject, field: string, value: Json): Case {
  return accepted(name, description, input, { name: field, value });
}

function notDisclosed(name: string, description: string, input: JsonObject): Case {
  return refused(name, "not-disclosed", description, input);
}

function badForm(name: string, description: string, json: string): Case {
  return refused(name, "malformed", description, committed(encoded(json)));
}

function badSeed(name: string, description: string, seedText: string): Case {
  return refused(`seed-${name}`, "malformed", description, { seed_text: seedText });
}

const SUB = disclosure(SEED, "sub", PRIVATE.sub);
const SALT = "qPmsXLBmtmBGYVk4WuV9_A";
const PUBLISHED = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
const PUBLISHED_DIGEST = "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0";

const openingCases: readonly Case[] = [
  made("four-values", "Four private values are committed to, and their digests sorted.", SEED, PRIVATE),
  made("no-values", "Absent values are committed to as null.", seedOf(9), {}),
  made("one-value", "One value and three absent ones make four digests.", seedOf(8), { query: "" }),
  made("values-not-ascii", "Values of any text are committed to.", seedOf(7), {
    sub: "Zoë \u{1f9fe}",
    user_agent: '"\\/<&>\u2028\u0000',
    query: "q=%F0%9F",
  }),
  ...PRIVATE_FIELDS.map(field =>
    opens(
      `opens-${field.replace("_", "-")}`,
      `The field ${field} is opened by its disclosure.`,
      opening(disclosure(SEED, field, PRIVATE[field])),
      field,
      PRIVATE[field],
    ),
  ),
  opens(
    "opens-absent-value",
    "A field that was absent is opened as null.",
    opening(disclosure(seedOf(9), "sub", null), { ...RECORD, _sd: sealed(seedOf(9), {}) }),
    "sub",
    null,
  ),
  opens(
    "opens-object",
    "A value may be any JSON.",
    committed(encoded(`["${SALT}","order",{"id":[41,null]}]`)),
    "order",
    { id: [41, null] },
  ),
  opens(
    "opens-published-example",
    "The example of the standard, with its white space, is opened.",
    opening(PUBLISHED, { ...RECORD, _sd: [PUBLISHED_DIGEST] }),
    "family_name",
    "Möbius",
  ),
  opens(
    "sd-alg-missing",
    "SHA-256 is meant where no hash is named (RFC 9901 section 4.1.1).",
    opening(SUB, without(RECORD, "_sd_alg")),
    "sub",
    PRIVATE.sub,
  ),
  notDisclosed(
    "value-altered",
    "A disclosure of another value opens nothing.",
    opening(disclosure(SEED, "sub", "bob@example.com")),
  ),
  notDisclosed(
    "value-null",
    "A disclosure of null does not open a field that had a value.",
    opening(disclosure(SEED, "sub", null)),
  ),
  notDisclosed(
    "name-altered",
    "A value under another field's name opens nothing.",
    opening(disclosure(SEED, "query", PRIVATE.sub)),
  ),
  notDisclosed(
    "salt-of-other-field",
    "Every field has a salt of its own.",
    opening(
      encoded(
        JSON.stringify([
          JSON.parse(Buffer.from(disclosure(SEED, "query", ""), "base64url").toString())[0],
          "sub",
          PRIVATE.sub,
        ]),
      ),
    ),
  ),
  notDisclosed(
    "seed-of-other-exchange",
    "A disclosure from another exchange's seed opens nothing.",
    opening(disclosure(seedOf(1), "sub", PRIVATE.sub)),
  ),
  notDisclosed("of-other-record", "A disclosure opens nothing in another record.", opening(SUB, recordOf(1))),
  notDisclosed(
    "record-without-digests",
    "A record without digests has nothing to open.",
    opening(SUB, without(RECORD, "_sd")),
  ),
  notDisclosed(
    "white-space-added",
    "The same array in another spelling opens nothing.",
    opening(encoded(JSON.stringify(JSON.parse(Buffer.from(SUB, "base64url").toString()), null, 1))),
  ),
  notDisclosed(
    "digest-within",
    "Digests deeper in a record belong to another object.",
    opening(SUB, { ...without(RECORD, "_sd"), req: { method: "GET", path: "/", _sd: RECORD._sd! } }),
  ),
  refused(
    "padded",
    "malformed",
    "A padded disclosure is refused.",
    committed(`${encoded(`["${SALT}","sub","ab"]`)}==`),
  ),
  refused(
    "unused-bits",
    "malformed",
    "A disclosure with an unused bit set is refused.",
    committed(withUnusedBitSet(encoded(`["${SALT}","sub","ab"]`))),
  ),
  refused("empty", "malformed", "Nothing is no disclosure.", committed("")),
  refused(
    "with-tilde",
    "malformed",
    "The separator after a disclosure is no part of it.",
    committed(`${SUB}~`),
  ),
  refused(
    "not-utf8",
    "malformed",
    "A disclosure must be UTF-8.",
    committed(base64url(concat(utf8(`["${SALT}","sub","`), Uint8Array.of(0xff), utf8('"]')))),
  ),
  badForm("not-json", "A disclosure must be JSON.", "disclosure"),
  badForm("object", "A disclosure must be an array.", `{"0":"${SALT}","1":"sub","2":"a","length":3}`),
  badForm("two-elements", "The disclosure of an array's element is none of a field.", `["${SALT}","a"]`),
  badForm("four-elements", "A disclosure has three elements.", `["${SALT}","sub","a","b"]`),
  badForm("salt-number", "A salt is a text.", '[1,"sub","a"]'),
  badForm("salt-empty", "A salt is not empty.", '["","sub","a"]'),
  badForm(
    "salt-of-15-bytes",
    "A salt has 128 bits, or it hides nothing.",
    `["${base64url(new Uint8Array(15).fill(7))}","sub","a"]`,
  ),
  badForm("name-number", "A name is a text.", `["${SALT}",1,"a"]`),
  badForm(
    "name-of-digests",
    "A disclosure does not add digests (RFC 9901 section 7.1).",
    `["${SALT}","_sd",[]]`,
  ),
  badForm(
    "name-of-array-digest",
    "A disclosure does not add an array's digest (RFC 9901 section 7.1).",
    `["${SALT}","...","a"]`,
  ),
  badForm(
    "name-in-record",
    "A disclosure does not replace what the record says openly (RFC 9901 section 7.1).",
    `["${SALT}","stage","failed"]`,
  ),
  accepted("seed", "A seed of 16 bytes is read.", { seed_text: base64url(SEED) }, { seed: hex(SEED) }),
  badSeed("of-15-bytes", "A seed has 16 bytes and not 15.", base64url(SEED.subarray(1))),
  badSeed("of-17-bytes", "A seed has 16 bytes and not 17.", base64url(concat(SEED, Uint8Array.of(0)))),
  badSeed("empty", "A seed is not empty.", ""),
  badSeed("padded", "A seed is not padded.", `${base64url(SEED)}==`),
  badSeed("unused-bits", "A seed with an unused bit set is refused.", withUnusedBitSet(base64url(SEED))),
  badSeed("in-hexadecimal", "A seed is base64url.", hex(SEED)),
  badSeed("trailing-newline", "A newline behind a seed is refused.", `${base64url(SEED)}\n`),
];

// What is gone on purpose: control records, and what they are the reason for

/** The entry of a control record. */
function controlEntry(control: JsonObject, index = 3, stage = "control"): string {
  const header = receiptHeader({ kid: KEY.kid, origin: ORIGIN, index, prev: ZEROS, at: atOf(3) });
  const { iss, iat, time } = recordOf(3);
  const record = { iss, jti: "019aa4d0-2a59-7000-8000-000000000009", iat, time, stage, control };
  return signingInput(JSON.stringify(header), JSON.stringify(record as JsonObject));
}

function absent(
  name: string,
  expect: string,
  description: string,
  index: number,
  control?: JsonObject,
  ...place: readonly [number?, string?]
): Case {
  const told = control === undefined ? {} : { told: controlEntry(control, ...place) };
  return refused(name, expect, description, { index, ...told });
}

const PRUNED = { type: "pruned", minimum: 2, before: "2026-10-01T00:00:00.000Z" };

export const retentionCases: readonly Case[] = [
  absent("below-minimum", "pruned", "An entry below the minimum index is pruned.", 1, PRUNED),
  absent("at-minimum", "missing", "An entry at the minimum index must be there.", 2, PRUNED),
  absent("beyond-minimum", "missing", "An entry beyond the minimum index must be there.", 3, PRUNED),
  absent("untold", "missing", "Where no minimum index is told of, every entry must be there.", 0),
  absent("told-by-another-type", "missing", "Another control record excuses nothing.", 1, {
    ...PRUNED,
    type: "policy-changed",
  }),
  absent("told-by-exchange", "missing", "A record of an exchange excuses nothing.", 1, PRUNED, 3, "complete"),
  absent("minimum-of-zero", "missing", "A minimum index of 0 excuses nothing.", 0, { ...PRUNED, minimum: 0 }),
  absent("minimum-at-record", "pruned", "The minimum index may be that of the record itself.", 2, {
    ...PRUNED,
    minimum: 3,
  }),
  absent("minimum-beyond-record", "malformed", "No record tells of a minimum index beyond itself.", 1, {
    ...PRUNED,
    minimum: 4,
  }),
  absent("minimum-missing", "malformed", "A record that tells of pruning has a minimum index.", 1, {
    type: "pruned",
  }),
  absent("minimum-text", "malformed", "The minimum index is a number.", 1, { ...PRUNED, minimum: "2" }),
  absent("minimum-fraction", "malformed", "The minimum index is whole.", 1, { ...PRUNED, minimum: 1.5 }),
  absent("minimum-negative", "malformed", "The minimum index is not negative.", 1, {
    ...PRUNED,
    minimum: -1,
  }),
];

const ERASED = { type: "erased", exchanges: [RECORD.jti!], by: "operator" };
const OTHER_SEED = seedOf(9);

function erasure(control: JsonObject, stage = "control"): JsonObject {
  return { record: RECORD, erasure: controlEntry(control, 3, stage) };
}

const erasureCases: readonly Case[] = [
  refused(
    "erased",
    "erased",
    "A field that nobody can open any more after an erasure is erased.",
    erasure(ERASED),
  ),
  refused("erased-wrong-value", "erased", "After an erasure, a value that opens nothing is no alarm.", {
    ...erasure(ERASED),
    disclosure: disclosure(OTHER_SEED, "query", "page=3"),
  }),
  accepted(
    "erased-but-kept",
    "Whoever has kept the seed opens the field after the erasure, too.",
    { ...erasure(ERASED), disclosure: disclosure(seedOf(INDEX), "query", PRIVATE.query) },
    { name: "query", value: PRIVATE.query },
  ),
  refused(
    "gone-without-erasure",
    "missing",
    "Without an erasure, nothing excuses that a field cannot be opened.",
    {
      record: RECORD,
    },
  ),
  refused("erasure-of-another", "missing", "An erasure is of the exchanges that it names.", {
    ...erasure({ ...ERASED, exchanges: ["019aa4d0-2a59-7000-8000-000000000008"] }),
  }),
  refused("erasure-of-another-wrong-value", "not-disclosed", "Another's erasure excuses no wrong value.", {
    ...erasure({ ...ERASED, exchanges: [] }),
    disclosure: disclosure(OTHER_SEED, "query", "page=3"),
  }),
  refused(
    "erasure-by-exchange",
    "missing",
    "A record of an exchange erases nothing.",
    erasure(ERASED, "complete"),
  ),
  refused(
    "erasure-without-exchanges",
    "malformed",
    "An erasure names exchanges.",
    erasure({ type: "erased" }),
  ),
  refused("erasure-malformed-disclosure", "malformed", "An erasure does not excuse what is no disclosure.", {
    ...erasure(ERASED),
    disclosure: "W10",
  }),
];

export const disclosureCases: readonly Case[] = [...openingCases, ...erasureCases];

// Anchors

function checkpointOf(size: number, root = mthOfLeaves(LEAVES.slice(0, size)), key = LOG): string {
  const text = checkpointText(ORIGIN, size, root);
  return note(text, signText(text, key));
}

function pin(size: number, changes: Partial<AnchoredLedger> = {}): AnchoredLedger {
  return {
    origin: ORIGIN,
    size,
    root: base64(mthOfLeaves(LEAVES.slice(0, size))),
    head: base64url(LEAVES[size - 1]!),
    checkpoint: checkpointOf(size),
    ...changes,
  };
}

const OTHER_ORIGIN = "api.example.com/audit/other";
const OTHER_TEXT = checkpointText(OTHER_ORIGIN, 1, sha256(utf8("root")));

const OTHER_PIN: AnchoredLedger = {
  origin: OTHER_ORIGIN,
  size: 1,
  root: base64(sha256(utf8("root"))),
  head: base64url(sha256(utf8("head"))),
  checkpoint: note(
    OTHER_TEXT,
    signText(OTHER_TEXT, makeKey(OTHER_ORIGIN, NOTE_ED25519, "counterfoil test: other receipts' log")),
  ),
};

const PAYLOAD = anchorPayload({
  iss: ISSUER,
  epoch: 0,
  time: "2026-11-21T05:23:00.000Z",
  prev: ZEROS,
  ledgers: [pin(4)],
});

function anchorOf(
  payload: object,
  header: JsonObject = anchorHeader(ANCHOR_KEY.kid),
  key = ANCHOR_KEY,
): string {
  return signed(signingInput(JSON.stringify(header), JSON.stringify(payload)), key);
}

const ANCHOR = anchorOf(PAYLOAD);
const NEXT_PAYLOAD = anchorPayload({
  iss: ISSUER,
  epoch: 1,
  time: "2026-11-21T05:24:00.000Z",
  prev: sha256(utf8(ANCHOR)),
  ledgers: [pin(4), OTHER_PIN],
});

function openAnchor(anchor: Json, changes: JsonObject = {}): JsonObject {
  return { anchor, anchor_keys: TRUST.anchor_keys, ...changes };
}

function readAnchor(
  name: string,
  description: string,
  payload: typeof PAYLOAD,
  anchor = anchorOf(payload),
): Case {
  const { epoch, time, prev, ledgers } = payload;
  return accepted(name, description, openAnchor(anchor), {
    epoch,
    time,
    prev,
    ledgers: ledgers.map(({ origin, size, root, head }) => ({ origin, size, root, head })),
    digest: base64url(sha256(utf8(anchor))),
  });
}

function badAnchor(name: string, description: string, anchor: string, code = "malformed"): Case {
  return refused(name, code, description, openAnchor(anchor));
}

function badPayload(name: string, description: string, changes: JsonObject, code = "malformed"): Case {
  return badAnchor(`payload-${name}`, description, anchorOf({ ...PAYLOAD, ...changes }), code);
}

function badAnchorHeader(name: string, description: string, header: JsonObject, code = "malformed"): Case {
  return badAnchor(`header-${name}`, description, anchorOf(PAYLOAD, header), code);
}

function badPin(
  name: string,
  description: string,
  changes: Partial<Record<keyof AnchoredLedger, Json>>,
): Case {
  return badAnchor(
    `pin-${name}`,
    description,
    anchorOf({ ...PAYLOAD, ledgers: [{ ...pin(4), ...changes }] }),
  );
}

/** The payload with a timestamp over what it was without. */
function stamped(payload: object, parts: Partial<TokenParts> = {}): object {
  const imprint = sha256(utf8(JSON.stringify(payload)));
  return { ...payload, timestamp: { token: base64(token({ signer: TSA, imprint, ...parts })) } };
}

const STAMPED = stamped(PAYLOAD);

const ANCHOR_HEADER = anchorHeader(ANCHOR_KEY.kid);
const ANCHOR_INPUT = ANCHOR.slice(0, ANCHOR.lastIndexOf("."));
const ANCHOR_HEADER_PART = ANCHOR.split(".")[0]!;

export const anchorCases: readonly Case[] = [
  readAnchor("first", "The first anchor names 32 zero bytes as the anchor before it.", PAYLOAD),
  readAnchor(
    "next",
    "The next anchor names the hash of the anchor before it, and may pin several ledgers.",
    NEXT_PAYLOAD,
  ),
  accepted(
    "timestamped",
    "A timestamp is of the payload as it was before the timestamp became its last member.",
    openAnchor(anchorOf(STAMPED)),
    { epoch: 0, imprint: hex(sha256(utf8(JSON.stringify(PAYLOAD)))) },
  ),
  badAnchor("timestamp-not-last", "A timestamp is the last member.", anchorOf({ ...STAMPED, note: "later" })),
  badPayload("timestamp-text", "A timestamp has members.", { timestamp: "MIIB" }),
  badPayload("timestamp-without-token", "A timestamp has a token.", { timestamp: {} }),
  badPayload("timestamp-unknown-member", "A timestamp has no other member than its token.", {
    timestamp: { token: "MIIB", note: "" },
  }),
  badPayload("timestamp-unused-bits", "A token is canonical base64.", { timestamp: { token: "MB==" } }),
  readAnchor("no-ledgers", "An anchor may pin no ledger yet.", { ...PAYLOAD, ledgers: [] }),
  accepted(
    "inside-key-window",
    "An anchor from the time in which its key was valid stays genuine.",
    openAnchor(ANCHOR, {
      anchor_keys: [listed(ANCHOR_KEY, { nbf: 1795238500, exp: 1795238600 })],
    }),
    { epoch: 0 },
  ),
  accepted(
    "unknown-members",
    "Members of an anchor that a verifier does not know are kept.",
    openAnchor(anchorOf({ ...PAYLOAD, rfc3161: "MIIB" })),
    { epoch: 0 },
  ),
  badAnchor(
    "payload-altered",
    "An anchor whose payload was altered is refused.",
    ANCHOR.replace(/\.[^.]*\./, `.${encoded(JSON.stringify({ ...PAYLOAD, epoch: 1 }))}.`),
    "bad-signature",
  ),
  badAnchor(
    "signature-by-stranger",
    "A stranger's signature in the anchor key's name is refused.",
    anchorOf(PAYLOAD, ANCHOR_HEADER, STRANGER_KEY),
    "bad-signature",
  ),
  badAnchor(
    "signature-by-receipt-key",
    "The receipt key does not sign in the anchor key's name.",
    anchorOf(PAYLOAD, ANCHOR_HEADER, KEY),
    "bad-signature",
  ),
  badAnchor(
    "kid-unknown",
    "An anchor by a key that is not trusted is refused.",
    anchorOf(PAYLOAD, anchorHeader(STRANGER_KEY.kid), STRANGER_KEY),
    "unknown-key",
  ),
  badAnchor(
    "kid-of-receipt-key",
    "The receipt key does not sign anchors.",
    anchorOf(PAYLOAD, anchorHeader(KEY.kid), KEY),
    "unknown-key",
  ),
  refused(
    "before-key-window",
    "key-not-valid",
    "An anchor from before its key was valid is refused.",
    openAnchor(ANCHOR, { anchor_keys: [listed(ANCHOR_KEY, { nbf: 1795238600 })] }),
  ),
  refused(
    "after-key-window",
    "key-not-valid",
    "An anchor from after its key was retired is refused.",
    openAnchor(ANCHOR, { anchor_keys: [listed(ANCHOR_KEY, { exp: 1795238500 })] }),
  ),
  badAnchorHeader(
    "alg-none",
    "An anchor that asks for no signature is refused.",
    { ...ANCHOR_HEADER, alg: "none" },
    "unsupported",
  ),
  badAnchorHeader(
    "alg-es256",
    "An Ed25519 key is not used as one of another family.",
    { ...ANCHOR_HEADER, alg: "ES256" },
    "unsupported",
  ),
  badAnchorHeader("typ-receipt", "A receipt is no anchor.", { ...ANCHOR_HEADER, typ: "audit-receipt+jwt" }),
  badAnchorHeader("typ-missing", "An anchor names its type.", without(ANCHOR_HEADER, "typ")),
  badAnchorHeader("kid-missing", "An anchor names its key.", without(ANCHOR_HEADER, "kid")),
  badAnchorHeader("order-changed", "The members of an anchor's header have one order.", {
    typ: ANCHOR_HEADER.typ,
    ...without(ANCHOR_HEADER, "typ"),
  }),
  badAnchorHeader("unknown-member", "An anchor's header has no other members.", {
    ...ANCHOR_HEADER,
    crit: ["b64"],
    b64: false,
  }),
  badAnchor(
    "header-alg-twice",
    "An anchor's header that says two things is refused.",
    signed(
      signingInput(JSON.stringify(ANCHOR_HEADER).replace("{", '{"alg":"none",'), JSON.stringify(PAYLOAD)),
      ANCHOR_KEY,
    ),
  ),
  badAnchor("receipt", "A receipt is not read as an anchor.", RECEIPT),
  badAnchor("empty", "Nothing is no anchor.", ""),
  badAnchor("two-parts", "An anchor must carry its signature.", ANCHOR_INPUT),
  badAnchor("four-parts", "An anchor has three parts.", `${ANCHOR}.e30`),
  badAnchor("trailing-newline", "A newline behind an anchor is refused.", `${ANCHOR}\n`),
  badAnchor("signature-padded", "A padded signature is refused.", `${ANCHOR}==`),
  badAnchor(
    "signature-unused-bits",
    "A signature with an unused bit set is a second form of the same object.",
    withUnusedBitSet(ANCHOR),
  ),
  badAnchor(
    "payload-not-json",
    "An anchor's payload must be JSON.",
    signed(`${ANCHOR_HEADER_PART}.${encoded("anchor")}`, ANCHOR_KEY),
  ),
  badAnchor(
    "payload-epoch-twice",
    "An anchor that names two epochs is refused.",
    signed(
      signingInput(
        JSON.stringify(ANCHOR_HEADER),
        JSON.stringify(PAYLOAD).replace('"epoch"', '"epoch":7,"epoch"'),
      ),
      ANCHOR_KEY,
    ),
  ),
  badPayload("version-2", "A later version of the format is not read as this one.", { v: 2 }, "unsupported"),
  badPayload("epoch-text", "An epoch is a number.", { epoch: "0" }),
  badPayload("epoch-negative", "An epoch is not negative.", { epoch: -1 }),
  badPayload("epoch-fraction", "An epoch is no fraction.", { epoch: 0.5 }),
  badPayload("epoch-not-safe", "An epoch that a number cannot hold exactly is refused.", { epoch: 2 ** 53 }),
  badPayload("prev-of-31-bytes", "The hash of the anchor before has 32 bytes.", {
    prev: base64url(ZEROS.subarray(1)),
  }),
  badPayload("prev-unused-bits", "A hash with an unused bit set is a second form of the same bytes.", {
    epoch: 1,
    prev: withUnusedBitSet(base64url(ZEROS)),
  }),
  badPayload("prev-of-first-epoch", "Before epoch 0 there is no anchor, so it names 32 zero bytes.", {
    prev: base64url(sha256(utf8("anchor"))),
  }),
  badPayload("time-without-milliseconds", "A time has milliseconds.", { time: "2026-11-21T05:23:00Z" }),
  badPayload("time-with-offset", "A time is UTC and says so with Z.", {
    time: "2026-11-21T06:23:00.000+01:00",
  }),
  badPayload("time-no-such-day", "A time must exist.", { time: "2026-02-30T05:23:00.000Z" }),
  badPayload("ledgers-missing", "An anchor lists its ledgers.", { ledgers: null }),
  badPayload("lock-missing", "An anchor says what lock was in force.", { lock: null }),
  badPayload("ledger-twice", "An anchor pins a ledger once.", { ledgers: [{ ...pin(4) }, { ...pin(3) }] }),
  badPin("size-text", "A size is a number.", { size: "4" }),
  badPin("size-negative", "A size is not negative.", { size: -4 }),
  badPin("root-of-31-bytes", "A root has 32 bytes.", { root: base64(ZEROS.subarray(1)) }),
  badPin("root-unused-bits", "A root with an unused bit set is a second form of the same bytes.", {
    root: `${withUnusedBitSet(base64(ZEROS).slice(0, -1))}=`,
  }),
  badPin("head-padded", "A chain head has no padding.", { head: base64(ZEROS) }),
  badPin("checkpoint-missing", "An anchor carries each ledger's checkpoint.", { checkpoint: null }),
];

// Evidence

const PATH = pathOfLeaves(INDEX, LEAVES);
const PROOF = proofFile({ index: INDEX, hashes: PATH, checkpoint: checkpointOf(4) });
const EXCHANGE = {
  method: "POST",
  url: "https://api.example.com/v1/orders?page=2&sort=asc",
  request_body: hex(REQUEST_BODY),
  status: 201,
  response_body: hex(RESPONSE_BODY),
};
const MATCHED = ["method", "host", "path", "request body", "status", "response body"];

/** A receipt with what else is known of it. */
function evidence(parts: JsonObject): JsonObject {
  return { ...TRUST, receipt: RECEIPT, ...parts };
}

function rungs(name: string, description: string, input: JsonObject, ...reached: readonly string[]): Case {
  return accepted(name, description, input, { rungs: reached });
}

function mismatched(name: string, description: string, changes: JsonObject): Case {
  return refused(
    name,
    "mismatched",
    description,
    evidence({ exchange: { ...EXCHANGE, ...changes }, seed: hex(SEED) }),
  );
}

function wrongProof(
  name: string,
  code: string,
  description: string,
  proof: string,
  changes: JsonObject = {},
): Case {
  return refused(name, code, description, evidence({ proof, ...changes }));
}

function wrongAnchor(
  name: string,
  code: string,
  description: string,
  anchor: string,
  changes: JsonObject = {},
): Case {
  return refused(name, code, description, evidence({ proof: PROOF, anchor, ...changes }));
}

function anchorOfPin(...pins: readonly AnchoredLedger[]): string {
  return anchorOf({ ...PAYLOAD, ledgers: pins });
}

const EARLY_PROOF = proofFile({
  index: INDEX,
  hashes: pathOfLeaves(INDEX, LEAVES, 3),
  checkpoint: checkpointOf(3),
});
const CONSISTENCY = proofOfLeaves(3, LEAVES);
/** Trust in a timestamp authority, and one that is not trusted. */
const WITH_TSA = { timestampers: [base64(TSA.bytes)] };
const OTHER_TSA = certificate({
  name: "Example TSA",
  key: p256Key("counterfoil test: timestamps of another"),
});
const FALSE_ROOT = sha256(utf8("another tree"));

export const evidenceCases: readonly Case[] = [
  rungs("receipt", "A receipt alone proves who signed it.", evidence({}), "signed"),
  accepted("exchange", "A receipt that fits the exchange is matched.", evidence({ exchange: EXCHANGE }), {
    rungs: ["signed", "matched"],
    matched: MATCHED,
  }),
  accepted(
    "exchange-with-seed",
    "Whoever has the seed can match the query as well.",
    evidence({ exchange: EXCHANGE, seed: hex(SEED) }),
    {
      rungs: ["signed", "matched"],
      matched: ["method", "host", "path", "query", "request body", "status", "response body"],
    },
  ),
  accepted(
    "exchange-in-part",
    "What was not seen is not compared.",
    evidence({ exchange: { status: 201 } }),
    { rungs: ["signed", "matched"], matched: ["status"] },
  ),
  rungs(
    "exchange-unseen",
    "An exchange of which nothing was seen matches nothing.",
    evidence({ exchange: {} }),
    "signed",
  ),
  rungs(
    "proof",
    "A receipt whose entry is in a signed tree is included.",
    evidence({ proof: PROOF }),
    "signed",
    "included",
  ),
  rungs(
    "proof-carrying-receipt",
    "A proof may carry the receipt that it is for.",
    {
      ...TRUST,
      proof: proofFile({ extra: utf8(RECEIPT), index: INDEX, hashes: PATH, checkpoint: checkpointOf(4) }),
    },
    "signed",
    "included",
  ),
  rungs(
    "anchor-of-same-size",
    "A receipt whose tree an anchor pins is anchored.",
    evidence({ proof: PROOF, anchor: ANCHOR }),
    "signed",
    "included",
    "anchored",
  ),
  rungs(
    "anchor-of-larger-tree",
    "A receipt whose tree was extended to one that an anchor pins is anchored.",
    evidence({
      proof: EARLY_PROOF,
      anchor: ANCHOR,
      consistency: CONSISTENCY.map(hex),
    }),
    "signed",
    "included",
    "anchored",
  ),
  rungs(
    "all",
    "All evidence together reaches every rung.",
    evidence({ exchange: EXCHANGE, seed: hex(SEED), proof: PROOF, anchor: anchorOf(NEXT_PAYLOAD) }),
    "signed",
    "matched",
    "included",
    "anchored",
  ),
  accepted(
    "timestamped",
    "An anchor that a trusted authority has timestamped reaches the last rung.",
    evidence({ ...WITH_TSA, proof: PROOF, anchor: anchorOf(STAMPED) }),
    {
      rungs: ["signed", "included", "anchored", "timestamped"],
      timestamp: { time: "2026-11-21T05:23:00.000Z", by: "Example TSA" },
    },
  ),
  rungs(
    "timestamp-of-unknown-authority",
    "A timestamp by an authority that is not trusted proves nothing, and is no fault.",
    evidence({ timestampers: [base64(OTHER_TSA.bytes)], proof: PROOF, anchor: anchorOf(STAMPED) }),
    "signed",
    "included",
    "anchored",
  ),
  rungs(
    "timestamp-not-asked-for",
    "Whoever trusts no authority reads no timestamp.",
    evidence({ proof: PROOF, anchor: anchorOf(STAMPED) }),
    "signed",
    "included",
    "anchored",
  ),
  wrongAnchor(
    "timestamp-of-another-anchor",
    "wrong-timestamp",
    "A timestamp of another anchor is refused.",
    anchorOf(stamped(PAYLOAD, { imprint: sha256(utf8(JSON.stringify(NEXT_PAYLOAD))) })),
    WITH_TSA,
  ),
  wrongAnchor(
    "timestamp-by-another-key",
    "bad-signature",
    "A timestamp that another key signed in an authority's name is refused.",
    anchorOf(stamped(PAYLOAD, { key: OTHER_TSA.key })),
    WITH_TSA,
  ),
  wrongAnchor(
    "timestamp-after-expiry",
    "key-not-valid",
    "A timestamp from after its certificate had expired is refused.",
    anchorOf(stamped(PAYLOAD, { time: "20400101000000Z" })),
    WITH_TSA,
  ),
  mismatched("exchange-method", "Another method is not the one of the receipt.", { method: "GET" }),
  mismatched("exchange-host", "Another host is not the one of the receipt.", {
    url: EXCHANGE.url.replace("api.", "www."),
  }),
  mismatched("exchange-path", "Another path is not the one of the receipt.", {
    url: EXCHANGE.url.replace("orders", "orders/7"),
  }),
  mismatched("exchange-query", "Another query is not the one of the receipt.", {
    url: EXCHANGE.url.replace("page=2", "page=3"),
  }),
  mismatched("exchange-query-missing", "No query is not the one of the receipt.", {
    url: "https://api.example.com/v1/orders",
  }),
  mismatched("exchange-request-body", "Another request body is not the one of the receipt.", {
    request_body: hex(concat(REQUEST_BODY, utf8("\n"))),
  }),
  mismatched("exchange-status", "Another status is not the one of the receipt.", { status: 200 }),
  mismatched("exchange-response-body", "Another response body is not the one of the receipt.", {
    response_body: hex(utf8('{"order":42}')),
  }),
  mismatched("exchange-response-body-empty", "An empty response body is not the one of the receipt.", {
    response_body: "",
  }),
  wrongProof(
    "proof-of-other-entry",
    "wrong-origin",
    "Another entry's proof is not the one for the receipt.",
    proofFile({ index: 1, hashes: pathOfLeaves(1, LEAVES), checkpoint: checkpointOf(4) }),
  ),
  wrongProof(
    "proof-of-other-ledger",
    "wrong-origin",
    "A proof in another ledger is not the one for the receipt.",
    PROOF.replaceAll(ORIGIN, "api.example.com/audit/other"),
  ),
  wrongProof(
    "proof-does-not-reach",
    "not-yet-included",
    "A tree that is too small says only that it is too early.",
    proofFile({ index: INDEX, hashes: [], checkpoint: checkpointOf(2) }),
  ),
  wrongProof(
    "proof-hash-altered",
    "not-included",
    "A proof with an altered hash is refused.",
    proofFile({ index: INDEX, hashes: [LEAVES[0]!, ...PATH.slice(1)], checkpoint: checkpointOf(4) }),
  ),
  wrongProof(
    "proof-of-original",
    "not-included",
    "A receipt that was signed anew over other words is not the one in the tree.",
    PROOF,
    { receipt: withRecord({ ...RECORD, ms: 13 }) },
  ),
  wrongProof(
    "proof-checkpoint-altered",
    "bad-signature",
    "A proof whose checkpoint was altered is refused.",
    PROOF.replace("\n4\n", "\n5\n"),
  ),
  wrongProof(
    "proof-checkpoint-by-stranger",
    "unknown-key",
    "A proof under a stranger's checkpoint is refused.",
    proofFile({
      index: INDEX,
      hashes: PATH,
      checkpoint: checkpointOf(
        4,
        mthOfLeaves(LEAVES),
        makeKey(ORIGIN, NOTE_ED25519, "counterfoil test: stranger"),
      ),
    }),
  ),
  wrongAnchor(
    "anchor-altered",
    "bad-signature",
    "An anchor that was altered is refused.",
    ANCHOR.replace(/\.[^.]*\./, `.${encoded(JSON.stringify({ ...PAYLOAD, epoch: 1 }))}.`),
  ),
  wrongAnchor(
    "anchor-by-stranger",
    "unknown-key",
    "A stranger's anchor is refused.",
    anchorOf(PAYLOAD, anchorHeader(STRANGER_KEY.kid), STRANGER_KEY),
  ),
  wrongAnchor(
    "anchor-of-other-issuer",
    "wrong-origin",
    "Another issuer's anchor is refused.",
    anchorOf({ ...PAYLOAD, iss: "https://api.example.org" }),
  ),
  wrongAnchor(
    "anchor-without-ledger",
    "missing",
    "An anchor that does not pin the ledger proves nothing of it.",
    anchorOfPin(OTHER_PIN),
  ),
  wrongAnchor(
    "anchor-of-smaller-tree",
    "not-yet-included",
    "An anchor of a smaller tree says only that it is too early.",
    anchorOfPin(pin(3)),
  ),
  wrongAnchor(
    "anchor-of-other-root",
    "forked",
    "An anchor of another tree of the same size shows a fork.",
    anchorOfPin(pin(4, { root: base64(FALSE_ROOT), checkpoint: checkpointOf(4, FALSE_ROOT) })),
  ),
  wrongAnchor(
    "anchor-of-larger-other-tree",
    "forked",
    "An anchor of a larger tree that does not extend the proof's shows a fork.",
    anchorOfPin(pin(4, { root: base64(FALSE_ROOT), checkpoint: checkpointOf(4, FALSE_ROOT) })),
    {
      proof: EARLY_PROOF,
      consistency: CONSISTENCY.map(hex),
    },
  ),
  wrongAnchor(
    "anchor-of-larger-tree-without-consistency",
    "missing",
    "A larger tree without its consistency proof is no fork: the proof is missing.",
    ANCHOR,
    { proof: EARLY_PROOF },
  ),
  wrongAnchor(
    "anchor-root-not-of-checkpoint",
    "malformed",
    "An anchor whose pin and checkpoint name two roots contradicts itself.",
    anchorOfPin(pin(4, { root: base64(FALSE_ROOT) })),
  ),
  wrongAnchor(
    "anchor-size-not-of-checkpoint",
    "malformed",
    "An anchor whose pin and checkpoint name two sizes contradicts itself.",
    anchorOfPin(pin(4, { size: 5 })),
  ),
  wrongAnchor(
    "anchor-checkpoint-by-stranger",
    "unknown-key",
    "An anchor does not vouch for a checkpoint that the ledger did not sign.",
    anchorOfPin(
      pin(4, {
        checkpoint: checkpointOf(
          4,
          mthOfLeaves(LEAVES),
          makeKey(ORIGIN, NOTE_ED25519, "counterfoil test: stranger"),
        ),
      }),
    ),
  ),
  refused("nothing", "malformed", "Without a receipt there is nothing to verify.", {
    ...TRUST,
    exchange: EXCHANGE,
  }),
];
