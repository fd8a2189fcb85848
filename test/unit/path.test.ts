import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  coversPath,
  isPathPattern,
  isReserved,
  matchPath,
  normalizePath,
  readPath,
} from "../../src/edge/path.ts";

describe("a path", () => {
  it.each([
    ["/v1/%61dmin", "/v1/admin"],
    ["/v1/%7Eme", "/v1/~me"],
    ["/a%2fb", "/a%2Fb"],
    ["/%c3%a9", "/%C3%A9"],
    ["/a%zz%2", "/a%zz%2"],
    ["/a+b%2B", "/a+b%2B"],
  ])("%s has the normal form %s", (path, normal) => {
    expect(normalizePath(path)).toBe(normal);
  });

  it("that is plain has one reading", () => {
    for (const path of ["/", "/v1/orders/7", "/v1/orders/", "/a:b/c@d", "/v1/%61"]) {
      expect(readPath(path)).toEqual([normalizePath(path)]);
    }
  });

  it.each([
    ["/public/..%2fadmin", "/admin"],
    ["/public/%252e%252e%252fadmin", "/admin"],
    ["/public/..;x/admin", "/admin"],
    ["/public;x/y", "/public/y"],
    ["/public//y", "/public/y"],
    ["/public/%2f..%2fadmin", "/admin"],
    ["/public/%5c..%5cadmin", "/admin"],
    ["/admin%00.png", "/admin"],
    ["/admin%3fx", "/admin"],
    ["/admin%23x", "/admin"],
    ["/%c0%ae%c0%ae/%c1%a1dmin", "/admin"],
    ["/x/%e0%80%ae%e0%80%ae%e0%80%afadmin", "/admin"],
    ["/x/%f0%80%80%ae%f0%80%80%ae%f0%80%80%afadmin", "/admin"],
    ["/x%u002f..%u002fadmin", "/admin"],
    ["/x/%EF%BC%8E%EF%BC%8E%EF%BC%8Fadmin", "/admin"],
    ["/ad%0amin", "/admin"],
  ])("%s may be read as %s", (path, reading) => {
    expect(readPath(path)).toContain(reading);
  });

  it("that is encoded over and over has no reading at all", () => {
    expect(readPath(`/%${"25".repeat(12)}61`)).toBeUndefined();
  });

  it("of which there would be readings without measure has no reading at all, and is not worked out", () => {
    const path = `/${"%25EF%25B7%25BA;//".repeat(850)}%252525252541`;
    expect(readPath(path)).toBeUndefined();
    expect(isReserved(path, "/.well-known/audit/")).toBe(true);
  });

  it("as long as there can be has its readings where these are few", () => {
    for (const piece of ["a;b/", "%20/", "a//", "%C3%A9/", "漢/"]) {
      const { pathname } = new URL(`http://x/${piece.repeat(16_000)}`);
      expect(readPath(pathname.slice(0, pathname.lastIndexOf("/", 16_000)))).not.toBeUndefined();
    }
  });

  it("always has its normal form as its first reading, and never throws", () => {
    const piece = fc.constantFrom(
      "/",
      ".",
      "..",
      "%2e",
      "%2F",
      "%25",
      "%c0%ae",
      "%5C",
      ";a",
      "a",
      "//",
      "%00",
      "%u",
      "?",
      "%ff",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
        const { pathname } = new URL(`http://h/${pieces.join("")}`);
        expect(readPath(pathname)?.[0] ?? normalizePath(pathname)).toBe(normalizePath(pathname));
      }),
    );
  });
});

