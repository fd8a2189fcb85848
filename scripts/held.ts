// What clients hold of an edge that dies again and again: every receipt that they got, held against everything that
// is published by the tests' own reference. Every receipt verifies and is included, indexes have no hole, no record is
// there twice, the anchors are one chain, and nothing that was published at the check before has changed.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { checkReceipt, pullChecked, type Reached, read } from "../test/e2e/copy.ts";

/** For how long a round may go without its answers, or a check without its anchor, before that is a failure. */
const PATIENCE_MS = 120_000;

/** How many receipts are asked for a second time at each check. */
const REISSUED = 10;

export const ITEM = "/item/";
export const STREAM = "/stream/";

/** What a client keeps of an answer. */
export interface Held {
  readonly path: string;
  readonly receipt: string;
  /** The RFC 9530 Content-Digest of the body, once it has come as a whole. */
  digest?: string;
}

/** What is known so far. */
export interface Known {
  readonly held: Held[];
  cutOff: number;
  refused: number;
  /** The entries that were published at the last check. */
  entries: readonly string[];
  anchors: number;
}

export function newKnown(): Known {
  return { held: [], cutOff: 0, refused: 0, entries: [], anchors: 0 };
}

/** The API behind the edge. Streams have no known length, so they are not held back until they are recorded. */
export function answer({ url }: IncomingMessage, response: ServerResponse): void {
  if (!url!.startsWith(STREAM)) {
    response.end(`you asked for ${url}`);
    return;
  }
  response.write(`you asked for ${url}`);
  setImmediate(() => response.end(", and it came in two pieces"));
}

/**
 * Asks for something, and keeps the receipt as soon as it is there.
 * @throws Error when the answer does not come as a whole, or is none that may be given.
 */
export async function ask(edge: Reached, path: string, known: Known): Promise<void> {
  const withBody = path.length % 2 === 0;
  const outgoing = request(`${edge.url}${path}`, { method: withBody ? "POST" : "GET", agent: false });
  outgoing.end(withBody ? path.repeat(20) : undefined);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const receipt = response.headers["audit-receipt"] as string | undefined;
  const held: Held | undefined = receipt === undefined ? undefined : { path, receipt };
  if (held !== undefined) known.held.push(held);
  const body = Buffer.concat(await response.toArray());
  if (held !== undefined && response.statusCode === 200) {
    held.digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  } else if (held === undefined && response.statusCode === 503) {
    known.refused++;
  } else {
    throw new Error(`${path} was answered with ${response.statusCode}: ${body}`);
  }
}

/** Waits until everything is anchored, and compares it with all that is known. @throws Error when it does not fit. */
export async function checkHeld(edge: Reached, known: Known): Promise<void> {
  const { ledgers } = JSON.parse((await read(edge, "health")).toString());
  assert(ledgers[0].state === "open", `the ledger is ${ledgers[0].state}`);
  const { keys } = JSON.parse((await read(edge, "jwks.json")).toString());
  const last = indexOf(known.held.at(-1)!.receipt);
  const copy = await pullChecked(edge, last + 1);
  known.entries.forEach((entry, index) => {
    assert(copy.entries[index] === entry, `entry ${index} is another than it was`);
  });
  known.entries = copy.entries;
  const names = copy.entries.map(entry => {
    const { jti, stage } = recordOf(entry);
    return `${jti} ${stage}`;
  });
  assert(new Set(names).size === names.length, "a record is there twice");

  const indexes = known.held.map(held => {
    const index = checkReceipt(held.receipt, copy, keys);
    const { req, res, stage } = recordOf(held.receipt);
    assert(req.path === held.path, `the receipt for ${held.path} is of ${req.path}`);
    if (stage === "complete" && held.digest !== undefined) {
      assert(res.digest === held.digest, `the receipt for ${held.path} is of another body`);
    }
    return index;
  });
  assert(new Set(indexes).size === indexes.length, "two receipts have one place");
  await checkReissued(edge, known.held);
  known.anchors = await checkAnchors(edge, copy.entries);
}

/** A receipt that got lost is given again, bit for bit; some that are spread over all are asked for. */
async function checkReissued(edge: Reached, held: readonly Held[]): Promise<void> {
  const complete = held.filter(({ path }) => path.startsWith(ITEM));
  const step = Math.ceil(complete.length / REISSUED);
  for (let i = 0; i < complete.length; i += step) {
    const { receipt } = complete[i]!;
    const again = (await read(edge, `receipts/${recordOf(receipt).jti}`)).toString();
    assert(again === receipt, `asked for again, the receipt for ${complete[i]!.path} is another one`);
  }
}

/** Every anchor names the one before it, and pins a tree that these entries begin with. @returns how many. */
async function checkAnchors(edge: Reached, entries: readonly string[]): Promise<number> {
  const { latest } = JSON.parse((await read(edge, "anchors")).toString());
  let prev = Buffer.alloc(32).toString("base64url");
  let size = 0;
  for (let epoch = 0; epoch <= latest; epoch++) {
    const text = (await read(edge, `anchors/${epoch}`)).toString();
    const payload = recordOf(text);
    const [pin] = payload.ledgers;
    assert(
      payload.epoch === epoch && payload.prev === prev,
      `anchor ${epoch} does not follow the one before`,
    );
    assert(pin.size > size, `anchor ${epoch} pins ${pin.size} entries after ${size}`);
    const newest = entries[pin.size - 1];
    // The newest anchor may be ahead of what was pulled. A leaf hash stands for all entries up to its own.
    assert(
      newest === undefined || createHash("sha256").update(`\0${newest}`).digest("base64url") === pin.head,
      `anchor ${epoch} pins another entry ${pin.size - 1}`,
    );
    prev = createHash("sha256").update(text).digest("base64url");
    size = pin.size;
  }
  return latest + 1;
}

export function indexOf(receipt: string): number {
  return decodePart(receipt, 0).index;
}

/** The payload of a receipt or an anchor, or the record of an entry. */
export function recordOf(text: string) {
  return decodePart(text, 1);
}

function decodePart(text: string, part: number) {
  return JSON.parse(Buffer.from(text.split(".")[part]!, "base64url").toString());
}

export function assert(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** @throws Error naming what was waited for, when it takes too long. */
export async function withPatience<T>(what: string, work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = wait(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${what} has not ended within ${PATIENCE_MS} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => {});
    stop.abort();
  }
}
