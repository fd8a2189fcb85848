// Copies: pulled from a real edge in this process, interrupted, damaged, audited and searched.
import { beforeEach, describe, expect, test } from "vitest";
import { commitFields, disclose } from "../../../src/receipt/disclosure.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { createWorld, ISSUER, LEDGER, plainJti, type World } from "../../world.ts";
import { grow } from "./archives.ts";
import { Desk } from "./desk.ts";
import { OPERATOR_TOKEN, openEdge } from "./edge.ts";

const SEED = new Uint8Array(16).fill(7);

let world: World;
let desk: Desk;
/** The addresses that were asked for. */
let asked: string[];

beforeEach(async () => {
  world = await createWorld();
  const { send } = openEdge(world, () => new Response("hello", { headers: { "content-length": "5" } }));
  asked = [];
  desk = new Desk(request => {
    asked.push(request.url);
    return send(request);
  });
  desk.write("trust.json", formatTrust(world.trust));
  desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
});

const pull = (...more: string[]) => desk.run("pull", ISSUER, "copy", "--trust", "trust.json", ...more);
const auditCopy = (...more: string[]) => desk.run("audit", "copy", "--trust", "trust.json", ...more);
const objectsAsked = () => asked.filter(url => /tile|\d\.jws/.test(url));
const copied = () => [...desk.files.keys()].filter(path => path.startsWith("copy/"));

describe("counterfoil pull", () => {
  test("makes a copy that an audit finds as good as the archive", async () => {
    await grow(world, 300, 10, 200);
    expect(await pull()).toBe(0);
    expect(desk.out).toMatch(/^copied +all of it is in copy/m);
    expect(await auditCopy()).toBe(0);
    expect(desk.out).toMatch(/3 hold, the newest is epoch 2/);
    expect(desk.out).toMatch(/511 entries read/);
  });

  test("fetches nothing twice, and goes on where the archive has grown", async () => {
    await grow(world, 300);
    await pull();
    await grow(world, 300);
    asked.length = 0;
    expect(await pull()).toBe(0);
    const fetched = objectsAsked();
    expect(new Set(fetched).size).toBe(fetched.length);
    expect(fetched.filter(url => /tile\/(0|entries)\/000$/.test(url))).toEqual([]);
    expect(fetched.filter(url => url.includes("0000000000.jws"))).toEqual([]);
    expect(await auditCopy()).toBe(0);
    asked.length = 0;
    await pull();
    expect(objectsAsked().filter(url => !/jws$/.test(url))).toEqual([]);
  });

  test("leaves a copy at any moment that an audit takes, and goes on from there", async () => {
    await grow(world, 300);
    await pull();
    await grow(world, 300, 50);
    const { send } = desk;
    // Ends at every one of its requests in turn, as it would by kill -9.
    for (let end = 1, code = 2; code === 2; end++) {
      let left = end;
      desk.send = request => {
        if (left-- === 0) throw new Error("killed");
        return send(request);
      };
      code = await pull();
      desk.send = send;
      expect(await auditCopy(), `ended at request ${end}`).toBe(0);
      expect(end).toBeLessThan(60);
    }
    expect(desk.out).toMatch(/652 entries read|3 hold/);
  });

  test("keeps nothing that was altered, and says where it is", async () => {
    await grow(world, 300, 20);
    for (const path of [`${LEDGER}/tile/entries/000`, `${LEDGER}/tile/0/000`, "anchors/0000000001.jws"]) {
      for (const name of copied()) desk.files.delete(name);
      desk.databases.clear();
      const object = (path.startsWith("anchors") ? world.anchors : world.archive).objects;
      const bytes = object.get(path)!;
      object.set(
        path,
        bytes.map((byte, i) => (i === bytes.length - 40 ? byte ^ 1 : byte)),
      );
      expect(await pull(), path).toBe(1);
      expect(desk.out).toContain(path);
      expect(copied()).not.toContain(`copy/${path}`);
      object.set(path, bytes);
      expect(await pull(), path).toBe(0);
      expect(await auditCopy()).toBe(0);
    }
  });

  test("fetches again what was damaged in the copy at the end of the tree", async () => {
    await grow(world, 300);
    await pull();
    const path = `copy/${LEDGER}/tile/0/001.p/45`;
    desk.write(
      path,
      desk.files.get(path)!.map(byte => byte ^ 1),
    );
    expect(await pull()).toBe(0);
    expect(await auditCopy()).toBe(0);
  });

  test("refuses an archive that does not continue the copy", async () => {
    await grow(world, 300);
    await pull();
    const other = await createWorld();
    other.tick(5000);
    await grow(other, 310);
    desk.send = openEdge(other, () => new Response("")).send;
    expect(await pull()).toBe(1);
    expect(desk.out).toMatch(/forked|tampered/);
    expect(await auditCopy()).toBe(0);
  });

  test("without the token copies hashes alone, and says how to audit that", async () => {
    await grow(world, 300);
    desk.variables.clear();
    expect(await pull()).toBe(0);
    expect(desk.out).toContain("--no-entries");
    expect(copied().filter(path => path.includes("/entries/"))).toEqual([]);
    expect(await auditCopy("--no-entries")).toBe(0);
    expect(await auditCopy()).toBe(1);
    desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
    expect(await pull()).toBe(0);
    expect(await auditCopy()).toBe(0);
  });

  test("goes on trusting whom the copy was begun with", async () => {
    await grow(world, 10);
    await desk.run("pull", ISSUER, "copy");
    asked.length = 0;
    expect(await desk.run("pull", ISSUER, "copy")).toBe(0);
    expect(desk.read("copy/trust")).toBe(formatTrust(world.trust));
    expect(desk.out).toMatch(/^trust +copy\/trust$/m);
  });

  test("says what is wrong with a token", async () => {
    await grow(world, 10);
    desk.variables.set("COUNTERFOIL_TOKEN", "another-token-than-the-operators");
    expect(await pull()).toBe(2);
    expect(desk.err).toContain("the operator's token was not accepted");
  });
});

