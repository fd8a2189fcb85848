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
}

const FINAL = ["complete", "aborted", "failed", "rejected"];

/** All entries of an edge, once each of the exchanges has an ending among them. */
export async function pullEnded(edge: Edge, exchanges: readonly string[]): Promise<string[]> {
  return eventually(async () => {
    const checkpoint = await read(edge, "main/checkpoint").catch(() => undefined);
    if (checkpoint === undefined) return undefined;
    const size = Number(checkpoint.toString().split("\n")[1]);
    const entries = await pullEntries(edge, size);
    const ended = new Set(
      entries
        .map(recordOf)
        .filter(isFinal)
        .map(({ jti }) => jti),
    );
    return exchanges.every(jti => ended.has(jti)) ? entries : undefined;
  });
}

/** The exchange's id, from whoever has heard of it. */
export function idOf({ client, upstream }: Outcome): string | undefined {
  for (const seen of [client, ...upstream]) {
    const id = seen && fieldOf(seen, "audit-id");
    if (id !== undefined) return id;
  }
  return undefined;
}

/** Checks what is on record of one exchange. */
export function checkRecords({ play, outcome }: Played, entries: readonly string[]): void {
  const jti = idOf(outcome);
  const records = entries.map(recordOf).filter(record => record.jti === jti);
  const last = records.at(-1);
  const ending = play.ending === "none" ? undefined : (play.ending ?? { stage: "complete" as const });
  expect(records.filter(isFinal).map(({ stage }) => stage)).toEqual(ending ? [ending.stage] : []);
  if (ending === undefined || last === undefined) return;
  expect(isFinal(last)).toBe(true);
  expect(last.error ?? "").toMatch(ending.error ?? /^$/);
  const { client, upstream } = outcome;
  if (upstream[0] !== undefined) checkRequest(last, upstream[0]);
  if (client !== undefined) {
    checkResponse(last, client);
    const receipt = fieldOf(client, "audit-receipt")!;
    expect(entries).toContain(receipt.slice(0, receipt.lastIndexOf(".")));
  }
}

function checkRequest({ req }: Recorded, seen: Seen): void {
  const [method, target] = seen.line.split(" ") as [string, string];
  const [path] = target.split("?") as [string];
  expect([req!.method, req!.path]).toEqual([method, path.length > 512 ? lengthAndHash(path) : path]);
  if (seen.end === "whole")
    expect({ size: req!.size, digest: req!.digest }).toEqual(sizeAndDigest(seen.body));
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
export function recordOf(entry: string): Recorded {
  return JSON.parse(Buffer.from(entry.split(".")[1]!, "base64url").toString()) as Recorded;
}

function isFinal({ stage }: Recorded): boolean {
  return FINAL.includes(stage);
}
