import { compactVerify, createLocalJWKSet } from "jose";
import { describe, expect, it } from "vitest";
import { digestOf } from "../../src/receipt/digest.ts";
import { commitFields, disclose, openDisclosure } from "../../src/receipt/disclosure.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { type Evidence, verifyEvidence } from "../../src/receipt/verify.ts";
import { encodeBase64url } from "../../src/tlog/base64.ts";
import { formatProof, parseProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { planConsistency, planInclusion } from "../../src/tlog/tree.ts";
import { createWorld, fixedKey, LEDGER, type World } from "../world.ts";

const SEED = new Uint8Array(16).fill(7);
const utf8 = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

/** One exchange on record, with everything that is known about it. */
async function recorded(world: World) {
  const seen = {
    method: "POST",
    url: "https://api.example.com/orders?page=2",
    requestBody: utf8('{"item":"tea"}'),
    status: 201,
    responseBody: utf8('{"id":1}'),
  };
  const [receipt] = await world.append({
    req: {
      method: "POST",
      host: "api.example.com",
      path: "/orders",
      size: 14,
      digest: digestOf(seen.requestBody),
    },
    res: { status: 201, size: 8, digest: digestOf(seen.responseBody) },
    ...commitFields(SEED, { sub: null, client_address: "203.0.113.7", user_agent: "curl", query: "page=2" }),
  });
  return { receipt: receipt!, seen };
}

async function proofOf(world: World, receipt: string): Promise<string> {
  const size = world.ledger.store.published();
  const { index } = parseReceipt(receipt).entry.header;
  const plan = planInclusion(index, size);
  const get = async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
  const checkpoint = text(await get("checkpoint"));
  return formatProof({
    extra: utf8(receipt),
    index,
    hashes: plan.prove(await readTiles(get, plan.tiles)),
    checkpoint,
  });
}

function code(evidence: Evidence, world: World, trust = world.trust): Promise<string> {
  return verifyEvidence(evidence, trust).then(
    verdict => verdict.rungs.join(" "),
    error => error.code,
  );
}

describe("a verdict", () => {
  it("names the rungs that the evidence reaches, from signed to anchored", async () => {
    const world = await createWorld();
    const { receipt, seen } = await recorded(world);
    await world.append({}, {});
    await world.publish();
    await world.anchor();
    const proof = await proofOf(world, receipt);
    const anchor = text(world.anchors.objects.get("anchors/0000000000.jws"));
    expect(await code({ receipt }, world)).toBe("signed");
    expect(await code({ receipt, exchange: seen }, world)).toBe("signed matched");
    expect(await code({ proof }, world)).toBe("signed included");
    expect(await code({ proof, anchor, exchange: seen, seed: SEED }, world)).toBe(
      "signed matched included anchored",
    );
  });

  it("names the parts that were compared, the query only for who holds the seed", async () => {
    const world = await createWorld();
    const { receipt, seen } = await recorded(world);
    const plain = await verifyEvidence({ receipt, exchange: seen }, world.trust);
    expect(plain.matched).toEqual(["method", "host", "path", "request body", "status", "response body"]);
    const seeded = await verifyEvidence({ receipt, exchange: seen, seed: SEED }, world.trust);
    expect(seeded.matched).toContain("query");
  });

  it.each([
    ["method", { method: "GET" }],
    ["host", { url: "https://other.example.com/orders?page=2" }],
    ["path", { url: "https://api.example.com/orders/1?page=2" }],
    ["query", { url: "https://api.example.com/orders?page=3" }],
    ["query", { url: "https://api.example.com/orders" }],
    ["request body", { requestBody: utf8('{"item":"teb"}') }],
    ["status", { status: 200 }],
    ["response body", { responseBody: utf8("") }],
  ])("says that the %s is another one (%j)", async (part, difference) => {
    const world = await createWorld();
    const { receipt, seen } = await recorded(world);
    const evidence = { receipt, seed: SEED, exchange: { ...seen, ...difference } };
    await expect(verifyEvidence(evidence, world.trust)).rejects.toMatchObject({
      code: "mismatched",
      message: expect.stringContaining(`the ${part} `),
    });
  });

  it("covers an anchor of a larger tree with a consistency proof, and not without", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    await world.append({}, {});
    await world.publish();
    const proof = await proofOf(world, receipt);
    await world.append(...Array.from({ length: 300 }, () => ({})));
    await world.publish();
    await world.anchor();
    const anchor = text(world.anchors.objects.get("anchors/0000000000.jws"));
    const plan = planConsistency(4, 304);
    const consistency = plan.prove(
      await readTiles(async path => world.archive.objects.get(`${LEDGER}/${path}`), plan.tiles),
    );
    expect(await code({ proof, anchor, consistency }, world)).toBe("signed included anchored");
    expect(await code({ proof, anchor }, world)).not.toContain("anchored");
    expect(await code({ proof, anchor, consistency: consistency.slice(1) }, world)).not.toContain("anchored");
  });

  it("calls a tree that has not reached the entry just that, and never tampered", async () => {
    const world = await createWorld();
    await world.append();
    await world.publish();
    const [receipt] = await world.append({});
    const { hashes, checkpoint } = parseProof(await proofOfFirst(world));
    const proof = formatProof({ extra: utf8(receipt!), index: 1, hashes, checkpoint });
    expect(await code({ proof }, world)).toBe("not-yet-included");
  });

  it("tells an unknown key, another ledger and another issuer apart", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    const stranger = (await fixedKey("stranger")).publicJwk;
    expect(await code({ receipt }, world, { ...world.trust, receiptKeys: [stranger] })).toBe("unknown-key");
    expect(await code({ receipt }, world, { ...world.trust, ledgers: [] })).toBe("wrong-origin");
    expect(await code({ receipt }, world, { ...world.trust, issuer: "https://other" })).toBe("wrong-origin");
    const impostor = { ...stranger, kid: world.receiptKey.kid };
    expect(await code({ receipt }, world, { ...world.trust, receiptKeys: [impostor] })).toBe("bad-signature");
  });

  it("keeps a retired key's receipts good for the time that it was valid, and no others", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    const at = Date.parse(parseReceipt(receipt).entry.header.at) / 1000;
    const keys = (window: object) => ({
      ...world.trust,
      receiptKeys: [{ ...world.receiptKey.publicJwk, ...window }],
    });
    expect(await code({ receipt }, world, keys({ nbf: at - 10, exp: at + 10 }))).toBe("signed");
    expect(await code({ receipt }, world, keys({ exp: at }))).toBe("key-not-valid");
    expect(await code({ receipt }, world, keys({ nbf: at + 1 }))).toBe("key-not-valid");
  });

  it("rejects every other algorithm that a token may ask for", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    const [head, payload, signature] = receipt.split(".") as [string, string, string];
    for (const alg of ["none", "HS256", "ES256", "RS256", "ed25519", ""]) {
      const header = JSON.stringify({
        ...JSON.parse(atob(head.replaceAll("-", "+").replaceAll("_", "/"))),
        alg,
      });
      const forged = `${encodeBase64url(utf8(header))}.${payload}.${signature}`;
      expect(await code({ receipt: forged }, world), alg).toBe("unsupported");
    }
  });
});

async function proofOfFirst(world: World): Promise<string> {
  const get = async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
  return formatProof({ index: 0, hashes: [], checkpoint: text(await get("checkpoint")) });
}

describe("a receipt", () => {
  it("verifies with a plain JOSE library against the JWKS", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    const { payload } = await compactVerify(
      receipt,
      createLocalJWKSet({ keys: [...world.trust.receiptKeys] }),
    );
    expect(JSON.parse(text(payload)).res.status).toBe(201);
  });
});

describe("a disclosure", () => {
  it("opens its own field and no other", async () => {
    const world = await createWorld();
    const { receipt } = await recorded(world);
    const { record } = parseReceipt(receipt).entry;
    expect(openDisclosure(record, disclose(SEED, "query", "page=2"))).toEqual({
      name: "query",
      value: "page=2",
    });
    expect(openDisclosure(record, disclose(SEED, "sub", null))).toEqual({ name: "sub", value: null });
    for (const [name, value] of [
      ["query", "page=3"],
      ["user_agent", "page=2"],
      ["sub", ""],
    ] as const) {
      expect(() => openDisclosure(record, disclose(SEED, name, value))).toThrow("opens no digest");
    }
  });
});
