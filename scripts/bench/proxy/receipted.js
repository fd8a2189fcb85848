// The edge as it is deployed, but for its way to the upstream: a binding, which leads straight there. Without it
// Miniflare would put a worker of its own in between, for the receipted proxy and the bare one alike.
import { env } from "cloudflare:workers";

const { UPSTREAM } = env;

// The edge takes whatever it does not know in its environment for policy.
delete env.UPSTREAM;

globalThis.fetch = (url, init) => UPSTREAM.fetch(url, init);

export * from "../../../src/hosts/cloudflare.ts";
export { default } from "../../../src/hosts/cloudflare.ts";
