// An edge in this process: the real app over the real ledger of a world, and an upstream that a test gives.
import { createHash } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";
import { Vault } from "../../../durable/vault.ts";
import type { WireRequest, WireResponse } from "../../../src/client/platform.ts";
import { createApp } from "../../../src/edge/app.ts";
import { parsePolicy } from "../../../src/edge/policy.ts";
import { openSqlite } from "../../../src/hosts/sqlite.ts";
import type { SigningKey } from "../../../src/receipt/key.ts";
import type { Opening, Search } from "../../../src/receipt/opening.ts";
import type { Control } from "../../../src/receipt/record.ts";
import { ISSUER, LEDGER, ORIGIN, START_MS, type World } from "../../world.ts";

export const OPERATOR_TOKEN = "a-token-for-the-operator";

export type Send = (request: WireRequest) => Promise<WireResponse>;

/** A way to send requests to the edge, and to wait until all that it began has ended. */
export function openEdge(
  world: World,
  upstream: (request: Request) => Response | Promise<Response>,
  receiptKeyBefore?: SigningKey,
  /** What its route has besides. */
  route: object = {},
): { send: Send; settle(): Promise<unknown> } {
  const { ledger, archive, anchors, receiptKey, trust } = world;
  const policy = parsePolicy({
    issuer: ISSUER,
    ledgers: [{ name: LEDGER, origin: ORIGIN }],
    routes: [{ name: "all", match: "/*", upstream: "http://upstream.example.com", ledger: LEDGER, ...route }],
  });
  const connection = {
    append: (records: string[]) => ledger.append(records),
    control: (control: Control) => ledger.control(control),
    find: (jti: string) => ledger.find(jti),
    status: async () => ({
      size: ledger.store.head().frontier.size,
      published: ledger.store.published(),
      minimum: ledger.store.retention().minimum,
      alerts: [],
      ...(ledger.halted && { halted: { code: ledger.halted.code, reason: ledger.halted.message } }),
    }),
  };
  const vault = new Vault(openSqlite(":memory:"));
  const vaultConnection = {
    keep: async (openings: Opening[]) => vault.keep(openings),
    find: async (jti: string) => vault.find(jti),
    search: async (search: Search) => vault.search(search),
    erase: async (jtis: string[]) => vault.erase(jtis),
  };
  let seeds = 0;
  const app = createApp({
    ...{ policy, trust, receiptKey },
    ...(receiptKeyBefore && { receiptKeyBefore }),
    ledgers: new Map([[LEDGER, () => connection]]),
    vaults: new Map([[LEDGER, () => vaultConnection]]),
    archive: async key => (await archive.get(key))?.bytes,
    anchors: async key => (await anchors.get(key))?.bytes,
    spool: { put: async () => {}, holds: async () => false, wake: async () => {} },
    anchorStatus: async () => (anchors.objects.size === 0 ? {} : { latest: anchors.objects.size - 1 }),
    operatorTokenSha256: createHash("sha256").update(OPERATOR_TOKEN).digest("hex"),
    platform: {
      send: async (url, init) => upstream(new Request(url, init)),
      fetch,
      respond: (body, init) => new Response(body, init),
      // A copy, since the buffer of a chunk may be used again once it is written.
      passThrough: () =>
        new TransformStream({ transform: (chunk, sink) => sink.enqueue(Uint8Array.from(chunk)) }),
      socketOf: () => undefined,
      upgrade: () => {
        throw new Error("no upstream here has a WebSocket to offer");
      },
    },
    sources: { now: () => START_MS, random: bytes => new Uint8Array(bytes).fill(seeds++), sha256 },
  });
  const begun: Promise<unknown>[] = [];
  return {
    async send({ method, url, headers, body }) {
      const request = new Request(url, {
        method,
        headers: [...headers.map(([name, value]): [string, string] => [name, value]), ...lengthOf(body)],
        ...(body && { body: body as BodyInit }),
      });
      const response = await app(request, { waitUntil: work => begun.push(work) });
      return { status: response.status, headers: response.headers, body: response.body ?? nothing() };
    },
    settle: () => Promise.all(begun),
  };
}

function lengthOf(body: Uint8Array | undefined): [string, string][] {
  return body === undefined ? [] : [["content-length", String(body.length)]];
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
