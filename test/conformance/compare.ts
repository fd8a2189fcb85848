// What makes two outcomes the same: every byte that either side saw, apart from the fields that Counterfoil
// documents as its own. Names of hosts are replaced, since each side is reached under its own.
import type { Outcome, Seen } from "./exchange.ts";
import type { Field } from "./wire.ts";

/** The header fields in which the edge differs from a plain pass-through; docs/conformance.md names exactly these. */
export const DOCUMENTED = {
  addedToResponse: ["audit-receipt", "audit-receipt-seed", "audit-id", "link", "server-timing"],
  addedToRequest: ["audit-id", "x-request-id"],
  writtenAnewInRequest: [
    "cdn-loop",
    "forwarded",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
  ],
  droppedFromRequest: [
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
  ],
  droppedFromResponse: ["keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "upgrade"],
} as const;

/** The members that are the edge's, of fields that an upstream may send as well. */
const OWN_MEMBERS: Readonly<Record<string, RegExp>> = {
  link: /(?:,\s*)?<[^>]*>;\s*rel="audit-receipt"$/,
  "server-timing": /(?:,\s*)?audit;dur=\d+$/,
  // What scripts of other origins may read.
  "access-control-expose-headers":
    /(?:, )?Audit-Receipt, Audit-Receipt-Seed, Audit-Promise, Audit-Id, Link, Content-Encoding$/,
};

/**
 * How much of the form of a head comes through a platform: fields `as they stand`, in their spelling and order, or each
 * `by name` with its values in theirs, as the Web's Headers has them.
 */
export type Form = "as they stand" | "by name";

export interface Comparable {
  readonly client: ({ readonly interim: readonly string[] } & ReturnType<typeof describe>) | undefined;
  readonly upstream: readonly object[];
}

/** What was seen without an edge. @param host under which the upstream was reached. */
export function withoutEdge(
  { client, upstream }: Outcome,
  host: string,
  sent: readonly Field[],
  form: Form,
): Comparable {
  const hop = hopFields(sent);
  return {
    client: client && {
      interim: form === "by name" ? client.interim.filter(line => !CONTINUE.test(line)) : client.interim,
      ...describe(without(client, DOCUMENTED.droppedFromResponse), host, form),
    },
    upstream: upstream.map(seen => describe(without(seen, hop), host, form)),
  };
}

/** Whoever reads a body says so, and not who only passes it on. */
const CONTINUE = /^HTTP\/1\.1 100 /;

/** What was seen through the edge, without what is documented. @param sent the fields that the client sent. */
export function throughEdge(outcome: Outcome, host: string, sent: readonly Field[], form: Form): Comparable {
  const own = sent.map(([name]) => name.toLowerCase());
  const added = DOCUMENTED.addedToRequest.filter(name => !own.includes(name));
  return withoutEdge(
    {
      client: outcome.client && {
        ...outcome.client,
        fields: outcome.client.fields.flatMap(withoutMarks),
      },
      upstream: outcome.upstream.map(seen => without(seen, added)),
    },
    host,
    sent,
    form,
  );
}

function without<T extends Seen>(seen: T, names: readonly string[]): T {
  return { ...seen, fields: seen.fields.filter(([name]) => !names.includes(name.toLowerCase())) };
}

/** The fields that need not come through: of one hop, as documented or named by Connection, and written anew. */
function hopFields(sent: readonly Field[]): string[] {
  const named = sent.filter(([name]) => name.toLowerCase() === "connection").map(([, value]) => value);
  return [
    ...DOCUMENTED.droppedFromRequest,
    ...DOCUMENTED.writtenAnewInRequest,
    ...named
      .join(",")
      .toLowerCase()
      .split(/\s*,\s*/),
  ];
}

/** A field of the response without what the edge put there. */
function withoutMarks([name, value]: Field): Field[] {
  const lower = name.toLowerCase();
  if (lower in OWN_MEMBERS) {
    const rest = value.replace(OWN_MEMBERS[lower]!, "");
    return rest === "" ? [] : [[name, rest]];
  }
  return (DOCUMENTED.addedToResponse as readonly string[]).includes(lower) ? [] : [[name, value]];
}

function describe({ line, fields, body, trailers, end }: Seen, host: string, form: Form) {
  const lines = (form === "by name" ? byName(fields) : fields).map(
    ([name, value]) => `${name}: ${value === host ? "the upstream's host" : value}`,
  );
  return { line, fields: lines, body: body.toString("latin1"), trailers, end };
}

/** Fields in the order of their names, those of one name as one; cookies that are set cannot be one. */
function byName(fields: readonly Field[]): Field[] {
  const found = new Map<string, string>();
  const cookies: Field[] = [];
  for (const [spelling, value] of fields) {
    const name = spelling.toLowerCase();
    const before = found.get(name);
    if (name === "set-cookie") cookies.push([name, value]);
    else if (before === undefined) found.set(name, isNow(name, value) ? "now" : value);
    else found.set(name, `${before}${name === "cookie" ? ";" : ","} ${value}`);
  }
  return [...[...found].sort(([one], [other]) => (one < other ? -1 : 1)), ...cookies];
}

/** Whether this is the Date of an answer that the platform dates, because nobody else has. */
function isNow(name: string, value: string): boolean {
  return name === "date" && Math.abs(Date.parse(value) - Date.now()) < 60_000;
}
