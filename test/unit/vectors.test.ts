// Runs every vector under test/vectors against src/. The vectors are made by the reference implementations
// in test/reference, which share nothing with src/: two readings of the same specifications must agree.
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { FAULT_CODES } from "../../src/tlog/fault.ts";
import { readVectors } from "../portable/files.ts";
import { checkVector } from "../portable/vectors.ts";

const formats = Map.groupBy(readVectors(), ({ format }) => format);

describe.each([...formats])("vectors: %s", (_format, vectors) => {
  it.each(vectors)("$description ($file)", async vector => {
    if (vector.expect !== "ok") expect(FAULT_CODES).toHaveProperty(vector.expect);
    await checkVector(vector);
  });
});

describe("vectors", () => {
  it("The vectors are byte for byte those that the reference makes.", () => {
    const script = resolve(import.meta.dirname, "../../scripts/vectors.ts");
    expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
  });
});
