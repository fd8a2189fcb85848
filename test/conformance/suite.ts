// The conformance test: every case of the corpus, once through a plain pass-through and once through the edge.
// It knows hosts only by their URLs, so it can be run against any pair of them.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Edge } from "../e2e/edge.ts";
import type { Case } from "./case.ts";
import { type Comparable, DOCUMENTED, type Form, throughEdge, withoutEdge } from "./compare.ts";
import { CORPUS } from "./corpus/corpus.ts";
import { type Outcome, play, Upstream } from "./exchange.ts";
import { type Copy, checkRecords, type Played, pullEnded, recordsOf } from "./records.ts";
import { fieldOf } from "./wire.ts";

export interface Hosts {
  readonly platform: string;
  readonly form: Form;
  /** The cases that the platform answers by itself, with or without an edge. */
  readonly unseen: readonly string[];
  /** Whether the edge's host makes problems of these answers. */
  readonly explains?: boolean;
  /** The cases whose answers its client takes for no HTTP, so that the edge answers with 502. */
  readonly unreadable?: readonly string[];
  /** The cases in which the client sees another line on purpose, in the status line or the fields: which, and what instead. */
  readonly different?: Readonly<Record<string, readonly [without: string, through: string]>>;
  /** Starts what only passes on to an upstream, and the edge before one, on the same platform. */
  startPassThrough(upstream: string): Promise<{ readonly url: string; stop(): Promise<void> }>;
  startEdge(upstream: string): Promise<Edge>;
}

export function testConformance(hosts: Hosts): void {
  const { platform, form, unseen, startPassThrough, startEdge } = hosts;
  const cases = CORPUS.map(exchange => adapt(exchange, hosts));
  let upstreams: [Upstream, Upstream];
  let passThrough: Awaited<ReturnType<typeof startPassThrough>>;
  let edge: Edge;
  const played = new Map<Case, Played>();

  beforeAll(async () => {
    upstreams = [await Upstream.start(), await Upstream.start()];
    [passThrough, edge] = await Promise.all([
      startPassThrough(upstreams[0].url),
      startEdge(upstreams[1].url),
    ]);
  });

  afterAll(async () => {
    await Promise.all([passThrough.stop(), edge.stop()]);
    for (const upstream of upstreams) upstream.close();
  });

  describe(`on ${platform}, client and upstream see through the edge what they see without`, () => {
    test("knows all the cases that it names", () => {
      const named = [...unseen, ...(hosts.unreadable ?? []), ...Object.keys(hosts.different ?? {})];
      expect(CORPUS.map(({ name }) => name)).toEqual(expect.arrayContaining(named));
    });

    test.each(cases.map(exchange => [exchange.name, exchange] as const))("%s", async (_, exchange) => {
      const [plainUpstream, edgeUpstream] = upstreams;
      const without = leave(exchange, await play(exchange, new URL(passThrough.url), plainUpstream));
      const through = leave(exchange, await play(exchange, new URL(edge.url), edgeUpstream));
      const isUnseen = unseen.includes(exchange.name);
      played.set(exchange, { play: exchange, outcome: through, isUnseen });
      for (const { faults } of upstreams) expect(faults.get(exchange.name)).toBeUndefined();
      if (exchange.instead !== undefined) return checkProblem(through, exchange.instead);
      const { fields } = exchange.request;
      if (isUnseen) expect([through.upstream, fieldOf(through.client!, "audit-id")]).toEqual([[], undefined]);
      if (isUnseen && hosts.explains === true) {
        return checkProblem(through, without.client!.line.replace("HTTP/1.1 ", ""));
      }
      if (exchange.requestIsCut) return expect(through.client).toEqual(without.client);
      expect(
        throughEdge(loseRequest(exchange, through), new URL(edgeUpstream.url).host, fields, form),
      ).toEqual(
        replace(
          withoutEdge(loseRequest(exchange, without), new URL(plainUpstream.url).host, fields, form),
          hosts.different?.[exchange.name],
        ),
      );
      if (!isUnseen) checkBodies(exchange, through);
    });
  });

  test("the fields in which the two may differ are the ones that docs/conformance.md names", () => {
    const rows = readFileSync("docs/conformance.md", "utf8").matchAll(/^\| (\w+ \w+ the \w+) \| (.*) \|$/gm);
    const named = [...rows].map(([, how, names]) => [
      how,
      names!.replaceAll("`", "").toLowerCase().split(", "),
    ]);
    expect(Object.fromEntries(named)).toEqual({
      "added to the response": DOCUMENTED.addedToResponse,
      "added to the request": DOCUMENTED.addedToRequest,
      "dropped from the request": DOCUMENTED.droppedFromRequest,
      "dropped from the response": DOCUMENTED.droppedFromResponse,
    });
  });

  describe(`on ${platform}, the ledger has one ending for`, () => {
    let copy: Copy;
    beforeAll(async () => {
      copy = await pullEnded(edge, [...played.values()]);
    });

    test.each(cases.map(exchange => [exchange.name, exchange] as const))("%s", (_, exchange) => {
      checkRecords(played.get(exchange)!, copy);
    });

    test("every exchange that was played, and for nothing else", () => {
      const known = [...played.values()].flatMap(one => recordsOf(one, copy));
      expect(copy.records).toHaveLength(known.length);
      expect(new Set(known.map(({ jti }) => jti)).size).toBe(
        CORPUS.filter(({ name }) => !unseen.includes(name)).length,
      );
    });
  });
}

