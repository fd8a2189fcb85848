// Vectors of signed notes and verifier keys (C2SP signed-note, 2026-04-23).

import {
  base64,
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  concat,
  cosignText,
  ed25519Sign,
  hex,
  keyId,
  makeKey,
  NOTE_ED25519,
  note,
  type SigningKey,
  signatureLine,
  signText,
  utf8,
  verifierKey,
} from "../note.ts";
import { accepted, type Case, type Json, type JsonObject, refused, repeated } from "./case.ts";
import { LOG, LOG_VKEY, NEXT_LOG, STRANGER } from "./ledger.ts";

const TEXT = "Cheque 41 was paid.\nIts counterfoil is in the ledger.\n";
const LINE = signText(TEXT, LOG);
const NOTE = note(TEXT, LINE);
/** A signature line that differs from LINE only in what is signed. */
const LINE_OVER_OTHER_TEXT = signText("Cheque 42 was paid.\n", LOG);

/** Signature lines by keys that nobody knows. */
function strangers(count: number): string[] {
  return Array.from({ length: count }, (_, n) =>
    signText(TEXT, makeKey(`stranger${n}.example`, NOTE_ED25519, `counterfoil test: stranger ${n}`)),
  );
}

function opened(text: string, ...verified: readonly SigningKey[]): JsonObject {
  return { text, verified: verified.map(verifierKey) };
}

/** A note that is well formed, opened with the ledger's key. */
function open(text: string, ...keys: readonly SigningKey[]): JsonObject {
  return { note: text, keys: (keys.length === 0 ? [LOG] : keys).map(verifierKey) };
}

function noteBytes(...parts: readonly Uint8Array[]): JsonObject {
  return { note_bytes: hex(concat(...parts)), keys: [LOG_VKEY] };
}

function malformed(name: string, description: string, text: string): Case {
  return refused(name, "malformed", description, open(text));
}

/** A note whose signature line is LINE with its name replaced. */
function named(name: string): string {
  return note(TEXT, LINE.replace(LOG.name, name));
}

/** A note whose signature line carries this base64. */
function encoded(text: string): string {
  return note(TEXT, `\u2014 ${LOG.name} ${text}\n`);
}

const SIGNATURE = concat(LOG.id, ed25519Sign(LOG.privateKey, utf8(TEXT)));

/** The signature with the order of the group added to its scalar: it solves the same equation. */
function withGroupOrderAdded(signature: Uint8Array): Uint8Array {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const scalar = BigInt(`0x${hex(signature.subarray(32).toReversed())}`) + order;
  const bytes = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  return concat(signature.subarray(0, 32), bytes.toReversed());
}

/** 68 bytes leave two unused bits in the last base64 digit; this sets one of them. */
function withUnusedBitSet(text: string): string {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const at = text.replaceAll("=", "").length - 1;
  return text.slice(0, at) + digits[digits.indexOf(text[at]!) + 1] + text.slice(at + 1);
}

/** y = 2 is on no point of the curve. */
const NOT_A_POINT = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 2 : 0));

const BROKEN_KEY = {
  name: LOG.name,
  type: NOTE_ED25519,
  id: keyId(LOG.name, NOTE_ED25519, NOT_A_POINT),
  publicKey: NOT_A_POINT,
};

const AS_COSIGNER = makeKey(LOG.name, COSIGNATURE_ED25519, "counterfoil test: log");

const PUBLISHED_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const PUBLISHED_NOTE =
  "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

function openedText(name: string, description: string, text: string): Case {
  return accepted(name, description, open(note(text, signText(text, LOG))), opened(text, LOG));
}

