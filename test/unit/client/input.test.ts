// Wrong input of any kind, in every place where a command takes a file or an address: exit code 2, with a message that
// names the cause, and never a stack trace.
import { beforeAll, describe, expect, test } from "vitest";
import { Undecided } from "../../../src/client/outcome.ts";
import { formatTrust, type Trust } from "../../../src/receipt/trust.ts";
import { ED25519, makeNoteKey } from "../../../src/tlog/note.ts";
import { createWorld, fixedKey, ISSUER, LEDGER, ORIGIN, type World } from "../../world.ts";
import { copyOf, grow } from "./archives.ts";
import { Desk } from "./desk.ts";
import { OPERATOR_TOKEN, openEdge, type Send } from "./edge.ts";

let world: World;
let send: Send;
let receipt: string;
let proof: string;

beforeAll(async () => {
  world = await createWorld();
  send = openEdge(world, () => new Response("hello", { headers: { "content-length": "5" } })).send;
  [receipt] = (await world.append({})) as [string];
  await grow(world, 20);
  const desk = new Desk(send);
  desk.write("receipt", receipt);
  await desk.run("proof", "receipt", "-o", "proof");
  proof = desk.read("proof");
});

/** A desk with everything that is right. */
function layOut(): Desk {
  const desk = new Desk(send);
  desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
  desk.write("trust.json", formatTrust(world.trust));
  desk.write("receipt", receipt);
  desk.write("proof", proof);
  desk.write("anchor", world.anchors.objects.get("anchors/0000000000.jws")!);
  desk.write("seed", "AAAAAAAAAAAAAAAAAAAAAA");
  for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
  return desk;
}

const TRUST = ["--trust", "trust.json"] as const;

/** Every place where a file is taken. */
const PLACES: readonly (readonly string[])[] = [
  ["verify", "FILE", ...TRUST],
  ["verify", "receipt", "--trust", "FILE"],
  ["verify", "proof", "--anchor", "FILE", ...TRUST],
  ["inspect", "FILE"],
  ["proof", "FILE", ...TRUST],
  ["proof", "receipt", "--trust", "FILE"],
  ["disclose", "FILE", ...TRUST],
  ["disclose", "receipt", "--seed", "FILE", ...TRUST],
  ["disclose", "receipt", "--opening", "FILE", ...TRUST],
  ["disclose", "receipt", "--seed", "seed", "--trust", "FILE"],
  ["audit", "FILE", ...TRUST],
  ["audit", "copy", "--trust", "FILE"],
  ["audit", "copy", "--anchor", "FILE", ...TRUST],
  ["audit", "copy", "--receipt", "FILE", ...TRUST],
  ["audit", "copy", "--promise", "FILE", ...TRUST],
  ["audit", "copy", "--state", "FILE", ...TRUST],
  ["watch", "copy", "--trust", "FILE", "--state", "state"],
  ["watch", "copy", "--state", "FILE", ...TRUST],
  ["pull", ISSUER, "new", "--trust", "FILE"],
  ["pull", ISSUER, "new", "--disclosures", "FILE", ...TRUST],
  ["pull", ISSUER, "new", "--token", "FILE", ...TRUST],
  ["records", "FILE"],
  ["fetch", `${ISSUER}/v1`, "--trust", "FILE"],
  ["witness", "--name", "w.example.com/1", "--state", "w", "--trust", "FILE"],
];

const INPUTS: Readonly<Record<string, () => Uint8Array | string>> = {
  "an empty file": () => "",
  "white space": () => "\n \n",
  JSON: () => '{"status":"ok"}',
  "a list": () => "[]",
  markup: () => "<!doctype html><title>404</title>",
  "binary garbage": () => Uint8Array.from({ length: 4096 }, (_, i) => (i * 193 + (i >> 3)) & 255),
  "a receipt that is cut off": () => receipt.slice(0, 300),
  "a proof that is cut off": () => proof.slice(0, -80),
  "an anchor that is cut off": () => world.anchors.objects.get("anchors/0000000000.jws")!.subarray(0, 400),
  "a long text": () => "x".repeat(3_000_000),
  "a tile": () => world.archive.objects.get(`${LEDGER}/tile/0/000.p/22`)!,
};

