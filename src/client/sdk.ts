// What a program does with receipts, one function for each: verify one in hand, or a request with its response;
// fetch a proof; open a private field; settle whom to trust. Each verifies before it answers, and throws
// what the command line would print: a Fault when something is wrong, an Undecided when it cannot be told.
import { type Disclosed, openDisclosure as openField, parseSeed } from "../receipt/disclosure.ts";
import { isPromise } from "../receipt/promise.ts";
import { parseTrust, type Trust } from "../receipt/trust.ts";
import type { Evidence, Verdict } from "../receipt/verify.ts";
import { requireReceipt } from "./capture.ts";
import { listUncompared, type MadeExchange, takeReceipt, verifyMade, verifyTrusted } from "./exchange.ts";
import { type Store, trustKey } from "./memory.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Sender } from "./platform.ts";
import { redeemPromise } from "./promise.ts";
import { type FetchedProof, fetchProof as fetchProofAt } from "./proof.ts";
import { defaultPrefix, isUrl, parseUrl, receiptUrl } from "./remote.ts";
import { findTraceId, readBody, seeExchange } from "./seen.ts";
import { type Fetch, sendBy } from "./sender.ts";
import { fetchTrust } from "./trust.ts";

/** How a function reaches the edge, where it has to. */
export interface NetworkOptions {
  /** What to send with; the platform's own fetch when it is left out. */
  readonly fetch?: Fetch | undefined;
  /** Ends what is under way: the function rejects with the reason of the signal, as fetch does. */
  readonly signal?: AbortSignal | null | undefined;
  /** The URL of the edge's reserved prefix; `/.well-known/audit/` at the issuer when it is left out. */
  readonly prefix?: string | undefined;
}

/**
 * Settles whom to believe, from a document that the caller kept, or from the API itself at first use: then the
 * document goes into the store, and later uses of the same URL read it from there and ask nobody. A pin is never
 * replaced; to accept other keys, put another document in its place.
 *
 * @param from the text or the bytes of a trust document; or the URL of an API, of its reserved prefix, or of the
 *   document below that, to pin.
 * @param options.store where the pin is kept; needed for a URL.
 * @throws Undecided `no-answer` or `untrusted-host` when the document cannot be fetched; `malformed` or `unsupported` when it is none;
 *   `wrong-input`. The reason of the signal, when it is aborted.
 * @see docs/format.md "Trust"
 * @example
 * import { createTrust } from "counterfoil";
 *
 * const store = new Map(); // or whatever has `get` and `set`, and outlives the program
 * const trust = await createTrust("https://api.example.com", { store });
 * console.log(trust.issuer); // https://api.example.com
 */
export async function createTrust(
  from: string | URL | Uint8Array,
  options: NetworkOptions & { readonly store?: Store | undefined } = {},
): Promise<Trust> {
  if (from instanceof Uint8Array) return readDocument(new TextDecoder().decode(from), "the trust document");
  const text = String(from).trim();
  if (!isUrl(text)) return readDocument(text, "the trust document");
  const { store } = options;
  if (store === undefined) {
    throw wrongInput("a store, to keep the trust of a URL in (a Map is one)", "none");
  }
  const url = parseUrl(text);
  const pinned = await store.get(trustKey(url));
  if (pinned !== undefined && pinned !== null) return readDocument(pinned, `the trust pinned for ${url}`);
  const { trust, bytes } = await fetchTrust(senderOf(options), url.href);
  await store.set(trustKey(url), new TextDecoder().decode(bytes));
  return trust;
}

/** What `verifyReceipt` compares a receipt with, besides the trust. All of it may be left out. */
export interface ReceiptEvidence extends Omit<Evidence, "receipt" | "seed"> {
  /** As in `Audit-Receipt-Seed`, or its 16 bytes: private fields are compared as well then. */
  readonly seed?: string | Uint8Array | undefined;
}

/**
 * Verifies a receipt, and what is given with it. Asks nobody: neither network nor clock.
 *
 * @param receipt a compact JWS, as in `Audit-Receipt`.
 * @param trust whom to believe.
 * @param evidence `exchange`: what the caller saw, each part of which must be the recorded one; `proof`: a
 *   `.tlog-proof` of the same entry; `anchor` and `consistency`: what pins the proof's tree.
 * @returns the rungs that are proven (`signed`, `matched`, `included`, `anchored`, `witnessed`, `timestamped`), the
 *   receipt, and which parts of the exchange were compared.
 * @throws Fault with the code of what is wrong; Undecided `wrong-origin` when the trust is for others,
 *   `wrong-input` when there is no receipt, or not a whole one.
 * @see RFC 7515 (the signature), RFC 6962 section 2.1 (inclusion), docs/format.md
 * @example
 * import { createTrust, verifyReceipt } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const response = await fetch("https://api.example.com/v1/orders/7");
 * const { rungs, receipt } = await verifyReceipt(response.headers.get("audit-receipt"), trust, {
 *   exchange: { status: response.status },
 * });
 * console.log(rungs.join(", ")); // signed, matched
 * console.log(receipt.entry.record.stage); // complete
 */