describe("counterfoil records", () => {
  const jti = (n: number) => plainJti(n);

  beforeEach(async () => {
    const secrets = commitFields(SEED, { sub: "alice", query: null });
    await world.append(
      {
        jti: jti(1),
        req: { method: "GET", path: "/v1/orders/7" },
        res: { status: 200 },
        auth: { by: "jwt" },
      },
      { jti: jti(2), req: { method: "POST", path: "/v1/orders" }, res: { status: 503 }, route: "orders" },
      { jti: jti(3), req: { method: "GET", path: "/v2/=cmd\u202e" }, res: { status: 404 }, ...secrets },
    );
    await world.publish();
    await world.anchor();
    expect(await pull()).toBe(0);
    asked.length = 0;
  });

  async function find(...filters: string[]): Promise<string[]> {
    expect(await desk.run("records", "copy", "--json", ...filters)).toBe(0);
    const { records } = JSON.parse(desk.out) as { records: { record: { jti: string } }[] };
    return records.map(({ record }) => record.jti);
  }

  test.each([
    [["--status", "5xx"], [2]],
    [
      ["--status", "400-599"],
      [3, 2],
    ],
    [["--status", "200"], [1]],
    [["--method", "POST"], [2]],
    [
      ["--path", "/v1/"],
      [2, 1],
    ],
    [["--path", "/v1/", "--method", "GET"], [1]],
    [["--auth", "jwt"], [1]],
    [["--jti", plainJti(3)], [3]],
    [["--route", "orders"], [2]],
    [["--text", "orders/7"], [1]],
    [
      ["--ledger", LEDGER, "--stage", "complete"],
      [3, 2, 1],
    ],
    [["--ledger", "another"], []],
    [["--until", "2000"], []],
    [
      ["--since", "2000", "--stage", "complete"],
      [3, 2, 1],
    ],
  ])("finds by %j", async (filters, expected) => {
    expect((await find(...filters)).sort()).toEqual(expected.map(jti).sort());
    expect(asked).toEqual([]);
  });

  test("goes through pages without losing or repeating a record", async () => {
    const all = await find();
    const seen: string[] = [];
    for (let after: string[] = []; ; ) {
      seen.push(...(await find("--limit", "1", ...after)));
      const { next } = JSON.parse(desk.out) as { next?: string };
      if (next === undefined) break;
      after = ["--after", next];
    }
    expect(seen).toEqual(all);
    expect(all.length).toBe(4);
  });

  test("prints a table and CSV in which nothing of a caller's moves a cursor or is a formula", async () => {
    expect(await desk.run("records", "copy", "--status", "404")).toBe(0);
    expect(desk.out).toContain("/v2/=cmd\\u{202e}");
    expect(desk.err).toMatch(/^found +1 records/);
    await world.append({ jti: jti(4), req: { method: "=1+1", path: '/a,"b"' } });
    await world.publish();
    await pull();
    await desk.run("records", "copy", "--csv", "--path", "/a");
    expect(desk.out).toContain(`,'=1+1,"/a,""b""",`);
  });

  test("joins what the operator handed over to the records that committed to it", async () => {
    const sub = disclose(SEED, "sub", "alice");
    desk.write("answer.json", JSON.stringify({ found: [{ jti: jti(3), fields: {}, disclosures: [sub] }] }));
    expect(await find("--disclosures", "answer.json", "--disclosed", "sub=alice")).toEqual([jti(3)]);
    expect(await find("--disclosed", "sub=bob")).toEqual([]);
    expect(await find("--text", "alice")).toEqual([jti(3)]);
    expect(await pull("--disclosures", "answer.json")).toBe(0);
    expect(desk.out).toMatch(/^disclosed +1 values/m);
  });

  test("joins nothing that opens no digest of its record", async () => {
    const fields = { sub: "mallory" };
    const seed = Buffer.from(SEED).toString("base64url");
    desk.write("openings.jsonl", `${JSON.stringify({ jti: jti(3), seed, fields })}\n`);
    expect(await desk.run("records", "copy", "--disclosures", "openings.jsonl")).toBe(1);
    expect(desk.err).toContain("not-disclosed");
    expect(await find("--disclosed", "sub=mallory")).toEqual([]);
    expect(await pull("--disclosures", "openings.jsonl")).toBe(1);
  });

  test("says that there is no copy", async () => {
    expect(await desk.run("records", "elsewhere")).toBe(2);
    expect(desk.err).toContain("there is no pulled copy with entries here");
  });
});
