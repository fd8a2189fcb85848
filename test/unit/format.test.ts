import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { fillExamples, makeExamples } from "../../scripts/examples.ts";

const document = readFileSync("docs/format.md", "utf8");

it("docs/format.md shows the bytes that the code makes", async () => {
  const examples = await makeExamples();
  expect(document.match(/<!-- example: /g)!.length).toBeGreaterThan(8);
  expect(fillExamples(document, examples)).toBe(document);
});

it("a wrong byte in an example of docs/format.md would be noticed", async () => {
  const examples = await makeExamples();
  const altered = document.replace(
    examples.leaf!,
    examples.leaf!.replace(/^./, c => (c === "0" ? "1" : "0")),
  );
  expect(altered).not.toBe(document);
  expect(fillExamples(altered, examples)).toBe(document);
});

it("docs/format.md names a shell line that gives the leaf hash", async () => {
  const { execFileSync } = await import("node:child_process");
  const { receipt, leaf } = await makeExamples();
  const line = /printf '.*sha256sum/.exec(document)![0];
  const output = execFileSync("bash", ["-c", line], { env: { ...process.env, receipt }, encoding: "utf8" });
  expect(output.split(" ")[0]).toBe(leaf);
});
