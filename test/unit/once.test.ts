// A signed request that is good only once reaches its upstream once, however often and wherever it is sent: the ledger
// decides, and while it cannot, nobody gets through.
import { createHash } from "node:crypto";
import { appendSignature, createSignature } from "http-message-sig";
import { expect, it } from "vitest";
import { parseEntry } from "../../src/receipt/entry.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { Fault } from "../../src/tlog/fault.ts";
import { createWorld, fixedKey, ISSUER, START_MS } from "../world.ts";
import { openEdge } from "./client/edge.ts";

const client = await fixedKey("client");

/** The head of a signed GET. */
async function sign(nonce: string): Promise<[string, string][]> {
  const request = new Request(`${ISSUER}/pay`);
  const fields = await createSignature(request, {
    components: ["@method", "@target-uri"],
    parameters: { created: START_MS / 1000, keyid: "client", nonce },
    signer: { algorithm: "ed25519", sign: data => client.sign(data) },
  });
  return [...appendSignature(request.headers, fields)];
}

function readRecord(entry: string): AuditRecord {
  return parseEntry(entry).record;
}

async function open() {
  const world = await createWorld();
  const { kty, crv, x } = client.publicJwk;
  const jwk = { alg: "Ed25519", kty, crv, x };
  let reached = 0;
  const edge = openEdge(
    world,
    () => {
      reached++;
      return new Response("paid", { headers: { "content-length": "4" } });
    },
    undefined,
    {
      on_ledger_failure: "open",
      identity: {
        require: true,
        methods: [{ by: "http-signature", keys: [{ keyid: "client", jwk }], once: true }],
      },
    },
  );
  const send = async (headers: [string, string][]) => {
    const answer = await edge.send({ method: "GET", url: `${ISSUER}/pay`, headers });
    const receipt = answer.headers.get("audit-receipt");
    return { ...answer, record: receipt === null ? undefined : parseReceipt(receipt).entry.record };
  };
  return { world, edge, send, reached: () => reached };
}

it("reaches its upstream once, and is on record each time", async () => {
  const { world, edge, send, reached } = await open();
  const [first, other] = [await sign("one"), await sign("two")];
  const answers = await Promise.all([send(first), send(first), send(first)]);
  answers.push(await send(first));
  expect(reached()).toBe(1);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
  for (const { status, record } of answers) {
    expect(record!.stage).toBe(status === 200 ? "complete" : "rejected");
  }
  expect((await send(other)).status).toBe(200);
  await edge.settle();
  const { store } = world.ledger;
  const used = store.entries(0, store.head().frontier.size).flatMap(({ text }) => {
    const { control } = readRecord(text);
    return control?.type === "signature-used" ? [control] : [];
  });
  const paid = answers.find(({ status }) => status === 200)!;
  expect(used).toHaveLength(2);
  const exchange = createHash("sha256").update(paid.record!.jti).digest("base64url");
  expect(used[0]).toEqual({ type: "signature-used", exchange_sha256: exchange });
});

it("tells whoever has it only that it was used, and nothing by which to get the receipt of its exchange", async () => {
  const { world, edge, send } = await open();
  const request = await sign("one");
  const { record } = await send(request);
  await edge.settle();
  // Whoever has the signed request can compute this id (docs/format.md).
  const { store } = world.ledger;
  const stored = store.entries(0, store.head().frontier.size).map(({ text }) => text);
  const claim = stored.map(readRecord).find(({ control }) => control?.type === "signature-used")!;
  const { status, body } = await edge.send({
    ...{ method: "GET", headers: [] },
    url: `${ISSUER}/.well-known/audit/receipts/${claim.jti}`,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  expect(status).toBe(200);
  const told = parseReceipt(Buffer.concat(chunks).toString()).entry.record;
  expect(told).toEqual(claim);
  expect(JSON.stringify(told)).not.toContain(record!.jti);
});

it("reaches nobody while the ledger cannot tell, on a route that lets others through", async () => {
  const { world, edge, send, reached } = await open();
  await world.append({});
  world.ledger.halt(new Fault("forked", "somebody has put another storage in its place"));
  const answer = await send(await sign("one"));
  expect([answer.status, reached()]).toEqual([503, 0]);
  await edge.settle();
});
