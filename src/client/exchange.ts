// One exchange, made and verified: a request is sent, and the receipt of its response is held against what
// was sent and what came back, as bytes on the wire.
import { parseSeed } from "../receipt/disclosure.ts";
import type { SeenExchange } from "../receipt/match.ts";
import type { Receipt } from "../receipt/receipt.ts";
import { parseReceipt, verifySignature } from "../receipt/receipt.ts";
import { isFinal } from "../receipt/record.ts";
import type { Trust } from "../receipt/trust.ts";
import { type Evidence, type Verdict, verifyEvidence } from "../receipt/verify.ts";
import { Fault } from "../tlog/fault.ts";
import { requireReceipt } from "./capture.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Sender, WireRequest, WireResponse } from "./platform.ts";
import { concatenate, readUrl } from "./remote.ts";
import { findTraceId } from "./seen.ts";

/** What came of an exchange, before anything was verified. */
export interface MadeExchange {
  readonly seen: SeenExchange & { readonly url: string; readonly status: number };
  readonly headers: Headers;
  /** Why the body need not be the bytes on the wire, where something between has changed it. */
  readonly altered?: string;
  /** Whether the response has come before all of the request's body was taken. */
  readonly isUnsent?: boolean;
  /** What was asked for, where the response is of another request, to which a redirect has led. */
  readonly redirected?: string;
  /** The trace that the request was sent in, which its record must name. */
  readonly traceId?: string | undefined;
}

/** An exchange whose response's body was kept. */
export interface KeptExchange extends MadeExchange {
  readonly seen: MadeExchange["seen"] & { readonly responseBody: Uint8Array };
}

/** How long to wait for the record that ends an exchange, in seconds. */
const ENDING_WAIT_S = 10;

/** Sends a request, hands out the body as it comes, and keeps what was sent and seen. @throws Undecided */
export async function makeExchange(
  sender: Sender,
  request: WireRequest,
  onChunk: (chunk: Uint8Array) => Promise<void>,
): Promise<KeptExchange> {
  const response: WireResponse = await sender.send(request);
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) {
    chunks.push(chunk);
    await onChunk(chunk);
  }
  const { method, url, body } = request;
  const requestBody = body ?? new Uint8Array();
  const seen = { method, url, requestBody, status: response.status, responseBody: concatenate(chunks) };
  const traceId = findTraceId(new Headers(request.headers.map(([name, value]) => [name, value])));
  return { seen, headers: response.headers, traceId };
}

/** The receipt that came with a response, or the promise of one. @throws Undecided when there is none, or not a whole one */
export function takeReceipt({ headers, seen }: MadeExchange): string {
  const receipt = headers.get("audit-receipt");
  if (receipt !== null) return requireReceipt(receipt, "Audit-Receipt");
  const promise = headers.get("audit-promise");
  if (promise !== null) return requireReceipt(promise, "Audit-Promise");
  const detail = {
    expected:
      "a header field Audit-Receipt, as every response has that came through Counterfoil and is on record",
    found: `status ${seen.status} without one`,
  };
  throw new Undecided("the response carries no receipt", detail, "no-receipt");
}

/**
 * Verifies an exchange by its receipt. A receipt of a response that had only started says nothing of its body:
 * then the receipt of its ending is fetched, and that one is verified.
 * @param keep is told of the receipt that was fetched, before it is verified.
 * @throws Fault when something is wrong; Undecided when no receipt that covers the body can be had.
 */
export async function verifyMade(
  sender: Sender,
  made: MadeExchange,
  receipt: string,
  trust: Trust,
  keep: (receipt: string) => Promise<void> = async () => {},
): Promise<Verdict> {
  if (isFinal(parseReceipt(receipt).entry.record.stage)) return verifyBody(made, receipt, trust);
  const first = await verifyHead(made, receipt, trust);
  const ending = await fetchEnding(sender, first.receipt, made);
  await keep(ending);
  const verdict = await verifyBody(made, ending, trust);
  requireSameExchange(first.receipt, verdict.receipt);
  return verdict;
}

/**
 * Verifies all of an exchange but the response's body.
 * @throws Fault when something is wrong; Undecided when it cannot be told.
 */
