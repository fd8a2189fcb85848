// The SDK, as a program uses it: against a real edge in this process.
import { beforeEach, describe, expect, test } from "vitest";
import {
  createTrust,
  disclose,
  Fault,
  type Fetch,
  fetchProof,
  formatTrust,
  openDisclosure,
  parseSeed,
  type Trust,
  Undecided,
  verifyExchange,
  verifyReceipt,
} from "../../../src/client/index.ts";
import { fixedKey, ISSUER, type World } from "../../world.ts";
import { openEdge } from "./edge.ts";
import { failureOf, fetchOver, openClient, PREFIX, refuse, URL_OF, type Web, withBody } from "./web.ts";

let world: World;
let web: Web;
let fetch: Fetch;
let trust: Trust;

beforeEach(async () => {
  ({ world, web, fetch, trust } = await openClient());
});

describe("createTrust", () => {
  test("pins what it has fetched at first use, and asks nobody again", async () => {
    const store = new Map<string, string>();
    const first = await createTrust(ISSUER, { store, fetch });
    const calls = web.sent.length;
    expect(await createTrust(ISSUER, { store, fetch })).toEqual(first);
    expect(web.sent.length).toBe(calls);
    expect(first.issuer).toBe(ISSUER);
  });

  test("keeps the first keys when the API shows others", async () => {
    const store = new Map<string, string>();
    await createTrust(ISSUER, { store, fetch });
    const other = await fixedKey("another receipt key");
    const shown = formatTrust({ ...world.trust, receiptKeys: [other.publicJwk] });
    web.onTheWay = (response, { url }) => (url.endsWith("/trust") ? new Response(shown) : response);
    expect((await createTrust(ISSUER, { store, fetch })).receiptKeys[0]!.kid).toBe(world.receiptKey.kid);
  });

  test.each([
    ["no store for a URL", () => createTrust(ISSUER, { fetch }), "wrong-input"],
    ["an empty text", () => createTrust(""), "malformed"],
    ["a receipt", () => createTrust("eyJ.e30.AAAA"), "malformed"],
    ["null", () => createTrust(null as unknown as string), "malformed"],
    [
      "a pin that was altered",
      () => createTrust(ISSUER, { store: { get: () => "{", set() {} } }),
      "malformed",
    ],
    ["no network", () => createTrust(ISSUER, { store: new Map(), fetch: refuse }), "no-answer"],
  ])("is undecided: %s", async (_, run, code) => {
    const error = await failureOf(run());
    expect(error).toBeInstanceOf(Undecided);
    expect(error).toMatchObject({ code });
  });
});

describe("verifyReceipt", () => {
  test("says what is proven, and of what", async () => {
    const { headers } = await fetch(URL_OF);
    const exchange = { url: URL_OF, method: "GET" };
    const seed = headers.get("audit-receipt-seed")!;
    const { rungs, matched } = await verifyReceipt(headers.get("audit-receipt"), trust, { exchange, seed });
    expect(rungs).toEqual(["signed", "matched"]);
    expect(matched).toEqual(["method", "host", "path", "query"]);
  });

  test.each([
    ["null", null, "wrong-input"],
    ["a number", 7, "wrong-input"],
    ["an empty text", "", "wrong-input"],
    ["JSON", '{"a":1}', "wrong-input"],
    ["a receipt that is cut off", "eyJhbGciOiJFZDI1NTE5In0.eyJhIjox", "wrong-input"],
  ])("is undecided of %s", async (_, receipt, code) => {
    const error = await failureOf(verifyReceipt(receipt as string, trust));
    expect(error).toBeInstanceOf(Undecided);
    expect(error).toMatchObject({ code });
  });

  test("is undecided without trust", async () => {
    const error = await failureOf(verifyReceipt("eyJ.e30.AA", undefined as unknown as Trust));
    const message = "expected trust, as createTrust gives it";
    expect(error).toMatchObject({ name: "Undecided", code: "wrong-input", message });
  });
});

