// A whole edge whose every byte is fixed: the app, the writers and the wiring of the hosts, over the real stores of the
// platform that it runs on. The keys are those of RFC 8032, time passes only when the scenario says so, and what is
// drawn at random is a stream of hashes. Two platforms that make other bytes of it would not be one product.
import { sha256 } from "@noble/hashes/sha2.js";
import type { Alarm } from "../../durable/alarm.ts";
import type { AnchorWriter } from "../../durable/anchorwriter.ts";
import type { Archive } from "../../durable/archive.ts";
import type { LedgerWriter } from "../../durable/ledgerwriter.ts";
import { plainLock } from "../../durable/lock.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import type { Sql } from "../../durable/sql.ts";
import type { App } from "../../src/edge/app.ts";
import type { Platform } from "../../src/edge/platform.ts";
import { type Environment, openEnvironment } from "../../src/hosts/environment.ts";
import { openAnchorWriter, openApp, openLedgerWriter, openVaultWriter } from "../../src/hosts/parts.ts";
import { encodeBase64url } from "../../src/tlog/base64.ts";
import { concatenate, decodeHex, encodeHex, encodeUtf8 } from "./bytes.ts";
import { ISSUER, KEYS, ORIGIN } from "./ledger.ts";

export interface ScenarioPorts {
  /** An empty database. */
  readonly sql: Sql;
  readonly sync: () => Promise<void>;
  /** Two empty buckets. */
  readonly archive: Archive & SpoolStore;
  readonly anchors: Archive & SpoolStore;
}

/** What is the same on every platform, by name: texts as they are, bytes in hexadecimal. */
export type Artefacts = Record<string, string>;

const START_MS = Date.UTC(2026, 10, 21, 5, 22, 22, 453);
const PREFIX = "/.well-known/audit/";
const TOKEN = "the-token-of-the-operator";

/** More than two tiles full. */
const EXCHANGES = 560;

const OBJECTS_MAX = 1000;

const VARS = {
  issuer: ISSUER,
  client_address: "peer",
  ledgers: [{ name: "main", origin: ORIGIN }],
  routes: [
    {
      ...{
        name: "orders",
        match: "/v1/orders/*",
        upstream: "https://orders.example.net/api",
        ledger: "main",
      },
      private: ["req.path"],
      fields: {
        method: { from: "request", pointer: "/method" },
        tenant: { from: "request", header: "x-tenant", private: true },
      },
    },
    {
      ...{ name: "ahead", match: "/ahead/*", upstream: "https://ahead.example.net", ledger: "main" },
      assurance: "write-ahead",
    },
    {
      ...{ name: "promised", match: "/promised/*", upstream: "https://slow.example.net", ledger: "main" },
      ...{ assurance: "promised", promise_seconds: 600 },
    },
    {
      name: "streams",
      match: "/streams/*",
      upstream: "https://streams.example.net",
      ledger: "main",
      hold: 16,
    },
  ],
  anchor: { interval_seconds: 60 },
};

