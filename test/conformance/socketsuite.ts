// WebSockets through the edge against those through a plain pass-through: client and upstream see the same messages and
// closes, and each has exactly one ending on record, with the digests of the messages that arrived.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type AuditRecord, isFinal } from "../../src/receipt/record.ts";
import { pullRecords } from "../e2e/copy.ts";
import type { Edge } from "../e2e/edge.ts";
import { eventually } from "../e2e/upstream.ts";
import { BREAKS, SOCKETS } from "./corpus/sockets.ts";
import {
  describeSocket,
  playSocket,
  recordOf,
  type SocketCase,
  type SocketOutcome,
  SocketUpstream,
} from "./sockets.ts";
import type { Hosts } from "./suite.ts";

/** What a side sees of a connection that ended without a close. */
const NO_CLOSE = [1006, ""] as const;

const named = (cases: readonly SocketCase[]) => cases.map(socket => [socket.name, socket] as const);

export function testSockets({ platform, startPassThrough, startEdge }: Omit<Hosts, "form" | "unseen">): void {
  const upstream = new SocketUpstream();
  let passThrough: Awaited<ReturnType<typeof startPassThrough>>;
  let edge: Edge;
  const played = new Map<SocketCase, SocketOutcome>();
  /** The ids of the requests that got another answer. */
  const refused: string[] = [];

  beforeAll(async () => {
    const url = await upstream.start();
    [passThrough, edge] = await Promise.all([startPassThrough(url), startEdge(url)]);
  });

  afterAll(async () => {
    await Promise.all([passThrough?.stop(), edge?.stop()]);
    upstream.close();
  });

  async function playThroughEdge(socket: SocketCase): Promise<SocketOutcome> {
    const outcome = await playSocket(socket, edge.url, upstream);
    played.set(socket, outcome);
    return outcome;
  }

  describe(`on ${platform}, client and upstream see through the edge what they see without`, () => {
    test.each(named(SOCKETS))("%s", async (_, socket) => {
      const without = await playSocket(socket, passThrough.url, upstream);
      const through = await playThroughEdge(socket);
      expect(describeSocket(through.client)).toEqual(describeSocket(without.client));
      expect(describeSocket(through.upstream)).toEqual(describeSocket(without.upstream));
    });

    test.each([400, 403, 500])("an upstream that refuses with %d", async status => {
      const [without, through] = [await ask(passThrough.url, status), await ask(edge.url, status)];
      refused.push(through.id!);
      expect(through.seen).toEqual(without.seen);
      expect(through.seen).toEqual({ status, why: "because", body: "no" });
    });
  });

  describe(`on ${platform}, with an end that is no close, the other side gets`, () => {
    test.each(named(BREAKS))("a close that says why: %s", async (_, socket) => {
      const without = await playSocket(socket, passThrough.url, upstream);
      expect([without.client.close, without.upstream.close]).toEqual([NO_CLOSE, NO_CLOSE]);
      const through = await playThroughEdge(socket);
      expect(describeSocket(through.client)).toEqual(
        describeSocket({ ...without.client, close: socket.hears?.client ?? NO_CLOSE }),
      );
      expect(describeSocket(through.upstream)).toEqual(
        describeSocket({ ...without.upstream, close: socket.hears?.upstream ?? NO_CLOSE }),
      );
    });
  });

  describe(`on ${platform}, the ledger has one ending for`, () => {
    let records: AuditRecord[];
    const endings = (jti: string) => records.filter(record => record.jti === jti && isFinal(record.stage));

    beforeAll(async () => {
      const ids = [...[...played.values()].map(({ id }) => id!), ...refused];
      records = await eventually(async () => {
        records = await pullRecords(edge);
        return ids.every(id => endings(id).length > 0) ? records : undefined;
      });
    });

    test.each(named([...SOCKETS, ...BREAKS]))("%s", (_, socket) => {
      const { id, client, upstream: other } = played.get(socket)!;
      const { stage, error } = socket.ending ?? { stage: "complete", error: undefined };
      const found = endings(id!);
      expect(found.map(record => [record.stage, record.error])).toEqual([[stage, error]]);
      expect(found[0]!.ws).toMatchObject({ up: recordOf(other.messages), down: recordOf(client.messages) });
    });

    test("every request that was refused", () => {
      expect(refused.map(id => endings(id).map(({ stage, res }) => [stage, res!.status]))).toEqual(
        [400, 403, 500].map(status => [["complete", status]]),
      );
    });
  });
}

/** Asks for a WebSocket that is refused. */
async function ask(url: string, status: number) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/refused/${status}`);
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  const { headers, statusCode } = response;
  const body = Buffer.concat(await response.toArray()).toString();
  return { id: headers["audit-id"] as string, seen: { status: statusCode, why: headers["x-why"], body } };
}
