// Routes: which one takes a request, why the others do not, and where it leads. The first that takes it wins.
//
// A route is found by the path in its normal form, which is what the upstream is sent. An upstream may read more into
// a path than that (`%2f` as a slash, `a;b` as `a`), so a path is looked at in all of its readings, and where these
// take different routes the request is refused: no spelling gets it past a rule that the upstream thinks it is under.
import { once } from "./once.ts";
import { coversPath, matchPath, readPath } from "./path.ts";
import type { Policy, Route } from "./policy.ts";

/** What a route may ask of a request. */
export interface Asked {
  readonly method: string;
  readonly host: string;
  readonly path: string;
}

/** Why a route does not take a request. */
export type Mismatch = "host" | "path" | "method";

/** The route of a request, or why it has none. */
export type Found =
  | { readonly route: Route }
  | { readonly route?: undefined; readonly why: "none" | "ambiguous" };

/** Finds the first route that takes a request. */
export function findRoute({ routes }: Policy, method: string, url: URL): Found {
  const readings = readPath(url.pathname);
  if (readings === undefined) return { why: "ambiguous" };
  const host = plainHost(url);
  const taken = readings.map(path =>
    routes.find(route => whyNot(route, { method, host, path }) === undefined),
  );
  if (new Set(taken).size > 1) return { why: "ambiguous" };
  return taken[0] === undefined ? { why: "none" } : { route: taken[0] };
}

/** Why a route does not take a request; undefined when it does. */
export function whyNot(
  { hosts, match, methods }: Route,
  { method, host, path }: Asked,
): Mismatch | undefined {
  if (hosts !== undefined && !hosts.some(pattern => matchHost(pattern, host))) return "host";
  if (!matchPath(match, path)) return "path";
  if (methods !== undefined && !methods.includes(method)) return "method";
  return undefined;
}

/** Whether a route takes every request that another one would. */
export function coversRoute(route: Route, other: Route): boolean {
  const { hosts, methods } = route;
  return (
    coversPath(route.match, other.match) &&
    (hosts === undefined ||
      other.hosts?.every(host => hosts.some(pattern => matchHost(pattern, host))) === true) &&
    (methods === undefined || other.methods?.every(method => methods.includes(method)) === true)
  );
}

/** Where a request is sent: host and scheme are the policy's, and nothing that a client says can change them. */
export function upstreamUrl(route: Route, { pathname, href }: URL): string {
  // Not `search`, which does not tell an empty query from none.
  const query = /\?[^#]*/.exec(href)?.[0] ?? "";
  const { strip_prefix: cut } = route;
  const path = cut === undefined ? pathname : pathname.slice(rawLength(pathname, cut));
  return `${baseOf(route)}${path === "" ? "/" : path}${query}`;
}

/** What the URLs of an upstream begin with. */
const baseOf = once(({ upstream }: Route) => {
  const { origin, pathname } = new URL(upstream);
  return `${origin}${pathname.replace(/\/$/, "")}`;
});

/** The upstream as records and problems call it. */
export const hostOf = once(({ upstream }: Route) => new URL(upstream).host);

/** A URL's host as routes name it: without a port, and without the dot that may end it. */
export function plainHost({ hostname }: URL): string {
  return hostname.replace(/\.$/, "");
}

/** `*.example.com` is any host below example.com, but not that itself. */
function matchHost(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
}

/** How much of a path as it was spelled stands for so much of its normal form: whole segments, so count these. */
function rawLength(pathname: string, cut: string): number {
  const segments = cut.split("/").length;
  return pathname.split("/", segments).join("/").length;
}