/** Runs it. @returns every receipt, every object of both buckets, and what is read of them. */
export async function runScenario(ports: ScenarioPorts): Promise<Artefacts> {
  const scenario = await Scenario.open(ports);
  await scenario.exchange("get", "/v1/orders/7?page=2&q=%C3%A9", { "user-agent": "curl/8.15.0" });
  await scenario.exchange("post", "/v1/orders/", { "x-tenant": "t1" }, '{"method":"tools/call","id":1}');
  await scenario.exchange("missing", "/v1/orders/404");
  await scenario.exchange("ahead", "/ahead/x", { traceparent: TRACE });
  await scenario.exchange("stream", "/streams/long");
  await scenario.exchange("nowhere", "/none");
  await scenario.exchange("promised", "/promised/1");
  await scenario.publish();
  for (let n = 0; n < EXCHANGES; n++) {
    await scenario.ask(`many-${n}`, `/v1/orders/${n}`, {}, n % 3 === 0 ? `{"method":"m${n}"}` : undefined);
    if (n % 100 === 99) await scenario.pause();
    if (n === 250 || n === 400) await scenario.publish();
  }
  await scenario.publish();
  await scenario.read("trust", "trust");
  await scenario.read("jwks", "jwks.json");
  await scenario.read("health", "health");
  await scenario.ending("stream");
  await scenario.ending("promised");
  await scenario.prove("post");
  await scenario.prove("many-300");
  await scenario.openValues("post");
  await scenario.publish();
  await scenario.keepObjects();
  return scenario.artefacts;
}

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class Scenario {
  readonly artefacts: Artefacts = {};
  readonly #ports: ScenarioPorts;
  readonly #clock: Clock;
  readonly #app: App;
  readonly #ledger: LedgerWriter;
  readonly #anchors: AnchorWriter;
  readonly #jtis = new Map<string, string>();
  readonly #work: Promise<unknown>[] = [];

  static async open(ports: ScenarioPorts): Promise<Scenario> {
    const clock = new Clock();
    const secrets = {
      RECEIPT_KEY: jwkOf(KEYS.receipt),
      CHECKPOINT_KEY: jwkOf(KEYS.checkpoint),
      ANCHOR_KEY: jwkOf(KEYS.anchor),
      OPERATOR_TOKEN_SHA256: encodeHex(sha256(encodeUtf8(TOKEN))),
    };
    const random = hashes();
    return new Scenario(ports, clock, await openEnvironment(VARS, secrets, { now: () => clock.ms, random }));
  }

  private constructor(ports: ScenarioPorts, clock: Clock, environment: Environment) {
    this.#ports = ports;
    this.#clock = clock;
    const { archive, anchors, sql, sync } = ports;
    const stores = { archive, anchors, spool: archive, sql };
    this.#anchors = openAnchorWriter(environment, {
      ...{ ...stores, alarm: makeAlarm(), lock: plainLock("local") },
      wake: async () => this.#ledger.wake(),
    });
    this.#ledger = openLedgerWriter(environment, "main", {
      ...{ ...stores, sync, alarm: makeAlarm(), anchorWriter: this.#anchors },
      vault: () => vault,
      breathe: () => Promise.resolve(),
    });
    const vault = openVaultWriter(environment.policy, { sql, alarm: makeAlarm(), now: () => clock.ms });
    this.#app = openApp(environment, {
      ...{ archive, anchors, spool: archive, platform: makePlatform() },
      ledger: () => this.#ledger,
      vault: () => vault,
      anchorWriter: () => this.#anchors,
    });
  }

  /** One exchange, to its very end. */
  async exchange(name: string, path: string, headers?: Record<string, string>, body?: string): Promise<void> {
    await this.ask(name, path, headers, body);
    await this.#settle();
    this.#clock.ms += 37;
  }

  /** One exchange, up to its answer: that its values get to the vault is not waited for, and draws nothing. */
  async ask(name: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<void> {
    const length: Record<string, string> =
      body === undefined ? {} : { "content-length": `${encodeUtf8(body).length}` };
    const init = {
      method: body === undefined ? "GET" : "POST",
      headers: { ...headers, ...length },
      body: body ?? null,
    };
    const { response, bytes } = await this.#send(new Request(`${ISSUER}${path}`, init));
    this.#jtis.set(name, response.headers.get("audit-id")!);
    this.artefacts[`${name}.head`] = [
      response.status,
      ...["audit-id", "audit-receipt", "audit-receipt-seed", "audit-promise", "link"].map(field =>
        response.headers.get(field),
      ),
    ].join("\n");
    this.artefacts[`${name}.body`] = encodeHex(bytes);
  }

  /** Time passes, while nothing is going on. */
  async pause(): Promise<void> {
    await this.#settle();
    this.#clock.ms += 1234;
  }

  /** Everything that is due: the spool is drained, the ledger published, the anchor written. */
  async publish(): Promise<void> {
    await this.#settle();
    this.#clock.ms += 61_000;
    await this.#ledger.onAlarm();
    await this.#ledger.onAlarm();
    await this.#anchors.onAlarm();
  }

  async read(name: string, path: string, headers: Record<string, string> = {}): Promise<void> {
    const { response, bytes } = await this.#send(new Request(`${ISSUER}${PREFIX}${path}`, { headers }));
    this.artefacts[name] = `${response.status}\n${new TextDecoder().decode(bytes)}`;
  }

  /** The receipt of how an exchange ended. */
  ending(name: string): Promise<void> {
    return this.read(`${name}.ending`, `receipts/${this.#jtis.get(name)}`);
  }

  prove(name: string): Promise<void> {
    return this.read(`${name}.tlog-proof`, `receipts/${this.#jtis.get(name)}/proof`);
  }

  openValues(name: string): Promise<void> {
    const authorization = `Bearer ${TOKEN}`;
    return this.read(`${name}.values`, `private/main/${this.#jtis.get(name)}`, { authorization });
  }

  async keepObjects(): Promise<void> {
    const { archive, anchors } = this.#ports;
    for (const [bucket, store] of Object.entries({ archive, anchors })) {
      for (const key of await store.list("", OBJECTS_MAX)) {
        const { bytes } = (await store.get(key))!;
        // Of tiles and bundles the hash says enough; what people read is kept as it is.
        const isText = /checkpoint$|\.jws$/.test(key);
        this.artefacts[`${bucket}/${key}`] = isText
          ? new TextDecoder().decode(bytes)
          : encodeHex(sha256(bytes));
      }
    }
  }

  async #send(request: Request): Promise<{ response: Response; bytes: Uint8Array }> {
    const waitUntil = (work: Promise<unknown>) => this.#work.push(work.catch(() => {}));
    const response = await this.#app(request, { waitUntil, address: "192.0.2.7" });
    return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
  }

  /** Waits for what is done behind the answers, so that it cannot come in another order. */
  async #settle(): Promise<void> {
    for (let done = 0; done < this.#work.length; done++) await this.#work[done];
    this.#work.length = 0;
  }
}

