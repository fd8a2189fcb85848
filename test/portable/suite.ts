// The portable suite: plain functions over src/tlog and src/receipt that run on any JavaScript runtime with
// WebCrypto. Every platform makes the same bytes and gives the same verdicts; the digest says so in one line.
import { sha256 } from "@noble/hashes/sha2.js";
import { encodeHex, encodeUtf8 } from "./bytes.ts";
import { CHECKS } from "./checks.ts";
import { expectSame, outcomeOf } from "./expect.ts";
import { type FixedLedger, makeLedger } from "./ledger.ts";
import { REJECTIONS } from "./rejections.ts";
import { checkVector, type Vector } from "./vectors.ts";

export interface Result {
  /** A sentence that says what holds. */
  readonly name: string;
  readonly ok: boolean;
  readonly error?: string;
}

export interface Report {
  /** The runtime, as it calls itself. */
  readonly platform: string;
  readonly results: readonly Result[];
  /** Everything that was made, by name: texts as they are, bytes in hexadecimal. */
  readonly artefacts: Readonly<Record<string, string>>;
  /** SHA-256 over all artefacts, in hexadecimal: the same on every platform. */
  readonly digest: string;
}

/** Runs every check, every rejection and the vectors that it is given. Never throws: a failure is a result. */
export async function runSuite(vectors: readonly Vector[]): Promise<Report> {
  const results: Result[] = [];
  const artefacts: Record<string, string> = {};
  const attempt = async (name: string, run: () => unknown): Promise<void> => {
    try {
      await run();
      results.push({ name, ok: true });
    } catch (error) {
      results.push({ name, ok: false, error: String(error) });
    }
  };
  await attempt("A ledger with a fixed clock and fixed keys is made.", async () => {
    await checkLedger(await makeLedger(), attempt, artefacts);
  });
  for (const vector of vectors) {
    const name = `${vector.description} (vectors/${vector.format}/${vector.file})`;
    await attempt(name, () => checkVector(vector));
  }
  const digest = encodeHex(sha256(encodeUtf8(JSON.stringify(artefacts))));
  return { platform: navigator.userAgent, results, artefacts, digest };
}

async function checkLedger(
  ledger: FixedLedger,
  attempt: (name: string, run: () => unknown) => Promise<void>,
  artefacts: Record<string, string>,
): Promise<void> {
  const keep = (name: string, artefact: string | Uint8Array): void => {
    artefacts[name] = typeof artefact === "string" ? artefact : encodeHex(artefact);
  };
  for (const [name, check] of Object.entries(CHECKS)) await attempt(name, () => check(ledger, keep));
  for (const [code, rejections] of Object.entries(REJECTIONS)) {
    for (const [what, run] of rejections) {
      await attempt(`Refused as ${code}: ${what}.`, async () => {
        expectSame(await outcomeOf(() => run(ledger)), code, "outcome");
      });
    }
  }
}
