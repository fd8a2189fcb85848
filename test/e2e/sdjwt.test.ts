// A receipt and its seed from a running edge, disclosed field by field with nothing of the product: the seed's salts and
// the disclosures are made here as docs/format.md says, and a standard SD-JWT library (RFC 9901) reads what they open.
import { createHash, createPublicKey, verify } from "node:crypto";
import { SDJwtInstance } from "@sd-jwt/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { send } from "./upstream.ts";

const PRIVATE = {
  sub: null,
  client_address: null,
  user_agent: "Grüße/1.0",
  query: "page=2&email=a%40example.com",
};

let edge: Edge;
let receipt: string;
let seed: Buffer;

beforeAll(async () => {
  edge = await startEdge();
  const agent = Buffer.from(PRIVATE.user_agent).toString("latin1");
  const { headers } = await send(`${edge.url}/hello?${PRIVATE.query}`, { headers: { "user-agent": agent } });
  receipt = headers["audit-receipt"] as string;
  seed = Buffer.from(headers["audit-receipt-seed"] as string, "base64url");
});

afterAll(() => edge.stop());

function disclose(name: string, value: unknown): string {
  const salt = createHash("sha256").update(seed).update(name).digest().subarray(0, 16).toString("base64url");
  return Buffer.from(JSON.stringify([salt, name, value])).toString("base64url");
}

/** The claims that a reader sees who trusts the edge's published keys. */
async function claims(...disclosures: readonly string[]): Promise<Record<string, unknown>> {
  const { keys } = JSON.parse((await read(edge, "jwks.json")).toString());
  const key = createPublicKey({ key: keys[0], format: "jwk" });
  const library = new SDJwtInstance({
    hasher: (data, alg) =>
      createHash(alg.replace("-", ""))
        .update(typeof data === "string" ? data : new Uint8Array(data))
        .digest(),
    verifier: async (data, signature) =>
      verify(null, Buffer.from(data), key, Buffer.from(signature, "base64url")),
  });
  const { payload } = await library.verify([receipt, ...disclosures, ""].join("~"));
  return payload as Record<string, unknown>;
}

describe("a receipt from a running edge, with its seed,", () => {
  test("tells a standard SD-JWT library no private field by itself", async () => {
    const plain = await claims();
    expect(plain).toMatchObject({ stage: "complete", req: { method: "GET", path: "/hello" } });
    for (const name of Object.keys(PRIVATE)) expect(plain).not.toHaveProperty(name);
    expect(JSON.stringify(plain)).not.toContain("page=2");
  });

  test.each(Object.entries(PRIVATE))("opens %s, and no other private field", async (name, value) => {
    expect(await claims(disclose(name, value))).toEqual({ ...(await claims()), [name]: value });
  });

  test("opens nothing with a wrong value", async () => {
    const plain = await claims();
    expect(await claims(disclose("query", "page=3")).catch(() => plain)).toEqual(plain);
  });
});
