import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { verifyEd25519 } from "../../../src/tlog/ed25519.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatSignatureLines,
  formatVerifierKey,
  ML_DSA_44_COSIGNATURE,
  makeNoteKey,
  type Note,
  type NoteKey,
  openNote,
  parseNote,
  parseSignatureLines,
  parseVerifierKey,
  signNote,
  type VerifiedSignature,
} from "../../../src/tlog/note.ts";
import { bitFlips, faultIn, faultOf, makeSigner, seeded, utf8 } from "./samples.ts";

// The example of signed-note.
const EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

// A tree head of the Go checksum database, signed in 2023 by its well-known key.
const GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const GO_TREE_HEAD = `go.sum database tree
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`;

const alice = makeSigner("alice.example/log", ED25519, 1);
const bob = makeSigner("bob.example/log", ED25519, 2);
const line = "— n AAAAAAA=\n";

async function signed(text: string, ...signers: (typeof alice)[]): Promise<Note> {
  return { text, signatures: await Promise.all(signers.map(signer => signNote(text, signer))) };
}

async function open(note: Uint8Array, keys: readonly NoteKey[]): Promise<VerifiedSignature[]> {
  return openNote(parseNote(note), keys);
}

describe("signatures by others", () => {
  test("the example of signed-note is opened with its key", async () => {
    const opened = await openNote(parseNote(EXAMPLE), [parseVerifierKey(EXAMPLE_KEY)]);
    expect(opened.map(({ key }) => key.name)).toEqual(["example.com/foo"]);
  });

  test("a tree head of the Go checksum database is opened with its well-known key", async () => {
    const opened = await openNote(parseNote(GO_TREE_HEAD), [parseVerifierKey(GO_KEY)]);
    expect(opened.map(({ key }) => key.id.toString(16))).toEqual(["33de0ae"]);
  });
});