describe("the reserved prefix", () => {
  const PREFIX = "/.well-known/audit/";

  it.each([
    "/.well-known/audit",
    "/.well-known/audit/",
    "/.WELL-KNOWN/Audit/trust",
    "/%2ewell-known/audit/trust",
    "/%252ewell-known/audit/trust",
    "/%2525252ewell-known/audit/trust",
    "/.well-known%2faudit/trust",
    "/.well-known%5caudit%5ctrust",
    "//.well-known//audit/trust",
    "/x/..%2f.well-known/audit/trust",
    "/x//..%2f..%2f.well-known/audit/trust",
    "/x/..;/.well-known/audit/trust",
    "/.well-known;a=b/audit;c/trust",
    "/%2e/.well-known/%2e/audit/trust",
    "/.well-known/audit%00/trust",
    "/.well-known/audit%3ftrust",
    "/.well-known/aud%0ait/trust",
    "/.well-known/aud%09it/trust",
    "/.well-known./audit/trust",
    "/.well-known%20/audit%20/trust",
    "/%c0%aewell-known/audit/trust",
    "/%e0%80%aewell-known%c0%afaudit/trust",
    "/%u002ewell-known/audit/trust",
    "/%EF%BC%8Ewell-known/audit/trust",
    "/.well-known%EF%BC%8Faudit/trust",
    "/%EF%BC%8E%EF%BD%97ell-known/audit/trust",
    "/.well-%E2%84%AAnown/audit/trust",
    "/.well-known/aud%C4%B1t/trust",
    "/%25EF%25BC%258Ewell-known/audit/trust",
    "/.well-known/audit/../audit/trust".replace("..", "%252e%252e"),
    `/%${"25".repeat(30)}2ewell-known/audit/trust`,
  ])("is recognised in %s", path => {
    expect(isReserved(new URL(`http://h${path}`).pathname, PREFIX)).toBe(true);
  });

  it.each([
    "/",
    "/.well-known/",
    "/.well-known/auditor/x",
    "/.well-known/openid-configuration",
    "/v1/.well-known/audit/x",
    "/well-known/audit/",
    "/x/y%2fz",
    "/%F0%9F%98%80",
  ])("is not seen in %s", path => {
    expect(isReserved(path, PREFIX)).toBe(false);
  });

  it("is looked for in a path full of dots in less than the square of its length", async () => {
    // As long as a URL may be, and with many readings: it would take longer than any test may.
    const path = `/a//b;c%5C%252525${".".repeat(16_000)}x`;
    expect(isReserved(path, PREFIX)).toBe(false);
    expect(isReserved(`/.well-known${".".repeat(16_000)}/audit/x`, PREFIX)).toBe(true);
    // The time limit of a test is noticed only when something waits.
    await new Promise(resolve => setTimeout(resolve));
  }, 10_000);
});

describe("a path pattern", () => {
  it.each([
    ["/v1", "/v1", true],
    ["/v1", "/v1/", false],
    ["/v1/*", "/v1/", true],
    ["/v1/*", "/v1/a/b", true],
    ["/v1/*", "/v1", false],
    ["/v1/ord*", "/v1/orders/7", true],
    ["/v1/ord*", "/v1/ore", false],
    ["/*", "/", true],
    ["/v1/:id", "/v1/7", true],
    ["/v1/:id", "/v1/", false],
    ["/v1/:id", "/v1/7/x", false],
    ["/v1/:id/items", "/v1/7/items", true],
    ["/v1/:id/items", "/v1/items", false],
    ["/v1/:id/*", "/v1/7/", true],
    ["/v1/:id/*", "/v1/7", false],
    ["/v1.0", "/v1x0", false],
  ])("%s and the path %s: %s", (pattern, path, taken) => {
    expect(isPathPattern(pattern)).toBe(true);
    expect(matchPath(pattern, path)).toBe(taken);
  });

  it.each([
    "v1",
    "",
    "/a*b",
    "/**",
    "/*/a",
    "/:",
    "/:A",
    "/:a*",
    "/:a/:a",
    "/a//b",
    "/a/../b",
    "/a/%2e/b",
    "/%61",
    "/%2f%zz?",
    "/a?b",
    "/a#b",
    "/a;b",
    "/a\\b",
    "/é",
    "/a b",
  ])("may not be %j", text => {
    expect(isPathPattern(text)).toBe(false);
  });

  it.each([
    ["/*", "/v1/:id", true],
    ["/v1/*", "/v1/ord*", true],
    ["/v1/ord*", "/v1/*", false],
    ["/v1/:id", "/v1/me", true],
    ["/v1/me", "/v1/:id", false],
    ["/v1/:id", "/v1/*", false],
    ["/v1/:id", "/v1/a*", false],
    ["/v1/:id/*", "/v1/:other/x", true],
    ["/v1/:id/*", "/*", false],
    ["/v1/a*", "/v1/:id", false],
    ["/v1", "/v1", true],
  ])("%s stands for all that %s does: %s", (pattern, other, covers) => {
    expect(coversPath(pattern, other)).toBe(covers);
  });

  it("that covers another takes every path that the other takes", () => {
    const segment = fc.constantFrom("a", "ab", ":x", ":y");
    const end = fc.constantFrom("", "/", "/*", "/a*");
    const pattern = fc
      .tuple(fc.array(segment, { minLength: 0, maxLength: 3 }), end)
      .map(([segments, last]) => `${segments.map(s => `/${s}`).join("")}${last}` || "/")
      .filter(isPathPattern);
    const path = fc
      .array(fc.constantFrom("a", "ab", "abc", "b", ""), { minLength: 1, maxLength: 5 })
      .map(segments => `/${segments.join("/")}`);
    fc.assert(
      fc.property(pattern, pattern, path, (one, other, asked) => {
        fc.pre(coversPath(one, other) && matchPath(other, asked));
        expect(matchPath(one, asked)).toBe(true);
      }),
      { numRuns: 300, maxSkipsPerRun: 1000 },
    );
  });
});
