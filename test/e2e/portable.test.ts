// The portable suite on every runtime of this machine, as `npm run portable` runs it: all pass, with the same
// bytes. Node, Deno, Bun and workerd come with the project; Chromium runs where it is installed.
import { describe, expect, it } from "vitest";
import { bundleVerifier, GZIPPED_BYTES_MAX } from "../../scripts/bundle.ts";
import { readVectors } from "../portable/files.ts";
import { compareArtefacts, RUNTIMES, type Runtime } from "../portable/runtimes.ts";
import { type Report, runSuite } from "../portable/suite.ts";

const vectors = readVectors();
const whyNoChromium = RUNTIMES.find(({ name }) => name === "chromium")!.missing();
const runtimes = RUNTIMES.filter(({ name }) => name !== "chromium" || whyNoChromium === undefined);
const names = runtimes.map(({ name }) => name).join(", ");

const reports = new Map<Runtime, Promise<Report>>();

/** What a runtime reports; it is run once, whatever number of tests ask. */
function reportOf(runtime: Runtime): Promise<Report> {
  const report = reports.get(runtime) ?? runtime.run(vectors);
  reports.set(runtime, report);
  return report;
}

describe(`the portable suite, ${whyNoChromium === undefined ? "Chromium included" : `without Chromium: ${whyNoChromium}`}`, () => {
  it.each(runtimes)("passes on $name", async runtime => {
    const { platform, results } = await reportOf(runtime);
    expect(platform).toMatch(runtime.platform);
    expect(results.length).toBeGreaterThan(vectors.length + 50);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  });

  it(`makes the same bytes on ${names}`, async () => {
    const [first, ...others] = await Promise.all(runtimes.map(reportOf));
    expect(Object.keys(first!.artefacts).length).toBeGreaterThan(500);
    for (const report of others) {
      expect(compareArtefacts(first!, report)).toEqual([]);
      expect(report.digest).toBe(first!.digest);
    }
  });

  it("names an artefact that differs", async () => {
    const report = await reportOf(runtimes[0]!);
    const other = {
      ...report,
      platform: "Other",
      artefacts: { ...report.artefacts, "receipt 7": "altered" },
    };
    expect(compareArtefacts(report, other)).toEqual([
      expect.stringMatching(/^receipt 7: .* altered on Other$/),
    ]);
  });

  it("fails for a vector that src/ does not agree with", async () => {
    const [vector] = vectors.filter(({ expect }) => expect === "bad-signature");
    const { results } = await runSuite([{ ...vector!, expect: "ok" }]);
    expect(results.filter(({ ok }) => !ok)).toEqual([
      expect.objectContaining({ error: expect.stringContaining('expected "ok", found "bad-signature"') }),
    ]);
  });
});

describe("the verifier for a browser", () => {
  it(`is at most ${GZIPPED_BYTES_MAX} bytes, minified and gzipped`, async () => {
    const { bytes, gzippedBytes } = await bundleVerifier();
    expect(gzippedBytes).toBeLessThanOrEqual(GZIPPED_BYTES_MAX);
    expect(bytes).toBeGreaterThan(gzippedBytes);
  });
});
