// Vectors of checkpoints (C2SP tlog-checkpoint, 2026-07-11) and of stored proofs (C2SP tlog-proof, 2026-05-22).

import { base64, checkpointText, hex, note, proofFile, signText, utf8, verifierKey } from "../note.ts";
import { emptyRoot, pathOfLeaves } from "../rfc6962.ts";
import { accepted, type Case, type Json, type JsonObject, refused, repeated } from "./case.ts";
import {
  checkpointAt,
  LOG,
  LOG_VKEY,
  leaves,
  NEXT_LOG,
  ORIGIN,
  OTHER_LOG,
  OTHER_ORIGIN,
  rootAt,
  STRANGER,
  signedCheckpoint,
  witness,
} from "./ledger.ts";

const SIZE = 11;
const ROOT = rootAt(SIZE);
const TEXT = checkpointAt(SIZE);

function head(origin: string, size: number, root: Uint8Array, ...extensions: readonly string[]): JsonObject {
  return { origin, size, root: hex(root), extensions };
}

function readable(name: string, description: string, ...parts: Parameters<typeof checkpointText>): Case {
  const [origin, size, root, ...extensions] = parts;
  return accepted(
    name,
    description,
    { text: checkpointText(...parts) },
    head(origin, Number(size), root, ...extensions),
  );
}

function malformed(name: string, description: string, text: Json, code = "malformed"): Case {
  return refused(name, code, description, { text });
}

function sized(size: string): string {
  return checkpointText(ORIGIN, size, ROOT);
}

function rooted(root: string): string {
  return `${ORIGIN}\n${SIZE}\n${root}\n`;
}

/** 32 bytes leave two unused bits in the last base64 digit; this sets one of them. */
function withUnusedBitSet(text: string): string {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return `${text.slice(0, 42)}${digits[digits.indexOf(text[42]!) + 1]}=`;
}

