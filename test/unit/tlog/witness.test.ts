import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { formatCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { cosign } from "../../../src/tlog/cosignature.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatSignatureLines,
  parseNote,
  signNote,
} from "../../../src/tlog/note.ts";
import {
  type AddCheckpoint,
  formatAddCheckpoint,
  formatTreeSize,
  openAnswer,
  parseAddCheckpoint,
  parseTreeSize,
} from "../../../src/tlog/witness.ts";
import { mth, proof as prove } from "../../reference/rfc6962.ts";
import { faultIn, faultOf, makeSigner, seeded, utf8 } from "./samples.ts";

const log = makeSigner("example.com/log", ED25519, 1);
const witness = makeSigner("witness.example/w1", ED25519_COSIGNATURE, 2);
const other = makeSigner("witness.example/w2", ED25519_COSIGNATURE, 3);
const entries = Array.from({ length: 13 }, (_, i) => utf8(`entry ${i}`));
let request: AddCheckpoint;
let body: string;
let text: string;

beforeAll(async () => {
  text = formatCheckpoint({ origin: log.key.name, size: 13, root: mth(entries), extensions: [] });
  const checkpoint = formatNote({ text, signatures: [await signNote(text, log)] });
  request = { oldSize: 6, proof: prove(6, entries), checkpoint };
  body = formatAddCheckpoint(request);
});

describe("add-checkpoint requests", () => {
  test("a request is the old size, the proof, an empty line and the checkpoint", () => {
    const hashes = request.proof.map(hash => Buffer.from(hash).toString("base64"));
    expect(body).toBe(["old 6", ...hashes, "", request.checkpoint].join("\n"));
    expect(parseAddCheckpoint(body)).toEqual(request);
  });

  test("a first request has old size 0 and no proof", () => {
    const first = { ...request, oldSize: 0, proof: [] };
    expect(formatAddCheckpoint(first)).toBe(`old 0\n\n${request.checkpoint}`);
    expect(parseAddCheckpoint(`old 0\n\n${request.checkpoint}`)).toEqual(first);
  });

  test("any request that is written is read back", () => {
    const requests = fc.record({
      oldSize: fc.integer({ min: 0, max: 13 }),
      proof: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 }),
    });
    fc.assert(
      fc.property(requests, parts => {
        const full = { ...parts, checkpoint: request.checkpoint };
        expect(parseAddCheckpoint(formatAddCheckpoint(full))).toEqual(full);
      }),
      seeded,
    );
  });

  const edits: [string, (body: string) => string][] = [
    ["nothing in it", () => ""],
    ["no old size", b => b.slice(b.indexOf("\n") + 1)],
    ["an old size with a leading zero", b => b.replace("old 6", "old 06")],
    ["an old size beyond the checkpoint's", b => b.replace("old 6", "old 14")],
    ["two spaces before the old size", b => b.replace("old 6", "old  6")],
    ["another keyword", b => b.replace("old 6", "Old 6")],
    ["a space after the old size", b => b.replace("old 6", "old 6 ")],
    ["a hash of another length", b => b.replace("old 6\n", "old 6\nAAAA\n")],
    ["an empty line before the proof", b => b.replace("old 6\n", "old 6\n\n")],
    ["no empty line before the checkpoint", b => b.replace("\n\nexample", "\nexample")],
    ["no checkpoint", b => b.slice(0, b.indexOf("\n\n") + 2)],
    ["carriage returns", b => b.replaceAll("\n", "\r\n")],
    ["a missing last newline", b => b.slice(0, -1)],
    ["a checkpoint that is not signed", b => b.slice(0, b.indexOf("—"))],
    ["a note that is no checkpoint", b => b.replace("\n13\n", "\nthirteen\n")],
  ];
  test.each(edits)("a request with %s is malformed", (_, edit) => {
    expect(edit(body)).not.toBe(body);
    expect(faultOf(() => parseAddCheckpoint(edit(body))).code).toBe("malformed");
  });

  test("more than 63 hashes, a number beyond 2^53 - 1 and more than 1 MiB are too large", () => {
    const hash = request.proof[0]!;
    const line = `${Buffer.from(hash).toString("base64")}\n`;
    const long = (count: number) => `old 6\n${line.repeat(count)}\n${request.checkpoint}`;
    expect(parseAddCheckpoint(long(63)).proof).toHaveLength(63);
    expect(faultOf(() => parseAddCheckpoint(long(64))).code).toBe("too-large");
    expect(faultOf(() => formatAddCheckpoint({ ...request, proof: Array(64).fill(hash) })).code).toBe(
      "too-large",
    );
    expect(faultOf(() => parseAddCheckpoint(body.replace("old 6", "old 9007199254740992"))).code).toBe(
      "too-large",
    );
    expect(faultOf(() => parseAddCheckpoint("x".repeat(2 ** 20 + 1))).code).toBe("too-large");
  });

  test("what could not be read back is not written", () => {
    for (const oldSize of [-1, 0.5, 14, Number.NaN]) {
      expect(faultOf(() => formatAddCheckpoint({ ...request, oldSize })).code).toBe("malformed");
    }
    expect(faultOf(() => formatAddCheckpoint({ ...request, proof: [new Uint8Array(31)] })).code).toBe(
      "malformed",
    );
    expect(faultOf(() => formatAddCheckpoint({ ...request, checkpoint: "no note" })).code).toBe("malformed");
  });
});

