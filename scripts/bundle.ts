// npm run bundle: the verifier for a browser, and how large it is. It must stay small enough that any page can
// carry it, so more than the limit is a failure. What verifies timestamps comes with an ASN.1 library as large as
// all the rest: a page loads it only when there is one, so it is counted beside, under a limit of its own.
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** The most that the verifier may weigh, minified and gzipped; and the most with what it loads when needed. */
export const GZIPPED_BYTES_MAX = 40_000;
export const GZIPPED_BYTES_MAX_IN_ALL = 45_000;

/** Everything that checks evidence, down to the policy about witnesses. */
const ENTRY_POINT = `
  export { openAnchor } from "./src/receipt/anchor.ts";
  export { openDisclosure, parseSeed } from "./src/receipt/disclosure.ts";
  export { parseReceipt } from "./src/receipt/receipt.ts";
  export { parseTrust } from "./src/receipt/trust.ts";
  export { verifyEvidence } from "./src/receipt/verify.ts";
  export { openCheckpoint } from "./src/tlog/checkpoint.ts";
  export { makeVerifier, openCosignatures } from "./src/tlog/cosignature.ts";
  export { FAULT_CODES, Fault } from "./src/tlog/fault.ts";
  export { meetsQuorum, parsePolicy } from "./src/tlog/policy.ts";
  export { parseProof } from "./src/tlog/proof.ts";
  export { checkConsistency, checkInclusion } from "./src/tlog/tree.ts";
`;

export interface Bundle {
  readonly bytes: number;
  /** Of what is always loaded. */
  readonly gzippedBytes: number;
  /** Of that together with what is loaded when there is a timestamp. */
  readonly gzippedBytesInAll: number;
  /** What each package, or the project itself, takes of `bytes`, largest first. */
  readonly parts: readonly (readonly [name: string, bytes: number])[];
}

export async function bundleVerifier(): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: ENTRY_POINT, resolveDir: resolve(import.meta.dirname, ".."), loader: "ts" },
    bundle: true,
    splitting: true,
    outdir: "bundle",
    write: false,
    minify: true,
    metafile: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "silent",
  });
  const parts = new Map<string, number>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? "counterfoil";
      parts.set(name, (parts.get(name) ?? 0) + bytesInOutput);
    }
  }
  const sizes = outputFiles.map(({ path, contents }) => ({
    bytes: contents.length,
    gzippedBytes: gzipSync(contents, { level: 9 }).length,
    isLater: basename(path).startsWith("timestamp"),
  }));
  const sum = (pick: (size: (typeof sizes)[number]) => number) =>
    sizes.reduce((total, size) => total + pick(size), 0);
  return {
    bytes: sum(({ bytes }) => bytes),
    gzippedBytes: sum(({ gzippedBytes, isLater }) => (isLater ? 0 : gzippedBytes)),
    gzippedBytesInAll: sum(({ gzippedBytes }) => gzippedBytes),
    parts: [...parts].sort(([, a], [, b]) => b - a),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { bytes, gzippedBytes, gzippedBytesInAll, parts } = await bundleVerifier();
  console.log(`The verifier for a browser: ${gzippedBytes} bytes gzipped, of at most ${GZIPPED_BYTES_MAX};`);
  console.log(`with what verifies timestamps, ${gzippedBytesInAll}, of at most ${GZIPPED_BYTES_MAX_IN_ALL}.`);
  console.log(`${bytes} bytes minified: ${parts.map(([name, size]) => `${name} ${size}`).join(", ")}`);
  const over = Math.max(gzippedBytes - GZIPPED_BYTES_MAX, gzippedBytesInAll - GZIPPED_BYTES_MAX_IN_ALL);
  if (over > 0) {
    console.error(`FAILED: ${over} bytes too many`);
    process.exitCode = 1;
  }
}
