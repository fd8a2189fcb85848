// A receipt with disclosures is a standard SD-JWT (RFC 9901): a library that knows nothing of Counterfoil
// verifies it and reads exactly the fields that were disclosed. Only the signature check is lent to it, by
// the platform and from the JWKS alone.
import { createHash, createPublicKey, verify } from "node:crypto";
import { SDJwtInstance } from "@sd-jwt/core";
import { describe, expect, it } from "vitest";
import { commitFields, disclose } from "../../src/receipt/disclosure.ts";
import { createWorld, START_MS } from "../world.ts";

const SEED = Uint8Array.from({ length: 16 }, (_, i) => i);

const PRIVATE: Readonly<Record<string, unknown>> = {
  sub: null,
  client_address: "203.0.113.7",
  user_agent: "Grüße/1.0 (☕)",
  query: "page=2",
};

/** What an SD-JWT says of itself; no reader is to see it as a claim. */
const SD_MEMBERS = ["_sd", "_sd_alg"];

/** A receipt for an exchange with private fields, its record, and a reader that trusts its key. */
async function recorded() {
  const world = await createWorld();
  const [receipt] = await world.append(commitFields(SEED, PRIVATE));
  const record = JSON.parse(Buffer.from(receipt!.split(".")[1]!, "base64url").toString()) as object;
  const key = createPublicKey({ key: { ...world.receiptKey.publicJwk }, format: "jwk" });
  const library = new SDJwtInstance({
    hasher: (data, alg) =>
      createHash(alg.replace("-", ""))
        .update(typeof data === "string" ? data : new Uint8Array(data))
        .digest(),
    verifier: async (data, signature) =>
      verify(null, Buffer.from(data), key, Buffer.from(signature, "base64url")),
  });
  const read = async (sdJwt: string) => {
    const { payload } = await library.verify(sdJwt, { currentDate: START_MS / 1000 });
    return payload as Record<string, unknown>;
  };
  const claims = Object.entries(record).filter(([name]) => !SD_MEMBERS.includes(name));
  return { receipt: receipt!, plain: Object.fromEntries(claims), read };
}

describe("a standard SD-JWT library", () => {
  it.each(Object.entries(PRIVATE))(
    "reads the disclosed %s from a receipt, and no other private field",
    async (name, value) => {
      const { receipt, plain, read } = await recorded();
      const claims = await read(`${receipt}~${disclose(SEED, name, value)}~`);
      expect(claims).toEqual({ ...plain, [name]: value });
    },
  );

  it("reads no private field from a receipt without disclosures", async () => {
    const { receipt, plain, read } = await recorded();
    expect(await read(`${receipt}~`)).toEqual(plain);
  });

  it("reads every private field when all are disclosed, in any order", async () => {
    const { receipt, plain, read } = await recorded();
    const disclosures = Object.entries(PRIVATE).map(([name, value]) => disclose(SEED, name, value));
    expect(await read(`${receipt}~${disclosures.join("~")}~`)).toEqual({ ...plain, ...PRIVATE });
    expect(await read(`${receipt}~${disclosures.reverse().join("~")}~`)).toEqual({ ...plain, ...PRIVATE });
  });

  it.each([
    ["another value", disclose(SEED, "query", "page=3")],
    ["another field", disclose(SEED, "subject", null)],
    ["another seed", disclose(new Uint8Array(16), "query", "page=2")],
  ])("reads nothing from a disclosure of %s", async (_what, disclosure) => {
    const { receipt, plain, read } = await recorded();
    const outcome = await read(`${receipt}~${disclosure}~`).catch(error => String(error));
    expect(outcome).toEqual(plain);
  });

  it("rejects a receipt that was altered", async () => {
    const { receipt, read } = await recorded();
    const [header, payload, signature] = receipt.split(".") as [string, string, string];
    const altered = Buffer.from(Buffer.from(payload, "base64url").toString().replace("200", "201")).toString(
      "base64url",
    );
    expect(altered).not.toBe(payload);
    await expect(read(`${header}.${altered}.${signature}~`)).rejects.toThrow();
  });
});