export async function verifyHead(made: MadeExchange, receipt: string, trust: Trust): Promise<Verdict> {
  const { responseBody: _, ...exchange } = made.seen;
  const evidence = { receipt, exchange, ...(await readSeed(made.headers)) };
  try {
    const verdict = await verifyTrusted(evidence, trust);
    requireOwn(made, verdict);
    return verdict;
  } catch (error) {
    if (isRevalidated(error, receipt, made.seen.status)) {
      const detail = { expected: "the response as it came from the server", found: "a receipt for a 304" };
      throw new Undecided("the response was put together by a cache", detail, "not-covered");
    }
    throw error;
  }
}

/** Verifies an exchange by the receipt of its ending. @throws as verifyHead, and Undecided when that has no body */
async function verifyBody(made: MadeExchange, receipt: string, trust: Trust): Promise<Verdict> {
  try {
    const evidence = { receipt, exchange: made.seen, ...(await readSeed(made.headers)) };
    const verdict = await verifyTrusted(evidence, trust);
    requireOwn(made, verdict);
    requireSent(made, verdict);
    requireBody(verdict);
    return verdict;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "mismatched") throw error;
    // What differs apart from the body differs whatever has become of the body.
    await verifyHead(made, receipt, trust);
    if (made.altered === undefined) throw error;
    const detail = { expected: "the bytes on the wire, which the receipt is for", found: made.altered };
    throw new Undecided("the body cannot be compared", detail, "not-covered");
  }
}

async function readSeed(headers: Headers): Promise<{ seed?: Uint8Array }> {
  const text = headers.get("audit-receipt-seed");
  if (text === null) return {};
  return { seed: await undecidedIfFaulty("Audit-Receipt-Seed", () => parseSeed(text)) };
}

/** A cache that was told 304 answers with the status and body that it kept, and the fields of the 304. */
function isRevalidated(error: unknown, receipt: string, seenStatus: number): boolean {
  if (!(error instanceof Fault) || error.code !== "mismatched" || seenStatus === 304) return false;
  return parseReceipt(receipt).entry.record.res?.status === 304;
}

/**
 * As `verifyEvidence`; but a receipt that the trust document does not speak of is no contradiction.
 * @throws Fault, or Undecided when the trust is for another issuer or another ledger.
 */
export async function verifyTrusted(evidence: Evidence, trust: Trust): Promise<Verdict> {
  try {
    return await verifyEvidence(evidence, trust);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "wrong-origin" || evidence.receipt === undefined)
      throw error;
    // An altered name shows in the signature; a genuine one is only not among those that are trusted.
    const receipt = parseReceipt(evidence.receipt);
    await verifySignature(receipt, trust.receiptKeys);
    if (isNamed(receipt, trust)) throw error;
    throw new Undecided(error.message, error, error.code);
  }
}

/** The parts of an exchange that were not compared, each with the reason. */
export function listUncompared({ matched, receipt }: Verdict, hasSeed: boolean): string[] {
  const { req, res, private: hidden } = receipt.entry.record;
  const parts: readonly (readonly [name: string, member: string, recorded: unknown])[] = [
    ["method", "req.method", req?.method],
    ["host", "req.host", req?.host],
    ["path", "req.path", req?.path],
    ["query", "query", req],
    ["request body", "req.digest", req?.digest],
    ["status", "res.status", res?.status],
    ["response body", "res.digest", res?.digest],
  ];
  const reason = (member: string, recorded: unknown) => {
    if (hidden?.includes(member)) return hasSeed ? "private" : "private, and the seed is not given";
    return recorded === undefined ? "not in the receipt" : "not given";
  };
  return parts
    .filter(([name]) => !matched.includes(name))
    .map(([name, member, recorded]) => `${name} (${reason(member, recorded)})`);
}

/** Fetches the receipt of an exchange's ending from the address in its Link. @throws Undecided */
async function fetchEnding(
  sender: Sender,
  started: Receipt,
  { seen, headers }: MadeExchange,
): Promise<string> {
  const { jti, iss } = started.entry.record;
  const url = findReceiptLink(headers, seen.url, iss);
  if (url === undefined) {
    const expected = 'a header field Link with rel="audit-receipt", where the final receipt is';
    throw new Undecided("the receipt covers only the beginning of the response", { expected }, "not-covered");
  }
  const answer = await readUrl(sender, url, { prefer: `wait=${ENDING_WAIT_S}` });
  if (answer.status !== 200 || answer.headers.has("audit-stage")) {
    const detail = {
      expected: `the final receipt at ${url} within ${ENDING_WAIT_S} s`,
      found: answer.status === 200 ? "only that it has started" : `status ${answer.status}`,
    };
    throw new Undecided(`exchange ${jti} has no ending on record yet`, detail, "not-covered");
  }
  return requireReceipt(new TextDecoder().decode(answer.body), url);
}

