// Vectors of cosignatures (C2SP tlog-cosignature, 2026-06-03), trust policies (C2SP tlog-policy,
// 2026-06-22) and the bodies of the witness protocol (C2SP tlog-witness, 2026-07-06).

import { ML_DSA_44_PUBLIC_KEY, mlDsaSignature } from "../mldsa44.ts";
import {
  addCheckpoint,
  base64,
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  checkpointText,
  concat,
  cosignedText,
  cosignText,
  ed25519Sign,
  hex,
  keyId,
  makeKey,
  mlDsaMessage,
  NOTE_ED25519,
  note,
  type SigningKey,
  signatureLine,
  signText,
  utf8,
  verifierKey,
} from "../note.ts";
import { proofOfLeaves } from "../rfc6962.ts";
import { accepted, type Case, type Json, type JsonObject, refused, repeated } from "./case.ts";
import {
  checkpointAt,
  LOG,
  LOG_VKEY,
  leaves,
  NEXT_LOG,
  ORIGIN,
  OTHER_LOG,
  rootAt,
  STRANGER,
  signedCheckpoint,
  witness,
} from "./ledger.ts";

const SIZE = 11;
const TEXT = checkpointAt(SIZE);
const TIME = 1795238542;
const [W1, W2, W3] = [witness(1), witness(2), witness(3)];
const LOG_LINE = signText(TEXT, LOG);
const W1_LINE = cosignText(TEXT, W1, TIME);

/** A cosigned checkpoint, opened with the keys of its witnesses. */
function open(text: string, ...witnesses: readonly SigningKey[]): JsonObject {
  return { note: text, keys: (witnesses.length === 0 ? [W1] : witnesses).map(verifierKey) };
}

function cosigned(...pairs: readonly (readonly [SigningKey, number])[]): JsonObject {
  return { cosigned: pairs.map(([key, timestamp]) => ({ key: verifierKey(key), timestamp })) };
}

/** What witness 1 signs, with the time that it says it signed at. */
function stamped(message: string, timestamp: bigint): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(timestamp);
  return signatureLine(W1.name, W1.id, concat(time, ed25519Sign(W1.privateKey, utf8(message))));
}

function badCosignature(name: string, description: string, line: string): Case {
  return refused(name, "bad-signature", description, open(note(TEXT, LOG_LINE, line)));
}

/** A cosignature that is not even a time and a signature. */
function badTimestamped(name: string, code: string, description: string, line: string): Case {
  return refused(name, code, description, open(note(TEXT, LOG_LINE, line)));
}

const W1_BYTES = Buffer.from(W1_LINE.split(" ")[2]!, "base64");

/** Witness 1's cosignature line with other bytes behind the key id. */
function lineOf(bytes: Uint8Array): string {
  return signatureLine(W1.name, W1.id, bytes);
}

const ML_DSA_NAME = "quantum.example/w";
const ML_DSA_KEY = {
  name: ML_DSA_NAME,
  type: COSIGNATURE_ML_DSA_44,
  id: keyId(ML_DSA_NAME, COSIGNATURE_ML_DSA_44, ML_DSA_44_PUBLIC_KEY),
  publicKey: ML_DSA_44_PUBLIC_KEY,
};
const ML_DSA_BYTES = (() => {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(TIME));
  const message = {
    cosigner: ML_DSA_NAME,
    timestamp: TIME,
    origin: ORIGIN,
    start: 0,
    end: SIZE,
    hash: rootAt(SIZE),
  };
  return concat(time, mlDsaSignature(mlDsaMessage(message)));
})();
const ML_DSA_LINE = signatureLine(ML_DSA_NAME, ML_DSA_KEY.id, ML_DSA_BYTES);

function openMlDsa(text: string, line = ML_DSA_LINE): JsonObject {
  return { note: note(text, signText(text, LOG), line), keys: [verifierKey(ML_DSA_KEY)] };
}

/** The bytes that an ML-DSA-44 cosigner signs for a checkpoint. */
function message(name: string, description: string, cosigner: string, origin: string, size: number): Case {
  const hash = rootAt(SIZE);
  const text = checkpointText(origin, size, hash, "an extension");
  const made = mlDsaMessage({ cosigner, timestamp: TIME, origin, start: 0, end: size, hash });
  return accepted(name, description, { cosigner, timestamp: TIME, text }, { message: hex(made) });
}

const EXTENDED = checkpointAt(SIZE, "an extension");

