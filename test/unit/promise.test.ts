// A promise is kept by the entry with its bytes, taken in time, and by nothing else.
import { describe, expect, it } from "vitest";
import {
  checkKept,
  isPromise,
  issuePromise,
  parsePromise,
  verifyPromise,
} from "../../src/receipt/promise.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { createWorld, fixedKey, ISSUER, ORIGIN, START_MS } from "../world.ts";

const RECORD = JSON.stringify({
  iss: ISSUER,
  jti: "01a1fc8e-3c69-7abc-8def-0123456789ab",
  iat: Math.floor(START_MS / 1000),
  time: new Date(START_MS).toISOString(),
  stage: "complete",
});

async function promised(seconds = 60, origin = ORIGIN) {
  const world = await createWorld();
  const text = await issuePromise(RECORD, origin, seconds, world.receiptKey);
  return { world, text, promise: parsePromise(text) };
}

/** The code of the fault that a check ends with, or `kept`. */
function check(run: () => void): string {
  try {
    run();
    return "kept";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("a promise", () => {
  it("carries the bytes of the record and the time by which they will be on record", async () => {
    const { world, text, promise } = await promised();
    expect(promise.recordText).toBe(RECORD);
    expect(promise.header).toEqual({
      alg: "Ed25519",
      kid: world.receiptKey.kid,
      typ: "audit-promise+jwt",
      origin: ORIGIN,
      promise: new Date(START_MS + 60_000).toISOString(),
    });
    await verifyPromise(promise, world.trust.receiptKeys);
    expect(await issuePromise(RECORD, ORIGIN, 60, world.receiptKey)).toBe(text);
  });

  it("is no receipt, and no receipt is one", async () => {
    const { world, text } = await promised();
    const [receipt] = await world.append(RECORD);
    expect([isPromise(text), isPromise(receipt!), isPromise("x.y.z"), isPromise("")]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(check(() => parseReceipt(text))).toBe("malformed");
    expect(check(() => parsePromise(receipt!))).toBe("malformed");
  });

  it("is not believed when a bit of it is another, or a stranger has signed it", async () => {
    const { world, text } = await promised();
    const stranger = await issuePromise(RECORD, ORIGIN, 60, await fixedKey("stranger"));
    await expect(verifyPromise(parsePromise(stranger), world.trust.receiptKeys)).rejects.toMatchObject({
      code: "unknown-key",
    });
    for (let at = 0; at < text.length; at += 7) {
      const altered = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
      const believed = async () => verifyPromise(parsePromise(altered), world.trust.receiptKeys);
      await expect(believed(), `character ${at}`).rejects.toHaveProperty("code");
    }
  });

  it("is kept by the entry that has its record, taken in time", async () => {
    const { world, promise } = await promised();
    world.tick(60_000);
    const [receipt] = await world.append(RECORD);
    expect(check(() => checkKept(promise, parseReceipt(receipt!).entry))).toBe("kept");
  });

  it("is broken by an entry that was taken a millisecond too late", async () => {
    const { world, promise } = await promised();
    world.tick(60_001);
    const [receipt] = await world.append(RECORD);
    expect(check(() => checkKept(promise, parseReceipt(receipt!).entry))).toBe("broken-promise");
  });

  it("is broken by an entry that says anything else of the same stage", async () => {
    const { world, promise } = await promised();
    const [receipt] = await world.append(RECORD.replace("}", ',"ms":5}'));
    expect(check(() => checkKept(promise, parseReceipt(receipt!).entry))).toBe("broken-promise");
  });

  it("has nothing to do with an entry of another exchange, stage or ledger", async () => {
    const { world, promise } = await promised();
    const [other, begun, own] = await world.append({}, RECORD.replace("complete", "started"), RECORD);
    const elsewhere = (await promised(60, "api.example.com/audit/other")).promise;
    expect(check(() => checkKept(promise, parseReceipt(other!).entry))).toBe("mismatched");
    expect(check(() => checkKept(promise, parseReceipt(begun!).entry))).toBe("mismatched");
    expect(check(() => checkKept(elsewhere, parseReceipt(own!).entry))).toBe("mismatched");
  });
});