export async function verifyReceipt(
  receipt: string | null,
  trust: Trust,
  evidence: ReceiptEvidence = {},
): Promise<Verdict> {
  requireTrust(trust);
  const { seed, ...rest } = evidence;
  const given = { ...rest, receipt: requireText(receipt, "receipt") };
  if (seed === undefined) return verifyTrusted(given, trust);
  return verifyTrusted({ ...given, seed: await openSeed(seed) }, trust);
}

/** What is proven of an exchange. */
export interface ExchangeVerdict extends Verdict {
  /** The parts that were not compared, each with the reason. */
  readonly uncompared: readonly string[];
}

/**
 * Verifies a response by the receipt that came with it, against the request that was sent. The bodies are compared as
 * the bytes on the wire: fetch undoes a Content-Encoding before anybody can see it, so a response with one is
 * `not-covered`, unless the request asks for none (`accept-encoding: identity`, which a browser does not let a page set).
 * Asks the network only where the receipt is not the last word: for the receipt of the ending of a response that had
 * only started, and for the one that keeps a promise (10 s at the most).
 *
 * @param request as it was sent. If its body was used (send a clone), that is not compared. If it has a `traceparent`,
 *   the record must name that trace: so an old answer is not taken for the one to this request.
 * @param response as fetch gave it, its body not read. It can be read afterwards: a clone is verified. After a
 *   redirect it is `not-covered`, unless `request` is a GET of the URL that has answered: no receipt says where one leads.
 *   It is read to its end: one that never ends, never answers.
 * @param trust whom to believe.
 * @returns as verifyReceipt, of the receipt of the ending.
 * @throws Fault with the code of what is wrong: `mismatched` when something was altered on its way. Undecided
 *   `no-receipt`, `not-covered`, `no-answer`, `untrusted-host`, `wrong-origin` or `wrong-input`. The reason of the signal.
 * @see RFC 9530 (the digests of the bodies), docs/sdk.md
 * @example
 * import { createTrust, verifyExchange } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const request = new Request("https://api.example.com/v1/orders", { method: "POST", body: "tea" });
 * const response = await fetch(request.clone());
 * const { matched, uncompared } = await verifyExchange(request, response, trust);
 * console.log(matched.includes("response body"), uncompared.length); // true 0
 * console.log(await response.text()); // POST /v1/orders tea
 */
export async function verifyExchange(
  request: Request,
  response: Response,
  trust: Trust,
  options: NetworkOptions = {},
): Promise<ExchangeVerdict> {
  requireTrust(trust);
  // Not by class: a fetch that the caller brings along may bring its own.
  if (typeof request?.clone !== "function") throw wrongInput("a Request", typeof request);
  if (typeof response?.clone !== "function") throw wrongInput("a Response", typeof response);
  if (response.bodyUsed) throw wrongInput("a Response whose body was not read", "one that was");
  const body = request.bodyUsed ? undefined : await readBody(request.clone());
  const { method, url, headers } = request;
  const sent = { method, url, body, isRedirectAllowed: false, traceId: findTraceId(headers) };
  const { isUnsent: _, ...made } = seeExchange(sent, response);
  const seen = { ...made.seen, responseBody: await readBody(response.clone()) };
  const verdict = await verifyWithToken({ ...made, seen }, trust, options);
  return { ...verdict, uncompared: listUncompared(verdict, made.headers.has("audit-receipt-seed")) };
}

async function verifyWithToken(made: MadeExchange, trust: Trust, options: NetworkOptions): Promise<Verdict> {
  const sender = senderOf(options);
  const token = takeReceipt(made);
  const receipt = isPromise(token)
    ? await redeemPromise(sender, token, prefixOf(trust, options), trust)
    : token;
  return verifyMade(sender, made, receipt, trust);
}

/**
 * Fetches the proof that a receipt's entry is in the ledger, waiting until it is published, and checks it. If the
 * operator does not give it, it is made from the published tiles.
 *
 * @param receipt a compact JWS.
 * @param trust whom to believe.
 * @param options.waitS how long to wait for it at the most, in seconds; 20 when it is left out.
 * @returns `bytes`, the `.tlog-proof` to keep (it carries the receipt); `verdict`, with the rung `included`.
 * @throws Fault: `forked` when another entry stands in its place, or the code of whatever else is wrong. Undecided
 *   `not-yet-included` when the published tree does not reach it in time, `no-answer`, `untrusted-host`, `wrong-input`. The reason of the
 *   signal.
 * @see C2SP tlog-proof, RFC 6962 section 2.1.1
 * @example
 * import { createTrust, fetchProof } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const response = await fetch("https://api.example.com/v1/orders/7");
 * const { bytes, verdict } = await fetchProof(response.headers.get("audit-receipt"), trust);
 * console.log(verdict.rungs.join(", ")); // signed, included
 * console.log(new TextDecoder().decode(bytes).split("\n")[0]); // c2sp.org/tlog-proof@v1
 */