export const cosignatureCases: readonly Case[] = [
  accepted(
    "one-witness",
    "A witness's cosignature over a checkpoint is verified, with its time.",
    open(note(TEXT, LOG_LINE, W1_LINE)),
    cosigned([W1, TIME]),
  ),
  accepted(
    "three-witnesses",
    "The cosignatures of all known witnesses are verified.",
    open(
      note(TEXT, cosignText(TEXT, W3, TIME + 2), LOG_LINE, W1_LINE, cosignText(TEXT, W2, TIME + 1)),
      W1,
      W2,
      W3,
    ),
    cosigned([W3, TIME + 2], [W1, TIME], [W2, TIME + 1]),
  ),
  accepted(
    "unknown-witness-beside",
    "The cosignature of an unknown witness is ignored.",
    open(note(TEXT, LOG_LINE, cosignText(TEXT, W2, TIME), W1_LINE)),
    cosigned([W1, TIME]),
  ),
  accepted(
    "with-extension-lines",
    "An Ed25519 cosignature covers the extension lines.",
    open(note(EXTENDED, signText(EXTENDED, LOG), cosignText(EXTENDED, W1, TIME))),
    cosigned([W1, TIME]),
  ),
  accepted(
    "time-0",
    "A cosignature of the time 0 fits its bytes.",
    open(note(TEXT, LOG_LINE, cosignText(TEXT, W1, 0))),
    cosigned([W1, 0]),
  ),
  accepted(
    "time-beyond-32-bits",
    "A time after 2106 is read exactly.",
    open(note(TEXT, LOG_LINE, cosignText(TEXT, W1, 2 ** 32 + 5))),
    cosigned([W1, 2 ** 32 + 5]),
  ),
  badCosignature(
    "time-altered",
    "A time that was altered after signing is refused.",
    stamped(cosignedText(TEXT, TIME), BigInt(TIME + 1)),
  ),
  badTimestamped(
    "time-little-endian",
    "too-large",
    "A little-endian time is refused.",
    lineOf(concat(W1_BYTES.subarray(4, 12).toReversed(), W1_BYTES.subarray(12))),
  ),
  badTimestamped(
    "time-left-out",
    "malformed",
    "A cosignature without its time is refused.",
    lineOf(W1_BYTES.subarray(12)),
  ),
  badCosignature(
    "time-leading-zero",
    "The signed time has no leading zero.",
    stamped(`cosignature/v1\ntime 0${TIME}\n${TEXT}`, BigInt(TIME)),
  ),
  badCosignature(
    "text-signed-alone",
    "A signature over the checkpoint alone is no cosignature.",
    stamped(TEXT, BigInt(TIME)),
  ),
  badCosignature(
    "header-left-out",
    "A cosignature covers its header line.",
    stamped(`time ${TIME}\n${TEXT}`, BigInt(TIME)),
  ),
  badCosignature(
    "header-of-version-2",
    "A cosignature covers the version in its header line.",
    stamped(`cosignature/v2\ntime ${TIME}\n${TEXT}`, BigInt(TIME)),
  ),
  badCosignature(
    "final-newline-left-out",
    "A cosignature covers the checkpoint's final newline.",
    stamped(cosignedText(TEXT, TIME).slice(0, -1), BigInt(TIME)),
  ),
  badCosignature(
    "signatures-included",
    "A cosignature does not cover other signatures.",
    stamped(cosignedText(note(TEXT, LOG_LINE), TIME), BigInt(TIME)),
  ),
  badCosignature(
    "of-other-size",
    "A cosignature of another checkpoint is refused.",
    cosignText(checkpointAt(SIZE - 1), W1, TIME),
  ),
  badTimestamped(
    "one-byte-short",
    "malformed",
    "A cosignature that is a byte short is refused.",
    lineOf(W1_BYTES.subarray(4, -1)),
  ),
  badTimestamped(
    "one-byte-long",
    "malformed",
    "A cosignature with a byte behind it is refused.",
    lineOf(concat(W1_BYTES.subarray(4), Uint8Array.of(0))),
  ),
  badTimestamped(
    "one-byte-only",
    "malformed",
    "A cosignature of one byte is refused.",
    lineOf(Uint8Array.of(0)),
  ),
  badTimestamped(
    "time-beyond-63-bits",
    "too-large",
    "A time of 2^63 is refused, whoever signed it.",
    stamped(cosignedText(TEXT, 2n ** 63n), 2n ** 63n),
  ),
  refused(
    "good-then-bad-by-one-witness",
    "bad-signature",
    "A bad cosignature is not excused by a good one of the same witness.",
    open(note(TEXT, W1_LINE, stamped(TEXT, BigInt(TIME)))),
  ),
  refused(
    "extension-line-added",
    "bad-signature",
    "An extension line that was added after cosigning is refused.",
    open(note(EXTENDED, signText(EXTENDED, LOG), W1_LINE)),
  ),
  accepted(
    "witness-key-as-note-key",
    "A witness's key that signs the checkpoint as a note is not the key that cosigns: its id differs.",
    open(note(TEXT, LOG_LINE, signText(TEXT, makeKey(W1.name, NOTE_ED25519, "counterfoil test: witness 1")))),
    cosigned(),
  ),
  accepted(
    "no-cosignature",
    "A checkpoint without a cosignature by a known witness is cosigned by nobody.",
    open(note(TEXT, LOG_LINE)),
    cosigned(),
  ),
  accepted(
    "same-witness-twice",
    "One witness may have cosigned at two times.",
    open(note(TEXT, LOG_LINE, W1_LINE, cosignText(TEXT, W1, TIME + 60))),
    cosigned([W1, TIME], [W1, TIME + 60]),
  ),
  accepted("ml-dsa-44", "An ML-DSA-44 cosignature over a checkpoint is verified.", openMlDsa(TEXT), {
    cosigned: [{ key: verifierKey(ML_DSA_KEY), timestamp: TIME }],
  }),
  accepted(
    "ml-dsa-44-with-extension-lines",
    "An ML-DSA-44 cosignature does not cover the extension lines.",
    openMlDsa(EXTENDED),
    {
      cosigned: [{ key: verifierKey(ML_DSA_KEY), timestamp: TIME }],
    },
  ),
  refused(
    "ml-dsa-44-of-other-size",
    "bad-signature",
    "An ML-DSA-44 cosignature covers the size.",
    openMlDsa(checkpointText(ORIGIN, SIZE + 1, rootAt(SIZE))),
  ),
  refused(
    "ml-dsa-44-of-other-root",
    "bad-signature",
    "An ML-DSA-44 cosignature covers the root.",
    openMlDsa(checkpointText(ORIGIN, SIZE, rootAt(SIZE - 1))),
  ),
  refused(
    "ml-dsa-44-of-other-origin",
    "bad-signature",
    "An ML-DSA-44 cosignature covers the origin.",
    openMlDsa(checkpointText(`${ORIGIN}/x`, SIZE, rootAt(SIZE))),
  ),
  refused(
    "ml-dsa-44-time-altered",
    "bad-signature",
    "An ML-DSA-44 cosignature covers its time.",
    openMlDsa(
      TEXT,
      signatureLine(
        ML_DSA_NAME,
        ML_DSA_KEY.id,
        ML_DSA_BYTES.map((byte, at) => (at === 7 ? byte ^ 1 : byte)),
      ),
    ),
  ),
  refused(
    "ml-dsa-44-one-byte-short",
    "malformed",
    "An ML-DSA-44 cosignature that is a byte short is refused.",
    openMlDsa(TEXT, signatureLine(ML_DSA_NAME, ML_DSA_KEY.id, ML_DSA_BYTES.subarray(0, -1))),
  ),
  message(
    "ml-dsa-44-message",
    "The message of an ML-DSA-44 cosignature is built byte by byte.",
    ML_DSA_NAME,
    ORIGIN,
    SIZE,
  ),
  message(
    "ml-dsa-44-message-not-ascii",
    "Lengths in the message of an ML-DSA-44 cosignature count bytes.",
    "zeuge.example/bücher",
    "bücher.example/結",
    2 ** 40 + 7,
  ),
];