const wellFormed: readonly Case[] = [
  accepted("one-signature", "A note signed by a known key opens.", open(NOTE), opened(TEXT, LOG)),
  accepted(
    "published-example",
    "The example note of the specification opens with its example key.",
    { note: PUBLISHED_NOTE, keys: [PUBLISHED_KEY] },
    { text: "This is an example message.\n", verified: [PUBLISHED_KEY] },
  ),
  openedText("blank-lines-in-text", "A text may hold blank lines.", "one\n\n\ntwo\n\nthree\n"),
  openedText("text-of-one-newline", "A text may be a single newline.", "\n"),
  openedText("text-not-ascii", "A text may hold any character above the controls.", "Gruß 結 \u{1f9fe}\n"),
  openedText(
    "delete-and-next-line-in-text",
    "Only controls below U+0020 are forbidden in a text, not U+007F, U+0085 or U+2028.",
    "a\u007fb\u0085c\u2028d\n",
  ),
  openedText(
    "signature-lines-in-text",
    "What looks like a signature before the last blank line is text.",
    `${TEXT}\n${signText(TEXT, STRANGER)}`,
  ),
  accepted(
    "unknown-signatures-first",
    "Signatures by unknown keys are ignored, wherever they stand.",
    open(note(TEXT, ...strangers(3), LINE)),
    opened(TEXT, LOG),
  ),
  accepted(
    "unknown-signature-of-odd-length",
    "A signature by an unknown key may have any length.",
    open(note(TEXT, signatureLine("stranger.example", Uint8Array.of(1, 2, 3, 4), Uint8Array.of(9)), LINE)),
    opened(TEXT, LOG),
  ),
  accepted(
    "unknown-name-with-byte-order-mark",
    "U+FEFF is no Unicode space, so a key name may hold it.",
    open(note(TEXT, signatureLine("stranger\ufeff.example", STRANGER.id, SIGNATURE), LINE)),
    opened(TEXT, LOG),
  ),
  accepted(
    "two-known-keys",
    "All signatures by known keys are verified and reported.",
    open(note(TEXT, LINE, signText(TEXT, NEXT_LOG)), LOG, NEXT_LOG),
    opened(TEXT, LOG, NEXT_LOG),
  ),
  accepted(
    "same-signature-twice",
    "The same good signature twice counts as one key.",
    open(note(TEXT, LINE, LINE)),
    opened(TEXT, LOG),
  ),
  accepted(
    "same-name-other-id-beside",
    "A signature with a known name and another id is by an unknown key and is ignored.",
    open(note(TEXT, signatureLine(LOG.name, STRANGER.id, SIGNATURE.subarray(4)), LINE)),
    opened(TEXT, LOG),
  ),
  accepted(
    "same-id-other-name-beside",
    "A signature with a known id and another name is by an unknown key and is ignored.",
    open(
      note(
        TEXT,
        signatureLine("stranger.example", LOG.id, ed25519Sign(STRANGER.privateKey, utf8("x"))),
        LINE,
      ),
    ),
    opened(TEXT, LOG),
  ),
  accepted(
    "sixteen-signatures",
    "A note with sixteen signatures opens, the known one being the last.",
    open(note(TEXT, ...strangers(15), LINE)),
    opened(TEXT, LOG),
  ),
];

const badlySigned: readonly Case[] = [
  refused(
    "text-altered",
    "bad-signature",
    "A note with one character of its text altered is refused.",
    open(NOTE.replace("41", "42")),
  ),
  refused(
    "text-line-added",
    "bad-signature",
    "A note with a line added to its text is refused.",
    open(note(`${TEXT}Pay twice.\n`, LINE)),
  ),
  refused(
    "text-byte-order-mark-added",
    "bad-signature",
    "A byte order mark put before a signed text is part of the text, and must not be dropped silently.",
    noteBytes(Uint8Array.of(0xef, 0xbb, 0xbf), utf8(NOTE)),
  ),
  refused(
    "signature-over-text-without-newline",
    "bad-signature",
    "The signature covers the final newline of the text.",
    open(note(TEXT, signatureLine(LOG.name, LOG.id, ed25519Sign(LOG.privateKey, utf8(TEXT.slice(0, -1)))))),
  ),
  refused(
    "signature-over-text-with-blank-line",
    "bad-signature",
    "The signature does not cover the blank line after the text.",
    open(note(TEXT, signatureLine(LOG.name, LOG.id, ed25519Sign(LOG.privateKey, utf8(`${TEXT}\n`))))),
  ),
  refused(
    "signature-by-other-key",
    "bad-signature",
    "Another key's signature under a known name and id is refused.",
    open(note(TEXT, signatureLine(LOG.name, LOG.id, ed25519Sign(STRANGER.privateKey, utf8(TEXT))))),
  ),
  refused(
    "known-keys-one-good-one-bad",
    "bad-signature",
    "One known key's bad signature spoils the note, although another known key's is good.",
    open(note(TEXT, LINE, signatureLine(NEXT_LOG.name, NEXT_LOG.id, SIGNATURE.subarray(4))), LOG, NEXT_LOG),
  ),
  refused(
    "same-key-good-then-bad",
    "bad-signature",
    "Every signature by a known key is verified, also the second by the same key.",
    open(note(TEXT, LINE, LINE_OVER_OTHER_TEXT)),
  ),
  refused(
    "same-key-bad-then-good",
    "bad-signature",
    "A good signature does not excuse a bad one by the same key before it.",
    open(note(TEXT, LINE_OVER_OTHER_TEXT, LINE)),
  ),
  refused(
    "signature-of-63-bytes",
    "bad-signature",
    "A known Ed25519 key's signature of 63 bytes is refused.",
    open(encoded(base64(SIGNATURE.subarray(0, 67)))),
  ),
  refused(
    "signature-of-65-bytes",
    "bad-signature",
    "A known Ed25519 key's signature with a byte behind it is refused.",
    open(encoded(base64(concat(SIGNATURE, Uint8Array.of(0))))),
  ),
  refused(
    "signature-scalar-not-reduced",
    "bad-signature",
    "A second form of a good signature, with the group order added, is refused (RFC 8032 section 5.1.7).",
    open(encoded(base64(concat(LOG.id, withGroupOrderAdded(SIGNATURE.subarray(4)))))),
  ),
  refused(
    "public-key-not-a-point",
    "bad-signature",
    "A known key that is no point of the curve verifies nothing, and breaks nothing.",
    {
      note: note(TEXT, signatureLine(LOG.name, BROKEN_KEY.id, SIGNATURE.subarray(4))),
      keys: [verifierKey(BROKEN_KEY)],
    },
  ),
];