class Clock {
  ms = START_MS;
}

/** Nobody rings: the scenario says when. */
function makeAlarm(): Alarm {
  let at: number | null = null;
  return {
    get: async () => at,
    set: async atMs => {
      at = atMs;
    },
    clear: async () => {
      at = null;
    },
  };
}

/** Randomness that is none. */
function hashes(): (count: number) => Uint8Array {
  let drawn = 0;
  return count => {
    const blocks = Array.from({ length: Math.ceil(count / 32) }, () =>
      sha256(encodeUtf8(`random ${drawn++}`)),
    );
    return concatenate(blocks).slice(0, count);
  };
}

/** The Web's own means, and an upstream that is there at once. */
function makePlatform(): Platform {
  const none = () => {
    throw new Error("the scenario has no WebSockets");
  };
  return {
    send: async (url, init) => answer(new URL(url), init),
    fetch: none,
    respond: (body, init) => new Response(body, init),
    passThrough: () => new TransformStream(),
    socketOf: () => undefined,
    upgrade: none,
  };
}

async function answer({ host, pathname }: URL, { method, body }: RequestInit): Promise<Response> {
  if (pathname.endsWith("/404"))
    return new Response(null, { status: 404, headers: { "content-length": "0" } });
  const asked = body == null ? "" : await new Response(body).text();
  const text = `${method} ${host}${pathname} ${asked}\n`;
  if (!pathname.endsWith("/long")) {
    return new Response(text, { headers: { "content-length": `${encodeUtf8(text).length}` } });
  }
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (let n = 0; n < 20; n++) controller.enqueue(new TextEncoder().encode(`${n} ${text}`));
      controller.close();
    },
  });
  return new Response(stream);
}

function jwkOf([d, x]: readonly [string, string]): string {
  const [secret, open] = [d, x].map(hex => encodeBase64url(decodeHex(hex)));
  return JSON.stringify({ kty: "OKP", crv: "Ed25519", d: secret, x: open });
}
