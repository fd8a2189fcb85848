import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBundle, encodeBundle } from "../../../src/tlog/bundle.ts";
import { equalBytes } from "../../../src/tlog/tree.ts";
import { faultOf, seeded, utf8 } from "./samples.ts";

describe("entry bundles", () => {
  test("each entry stands after its length as a big-endian u16", () => {
    expect(encodeBundle([utf8("ab"), new Uint8Array(0), utf8("c")])).toEqual(
      Uint8Array.of(0, 2, 97, 98, 0, 0, 0, 1, 99),
    );
    const long = encodeBundle([new Uint8Array(0x1234)]);
    expect([long[0], long[1], long.length]).toEqual([0x12, 0x34, 0x1236]);
  });

  test("any 1 to 256 entries are read back", () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 70 }), { minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(entries, list => {
        expect(decodeBundle(encodeBundle(list), list.length)).toEqual(list);
      }),
      seeded,
    );
  });

  test("a bundle inside a larger buffer is read where it lies", () => {
    const bytes = encodeBundle([utf8("one"), utf8("two")]);
    const buffer = new Uint8Array(bytes.length + 7);
    buffer.set(bytes, 5);
    expect(decodeBundle(buffer.subarray(5, 5 + bytes.length), 2)).toEqual([utf8("one"), utf8("two")]);
  });

  test("the longest entry fits, and one byte more does not", () => {
    const longest = new Uint8Array(65535).fill(7);
    const [entry] = decodeBundle(encodeBundle([longest]), 1);
    expect(equalBytes(entry!, longest)).toBe(true);
    expect(faultOf(() => encodeBundle([new Uint8Array(65536)])).code).toBe("too-large");
  });

  test("a bundle has 1 to 256 entries", () => {
    const one = new Uint8Array(1);
    expect(faultOf(() => encodeBundle([])).code).toBe("malformed");
    expect(faultOf(() => encodeBundle(Array(257).fill(one))).code).toBe("malformed");
    for (const width of [0, -1, 257, 0.5, Number.NaN]) {
      expect(faultOf(() => decodeBundle(encodeBundle([one]), width)).code).toBe("malformed");
    }
  });

  test("a bundle with fewer or more entries, or cut off anywhere, is malformed", () => {
    const bytes = encodeBundle([utf8("one"), utf8("second"), new Uint8Array(0)]);
    expect(faultOf(() => decodeBundle(bytes, 2)).code).toBe("malformed");
    expect(faultOf(() => decodeBundle(bytes, 4)).code).toBe("malformed");
    for (let length = 0; length < bytes.length; length++) {
      expect(faultOf(() => decodeBundle(bytes.subarray(0, length), 3)).code).toBe("malformed");
    }
    expect(faultOf(() => decodeBundle(Uint8Array.of(...bytes, 0), 3)).code).toBe("malformed");
  });
});
