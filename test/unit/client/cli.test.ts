// The command line, from what a person types to the exit code: against a real edge in this process.
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { ALERTS, WAYS_OUT } from "../../../src/client/advice.ts";
import type { WireResponse } from "../../../src/client/platform.ts";
import { concatenate } from "../../../src/client/remote.ts";
import { digestOf } from "../../../src/receipt/digest.ts";
import { parseReceipt } from "../../../src/receipt/receipt.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { Fault } from "../../../src/tlog/fault.ts";
import { ED25519, formatVerifierKey, makeNoteKey } from "../../../src/tlog/note.ts";
import { parseProof } from "../../../src/tlog/proof.ts";
import { createWorld, fixedKey, ISSUER, LEDGER, ORIGIN, plainJti, type World } from "../../world.ts";
import { copyOf, flip, grow } from "./archives.ts";
import { Desk } from "./desk.ts";
import { OPERATOR_TOKEN, openEdge, type Send } from "./edge.ts";

const URL_OF = `${ISSUER}/v1/orders?page=2`;
const PREFIX = `${ISSUER}/.well-known/audit/`;

let world: World;
let desk: Desk;
let settle: () => Promise<unknown>;

beforeEach(async () => {
  world = await createWorld();
  const edge = openEdge(world, answer);
  settle = edge.settle;
  desk = new Desk(edge.send);
  desk.write("trust.json", formatTrust(world.trust));
});

/** The API behind the edge. A streamed response gets its receipt before its end. */
async function answer(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = `${request.method} ${pathname}${search} ${await request.text()}`;
  if (pathname === "/stream") return new Response(streamOf(body));
  if (pathname === "/forbidden") return new Response(body, { status: 403, headers: withLength(body) });
  return new Response(body, { headers: withLength(body) });
}

const withLength = (body: string) => ({ "content-length": String(body.length) });

/** Has what comes for some addresses altered on its way. */
function alter(
  matches: (url: string) => boolean,
  change: (response: WireResponse, body: Uint8Array<ArrayBuffer>) => Partial<WireResponse>,
) {
  const { send } = desk;
  desk.send = async request => {
    const response = await send(request);
    if (!matches(request.url)) return response;
    const body = await wholeOf(response);
    return { ...response, body: streamOf(body), ...change(response, body) };
  };
}

/** An edge that says of every exchange that there never was one. */
function forgetful(send: Send): Send {
  return async request => {
    if (!request.url.includes("/receipts/")) return send(request);
    return {
      status: 404,
      headers: new Headers(),
      body: streamOf('{"detail":"there is no exchange of this id"}'),
    };
  };
}

function streamOf(body: BlobPart): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([body]).stream();
}

async function wholeOf({ body }: Pick<WireResponse, "body">): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return new Uint8Array(concatenate(chunks));
}

const isApi = (url: string) => !url.startsWith(PREFIX);

/** What `curl -si` prints. */
async function curl(url: string): Promise<string> {
  const { status, headers, body } = await desk.send({ method: "GET", url, headers: [] });
  const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const text = new TextDecoder().decode(await wholeOf({ body }));
  return `HTTP/1.1 ${status} OK\r\n${lines.join("")}\r\n${text}`;
}

