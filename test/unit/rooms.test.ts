// The structure of the source, held to: which room may import which, and where a platform may be named.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const HASH = "@noble/hashes";

/** What each room may import besides itself. Nothing imports `hosts` or `durable/objects.ts`. */
const MAY_IMPORT: Record<string, string[]> = {
  "src/tlog": [HASH],
  "src/receipt": ["src/tlog", HASH, "asn1js", "jose", "uuid", "valibot"],
  "src/edge": [
    "src/receipt",
    "src/tlog",
    HASH,
    "itty-router",
    "jose",
    "http-message-sig",
    "structured-headers",
    "valibot",
  ],
  "src/client": ["src/receipt", "src/tlog", HASH, "commander", "valibot"],
  durable: ["src/receipt", "src/tlog", HASH, "aws4fetch", "@rgrove/parse-xml", "valibot"],
};

const PLATFORM = /^(node|cloudflare|bun|deno):|^(bun|miniflare|wrangler)$/;
const PLATFORM_GLOBAL = /\b(process|Deno|Bun|Buffer|require|__dirname|scheduler|caches)\b\s*[.(]/;

/** Clock and randomness are passed in. */
const SOURCE =
  /\bDate\.now\b|\bnew Date\(\)|\b(getRandomValues|randomUUID)\b|\b(Math\.random|performance\.now)\b/;

const files = ["src", "durable"].flatMap(folder =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter(name => /\.(ts|mjs|js)$/.test(name))
    .map(name => join(folder, name)),
);
const pure = files.filter(file => roomOf(file) !== "src/hosts" && file !== "durable/objects.ts");

function roomOf(file: string): string {
  return file.startsWith("durable/") ? "durable" : file.split("/").slice(0, 2).join("/");
}

function importsOf(file: string): string[] {
  // An example in a comment imports nothing.
  const code = readFileSync(file, "utf8").replaceAll(/^ *\*.*$/gm, "");
  const found = code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g);
  return [...found].map(match =>
    match[1]!.startsWith(".") ? normalize(join(dirname(file), match[1]!)) : match[1]!,
  );
}

describe("the rooms of the source", () => {
  it("are all known to this test", () => {
    expect(pure.length).toBeGreaterThan(20);
    for (const file of pure) expect(Object.keys(MAY_IMPORT), file).toContain(roomOf(file));
  });

  it.each(pure)("%s imports only what its room may import", file => {
    const allowed = [roomOf(file), ...MAY_IMPORT[roomOf(file)]!];
    const outside = importsOf(file).filter(
      name =>
        name === "durable/objects.ts" || !allowed.some(room => name === room || name.startsWith(`${room}/`)),
    );
    expect(outside).toEqual([]);
  });

  it.each(pure)("%s names no platform", file => {
    expect(importsOf(file).filter(name => PLATFORM.test(name))).toEqual([]);
    const code = readFileSync(file, "utf8").replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
    expect(PLATFORM_GLOBAL.exec(code)?.[0]).toBeUndefined();
  });

  // What a program calls in place of its platform's fetch stands on the platform as that does.
  const sourceless = pure.filter(file => file !== "src/client/fetch.ts");

  it.each(sourceless)("%s makes up no time and no randomness", file => {
    expect(SOURCE.exec(readFileSync(file, "utf8"))?.[0]).toBeUndefined();
  });

  it("notices a file that breaks them", () => {
    expect(SOURCE.test("const began = Date.now();")).toBe(true);
    expect(PLATFORM.test("node:fs")).toBe(true);
    expect(PLATFORM_GLOBAL.test("process.exit()")).toBe(true);
    expect(importsOf("durable/objects.ts")).toContain("cloudflare:workers");
    expect(importsOf("src/edge/read.ts")).toContain("src/receipt/trust.ts");
  });
});
