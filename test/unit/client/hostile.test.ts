// Archives and edges made by somebody who wants to harm whoever reads them: nothing is written outside of the folder
// that was named, nothing is read without end, and nothing that is printed moves a cursor.
import { beforeEach, describe, expect, test } from "vitest";
import { formatTrust, parseTrust } from "../../../src/receipt/trust.ts";
import { createWorld, ISSUER, LEDGER, type World } from "../../world.ts";
import { copyOf, grow } from "./archives.ts";
import { Desk } from "./desk.ts";
import { OPERATOR_TOKEN, openEdge, type Send } from "./edge.ts";

let world: World;
let desk: Desk;

beforeEach(async () => {
  world = await createWorld();
  desk = new Desk(openEdge(world, () => new Response("")).send);
  desk.write("trust.json", formatTrust(world.trust));
  desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
});

const answer = (body: string | Uint8Array): ReturnType<Send> =>
  Promise.resolve({ status: 200, headers: new Headers(), body: new Blob([body as BlobPart]).stream() });

/** The trust document with another name for its ledger. */
function renamed(name: unknown): string {
  const document = JSON.parse(formatTrust(world.trust)) as { ledgers: { name: unknown }[] };
  document.ledgers[0]!.name = name;
  return JSON.stringify(document);
}

describe("a ledger's name that leads elsewhere", () => {
  test.each([
    "../../evil",
    "..",
    "/etc",
    "a/../../b",
    "",
    "a\\b",
    "C:",
    "a\u0000",
    "A",
    "main\n",
    "\u202e",
    7,
  ])("is refused with the trust document: %j", async name => {
    expect(() => parseTrust(renamed(name))).toThrow(expect.objectContaining({ code: "malformed" }));
    const { send } = desk;
    desk.send = request => (request.url.endsWith("/trust") ? answer(renamed(name)) : send(request));
    await grow(world, 3);
    expect(await desk.run("pull", ISSUER, "copy")).toBe(2);
    expect(desk.err).toMatch(/^undecided +malformed: .*ledgers\.0\.name/);
    expect([...desk.files.keys()]).toEqual(["trust.json"]);
  });
});

describe("an edge that answers everything", () => {
  test.each([
    ["an audit", ["audit", ISSUER, "--trust", "trust.json"]],
    ["a watch", ["watch", ISSUER, "--trust", "trust.json", "--state", "state"]],
    ["a pull", ["pull", ISSUER, "copy", "--trust", "trust.json"]],
  ])("does not keep %s for ever, whatever it tells of its anchors", async (_, args) => {
    for (const latest of [undefined, 9_999_999_999, 2 ** 53 - 1]) {
      let asked = 0;
      desk.send = ({ url }) => {
        if (++asked > 5000) throw new Error("it does not end");
        return answer(url.endsWith("/anchors") ? JSON.stringify({ latest }) : "<h1>welcome</h1>");
      };
      expect([await desk.run(...args), desk.err]).toEqual([2, expect.not.stringContaining("does not end")]);
    }
  });

  test("does not end an audit of anchors beside genuine ones without a word", async () => {
    await grow(world, 3, 3);
    const { send } = desk;
    desk.send = request => {
      if (request.url.endsWith("/anchors")) return answer('{"latest":9999999999}');
      return /anchors\/000000000[01]\.jws|checkpoint|tile/.test(request.url) ? send(request) : answer("x");
    };
    expect(await desk.run("audit", ISSUER, "--trust", "trust.json")).toBe(1);
    expect(desk.out).toMatch(/^anchors +2 hold/m);
    const { json } = await desk.runJson("audit", ISSUER, "--trust", "trust.json");
    expect(json.problemCount).toBe(1001);
  });

  test("does not hide anchors behind one that cannot be read", async () => {
    await grow(world, 3, 3, 3);
    const objects = copyOf(world);
    for (const [path, bytes] of objects) desk.write(`copy/${path}`, bytes);
    desk.write("copy/anchors/0000000001.jws", "x");
    expect(await desk.run("audit", "copy", "--trust", "trust.json")).toBe(1);
    expect(desk.out).toMatch(/^wrong +malformed: anchors\/0000000001\.jws/m);
    expect(desk.out).toMatch(/^anchors +2 hold, the newest is epoch 2/m);
  });
});

describe("what a record says", () => {
  const HOSTILE = "\u001b[2J\u009b31m\u202egnp.exe\u0007\u{e0041}\u2028";
  const CONTROLS = /[\p{Cc}\p{Cf}\u2028\u2029]/u;
  const withoutNewlines = (text: string) => text.replaceAll(/\r?\n/g, "");

  test("is printed without control characters by every command that prints it, in every form", async () => {
    const [receipt] = await world.append({
      ...{ route: HOSTILE, error: HOSTILE, req: { method: HOSTILE, host: HOSTILE, path: HOSTILE } },
      fields: { [HOSTILE]: HOSTILE },
    });
    desk.write("receipt", receipt!);
    await grow(world, 1);
    await world.ledger.control({ type: HOSTILE, [HOSTILE]: HOSTILE });
    await grow(world, 1);
    expect(await desk.run("pull", ISSUER, "copy", "--trust", "trust.json")).toBe(0);
    for (const args of [
      ["verify", "receipt", "--trust", "trust.json"],
      ["inspect", "receipt"],
      ["audit", "copy", "--trust", "trust.json"],
      ["records", "copy"],
    ]) {
      for (const form of [[], ["--json"], ...(args[0] === "records" ? [["--csv"]] : [])]) {
        expect(await desk.run(...args, ...form), `${args.join(" ")} ${form.join()}`).toBe(0);
        const said = withoutNewlines(desk.out + desk.err);
        expect(said).not.toMatch(CONTROLS);
        if (args[0] === "records") expect(said).toContain("gnp.exe");
      }
    }
    await desk.run("records", "copy", "--json");
    const { records } = JSON.parse(desk.out) as { records: { record: { route?: string } }[] };
    expect(records.map(({ record }) => record.route)).toContain(HOSTILE);
  });

  test("is no statement of the database in which it is searched", async () => {
    const quote = `'; DROP TABLE records; --`;
    await world.append({ route: quote });
    await grow(world, 5);
    await desk.run("pull", ISSUER, "copy", "--trust", "trust.json");
    for (const option of ["--route", "--text"]) {
      expect(await desk.run("records", "copy", option, quote)).toBe(0);
      expect(desk.err).toMatch(/^found +1 records/m);
    }
    for (const option of ["--path", "--method", "--ledger", "--auth", "--jti"]) {
      await desk.run("records", "copy", option, `' OR 1=1 --`);
      expect(desk.err).toMatch(/^found +0 records/m);
    }
    await desk.run("records", "copy", "--ledger", LEDGER);
    expect(desk.err).toMatch(/^found +7 records/m);
  });

  test("leads no spreadsheet to calculate", async () => {
    for (const route of ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", '="a,b"']) await world.append({ route });
    await grow(world, 1);
    await desk.run("pull", ISSUER, "copy", "--trust", "trust.json");
    await desk.run("records", "copy", "--csv");
    expect(desk.out).not.toMatch(/(^|,)"?\s*[=+@]/m);
  });
});