describe("verifyExchange", () => {
  test("compares all parts, and leaves the response to be read", async () => {
    const request = new Request(URL_OF, { method: "POST", body: "tea" });
    const response = await fetch(request.clone());
    const { matched, uncompared } = await verifyExchange(request, response, trust, { fetch });
    expect(matched).toHaveLength(7);
    expect(uncompared).toEqual([]);
    expect(await response.text()).toBe("POST /v1/orders?page=2 tea");
  });

  test("fetches the receipt of the ending of a stream", async () => {
    const request = new Request(`${ISSUER}/stream`);
    const response = await fetch(request);
    const work = verifyExchange(request, response, trust, { fetch });
    expect((await work).receipt.entry.record.stage).toBe("complete");
  });

  test("finds it wrong that a body, a status or a request was changed", async () => {
    const verify = (request: Request, response: Response) =>
      failureOf(verifyExchange(request, response, trust, { fetch }));
    const request = new Request(URL_OF);
    const response = await fetch(request.clone());
    const mismatched = { name: "Fault", code: "mismatched" };
    expect(await verify(request, withBody(response.clone(), "other"))).toMatchObject(mismatched);
    const { headers } = response;
    const body = await response.text();
    expect(await verify(request, new Response(body, { status: 201, headers }))).toMatchObject(mismatched);
    const other = new Request(`${ISSUER}/v1/others`);
    expect(await verify(other, new Response(body, { headers }))).toMatchObject(mismatched);
  });

  test("cannot tell of a body whose coding fetch has undone, but of all else", async () => {
    const request = new Request(URL_OF);
    const response = await fetch(request.clone());
    const headers = new Headers(response.headers);
    headers.set("content-encoding", "gzip");
    const decoded = new Response("decoded", { headers });
    const work = verifyExchange(request, decoded.clone(), trust, { fetch });
    expect(await failureOf(work)).toMatchObject({ name: "Undecided", code: "not-covered" });
    const other = new Request(`${ISSUER}/v1/others`);
    expect(await failureOf(verifyExchange(other, decoded, trust, { fetch }))).toBeInstanceOf(Fault);
  });

  test("cannot tell of what a cache has put together from a 304", async () => {
    const upstream = openEdge(world, () => new Response(null, { status: 304 }));
    const cached = fetchOver(upstream.send);
    const request = new Request(URL_OF);
    const { headers } = await cached(request.clone());
    const response = new Response("kept by the cache", { headers });
    const error = await failureOf(verifyExchange(request, response, trust, { fetch: cached }));
    expect(error).toMatchObject({ name: "Undecided", code: "not-covered" });
  });

  test("is undecided without a receipt, or when the response was read", async () => {
    const request = new Request(URL_OF);
    expect(await failureOf(verifyExchange(request, new Response("x"), trust))).toMatchObject({
      code: "no-receipt",
    });
    const read = await fetch(request);
    await read.text();
    expect(await failureOf(verifyExchange(request, read, trust))).toMatchObject({ code: "wrong-input" });
  });

  test("cannot tell of a response that is another's: by its seed, its trace, or a redirect", async () => {
    const notCovered = { name: "Undecided", code: "not-covered" };
    const verify = (request: Request, response: Response) =>
      failureOf(verifyExchange(request, response, trust, { fetch }));
    const other = await fetch(`${ISSUER}/v1/orders?page=1`);
    other.headers.delete("audit-receipt-seed");
    expect(await verify(new Request(URL_OF), other)).toMatchObject(notCovered);
    const headersOf = (digit: string) => ({ traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-00` });
    const old = await fetch(URL_OF, { headers: headersOf("7") });
    expect(await verify(new Request(URL_OF, { headers: headersOf("8") }), old)).toMatchObject(notCovered);
    const url = `${ISSUER}/v1/others`;
    const led = async (response: Response) =>
      Object.defineProperties(response, { url: { value: url }, redirected: { value: true } });
    expect(await verify(new Request(URL_OF), await led(await fetch(url)))).toMatchObject(notCovered);
    expect(await verify(new Request(url, { method: "POST" }), await led(await fetch(url)))).toMatchObject(
      notCovered,
    );
    const verdict = await verifyExchange(new Request(url), await led(await fetch(url)), trust, { fetch });
    expect(verdict.uncompared).toEqual([]);
  });

  test("asks the issuer for the receipt of an ending, when the API was reached by another name", async () => {
    const request = new Request("http://alias.example.com/stream");
    const response = await fetch(request);
    const { receipt } = await verifyExchange(request, response, trust, { fetch });
    expect(receipt.entry.record).toMatchObject({ stage: "complete", req: { host: "alias.example.com" } });
  });

  test("is undecided of what is neither a request nor a response", async () => {
    const nothing = undefined as unknown as Request;
    const ofNothing = verifyExchange(nothing, new Response(), trust);
    expect(await failureOf(ofNothing)).toMatchObject({ code: "wrong-input" });
    const without = verifyExchange(new Request(URL_OF), {} as Response, trust);
    expect(await failureOf(without)).toMatchObject({ code: "wrong-input" });
  });

  test("asks nobody but the API and its issuer for the receipt of an ending", async () => {
    const request = new Request(`${ISSUER}/stream`);
    const response = await fetch(request);
    await response.clone().text();
    const headers = new Headers(response.headers);
    headers.set("link", '<http://169.254.169.254/receipts/x>; rel="audit-receipt"');
    const led = new Response(response.body, { headers });
    const error = await failureOf(verifyExchange(request, led, trust, { fetch }));
    expect(error).toMatchObject({ name: "Undecided", code: "not-covered" });
    expect(web.sent.map(({ url }) => new URL(url).origin)).not.toContain("http://169.254.169.254");
  });
});

describe("fetchProof", () => {
  test("gives the proof of a receipt, once it is published", async () => {
    const { headers } = await fetch(URL_OF);
    await world.publish();
    const { bytes, verdict } = await fetchProof(headers.get("audit-receipt"), trust, { fetch, waitS: 0 });
    expect(verdict.rungs).toEqual(["signed", "included"]);
    const proof = new TextDecoder().decode(bytes);
    expect((await verifyReceipt(headers.get("audit-receipt"), trust, { proof })).rungs).toContain("included");
  });

  test("is undecided before that, and without a network", async () => {
    const { headers } = await fetch(URL_OF);
    const receipt = headers.get("audit-receipt");
    expect(await failureOf(fetchProof(receipt, trust, { fetch, waitS: 0 }))).toMatchObject({
      code: "not-yet-included",
    });
    expect(await failureOf(fetchProof(receipt, trust, { fetch: refuse }))).toMatchObject({
      code: "no-answer",
    });
  });
});

describe("openDisclosure", () => {
  test("opens what the record commits to, and nothing else", async () => {
    const { headers } = await fetch(URL_OF);
    const receipt = headers.get("audit-receipt");
    const seed = parseSeed(headers.get("audit-receipt-seed")!);
    const opened = await openDisclosure(receipt, disclose(seed, "query", "page=2"), trust);
    expect(opened).toEqual({ name: "query", value: "page=2" });
    const wrong = openDisclosure(receipt, disclose(seed, "query", "page=3"), trust);
    expect(await failureOf(wrong)).toMatchObject({ name: "Fault", code: "not-disclosed" });
    expect(await failureOf(openDisclosure(receipt, "{}", trust))).toMatchObject({ code: "malformed" });
    const nothing = openDisclosure(receipt, undefined as unknown as string, trust);
    expect(await failureOf(nothing)).toMatchObject({ code: "wrong-input" });
  });
});

test("a page of another origin may wait for a receipt, and see what the answer says", async () => {
  const asked = await fetch(`${PREFIX}receipts/x`, { method: "OPTIONS" });
  expect(asked.status).toBe(204);
  expect(asked.headers.get("access-control-allow-origin")).toBe("*");
  expect(asked.headers.get("access-control-allow-headers")).toBe("Prefer");
  const answered = await fetch(`${PREFIX}receipts/x`);
  expect(answered.headers.get("access-control-expose-headers")).toBe("Audit-Stage, Retry-After");
  const kept = await fetch(`${PREFIX}private/main/x`, { method: "OPTIONS" });
  expect(kept.headers.has("access-control-allow-headers")).toBe(false);
});