describe("counterfoil fetch", () => {
  test("prints the body to standard output, and the verdict to standard error", async () => {
    expect(await desk.run("fetch", URL_OF, "--trust", "trust.json")).toBe(0);
    expect(desk.out).toBe("GET /v1/orders?page=2 ");
    expect(desk.err).toMatch(/^proven +signed, matched\n/);
    expect(desk.err).toMatch(/^compared +method, host, path, query, request body, status, response body$/m);
    expect(desk.err).not.toContain("not compared");
  });

  test("sends method, header fields and body as they were given", async () => {
    desk.write("order.json", '{"item":1}');
    expect(
      await desk.run(
        "fetch",
        URL_OF,
        "-X",
        "PUT",
        "-H",
        "x-a: 1",
        "-d",
        "@order.json",
        "--trust",
        "trust.json",
      ),
    ).toBe(0);
    expect(desk.out).toBe('PUT /v1/orders?page=2 {"item":1}');
    expect(await desk.run("fetch", URL_OF, "-d", "a=b", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toBe("POST /v1/orders?page=2 a=b");
  });

  test("asks for no content coding unless it is told to", async () => {
    const asked: (string | undefined)[] = [];
    const { send } = desk;
    desk.send = request => {
      if (isApi(request.url))
        asked.push(request.headers.find(([name]) => name.toLowerCase() === "accept-encoding")?.[1]);
      return send(request);
    };
    await desk.run("fetch", URL_OF, "--trust", "trust.json");
    await desk.run("fetch", URL_OF, "-H", "Accept-Encoding: gzip", "--trust", "trust.json");
    expect(asked).toEqual(["identity", "gzip"]);
  });

  test("takes the trust document from the operator when none is given, and says so", async () => {
    expect(await desk.run("fetch", URL_OF)).toBe(0);
    expect(desk.err).toContain(`${PREFIX}trust, fetched just now from the operator itself`);
    expect(desk.err).toContain("--trust trust.json");
    expect(await desk.run("fetch", URL_OF, "--trust", ISSUER)).toBe(0);
    expect(desk.err).toMatch(/trust +\S+\/trust, fetched just now; to pin it: counterfoil trust/);
  });

  test("succeeds on an error of the API that is on record", async () => {
    const { code, json } = await desk.runJson(
      "fetch",
      `${ISSUER}/forbidden`,
      "--trust",
      "trust.json",
      "-o",
      "body",
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({ outcome: "proven", record: { res: { status: 403 } }, uncompared: [] });
    expect(desk.read("body")).toBe("GET /forbidden ");
  });

  test("verifies the final receipt of a response that was streamed", async () => {
    const { send } = desk;
    desk.send = async request => {
      if (request.url.includes("/receipts/")) await settle();
      return send(request);
    };
    const { code, json } = await desk.runJson("fetch", `${ISSUER}/stream`, "--trust", "trust.json");
    expect(code).toBe(0);
    expect(json).toMatchObject({ record: { stage: "complete" }, header: { index: 2 }, uncompared: [] });
  });

  test("cannot tell when the final receipt of a streamed response is not to be had", async () => {
    alter(
      url => url.includes("/receipts/"),
      () => ({ status: 404 }),
    );
    expect(await desk.run("fetch", `${ISSUER}/stream`, "--trust", "trust.json")).toBe(2);
    expect(desk.err).toContain("has no ending on record yet");
  });

  test("finds the final receipt of another exchange mismatched", async () => {
    const { headers } = await desk.send({ method: "GET", url: `${ISSUER}/stream`, headers: [] });
    const other = headers.get("audit-receipt")!;
    const { record } = parseReceipt(other).entry;
    const [receipt] = await world.append({ ...record, stage: "complete" });
    alter(
      url => url.includes("/receipts/"),
      () => ({ body: streamOf(receipt!) }),
    );
    const { code, json } = await desk.runJson("fetch", `${ISSUER}/stream`, "--trust", "trust.json");
    expect([code, json.code]).toEqual([1, "mismatched"]);
  });

  test("finds one changed byte of the body", async () => {
    alter(isApi, (_, body) => ({ body: streamOf(body.with(3, 0)) }));
    const { code, json } = await desk.runJson("fetch", URL_OF, "--trust", "trust.json");
    expect(code).toBe(1);
    expect(json).toMatchObject({ code: "mismatched", message: expect.stringContaining("response body") });
    expect(json.found).toContain(digestOf(new TextEncoder().encode("GET\0/v1/orders?page=2 ")));
  });

  test("finds a changed status", async () => {
    alter(isApi, () => ({ status: 500 }));
    const { code, json } = await desk.runJson("fetch", URL_OF, "--trust", "trust.json");
    expect([code, json.code]).toEqual([1, "mismatched"]);
  });

  test("finds another exchange's receipt mismatched", async () => {
    const { headers } = await desk.send({ method: "GET", url: `${ISSUER}/other`, headers: [] });
    alter(isApi, () => ({ headers }));
    const { code, json } = await desk.runJson("fetch", URL_OF, "--trust", "trust.json");
    expect([code, json.code]).toEqual([1, "mismatched"]);
  });

  test("cannot tell of an answer that was given before, and of one without its seed", async () => {
    const old = await desk.send({
      method: "GET",
      url: URL_OF,
      headers: [["traceparent", `00-${"7".repeat(32)}-${"7".repeat(16)}-00`]],
    });
    const untraced = await desk.send({ method: "GET", url: URL_OF, headers: [] });
    const without = new Headers(old.headers);
    without.delete("audit-receipt-seed");
    const causes = [];
    for (const headers of [without, old.headers, untraced.headers]) {
      alter(isApi, () => ({ headers }));
      const { code, json } = await desk.runJson("fetch", URL_OF, "--trust", "trust.json");
      expect([code, json.code]).toEqual([2, "not-covered"]);
      causes.push(json.message);
    }
    expect(causes).toEqual([
      expect.stringContaining("cannot be compared without the seed"),
      expect.stringContaining("the receipt is of another request"),
      expect.stringContaining("does not name the request's trace"),
    ]);
    // Of an API that records no traces, who asks without one can tell less.
    expect(await desk.run("fetch", URL_OF, "--trust", "trust.json", "-H", "traceparent:")).toBe(0);
  });

  test("cannot tell without a receipt, but has printed the body", async () => {
    alter(isApi, () => ({ headers: new Headers() }));
    expect(await desk.run("fetch", URL_OF, "--trust", "trust.json")).toBe(2);
    expect(desk.out).toBe("GET /v1/orders?page=2 ");
    expect(desk.err).toMatch(/^undecided +no-receipt: the response carries no receipt\n/);
  });

  test("sends nothing when the trust document that was named cannot be read", async () => {
    const sent: string[] = [];
    desk.send = async request => {
      sent.push(request.url);
      throw new Error("nothing should have been sent");
    };
    expect(await desk.run("fetch", URL_OF, "--trust", "nowhere.json")).toBe(2);
    desk.write("broken.json", "{}");
    expect(await desk.run("fetch", URL_OF, "--trust", "broken.json")).toBe(2);
    expect(sent).toEqual([]);
  });
});

describe("counterfoil verify", () => {
  let receipt: string;

  beforeEach(async () => {
    const { headers } = await desk.send({ method: "GET", url: URL_OF, headers: [] });
    receipt = headers.get("audit-receipt")!;
    desk.write("receipt.jws", `${receipt}\n`);
  });

  test("proves a bare receipt signed, and says what it takes to prove more", async () => {
    expect(await desk.run("verify", "receipt.jws", "--trust", "trust.json")).toBe(0);
    expect(desk.err).toBe("");
    expect(desk.out).toMatch(/^proven +signed$/m);
    expect(desk.out).toMatch(
      /^not proven +that it is in the ledger; .*: counterfoil proof https:\S+receipts\/\S+$/m,
    );
    expect(desk.out).toMatch(/^ledger +api\.example\.com\/audit\/main, index 1$/m);
  });

  test("reads standard input, and takes the trust document from the issuer when none is given", async () => {
    desk.input = new TextEncoder().encode(receipt);
    const { code, json } = await desk.runJson("verify", "-");
    expect(code).toBe(0);
    expect(json).toMatchObject({ rungs: ["signed"], trust: { from: `${PREFIX}trust`, origin: "operator" } });
  });

  test("compares what is given of the exchange", async () => {
    desk.write("body", "GET /v1/orders?page=2 ");
    const args = [
      "verify",
      "receipt.jws",
      "--trust",
      "trust.json",
      "--body",
      "body",
      "--url",
      URL_OF,
      "--method",
      "GET",
    ];
    const { json } = await desk.runJson(...args);
    expect(json).toMatchObject({
      rungs: ["signed", "matched"],
      matched: ["method", "host", "path", "response body"],
    });
    expect(json.uncompared).toEqual(["query (not given)", "request body (not given)", "status (not given)"]);
    desk.write("body", "GET /v1/orders?page=3 ");
    expect(await desk.run(...args)).toBe(1);
    expect(desk.err).toMatch(/^wrong +mismatched: the response body/);
  });

  test("matches status, body and query of a response as curl prints it", async () => {
    desk.write("response.txt", await curl(URL_OF));
    const args = ["verify", "response.txt", "--trust", "trust.json", "--url", URL_OF];
    const { code, json } = await desk.runJson(...args);
    expect(code).toBe(0);
    expect(json.matched).toEqual(["host", "path", "query", "status", "response body"]);
    expect(await desk.run(...args.slice(0, -1), URL_OF.replace("2", "3"))).toBe(1);
    expect(desk.err).toContain("query");
  });

  test("says of a receipt of the beginning that the ending has another", async () => {
    desk.write("response.txt", await curl(`${ISSUER}/stream`));
    expect(await desk.run("verify", "response.txt", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^note +this receipt says only that the exchange began/m);
    expect(desk.out).toContain("response body (not in the receipt)");
  });

  test("proves inclusion and anchoring from files, without a network", async () => {
    await world.publish();
    await world.anchor();
    expect(await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof")).toBe(0);
    desk.write("anchor.jws", world.anchors.objects.get("anchors/0000000000.jws")!);
    const offline = new Desk();
    for (const [name, bytes] of desk.files) offline.files.set(name, bytes);
    const { code, json } = await offline.runJson(
      "verify",
      "it.tlog-proof",
      "--trust",
      "trust.json",
      "--anchor",
      "anchor.jws",
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({
      rungs: ["signed", "included", "anchored"],
      checkpoint: { size: 2 },
      anchor: { epoch: 0 },
    });
  });

  test("fetches the tiles that link a proof to a later anchor", async () => {
    await world.publish();
    await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof");
    await grow(world, 300);
    desk.write("anchor.jws", world.anchors.objects.get("anchors/0000000000.jws")!);
    const args = ["verify", "it.tlog-proof", "--trust", "trust.json", "--anchor", "anchor.jws"];
    expect((await desk.runJson(...args)).json).toMatchObject({ rungs: ["signed", "included", "anchored"] });
    flip(world.archive.objects, `${LEDGER}/tile/0/000`, 100);
    const { code, json } = await desk.runJson(...args);
    expect([code, json.outcome]).toEqual([2, "undecided"]);
  });

  test("cannot tell when the anchor is older than the proof's tree", async () => {
    await grow(world, 1);
    desk.write("anchor.jws", world.anchors.objects.get("anchors/0000000000.jws")!);
    await grow(world, 1);
    await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof");
    const { code, json } = await desk.runJson(
      "verify",
      "it.tlog-proof",
      "--trust",
      "trust.json",
      "--anchor",
      "anchor.jws",
    );
    expect([code, json.code]).toEqual([2, "not-yet-included"]);
  });

  test("finds every single changed character of a receipt", async () => {
    for (let at = 0; at < receipt.length; at += 11) {
      const other = receipt[at] === "A" ? "B" : "A";
      desk.write("receipt.jws", receipt.slice(0, at) + other + receipt.slice(at + 1));
      const { code, json } = await desk.runJson("verify", "receipt.jws", "--trust", "trust.json");
      expect([1, 2], `character ${at}`).toContain(code);
      // What names the key is not of a key that is known; all else contradicts a signature.
      if (code === 2) expect(["unknown-key", undefined]).toContain(json.code);
    }
  });

  test("finds an altered receipt wrong, whatever it says then", async () => {
    const [header, , signature] = receipt.split(".");
    const { record } = parseReceipt(receipt).entry;
    const payload = Buffer.from(JSON.stringify({ ...record, iss: "https://other.example.com" })).toString(
      "base64url",
    );
    desk.write("receipt.jws", `${header}.${payload}.${signature}`);
    const { code, json } = await desk.runJson("verify", "receipt.jws", "--trust", "trust.json");
    expect([code, json.code]).toEqual([1, "bad-signature"]);
  });

  test("cannot tell with the trust document of somebody else", async () => {
    const other = { ...world.trust, issuer: "https://other.example.com" };
    desk.write("other.json", formatTrust(other));
    const answers = [await desk.runJson("verify", "receipt.jws", "--trust", "other.json")];
    desk.write("other.json", formatTrust({ ...world.trust, ledgers: [] }));
    answers.push(await desk.runJson("verify", "receipt.jws", "--trust", "other.json"));
    desk.write("other.json", formatTrust({ ...world.trust, receiptKeys: [(await fixedKey("x")).publicJwk] }));
    answers.push(await desk.runJson("verify", "receipt.jws", "--trust", "other.json"));
    expect(answers.map(({ code, json }) => [code, json.code])).toEqual([
      [2, "wrong-origin"],
      [2, "wrong-origin"],
      [2, "unknown-key"],
    ]);
  });

  test("finds a proof that was altered, and one of another entry", async () => {
    await grow(world, 4);
    await desk.run("proof", "receipt.jws", "--trust", "trust.json", "-o", "it.tlog-proof");
    const proof = desk.read("it.tlog-proof");
    desk.write("it.tlog-proof", proof.replace("index 1", "index 2"));
    expect(await desk.run("verify", "it.tlog-proof", "--trust", "trust.json")).toBe(1);
    const hash = /index 1\n(.)/.exec(proof)![1]!;
    desk.write("it.tlog-proof", proof.replace(`index 1\n${hash}`, `index 1\n${hash === "A" ? "B" : "A"}`));
    const { code, json } = await desk.runJson("verify", "it.tlog-proof", "--trust", "trust.json");
    expect([code, json.code]).toEqual([1, "not-included"]);
  });

  test("says that an anchor needs a proof", async () => {
    await grow(world, 1);
    desk.write("anchor.jws", world.anchors.objects.get("anchors/0000000000.jws")!);
    expect(await desk.run("verify", "receipt.jws", "--trust", "trust.json", "--anchor", "anchor.jws")).toBe(
      2,
    );
    expect(desk.err).toContain("counterfoil proof");
  });
});

describe("counterfoil proof", () => {
  beforeEach(async () => {
    desk.write("response.txt", await curl(URL_OF));
  });

  test("writes a proof that it has checked to standard output, and the verdict to standard error", async () => {
    await world.publish();
    expect(await desk.run("proof", "response.txt", "--url", ISSUER, "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^c2sp\.org\/tlog-proof@v1\nextra /);
    expect(desk.err).toMatch(/^proven +signed, included$/m);
  });

  test("takes the address of a receipt", async () => {
    await world.publish();
    const address = /<([^>]*)>; rel="audit-receipt"/.exec(desk.read("response.txt"))![1]!;
    expect(await desk.run("proof", address, "-o", "it.tlog-proof")).toBe(0);
    expect(desk.out).toBe("");
    expect(await desk.run("verify", "it.tlog-proof")).toBe(0);
  });

  test("gives the proof of the ending for a receipt of the beginning", async () => {
    desk.write("response.txt", await curl(`${ISSUER}/stream`));
    await settle();
    await world.publish();
    const { code, json } = await desk.runJson(
      "proof",
      "response.txt",
      "--trust",
      "trust.json",
      "-o",
      "it.tlog-proof",
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({ record: { stage: "complete" } });
  });

  test("cannot tell yet while the entry is not published", async () => {
    const { code, json } = await desk.runJson(
      "proof",
      "response.txt",
      "--trust",
      "trust.json",
      "--wait",
      "0",
      "-o",
      "it",
    );
    expect([code, json.code]).toEqual([2, "not-yet-included"]);
    expect(desk.files.has("it")).toBe(false);
  });

  test("writes nothing that does not hold", async () => {
    await world.publish();
    alter(
      url => url.endsWith("/proof"),
      (_, body) => ({
        body: streamOf(body.with(body.length - 12, body.at(-12) === 65 ? 66 : 65)),
      }),
    );
    const { code, json } = await desk.runJson("proof", "response.txt", "--trust", "trust.json", "-o", "it");
    expect([code, json.code]).toEqual([1, "bad-signature"]);
    expect(desk.files.has("it")).toBe(false);
  });

  test("finds the proof of another exchange mismatched", async () => {
    const receipts = await world.append({}, {});
    await world.publish();
    const other = parseReceipt(receipts[1]!).entry.record.jti;
    const { send } = desk;
    desk.send = request =>
      send({ ...request, url: request.url.replace(/receipts\/[^/]+/, `receipts/${other}`) });
    const { code, json } = await desk.runJson("proof", "response.txt", "--trust", "trust.json", "-o", "it");
    expect([code, json.code]).toEqual([1, "mismatched"]);
  });

  test("makes the proof from the public tiles when the operator has forgotten the exchange", async () => {
    const [receipt] = await world.append({});
    await world.publish();
    desk.write("receipt.jws", receipt!);
    desk.send = forgetful(desk.send);
    expect(await desk.run("proof", "receipt.jws", "--trust", "trust.json", "--wait", "0")).toBe(0);
    expect(parseProof(desk.out).index).toBe(parseReceipt(receipt!).entry.header.index);
  });

  test("finds that another entry stands where a genuine receipt says it was placed", async () => {
    const [receipt] = await world.append({});
    desk.write("receipt.jws", receipt!);
    const rewound = await createWorld();
    await rewound.append(...Array.from({ length: 30 }, () => ({ ms: 99 })));
    await rewound.publish();
    desk.send = forgetful(openEdge(rewound, () => new Response("x")).send);
    const { code, json } = await desk.runJson("proof", "receipt.jws", "--trust", "trust.json", "--wait", "0");
    expect([code, json.code, json.index]).toEqual([1, "forked", parseReceipt(receipt!).entry.header.index]);
  });

  test("says that there is no such exchange", async () => {
    const { jti } = parseReceipt((await world.append({}))[0]!).entry.record;
    expect(await desk.run("proof", `${PREFIX}receipts/not-${jti}`, "--wait", "0")).toBe(2);
    expect(desk.err).toContain("there is no exchange of this id");
  });
});

describe("counterfoil doctor", () => {
  test("says that all is well, and how far the ledgers are", async () => {
    await world.append({});
    await world.publish();
    expect(await desk.run("doctor", ISSUER)).toBe(0);
    expect(desk.out).toMatch(/^well /);
    expect(desk.out).toMatch(/^ledger main +open, 2 entries, 2 published$/m);
  });

  test("explains why a ledger has halted, and the ways out", async () => {
    world.ledger.halt(new Fault("rolled-back", "storage is older than what was published"));
    expect(await desk.run("doctor", ISSUER)).toBe(1);
    expect(desk.out).toMatch(
      /^ledger main +halted \(rolled-back\): storage is older than what was published$/m,
    );
    expect(desk.out).toContain("restore the storage that was current");
    expect((await desk.runJson("doctor", ISSUER)).json).toMatchObject({
      outcome: "wrong",
      ledgers: [{ name: "main", state: "halted", halted: { code: "rolled-back" } }],
    });
  });

  test("shows what a person should know of though all is well, and what to do about it", async () => {
    const { send } = desk;
    const reason = "2 exchanges have no ending\u001b[2J";
    desk.send = async request => {
      const { ledgers, ...rest } = (await new Response((await send(request)).body as BodyInit).json()) as {
        ledgers: object[];
      };
      const alerts = [
        { code: "unfinished", reason },
        { code: "new-one", reason: "?" },
      ];
      const body = JSON.stringify({ ...rest, ledgers: ledgers.map(ledger => ({ ...ledger, alerts })) });
      return { status: 200, headers: new Headers(), body: streamOf(body) };
    };
    expect(await desk.run("doctor", ISSUER)).toBe(0);
    expect(desk.out).toMatch(/^well /);
    expect(desk.out).toMatch(/^alert +ledger main \(unfinished\): 2 exchanges have no ending\\u\{1b\}\[2J$/m);
    expect(desk.out).toMatch(/^what to do +an edge ended while these were under way/m);
    expect(desk.out).toMatch(
      /^what to do +see docs\/operations.md, Health, of the edge's own version, on "new-one"$/m,
    );
    expect((await desk.runJson("doctor", ISSUER)).json).toMatchObject({
      ledgers: [{ alerts: [{ code: "unfinished" }, { code: "new-one" }] }],
    });
  });

  test("knows what to do about every alert that an edge can give", () => {
    const source = readFileSync("durable/alerts.ts", "utf8");
    const codes = [...source.matchAll(/code: "([a-z-]+)", reason/g)].map(([, code]) => code!);
    expect(codes.length).toBeGreaterThan(4);
    expect(Object.keys(ALERTS)).toEqual(expect.arrayContaining(codes));
  });

  test("knows what to do about the same codes as docs/operations.md", () => {
    const page = readFileSync("docs/operations.md", "utf8");
    const [, troubles, alerts] = page.slice(page.indexOf("\n## Health\n")).split("\n| code |", 3);
    const codesOf = (table = "") =>
      [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) => cell!.match(/[a-z-]+/g)!).sort();
    expect(codesOf(troubles)).toEqual(Object.keys(WAYS_OUT).sort());
    expect(codesOf(alerts!.split("\n## ")[0])).toEqual(Object.keys(ALERTS).sort());
  });

  test("cannot tell where there is no edge", async () => {
    desk.send = async () => ({ status: 404, headers: new Headers(), body: streamOf("") });
    expect(await desk.run("doctor", ISSUER)).toBe(2);
  });
});

describe("counterfoil audit", () => {
  beforeEach(() => grow(world, 3, 4));

  test("audits a running edge with the operator's token, from a file or the environment", async () => {
    desk.write("token.txt", `${OPERATOR_TOKEN}\n`);
    const { code, json } = await desk.runJson(
      "audit",
      ISSUER,
      "--trust",
      "trust.json",
      "--token",
      "token.txt",
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({
      outcome: "proven",
      archive: PREFIX,
      anchors: { count: 2 },
      ledgers: [{ entries: 8 }],
    });
    desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
    expect((await desk.runJson("audit", PREFIX, "--trust", "trust.json")).json).toMatchObject({
      ledgers: [{ entries: 8 }],
    });
  });

  test("audits all but the entries without a token, and says so", async () => {
    expect(await desk.run("audit", ISSUER, "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^proven +all that was read holds together$/m);
    expect(desk.out).toMatch(
      /^ledger main +8 entries published, 8 recomputed to a signed root, 8 under an anchor$/m,
    );
    expect(desk.out).toMatch(/^ledger main +entries were not read/m);
  });

  test("cannot tell with a token that is not accepted", async () => {
    desk.variables.set("COUNTERFOIL_TOKEN", "a-token-of-somebody-else");
    expect(await desk.run("audit", ISSUER)).toBe(2);
    expect(desk.err).toContain("token was not accepted");
  });

  test("sends the token with nothing but entry bundles", async () => {
    desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
    const { send } = desk;
    const withToken: string[] = [];
    desk.send = request => {
      if (request.headers.some(([name]) => name === "authorization")) withToken.push(request.url);
      return send(request);
    };
    expect(await desk.run("audit", ISSUER)).toBe(0);
    expect(withToken.filter(url => !url.startsWith(`${PREFIX}main/tile/entries/`))).toEqual([]);
    expect(withToken).not.toEqual([]);
  });

  test("audits a folder, with the trust document that lies in it", async () => {
    for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
    desk.write("copy/trust", formatTrust(world.trust));
    const { code, json } = await desk.runJson("audit", "copy");
    expect(code).toBe(0);
    expect(json).toMatchObject({
      trust: { from: "copy/trust", origin: "folder" },
      ledgers: [{ entries: 8 }],
    });
  });

  test("names what is wrong, where, with what was expected and found, and what that means", async () => {
    const objects = copyOf(world);
    flip(objects, `${LEDGER}/tile/entries/000.p/8`, 1500);
    flip(objects, "anchors/0000000001.jws", 500);
    for (const [path, bytes] of objects) desk.write(`copy/${path}`, bytes);
    expect(await desk.run("audit", "copy", "--trust", "trust.json")).toBe(1);
    expect(desk.out).toMatch(/^wrong +tampered: main\/tile\/entries\/000\.p\/8: entry \d was altered$/m);
    expect(desk.out).toMatch(/^where +main\/tile\/entries\/000\.p\/8, ledger main, index \d$/m);
    expect(desk.out).toMatch(
      /^expected +leaf hash .*\nfound +leaf hash .*\nmeaning +Stored bytes do not hash/m,
    );
    expect(desk.out).toMatch(/^also +\S+: anchors\/0000000001\.jws/m);
  });

  test("finds that the newest anchor is not the one that was kept", async () => {
    desk.write("kept.jws", world.anchors.objects.get("anchors/0000000001.jws")!);
    world.anchors.objects.delete("anchors/0000000001.jws");
    const { code, json } = await desk.runJson(
      "audit",
      ISSUER,
      "--trust",
      "trust.json",
      "--anchor",
      "kept.jws",
    );
    expect(code).toBe(1);
    expect(json.problems).toMatchObject([{ code: "truncated", path: "anchors/0000000001.jws", epoch: 1 }]);
  });

  test("lists exchanges without an ending", async () => {
    await world.append({ jti: plainJti(99), stage: "received" });
    await world.publish();
    desk.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
    expect(await desk.run("audit", ISSUER)).toBe(0);
    expect(desk.out).toMatch(/^no ending +index 8, received at .*, id \S+$/m);
    expect((await desk.runJson("audit", ISSUER)).json).toMatchObject({ ledgers: [{ open: 1 }] });
  });
});

describe("counterfoil trust", () => {
  test("prints the document as it is, and a summary to standard error", async () => {
    expect(await desk.run("trust", ISSUER)).toBe(0);
    expect(desk.out).toBe(formatTrust(world.trust));
    expect(desk.err).toContain(world.receiptKey.kid);
  });

  test("writes a file that can be given as --trust", async () => {
    expect(await desk.run("trust", PREFIX, "-o", "kept.json")).toBe(0);
    expect(desk.out).toBe("");
    await desk.run("fetch", URL_OF, "--trust", "kept.json");
    expect(desk.err).toMatch(/^trust +kept\.json$/m);
  });

  test("cannot tell where there is no edge", async () => {
    alter(
      () => true,
      () => ({ status: 404 }),
    );
    expect(await desk.run("trust", `${ISSUER}/some/where`)).toBe(2);
    expect(desk.err).toContain(`${PREFIX}trust (status 404), ${ISSUER}/some/where/trust (status 404)`);
  });
});

describe("wrong input of any kind", () => {
  const answers = async (...args: string[]) => {
    const code = await desk.run(...args);
    expect(desk.err).not.toMatch(/\n\s+at /);
    return { code, err: desk.err };
  };

  test.each([
    ["empty", "", "it is empty"],
    ["JSON", '{"a":1}', "JSON: {"],
    ["markup", "<html>", "markup: <html>"],
    ["plain text", "hello", "hello"],
    ["a head without a receipt", "HTTP/1.1 200 OK\r\n\r\n", "no receipt"],
    ["a head that is cut off", "HTTP/1.1 200 OK\r\nServer: x", "cut off"],
    ["a proof that is cut off", "c2sp.org/tlog-proof@v1\nindex 3\n", "cut off"],
  ])("is undecided: %s", async (_, content, words) => {
    desk.write("input", content);
    const { code, err } = await answers("verify", "input", "--trust", "trust.json");
    expect(code).toBe(2);
    expect(err).toContain(words);
  });

  test("is undecided: a receipt that is cut off anywhere", async () => {
    const [receipt] = await world.append({});
    for (let length = 3; length < receipt!.length; length += 37) {
      desk.write("input", receipt!.slice(0, length));
      const { code, err } = await answers("verify", "input", "--trust", "trust.json");
      expect([code, err.includes("cut off")], `${length} characters`).toEqual([2, true]);
    }
  });

  test("is undecided: a body that is cut off", async () => {
    desk.write("input", (await curl(URL_OF)).slice(0, -3));
    const { code, err } = await answers("verify", "input", "--trust", "trust.json");
    expect([code, err.includes("body of the response is cut off")]).toEqual([2, true]);
  });

  test("is not: a receipt in place of the name of a file, or a field that has one", async () => {
    const receipt = (await world.append({}))[0]!;
    desk.write("input", `audit-receipt: ${receipt}\n`);
    for (const named of [receipt, `audit-receipt: ${receipt}`, "input"]) {
      expect(await desk.run("verify", named, "--trust", "trust.json")).toBe(0);
      expect(desk.out).toMatch(/^proven +signed$/m);
    }
    for (const cut of [receipt.slice(0, -9), `Audit-Receipt: ${receipt.slice(0, 300)}`]) {
      expect(await desk.run("verify", cut, "--trust", "trust.json")).toBe(2);
      expect(desk.err).toMatch(/^undecided .*the receipt that was given.*cut off$/m);
    }
    const altered = receipt.slice(0, -8) + (receipt.at(-8) === "A" ? "B" : "A") + receipt.slice(-7);
    expect(await desk.run("verify", altered, "--trust", "trust.json")).toBe(1);
    expect(desk.err).toMatch(/^wrong +bad-signature:/);
    expect(desk.err).toMatch(/^where +the receipt that was given$/m);
  });

  test.each([
    [[], "Usage: counterfoil"],
    [["verify"], "\nAdd --help to see how it is used."],
    [["keys", "frobnicate"], "\nAdd --help to see how it is used."],
    [["verify", URL_OF], `${URL_OF}: a file is needed here\nexpected`],
    [["verify", URL_OF], "or counterfoil fetch, which asks there and verifies the answer"],
    [["frobnicate"], "unknown command"],
    [["verify"], "missing required argument"],
    [["verify", "nowhere"], "nowhere: there is no such file"],
    [["verify", "trust.json", "--frobnicate"], "unknown option"],
    [["fetch", "api.example.com"], "this is not a URL"],
    [["fetch", "ftp://api.example.com"], "this is not a URL"],
    [["fetch", URL_OF, "-H", "no colon"], "this is not a header field"],
    [["fetch", URL_OF, "-d", "@nowhere"], "nowhere: there is no such file"],
    [["proof", `${ISSUER}/v1/orders`], "this is not the address of a receipt"],
    [["proof", "trust.json", "--wait", "soon"], "whole number of seconds"],
    [["audit", "nowhere"], "there is no such folder"],
    [["trust", "nowhere"], "this is not a URL"],
  ])("is undecided: %j", async (args, words) => {
    const { code, err } = await answers(...args);
    expect(code).toBe(2);
    expect(err).toContain(words);
  });

  test("is undecided: no network", async () => {
    desk.send = new Desk().send;
    for (const args of [
      ["fetch", URL_OF],
      ["trust", ISSUER],
      ["audit", ISSUER],
    ]) {
      const { code, err } = await answers(...args);
      expect([code, err.includes("no answer from")]).toEqual([2, true]);
    }
  });
});

describe("what is printed", () => {
  test("has no control characters of a receipt's", async () => {
    const [receipt] = await world.append({ req: { method: "GET", path: "/\u001b[2Jgone\u202e" } });
    desk.write("receipt.jws", receipt!);
    await desk.run("verify", "receipt.jws", "--trust", "trust.json");
    expect(desk.out).toContain("/\\u{1b}[2Jgone\\u{202e}");
  });

  test("has colours on a terminal only, and not with NO_COLOR", async () => {
    await desk.run("fetch", URL_OF);
    expect(desk.err).not.toContain("\u001b");
    desk.isTerminal.err = true;
    await desk.run("fetch", URL_OF);
    expect(desk.err).toContain("\u001b[32mproven");
    desk.variables.set("NO_COLOR", "1");
    await desk.run("fetch", URL_OF);
    expect(desk.err).not.toContain("\u001b");
  });

  test.each(["fetch", "verify", "proof", "audit", "trust"])(
    "is help with an example for %s",
    async command => {
      expect(await desk.run(command, "--help")).toBe(0);
      expect(desk.out).toMatch(new RegExp(`Examples?:\\n {2}\\$ .*counterfoil ${command} `));
      expect(await desk.run("--help")).toBe(0);
      expect(desk.out).toContain(`counterfoil ${command}`);
    },
  );

  test("is the version", async () => {
    expect(await desk.run("--version")).toBe(0);
    expect(desk.out).toBe("1.2.3\n");
  });
});

describe("serve", () => {
  test("runs an edge as it was told to, and says where it answers", async () => {
    const tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--tls-client-ca", "ca.pem"];
    expect(
      await desk.run("serve", "--state", "./state", "--port", "443", "--drain-notice", "5", ...tls),
    ).toBe(0);
    expect(desk.edge).toEqual({
      ...{ config: "wrangler.toml", state: "./state", host: "127.0.0.1", port: 443 },
      tls: { cert: "cert.pem", key: "key.pem", clientCa: "ca.pem" },
      ...{ noticeMs: 5000, finishMs: 20_000 },
    });
    expect(desk.out).toContain("trust      https://api.example.com/audit/trust\n");
  });

  test.each([
    [["serve"], "--state"],
    [["serve", "--state", "s", "--tls-cert", "c"], "both --tls-cert and --tls-key"],
    [["serve", "--state", "s", "--tls-client-ca", "c"], "both --tls-cert and --tls-key"],
    [["serve", "--state", "s", "--port", "70000"], "0 to 65535"],
    [["serve", "--state", "s", "--drain-wait", "soon"], "seconds"],
  ])("refuses %j", async (args, reason) => {
    expect(await desk.run(...args)).toBe(2);
    expect(desk.err).toContain(reason);
    expect(desk.edge).toBeUndefined();
  });
});

describe("witness", () => {
  const WITNESS = ["witness", "--name", "witness.example/w1", "--state", "./witness"];

  test("cosigns for the ledgers of a trust document and for those named by key", async () => {
    const key = formatVerifierKey(makeNoteKey("other.example/log", ED25519, new Uint8Array(32)));
    expect(await desk.run(...WITNESS, "--trust", "trust.json", "--log", key, "--port", "0")).toBe(0);
    expect(desk.witness).toMatchObject({ name: "witness.example/w1", state: "./witness", port: 0 });
    expect(desk.witness!.logs.map(({ name }) => name)).toEqual(["other.example/log", ORIGIN]);
    expect(desk.out).toContain("cosigns    other.example/log");
  });

  test.each([
    [[], "there is no ledger to cosign for"],
    [["--log", "no key"], "--log"],
    [["--log", "x", "--port", "65536"], "Expected a number from 0 to 65535"],
  ])("says what is wrong with %j", async (options, message) => {
    expect(await desk.run(...WITNESS, ...options)).toBe(2);
    expect(desk.err).toContain(message);
    expect(desk.witness).toBeUndefined();
  });
});