const unknown: readonly Case[] = [
  refused(
    "no-known-key",
    "unknown-key",
    "A note signed by strangers only is refused.",
    open(note(TEXT, ...strangers(2))),
  ),
  refused("no-keys-trusted", "unknown-key", "Who trusts no key opens no note.", { note: NOTE, keys: [] }),
  refused(
    "same-name-other-id",
    "unknown-key",
    "A known name with another id is an unknown key.",
    open(note(TEXT, signText(TEXT, NEXT_LOG))),
  ),
  refused(
    "same-id-other-name",
    "unknown-key",
    "A known id with another name is an unknown key.",
    open(named("stranger.example")),
  ),
  refused(
    "name-in-other-case",
    "unknown-key",
    "Key names are compared byte by byte.",
    open(named(LOG.name.replace("ledger", "Ledger"))),
  ),
  refused(
    "same-key-other-type",
    "unknown-key",
    "A cosignature is not by the key of the same name and bytes that signs notes: its id differs.",
    open(note(TEXT, cosignText(TEXT, AS_COSIGNER, 1795238542))),
  ),
  refused(
    "second-block-appended",
    "unknown-key",
    "A block appended after a good signature makes that signature text, so nobody known signed.",
    open(`${NOTE}\n${signText(TEXT, STRANGER)}`),
  ),
];