/** The target of the link to the receipt (RFC 8288): at the API or its issuer, for a response must not send its reader anywhere. */
function findReceiptLink(headers: Headers, base: string, issuer: string): string | undefined {
  const origins = [base, issuer].map(url => URL.canParse(url) && new URL(url).origin);
  const links = (headers.get("link") ?? "").matchAll(/<([^<>]*)>([^<]*)/g);
  for (const [, target, parameters] of links) {
    if (!/;\s*rel="?audit-receipt"?\s*(?:[;,]|$)/.test(parameters!) || !URL.canParse(target!, base)) continue;
    const url = new URL(target!, base);
    if (/^https?:$/.test(url.protocol) && origins.includes(url.origin)) return url.href;
  }
  return undefined;
}

/** @throws Fault `mismatched` when the fetched receipt is of another exchange. */
function requireSameExchange(first: Receipt, final: Receipt): void {
  const [a, b] = [first, final].map(({ entry: { header, record } }) => `${record.jti} in ${header.origin}`);
  if (a === b) return;
  throw new Fault("mismatched", "the final receipt is of another exchange", { expected: a!, found: b! });
}

/**
 * A receipt may be genuine, equal to all that was compared, and of another exchange all the same: of one with another
 * query, when the seed was taken away; of another URL, when a redirect was put in; of an earlier request.
 * @throws Undecided `not-covered`
 */
function requireOwn({ headers, redirected, traceId, seen }: MadeExchange, { receipt }: Verdict): void {
  const { header, record } = receipt.entry;
  const refusal = (message: string, expected: string, found: string) =>
    new Undecided(message, { expected, found, index: header.index }, "not-covered");
  if (record._sd !== undefined && !headers.has("audit-receipt-seed")) {
    const expected = "a header field Audit-Receipt-Seed, as it comes with every receipt";
    throw refusal(
      "what is private, such as the query, cannot be compared without the seed",
      expected,
      "none",
    );
  }
  if (redirected !== undefined) {
    throw refusal("a redirect was followed, and no receipt says where one leads", redirected, seen.url);
  }
  if (traceId === undefined) return;
  const { traceparent, parent } = record.trace ?? {};
  if (traceparent?.split("-")[1] === traceId) return;
  const expected = `a record of trace ${traceId}`;
  const found = traceparent ?? "a record without one";
  if (parent !== undefined) {
    const trouble =
      "the receipt is of another request: an earlier answer, by a cache or by somebody who repeats it";
    throw refusal(trouble, expected, found);
  }
  // Whoever may ask without a trace has such a receipt to give out again.
  const trouble = "the receipt does not name the request's trace, and may be of an earlier request";
  const otherwise = "or, where the API records no traces, a request without traceparent (docs/sdk.md)";
  throw refusal(trouble, `${expected}; ${otherwise}`, found);
}

/** @throws Undecided when the request's body is on record, and was not sent to its end */
function requireSent({ isUnsent }: MadeExchange, { receipt }: Verdict): void {
  const { req, private: hidden } = receipt.entry.record;
  if (!isUnsent || (req?.digest === undefined && !hidden?.includes("req.digest"))) return;
  const detail = { expected: "a body that was sent to its end", found: "a response before that" };
  throw new Undecided("the request's body cannot be compared", detail, "not-covered");
}

/** @throws Undecided when the receipt does not cover the body of the response. */
function requireBody({ matched, receipt }: Verdict): void {
  if (matched.includes("response body")) return;
  const { stage, error } = receipt.entry.record;
  const detail = {
    expected: "a record with the digest of the body",
    found: `a record of stage "${stage}"${error === undefined ? "" : `: ${error}`}`,
    index: receipt.entry.header.index,
  };
  throw new Undecided("the receipt does not cover the body of the response", detail, "not-covered");
}

function isNamed({ entry }: Receipt, trust: Trust): boolean {
  return (
    entry.record.iss === trust.issuer && trust.ledgers.some(({ origin }) => origin === entry.header.origin)
  );
}
