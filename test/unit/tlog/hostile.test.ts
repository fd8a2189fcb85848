// Whatever bytes come in, a parser answers with a value or a Fault, in time that grows with their number;
// and what it does read has no second spelling, so that nothing is altered without anything noticing.
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBundle, encodeBundle } from "../../../src/tlog/bundle.ts";
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { cosign, openCosignatures } from "../../../src/tlog/cosignature.ts";
import { FAULT_CODES, Fault } from "../../../src/tlog/fault.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatSignatureLines,
  formatVerifierKey,
  parseNote,
  parseSignatureLines,
  parseVerifierKey,
  signNote,
} from "../../../src/tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../../../src/tlog/policy.ts";
import { formatProof, parseProof } from "../../../src/tlog/proof.ts";
import { formatTilePath, parseTilePath } from "../../../src/tlog/tile.ts";
import { checkInclusion, leafHash } from "../../../src/tlog/tree.ts";
import {
  formatAddCheckpoint,
  formatTreeSize,
  parseAddCheckpoint,
  parseTreeSize,
} from "../../../src/tlog/witness.ts";
import { mth, path, proof } from "../../reference/rfc6962.ts";
import { bitFlips, faultIn, makeSigner, mutate, resultOrCode, seededRandom, utf8 } from "./samples.ts";

const log = makeSigner("example.com/log", ED25519, 1);
const witness = makeSigner("witness.example/w1", ED25519_COSIGNATURE, 2);
const entries = Array.from({ length: 13 }, (_, i) => utf8(`entry ${i}`));
const policyText = `log ${formatVerifierKey(log.key)}
witness a ${formatVerifierKey(witness.key)}
group g all a
quorum g
`;
let checkpointText: string;
let note: string;

beforeAll(async () => {
  checkpointText = formatCheckpoint({ origin: log.key.name, size: 13, root: mth(entries), extensions: [] });
  const signatures = [await signNote(checkpointText, log), await cosign(checkpointText, 1679315147, witness)];
  note = formatNote({ text: checkpointText, signatures });
});

interface Format {
  readonly name: string;
  /** Well-formed inputs, to be mutated. */
  readonly samples: () => readonly (string | Uint8Array)[];
  /** Reads the bytes, and writes again what it has read, where there is a way to write it. */
  readonly respell: (bytes: Uint8Array) => string | Uint8Array | undefined;
}

/** Mutated text may not be UTF-8 any more; then this is what a lenient reader makes of it. */
const lenient = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

const formats: Format[] = [
  {
    name: "tile paths",
    samples: () => ["tile/0/x001/x234/067.p/17", "tile/entries/000", "tile/2/999.p/1"],
    respell: bytes => formatTilePath(parseTilePath(lenient(bytes))),
  },
  {
    name: "entry bundles",
    samples: () => [encodeBundle(entries.slice(0, 3))],
    respell: bytes => encodeBundle(decodeBundle(bytes, 3)),
  },
  {
    name: "verifier keys",
    samples: () => [formatVerifierKey(log.key), formatVerifierKey(witness.key)],
    respell: bytes => formatVerifierKey(parseVerifierKey(lenient(bytes))),
  },
  {
    name: "notes as bytes",
    samples: () => [note, "text\n\nmore\n\n— n AAAAAAA=\n"],
    respell: bytes => formatNote(parseNote(bytes)),
  },
  {
    name: "notes as text",
    samples: () => [note],
    respell: bytes => formatNote(parseNote(lenient(bytes))),
  },
  {
    name: "signature lines",
    samples: () => [note.slice(note.indexOf("—"))],
    respell: bytes => formatSignatureLines(parseSignatureLines(lenient(bytes))),
  },
  {
    name: "checkpoints",
    samples: () => [checkpointText, `${checkpointText}extension\n`],
    respell: bytes => formatCheckpoint(parseCheckpoint(lenient(bytes))),
  },
  {
    name: "proof files",
    samples: () => {
      const parts = { index: 5, hashes: path(5, entries), checkpoint: note };
      return [formatProof(parts), formatProof({ ...parts, extra: utf8("extra data") })];
    },
    respell: bytes => formatProof(parseProof(lenient(bytes))),
  },
  {
    name: "policies",
    samples: () => [policyText],
    respell: bytes => void parsePolicy(bytes),
  },
  {
    name: "add-checkpoint requests",
    samples: () => [formatAddCheckpoint({ oldSize: 6, proof: proof(6, entries), checkpoint: note })],
    respell: bytes => formatAddCheckpoint(parseAddCheckpoint(lenient(bytes))),
  },
  {
    name: "tree sizes",
    samples: () => ["20852014\n"],
    respell: bytes => formatTreeSize(parseTreeSize(lenient(bytes))),
  },
];

