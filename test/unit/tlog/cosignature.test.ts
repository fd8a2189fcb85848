import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { formatCheckpoint, openCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { cosign, cosignedMessage, makeVerifier, openCosignatures } from "../../../src/tlog/cosignature.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  ML_DSA_44_COSIGNATURE,
  makeNoteKey,
  type Note,
  type NoteSignature,
  type NoteSigner,
  parseNote,
  signNote,
} from "../../../src/tlog/note.ts";
import { leafHash } from "../../../src/tlog/tree.ts";
import { bitFlips, faultIn, faultOf, makeSigner, utf8 } from "./samples.ts";

const TIME = 1679315147;
const log = makeSigner("example.com/log", ED25519, 1);
const witness = makeSigner("w1.example", ED25519_COSIGNATURE, 2);
const other = makeSigner("w2.example", ED25519_COSIGNATURE, 3);
const root = leafHash(utf8("entry"));
const text = formatCheckpoint({
  origin: log.key.name,
  size: 2 ** 33 + 1,
  root,
  extensions: ["an extension"],
});

// A private key of FIPS 204 from its seed, in the wrapping of RFC 9881.
const mlDsaKey = createPrivateKey({
  key: Buffer.concat([
    Buffer.from("3034020100300b0609608648016503040311042280" + "20", "hex"),
    Buffer.alloc(32, 4),
  ]),
  format: "der",
  type: "pkcs8",
});
const mlDsaPublicKey = createPublicKey(mlDsaKey).export({ format: "der", type: "spki" }).subarray(-1312);
const mlDsaWitness: NoteSigner = {
  key: makeNoteKey("w3.example", ML_DSA_44_COSIGNATURE, mlDsaPublicKey),
  sign: async message => new Uint8Array(sign(null, message, mlDsaKey)),
};
const verifyMlDsa44 = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => {
  const prefix = Buffer.from("30820532300b0609608648016503040311" + "0382052100", "hex");
  const key = createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: "der", type: "spki" });
  return verify(null, message, key, signature);
};

async function cosigned(...signatures: NoteSignature[]): Promise<Note> {
  return { text, signatures: [await signNote(text, log), ...signatures] };
}

describe("the message that is signed", () => {
  test("of an Ed25519 cosignature it is a header, the time and the whole text", () => {
    expect(new TextDecoder().decode(cosignedMessage(witness.key, text, TIME))).toBe(
      `cosignature/v1\ntime 1679315147\n${text}`,
    );
  });

  test("of an ML-DSA-44 cosignature it names witness, log, range and root, and leaves extensions out", () => {
    const message = Buffer.from(cosignedMessage(mlDsaWitness.key, text, TIME)).toString("hex");
    const hex = (ascii: string) => Buffer.from(ascii).toString("hex");
    expect(message).toBe(
      [
        hex("subtree/v1\n\0"),
        `0a${hex("w3.example")}`,
        "00000000641850cb",
        `0f${hex("example.com/log")}`,
        "0000000000000000",
        "0000000200000001",
        Buffer.from(root).toString("hex"),
      ].join(""),
    );
  });

  test("only checkpoints are cosigned, by keys that cosign, at a time", () => {
    expect(faultOf(() => cosignedMessage(witness.key, "any text\n", TIME)).code).toBe("malformed");
    expect(faultOf(() => cosignedMessage(log.key, text, TIME)).code).toBe("unsupported");
    for (const time of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(faultOf(() => cosignedMessage(witness.key, text, time)).code).toBe("malformed");
    }
  });

  test("a name or origin that does not fit the ML-DSA-44 message is malformed", () => {
    const long = makeNoteKey("n".repeat(256), ML_DSA_44_COSIGNATURE, mlDsaPublicKey);
    expect(faultOf(() => cosignedMessage(long, text, TIME)).code).toBe("malformed");
    const longOrigin = formatCheckpoint({ origin: "o".repeat(256), size: 1, root, extensions: [] });
    expect(faultOf(() => cosignedMessage(mlDsaWitness.key, longOrigin, TIME)).code).toBe("malformed");
  });
});

