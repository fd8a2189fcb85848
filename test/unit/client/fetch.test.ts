// The fetch that verifies, in each of its modes: against a real edge in this process.
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  describeFailure,
  type ExchangeReport,
  type Fetch,
  type ReceiptOptions,
  type Trust,
  Undecided,
  verifyReceipt,
  withReceipts,
} from "../../../src/client/index.ts";
import { parseReceipt } from "../../../src/receipt/receipt.ts";
import { fixedKey, ISSUER } from "../../world.ts";
import {
  bytesOf,
  failureOf,
  openClient,
  PREFIX,
  refuse,
  streamOf,
  URL_OF,
  type Web,
  withBody,
} from "./web.ts";

let web: Web;
let fetch: Fetch;
let trust: Trust;

beforeEach(async () => {
  ({ web, fetch, trust } = await openClient());
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

  test("labels a clone of a response as it labels the response", async () => {
    web.onTheWay = response => Object.defineProperty(response, "url", { value: URL_OF });
    const response = await withReceipts(fetch, { trust })(URL_OF);
    const copy = response.clone();
    expect([response.url, copy.url, copy.clone().url]).toEqual([URL_OF, URL_OF, URL_OF]);
    expect(await copy.text()).toBe(await response.text());
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

// Somebody between the program and the edge who has no key, and everything that was ever answered.
describe("withReceipts, attacked", () => {
  /** A platform's fetch, which follows redirects unless it is told not to. */
  const following: Fetch = async (input, init) => {
    const response = await fetch(input, init);
    const location = response.headers.get("location");
    if (location === null || init?.redirect === "manual") return response;
    const url = new URL(location, URL_OF).href;
    const last = await fetch(url, { headers: init?.headers ?? {} });
    for (const [name, value] of Object.entries({ url, redirected: true })) {
      Object.defineProperty(last, name, { value });
    }
    return last;
  };
  const notCovered = { name: "Undecided", code: "not-covered" };
  const redirectTo = (path: string) => (response: Response, request: Request) =>
    request.url === URL_OF ? new Response(null, { status: 302, headers: { location: path } }) : response;

  test("refuses the answer to another query, from which the seed was taken", async () => {
    const other = await fetch(`${ISSUER}/v1/orders?page=1`);
    other.headers.delete("audit-receipt-seed");
    web.onTheWay = () => other.clone();
    expect(await failureOf(withReceipts(fetch, { trust, fresh: false })(URL_OF))).toMatchObject(notCovered);
  });

  test("refuses an answer that was given before, to another and to itself", async () => {
    for (const first of [fetch, withReceipts(fetch, { trust })]) {
      web.onTheWay = response => response;
      const traceparent = `00-${"7".repeat(32)}-${"7".repeat(16)}-00`;
      await first(URL_OF, { headers: first === fetch ? { traceparent } : {} });
      const old = await fetch(web.sent.at(-1)!);
      web.onTheWay = () => old.clone();
      const error = await failureOf(withReceipts(fetch, { trust })(URL_OF));
      expect(error).toMatchObject({ ...notCovered, message: expect.stringContaining("another request") });
      expect((await withReceipts(fetch, { trust, fresh: false })(URL_OF)).status).toBe(200);
    }
  });

  test("refuses an answer to a request that was in no trace, which whoever may ask has for himself", async () => {
    const old = await fetch(URL_OF);
    web.onTheWay = () => old.clone();
    for (const fresh of [undefined, true]) {
      expect(await failureOf(withReceipts(fetch, { trust, fresh })(URL_OF))).toMatchObject({
        ...notCovered,
        message: expect.stringContaining("does not name the request's trace"),
        detail: { expected: expect.stringContaining("docs/sdk.md") },
      });
    }
    expect((await withReceipts(fetch, { trust, fresh: false })(URL_OF)).status).toBe(200);
  });

  test("sends no trace from a page to another origin, unless it must be fresh", async () => {
    onTestFinished(() => void vi.unstubAllGlobals());
    for (const [origin, fresh, sends] of [
      ["https://page.example.com", undefined, false],
      ["https://page.example.com", true, true],
      [ISSUER, undefined, true],
    ] as const) {
      vi.stubGlobal("location", { origin });
      expect((await withReceipts(fetch, { trust, fresh })(URL_OF)).status).toBe(200);
      expect(web.sent.at(-1)!.headers.has("traceparent")).toBe(sends);
    }
  });

  test("goes on with the trace that the request names", async () => {
    const traceparent = `00-${"8".repeat(32)}-${"8".repeat(16)}-01`;
    const api = withReceipts(fetch, { trust, fresh: true });
    expect((await api(URL_OF, { headers: { traceparent } })).status).toBe(200);
    expect(web.sent.at(-1)!.headers.get("traceparent")).toBe(traceparent);
    await api(URL_OF);
    expect(web.sent.at(-1)!.headers.get("traceparent")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    await withReceipts(fetch, { trust, fresh: false })(URL_OF);
    expect(web.sent.at(-1)!.headers.has("traceparent")).toBe(false);
  });

  test("goes nowhere that nobody has signed, and sends nothing there", async () => {
    web.onTheWay = redirectTo("/v1/others");
    const api = withReceipts(following, { trust });
    const body = "secret";
    for (const init of [{}, { method: "POST", body }]) {
      expect(await failureOf(api(URL_OF, init))).toMatchObject({
        ...notCovered,
        detail: { found: "/v1/others" },
      });
    }
    expect(web.sent.map(({ url }) => url)).toEqual([URL_OF, URL_OF]);
  });

  test("goes nowhere where a page may not see that it is led away, and takes nothing that it may not look into", async () => {
    for (const [type, code] of [
      ["opaqueredirect", "not-covered"],
      ["opaque", "no-receipt"],
    ]) {
      web.onTheWay = () => Object.defineProperty(new Response(null), "type", { value: type });
      const error = await failureOf(withReceipts(fetch, { trust })(URL_OF));
      expect(error).toMatchObject({ name: "Undecided", code });
    }
  });

  test("refuses the answer of another host, and one by another issuer", async () => {
    const other = await fetch(URL_OF.replace("api.", "other."));
    web.onTheWay = () => other.clone();
    const error = await failureOf(withReceipts(fetch, { trust, fresh: false })(URL_OF));
    expect(error).toMatchObject({
      name: "Fault",
      code: "mismatched",
      message: expect.stringContaining("host"),
    });
    const others = { ...trust, issuer: "https://other.example.com" };
    const strangers = withReceipts(fetch, { trust: others, prefix: PREFIX, fresh: false });
    expect(await failureOf(strangers(URL_OF))).toMatchObject({ name: "Undecided", code: "wrong-origin" });
  });

  test("takes no body for the one on the wire because somebody says that it was decoded", async () => {
    web.onTheWay = response => {
      response.headers.set("content-encoding", "gzip");
      return withBody(response, "other");
    };
    expect(await failureOf(withReceipts(fetch, { trust })(URL_OF))).toMatchObject(notCovered);
  });

  test("reports a stream that its reader has left as undecided", async () => {
    const found = reports();
    const response = await withReceipts(fetch, { trust, onReport: found.onReport })(`${ISSUER}/stream`);
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await found.next();
    expect(found.list).toMatchObject([{ outcome: "undecided", error: { code: "not-covered" } }]);
  });

  test("follows a redirect when the call says so, and verifies where it has led", async () => {
    web.onTheWay = redirectTo("/v1/others");
    const response = await withReceipts(following, { trust })(URL_OF, { redirect: "follow" });
    expect(await response.text()).toBe("GET /v1/others");
    expect(response.url).toBe(`${ISSUER}/v1/others`);
    web.onTheWay = async (response, request) => redirectTo("/v1/others")(withBody(response, "x"), request);
    const error = await failureOf(withReceipts(following, { trust })(URL_OF, { redirect: "follow" }));
    expect(error).toMatchObject({ name: "Fault", code: "mismatched" });
  });

  test("gives a redirect out when the call says so, once it is proven", async () => {
    const response = await withReceipts(following, { trust })(`${ISSUER}/redirect`, { redirect: "manual" });
    expect([response.status, response.headers.get("location")]).toEqual([302, "/elsewhere"]);
  });

  test("reports a redirect that was followed as undecided, and one that the call allows as proven", async () => {
    web.onTheWay = redirectTo("/v1/others");
    for (const [init, outcome] of [
      [{}, "undecided"],
      [{ redirect: "follow" }, "proven"],
    ] as const) {
      const found = reports();
      const api = withReceipts(following, { trust, mode: "report", onReport: found.onReport });
      expect(await (await api(URL_OF, init)).text()).toBe("GET /v1/others");
      await found.next();
      expect(found.list).toMatchObject([{ outcome }]);
    }
  });

  test("refuses the answer to a part of the body, given before all of it was taken", async () => {
    const hasty: Fetch = (input, init) => fetch(input, { ...init, body: "other" });
    const streamed = { method: "PUT", body: streamOf("stream"), duplex: "half" } as RequestInit;
    expect(await failureOf(withReceipts(hasty, { trust })(URL_OF, streamed))).toMatchObject(notCovered);
  });

  test("lets nothing take the place of a seed that is kept", async () => {
    const store = new Map<string, string>();
    const api = withReceipts(fetch, { trust, store, fresh: false });
    await api(URL_OF);
    const [kept] = store.values();
    const old = await fetch(web.sent.at(-1)!);
    old.headers.set("audit-receipt", JSON.parse(kept!).receipt);
    old.headers.delete("audit-receipt-seed");
    web.onTheWay = () => old;
    await failureOf(api(URL_OF));
    expect([...store.values()]).toContain(kept);
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

  test("refuse a choice that is none, before anything is sent", async () => {
    const sample = (async () => true) as unknown as () => boolean;
    const api = withReceipts(fetch, { trust, mode: "sample", sample, onReport: () => {} });
    expect(await failureOf(api(URL_OF))).toMatchObject({ name: "Undecided", code: "wrong-input" });
    expect(web.sent).toEqual([]);
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