// Policies

const V = (n: number) => verifierKey(witness(n));

const EXAMPLE = `log ${LOG_VKEY} https://ledger.example/
log ${verifierKey(OTHER_LOG)}

witness X1 ${V(1)} https://x1.example/
witness X2 ${V(2)}
witness X3 ${V(3)}
group X-witnesses 2 X1 X2 X3

witness Y1 ${V(4)}
witness Y2 ${V(5)}
witness Y3 ${V(6)}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

/** The lines before the one that a case is about. */
const TWO = `witness A ${V(1)}\nwitness B ${V(2)}\n`;

function readPolicy(name: string, description: string, policy: Json, output: JsonObject): Case {
  return accepted(name, description, { policy }, output);
}

function policyOf(parts: {
  readonly logs?: readonly JsonObject[];
  readonly witnesses?: readonly JsonObject[];
  readonly groups?: readonly JsonObject[];
  readonly quorum: string;
}): JsonObject {
  return { logs: [], witnesses: [], groups: [], ...parts };
}

const A_AND_B = [
  { name: "A", vkey: V(1) },
  { name: "B", vkey: V(2) },
];

function badPolicy(name: string, description: string, policy: string, code = "malformed"): Case {
  return refused(name, code, description, { policy });
}

function met(name: string, description: string, policy: string, ...witnesses: readonly number[]): Case {
  return accepted(name, description, { policy, cosigned: witnesses.map(V) }, { met: true });
}

function notMet(name: string, description: string, policy: string, ...witnesses: readonly number[]): Case {
  return accepted(name, description, { policy, cosigned: witnesses.map(V) }, { met: false });
}

/** The same public key under another name: a duplicate all the same. */
const RENAMED = verifierKey(makeKey("renamed.example", COSIGNATURE_ED25519, "counterfoil test: witness 1"));
const RENAMED_LOG = verifierKey(makeKey("renamed.example", NOTE_ED25519, "counterfoil test: log"));

const MANY = Array.from({ length: 32 }, (_, n) => n + 1);
const MANY_LOGS = MANY.map(n =>
  verifierKey(makeKey(`log${n}.example`, NOTE_ED25519, `counterfoil test: log ${n}`)),
);

export const policyCases: readonly Case[] = [
  readPolicy("example", "A policy of two levels of groups is read.", EXAMPLE, {
    logs: [{ vkey: LOG_VKEY, url: "https://ledger.example/" }, { vkey: verifierKey(OTHER_LOG) }],
    witnesses: [
      { name: "X1", vkey: V(1), url: "https://x1.example/" },
      { name: "X2", vkey: V(2) },
      { name: "X3", vkey: V(3) },
      { name: "Y1", vkey: V(4) },
      { name: "Y2", vkey: V(5) },
      { name: "Y3", vkey: V(6) },
    ],
    groups: [
      { name: "X-witnesses", threshold: 2, members: ["X1", "X2", "X3"] },
      { name: "Y-witnesses", threshold: 1, members: ["Y1", "Y2", "Y3"] },
      { name: "X-and-Y", threshold: 2, members: ["X-witnesses", "Y-witnesses"] },
    ],
    quorum: "X-and-Y",
  }),
  readPolicy(
    "quorum-none",
    "A policy may ask for no witness at all.",
    "quorum none\n",
    policyOf({ quorum: "none" }),
  ),
  readPolicy(
    "quorum-before-log",
    "Lines may stand in any order that defines names before their use.",
    `quorum none\nlog ${LOG_VKEY}\n${TWO}`,
    policyOf({
      logs: [{ vkey: LOG_VKEY }],
      witnesses: A_AND_B,
      quorum: "none",
    }),
  ),
  readPolicy(
    "white-space",
    "Spaces and tabs separate, and may surround.",
    ` \tlog \t ${LOG_VKEY}\t\n \t \n\n\tquorum\tnone \n`,
    policyOf({
      logs: [{ vkey: LOG_VKEY }],
      quorum: "none",
    }),
  ),
  readPolicy(
    "comments",
    "Comment lines are ignored.",
    "#\n# log nothing\n \t # quorum A\nquorum none\n",
    policyOf({ quorum: "none" }),
  ),
  readPolicy(
    "ml-dsa-44-witness",
    "A witness may have an ML-DSA-44 key.",
    `witness A ${verifierKey(ML_DSA_KEY)}\nquorum A\n`,
    policyOf({
      witnesses: [{ name: "A", vkey: verifierKey(ML_DSA_KEY) }],
      quorum: "A",
    }),
  ),
  readPolicy(
    "names-not-ascii",
    "Names are opaque: two names that look alike differ.",
    `witness \u00c5 ${V(1)}\nwitness A\u030a ${V(2)}\nwitness \u212b ${V(3)}\nquorum \u212b\n`,
    policyOf({
      witnesses: [
        { name: "\u00c5", vkey: V(1) },
        { name: "A\u030a", vkey: V(2) },
        { name: "\u212b", vkey: V(3) },
      ],
      quorum: "\u212b",
    }),
  ),
  readPolicy(
    "names-of-object-members",
    "Names that objects have members for are names like others.",
    `witness __proto__ ${V(1)}\nwitness constructor ${V(2)}\ngroup toString all __proto__ constructor\nquorum toString\n`,
    policyOf({
      witnesses: [
        { name: "__proto__", vkey: V(1) },
        { name: "constructor", vkey: V(2) },
      ],
      groups: [{ name: "toString", threshold: 2, members: ["__proto__", "constructor"] }],
      quorum: "toString",
    }),
  ),
  readPolicy(
    "names-of-keywords",
    "Keywords are names where a name is due.",
    `witness all ${V(1)}\nwitness 2 ${V(2)}\ngroup group any all 2\nquorum group\n`,
    policyOf({
      witnesses: [
        { name: "all", vkey: V(1) },
        { name: "2", vkey: V(2) },
      ],
      groups: [{ name: "group", threshold: 1, members: ["all", "2"] }],
      quorum: "group",
    }),
  ),
  readPolicy(
    "thirty-two-of-each",
    "A policy of 32 logs, 32 witnesses and 32 groups is read.",
    `${MANY_LOGS.map(vkey => `log ${vkey}\n`).join("")}${MANY.map(n => `witness w${n} ${V(n)}\ngroup g${n} all w${n}\n`).join("")}quorum g32\n`,
    {
      logs: MANY_LOGS.map(vkey => ({ vkey })),
      witnesses: MANY.map(n => ({ name: `w${n}`, vkey: V(n) })),
      groups: MANY.map(n => ({ name: `g${n}`, threshold: 1, members: [`w${n}`] })),
      quorum: "g32",
    },
  ),
  accepted(
    "bytes-not-utf8",
    "Bytes above ASCII are opaque, and need not be UTF-8.",
    { policy_bytes: hex(concat(utf8("# caf"), Uint8Array.of(0xe9), utf8("\nquorum none\n"))) },
    policyOf({ quorum: "none" }),
  ),
  met("quorum-none-met", "A policy that asks for no witness is met by none.", "quorum none\n"),
  met("quorum-witness-met", "A quorum of one witness is met by that witness.", `${TWO}quorum A\n`, 1),
  met(
    "quorum-example-met",
    "The example's quorum is met by two of one group and one of the other.",
    EXAMPLE,
    1,
    3,
    5,
  ),
  met(
    "quorum-example-met-by-all",
    "The example's quorum is met by all witnesses.",
    EXAMPLE,
    1,
    2,
    3,
    4,
    5,
    6,
  ),
  met("quorum-any-met", "A group of any is met by one.", `${TWO}group G any A B\nquorum G\n`, 2),
  met("quorum-all-met", "A group of all is met by all.", `${TWO}group G all A B\nquorum G\n`, 1, 2),
  met(
    "quorum-stranger-beside",
    "Witnesses that the policy does not name neither help nor harm.",
    `${TWO}quorum A\n`,
    9,
    1,
  ),
  notMet("quorum-witness-not-met", "A quorum of one witness is not met by another.", `${TWO}quorum A\n`, 2),
  notMet("quorum-no-cosignature", "A quorum is not met by nobody.", `${TWO}quorum A\n`),
  notMet(
    "quorum-all-not-met",
    "A group of all is not met by one of two.",
    `${TWO}group G all A B\nquorum G\n`,
    1,
  ),
  notMet(
    "quorum-any-not-met",
    "A group of any is not met by a stranger.",
    `${TWO}group G any A B\nquorum G\n`,
    9,
  ),
  notMet(
    "quorum-same-witness-twice",
    "A witness counts once, however often it cosigned.",
    `${TWO}group G 2 A B\nquorum G\n`,
    1,
    1,
  ),
  notMet(
    "quorum-example-one-short",
    "The example's quorum is not met by one of the first group.",
    EXAMPLE,
    1,
    4,
    5,
    6,
  ),
  notMet("quorum-example-one-group", "The example's quorum is not met by one group alone.", EXAMPLE, 1, 2, 3),
  badPolicy("empty", "A policy must have a quorum.", ""),
  badPolicy("quorum-missing", "A policy without a quorum is refused.", `log ${LOG_VKEY}\n${TWO}`),
  badPolicy("quorum-twice", "A policy has one quorum.", "quorum none\nquorum none\n"),
  badPolicy("quorum-unknown-name", "A quorum names what was defined.", `${TWO}quorum C\n`),
  badPolicy("quorum-before-definition", "A quorum names what was defined before it.", `quorum A\n${TWO}`),
  badPolicy("quorum-two-names", "A quorum is one name.", `${TWO}quorum A B\n`),
  badPolicy("quorum-no-name", "A quorum has a name.", "quorum\n"),
  badPolicy("quorum-by-number", "A quorum is a name and not a number.", `${TWO}quorum 1\n`),
  badPolicy("comment-after-line", "A comment has a line of its own.", "quorum none # nobody\n"),
  badPolicy("unknown-keyword", "An unknown line is refused, not skipped.", `quorum none\nlogs ${LOG_VKEY}\n`),
  badPolicy("keyword-uppercase", "Keywords are lowercase.", "Quorum none\n"),
  badPolicy("none-uppercase", "The name none is lowercase.", "quorum None\n"),
  badPolicy("log-twice", "A log is listed once.", `log ${LOG_VKEY}\nlog ${LOG_VKEY}\nquorum none\n`),
  badPolicy(
    "log-twice-renamed",
    "The same key under another name is the same log.",
    `log ${LOG_VKEY}\nlog ${RENAMED_LOG}\nquorum none\n`,
  ),
  badPolicy("log-without-key", "A log has a key.", "log\nquorum none\n"),
  badPolicy(
    "log-key-ill-formed",
    "A log's key must be a verifier key.",
    `log ${LOG_VKEY.slice(0, -1)}\nquorum none\n`,
  ),
  badPolicy(
    "log-three-fields",
    "A log has a key and at most a URL.",
    `log ${LOG_VKEY} https://a.example/ https://b.example/\nquorum none\n`,
  ),
  badPolicy(
    "log-key-unsupported",
    "A log's key of an unsupported type is named as such.",
    `log ${verifierKey({ name: ORIGIN, type: 2, publicKey: LOG.publicKey, id: keyId(ORIGIN, 2, LOG.publicKey) })}\nquorum none\n`,
    "unsupported",
  ),
  badPolicy("witness-twice", "A witness is listed once.", `${TWO}witness C ${V(1)}\nquorum A\n`),
  badPolicy(
    "witness-twice-renamed",
    "The same key under another key name is the same witness.",
    `${TWO}witness C ${RENAMED}\nquorum A\n`,
  ),
  badPolicy("witness-name-twice", "A name is defined once.", `${TWO}witness A ${V(3)}\nquorum A\n`),
  badPolicy("witness-named-none", "The name none is taken.", `witness none ${V(1)}\nquorum none\n`),
  badPolicy("witness-without-key", "A witness has a key.", "witness A\nquorum none\n"),
  badPolicy("witness-without-name", "A witness has a name.", `witness ${V(1)}\nquorum none\n`),
  badPolicy(
    "witness-four-fields",
    "A witness has a name, a key and at most a URL.",
    `witness A ${V(1)} https://a.example/ more\nquorum A\n`,
  ),
  badPolicy(
    "witness-with-note-key",
    "A witness's key must be one for cosignatures.",
    `witness A ${verifierKey(STRANGER)}\nquorum A\n`,
    "unsupported",
  ),
  badPolicy(
    "group-named-as-witness",
    "Witnesses and groups share their names.",
    `${TWO}group A any B\nquorum A\n`,
  ),
  badPolicy("group-name-twice", "A group is defined once.", `${TWO}group G any A\ngroup G any B\nquorum G\n`),
  badPolicy("group-named-none", "No group is named none.", `${TWO}group none any A B\nquorum none\n`),
  badPolicy("group-member-none", "Nobody is no member.", `${TWO}group G any A none\nquorum G\n`),
  badPolicy("group-member-unknown", "A member must be defined.", `${TWO}group G any A C\nquorum G\n`),
  badPolicy(
    "group-member-later",
    "A member must be defined before its group.",
    `witness A ${V(1)}\ngroup G any A B\nwitness B ${V(2)}\nquorum G\n`,
  ),
  badPolicy("group-member-itself", "A group is no member of itself.", `${TWO}group G any A G\nquorum G\n`),
  badPolicy("group-member-twice", "A member counts once.", `${TWO}group G 2 A A\nquorum G\n`),
  badPolicy(
    "group-member-of-two-groups",
    "A witness is a member of one group at most.",
    `${TWO}group G any A\ngroup H any A B\nquorum G\n`,
  ),
  badPolicy("group-without-members", "A group has members.", `${TWO}group G any\nquorum A\n`),
  badPolicy("group-without-threshold", "A group has a threshold.", `${TWO}group G A B\nquorum G\n`),
  badPolicy("group-threshold-0", "A threshold is at least one.", `${TWO}group G 0 A B\nquorum G\n`),
  badPolicy(
    "group-threshold-beyond-members",
    "A threshold is at most the number of members.",
    `${TWO}group G 3 A B\nquorum G\n`,
  ),
  badPolicy("group-threshold-negative", "A threshold is not negative.", `${TWO}group G -1 A B\nquorum G\n`),
  badPolicy("group-threshold-fractional", "A threshold is no fraction.", `${TWO}group G 1.5 A B\nquorum G\n`),
  badPolicy("group-threshold-hexadecimal", "A threshold is decimal.", `${TWO}group G 0x1 A B\nquorum G\n`),
  badPolicy(
    "group-threshold-uppercase",
    "Thresholds in words are lowercase.",
    `${TWO}group G ALL A B\nquorum G\n`,
  ),
  badPolicy("crlf", "Carriage returns are forbidden.", `${TWO}quorum A\n`.replaceAll("\n", "\r\n")),
  badPolicy("control-in-comment", "Controls are forbidden even in comments.", "# \u001b[2J\nquorum none\n"),
  badPolicy("delete-in-comment", "U+007F is forbidden even in comments.", "# \u007f\nquorum none\n"),
  badPolicy("byte-order-mark", "A byte order mark is part of the first word.", "\ufeffquorum none\n"),
  badPolicy("no-break-space", "Only spaces and tabs separate.", "quorum\u00a0none\n"),
  badPolicy("no-final-newline", "Every line ends in a newline.", "quorum none"),
];