/** Exit code 2, and lines whose first names the cause, and one of which names the place. */
function expectCause(code: number, said: string, place: string): void {
  expect(said).not.toMatch(/program itself failed|\n {4}at |undefined|\[object/);
  expect([code, said]).toEqual([2, expect.stringMatching(/^undecided +\S.{10,}/m)]);
  expect(said).toContain(place);
}

describe.each(Object.keys(INPUTS))("%s in the place of a file", input => {
  test.each(PLACES)("is undecided: %s %s %s %s", async (...words) => {
    const args = words.filter(word => word !== undefined);
    const desk = layOut();
    desk.write("FILE", INPUTS[input]!());
    const code = await desk.run(...args);
    const said = desk.out + desk.err;
    expectCause(code, said, args[0] === "records" ? "FILE" : args.includes("--token") ? "token" : "FILE");
    expect(said.length).toBeLessThan(2000);
    if (args[0] === "witness") return;
    const { code: again, json } = await desk.runJson(...args);
    expect([again, json.outcome]).toEqual([2, "undecided"]);
    expect(json.message ?? json.problems).toBeTruthy();
  });
});

describe("an address", () => {
  const COMMANDS: readonly (readonly string[])[] = [
    ["fetch", "ADDRESS", ...TRUST],
    ["trust", "ADDRESS"],
    ["doctor", "ADDRESS"],
    ["audit", "ADDRESS", ...TRUST],
    ["watch", "ADDRESS", "--state", "state", ...TRUST],
    ["pull", "ADDRESS", "new", ...TRUST],
    ["proof", "ADDRESS/.well-known/audit/receipts/x", ...TRUST],
    ["verify", "receipt", "--trust", "ADDRESS"],
    ["keys", "list", "--url", "ADDRESS"],
  ];
  const answers =
    (status: number, body: string): Send =>
    async () => ({
      status,
      headers: new Headers({ "content-type": "text/html" }),
      body: new Blob([body]).stream(),
    });
  const WORLDS: Readonly<Record<string, Send>> = {
    "that nobody answers at": new Desk().send,
    "of another server": answers(404, "<h1>not here</h1>"),
    "that answers everything with a page": answers(200, "<h1>welcome</h1>"),
    "that answers everything with JSON": answers(200, "{}"),
    "that answers with nothing": answers(200, ""),
    "that is broken": answers(500, "oops"),
  };

  describe.each(Object.keys(WORLDS))("%s", name => {
    test.each(COMMANDS)("is undecided: %s %s", async (...words) => {
      const desk = layOut();
      desk.send = WORLDS[name]!;
      const code = await desk.run(
        ...words
          .filter(word => word !== undefined)
          .map(word => word.replace("ADDRESS", "https://other.example.com")),
      );
      expectCause(code, desk.err + desk.out, "other.example.com");
    });
  });

  test("of an API whose answer breaks off is undecided", async () => {
    const desk = layOut();
    desk.send = async request => {
      const response = await send(request);
      return {
        ...response,
        body: (async function* () {
          yield* [new Uint8Array(3)];
          throw new Undecided(`the response from ${request.url} broke off`);
        })(),
      };
    };
    for (const args of [
      ["trust", ISSUER],
      ["audit", ISSUER, ...TRUST],
      ["pull", ISSUER, "new", ...TRUST],
    ]) {
      expect(await desk.run(...args)).toBe(2);
      expect(desk.err).toContain("broke off");
    }
  });
});

test("a pull for a trust document of other ledgers says so each time", async () => {
  const desk = layOut();
  const ledgers = [{ ...world.trust.ledgers[0]!, name: "other", origin: "other.example.com/audit/main" }];
  desk.write("trust.json", formatTrust({ ...world.trust, ledgers }));
  for (let i = 0; i < 2; i++) {
    expect(await desk.run("pull", ISSUER, "new", ...TRUST)).toBe(2);
    expect(desk.out).toMatch(/^undecided +none of the ledgers that are anchored here/);
    expect(desk.out).toMatch(/^note +not copied, .*api\.example\.com\/audit\/main$/m);
  }
});

test.each(Object.keys(INPUTS))("%s is no policy: what was asked is whether it is one", async input => {
  const desk = layOut();
  desk.write("FILE", INPUTS[input]!());
  const code = await desk.run("policy", "check", "--config", "FILE");
  expect([code, desk.out]).toEqual([1, expect.stringMatching(/^wrong +\S.{10,}\nwhere +FILE\n$/)]);
  expect(desk.out.length).toBeLessThan(2000);
});

describe("a trust document", () => {
  const COMMANDS: readonly (readonly string[])[] = [
    ["verify", "receipt"],
    ["verify", "proof"],
    ["verify", "proof", "--anchor", "anchor"],
    ["proof", "receipt"],
    ["disclose", "receipt", "--seed", "seed"],
    ["fetch", `${ISSUER}/v1`],
    ["audit", "copy"],
    ["audit", ISSUER],
    ["watch", "copy", "--state", "state"],
    ["pull", ISSUER, "new"],
  ];
  const strangers = async (): Promise<Trust> => {
    const { publicJwk, publicKey } = await fixedKey("stranger");
    const keys = [makeNoteKey(ORIGIN, ED25519, publicKey)];
    return {
      ...world.trust,
      ledgers: [{ name: LEDGER, origin: ORIGIN, keys }],
      anchorKeys: [publicJwk],
      receiptKeys: [publicJwk],
    };
  };
  const TRUSTS: Readonly<Record<string, () => Promise<Trust>>> = {
    "of other keys": strangers,
    "of another issuer with other keys": async () => ({
      ...(await strangers()),
      issuer: "https://other.example.com",
    }),
    "of other ledgers": async () => ({
      ...world.trust,
      ledgers: [{ ...world.trust.ledgers[0]!, name: "other", origin: "other.example.com/audit/main" }],
    }),
    "of no ledger": async () => ({ ...world.trust, ledgers: [] }),
    "of no key": async () => ({ ...world.trust, receiptKeys: [], anchorKeys: [] }),
  };

  describe.each(Object.keys(TRUSTS))("%s", name => {
    test.each(COMMANDS)("leaves it undecided, and says why: %s %s", async (...words) => {
      const desk = layOut();
      desk.write("trust.json", formatTrust(await TRUSTS[name]!()));
      const code = await desk.run(...words.filter(word => word !== undefined), ...TRUST);
      expectCause(code, desk.err + desk.out, words[1]!);
    });
  });
});