describe.each(formats)("$name", ({ samples, respell }) => {
  const asBytes = (sample: string | Uint8Array) => (typeof sample === "string" ? utf8(sample) : sample);

  test("the samples are read, and written as they were", () => {
    for (const sample of samples()) expect([sample, undefined]).toContainEqual(respell(asBytes(sample)));
  });

  test("10,000 mutated inputs are Faults or have one spelling", () => {
    const random = seededRandom(20261121);
    const originals = samples().map(asBytes);
    let refused = 0;
    for (let run = 0; run < 10_000; run++) {
      const bytes = mutate(originals[run % originals.length]!, random);
      const result = resultOrCode(() => ({ respelled: respell(bytes) }));
      if (typeof result === "string") refused++;
      else if (typeof result.respelled === "string") expect(result.respelled).toBe(lenient(bytes));
      else if (result.respelled !== undefined) expect(result.respelled).toEqual(bytes);
    }
    expect(refused).toBeGreaterThan(1000);
  });

  test("noise of any kind is a Fault", () => {
    const random = seededRandom(7);
    for (let run = 0; run < 500; run++) {
      const noise = Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256));
      expect(Object.keys(FAULT_CODES)).toContain(resultOrCode(() => respell(noise)));
    }
  });

  test("a megabyte of one character, or of one line, is a Fault soon", () => {
    for (const unit of [
      "\n",
      "A",
      "=",
      "+",
      " ",
      "/",
      "0",
      "x000/",
      "\n\n",
      "— n AAAAAAA=\n",
      "old 0\n",
      "group a any b\n",
      "é",
    ]) {
      const huge = utf8(unit.repeat(Math.ceil(2 ** 20 / utf8(unit).length)));
      expect(Object.keys(FAULT_CODES)).toContain(resultOrCode(() => respell(huge)));
    }
  });
});

test("sixteen megabytes of surrogate pairs, after any beginning, are a Fault of every text parser", () => {
  const huge = "\u{1f600}".repeat(2 ** 22);
  const parsers = [
    parseTilePath,
    parseVerifierKey,
    parseNote,
    parseSignatureLines,
    parseCheckpoint,
    parseProof,
    parsePolicy,
    parseAddCheckpoint,
    parseTreeSize,
  ];
  for (const parse of parsers) {
    for (const text of [
      huge,
      `${huge}\n`,
      `— ${huge}\n`,
      `${huge}+00000000+${huge}`,
      `tile/0/${huge}`,
      `#${huge}\n`,
    ]) {
      expect(Object.keys(FAULT_CODES)).toContain(resultOrCode(() => parse(text)));
    }
  }
});

describe("a cosigned checkpoint", () => {
  /** What a client does: the log's signature, the quorum, the inclusion of its entry. */
  async function verify(bytes: Uint8Array): Promise<void> {
    const policy = parsePolicy(policyText);
    const logKeys = policy.logs.map(({ key }) => key);
    const { checkpoint, note: opened } = await openCheckpoint(bytes, logKeys);
    const witnessKeys = policy.witnesses.map(({ key }) => key);
    const cosignatures = await openCosignatures(opened, witnessKeys);
    if (
      !meetsQuorum(
        policy,
        cosignatures.map(({ key }) => key),
      )
    )
      throw new Fault("quorum-not-met", "too few");
    const { size, root } = checkpoint;
    checkInclusion({ index: 5, size, root, leaf: leafHash(entries[5]!), proof: path(5, entries) });
  }

  test("verifies under its policy, and with any bit changed it does not", async () => {
    await verify(utf8(note));
    for (const flipped of bitFlips(utf8(note))) {
      const fault = await faultIn(verify(flipped));
      expect([
        "malformed",
        "too-large",
        "wrong-origin",
        "unknown-key",
        "bad-signature",
        "quorum-not-met",
      ]).toContain(fault.code);
    }
  });
});