/** A case as it goes on a platform. */
function adapt(exchange: Case, { unreadable }: Hosts): Case {
  if (unreadable?.includes(exchange.name) !== true) return exchange;
  const ending = { stage: "failed", error: /^no answer came from / } as const;
  return { ...exchange, instead: "502 Bad Gateway", ending };
}

/** What a client sees, with the line in it that is different through the edge, which must be there. */
function replace(seen: Comparable, difference: readonly [string, string] | undefined): Comparable {
  const { client } = seen;
  if (difference === undefined || client === undefined) return seen;
  const [without, through] = difference;
  const swap = (line: string) => (line === without ? through : line);
  expect([client.line, ...client.fields]).toContain(without);
  return { ...seen, client: { ...client, line: swap(client.line), fields: client.fields.map(swap) } };
}

/** The bodies of a case that is data alone are those that it names, whatever a pass-through makes of them. */
function checkBodies({ request, response, client, upstream, ending }: Case, outcome: Outcome): void {
  if (client !== undefined || upstream !== undefined || ending !== undefined) return;
  const expected = request.method === "HEAD" ? Buffer.alloc(0) : response.body.bytes;
  expect(outcome.client!.body.equals(expected)).toBe(true);
  expect(outcome.upstream.map(({ body }) => body.equals(request.body.bytes))).toEqual([true]);
}

/** An outcome without what came after the client had left. */
function leave({ leavesAfter }: Case, { client, upstream }: Outcome): Outcome {
  if (leavesAfter === undefined || client === undefined) return { client, upstream };
  return { client: { ...client, body: client.body.subarray(0, leavesAfter), end: "cut" }, upstream };
}

/** An outcome without what may get lost of the request; what has arrived of it is as it was sent. */
function loseRequest({ mayLoseRequest, request }: Case, { client, upstream }: Outcome): Outcome {
  if (!mayLoseRequest) return { client, upstream };
  for (const { body } of upstream) {
    expect(body.equals(request.body.bytes.subarray(0, body.length))).toBe(true);
  }
  return { client, upstream: upstream.map(seen => ({ ...seen, body: Buffer.alloc(0), end: "cut" })) };
}

function checkProblem({ client }: Outcome, status: string): void {
  expect(client!.line).toBe(`HTTP/1.1 ${status}`);
  expect(fieldOf(client!, "content-type")).toBe("application/problem+json");
}
