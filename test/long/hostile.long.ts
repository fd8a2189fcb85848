// 100,000 seeded cases for every parser, half of them mutated from something genuine and half of them noise: each
// ends in a value or in a Fault, never in another exception.
import { readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { openAnchor } from "../../src/receipt/anchor.ts";
import { parseCertificate } from "../../src/receipt/certificate.ts";
import { TAGS, writeDer } from "../../src/receipt/der.ts";
import { commitFields, disclose, openDisclosure, parseSeed } from "../../src/receipt/disclosure.ts";
import { formatHeader, parseEntry, parseHeader } from "../../src/receipt/entry.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { parseRecord } from "../../src/receipt/record.ts";
import { parseTimestampResponse, verifyTimestamp } from "../../src/receipt/timestamp.ts";
import { formatTrust, parseTrust } from "../../src/receipt/trust.ts";
import { decodeBase64, encodeBase64url } from "../../src/tlog/base64.ts";
import { decodeBundle } from "../../src/tlog/bundle.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { Fault } from "../../src/tlog/fault.ts";
import { formatVerifierKey, parseNote, parseSignatureLines, parseVerifierKey } from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { formatProof, parseProof } from "../../src/tlog/proof.ts";
import { parseTilePath, tileHashes } from "../../src/tlog/tile.ts";
import { parseAddCheckpoint, parseTreeSize } from "../../src/tlog/witness.ts";
import { mutate, seededRandom } from "../unit/tlog/samples.ts";
import { createWorld, LEDGER, type World } from "../world.ts";

const CASES = 100_000;
/** A token that carries the certificates on its path, by the reference. */
const timestamp = JSON.parse(readFileSync("test/vectors/timestamp/issued-through-another.json", "utf8")) as {
  input: { token: string; digest: string; certificates: string[] };
};
const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
const TOKEN = fromHex(timestamp.input.token);
const TSA = timestamp.input.certificates.map(text => decodeBase64(text));
const verifyToken = (bytes: Uint8Array) => verifyTimestamp(bytes, fromHex(timestamp.input.digest), TSA);
const SEED = new Uint8Array(16).fill(1);
const utf8 = (text: string) => new TextEncoder().encode(text);
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

let world: World;
let receipt: string;

beforeAll(async () => {
  world = await createWorld();
  receipt = (
    await world.append(commitFields(SEED, { sub: "s", client_address: null, user_agent: "u", query: null }))
  )[0]!;
  await world.append({}, {});
  await world.publish();
  await world.anchor();
});

const object = (path: string) => world.archive.objects.get(`${LEDGER}/${path}`)!;
const checkpoint = () => latin1(object("checkpoint"));
const vkey = () => formatVerifierKey(world.trust.ledgers[0]!.keys[0]!);
const entry = () => receipt.slice(0, receipt.lastIndexOf("."));

/** Each parser: something genuine that it reads, and how it reads bytes. */
const PARSERS: Record<string, [() => string | Uint8Array, (bytes: Uint8Array) => unknown]> = {
  note: [() => object("checkpoint"), bytes => parseNote(bytes)],
  "signature lines": [
    () => Buffer.from(object("checkpoint")).toString().split("\n\n")[1]!,
    bytes => parseSignatureLines(Buffer.from(bytes).toString()),
  ],
  "verifier key": [vkey, bytes => parseVerifierKey(latin1(bytes))],
  checkpoint: [() => `${checkpoint().split("\n\n")[0]}\n`, bytes => parseCheckpoint(latin1(bytes))],
  proof: [
    () =>
      formatProof({
        extra: utf8(receipt),
        index: 1,
        hashes: [new Uint8Array(32)],
        checkpoint: Buffer.from(object("checkpoint")).toString(),
      }),
    bytes => parseProof(Buffer.from(bytes).toString()),
  ],
  policy: [() => `log ${vkey()}\nquorum none\n`, bytes => parsePolicy(bytes)],
  "add-checkpoint request": [
    () => `old 0\n\n${Buffer.from(object("checkpoint")).toString()}`,
    bytes => parseAddCheckpoint(Buffer.from(bytes).toString()),
  ],
  "tree size": [() => "1234\n", bytes => parseTreeSize(latin1(bytes))],
  "tile path": [() => "tile/entries/x001/x234/067.p/8", bytes => parseTilePath(latin1(bytes))],
  bundle: [() => object("tile/entries/000.p/4"), bytes => decodeBundle(bytes, 4)],
  tile: [() => object("tile/0/000.p/4"), bytes => tileHashes({ level: 0, n: 0, width: 4 }, bytes)],
  receipt: [() => receipt, bytes => parseReceipt(latin1(bytes))],
  entry: [entry, bytes => parseEntry(latin1(bytes))],
  header: [() => formatHeader(parseEntry(entry()).header), bytes => parseHeader(latin1(bytes))],
  record: [
    () => JSON.stringify(parseEntry(entry()).record),
    bytes => parseRecord(Buffer.from(bytes).toString()),
  ],
  trust: [() => formatTrust(world.trust), bytes => parseTrust(Buffer.from(bytes).toString())],
  anchor: [
    () => world.anchors.objects.get("anchors/0000000000.jws")!,
    bytes => openAnchor(latin1(bytes), world.trust.anchorKeys),
  ],
  "timestamp token": [() => TOKEN, verifyToken],
  certificate: [() => TSA[0]!, bytes => parseCertificate(bytes)],
  "timestamp response": [
    () => writeDer(TAGS.sequence, writeDer(TAGS.sequence, Uint8Array.of(2, 1, 0)), TOKEN),
    bytes => parseTimestampResponse(bytes),
  ],
  seed: [() => encodeBase64url(SEED), bytes => parseSeed(latin1(bytes))],
  disclosure: [
    () => disclose(SEED, "sub", "s"),
    bytes => openDisclosure(parseEntry(entry()).record, latin1(bytes)),
  ],
};

it.each(Object.entries(PARSERS))(
  "100,000 hostile inputs to the parser of a %s end in a value or a Fault",
  async (_, [make, parse]) => {
    const random = seededRandom(8);
    const sample = make();
    const genuine = typeof sample === "string" ? utf8(sample) : Uint8Array.from(sample);
    await parse(genuine);
    let refused = 0;
    for (let run = 0; run < CASES; run++) {
      const noise = () =>
        Uint8Array.from({ length: Math.floor(random() * 120) }, () => Math.floor(random() * 256));
      const bytes = run % 2 === 0 ? mutate(genuine, random) : noise();
      try {
        await parse(bytes);
      } catch (error) {
        if (!(error instanceof Fault)) throw new Error(`case ${run}: ${error}`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(CASES / 2);
  },
);

it("every flipped bit of a timestamp token and of the certificates in it is a Fault", async () => {
  await verifyToken(TOKEN);
  for (let bit = 0; bit < TOKEN.length * 8; bit++) {
    const flipped = Uint8Array.from(TOKEN);
    flipped[Math.floor(bit / 8)]! ^= 1 << (bit % 8);
    await expect(verifyToken(flipped), `bit ${bit}`).rejects.toBeInstanceOf(Fault);
  }
});