describe("verifier keys", () => {
  test("a verifier key is written as it was read, whatever its type", () => {
    for (const vkey of [
      EXAMPLE_KEY,
      GO_KEY,
      formatVerifierKey(makeSigner("w", ED25519_COSIGNATURE, 3).key),
    ]) {
      expect(formatVerifierKey(parseVerifierKey(vkey))).toBe(vkey);
    }
    const mlDsa = makeNoteKey("w", ML_DSA_44_COSIGNATURE, new Uint8Array(1312).fill(9));
    expect(parseVerifierKey(formatVerifierKey(mlDsa))).toEqual(mlDsa);
  });

  test("the same public key has another id under another name or type", () => {
    const { publicKey } = alice.key;
    const ids = [
      makeNoteKey("a", ED25519, publicKey).id,
      makeNoteKey("b", ED25519, publicKey).id,
      makeNoteKey("a", ED25519_COSIGNATURE, publicKey).id,
    ];
    expect(new Set(ids).size).toBe(3);
  });

  test("a verifier key with any bit changed is not read", () => {
    for (const flipped of bitFlips(utf8(EXAMPLE_KEY))) {
      const vkey = new TextDecoder().decode(flipped);
      expect(["malformed", "unsupported"]).toContain(faultOf(() => parseVerifierKey(vkey)).code);
    }
  });

  test.each([
    "",
    "+",
    "++",
    "example.com/foo",
    EXAMPLE_KEY.slice(0, -1),
    `${EXAMPLE_KEY}\n`,
    ` ${EXAMPLE_KEY}`,
    `${EXAMPLE_KEY}+`,
    EXAMPLE_KEY.replace("530d903a", "530D903A"),
    EXAMPLE_KEY.replace("530d903a", "530d903"),
    EXAMPLE_KEY.replace("example.com/foo", ""),
    EXAMPLE_KEY.replace("example.com/foo", "example.com/ foo"),
    "name+00000000+",
  ])("%j is not a verifier key", vkey => {
    expect(faultOf(() => parseVerifierKey(vkey)).code).toBe("malformed");
  });

  test("a verifier key longer than any honest one is too large", () => {
    const name = "n".repeat(4096 - 54);
    const vkey = formatVerifierKey(makeNoteKey(name, ED25519, alice.key.publicKey));
    expect(vkey).toHaveLength(4096);
    expect(parseVerifierKey(vkey).name).toBe(name);
    expect(faultOf(() => parseVerifierKey(`n${vkey}`)).code).toBe("too-large");
  });

  test("a type that is not known is unsupported rather than malformed", () => {
    for (const type of [0, 2, 3, 5, 7, 0xff]) {
      expect(faultOf(() => makeNoteKey("n", type, new Uint8Array(32))).code).toBe("unsupported");
    }
  });

  test("a public key has the length of its type", () => {
    for (const type of [ED25519, ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE]) {
      for (const length of [0, 31, 33, 1311, 1313]) {
        expect(faultOf(() => makeNoteKey("n", type, new Uint8Array(length))).code).toBe("malformed");
      }
    }
  });

  test("a key does not change when the bytes it was made from do, even if they are a Node Buffer", () => {
    const bytes = Buffer.from(alice.key.publicKey);
    const key = makeNoteKey("n", ED25519, bytes);
    bytes.fill(0);
    expect(key.publicKey).toEqual(alice.key.publicKey);
  });

  test.each(["", " ", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\u0085b", "a\tb", "a\nb", "a\0b", "\ud800"])(
    "%j is not a key name",
    name => {
      expect(faultOf(() => makeNoteKey(name, ED25519, alice.key.publicKey)).code).toBe("malformed");
    },
  );
});

describe("the form of notes", () => {
  test("a note is written as it was read", () => {
    for (const note of [
      EXAMPLE,
      GO_TREE_HEAD,
      `\n\n${line}`,
      `a\n\nb\n\n\n${line}${line}`,
      `\ufeffa\u007f\n\n${line}`,
    ]) {
      expect(formatNote(parseNote(note))).toBe(note);
      expect(parseNote(utf8(note))).toEqual(parseNote(note));
    }
  });

  test("the text ends at the last blank line", () => {
    expect(parseNote(`a\n\n— b AAAAAAA=\n\n${line}`).text).toBe("a\n\n— b AAAAAAA=\n");
    expect(parseNote(`\n\n${line}`).text).toBe("\n");
  });

  test("any text and signatures that are written are read back", () => {
    const texts = fc
      .string({ unit: "binary" })
      .map(text => `${text.replaceAll(/[^\n -\u{10ffff}]/gu, "")}\n`);
    const names = fc
      .string({ unit: "binary", minLength: 1 })
      .map(name => `n${name.replaceAll(/[\p{White_Space}\p{Cc}+]/gu, "")}`);
    const signatures = fc.array(
      fc.record({
        name: names,
        id: fc.nat({ max: 2 ** 32 - 1 }),
        signature: fc.uint8Array({ minLength: 1 }),
      }),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(texts, signatures, (text, list) => {
        const note = { text, signatures: list };
        expect(parseNote(formatNote(note))).toEqual(note);
      }),
      seeded,
    );
  });

  test.each([
    "",
    "\n",
    "\n\n",
    "text\n",
    "text\n\n",
    `text\n${line}`,
    `text\n\n${line}\n`,
    `text\n\n${line}`.slice(0, -1),
    `text\n\n${line}junk`,
    `text\n\n${line}junk\n`,
    `text\n\njunk\n${line}`,
    `text\r\n\r\n${line}`,
    `te\u0000xt\n\n${line}`,
    `te\txt\n\n${line}`,
    `te\u001fxt\n\n${line}`,
    `te\ud800xt\n\n${line}`,
    "text\n\n— n\n",
    "text\n\n— n \n",
    "text\n\n—  AAAAAAA=\n",
    "text\n\n—n AAAAAAA=\n",
    "text\n\n- n AAAAAAA=\n",
    "text\n\n— n  AAAAAAA=\n",
    "text\n\n— n AAAAAAA= \n",
    "text\n\n— n AAAAAAA= x\n",
    "text\n\n— a+b AAAAAAA=\n",
    "text\n\n— a\u00a0b AAAAAAA=\n",
    "text\n\n— n AAAAAAA\n",
    "text\n\n— n AAAAAAB=\n",
    "text\n\n— n AAAAAA==\n",
    "text\n\n— n AAAA\n",
    "text\n\n— n _AAAAAA=\n",
  ])("%j is not a note", note => {
    expect(faultOf(() => parseNote(note)).code).toBe("malformed");
  });

  test("bytes that are not UTF-8 are not a note", () => {
    for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x80]]) {
      const note = Uint8Array.of(...bad, ...utf8(`\n\n${line}`));
      expect(faultOf(() => parseNote(note)).code).toBe("malformed");
    }
  });

  test("a byte order mark is part of the text, so that what is checked is what was signed", () => {
    expect(parseNote(utf8(`\ufefftext\n\n${line}`)).text).toBe("\ufefftext\n");
  });

  test("100 signatures and 1 MiB are read, more are too large", () => {
    expect(parseNote(`text\n\n${line.repeat(100)}`).signatures).toHaveLength(100);
    expect(faultOf(() => parseNote(`text\n\n${line.repeat(101)}`)).code).toBe("too-large");
    const full = `a${"é".repeat((2 ** 20 - utf8(line).length - 3) / 2)}\n\n${line}`;
    expect(utf8(full)).toHaveLength(2 ** 20);
    expect(parseNote(full).signatures).toHaveLength(1);
    expect(faultOf(() => parseNote(`a${full}`)).code).toBe("too-large");
    expect(faultOf(() => parseNote(utf8(`a${full}`))).code).toBe("too-large");
    expect(faultOf(() => parseNote("x".repeat(2 ** 24))).code).toBe("too-large");
    expect(faultOf(() => parseSignatureLines(`— ${"n".repeat(2 ** 20)} AAAAAAA=\n`)).code).toBe("too-large");
  });

  test("what could not be read back is not written", () => {
    const [signature] = parseNote(`text\n\n${line}`).signatures;
    for (const text of ["", "text", "te\rxt\n", "\ud800\n"]) {
      expect(faultOf(() => formatNote({ text, signatures: [signature!] })).code).toBe("malformed");
    }
    for (const wrong of [
      { ...signature!, name: "a b" },
      { ...signature!, name: "" },
      { ...signature!, id: -1 },
      { ...signature!, id: 2 ** 32 },
      { ...signature!, id: 0.5 },
      { ...signature!, signature: new Uint8Array(0) },
    ]) {
      expect(faultOf(() => formatNote({ text: "text\n", signatures: [wrong] })).code).toBe("malformed");
    }
    expect(faultOf(() => formatNote({ text: "text\n", signatures: [] })).code).toBe("malformed");
    expect(faultOf(() => formatNote({ text: "text\n", signatures: Array(101).fill(signature!) })).code).toBe(
      "too-large",
    );
    const long = { ...signature!, signature: new Uint8Array(2 ** 20) };
    expect(faultOf(() => formatSignatureLines([long])).code).toBe("too-large");
    const large = { text: `${"x".repeat(2 ** 20 - 10)}\n`, signatures: [signature!] };
    expect(faultOf(() => formatNote(large)).code).toBe("too-large");
  });
});

