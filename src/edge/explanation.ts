// The explanation of a policy: what would become of a request, and why. It asks the same code that decides when the
// request comes, so that it cannot be wrong about it.
import { admit, isOwn } from "./admission.ts";
import { readHead } from "./head.ts";
import { readPath } from "./path.ts";
import type { Policy, Route } from "./policy.ts";
import { type Mismatch, plainHost, upstreamUrl, whyNot } from "./route.ts";

/** What would become of a request that has no header fields and no body. */
export interface Explanation {
  /** The routes before the one that takes it (or all of them), and why each does not. */
  readonly passed: readonly { readonly route: string; readonly why: Mismatch }[];
  /** All settings of the route that takes it, those that were left out too. */
  readonly route?: Route;
  /** Where it is sent. */
  readonly target?: string;
  /** Why it is not sent anywhere, and with which status it is answered. */
  readonly refusal?: { readonly status: number; readonly error: string };
  /** The paths that servers may take its path for, where there are several. */
  readonly readings?: readonly string[];
  /** It is below the reserved prefix: Counterfoil itself answers. */
  readonly isOwn: boolean;
}

/** @throws TypeError for a method that cannot be sent. */
export function explain(policy: Policy, method: string, url: URL): Explanation {
  const head = readHead(new Request(url, { method }));
  if (isOwn(head, policy)) return { passed: [], isOwn: true };
  const { route, refusal } = admit(head, policy);
  const readings = readPath(url.pathname) ?? [];
  const asked = { method: head.method, host: plainHost(url), path: readings[0] ?? url.pathname };
  const passed = [];
  for (const each of policy.routes) {
    const why = whyNot(each, asked);
    if (why === undefined) break;
    passed.push({ route: each.name, why });
  }
  return {
    passed,
    isOwn: false,
    ...(readings.length > 1 && { readings }),
    ...(route && { route }),
    ...(refusal
      ? { refusal: { status: refusal.status, error: refusal.error } }
      : { target: upstreamUrl(route, url) }),
  };
}
