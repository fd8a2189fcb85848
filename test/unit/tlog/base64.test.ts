import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "../../../src/tlog/base64.ts";
import { faultOf, seeded } from "./samples.ts";

const codecs = [
  ["base64", encodeBase64, decodeBase64],
  ["base64url", encodeBase64url, decodeBase64url],
] as const;

describe.each(codecs)("%s", (name, encode, decode) => {
  test("any bytes are encoded as Node does, and read back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        expect(encode(bytes)).toBe(Buffer.from(bytes).toString(name));
        expect(decode(encode(bytes))).toEqual(bytes);
      }),
      seeded,
    );
  });

  test("a long array is encoded whole", () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i);
    expect(encode(bytes)).toBe(Buffer.from(bytes).toString(name));
  });

  test("every text that is read is the one that its bytes are encoded as", () => {
    const alphabet = fc.string({ unit: fc.constantFrom(..."ABab01+/-_= \n"), maxLength: 9 });
    fc.assert(
      fc.property(alphabet, text => {
        let bytes: Uint8Array;
        try {
          bytes = decode(text);
        } catch (error) {
          expect(error).toMatchObject({ name: "Fault", code: "malformed" });
          return;
        }
        expect(encode(bytes)).toBe(text);
      }),
      { ...seeded, numRuns: 2000 },
    );
  });

  test.each([
    "A",
    "AA=",
    "AB==",
    "AAB=",
    "AA==\n",
    " AA==",
    "AA= =",
    "AAAA=",
    "====",
    "é",
    "\u{1f600}",
    "AAA\0",
  ])("%j is malformed, and the Fault names what was read", text => {
    const fault = faultOf(() => decode(text, "the thing"));
    expect(fault.code).toBe("malformed");
    expect(fault.message).toContain("the thing");
  });
});

test("each alphabet is refused by the other", () => {
  expect(decodeBase64("+/+/")).toEqual(decodeBase64url("-_-_"));
  expect(faultOf(() => decodeBase64("-_-_")).code).toBe("malformed");
  expect(faultOf(() => decodeBase64url("+/+/")).code).toBe("malformed");
  expect(faultOf(() => decodeBase64("AA")).code).toBe("malformed");
  expect(faultOf(() => decodeBase64url("AA==")).code).toBe("malformed");
});
