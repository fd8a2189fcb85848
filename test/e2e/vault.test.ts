// What the operator may do with private values, and what of it everybody can see, in real workerd.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDisclosure } from "../../src/receipt/disclosure.ts";
import { parseEntry } from "../../src/receipt/entry.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { pullEntries } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { type Answer, eventually, send } from "./upstream.ts";

const AGENT = "a-user-agent-that-nobody-else-has/1.0";
const QUERY = "card=4111-1111-1111-1111";

let edge: Edge;
let authorization: string;

beforeAll(async () => {
  edge = await startEdge();
  authorization = `Bearer ${await edge.operatorToken()}`;
});

afterAll(() => edge.stop());

/** Makes an exchange with private values. @returns its id and its record. */
async function exchange(): Promise<{ jti: string; record: AuditRecord }> {
  const { headers } = await send(`${edge.url}/hello?${QUERY}`, { headers: { "user-agent": AGENT } });
  const { record } = parseReceipt(headers["audit-receipt"] as string).entry;
  return { jti: record.jti, record };
}

function ask(
  path: string,
  body?: unknown,
  headers: Record<string, string> = { authorization },
): Promise<Answer> {
  const url = `${edge.url}/.well-known/audit/private/${path}`;
  if (body === undefined) return send(url, { headers });
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return send(url, {
    method: "POST",
    body: text,
    headers: { ...headers, "content-length": String(Buffer.byteLength(text)) },
  });
}

function jsonOf({ body }: Answer) {
  return JSON.parse(body.toString());
}

/** Asks for an exchange until its values have arrived in the vault: nobody waits for them on the way. */
function opened(jti: string) {
  return eventually(async () => {
    const answer = await ask(`main/${jti}`);
    return answer.status === 404 ? undefined : answer;
  });
}

/** All entries that are published by now. */
async function entries(): Promise<string[]> {
  const { status, body } = await send(`${edge.url}/.well-known/audit/main/checkpoint`);
  return status === 404 ? [] : pullEntries(edge, Number(body.toString().split("\n")[1]));
}

/** The control records of a type that tell of the operator, as the published entries have them. */
async function told(type: string, has: (control: NonNullable<AuditRecord["control"]>) => boolean) {
  return eventually(async () => {
    const records = (await entries()).map(text => parseEntry(text).record);
    const found = records.filter(({ control }) => control?.type === type && has(control));
    return found.length === 0 ? undefined : found;
  });
}

describe("the operator", () => {
  it("opens an exchange, with disclosures that open its record to anybody", async () => {
    const { jti, record } = await exchange();
    const { fields, disclosures } = jsonOf(await opened(jti));
    expect(fields).toMatchObject({ query: QUERY, user_agent: AGENT, sub: null });
    const opening = disclosures.map((disclosure: string) => openDisclosure(record, disclosure));
    expect(opening).toContainEqual({ name: "query", value: QUERY });
    expect(await told("private-read", ({ exchange }) => exchange === jti)).not.toEqual([]);
  });

  it("finds exchanges by a private value, which is not told in the ledger", async () => {
    const { jti } = await exchange();
    await opened(jti);
    const { found } = jsonOf(await ask("search", { ledger: "main", name: "user_agent", value: AGENT }));
    expect(found.map((opening: { jti: string }) => opening.jti)).toContain(jti);
    await told("private-read", ({ field }) => field === "user_agent");
    const records = (await entries()).map(text => JSON.stringify(parseEntry(text).record));
    for (const value of [AGENT, QUERY]) expect(records.join("\n")).not.toContain(value);
  });

  it("erases an exchange's values for good, and everybody can see that it did", async () => {
    const { jti } = await exchange();
    await opened(jti);
    expect(jsonOf(await ask("erase", { ledger: "main", jtis: [jti] }))).toEqual({ erased: [jti] });
    expect((await ask(`main/${jti}`)).status).toBe(410);
    const { found } = jsonOf(await ask("search", { ledger: "main", name: "user_agent", value: AGENT }));
    expect(found.map((opening: { jti: string }) => opening.jti)).not.toContain(jti);
    await told("erased", ({ exchanges }) => (exchanges as string[]).includes(jti));
  });

  it("is nobody without the right token", async () => {
    const { jti } = await exchange();
    await opened(jti);
    for (const headers of [{}, { authorization: "Bearer wrong-wrong-wrong-wrong" }, { authorization: "x" }]) {
      const asked = [
        ask(`main/${jti}`, undefined, headers),
        ask("search", { ledger: "main", name: "sub", value: "x" }, headers),
        ask("erase", { ledger: "main", jtis: [jti] }, headers),
        ask("nothing", undefined, headers),
      ];
      for (const { status } of await Promise.all(asked)) expect(status).toBe(401);
    }
    expect((await ask(`main/${jti}`)).status).toBe(200);
  });

  it.each([
    ["no JSON", "search", "{", "not JSON"],
    ["an unknown ledger", "search", { ledger: "other", name: "sub", value: "x" }, 'no ledger "other"'],
    ["an unknown member", "search", { ledger: "main", name: "sub", value: "x", all: true }, "all"],
    [
      "a field name that none can have",
      "search",
      { ledger: "main", name: 'a"b', value: "x" },
      "private field",
    ],
    ["an id that is none", "erase", { ledger: "main", jtis: ["x"] }, "UUIDv7"],
    ["too long a body", "search", "x".repeat(20_000), "at most 16384 bytes"],
  ])("is told what is wrong with %s", async (_, path, body, message) => {
    const answer = await ask(path, body);
    expect(answer.status).toBe(400);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect(jsonOf(answer).detail).toContain(message);
  });
});
