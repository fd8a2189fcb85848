// Inputs that every platform must refuse, each with its one code: at least one for each code that the formats
// and the verifier can answer with. Platforms differ in how they decode text, dates, URLs and keys; this is
// where such a difference would turn into another verdict.
import { openAnchor } from "../../src/receipt/anchor.ts";
import { judgeAbsent } from "../../src/receipt/control.ts";
import { disclose, openDisclosure, parseSeed } from "../../src/receipt/disclosure.ts";
import { type Entry, parseEntry } from "../../src/receipt/entry.ts";
import { importSigningKey, type TrustedKey } from "../../src/receipt/key.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { type AuditRecord, formatRecord } from "../../src/receipt/record.ts";
import { parseTrust } from "../../src/receipt/trust.ts";
import { type Evidence, verifyEvidence } from "../../src/receipt/verify.ts";
import { decodeBase64, decodeBase64url, encodeBase64url } from "../../src/tlog/base64.ts";
import { decodeBundle } from "../../src/tlog/bundle.ts";
import { openCheckpoint, parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import type { FaultCode } from "../../src/tlog/fault.ts";
import { formatNote, parseNote, parseVerifierKey } from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { formatProof, parseProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { parseTilePath, tileHashes } from "../../src/tlog/tile.ts";
import { checkConsistency, checkInclusion } from "../../src/tlog/tree.ts";
import { parseTreeSize } from "../../src/tlog/witness.ts";
import { encodeUtf8 } from "./bytes.ts";
import {
  type FixedLedger,
  KNOWN_INDEX,
  ORIGIN,
  proveConsistency,
  proveEntry,
  proveInclusion,
  rootAt,
  SEED,
  SEEN,
} from "./ledger.ts";

/** What is refused, and how it is tried. */
export type Rejection = readonly [what: string, attempt: (ledger: FixedLedger) => unknown];

const HASH = new Uint8Array(32).fill(1);

export const REJECTIONS: Readonly<Partial<Record<FaultCode, readonly Rejection[]>>> = {
  malformed: [
    ["base64 with unused bits", () => decodeBase64("AB==")],
    ["base64 with white space", () => decodeBase64("AA AA")],
    ["base64url with padding", () => decodeBase64url("AA==")],
    ["a note with a lone surrogate", () => parseNote("a\ud800\n\n— a AAAAAAA=\n")],
    ["a note that is not UTF-8", () => parseNote(Uint8Array.of(0xff, 0x0a, 0x0a))],
    ["a note without a blank line", () => parseNote("a\n— a AAAAAAA=\n")],
    ["a key name with an ideographic space", () => parseNote("a\n\n— a\u3000b AAAAAAA=\n")],
    ["a checkpoint of size 03", () => parseCheckpoint(`${ORIGIN}\n03\n${"A".repeat(43)}=\n`)],
    ["a checkpoint of Arabic digits", () => parseCheckpoint(`${ORIGIN}\n٣\n${"A".repeat(43)}=\n`)],
    ["a tile path with a full partial width", () => parseTilePath("tile/0/000.p/256")],
    ["a tile that is cut off", () => tileHashes({ level: 0, n: 0, width: 2 }, HASH)],
    ["a bundle that is cut off", () => decodeBundle(Uint8Array.of(0, 2, 1), 1)],
    ["a proof of 31 bytes", () => checkInclusion({ ...ONE_LEAF, root: HASH.subarray(1) })],
    [
      "a proof with carriage returns",
      async ledger => parseProof((await proveEntry(ledger, 0, 3)).replaceAll("\n", "\r\n")),
    ],
    ["a policy without a quorum", () => parsePolicy("# nothing\n")],
    ["a policy that was cut off", () => parsePolicy("quorum none")],
    ["a witness's size with a sign", () => parseTreeSize("+3\n")],
    ["a receipt of four parts", ({ receipts }) => parseReceipt(`${receipts[0]}.AA`)],
    ["a receipt with a line feed", ({ receipts }) => parseReceipt(`${receipts[0]}\n`)],
    ["a header in another order", ({ entries }) => parseEntry(rewriteHeader(entries[0]!, reverseMembers))],
    [
      "a header with white space",
      ({ entries }) => parseEntry(rewriteHeader(entries[0]!, json => `${json} `)),
    ],
    [
      "a header with an unknown member",
      ({ entries }) => parseEntry(rewriteHeader(entries[0]!, json => json.replace("}", ',"crit":["b64"]}'))),
    ],
    [
      "a disclosure that is no array",
      ledger => openDisclosure(knownRecord(ledger), encodeBase64url(encodeUtf8("{}"))),
    ],
    [
      "a disclosure of a million brackets",
      ledger =>
        openDisclosure(knownRecord(ledger), encodeBase64url(encodeUtf8("[".repeat(5e5) + "]".repeat(5e5)))),
    ],
    ["a seed of 15 bytes", () => parseSeed(encodeBase64url(SEED.subarray(1)))],
    [
      "an anchor without its signature",
      ({ anchors, trust }) =>
        openAnchor(anchors[0]!.slice(0, anchors[0]!.lastIndexOf(".")), trust.anchorKeys),
    ],
    [
      "a trusted key with padding",
      ledger => verifyByKey(ledger, { x: `${ledger.trust.receiptKeys[0]!.x}=` }),
    ],
    [
      "a private key with the public key of another",
      ({ keys }) =>
        importSigningKey(JSON.stringify({ ...SOME_PRIVATE_KEY, x: keys.receipt.publicJwk.x }), "key"),
    ],
    ["a trust document without ledgers", () => parseTrust('{"v":1,"issuer":"x"}')],
    ["no receipt at all", ({ trust }) => verifyEvidence({}, trust)],
  ],
  unsupported: [
    ["a receipt that asks for no signature", ledger => verifyAs(ledger, "none")],
    ["a receipt that asks for a shared secret", ledger => verifyAs(ledger, "HS256")],
    ["a receipt that asks for another key's algorithm", ledger => verifyAs(ledger, "ES256")],
    ["a verifier key of an unknown type", () => parseVerifierKey("a+00000000+BQAA")],
  ],
  "too-large": [
    [
      "a record of more than 4 KiB",
      ledger => formatRecord({ ...knownRecord(ledger), more: "é".repeat(2048) }),
    ],
    ["an entry of more than 7 KiB", () => parseEntry("A".repeat(7169))],
    ["a receipt of a megabyte", () => parseReceipt("A".repeat(2 ** 20))],
    [
      "a checkpoint of 2^53 entries",
      () => parseCheckpoint(`${ORIGIN}\n9007199254740992\n${"A".repeat(43)}=\n`),
    ],
    ["a note with 101 signatures", () => parseNote(`a\n\n${"— a AAAAAAA=\n".repeat(101)}`)],
    [
      "a proof of 64 hashes",
      ({ checkpoints }) =>
        formatProof({ index: 0, hashes: Array(64).fill(HASH), checkpoint: checkpoints.get(3)! }),
    ],
  ],
  "unknown-key": [
    [
      "a receipt by a key that is not trusted",
      ({ receipts, trust }) =>
        verifyEvidence({ receipt: receipts[0]! }, { ...trust, receiptKeys: trust.anchorKeys }),
    ],
    [
      "an anchor by a key that is not trusted",
      ({ anchors, trust }) => openAnchor(anchors[0]!, trust.receiptKeys),
    ],
    [
      "a checkpoint that only a witness has signed",
      ({ checkpoints, trust }) =>
        openCheckpoint(keepSignature(checkpoints.get(3)!, 1), trust.ledgers[0]!.keys),
    ],
  ],
  "key-not-valid": [
    ["a receipt of the time before its key", ledger => verifyByKey(ledger, { nbf: 1795238543 })],
    ["a receipt of a time before all time", ledger => verifyByKey(ledger, { nbf: 1e300 })],
    ["a receipt of the time after its key", ledger => verifyByKey(ledger, { exp: 1795238542 })],
  ],
  "bad-signature": [
    [
      "another record under a signature",
      ({ receipts, trust }) =>
        verifyEvidence({ receipt: exchangePayload(receipts[1]!, receipts[0]!) }, trust),
    ],
    [
      "a signature of zeros",
      ({ entries, trust }) => verifyEvidence({ receipt: `${entries[0]}.${"A".repeat(86)}` }, trust),
    ],
    [
      "a checkpoint of another size under a signature",
      ({ checkpoints, trust }) =>
        openCheckpoint(checkpoints.get(3)!.replace("\n3\n", "\n4\n"), trust.ledgers[0]!.keys),
    ],
    [
      "an anchor of another epoch under a signature",
      ({ anchors, trust }) => openAnchor(exchangePayload(anchors[0]!, anchors[1]!), trust.anchorKeys),
    ],
    [
      "a receipt by a key that is no point of the curve",
      ledger => verifyByKey(ledger, { x: encodeBase64url(new Uint8Array(32).with(0, 2)) }),
    ],
  ],
  "wrong-origin": [
    [
      "a receipt of another ledger",
      ({ receipts, trust }) => verifyEvidence({ receipt: receipts[0]! }, { ...trust, ledgers: [] }),
    ],
    [
      "a receipt of another issuer",
      ({ receipts, trust }) =>
        verifyEvidence({ receipt: receipts[0]! }, { ...trust, issuer: "https://other.example" }),
    ],
    [
      "a proof of another entry",
      async ledger =>
        verifyEvidence({ receipt: ledger.receipts[0]!, proof: await proveEntry(ledger, 1, 3) }, ledger.trust),
    ],
    [
      "a checkpoint of another log",
      ({ checkpoints, witnessKey }) => openCheckpoint(checkpoints.get(3)!, [witnessKey]),
    ],
  ],
  mismatched: [
    ["another method", ledger => verifyKnown(ledger, { exchange: { ...SEEN, method: "PUT" } })],
    [
      "another host",
      ledger => verifyKnown(ledger, { exchange: { ...SEEN, url: SEEN.url.replace("api", "ap1") } }),
    ],
    [
      "another path",
      ledger => verifyKnown(ledger, { exchange: { ...SEEN, url: SEEN.url.replace("orders", "ordérs") } }),
    ],
    [
      "another query",
      ledger => verifyKnown(ledger, { exchange: { ...SEEN, url: `${SEEN.url}&` }, seed: SEED }),
    ],
    ["another status", ledger => verifyKnown(ledger, { exchange: { ...SEEN, status: 200 } })],
    ["another request body", ledger => verifyKnown(ledger, { exchange: { ...SEEN, requestBody: HASH } })],
    ["another response body", ledger => verifyKnown(ledger, { exchange: { ...SEEN, responseBody: HASH } })],
  ],
  "not-included": [
    ["a proof of another leaf", () => checkInclusion({ ...ONE_LEAF, leaf: new Uint8Array(32) })],
    [
      "a proof of a tree of another size",
      async ledger =>
        checkInclusion({
          index: 0,
          size: 300,
          leaf: leafOf(ledger, 0),
          root: rootAt(ledger.tiles, 300),
          proof: await proveInclusion(ledger, 0, 256),
        }),
    ],
  ],
  forked: [
    [
      "a tree that does not extend the older one",
      async ledger =>
        checkConsistency({
          size1: 3,
          root1: HASH,
          size2: 300,
          root2: rootAt(ledger.tiles, 300),
          proof: await proveConsistency(ledger, 3, 300),
        }),
    ],
    [
      "two roots of one size",
      ledger =>
        checkConsistency({ size1: 3, root1: HASH, size2: 3, root2: rootAt(ledger.tiles, 3), proof: [] }),
    ],
  ],
  missing: [
    ["a tile that is not stored", () => readTiles(async () => undefined, [{ level: 0, n: 0, width: 3 }])],
  ],
  "not-yet-included": [
    [
      "an entry beyond its checkpoint",
      ledger => verifyEvidence({ proof: proveTooEarly(ledger) }, ledger.trust),
    ],
    [
      "an anchor of an earlier tree",
      async ledger =>
        verifyEvidence({ proof: await proveEntry(ledger, 0, 256), anchor: ledger.anchors[0]! }, ledger.trust),
    ],
  ],
  "quorum-not-met": [
    [
      "a checkpoint without the witness that the policy asks for",
      async ledger =>
        verifyEvidence({ proof: await proveUnwitnessed(ledger) }, { ...ledger.trust, policy: ledger.policy }),
    ],
  ],
  pruned: [
    [
      "an entry below the minimum index that the ledger tells of",
      ledger => judgeAbsent(1, controlEntry(ledger, { type: "pruned", minimum: 2 })),
    ],
  ],
  erased: [
    [
      "a private field that nobody can open after an erasure",
      ledger => {
        const record = knownRecord(ledger);
        return openDisclosure(
          record,
          undefined,
          controlEntry(ledger, { type: "erased", exchanges: [record.jti] }),
        );
      },
    ],
  ],
  "not-disclosed": [
    [
      "another value of a private field",
      ledger => openDisclosure(knownRecord(ledger), disclose(SEED, "sub", "someone")),
    ],
    [
      "a private field of another seed",
      ledger => openDisclosure(knownRecord(ledger), disclose(new Uint8Array(16), "sub", null)),
    ],
  ],
};

/** Of no key that is used anywhere. */
const SOME_PRIVATE_KEY = { kty: "OKP", crv: "Ed25519", d: "A".repeat(43) };

/** The tree of one leaf. */
const ONE_LEAF = { index: 0, size: 1, leaf: HASH, root: HASH, proof: [] };

function leafOf({ entries }: FixedLedger, index: number): Uint8Array {
  return parseEntry(entries[index]!).leaf;
}

function knownRecord({ entries }: FixedLedger): AuditRecord {
  return parseEntry(entries[KNOWN_INDEX]!).record;
}

/** Entry 3, as if it told of the ledger's own history. */
function controlEntry({ entries }: FixedLedger, control: { type: string; [name: string]: unknown }): Entry {
  const entry = parseEntry(entries[3]!);
  return { ...entry, record: { ...entry.record, stage: "control", control } };
}

function verifyKnown({ receipts, trust }: FixedLedger, evidence: Evidence): Promise<unknown> {
  return verifyEvidence({ receipt: receipts[KNOWN_INDEX]!, ...evidence }, trust);
}

/** Verifies receipt 0 by a key with other members than its own. */
function verifyByKey({ receipts, trust }: FixedLedger, members: Partial<TrustedKey>): Promise<unknown> {
  const receiptKeys = trust.receiptKeys.map(key => ({ ...key, ...members }));
  return verifyEvidence({ receipt: receipts[0]! }, { ...trust, receiptKeys });
}

/** Verifies receipt 0 with another algorithm in its header. */
function verifyAs({ receipts, trust }: FixedLedger, alg: string): Promise<unknown> {
  const receipt = rewriteHeader(receipts[0]!, json => json.replace('"alg":"Ed25519"', `"alg":"${alg}"`));
  return verifyEvidence({ receipt }, trust);
}

/** The entry, receipt or anchor with another protected header. */
function rewriteHeader(text: string, rewrite: (json: string) => string): string {
  const [header, ...rest] = text.split(".");
  const json = new TextDecoder().decode(decodeBase64url(header!));
  return [encodeBase64url(encodeUtf8(rewrite(json))), ...rest].join(".");
}

function reverseMembers(json: string): string {
  return JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(json)).reverse()));
}

/** The first JWS with the payload of the second. */
function exchangePayload(first: string, second: string): string {
  return first.split(".").with(1, second.split(".")[1]!).join(".");
}

/** A checkpoint with only one of its signatures: the log's, at 0, or the witness's, at 1. */
function keepSignature(checkpoint: string, at: number): string {
  const { text, signatures } = parseNote(checkpoint);
  return formatNote({ text, signatures: [signatures[at]!] });
}

/** The proof of entry 0 with a checkpoint that no witness has cosigned. */
async function proveUnwitnessed(ledger: FixedLedger): Promise<string> {
  const proof = parseProof(await proveEntry(ledger, 0, 3));
  return formatProof({ ...proof, checkpoint: keepSignature(proof.checkpoint, 0) });
}

/** A proof that carries the receipt of entry 3 with a checkpoint of 3 entries. */
function proveTooEarly({ receipts, checkpoints }: FixedLedger): string {
  return formatProof({
    extra: encodeUtf8(receipts[3]!),
    index: 3,
    hashes: [],
    checkpoint: checkpoints.get(3)!,
  });
}
