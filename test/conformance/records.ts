// What the ledger must say of the exchanges that were played: one ending each, with the digests and sizes of the
// bytes that were seen on the wire, computed here and by nothing of the product.
import { createHash } from "node:crypto";
import { expect } from "vitest";
import { pullEntries, read } from "../e2e/copy.ts";
import type { Edge } from "../e2e/edge.ts";
import { eventually } from "../e2e/upstream.ts";
import type { Case } from "./case.ts";
import type { Outcome, Seen } from "./exchange.ts";
import { fieldOf } from "./wire.ts";

/** The part of a record that is checked here. */
interface Recorded {
  readonly jti: string;
  readonly stage: string;
  readonly error?: string;
  readonly req?: { method: unknown; path: unknown; size?: number; digest?: string };
  readonly res?: { status: number; size?: number; digest?: string };
}

export interface Played {
  readonly play: Case;
  readonly outcome: Outcome;
  /** The platform has answered by itself: nobody else has seen it. */
  readonly isUnseen: boolean;
}

const FINAL = ["complete", "aborted", "failed", "rejected"];

/** What the platform may have taken of a request and not sent yet, when it ends the call. */
const LOST_BYTES_MAX = 64 * 1024;

/** A copy of the ledger, read once. */
export interface Copy {
  readonly entries: ReadonlySet<string>;
  /** The records of exchanges, in order: all but the ledger's own. */
  readonly records: readonly Recorded[];
}

/** All of an edge's ledger, once each exchange that must have an ending has one in it. */
export async function pullEnded(edge: Edge, played: readonly Played[]): Promise<Copy> {
  const expected = played.filter(({ isUnseen }) => !isUnseen);
  return eventually(async () => {
    const checkpoint = await read(edge, "main/checkpoint").catch(() => undefined);
    if (checkpoint === undefined) return undefined;
    const size = Number(checkpoint.toString().split("\n")[1]);
    const entries = await pullEntries(edge, size);
    const records = entries.map(recordOf).filter(({ stage }) => stage !== "control");
    const copy = { entries: new Set(entries), records };
    return expected.every(one => recordsOf(one, copy).some(isFinal)) ? copy : undefined;
  });
}

/** What is on record of one exchange, found by its id or, when nobody was told one, by its path. */
export function recordsOf({ play, outcome }: Played, { records }: Copy): Recorded[] {
  const jti = idOf(outcome);
  return records.filter(record =>
    jti === undefined ? record.req?.path === play.request.target : record.jti === jti,
  );
}

/** The exchange's id, from whoever has heard of it. */
function idOf({ client, upstream }: Outcome): string | undefined {
  for (const seen of [client, ...upstream]) {
    const id = seen && fieldOf(seen, "audit-id");
    if (id !== undefined) return id;
  }
  return undefined;
}

/** Checks what is on record of one exchange. */
export function checkRecords(played: Played, copy: Copy): void {
  const { play, outcome, isUnseen } = played;
  const records = recordsOf(played, copy);
  const last = records.at(-1);
  const ending = isUnseen ? undefined : (play.ending ?? { stage: "complete" as const });
  expect(records.filter(isFinal).map(({ stage }) => stage)).toEqual(ending ? [ending.stage] : []);
  if (ending === undefined || last === undefined) return;
  expect(isFinal(last)).toBe(true);
  expect(last.error ?? "").toMatch(ending.error ?? /^$/);
  const { client, upstream } = outcome;
  if (upstream[0] !== undefined) checkRequest(last, upstream[0], play);
  if (client !== undefined) {
    checkResponse(last, client);
    const receipt = fieldOf(client, "audit-receipt")!;
    expect(copy.entries.has(receipt.slice(0, receipt.lastIndexOf(".")))).toBe(true);
  }
}

function checkRequest({ req }: Recorded, seen: Seen, { request, mayLoseRequest }: Case): void {
  const sent = request.body.bytes;
  const [method, target] = seen.line.split(" ") as [string, string];
  const [path] = target.split("?") as [string];
  expect([req!.method, req!.path]).toEqual([method, path.length > 512 ? lengthAndHash(path) : path]);
  // A digest is only ever of all that was sent.
  if (mayLoseRequest) {
    const whole = sizeAndDigest(sent);
    if (req!.digest !== undefined) expect({ size: req!.size, digest: req!.digest }).toEqual(whole);
    else expect(req!.size).toBeLessThanOrEqual(whole.size);
    expect(seen.body.length).toBeGreaterThanOrEqual(
      req!.digest === undefined ? 0 : whole.size - LOST_BYTES_MAX,
    );
    return;
  }
  // Some platforms end a request in good order whose rest they have dropped.
  if (seen.end === "whole" && seen.body.equals(sent)) {
    expect({ size: req!.size, digest: req!.digest }).toEqual(sizeAndDigest(seen.body));
  } else expect(req!.digest).toBeUndefined();
}

function checkResponse({ res, stage }: Recorded, seen: Seen): void {
  expect(res!.status).toBe(Number(seen.line.split(" ")[1]));
  if (seen.end === "whole") {
    expect({ size: res!.size, digest: res!.digest }).toEqual(sizeAndDigest(seen.body));
    return;
  }
  // The edge may have seen more than reached a client that left, but it never says that it was all.
  expect(stage).not.toBe("complete");
  expect(res!.digest).toBeUndefined();
  expect(res!.size).toBeGreaterThanOrEqual(seen.body.length);
}

function sizeAndDigest(body: Buffer) {
  const digest = createHash("sha256").update(body).digest("base64");
  return { size: body.length, digest: `sha-256=:${digest}:` };
}

function lengthAndHash(text: string) {
  return { length: text.length, sha256: createHash("sha256").update(text).digest("base64url") };
}

/** The record of an entry, read with nothing but base64url and JSON. */
function recordOf(entry: string): Recorded {
  return JSON.parse(Buffer.from(entry.split(".")[1]!, "base64url").toString()) as Recorded;
}

function isFinal({ stage }: Recorded): boolean {
  return FINAL.includes(stage);
}
