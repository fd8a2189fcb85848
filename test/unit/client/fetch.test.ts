// The fetch that verifies, in each of its modes: against a real edge in this process.
import { beforeEach, describe, expect, test } from "vitest";
import {
  createTrust,
  describeFailure,
  type ExchangeReport,
  type Fetch,
  formatTrust,
  type ReceiptOptions,
  type Trust,
  Undecided,
  verifyReceipt,
  withReceipts,
} from "../../../src/client/index.ts";
import { parseReceipt } from "../../../src/receipt/receipt.ts";
import { createWorld, fixedKey, ISSUER, type World } from "../../world.ts";
import { bytesOf, failureOf, openWeb, PREFIX, refuse, streamOf, URL_OF, type Web, withBody } from "./web.ts";

let world: World;
let web: Web;
let fetch: Fetch;
let trust: Trust;

beforeEach(async () => {
  world = await createWorld();
  web = openWeb(world);
  fetch = web.fetch;
  trust = await createTrust(formatTrust(world.trust));
});

/** Waits until as many exchanges were reported. */
function reports(): {
  list: ExchangeReport[];
  onReport(report: ExchangeReport): void;
  next(): Promise<void>;
} {
  const list: ExchangeReport[] = [];
  let wake = () => {};
  return {
    list,
    onReport(report) {
      list.push(report);
      wake();
    },
    next: () =>
      list.length > 0
        ? Promise.resolve()
        : new Promise(resolve => {
            wake = resolve;
          }),
  };
}

describe("withReceipts, strict", () => {
  test("gives out a response that is proven, and keeps its receipt", async () => {
    const store = new Map<string, string>();
    const api = withReceipts(fetch, { trust, store });
    const response = await api(URL_OF, { method: "POST", body: new URLSearchParams({ a: "b" }) });
    expect(await response.text()).toBe("POST /v1/orders?page=2 a=b");
    const [kept] = [...store.values()].map(text => JSON.parse(text));
    expect(await verifyReceipt(kept.receipt, trust, { seed: kept.seed })).toMatchObject({
      rungs: ["signed"],
    });
  });

  test("rejects when anything was changed on its way, and keeps the receipt", async () => {
    const store = new Map<string, string>();
    web.onTheWay = response => withBody(response, "other");
    const error = await failureOf(withReceipts(fetch, { trust, store })(URL_OF));
    expect(error).toMatchObject({ name: "Fault", code: "mismatched" });
    expect(store.size).toBe(1);
  });

  test("rejects a response without a receipt, and one by an unknown key", async () => {
    const api = withReceipts(fetch, { trust });
    web.onTheWay = () => new Response("no receipt");
    expect(await failureOf(api(URL_OF))).toMatchObject({ name: "Undecided", code: "no-receipt" });
    web.onTheWay = response => response;
    const other = await fixedKey("another receipt key");
    const strangers = withReceipts(fetch, { trust: { ...trust, receiptKeys: [other.publicJwk] } });
    expect(describeFailure(await failureOf(strangers(URL_OF)))).toMatchObject({
      outcome: "undecided",
      code: "unknown-key",
    });
  });

  test("rejects a body that is longer than its receipt says", async () => {
    web.onTheWay = response => withBody(response, "x".repeat(2000));
    const error = await failureOf(withReceipts(fetch, { trust, holdBytes: 1000 })(URL_OF));
    expect(error).toMatchObject({ name: "Fault", code: "mismatched" });
  });

  test("asks for no content coding, unless the caller does", async () => {
    const api = withReceipts(fetch, { trust });
    await api(URL_OF);
    await api(new Request(URL_OF, { headers: { "accept-encoding": "gzip" } }));
    expect(web.sent.map(({ headers }) => headers.get("accept-encoding"))).toEqual(["identity", "gzip"]);
  });

  test("verifies requests of every kind of body", async () => {
    const api = withReceipts(fetch, { trust });
    const form = new FormData();
    form.set("file", new Blob(["content"]), "file.txt");
    const bodies = ["text", bytesOf("bytes"), new Blob(["blob"]), form, null];
    for (const body of bodies) {
      const response = await api(URL_OF, { method: "PUT", body });
      expect(await response.text()).toMatch(/^PUT/);
    }
    const streamed = { method: "PUT", body: streamOf("stream"), duplex: "half" };
    expect(await (await api(URL_OF, streamed as RequestInit)).text()).toMatch(/stream$/);
    const request = new Request(URL_OF, { method: "PUT", body: "of a request" });
    expect(await (await api(request)).text()).toMatch(/of a request$/);
    expect(request.bodyUsed).toBe(true);
  });

  test("verifies responses that have no body", async () => {
    const api = withReceipts(fetch, { trust });
    expect((await api(`${ISSUER}/empty`)).status).toBe(204);
    expect((await api(URL_OF, { method: "HEAD" })).body).toBeNull();
  });

  test("hands a stream on as it comes, and ends it after the receipt of its ending", async () => {
    const found = reports();
    const store = new Map<string, string>();
    const api = withReceipts(fetch, { trust, store, onReport: found.onReport });
    const response = await api(`${ISSUER}/stream`);
    expect(found.list).toEqual([]);
    expect(await response.text()).toBe("GET /stream more");
    await found.next();
    expect(found.list).toMatchObject([{ outcome: "proven", status: 200 }]);
    const stages = [...store.values()].map(text => parseReceipt(JSON.parse(text).receipt).entry.record.stage);
    expect(stages).toEqual(["started", "complete"]);
  });

  test("breaks a stream off that was changed, and one that was cut short", async () => {
    const api = withReceipts(fetch, { trust });
    const isStream = ({ url }: Request) => url.endsWith("/stream");
    web.onTheWay = async (response, request) => {
      if (!isStream(request)) return response;
      await response.clone().text();
      return withBody(response, "GET /stream");
    };
    const response = await api(`${ISSUER}/stream`);
    expect(await failureOf(response.text())).toMatchObject({ name: "Fault", code: "mismatched" });
  });

  test("breaks a stream off whose ending nobody gives out", async () => {
    web.onTheWay = (response, { url }) =>
      url.startsWith(PREFIX) ? new Response("{}", { status: 404 }) : response;
    const response = await withReceipts(fetch, { trust })(`${ISSUER}/stream`);
    expect(await failureOf(response.text())).toMatchObject({ name: "Undecided", code: "not-covered" });
  });

  test("rejects as fetch does, when that fails or is aborted", async () => {
    expect(await failureOf(withReceipts(refuse, { trust })(URL_OF))).toBeInstanceOf(TypeError);
    const signal = AbortSignal.abort(new Error("enough"));
    expect(await failureOf(withReceipts(fetch, { trust })(URL_OF, { signal }))).toBe(signal.reason);
  });

  test("ends the wait for an ending when it is aborted", async () => {
    const controller = new AbortController();
    web.onTheWay = (response, { url }) => {
      if (url.startsWith(PREFIX)) controller.abort(new Error("enough"));
      controller.signal.throwIfAborted();
      return response;
    };
    const api = withReceipts(fetch, { trust });
    const response = await api(`${ISSUER}/stream`, { signal: controller.signal });
    expect(await failureOf(response.text())).toMatchObject({ message: "enough" });
  });

  test.each<[string, Partial<Record<keyof ReceiptOptions, unknown>>]>([
    ["no trust", { trust: undefined }],
    ["an unknown mode", { mode: "lax" }],
    ["reports that go nowhere", { mode: "report" }],
    ["a sample that nobody picks", { mode: "sample", onReport: () => {} }],
  ])("refuses at once: %s", (_, options) => {
    const make = () => withReceipts(fetch, { trust, ...options } as ReceiptOptions);
    expect(make).toThrow(Undecided);
  });
});