export async function fetchProof(
  receipt: string | null,
  trust: Trust,
  options: NetworkOptions & { readonly waitS?: number | undefined } = {},
): Promise<FetchedProof> {
  const text = requireText(receipt, "receipt");
  const { entry } = (await verifyTrusted({ receipt: text }, requireTrust(trust))).receipt;
  const address = receiptUrl(prefixOf(trust, options), entry.record.jti);
  return fetchProofAt(senderOf(options), address, text, trust, options.waitS ?? PROOF_WAIT_S);
}

/**
 * Opens one private field of a receipt, which is verified first.
 *
 * @param receipt a compact JWS.
 * @param disclosure as somebody handed it over: base64url of `[salt, name, value]`.
 * @param trust whom to believe.
 * @param options.erasure a receipt of the ledger's record of an erasure: why there is nothing to open any more.
 * @returns the name of the field and its value; null says that the exchange had none.
 * @throws Fault `not-disclosed` when the record did not commit to exactly this, `malformed`, `erased`; and as
 *   verifyReceipt does.
 * @see RFC 9901 section 4.2 and 7.1
 * @example
 * import { createTrust, disclose, openDisclosure, parseSeed } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const { headers } = await fetch("https://api.example.com/v1/orders?page=2");
 * const receipt = headers.get("audit-receipt");
 * // The caller has the seed, and can open one field to anybody:
 * const disclosure = disclose(parseSeed(headers.get("audit-receipt-seed")), "query", "page=2");
 * // Whoever has receipt and disclosure can check it:
 * const { name, value } = await openDisclosure(receipt, disclosure, trust);
 * console.log(name, value); // query page=2
 */
export async function openDisclosure(
  receipt: string | null,
  disclosure: string,
  trust: Trust,
  options: { readonly erasure?: string | undefined } = {},
): Promise<Disclosed> {
  const { entry } = (await verifyReceipt(receipt, trust)).receipt;
  if (typeof disclosure !== "string") throw wrongInput("a disclosure, as text", typeof disclosure);
  if (options.erasure === undefined) return openField(entry.record, disclosure);
  const erasure = (await verifyReceipt(options.erasure, trust)).receipt.entry;
  // What one ledger tells says nothing of another's exchanges.
  if (erasure.header.origin !== entry.header.origin) {
    throw wrongInput(`an erasure told by ${entry.header.origin}`, `one told by ${erasure.header.origin}`);
  }
  return openField(entry.record, disclosure, erasure);
}

/** How long to wait for a proof unless the caller says otherwise, in seconds. */
const PROOF_WAIT_S = 20;

/** The reserved prefix to ask. */
export function prefixOf(trust: Trust, { prefix }: Pick<NetworkOptions, "prefix">): string {
  if (prefix === undefined) return defaultPrefix(parseUrl(trust.issuer));
  return parseUrl(prefix).href.replace(/\/?$/, "/");
}

/** @throws Undecided when it is nothing that parseTrust or createTrust has made. */
export function requireTrust(trust: Trust): Trust {
  const isTrust = Array.isArray(trust?.ledgers) && Array.isArray(trust.receiptKeys);
  if (isTrust && typeof trust.issuer === "string") return trust;
  throw wrongInput("trust, as createTrust gives it", typeof trust);
}

/** The Undecided about an argument. */
export function wrongInput(expected: string, found: string): Undecided {
  // Whoever shows the message alone must see what to change.
  return new Undecided(`expected ${expected}`, { expected, found }, "wrong-input");
}

function senderOf({ fetch = globalThis.fetch, signal }: NetworkOptions): Sender {
  return sendBy(fetch, signal);
}

function requireText(text: string | null, what: string): string {
  if (typeof text === "string") return requireReceipt(text, what);
  throw wrongInput(`a ${what}, as text`, text === null ? "none" : typeof text);
}

function openSeed(seed: string | Uint8Array): Promise<Uint8Array> | Uint8Array {
  return seed instanceof Uint8Array ? seed : undecidedIfFaulty("seed", () => parseSeed(seed));
}

function readDocument(text: string, what: string): Promise<Trust> {
  return undecidedIfFaulty(what, () => parseTrust(text));
}
