// The Cloudflare Worker: binds the edge to the platform's fetch, Durable Objects and buckets.
import { ANCHOR_OBJECT, type Env, openEnvironment } from "../../durable/objects.ts";
import { type App, createApp } from "../edge/app.ts";
import type { Platform } from "../edge/proxy.ts";
import { bucketArchive } from "./stores.ts";

export { AnchorObject, LedgerObject, VaultObject } from "../../durable/objects.ts";

/** What the Web interfaces leave open: bodies pass in the coding they came in, redirects are passed on. */
const platform: Platform = {
  send: (url, init) => fetch(url, { ...init, encodeResponseBody: "manual" } as RequestInit),
  respond: (body, init) => new Response(body, { ...init, encodeBody: "manual" }),
  passThrough: bytes => (bytes === undefined ? new IdentityTransformStream() : new FixedLengthStream(bytes)),
};

let app: App | undefined;

export default {
  async fetch(request, env, context) {
    // Each request that comes before there is an app makes one: a promise must not be shared by requests.
    app ??= await start(env);
    return app(request, { waitUntil: work => context.waitUntil(work) });
  },
} satisfies ExportedHandler<Env>;

async function start(env: Env): Promise<App> {
  const { policy, trust, receiptKey } = await openEnvironment(env);
  const archive = bucketArchive(env.ARCHIVE);
  const anchors = bucketArchive(env.ANCHORS);
  return createApp({
    policy,
    trust,
    receiptKey,
    ledgers: new Map(
      policy.ledgers.map(({ name }) => [name, () => env.LEDGER.get(env.LEDGER.idFromName(name))]),
    ),
    vaults: new Map(
      policy.ledgers.map(({ name }) => [name, () => env.VAULT.get(env.VAULT.idFromName(name))]),
    ),
    archive: async key => (await archive.get(key))?.bytes,
    anchors: async key => (await anchors.get(key))?.bytes,
    anchorStatus: () => env.ANCHOR.get(env.ANCHOR.idFromName(ANCHOR_OBJECT)).status(),
    operatorTokenSha256: env.OPERATOR_TOKEN_SHA256,
    platform,
    sources: { now: Date.now, random: count => crypto.getRandomValues(new Uint8Array(count)) },
  });
}