// Witness bodies

const OLD = 6;
const PROOF = proofOfLeaves(OLD, leaves(SIZE));
const CHECKPOINT = signedCheckpoint(SIZE);
const REQUEST = addCheckpoint(OLD, PROOF, CHECKPOINT);

function request(
  name: string,
  description: string,
  old: number,
  proof: readonly Uint8Array[],
  checkpoint: string,
): Case {
  return accepted(
    name,
    description,
    { request: addCheckpoint(old, proof, checkpoint) },
    { old_size: old, proof: proof.map(hex), checkpoint },
  );
}

function badRequest(name: string, description: string, text: Json, code = "malformed"): Case {
  return refused(name, code, description, { request: text });
}

function badConflict(name: string, description: string, conflict: Json, code = "malformed"): Case {
  return refused(`conflict-${name}`, code, description, { conflict });
}

function badAnswer(name: string, description: string, answer: string): Case {
  return refused(`answer-${name}`, "malformed", description, { answer });
}

/** A signature line, taken apart. */
function parts(line: string): JsonObject {
  const [, name, encoded] = line.trim().split(" ") as [string, string, string];
  const bytes = Buffer.from(encoded, "base64");
  return { name, id: hex(bytes.subarray(0, 4)), signature: hex(bytes.subarray(4)) };
}