const texts: readonly Case[] = [
  readable("plain", "A checkpoint's origin, size and root are read.", ORIGIN, SIZE, ROOT),
  readable("empty-tree", "The checkpoint of an empty tree has size 0.", ORIGIN, 0, emptyRoot()),
  readable(
    "extension-lines",
    "Extension lines are kept in order, opaque.",
    ORIGIN,
    SIZE,
    ROOT,
    "b 2",
    " a=1 ",
    "\u2014 x y",
  ),
  readable("origin-with-spaces", "An origin may be any line.", "The Ledger + its spaces", SIZE, ROOT),
  readable("size-beyond-32-bits", "A size above 2^32 is read exactly.", ORIGIN, 2 ** 32 + 5, ROOT),
  readable(
    "size-largest-safe",
    "The largest size that a number holds exactly is read.",
    ORIGIN,
    Number.MAX_SAFE_INTEGER,
    ROOT,
  ),
  malformed(
    "size-not-safe",
    "A size that a number cannot hold exactly is refused, not rounded.",
    sized("9007199254740992"),
    "too-large",
  ),
  malformed(
    "size-of-many-digits",
    "A size of a thousand digits is refused.",
    [`${ORIGIN}\n`, repeated("9", 1000), `\n${base64(ROOT)}\n`],
    "too-large",
  ),
  malformed(
    "leading-zero-size",
    "A size with a leading zero is a second form of the same number.",
    sized("011"),
  ),
  malformed(
    "double-zero-size",
    "The empty tree's size is 0 and not 00.",
    checkpointText(ORIGIN, "00", emptyRoot()),
  ),
  malformed("plus-size", "A size has no sign.", sized("+11")),
  malformed("negative-size", "A size is not negative.", sized("-11")),
  malformed("negative-zero-size", "A size is not minus zero.", checkpointText(ORIGIN, "-0", emptyRoot())),
  malformed("fractional-size", "A size has no fraction.", sized("11.0")),
  malformed("exponent-size", "A size has no exponent.", sized("11e0")),
  malformed("hexadecimal-size", "A size is decimal.", sized("0xb")),
  malformed("empty-size", "A size must be there.", sized("")),
  malformed("space-before-size", "White space before the size is refused.", sized(" 11")),
  malformed("space-after-size", "White space after the size is refused.", sized("11 ")),
  malformed("size-in-other-digits", "A size is written in ASCII digits.", sized("\u0661\u0661")),
  malformed("size-with-separator", "A size has no separators.", sized("1_1")),
  malformed("root-of-31-bytes", "A root has 32 bytes and not 31.", rooted(base64(ROOT.subarray(1)))),
  malformed(
    "root-of-33-bytes",
    "A root has 32 bytes and not 33.",
    rooted(base64(Buffer.concat([ROOT, ROOT.subarray(31)]))),
  ),
  malformed("root-empty", "A root must be there.", rooted("")),
  malformed("root-in-hexadecimal", "A root is base64.", rooted(hex(ROOT))),
  malformed("root-no-padding", "A root's base64 is padded.", rooted(base64(ROOT).replace("=", ""))),
  malformed(
    "root-unused-bits",
    "A root with an unused bit set is a second form of the same bytes.",
    rooted(withUnusedBitSet(base64(ROOT))),
  ),
  malformed(
    "root-url-alphabet",
    "The URL alphabet is refused in a root.",
    rooted(base64(new Uint8Array(32).fill(0xff)).replaceAll("/", "_")),
  ),
  malformed("root-with-space", "White space after the root is refused.", rooted(`${base64(ROOT)} `)),
  malformed("origin-empty", "An origin must not be empty.", checkpointText("", SIZE, ROOT)),
  malformed(
    "extension-line-empty",
    "An extension line must not be empty.",
    checkpointText(ORIGIN, SIZE, ROOT, ""),
  ),
  malformed(
    "extension-line-empty-between",
    "No line between extensions may be empty.",
    checkpointText(ORIGIN, SIZE, ROOT, "a", "", "b"),
  ),
  malformed("no-final-newline", "The last line must end in a newline.", TEXT.slice(0, -1)),
  malformed("no-final-newline-after-extension", "The last extension line must end in a newline.", `${TEXT}a`),
  malformed("two-lines", "A checkpoint has at least three lines.", `${ORIGIN}\n${SIZE}\n`),
  malformed("empty", "Nothing is no checkpoint.", ""),
  malformed("only-newlines", "Newlines are no checkpoint.", "\n\n\n"),
  malformed(
    "lines-in-other-order",
    "The size comes before the root.",
    `${ORIGIN}\n${base64(ROOT)}\n${SIZE}\n`,
  ),
  malformed("crlf", "Carriage returns are refused.", TEXT.replaceAll("\n", "\r\n")),
  malformed("byte-order-mark-before-size", "A byte order mark is no digit.", sized("\ufeff11")),
];

const NOTE = signedCheckpoint(SIZE);

function open(text: Json, keys: readonly string[] = [LOG_VKEY]): JsonObject {
  return { note: text, keys };
}

function signedByLog(text: string): string {
  return note(text, signText(text, LOG));
}

const OTHER_TEXT = checkpointText(OTHER_ORIGIN, SIZE, ROOT);

