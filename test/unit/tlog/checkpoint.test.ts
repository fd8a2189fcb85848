import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { ED25519, formatNote, type NoteSigner, signNote } from "../../../src/tlog/note.ts";
import { emptyRoot } from "../../../src/tlog/tree.ts";
import { bitFlips, faultIn, faultOf, makeSigner, seeded, utf8 } from "./samples.ts";

const ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
const TEXT = `example.com/behind-the-sofa\n20852163\n${ROOT}\n`;

const log = makeSigner("example.com/log", ED25519, 1);
const text = formatCheckpoint({ origin: log.key.name, size: 5, root: emptyRoot(), extensions: [] });

async function signedNote(noteText: string, ...signers: NoteSigner[]): Promise<string> {
  const signatures = await Promise.all(signers.map(signer => signNote(noteText, signer)));
  return formatNote({ text: noteText, signatures });
}

describe("the form of checkpoints", () => {
  test("the example of tlog-checkpoint is read, and written as it was", () => {
    const checkpoint = parseCheckpoint(TEXT);
    expect(checkpoint).toMatchObject({
      origin: "example.com/behind-the-sofa",
      size: 20852163,
      extensions: [],
    });
    expect(Buffer.from(checkpoint.root).toString("base64")).toBe(ROOT);
    expect(formatCheckpoint(checkpoint)).toBe(TEXT);
  });

  test("extension lines are kept, whatever is in them", () => {
    const extended = `${TEXT}one\n two \n`;
    expect(parseCheckpoint(extended).extensions).toEqual(["one", " two "]);
    expect(formatCheckpoint(parseCheckpoint(extended))).toBe(extended);
  });

  test("any checkpoint that is written is read back", () => {
    const lines = fc.string({ unit: "binary", minLength: 1 }).map(line => line.replaceAll("\n", "_"));
    const checkpoints = fc.record({
      origin: lines,
      size: fc.maxSafeNat(),
      root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      extensions: fc.array(lines, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(checkpoints, checkpoint => {
        expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
      }),
      seeded,
    );
  });

  test.each([
    "",
    "\n",
    "origin\n",
    "origin\n5\n",
    `origin\n5\n${ROOT}`,
    `origin\n5\n${ROOT}\nextension`,
    `\n5\n${ROOT}\n`,
    `origin\n\n5\n${ROOT}\n`,
    `origin\n5\n\n${ROOT}\n`,
    `origin\n5\n${ROOT}\n\n`,
    `origin\n5\n${ROOT}\n\nextension\n`,
    `origin\n05\n${ROOT}\n`,
    `origin\n+5\n${ROOT}\n`,
    `origin\n-5\n${ROOT}\n`,
    `origin\n-0\n${ROOT}\n`,
    `origin\n5.0\n${ROOT}\n`,
    `origin\n5e3\n${ROOT}\n`,
    `origin\n0x5\n${ROOT}\n`,
    `origin\n 5\n${ROOT}\n`,
    `origin\n5 \n${ROOT}\n`,
    `origin\n٥\n${ROOT}\n`,
    `origin\n5\n${ROOT} \n`,
    `origin\n5\n${ROOT.slice(0, -1)}\n`,
    `origin\n5\n${ROOT.replace("I=", "J=")}\n`,
    `origin\n5\n${ROOT.slice(4)}\n`,
    `origin\n5\nAAAA${ROOT}\n`,
    "origin\n5\nnot base64\n",
  ])("%j is not a checkpoint", malformed => {
    expect(faultOf(() => parseCheckpoint(malformed)).code).toBe("malformed");
  });

  test("the largest safe size is read, the next is too large", () => {
    expect(parseCheckpoint(`o\n9007199254740991\n${ROOT}\n`).size).toBe(Number.MAX_SAFE_INTEGER);
    for (const size of ["9007199254740992", "9007199254740993", "18446744073709551615", "9".repeat(400)]) {
      expect(faultOf(() => parseCheckpoint(`o\n${size}\n${ROOT}\n`)).code).toBe("too-large");
    }
  });

  test("what could not be read back is not written", () => {
    const checkpoint = { origin: "o", size: 1, root: emptyRoot(), extensions: [] };
    for (const wrong of [
      { ...checkpoint, origin: "" },
      { ...checkpoint, origin: "o\n7" },
      { ...checkpoint, size: -1 },
      { ...checkpoint, size: 0.5 },
      { ...checkpoint, size: 2 ** 53 },
      { ...checkpoint, size: Number.NaN },
      { ...checkpoint, root: new Uint8Array(31) },
      { ...checkpoint, extensions: [""] },
      { ...checkpoint, extensions: ["a\nb"] },
    ]) {
      expect(faultOf(() => formatCheckpoint(wrong)).code).toBe("malformed");
    }
  });
});

describe("opening a checkpoint", () => {
  test("a checkpoint signed by its log is opened, from text or bytes", async () => {
    const note = await signedNote(text, log);
    for (const form of [note, utf8(note)]) {
      const opened = await openCheckpoint(form, [log.key]);
      expect(opened.checkpoint).toEqual({ origin: log.key.name, size: 5, root: emptyRoot(), extensions: [] });
      expect(opened.note.text).toBe(text);
      expect(opened.signatures.map(({ key }) => key)).toEqual([log.key]);
    }
  });

  test("each key of a log opens it, so that keys can be changed", async () => {
    const next = makeSigner(log.key.name, ED25519, 2);
    const keys = [log.key, next.key];
    expect((await openCheckpoint(await signedNote(text, next), keys)).signatures).toHaveLength(1);
    expect((await openCheckpoint(await signedNote(text, log, next), keys)).signatures).toHaveLength(2);
  });

  test("a checkpoint of another log is of the wrong origin, even if signed by a key that is trusted", async () => {
    const other = makeSigner("example.com/other", ED25519, 3);
    const note = await signedNote(text, other);
    const fault = await faultIn(openCheckpoint(note, [other.key]));
    expect(fault).toMatchObject({ code: "wrong-origin", expected: "example.com/other", found: log.key.name });
    expect((await faultIn(openCheckpoint(note, [other.key, log.key]))).code).toBe("unknown-key");
  });

  test("a checkpoint that the log has not signed is signed by unknown keys", async () => {
    const impostor = makeSigner(log.key.name, ED25519, 9);
    expect((await faultIn(openCheckpoint(await signedNote(text, impostor), [log.key]))).code).toBe(
      "unknown-key",
    );
    expect((await faultIn(openCheckpoint(await signedNote(text, log), []))).code).toBe("unknown-key");
  });

  test("a signed checkpoint with any bit changed is not opened", async () => {
    for (const flipped of bitFlips(utf8(await signedNote(text, log)))) {
      const fault = await faultIn(openCheckpoint(flipped, [log.key]));
      expect(["malformed", "wrong-origin", "unknown-key", "bad-signature"]).toContain(fault.code);
    }
  });
});