describe("opening a note", () => {
  test("every signature by a known key is returned, in the order of the note", async () => {
    const note = await signed("text\n", bob, alice);
    const opened = await openNote(note, [alice.key, bob.key]);
    expect(opened).toEqual([
      { key: bob.key, signature: note.signatures[0] },
      { key: alice.key, signature: note.signatures[1] },
    ]);
  });

  test("signatures by other keys are ignored, even under the name or the id of a known one", async () => {
    const note = await signed("text\n", alice);
    const others = [
      { ...note.signatures[0]!, name: "mallory.example" },
      { ...note.signatures[0]!, id: 7 },
      ...note.signatures,
    ];
    expect(await openNote({ ...note, signatures: others }, [alice.key])).toHaveLength(1);
  });

  test("a note without a signature by a known key is signed by unknown keys", async () => {
    const note = await signed("text\n", alice);
    expect((await faultIn(openNote(note, [bob.key]))).code).toBe("unknown-key");
    expect((await faultIn(openNote(note, []))).code).toBe("unknown-key");
  });

  test("one bad signature by a known key spoils the note, whatever else is on it", async () => {
    const note = await signed("text\n", alice, bob);
    const signature = note.signatures[1]!.signature.slice();
    signature[10]! ^= 1;
    const spoiled = { ...note, signatures: [note.signatures[0]!, { ...note.signatures[1]!, signature }] };
    expect((await faultIn(openNote(spoiled, [alice.key, bob.key]))).code).toBe("bad-signature");
    expect(await openNote(spoiled, [alice.key])).toHaveLength(1);
  });

  test("a signed note with any bit changed is not opened", async () => {
    const bytes = utf8(formatNote(await signed("a text\nof two lines\n", alice)));
    for (const flipped of bitFlips(bytes)) {
      const fault = await faultIn(open(flipped, [alice.key]));
      expect(["malformed", "unknown-key", "bad-signature"]).toContain(fault.code);
    }
  });

  test("keys that cosign neither sign nor open plain notes", async () => {
    const witness = makeSigner("w.example", ED25519_COSIGNATURE, 5);
    expect((await faultIn(signNote("text\n", witness))).code).toBe("unsupported");
    const signature = await witness.sign(utf8("text\n"));
    const note = { text: "text\n", signatures: [{ name: "w.example", id: witness.key.id, signature }] };
    expect((await faultIn(openNote(note, [witness.key]))).code).toBe("unsupported");
  });

  test("what is no note text is not signed", async () => {
    expect((await faultIn(signNote("no newline", alice))).code).toBe("malformed");
    expect((await faultIn(signNote("a\rb\n", alice))).code).toBe("malformed");
  });
});

