// Everything an edge has published, pulled over HTTP and checked with the test's own reference: no code of
// the product takes part in the checking.
import { createHash, createPublicKey, verify } from "node:crypto";
import { expect } from "vitest";
import type { AuditRecord } from "../../src/receipt/record.ts";
import { mth } from "../reference/rfc6962.ts";
import type { Edge } from "./edge.ts";
import { eventually, send } from "./upstream.ts";

/** What it takes to read from an edge, whoever has started it. */
export type Reached = Pick<Edge, "url" | "operatorToken">;

const PREFIX = "/.well-known/audit/";

export interface Copy {
  /** The entries of the ledger `main`, in order. */
  readonly entries: readonly string[];
  /** The size that the newest anchor pins. */
  readonly anchored: number;
}

/** Waits until the newest anchor covers `size` entries, pulls all of them, and checks chain, tree and signatures. */
export async function pullChecked(edge: Reached, size: number): Promise<Copy> {
  const trust = JSON.parse((await read(edge, "trust")).toString());
  const anchor = await eventually(async () => {
    const { latest } = JSON.parse((await read(edge, "anchors")).toString());
    if (latest === null) return undefined;
    const text = (await read(edge, `anchors/${latest}`)).toString();
    const payload = openJws(text, trust.anchor.keys);
    return payload.ledgers[0].size >= size ? payload : undefined;
  });
  const pin = anchor.ledgers[0];
  const note: string[] = pin.checkpoint.split("\n");
  expect(note.slice(0, 3)).toEqual([trust.ledgers[0].origin, String(pin.size), pin.root]);

  const entries = await pullEntries(edge, pin.size);
  let prev = Buffer.alloc(32);
  let at = "";
  entries.forEach((entry, index) => {
    const header = JSON.parse(Buffer.from(entry.split(".")[0]!, "base64url").toString());
    expect([header.index, header.prev]).toEqual([index, prev.toString("base64url")]);
    expect(header.at >= at).toBe(true);
    at = header.at;
    prev = createHash("sha256").update(`\0${entry}`).digest();
  });
  expect(pin.head).toBe(prev.toString("base64url"));
  const root = Buffer.from(mth(entries.map(entry => Buffer.from(entry)))).toString("base64");
  expect(root).toBe(pin.root);
  return { entries, anchored: pin.size };
}

/** Checks a receipt's signature and that the ledger holds exactly its entry. */
export function checkReceipt(receipt: string, copy: Copy, keys: JsonWebKey[]): number {
  openJws(receipt, keys);
  const entry = receipt.slice(0, receipt.lastIndexOf("."));
  const { index } = JSON.parse(Buffer.from(entry.split(".")[0]!, "base64url").toString());
  expect(copy.entries[index]).toBe(entry);
  return index;
}

export async function read(
  edge: Reached,
  path: string,
  headers: Record<string, string> = {},
): Promise<Buffer> {
  const { status, body } = await send(`${edge.url}${PREFIX}${path}`, { headers });
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${body}`);
  return body;
}

function openJws(text: string, keys: (JsonWebKey & { kid?: string })[]) {
  const [header, payload, signature] = text.split(".") as [string, string, string];
  const { kid } = JSON.parse(Buffer.from(header, "base64url").toString());
  const key = createPublicKey({ key: keys.find(jwk => jwk.kid === kid)! as never, format: "jwk" });
  expect(verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url"))).toBe(
    true,
  );
  return JSON.parse(Buffer.from(payload, "base64url").toString());
}

/** The first `size` entries, from the bundles of a published tree of that size. */
export async function pullEntries(edge: Reached, size: number): Promise<string[]> {
  const authorization = `Bearer ${await edge.operatorToken()}`;
  const entries: string[] = [];
  for (let n = 0; entries.length < size; n++) {
    const width = Math.min(256, size - n * 256);
    const number = [n % 1000, Math.floor(n / 1000)].map(part => String(part).padStart(3, "0"));
    const path = n < 1000 ? number[0]! : `x${number[1]}/${number[0]}`;
    const bundle = await read(edge, `main/tile/entries/${path}${width < 256 ? `.p/${width}` : ""}`, {
      authorization,
    });
    for (let at = 0; at < bundle.length; ) {
      const end = at + 2 + bundle.readUInt16BE(at);
      entries.push(bundle.toString("latin1", at + 2, end));
      at = end;
    }
  }
  expect(entries).toHaveLength(size);
  return entries;
}

/** All records, in the order of the ledger, once everything that it has taken is published. */
export async function pullRecords(edge: Edge): Promise<AuditRecord[]> {
  const entries = await eventually(async () => {
    const { ledgers } = JSON.parse((await read(edge, "health")).toString());
    return ledgers[0].size === ledgers[0].published ? pullEntries(edge, ledgers[0].size) : undefined;
  });
  return entries.map(entry => JSON.parse(Buffer.from(entry.split(".")[1]!, "base64url").toString()));
}