const W2_LINE = cosignText(TEXT, W2, TIME);
const HASH_LINE = `${base64(PROOF[0]!)}\n`;

export const witnessCases: readonly Case[] = [
  request("request", "A request with a proof is read.", OLD, PROOF, CHECKPOINT),
  request("request-from-empty", "A first request has no proof.", 0, [], CHECKPOINT),
  request("request-same-size", "A request for the same size has no proof.", SIZE, [], CHECKPOINT),
  request(
    "request-63-hashes",
    "A request may hold 63 hashes.",
    OLD,
    Array.from({ length: 63 }, () => PROOF[0]!),
    CHECKPOINT,
  ),
  request(
    "request-two-signatures",
    "A request's checkpoint may hold several signatures.",
    OLD,
    PROOF,
    note(TEXT, LOG_LINE, signText(TEXT, NEXT_LOG)),
  ),
  badRequest(
    "request-64-hashes",
    "A request must not hold 64 hashes.",
    ["old 6\n", repeated(HASH_LINE, 64), `\n${CHECKPOINT}`],
    "too-large",
  ),
  badRequest(
    "request-old-beyond-size",
    "The old size is not larger than the checkpoint's.",
    addCheckpoint(SIZE + 1, [], CHECKPOINT),
  ),
  badRequest("request-old-missing", "The old size must be there.", REQUEST.replace("old 6\n", "")),
  badRequest("request-old-empty", "The old size must be a number.", REQUEST.replace("old 6\n", "old \n")),
  badRequest(
    "request-old-leading-zero",
    "The old size has no leading zero.",
    REQUEST.replace("old 6\n", "old 06\n"),
  ),
  badRequest(
    "request-old-double-zero",
    "No old size is written as 0.",
    addCheckpoint(0, [], CHECKPOINT).replace("old 0\n", "old 00\n"),
  ),
  badRequest("request-old-negative", "The old size is not negative.", REQUEST.replace("old 6\n", "old -6\n")),
  badRequest(
    "request-old-not-safe",
    "An old size that a number cannot hold exactly is refused, not rounded.",
    REQUEST.replace("old 6\n", "old 9007199254740992\n"),
    "too-large",
  ),
  badRequest(
    "request-old-two-spaces",
    "One space separates the old size from its name.",
    REQUEST.replace("old 6\n", "old  6\n"),
  ),
  badRequest(
    "request-old-trailing-space",
    "Nothing follows the old size.",
    REQUEST.replace("old 6\n", "old 6 \n"),
  ),
  badRequest(
    "request-old-uppercase",
    "The name of the line is lowercase.",
    REQUEST.replace("old 6\n", "Old 6\n"),
  ),
  badRequest(
    "request-hash-of-31-bytes",
    "A hash has 32 bytes.",
    REQUEST.replace(HASH_LINE, `${base64(PROOF[0]!.subarray(1))}\n`),
  ),
  badRequest(
    "request-hash-no-padding",
    "A hash's base64 is padded.",
    REQUEST.replace(HASH_LINE, HASH_LINE.replace("=", "")),
  ),
  badRequest(
    "request-blank-line-missing",
    "A blank line separates the proof from the checkpoint.",
    REQUEST.replace(`\n\n${ORIGIN}`, `\n${ORIGIN}`),
  ),
  badRequest(
    "request-blank-line-twice",
    "Only one blank line stands before the checkpoint.",
    REQUEST.replace(`\n\n${ORIGIN}`, `\n\n\n${ORIGIN}`),
  ),
  badRequest(
    "request-checkpoint-missing",
    "The checkpoint must be there.",
    REQUEST.slice(0, REQUEST.indexOf(ORIGIN)),
  ),
  badRequest(
    "request-checkpoint-unsigned",
    "The checkpoint must be signed.",
    addCheckpoint(OLD, PROOF, TEXT),
  ),
  badRequest("request-trailing-text", "Nothing follows the checkpoint.", `${REQUEST}more\n`),
  badRequest("request-no-final-newline", "The last line ends in a newline.", REQUEST.slice(0, -1)),
  badRequest("request-crlf", "Carriage returns are refused.", REQUEST.replaceAll("\n", "\r\n")),
  badRequest("request-empty", "Nothing is no request.", ""),
  accepted("conflict", "The size in a conflict is read.", { conflict: "20852014\n" }, { size: 20852014 }),
  accepted("conflict-zero", "A witness that has cosigned nothing says 0.", { conflict: "0\n" }, { size: 0 }),
  badConflict("no-newline", "The size ends in a newline.", "20852014"),
  badConflict("two-newlines", "Nothing follows the newline.", "20852014\n\n"),
  badConflict("crlf", "A carriage return is refused.", "20852014\r\n"),
  badConflict("leading-zero", "The size has no leading zero.", "020852014\n"),
  badConflict("leading-space", "Nothing stands before the size.", " 20852014\n"),
  badConflict("plus", "The size has no sign.", "+20852014\n"),
  badConflict("negative", "The size is not negative.", "-1\n"),
  badConflict(
    "not-safe",
    "A size that a number cannot hold exactly is refused, not rounded.",
    "9007199254740992\n",
    "too-large",
  ),
  badConflict("empty", "The size must be there.", ""),
  badConflict("newline-only", "A newline is no size.", "\n"),
  badConflict("words", "Words are no size.", "conflict\n"),
  badConflict(
    "many-digits",
    "A size of a million digits is refused.",
    [repeated("9", 1_000_000), "\n"],
    "too-large",
  ),
  accepted(
    "answer",
    "A witness's cosignature is read.",
    { answer: W1_LINE },
    { signatures: [parts(W1_LINE)] },
  ),
  accepted(
    "answer-two-lines",
    "A witness may answer with several cosignatures.",
    { answer: W1_LINE + W2_LINE },
    { signatures: [parts(W1_LINE), parts(W2_LINE)] },
  ),
  badAnswer("empty", "An answer holds at least one cosignature.", ""),
  badAnswer("no-final-newline", "Every line of an answer ends in a newline.", W1_LINE.trimEnd()),
  badAnswer("blank-line-between", "An answer has no blank lines.", `${W1_LINE}\n${W2_LINE}`),
  badAnswer("blank-line-first", "An answer begins with a cosignature.", `\n${W1_LINE}`),
  badAnswer("blank-line-last", "An answer ends with a cosignature.", `${W1_LINE}\n`),
  badAnswer("other-text", "An answer holds nothing but cosignatures.", `thanks\n${W1_LINE}`),
  badAnswer("whole-note", "An answer is not the whole note.", note(TEXT, W1_LINE)),
  badAnswer("crlf", "Carriage returns are refused.", W1_LINE.replace("\n", "\r\n")),
  badAnswer("base64-no-padding", "A cosignature's base64 is padded.", W1_LINE.replace("==", "")),
];