describe("Ed25519", () => {
  test("a signature fits its message and key only, and nothing else is an exception", async () => {
    const message = utf8("message");
    const signature = await alice.sign(message);
    const { publicKey } = alice.key;
    expect(await verifyEd25519(publicKey, message, signature)).toBe(true);
    expect(await verifyEd25519(publicKey, utf8("another"), signature)).toBe(false);
    expect(await verifyEd25519(bob.key.publicKey, message, signature)).toBe(false);
    for (const length of [0, 63, 65]) {
      expect(await verifyEd25519(publicKey, message, new Uint8Array(length))).toBe(false);
    }
    for (const length of [0, 31, 33]) {
      expect(await verifyEd25519(new Uint8Array(length), message, signature)).toBe(false);
    }
  });

  test("32 bytes that are not a point of the curve are a key that has signed nothing", async () => {
    const signature = await alice.sign(utf8("message"));
    for (const fill of [0x00, 0x02, 0x7f, 0xff]) {
      expect(await verifyEd25519(new Uint8Array(32).fill(fill), utf8("message"), signature)).toBe(false);
    }
  });

  test("a platform without Ed25519 is unsupported, so that nothing passes for forged", async () => {
    const importKey = vi.spyOn(crypto.subtle, "importKey");
    importKey.mockRejectedValue(new DOMException("no such algorithm", "NotSupportedError"));
    try {
      const signature = await alice.sign(utf8("message"));
      expect((await faultIn(verifyEd25519(alice.key.publicKey, utf8("message"), signature))).code).toBe(
        "unsupported",
      );
    } finally {
      importKey.mockRestore();
    }
  });

  test("the signature and key may lie inside larger buffers", async () => {
    const signature = await alice.sign(utf8("message"));
    const buffer = Uint8Array.of(1, 2, 3, ...alice.key.publicKey, ...signature, 4, 5);
    expect(await verifyEd25519(buffer.subarray(3, 35), utf8("message"), buffer.subarray(35, 99))).toBe(true);
  });
});
