import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { formatCheckpoint, openCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, signNote } from "../../../src/tlog/note.ts";
import { formatProof, parseProof, type TlogProof } from "../../../src/tlog/proof.ts";
import { checkInclusion, leafHash } from "../../../src/tlog/tree.ts";
import { mth, path } from "../../reference/rfc6962.ts";
import { bitFlips, faultIn, faultOf, makeSigner, seeded, utf8 } from "./samples.ts";

const log = makeSigner("example.com/log", ED25519, 1);
const entries = Array.from({ length: 13 }, (_, i) => utf8(`entry ${i}`));
let checkpoint: string;
let proof: TlogProof;
let file: string;

beforeAll(async () => {
  const text = formatCheckpoint({ origin: log.key.name, size: 13, root: mth(entries), extensions: [] });
  checkpoint = formatNote({ text, signatures: [await signNote(text, log)] });
  proof = { index: 5, hashes: path(5, entries), checkpoint };
  file = formatProof(proof);
});

/** What a verifier does with a proof file and its entry. */
async function verify(bytes: Uint8Array): Promise<void> {
  const { index, hashes, checkpoint: note } = parseProof(new TextDecoder().decode(bytes));
  const opened = await openCheckpoint(note, [log.key]);
  const { size, root } = opened.checkpoint;
  checkInclusion({ index, size, root, leaf: leafHash(entries[5]!), proof: hashes });
}

describe("proof files", () => {
  test("a proof is a first line, the index, hashes, an empty line and the checkpoint", () => {
    expect(file).toBe(
      [
        "c2sp.org/tlog-proof@v1",
        "index 5",
        ...proof.hashes.map(hash => Buffer.from(hash).toString("base64")),
        "",
        checkpoint,
      ].join("\n"),
    );
    expect(parseProof(file)).toEqual(proof);
  });

  test("extra data stands on the second line, and is left out when there is none", () => {
    const extra = utf8("anything at all");
    const lines = formatProof({ ...proof, extra }).split("\n");
    expect(lines[1]).toBe(`extra ${Buffer.from(extra).toString("base64")}`);
    expect(parseProof(lines.join("\n"))).toEqual({ ...proof, extra });
    expect(parseProof(file)).not.toHaveProperty("extra");
    expect(faultOf(() => formatProof({ ...proof, extra: new Uint8Array(0) })).code).toBe("malformed");
  });

  test("any proof that is written is read back", () => {
    const proofs = fc.record(
      {
        extra: fc.uint8Array({ minLength: 1, maxLength: 200 }),
        index: fc.maxSafeNat(),
        hashes: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 }),
      },
      { requiredKeys: ["index", "hashes"] },
    );
    fc.assert(
      fc.property(proofs, parts => {
        const written = formatProof({ ...parts, checkpoint });
        expect(parseProof(written)).toEqual({ ...parts, checkpoint });
        expect(formatProof(parseProof(written))).toBe(written);
      }),
      seeded,
    );
  });

  test("a proof file verifies, and with any bit changed it does not", async () => {
    await verify(utf8(file));
    for (const flipped of bitFlips(utf8(file))) {
      const fault = await faultIn(verify(flipped));
      expect([
        "malformed",
        "unsupported",
        "too-large",
        "wrong-origin",
        "unknown-key",
        "bad-signature",
        "not-included",
      ]).toContain(fault.code);
    }
  });

  test("a proof file of another version is unsupported", () => {
    expect(faultOf(() => parseProof(file.replace("@v1", "@v2"))).code).toBe("unsupported");
  });

  const edits: [string, (file: string) => string][] = [
    ["nothing in it", () => ""],
    ["another first line", f => f.replace("tlog-proof", "tlog-prof")],
    ["a space after the first line", f => f.replace("@v1", "@v1 ")],
    ["no first line", f => f.slice(f.indexOf("\n") + 1)],
    ["no index", f => f.replace("index 5\n", "")],
    ["two indexes", f => f.replace("index 5\n", "index 5\nindex 5\n")],
    ["an index with a leading zero", f => f.replace("index 5", "index 05")],
    ["a negative index", f => f.replace("index 5", "index -5")],
    ["an empty index", f => f.replace("index 5", "index ")],
    ["two spaces before the index", f => f.replace("index 5", "index  5")],
    ["the index in capitals", f => f.replace("index 5", "Index 5")],
    ["empty extra data", f => f.replace("index", "extra \nindex")],
    ["an extra line without data", f => f.replace("index", "extra\nindex")],
    ["two extra lines", f => f.replace("index", "extra AA==\nextra AA==\nindex")],
    ["extra data after the index", f => f.replace("index 5\n", "index 5\nextra AA==\n")],
    ["extra data that is not canonical", f => f.replace("index", "extra AB==\nindex")],
    ["a hash of another length", f => f.replace("index 5\n", "index 5\nAAAA\n")],
    ["an empty line before the hashes", f => f.replace("index 5\n", "index 5\n\n")],
    ["no empty line before the checkpoint", f => f.replace("\n\nexample", "\nexample")],
    ["two empty lines before the checkpoint", f => f.replace("\n\nexample", "\n\n\nexample")],
    ["no checkpoint", f => f.slice(0, f.indexOf("\n\n") + 2)],
    ["carriage returns", f => f.replaceAll("\n", "\r\n")],
    ["a missing last newline", f => f.slice(0, -1)],
    ["an empty line at the end", f => `${f}\n`],
    ["a checkpoint that is not signed", f => f.slice(0, f.indexOf("—"))],
    ["a note that is no checkpoint", f => f.replace("\n13\n", "\nthirteen\n")],
  ];
  test.each(edits)("a proof file with %s is malformed", (_, edit) => {
    expect(edit(file)).not.toBe(file);
    expect(faultOf(() => parseProof(edit(file))).code).toBe("malformed");
  });

  test("more hashes than any tree is high, a number beyond 2^53 - 1 and more than 1 MiB are too large", () => {
    const hash = proof.hashes[0]!;
    expect(parseProof(formatProof({ ...proof, hashes: Array(63).fill(hash) })).hashes).toHaveLength(63);
    expect(faultOf(() => formatProof({ ...proof, hashes: Array(64).fill(hash) })).code).toBe("too-large");
    const line = `${Buffer.from(hash).toString("base64")}\n`;
    const long = file.replace("index 5\n", `index 5\n${line.repeat(64)}`);
    expect(faultOf(() => parseProof(long)).code).toBe("too-large");
    expect(faultOf(() => parseProof(file.replace("index 5", "index 9007199254740992"))).code).toBe(
      "too-large",
    );
    expect(faultOf(() => parseProof(file.replace("index", `extra ${"A".repeat(2 ** 20)}\nindex`))).code).toBe(
      "too-large",
    );
  });

  test("what could not be read back is not written", () => {
    for (const index of [-1, 0.5, 2 ** 53]) {
      expect(faultOf(() => formatProof({ ...proof, index })).code).toBe("malformed");
    }
    expect(faultOf(() => formatProof({ ...proof, hashes: [new Uint8Array(31)] })).code).toBe("malformed");
    expect(faultOf(() => formatProof({ ...proof, checkpoint: "no note" })).code).toBe("malformed");
    expect(faultOf(() => formatProof({ ...proof, extra: new Uint8Array(2 ** 20) })).code).toBe("too-large");
  });
});
