// Every example of the SDK, in its comments and in the documents, is run, and prints what it says it prints.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as sdk from "../../../src/client/index.ts";
import type { Fetch } from "../../../src/client/sender.ts";
import { createWorld } from "../../world.ts";
import { openWeb } from "./web.ts";

describe("the examples", () => {
  const examples = ["src/client/sdk.ts", "src/client/fetch.ts", "src/client/monitor.ts"].flatMap(file =>
    [...readFileSync(file, "utf8").matchAll(/@example\n((?: \*(?: .*)?\n)+?) \*\//g)].map(([, block]) =>
      block!.replaceAll(/^ \* ?/gm, ""),
    ),
  );
  const documented = ["docs/sdk.md", "README.md"].flatMap(file =>
    [...readFileSync(file, "utf8").matchAll(/```js\n([\s\S]*?)```/g)].map(match => match[1]!),
  );

  test.each([...examples, ...documented])("run, and print what they say: %s", async code => {
    const world = await createWorld();
    const { fetch } = openWeb(world);
    await world.append({});
    await world.publish();
    const [names, body] = splitImport(code);
    const lines: string[] = [];
    const print = { log: (...values: unknown[]) => lines.push(values.join(" ")) };
    const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
    const published: Fetch = async (input, init) => {
      if (String(input).includes("/proof")) await world.publish();
      return fetch(input, init);
    };
    globalThis.fetch = published;
    try {
      await new AsyncFunction(`{ ${names} }`, "fetch", "console", body)(sdk, published, print);
    } finally {
      globalThis.fetch = original;
    }
    const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(match => match[1]);
    expect(promised.length).toBeGreaterThan(0);
    expect(lines).toEqual(promised);
  });

  const original = globalThis.fetch;

  test("are there for every function that is exported", () => {
    const functions = ["createTrust", "verifyReceipt", "verifyExchange", "fetchProof", "openDisclosure"];
    for (const name of [...functions, "withReceipts", "createMonitor"]) {
      expect(examples.filter(example => example.includes(`${name}(`)).length, name).toBeGreaterThan(0);
    }
  });
});

/** The names that an example imports, and the rest of it. */
function splitImport(code: string): [names: string, body: string] {
  const match = /^import \{([^}]*)\} from "counterfoil";\n/.exec(code);
  if (match === null) return ["", code];
  return [match[1]!, code.slice(match[0].length)];
}