describe("withReceipts, report and sample", () => {
  test("report what was proven once the body was read", async () => {
    const found = reports();
    const api = withReceipts(fetch, { trust, mode: "report", onReport: found.onReport });
    const response = await api(URL_OF);
    expect(await response.text()).toBe("GET /v1/orders?page=2");
    await found.next();
    expect(found.list).toMatchObject([{ method: "GET", url: URL_OF, status: 200, outcome: "proven" }]);
  });

  test("change nothing that the caller sees, and report what is wrong", async () => {
    const found = reports();
    web.onTheWay = response => withBody(response, "other");
    const api = withReceipts(fetch, { trust, mode: "report", onReport: found.onReport });
    expect(await (await api(URL_OF)).text()).toBe("other");
    await found.next();
    expect(found.list).toMatchObject([{ outcome: "wrong", error: { code: "mismatched" } }]);
  });

  test("report a body that was not read to its end as undecided", async () => {
    const found = reports();
    const api = withReceipts(fetch, { trust, mode: "report", onReport: found.onReport });
    await (await api(`${ISSUER}/stream`)).body!.cancel();
    await found.next();
    expect(found.list).toMatchObject([{ outcome: "undecided", error: { code: "not-covered" } }]);
  });

  test("report a store that fails", async () => {
    const found = reports();
    const store = { get: () => undefined, set: () => Promise.reject(new Error("disk full")) };
    const api = withReceipts(fetch, { trust, mode: "report", store, onReport: found.onReport });
    expect(await (await api(URL_OF)).text()).toBe("GET /v1/orders?page=2");
    await found.next();
    expect(found.list).toMatchObject([{ outcome: "undecided", error: { message: "disk full" } }]);
  });

  test("keep the receipts of exchanges that are not picked, and verify the others", async () => {
    const found = reports();
    const store = new Map<string, string>();
    let calls = 0;
    const sample = () => ++calls % 2 === 0;
    const work: Promise<unknown>[] = [];
    const waitUntil = (one: Promise<unknown>) => work.push(one);
    const api = withReceipts(fetch, { trust, mode: "sample", sample, store, waitUntil, ...found });
    for (let i = 0; i < 4; i++) await (await api(URL_OF)).text();
    await Promise.all(work);
    await found.next();
    expect(found.list.map(({ outcome }) => outcome)).toEqual(["proven", "proven"]);
    expect(store.size).toBe(4);
  });
});