describe("opening cosignatures", () => {
  test("those by the given witnesses are returned with their times, and others ignored", async () => {
    const first = await cosign(text, TIME, witness);
    const note = await cosigned(first, await cosign(text, TIME + 1, other));
    expect(await openCosignatures(note, [witness.key])).toEqual([
      { key: witness.key, timestamp: TIME, signature: first },
    ]);
    const both = await openCosignatures(note, [other.key, witness.key]);
    expect(both.map(({ key, timestamp }) => [key.name, timestamp])).toEqual([
      ["w1.example", TIME],
      ["w2.example", TIME + 1],
    ]);
  });

  test("a note without any is no Fault, only an empty answer", async () => {
    expect(await openCosignatures(await cosigned(), [witness.key])).toEqual([]);
    expect(await openCosignatures(await cosigned(await cosign(text, TIME, witness)), [])).toEqual([]);
  });

  test("they survive being written and read with their note, beside the log's own signature", async () => {
    const note = formatNote(await cosigned(await cosign(text, TIME, witness)));
    expect((await openCheckpoint(note, [log.key])).signatures).toHaveLength(1);
    expect(await openCosignatures(parseNote(note), [witness.key])).toHaveLength(1);
  });

  test("one with any bit changed, also in its time, is a bad signature", async () => {
    const good = await cosign(text, TIME, witness);
    for (const signature of bitFlips(good.signature)) {
      const fault = await faultIn(openCosignatures(await cosigned({ ...good, signature }), [witness.key]));
      expect(["bad-signature", "too-large"]).toContain(fault.code);
    }
  });

  test("one on another checkpoint is a bad signature", async () => {
    const elsewhere = formatCheckpoint({ origin: log.key.name, size: 1, root, extensions: [] });
    const fault = await faultIn(
      openCosignatures(await cosigned(await cosign(elsewhere, TIME, witness)), [witness.key]),
    );
    expect(fault.code).toBe("bad-signature");
  });

  test("one of another length is malformed, and one from beyond all time is too large", async () => {
    const good = await cosign(text, TIME, witness);
    for (const length of [1, 8, 64, 71, 73]) {
      const bad = { ...good, signature: new Uint8Array(length) };
      expect((await faultIn(openCosignatures(await cosigned(bad), [witness.key]))).code).toBe("malformed");
    }
    const late = { ...good, signature: good.signature.with(0, 1) };
    expect((await faultIn(openCosignatures(await cosigned(late), [witness.key]))).code).toBe("too-large");
  });

  test("a key that signs notes is not a witness's, whether it has signed or not", async () => {
    const absent = makeSigner("w4.example", ED25519, 5).key;
    expect((await faultIn(openCosignatures(await cosigned(), [absent]))).code).toBe("unsupported");
    expect((await faultIn(openCosignatures(await cosigned(), [log.key]))).code).toBe("unsupported");
  });
});

describe("ML-DSA-44", () => {
  test("its cosignatures are opened with the verifier that is passed in", async () => {
    const note = await cosigned(await cosign(text, TIME, mlDsaWitness), await cosign(text, TIME, witness));
    const keys = [witness.key, mlDsaWitness.key];
    const opened = await openCosignatures(parseNote(formatNote(note)), keys, makeVerifier(verifyMlDsa44));
    expect(opened.map(({ key, timestamp }) => [key.name, timestamp])).toEqual([
      ["w3.example", TIME],
      ["w1.example", TIME],
    ]);
  });

  test("one that is altered is a bad signature", async () => {
    const good = await cosign(text, TIME, mlDsaWitness);
    for (const at of [7, 8, 1000, 2427]) {
      const signature = good.signature.with(at, good.signature[at]! ^ 1);
      const note = await cosigned({ ...good, signature });
      const opening = openCosignatures(note, [mlDsaWitness.key], makeVerifier(verifyMlDsa44));
      expect((await faultIn(opening)).code).toBe("bad-signature");
    }
  });

  test("without a verifier they are unsupported, never taken on trust", async () => {
    const note = await cosigned(await cosign(text, TIME, mlDsaWitness));
    expect((await faultIn(openCosignatures(note, [mlDsaWitness.key]))).code).toBe("unsupported");
    expect(await openCosignatures(note, [witness.key])).toEqual([]);
  });

  test("a log may sign its own checkpoints with a cosigning key", async () => {
    const logKey = makeNoteKey(log.key.name, ML_DSA_44_COSIGNATURE, mlDsaPublicKey);
    const signature = await cosign(text, TIME, { ...mlDsaWitness, key: logKey });
    const note = formatNote({ text, signatures: [signature] });
    const opened = await openCheckpoint(note, [log.key, logKey], makeVerifier(verifyMlDsa44));
    expect(opened.signatures.map(({ key }) => key.type)).toEqual([ML_DSA_44_COSIGNATURE]);
  });
});
