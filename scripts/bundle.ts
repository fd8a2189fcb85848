// npm run bundle: the verifier for a browser, and how large it is. It must stay small enough that any page can
// carry it, so more than the limit is a failure. About half of it verifies timestamps, with an ASN.1 library; a bundler
// that splits loads that only when there is a timestamp.
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** The most that the verifier may weigh, with all that it ever loads, minified and gzipped. */
export const GZIPPED_BYTES_MAX = 40_000;

export interface Bundle {
  readonly bytes: number;
  readonly gzippedBytes: number;
  /** What each package, or the project itself, takes of `bytes`, largest first. */
  readonly parts: readonly (readonly [name: string, bytes: number])[];
}

export async function bundleVerifier(): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: [resolve(import.meta.dirname, "../src/receipt/index.ts")],
    bundle: true,
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
  const { contents } = outputFiles[0]!;
  return {
    bytes: contents.length,
    gzippedBytes: gzipSync(contents, { level: 9 }).length,
    parts: [...parts].sort(([, a], [, b]) => b - a),
  };
}

if (import.meta.main) {
  const { bytes, gzippedBytes, parts } = await bundleVerifier();
  console.log(`The verifier for a browser: ${gzippedBytes} bytes gzipped, of at most ${GZIPPED_BYTES_MAX};`);
  console.log(`${bytes} bytes minified: ${parts.map(([name, size]) => `${name} ${size}`).join(", ")}`);
  const over = gzippedBytes - GZIPPED_BYTES_MAX;
  if (over > 0) {
    console.error(`FAILED: ${over} bytes too many`);
    process.exitCode = 1;
  }
}