const illFormed: readonly Case[] = [
  malformed("empty", "Nothing at all is no note.", ""),
  malformed("only-newlines", "Newlines are no note.", "\n\n\n"),
  malformed("no-text", "A note without a text is refused.", `\n${LINE}`),
  malformed("no-blank-line", "A note without the blank line is refused.", `${TEXT}${LINE}`),
  malformed("no-signatures", "A note without a signature line is refused.", `${TEXT}\n`),
  malformed("no-final-newline", "The last signature line must end in a newline.", NOTE.slice(0, -1)),
  malformed("trailing-text", "Nothing may follow the signature lines.", `${NOTE}more\n`),
  malformed(
    "trailing-blank-line",
    "A blank line after the signatures leaves none after the last one.",
    `${NOTE}\n`,
  ),
  malformed("trailing-nul", "A NUL after the last newline is refused.", `${NOTE}\0`),
  malformed("crlf", "Carriage returns are forbidden controls.", NOTE.replaceAll("\n", "\r\n")),
  malformed(
    "crlf-at-end",
    "One carriage return after the signature is refused.",
    NOTE.replace(/\n$/, "\r\n"),
  ),
  malformed(
    "tab-in-text",
    "A tab in the text is a forbidden control.",
    note("a\tb\n", signText("a\tb\n", LOG)),
  ),
  malformed(
    "escape-in-text",
    "An escape in the text is a forbidden control.",
    note("\u001b[2J\n", signText("\u001b[2J\n", LOG)),
  ),
  malformed(
    "nul-in-text",
    "A NUL in the text is a forbidden control.",
    note("a\0b\n", signText("a\0b\n", LOG)),
  ),
  malformed("hyphen-for-em-dash", "A hyphen is no em dash.", NOTE.replace("\u2014", "-")),
  malformed("en-dash-for-em-dash", "An en dash is no em dash.", NOTE.replace("\u2014", "\u2013")),
  malformed(
    "no-space-after-dash",
    "The space after the em dash is required.",
    NOTE.replace("\u2014 ", "\u2014"),
  ),
  malformed(
    "two-spaces-after-dash",
    "Two spaces after the em dash are refused.",
    NOTE.replace("\u2014 ", "\u2014  "),
  ),
  malformed("leading-space", "A space before the em dash is refused.", NOTE.replace("\u2014", " \u2014")),
  malformed(
    "two-spaces-after-name",
    "Two spaces after the name are refused.",
    NOTE.replace(`${LOG.name} `, `${LOG.name}  `),
  ),
  malformed("trailing-space", "A space after the signature is refused.", NOTE.replace(/\n$/, " \n")),
  malformed("third-field", "A signature line has two fields.", NOTE.replace(/\n$/, " more\n")),
  malformed(
    "no-signature-field",
    "A signature line without a signature is refused.",
    note(TEXT, `\u2014 ${LOG.name}\n`),
  ),
  malformed("empty-signature-field", "A signature line with an empty signature is refused.", encoded("")),
  malformed("empty-name", "A key name must not be empty.", named("")),
  malformed("plus-in-name", "A key name must not hold a plus.", named("ledger+example")),
  malformed("no-break-space-in-name", "U+00A0 is a Unicode space.", named("ledger\u00a0example")),
  malformed(
    "next-line-in-name",
    "U+0085 is a Unicode space, although JavaScript's \\s misses it.",
    named("ledger\u0085example"),
  ),
  malformed("ideographic-space-in-name", "U+3000 is a Unicode space.", named("ledger\u3000example")),
  malformed("line-separator-in-name", "U+2028 is a Unicode space.", named("ledger\u2028example")),
  malformed(
    "base64-unused-bits",
    "Base64 with an unused bit set is a second form of the same bytes.",
    encoded(withUnusedBitSet(base64(SIGNATURE))),
  ),
  malformed(
    "base64-no-padding",
    "Base64 without its padding is refused.",
    encoded(base64(SIGNATURE).replaceAll("=", "")),
  ),
  malformed(
    "base64-too-much-padding",
    "Base64 with more padding is refused.",
    encoded(`${base64(SIGNATURE)}=`),
  ),
  malformed(
    "base64-url-alphabet",
    "The URL alphabet is refused.",
    encoded(base64(concat(LOG.id, new Uint8Array(64).fill(0xff))).replaceAll("/", "_")),
  ),
  malformed(
    "base64-with-form-feed",
    "White space inside base64, which atob skips, is refused.",
    encoded(`${base64(SIGNATURE).slice(0, 8)}\u000c${base64(SIGNATURE).slice(8)}`),
  ),
  malformed(
    "signature-of-three-bytes",
    "A signature field shorter than its key id is refused.",
    encoded(base64(SIGNATURE.subarray(0, 3))),
  ),
  malformed(
    "signature-of-id-only",
    "A signature field that is only a key id is refused.",
    encoded(base64(LOG.id)),
  ),
  malformed(
    "unknown-signature-ill-formed",
    "A line that is no signature line spoils the note, whoever wrote it.",
    note(TEXT, "\u2014 stranger.example !!!!\n", LINE),
  ),
  malformed(
    "lone-surrogate",
    "A lone surrogate has no UTF-8, and must not verify as the U+FFFD that encoders put in its place.",
    note("bad \ud800\n", signText("bad \ufffd\n", LOG)),
  ),
  ...(
    [
      ["utf8-stray-byte", "A stray continuation byte is no UTF-8.", "80"],
      ["utf8-overlong-newline", "An overlong newline is no UTF-8.", "c08a"],
      ["utf8-surrogate", "An encoded surrogate is no UTF-8.", "eda080"],
      ["utf8-cut-off", "A character cut off in the middle is no UTF-8.", "e280"],
      ["utf8-beyond-unicode", "A code point above U+10FFFF is no UTF-8.", "f4908080"],
    ] as const
  ).map(([name, description, bytes]) =>
    refused(name, "malformed", description, noteBytes(Buffer.from(bytes, "hex"), utf8(NOTE))),
  ),
];