const signed: readonly Case[] = [
  accepted("signed", "A checkpoint signed by the ledger's key opens.", open(NOTE), head(ORIGIN, SIZE, ROOT)),
  accepted(
    "signed-by-one-of-two-keys",
    "A checkpoint signed by either of the ledger's keys opens, so that keys can rotate.",
    open(note(TEXT, signText(TEXT, NEXT_LOG)), [LOG_VKEY, verifierKey(NEXT_LOG)]),
    head(ORIGIN, SIZE, ROOT),
  ),
  accepted(
    "signed-among-strangers",
    "Signatures by others beside the ledger's are ignored.",
    open(note(TEXT, signText(TEXT, STRANGER), signText(TEXT, witness(1)), signText(TEXT, LOG))),
    head(ORIGIN, SIZE, ROOT),
  ),
  refused(
    "signed-size-altered",
    "bad-signature",
    "A size altered after signing is refused.",
    open(NOTE.replace("\n11\n", "\n12\n")),
  ),
  refused(
    "signed-extension-added",
    "bad-signature",
    "An extension line added after signing is refused.",
    open(NOTE.replace("\n\n", "\nmore\n\n")),
  ),
  refused(
    "signed-by-stranger",
    "unknown-key",
    "A checkpoint that only a stranger signed is refused.",
    open(note(TEXT, signText(TEXT, STRANGER))),
  ),
  refused(
    "signed-by-retired-key",
    "unknown-key",
    "A ledger's key that is not among the trusted ones is unknown.",
    open(note(TEXT, signText(TEXT, NEXT_LOG))),
  ),
  refused(
    "signed-other-origin",
    "wrong-origin",
    "Another ledger's checkpoint, by its own key, is of the wrong origin.",
    open(note(OTHER_TEXT, signText(OTHER_TEXT, OTHER_LOG))),
  ),
  refused(
    "signed-other-origin-by-this-key",
    "wrong-origin",
    "A ledger's key does not vouch for another origin.",
    open(signedByLog(OTHER_TEXT)),
  ),
  refused(
    "signed-origin-in-other-case",
    "wrong-origin",
    "Origins are compared byte by byte.",
    open(signedByLog(checkpointText(ORIGIN.toUpperCase(), SIZE, ROOT))),
  ),
  refused(
    "signed-origin-with-byte-order-mark",
    "wrong-origin",
    "A byte order mark before the origin makes another origin.",
    open(signedByLog(`\ufeff${TEXT}`)),
  ),
  refused(
    "signed-by-key-of-other-origin",
    "unknown-key",
    "One ledger's key does not sign another ledger's checkpoint, although both are trusted.",
    open(note(TEXT, signText(TEXT, OTHER_LOG)), [LOG_VKEY, verifierKey(OTHER_LOG)]),
  ),
  refused(
    "signed-no-checkpoint",
    "malformed",
    "A signed note that is no checkpoint is refused.",
    open(signedByLog("Hello.\n")),
  ),
  refused(
    "signed-leading-zero-size",
    "malformed",
    "A signature does not make up for a size with a leading zero.",
    open(signedByLog(sized("011"))),
  ),
  refused(
    "signed-blank-extension-line",
    "malformed",
    "A blank line before the last blank line is an empty extension line.",
    open(signedByLog(`${TEXT}\n`)),
  ),
  refused(
    "signed-crlf",
    "malformed",
    "Line ends altered on the way are refused.",
    open(NOTE.replaceAll("\n", "\r\n")),
  ),
  refused(
    "signed-no-final-newline",
    "malformed",
    "A final newline lost on the way is refused.",
    open(NOTE.slice(0, -1)),
  ),
];

export const checkpointCases: readonly Case[] = [...texts, ...signed];

// Stored proofs

const INDEX = 4;
const LEAF = hex(leaves(SIZE)[INDEX]!);
const HASHES = pathOfLeaves(INDEX, leaves(SIZE));
const EXTRA = utf8("a receipt");
const PROOF = proofFile({ index: INDEX, hashes: HASHES, checkpoint: NOTE });
const PROOF_WITH_EXTRA = proofFile({ extra: EXTRA, index: INDEX, hashes: HASHES, checkpoint: NOTE });

/** A stored proof, checked all the way for a leaf with the ledger's key. */
function check(proof: Json, leaf = LEAF): JsonObject {
  return { proof, leaf, keys: [LOG_VKEY] };
}

function unreadable(name: string, description: string, proof: Json, code = "malformed"): Case {
  return refused(name, code, description, check(proof));
}

function withHashes(hashes: readonly Uint8Array[], index = INDEX): JsonObject {
  return check(proofFile({ index, hashes, checkpoint: NOTE }));
}

const [FIRST, SECOND, ...REST] = HASHES as [Uint8Array, Uint8Array, ...Uint8Array[]];
const FIRST_LINE = `${base64(FIRST)}\n`;

const ONE = {
  leaf: hex(leaves(1)[0]!),
  proof: proofFile({ index: 0, hashes: [], checkpoint: signedCheckpoint(1) }),
};

