// Every function of the package says what it throws, where its rules come from, and how it is used; and every example, in
// the comments and in the documents, is run, and prints what it says it prints.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import * as sdk from "../../../src/client/index.ts";
import type { Fetch } from "../../../src/client/sender.ts";
import * as verifier from "../../../src/receipt/index.ts";
import * as tlog from "../../../src/tlog/index.ts";
import { createWorld } from "../../world.ts";
import { openWeb } from "./web.ts";

/** The entry points, by the names that a program imports them by. */
const ENTRIES = {
  counterfoil: { file: "src/client/index.ts", exports: sdk as object },
  "counterfoil/verify": { file: "src/receipt/index.ts", exports: verifier as object },
  "counterfoil/tlog": { file: "src/tlog/index.ts", exports: tlog as object },
};

type Specifier = keyof typeof ENTRIES;

const read = (file: string) => readFileSync(file, "utf8");

/** The functions and classes of an entry point, each with the comment where it is defined. */
function documented(specifier: Specifier): { name: string; isClass: boolean; comment: string }[] {
  const { file, exports } = ENTRIES[specifier];
  return Object.entries(exports)
    .filter(([, value]) => typeof value === "function")
    .map(([name, value]) => ({
      name,
      isClass: /^class\b/.test(String(value)),
      comment: findComment(file, name) ?? "",
    }));
}

/** The comment before the definition of what a file exports, itself or from another. */
function findComment(file: string, name: string): string | undefined {
  const text = read(file);
  const definition = new RegExp(`^export (?:async )?(?:function\\*?|class) ${name}\\b`, "m").exec(text);
  if (definition !== null) {
    return /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/.exec(text.slice(0, definition.index))?.[0];
  }
  for (const [, names, from] of text.matchAll(/^export (?:\{([^}]*)\}|\*) from "([^"]+)"/gm)) {
    if (names !== undefined && !names.split(/[\s,]+/).includes(name)) continue;
    const found = findComment(join(dirname(file), from!), name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The examples in a comment. */
const examplesIn = (comment: string) =>
  [...comment.matchAll(/@example\n((?: \*(?: .*)?\n)+?) \*\//g)].map(([, block]) =>
    block!.replaceAll(/^ \* ?/gm, ""),
  );

/** The examples in a document. */
const shownIn = (file: string) => [...read(file).matchAll(/```js\n([\s\S]*?)```/g)].map(match => match[1]!);

const names = (specifier: Specifier) => documented(specifier).filter(({ isClass }) => !isClass);
const explained = [...names("counterfoil"), ...names("counterfoil/verify")];
const formats = names("counterfoil/tlog");

describe("the examples", () => {
  const all = [
    ...[...explained, ...formats].flatMap(({ comment }) => examplesIn(comment)),
    ...["docs/sdk.md", "README.md"].flatMap(shownIn),
  ];

  test.each([...new Set(all)])("run, and print what they say: %s", async code => {
    const world = await createWorld();
    const { fetch } = openWeb(world);
    await world.append({});
    await world.publish();
    await world.anchor();
    const lines: string[] = [];
    const print = { log: (...values: unknown[]) => lines.push(values.join(" ")) };
    const published: Fetch = async (input, init) => {
      if (String(input).includes("/proof")) await world.publish();
      return fetch(input, init);
    };
    const original = globalThis.fetch;
    globalThis.fetch = published;
    try {
      await run(code, published, print);
    } finally {
      globalThis.fetch = original;
    }
    const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(match => match[1]);
    expect(promised.length).toBeGreaterThan(0);
    expect(lines).toEqual(promised);
  });
});

const IMPORTS = /^import \{([^}]*)\} from "([^"]+)";\n/gm;

/** Runs a program: what it imports is given to it. */
async function run(code: string, fetch: Fetch, console: object): Promise<void> {
  const given: Record<string, unknown> = { fetch, console };
  for (const [, list, specifier] of code.matchAll(IMPORTS)) {
    const { exports } = ENTRIES[specifier as Specifier];
    for (const name of list!
      .split(",")
      .map(text => text.trim())
      .filter(text => text !== "")) {
      expect(exports, `${name} of ${specifier}`).toHaveProperty(name);
      given[name] = (exports as Record<string, unknown>)[name];
    }
  }
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  await new AsyncFunction(...Object.keys(given), code.replaceAll(IMPORTS, ""))(...Object.values(given));
}

describe("every function of the package", () => {
  test.each(explained)("$name says what it throws, whose rules it follows, and how it is used", entry => {
    const { name, comment } = entry;
    expect(comment).toMatch(/@throws \S/);
    expect(comment).toMatch(/@see .*(RFC \d|C2SP|fetch\.spec\.whatwg\.org|docs\/)/);
    expect(examplesIn(comment).filter(code => code.includes(`${name}(`))).toHaveLength(1);
  });

  test.each(formats)(
    "$name is used in an example: its own, or that of one that belongs to it",
    ({ name }) => {
      const bodies = formats
        .flatMap(({ comment }) => examplesIn(comment))
        .map(code => code.replaceAll(IMPORTS, ""));
      expect(bodies.filter(code => new RegExp(`\\b${name}\\b`).test(code))).not.toEqual([]);
    },
  );

  test.each(Object.keys(ENTRIES) as Specifier[])("of %s has a comment where it is defined", specifier => {
    const entries = documented(specifier);
    expect(entries.length).toBeGreaterThan(10);
    expect(entries.filter(({ comment }) => comment === "").map(({ name }) => name)).toEqual([]);
  });

  test("is in docs/sdk.md, and used in an example there", () => {
    const code = shownIn("docs/sdk.md").join("\n");
    const used = (name: string) => new RegExp(`\\b${name}\\b`).test(code);
    expect(documented("counterfoil").filter(({ name }) => !used(name))).toEqual([]);
    const page = read("docs/sdk.md");
    expect(documented("counterfoil/verify").filter(({ name }) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});