const tooLarge: readonly Case[] = [
  refused("text-of-two-mebibytes", "too-large", "A note of two mebibytes is refused.", {
    note: [repeated("ledger\n", 300_000), "\n", LINE],
    keys: [LOG_VKEY],
  }),
  refused("thousand-signatures", "too-large", "A note with a thousand signatures is refused.", {
    note: [TEXT, "\n", repeated(signatureLine("a", STRANGER.id, SIGNATURE.subarray(4)), 1000), LINE],
    keys: [LOG_VKEY],
  }),
];

export const noteCases: readonly Case[] = [
  ...wellFormed,
  ...badlySigned,
  ...unknown,
  ...illFormed,
  ...tooLarge,
];

// Verifier keys

const ML_DSA_PUBLIC_KEY = Uint8Array.from({ length: 1312 }, (_, at) => at % 251);

function key(name: string, type: number, publicKey: Uint8Array): string {
  return verifierKey({ name, type, publicKey, id: keyId(name, type, publicKey) });
}

function parsed(vkey: string, name: string, type: number, publicKey: Uint8Array): JsonObject {
  return { name, id: vkey.split("+")[1]!, type, public_key: hex(publicKey) };
}

function readable(
  caseName: string,
  description: string,
  name: string,
  type: number,
  publicKey: Uint8Array,
): Case {
  const vkey = key(name, type, publicKey);
  return accepted(caseName, description, { vkey }, parsed(vkey, name, type, publicKey));
}

function unreadable(name: string, description: string, vkey: Json, code = "malformed"): Case {
  return refused(name, code, description, { vkey });
}

/** A public key whose base64 holds a plus and a slash. */
const PLUS_AND_SLASH = Uint8Array.from({ length: 32 }, (_, at) =>
  at < 6 ? [0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff][at]! : at,
);

const [VKEY_NAME, VKEY_ID, VKEY_KEY] = LOG_VKEY.split("+", 3) as [string, string, string];

