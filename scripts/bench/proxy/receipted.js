// The edge as it is deployed, but for its way to the upstream: a binding, which leads straight there. Without it
// Miniflare would put a worker of its own in between, for the receipted proxy and the bare one alike.
import { env } from "cloudflare:workers";
import edge, { AnchorObject as Anchor, LedgerObject as Ledger } from "../../../src/hosts/cloudflare.ts";

// The edge takes everything in its environment that it does not know for policy.
const { UPSTREAM, ...own } = env;

globalThis.fetch = (url, init) => UPSTREAM.fetch(url, init);

export class LedgerObject extends Ledger {
  constructor(ctx) {
    super(ctx, own);
  }
}

export class AnchorObject extends Anchor {
  constructor(ctx) {
    super(ctx, own);
  }
}

export default { fetch: (request, _env, context) => edge.fetch(request, own, context) };