export const proofCases: readonly Case[] = [
  accepted("plain", "A proof leads from its leaf to the signed root.", check(PROOF), {
    index: INDEX,
    hashes: HASHES.map(hex),
    checkpoint: NOTE,
  }),
  accepted("with-extra", "A proof keeps its extra data.", check(PROOF_WITH_EXTRA), {
    extra: hex(EXTRA),
    index: INDEX,
    hashes: HASHES.map(hex),
    checkpoint: NOTE,
  }),
  accepted("no-hashes", "The only entry of a tree needs no hashes.", check(ONE.proof, ONE.leaf), {
    index: 0,
    hashes: [],
    checkpoint: signedCheckpoint(1),
  }),
  refused(
    "leaf-of-other-entry",
    "not-included",
    "The proof of one entry is not the proof of another.",
    check(PROOF, hex(leaves(SIZE)[5]!)),
  ),
  refused(
    "index-of-other-entry",
    "not-included",
    "The index is part of what is proven.",
    check(PROOF.replace("index 4\n", "index 5\n")),
  ),
  refused(
    "index-at-size",
    "not-included",
    "An index equal to the tree's size is not in the tree.",
    check(PROOF.replace("index 4\n", "index 11\n")),
  ),
  refused(
    "index-beyond-size",
    "not-included",
    "An index far beyond the tree's size is not in the tree.",
    check(PROOF.replace("index 4\n", "index 4294967300\n")),
  ),
  refused(
    "hash-missing",
    "not-included",
    "A proof with a hash missing is refused.",
    withHashes(HASHES.slice(0, -1)),
  ),
  refused(
    "hash-extra",
    "not-included",
    "A proof with a hash too many is refused.",
    withHashes([...HASHES, FIRST]),
  ),
  refused(
    "hash-altered",
    "not-included",
    "A proof with an altered hash is refused.",
    withHashes([SECOND, SECOND, ...REST]),
  ),
  refused(
    "hashes-swapped",
    "not-included",
    "A proof with two hashes swapped is refused.",
    withHashes([SECOND, FIRST, ...REST]),
  ),
  refused(
    "checkpoint-of-other-size",
    "not-included",
    "A proof under an earlier checkpoint of the same ledger does not lead to its root.",
    check(proofFile({ index: INDEX, hashes: HASHES, checkpoint: signedCheckpoint(SIZE - 1) })),
  ),
  refused(
    "checkpoint-altered",
    "bad-signature",
    "A proof whose checkpoint was altered is refused.",
    check(PROOF.replace("\n11\n", "\n12\n")),
  ),
  refused(
    "checkpoint-by-stranger",
    "unknown-key",
    "A proof under a checkpoint that only a stranger signed is refused.",
    check(proofFile({ index: INDEX, hashes: HASHES, checkpoint: note(TEXT, signText(TEXT, STRANGER)) })),
  ),
  refused(
    "checkpoint-of-other-origin",
    "wrong-origin",
    "A proof under another ledger's checkpoint is of the wrong origin.",
    check(
      proofFile({
        index: INDEX,
        hashes: HASHES,
        checkpoint: note(OTHER_TEXT, signText(OTHER_TEXT, OTHER_LOG)),
      }),
    ),
  ),
  refused(
    "version-2",
    "unsupported",
    "A later version of the format is not read as this one.",
    check(PROOF.replace("@v1", "@v2")),
  ),
  unreadable("no-header", "The first line must be there.", PROOF.slice(PROOF.indexOf("\n") + 1)),
  unreadable("header-with-space", "The first line is exact.", PROOF.replace("@v1\n", "@v1 \n")),
  unreadable("header-with-byte-order-mark", "Nothing may stand before the first line.", `\ufeff${PROOF}`),
  unreadable("blank-line-first", "No blank line may stand before the first line.", `\n${PROOF}`),
  unreadable("crlf", "Carriage returns are refused.", PROOF.replaceAll("\n", "\r\n")),
  unreadable("empty", "Nothing is no proof.", ""),
  unreadable("header-only", "A first line alone is no proof.", "c2sp.org/tlog-proof@v1\n"),
  unreadable("index-missing", "The index must be there.", PROOF.replace("index 4\n", "")),
  unreadable("index-empty", "The index must be a number.", PROOF.replace("index 4\n", "index \n")),
  unreadable(
    "index-leading-zero",
    "An index with a leading zero is a second form of the same number.",
    PROOF.replace("index 4\n", "index 04\n"),
  ),
  unreadable("index-negative", "An index is not negative.", PROOF.replace("index 4\n", "index -4\n")),
  unreadable(
    "index-not-safe",
    "An index that a number cannot hold exactly is refused, not rounded.",
    PROOF.replace("index 4\n", "index 9007199254740993\n"),
    "too-large",
  ),
  unreadable(
    "index-two-spaces",
    "One space separates the index from its name.",
    PROOF.replace("index 4\n", "index  4\n"),
  ),
  unreadable("index-with-tab", "The separator is a space.", PROOF.replace("index 4\n", "index\t4\n")),
  unreadable("index-uppercase", "The names of lines are lowercase.", PROOF.replace("index 4\n", "Index 4\n")),
  unreadable("index-twice", "The index stands there once.", PROOF.replace("index 4\n", "index 4\nindex 4\n")),
  unreadable(
    "index-before-extra",
    "The extra line comes before the index.",
    PROOF.replace("index 4\n", `index 4\nextra ${base64(EXTRA)}\n`),
  ),
  unreadable(
    "extra-twice",
    "The extra line stands there once.",
    PROOF_WITH_EXTRA.replace(/(extra .*\n)/, "$1$1"),
  ),
  unreadable(
    "extra-empty",
    "Without extra data there is no extra line.",
    PROOF_WITH_EXTRA.replace(/extra .*\n/, "extra \n"),
  ),
  unreadable(
    "extra-without-space",
    "The extra line without its space is refused.",
    PROOF_WITH_EXTRA.replace(/extra .*\n/, "extra\n"),
  ),
  unreadable(
    "extra-unused-bits",
    "Extra data with an unused bit set is a second form of the same bytes.",
    PROOF.replace("index", "extra YR==\nindex"),
  ),
  unreadable("extra-no-padding", "Extra data is padded.", PROOF.replace("index", "extra YQ\nindex")),
  unreadable(
    "extra-url-alphabet",
    "The URL alphabet is refused in extra data.",
    PROOF.replace("index", "extra ____\nindex"),
  ),
  unreadable(
    "hash-of-31-bytes",
    "A hash has 32 bytes.",
    PROOF.replace(FIRST_LINE, `${base64(FIRST.subarray(1))}\n`),
  ),
  unreadable(
    "hash-unused-bits",
    "A hash with an unused bit set is a second form of the same bytes.",
    PROOF.replace(FIRST_LINE, `${withUnusedBitSet(base64(FIRST))}\n`),
  ),
  unreadable("hash-in-hexadecimal", "Hashes are base64.", PROOF.replace(FIRST_LINE, `${hex(FIRST)}\n`)),
  unreadable(
    "hashes-on-one-line",
    "Each hash has a line of its own.",
    PROOF.replace(FIRST_LINE, `${base64(FIRST)} `),
  ),
  unreadable(
    "blank-line-between-hashes",
    "The first blank line ends the hashes.",
    PROOF.replace(FIRST_LINE, `${FIRST_LINE}\n`),
  ),
  unreadable(
    "blank-line-missing",
    "A blank line separates the hashes from the checkpoint.",
    PROOF.replace(`\n\n${ORIGIN}`, `\n${ORIGIN}`),
  ),
  unreadable(
    "blank-line-twice",
    "Only one blank line stands before the checkpoint.",
    PROOF.replace(`\n\n${ORIGIN}`, `\n\n\n${ORIGIN}`),
  ),
  unreadable("checkpoint-missing", "The checkpoint must be there.", PROOF.slice(0, PROOF.indexOf(ORIGIN))),
  unreadable(
    "checkpoint-unsigned",
    "The checkpoint must carry its signatures.",
    proofFile({ index: INDEX, hashes: HASHES, checkpoint: TEXT }),
  ),
  unreadable("checkpoint-no-final-newline", "The checkpoint ends in a newline.", PROOF.slice(0, -1)),
  unreadable("trailing-text", "Nothing may follow the checkpoint.", `${PROOF}more\n`),
  unreadable("trailing-newline", "No blank line may follow the checkpoint.", `${PROOF}\n`),
  refused(
    "ten-thousand-hashes",
    "too-large",
    "More hashes than any tree is high are refused.",
    check(["c2sp.org/tlog-proof@v1\nindex 4\n", repeated(FIRST_LINE, 10_000), `\n${NOTE}`]),
  ),
];