export const verifierKeyCases: readonly Case[] = [
  readable("ed25519", "The key of a log is read.", LOG.name, NOTE_ED25519, LOG.publicKey),
  readable(
    "ed25519-cosigner",
    "The key of an Ed25519 cosigner is read.",
    "witness.example",
    COSIGNATURE_ED25519,
    LOG.publicKey,
  ),
  readable(
    "ml-dsa-44-cosigner",
    "The key of an ML-DSA-44 cosigner is read.",
    "witness.example",
    COSIGNATURE_ML_DSA_44,
    ML_DSA_PUBLIC_KEY,
  ),
  readable(
    "plus-in-base64",
    "A plus in the key's base64 separates nothing.",
    "ledger.example",
    NOTE_ED25519,
    PLUS_AND_SLASH,
  ),
  readable(
    "name-not-ascii",
    "A key name may hold any character but spaces and plus.",
    "bücher.example/結",
    NOTE_ED25519,
    LOG.publicKey,
  ),
  accepted(
    "published-example",
    "The example key of the specification is read.",
    { vkey: PUBLISHED_KEY },
    parsed(
      PUBLISHED_KEY,
      "example.com/foo",
      1,
      Buffer.from(PUBLISHED_KEY.split("+")[2]!, "base64").subarray(1),
    ),
  ),
  unreadable("empty", "Nothing is no key.", ""),
  unreadable(
    "id-uppercase",
    "The id is written in lowercase.",
    `${VKEY_NAME}+${VKEY_ID.toUpperCase()}+${VKEY_KEY}`,
  ),
  unreadable(
    "id-of-other-key",
    "The id must be that of this name and key.",
    `${VKEY_NAME}+${hex(STRANGER.id)}+${VKEY_KEY}`,
  ),
  unreadable("id-of-other-name", "The id depends on the name.", `stranger.example+${VKEY_ID}+${VKEY_KEY}`),
  unreadable(
    "id-of-other-type",
    "The id depends on the type.",
    `${VKEY_NAME}+${hex(AS_COSIGNER.id)}+${VKEY_KEY}`,
  ),
  unreadable(
    "id-of-seven-digits",
    "The id has eight digits.",
    `${VKEY_NAME}+${VKEY_ID.slice(1)}+${VKEY_KEY}`,
  ),
  unreadable(
    "id-of-nine-digits",
    "The id has eight digits and not nine.",
    `${VKEY_NAME}+0${VKEY_ID}+${VKEY_KEY}`,
  ),
  unreadable("id-with-prefix", "The id has no 0x before it.", `${VKEY_NAME}+0x${VKEY_ID}+${VKEY_KEY}`),
  unreadable("id-empty", "The id must be there.", `${VKEY_NAME}++${VKEY_KEY}`),
  unreadable("id-missing", "A key has three parts.", `${VKEY_NAME}+${VKEY_KEY}`),
  unreadable("key-missing", "A key without its public key is refused.", `${VKEY_NAME}+${VKEY_ID}`),
  unreadable("key-empty", "A key with an empty public key is refused.", `${VKEY_NAME}+${VKEY_ID}+`),
  unreadable("name-empty", "A key without a name is refused.", key("", NOTE_ED25519, LOG.publicKey)),
  unreadable(
    "name-with-space",
    "A key name must not hold a space.",
    key("ledger example", NOTE_ED25519, LOG.publicKey),
  ),
  unreadable(
    "name-with-next-line",
    "A key name must not hold U+0085, which is a Unicode space.",
    key("ledger\u0085", NOTE_ED25519, LOG.publicKey),
  ),
  unreadable(
    "name-with-newline",
    "A key name must not hold a newline.",
    key("ledger\nexample", NOTE_ED25519, LOG.publicKey),
  ),
  unreadable(
    "name-with-plus",
    "A key name must not hold a plus.",
    key("ledger+example", NOTE_ED25519, LOG.publicKey),
  ),
  unreadable(
    "key-of-31-bytes",
    "An Ed25519 key has 32 bytes and not 31.",
    key(LOG.name, NOTE_ED25519, LOG.publicKey.subarray(1)),
  ),
  unreadable(
    "key-of-33-bytes",
    "An Ed25519 key has 32 bytes and not 33.",
    key(LOG.name, NOTE_ED25519, concat(LOG.publicKey, Uint8Array.of(0))),
  ),
  unreadable(
    "key-of-no-bytes",
    "A type byte alone is no key.",
    key(LOG.name, NOTE_ED25519, new Uint8Array()),
  ),
  unreadable(
    "ml-dsa-44-key-of-32-bytes",
    "An ML-DSA-44 key has 1312 bytes.",
    key(LOG.name, COSIGNATURE_ML_DSA_44, LOG.publicKey),
  ),
  unreadable(
    "ml-dsa-44-key-of-1311-bytes",
    "An ML-DSA-44 key has 1312 bytes and not 1311.",
    key(LOG.name, COSIGNATURE_ML_DSA_44, ML_DSA_PUBLIC_KEY.subarray(1)),
  ),
  unreadable(
    "type-ecdsa",
    "ECDSA keys are known but not supported.",
    key(LOG.name, 0x02, LOG.publicKey),
    "unsupported",
  ),
  unreadable(
    "type-tree-head",
    "RFC 6962 tree head keys are known but not supported.",
    key(LOG.name, 0x05, LOG.publicKey),
    "unsupported",
  ),
  unreadable(
    "type-reserved",
    "Keys of a type without a number are not supported.",
    key(LOG.name, 0xff, LOG.publicKey),
    "unsupported",
  ),
  unreadable("base64-padded", "Padding where none belongs is refused.", `${LOG_VKEY}=`),
  unreadable(
    "base64-url-alphabet",
    "The URL alphabet is refused.",
    key("ledger.example", NOTE_ED25519, PLUS_AND_SLASH).replaceAll("/", "_"),
  ),
  unreadable("trailing-newline", "A newline behind the key is refused.", `${LOG_VKEY}\n`),
  unreadable("trailing-space", "A space behind the key is refused.", `${LOG_VKEY} `),
  unreadable("leading-space", "A space before the key is refused.", ` ${LOG_VKEY}`),
  unreadable("trailing-part", "A fourth part is refused.", `${LOG_VKEY}+`),
];
