import { describe, expect, it } from "vitest";
import { type FieldRule, fitFields, pickHeaders, pickMembers } from "../../src/edge/fields.ts";

const at = (pointer: string): FieldRule => ({ from: "request", pointer, private: false });
const pick = (pointer: string, body: string | undefined, headers: Record<string, string> = {}) =>
  pickMembers(
    { x: at(pointer) },
    "request",
    new Headers(headers),
    body === undefined ? undefined : new TextEncoder().encode(body),
  ).x;

describe("an extra field", () => {
  it("of a header is there if the header is", () => {
    const rules = {
      tenant: { from: "request", header: "x-tenant", private: false },
      other: { from: "request", header: "x-other", private: false },
      back: { from: "response", header: "x-tenant", private: false },
    } as const;
    expect(pickHeaders(rules, "request", new Headers({ "X-Tenant": "a" }))).toEqual({ tenant: "a" });
  });

  const DOCUMENT = JSON.stringify({
    method: "tools/call",
    params: { name: "search", list: [1, { deep: true }], "a/b": 1, "m~n": 2, "": 3, none: null, object: {} },
  });

  it.each([
    ["/method", "tools/call"],
    ["/params/name", "search"],
    ["/params/list/0", 1],
    ["/params/list/1/deep", true],
    ["/params/a~1b", 1],
    ["/params/m~0n", 2],
    ["/params/", 3],
    ["/params/none", null],
    ["/params/object", undefined],
    ["/params/list", undefined],
    ["/params/list/00", undefined],
    ["/params/list/-", undefined],
    ["/params/list/length", undefined],
    ["/method/length", undefined],
    ["/constructor/name", undefined],
    ["/__proto__", undefined],
    ["/params/missing/more", undefined],
  ])("at %s of a body is %j", (pointer, value) => {
    expect(pick(pointer, DOCUMENT)).toBe(value);
  });

  it.each([
    ["a body that is not held whole", undefined, {}, "the body was not held whole"],
    ["a body that is too long", `{"a":"${"x".repeat(65_536)}"}`, {}, "the body is too long"],
    ["a body that is compressed", '{"a":1}', { "content-encoding": "gzip" }, "the body is encoded"],
    ["a body that is not JSON", "{a:1}", {}, "the body is not JSON"],
    ["JSON that begins with a byte order mark", '\ufeff{"a":1}', {}, "the body is not JSON"],
    ["a member that is there twice", '{"a":1,"b":{"a":3},"a":2}', {}, "a member is there twice"],
    ["a member that is there twice in other spelling", '{"a":1,"\\u0061":2}', {}, "a member is there twice"],
    ["a member that is twice anywhere", '{"a":1,"b":[{"c":1,"c":1}]}', {}, "a member is there twice"],
    ["a number that no two servers read alike", '{"a":12345678901234567890}', {}, "the number is too large"],
    ["a number without end", '{"a":1e999}', {}, "the number is too large"],
  ])("of %s says that it was not read", (_, body, headers, unread) => {
    expect(pick("/a", body, headers as Record<string, string>)).toEqual({ unread });
  });

  it("is read whatever the body says of its type, and where brackets and colons are in strings", () => {
    expect(pick("/a", '{"b":"}{:[\\"","a":":","c":{"b":1}}', { "content-type": "text/plain" })).toBe(":");
  });

  it("of no body is not there", () => {
    expect(pick("/a", "")).toBeUndefined();
  });

  it("that is too long is recorded as its length and hash", () => {
    const fitOne = (x: string | number, bytesMax = 512) => fitFields({ x }, bytesMax).x;
    for (const kept of ["x".repeat(128), "é".repeat(64), "\u0001".repeat(21), 5])
      expect(fitOne(kept)).toBe(kept);
    expect(fitOne("x".repeat(129))).toEqual({ length: 129, sha256: expect.stringMatching(/^[\w-]{43}$/) });
    expect(fitOne("é".repeat(65))).toMatchObject({ length: 130 });
    expect(fitOne("\u0001".repeat(22))).toMatchObject({ length: 22 });
    expect(fitOne("x".repeat(65), 64)).toMatchObject({ length: 65 });
  });

  it("is found in the deepest body that fits, without harm", () => {
    expect(pick("/a", `{"b":${"[".repeat(30_000)}${"]".repeat(30_000)},"a":1}`)).toBe(1);
  });
});
