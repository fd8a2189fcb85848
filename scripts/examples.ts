// The worked examples of docs/format.md, made by the code itself from fixed keys and a fixed clock.
//   node scripts/examples.ts           writes them into the document
//   node scripts/examples.ts --check   fails when the document shows other bytes
import { readFileSync, writeFileSync } from "node:fs";
import { digestOf } from "../src/receipt/digest.ts";
import { commitFields, digestDisclosure, disclose } from "../src/receipt/disclosure.ts";
import { parseEntry } from "../src/receipt/entry.ts";
import { issuePromise, parsePromise } from "../src/receipt/promise.ts";
import { encodeBase64url } from "../src/tlog/base64.ts";
import { createWorld, ISSUER, LEDGER, ORIGIN } from "../test/world.ts";

const DOCUMENT = new URL("../docs/format.md", import.meta.url);
const SEED = new Uint8Array(16).map((_, i) => i);

/** Every example by its name in the document. */
export async function makeExamples(): Promise<Record<string, string>> {
  const record = JSON.stringify({
    iss: ISSUER,
    jti: "01a1fc8e-3c69-7abc-8def-0123456789ab",
    iat: 1795238542,
    time: "2026-11-21T05:22:22.441Z",
    stage: "complete",
    ms: 12,
    route: "orders",
    upstream: "orders.internal",
    policy: "1f3870be",
    req: {
      method: "GET",
      host: "api.example.com",
      path: "/v1/orders/7",
      size: 0,
      digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    },
    res: { status: 200, size: 12, digest: digestOf(new TextEncoder().encode('{"order":7}\n')) },
    ...commitFields(SEED, {
      sub: null,
      client_address: "203.0.113.7",
      user_agent: "curl/8.5.0",
      query: "page=2",
    }),
  });
  const world = await createWorld();
  const [receipt] = await world.append(record);
  await world.append({});
  await world.publish();
  await world.anchor();
  const entry = receipt!.slice(0, receipt!.lastIndexOf("."));
  const { header, leaf } = parseEntry(entry);
  const promise = await issuePromise(record, ORIGIN, 3600, world.receiptKey);
  const query = disclose(SEED, "query", "page=2");
  const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
  return {
    header: JSON.stringify(header),
    record,
    entry,
    leaf: Buffer.from(leaf).toString("hex"),
    receipt: receipt!,
    "promise-header": JSON.stringify(parsePromise(promise).header),
    promise,
    seed: encodeBase64url(SEED),
    disclosure: query,
    "disclosure-json": Buffer.from(query, "base64url").toString(),
    digest: digestDisclosure(query),
    checkpoint: text(world.archive.objects.get(`${LEDGER}/checkpoint`)).trimEnd(),
    anchor: text(world.anchors.objects.get("anchors/0000000000.jws")),
    "anchor-payload": JSON.stringify(
      JSON.parse(
        Buffer.from(
          text(world.anchors.objects.get("anchors/0000000000.jws")).split(".")[1]!,
          "base64url",
        ).toString(),
      ),
      null,
      2,
    ),
    origin: ORIGIN,
  };
}

/** The document with each block after an `example: NAME` comment replaced by what it should show. */
export function fillExamples(document: string, examples: Record<string, string>): string {
  return document.replace(
    /(<!-- example: ([a-z-]+) -->\n```[a-z]*\n)(?:(?!```).*\n)*(```\n)/g,
    (_, before: string, name: string, after: string) => {
      if (examples[name] === undefined) throw new Error(`docs/format.md: there is no example "${name}"`);
      return `${before}${examples[name]}\n${after}`;
    },
  );
}

if (import.meta.main) {
  const document = readFileSync(DOCUMENT, "utf8");
  const filled = fillExamples(document, await makeExamples());
  if (process.argv[2] !== "--check") writeFileSync(DOCUMENT, filled);
  else if (filled !== document) {
    console.error("docs/format.md shows other bytes than the code makes; run: npm run examples");
    process.exitCode = 1;
  }
}