describe("the size in a 409 answer", () => {
  test("is a decimal number and a newline", () => {
    expect(formatTreeSize(20852014)).toBe("20852014\n");
    expect(parseTreeSize("20852014\n")).toBe(20852014);
    expect(parseTreeSize("0\n")).toBe(0);
    expect(faultOf(() => formatTreeSize(-1)).code).toBe("malformed");
  });

  test.each(["", "\n", "5", "55", "5\n\n", " 5\n", "05\n", "5\r\n", "five\n", "-5\n", "5\n6\n"])(
    "%j is not such a size",
    malformed => {
      expect(faultOf(() => parseTreeSize(malformed)).code).toBe("malformed");
    },
  );

  test("beyond 2^53 - 1 is too large", () => {
    expect(faultOf(() => parseTreeSize("9007199254740992\n")).code).toBe("too-large");
  });
});

describe("the cosignatures in a 200 answer", () => {
  test("by the witness's keys are opened, and others ignored", async () => {
    const [first, second] = [await cosign(text, 1679315147, witness), await cosign(text, 1679315148, other)];
    const answer = formatSignatureLines([first, second]);
    const opened = await openAnswer(answer, request.checkpoint, [witness.key]);
    expect(opened).toEqual([{ key: witness.key, timestamp: 1679315147, signature: first }]);
    const note = parseNote(request.checkpoint);
    expect(formatNote({ ...note, signatures: [...note.signatures, ...opened.map(c => c.signature)] })).toBe(
      request.checkpoint + formatSignatureLines([first]),
    );
  });

  test("on another checkpoint are bad signatures", async () => {
    const elsewhere = formatCheckpoint({ origin: log.key.name, size: 1, root: mth(entries), extensions: [] });
    const answer = formatSignatureLines([await cosign(elsewhere, 1679315147, witness)]);
    expect((await faultIn(openAnswer(answer, request.checkpoint, [witness.key]))).code).toBe("bad-signature");
  });

  test("by none of the witness's keys are by unknown keys", async () => {
    const answer = formatSignatureLines([await cosign(text, 1679315147, other)]);
    expect((await faultIn(openAnswer(answer, request.checkpoint, [witness.key]))).code).toBe("unknown-key");
  });

  test("without a time are malformed", async () => {
    const answer = formatSignatureLines([await cosign(text, 0, witness)]);
    expect((await faultIn(openAnswer(answer, request.checkpoint, [witness.key]))).code).toBe("malformed");
  });

  test("are signature lines and nothing else, so that an answer cannot change what was signed", async () => {
    const lines = formatSignatureLines([await cosign(text, 1679315147, witness)]);
    for (const answer of [
      "",
      "\n",
      lines.slice(0, -1),
      `${lines}\n`,
      `\n${lines}`,
      `text\n\n${lines}`,
      "<html>\n",
    ]) {
      expect((await faultIn(openAnswer(answer, request.checkpoint, [witness.key]))).code).toBe("malformed");
    }
  });
});
