// The read side, below the reserved prefix: everything that a client or an auditor needs to check a
// receipt. It reads the archive as they could themselves; only finding an exchange asks the ledger.
//
// Who may call what: health, keys, trust, checkpoints, hash tiles and anchors are public, they hold nothing but
// hashes and signatures. A receipt is given to whoever knows its exchange's id, which has 74 random bits.
// Entry bundles hold every record, so they are for the operator; so is all that lies below `private/`.
import { type IRequest, Router } from "itty-router";
import { formatAnchorPath } from "../receipt/anchor.ts";
import { parseEntry } from "../receipt/entry.ts";
import { timeOfJti } from "../receipt/jti.ts";
import type { SigningKey } from "../receipt/key.ts";
import { findSigner, issueReceipt } from "../receipt/receipt.ts";
import { isFinal } from "../receipt/record.ts";
import { formatSpoolPrefix } from "../receipt/spool.ts";
import type { AnchorStatus } from "../receipt/status.ts";
import { formatTrust, type Trust } from "../receipt/trust.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { parseNote } from "../tlog/note.ts";
import { formatProof } from "../tlog/proof.ts";
import { type Get, readTiles } from "../tlog/reader.ts";
import { parseTilePath, TILE_WIDTH } from "../tlog/tile.ts";
import { planInclusion } from "../tlog/tree.ts";
import { assuranceOf } from "./assurance.ts";
import type { Sources } from "./exchange.ts";
import { within } from "./ledger.ts";
import { createOperatorSide, isOperator, notOperator, type OperatorOptions } from "./operator.ts";
import type { Policy } from "./policy.ts";
import { problem } from "./problem.ts";
import type { Spool } from "./spool.ts";

export interface ReadOptions extends OperatorOptions {
  readonly policy: Policy;
  readonly trust: Trust;
  readonly receiptKey: SigningKey;
  /** The receipt key before, if receipts of its time are issued again. */
  readonly receiptKeyBefore?: SigningKey;
  readonly spool: Spool;
  readonly sources: Pick<Sources, "now">;
  /** Objects of the archive, by key, and anchors likewise. */
  readonly archive: Get;
  readonly anchors: Get;
  readonly anchorStatus: () => Promise<AnchorStatus>;
  /** Whether no new requests are wanted: this process is about to end. On some platforms none ever tells. */
  readonly isDraining?: () => boolean;
}

/** An entry of the ledger, with the name of the ledger it is in. */
interface Found {
  readonly ledger: string;
  readonly text: string;
}

const IMMUTABLE = "public, max-age=31536000, immutable";
const FRESH = "no-cache";

/** The longest that a request may ask to wait (RFC 7240 `wait`), in seconds, and between two looks, in ms. */
const WAIT_SECONDS_MAX = 20;
const WAIT_STEP_MIN_MS = 100;
const WAIT_STEP_MAX_MS = 1600;

/** How long a ledger may take for an answer here, in ms. */
const LEDGER_WAIT_MS = 5000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @returns the handler of everything below the reserved prefix. */
export function createReader(options: ReadOptions): (request: Request) => Promise<Response> {
  const { policy, trust, anchors, anchorStatus } = options;
  const base = policy.prefix.slice(0, -1);
  const router = Router<IRequest, []>({ base });
  const operatorSide = createOperatorSide(options, `${base}/private`);
  router
    .all("/private/*", request => operatorSide(request))
    .options("*", () => preflight())
    .all("*", request => (["GET", "HEAD"].includes(request.method) ? undefined : notAllowed()))
    .get("/jwks.json", () => json({ keys: trust.receiptKeys }))
    .get("/trust", () => text("application/json", formatTrust(trust)))
    .get("/health", () => health(options))
    .get("/ready", () => ready(options))
    .get("/anchors", async () => json({ latest: (await anchorStatus()).latest ?? null }))
    .get("/anchors/:epoch", async ({ params }) => {
      const epoch = /^(\d{1,10})(\.jws)?$/.exec(params.epoch!)?.[1];
      if (epoch === undefined) return notFound("an anchor's epoch is a number of at most 10 digits");
      const object = await anchors(formatAnchorPath(Number(epoch)));
      return object === undefined
        ? notFound(`there is no anchor ${epoch}`)
        : bytes(object, "application/jose");
    })
    .get("/receipts/:jti/proof", request => untilSettled(request, () => prove(options, request.params.jti!)))
    .get("/receipts/:jti", request => untilSettled(request, () => reissue(options, request.params.jti!)))
    .get("/:ledger/checkpoint", ({ params }) => readObject(options, params.ledger!, "checkpoint"))
    .get("/:ledger/tile/:path+", ({ params, headers }) =>
      readTile(options, params.ledger!, `tile/${params.path}`, headers),
    )
    .all("*", () => notFound("there is nothing at this address"));
  return async request => {
    const { method, url, headers } = request;
    // Not a copy by the platform, which knows how to copy its own requests only, and has nothing else that is asked for.
    const response: Response = await router.fetch(
      method === "HEAD" ? { method: "GET", url, headers } : request,
    );
    // Browser clients of any origin may check receipts: nothing here depends on who asks by cookie.
    response.headers.set("access-control-allow-origin", "*");
    response.headers.set("access-control-expose-headers", "Audit-Stage, Retry-After");
    return request.method === "HEAD" ? new Response(null, response) : response;
  };
}

/** Whether every ledger takes records and anchors are written, how far they are, and why not: 200 only if all is well. */
async function health({ ledgers, anchorStatus }: ReadOptions): Promise<Response> {
  const unreachable = { state: "unreachable" };
  const states = [...ledgers].map(async ([name, connect]) => {
    const status = await within(LEDGER_WAIT_MS, connect().status()).catch(() => undefined);
    if (status === undefined) return { name, ...unreachable };
    const { halted, trouble } = status;
    return { name, state: halted ? "halted" : trouble ? "failing" : "open", ...status };
  });
  const anchors = within(LEDGER_WAIT_MS, anchorStatus()).then(
    status => ({ state: status.trouble === undefined ? "open" : "failing", ...status }),
    () => unreachable,
  );
  const report = { ledgers: await Promise.all(states), anchors: await anchors };
  const well = [...report.ledgers, report.anchors].every(({ state }) => state === "open");
  return new Response(`${JSON.stringify(report)}\n`, {
    status: well ? 200 : 503,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

/** Whether requests are welcome, for whoever distributes them: it asks nobody, so it may be asked often. */
function ready({ isDraining = () => false }: ReadOptions): Response {
  const [status, body] = isDraining() ? [503, "draining\n"] : [200, "ready\n"];
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
  return new Response(body as string, { status: status as number, headers });
}

/** The newest receipt of an exchange: of its ending, once it has ended. */
async function reissue(options: ReadOptions, jti: string): Promise<Response> {
  const found = await find(options, jti);
  if (found instanceof Response) return found;
  const receipt = await issueAgain(options, found.text);
  if (receipt instanceof Response) return receipt;
  return isFinal(parseEntry(found.text).record.stage)
    ? text("application/jwt", receipt)
    : text("application/jwt", receipt, { "audit-stage": "open", "retry-after": "1" });
}

/** The receipt of an entry, by the key that the entry names; or the answer that says why there is none. */
async function issueAgain(
  { receiptKey, receiptKeyBefore, trust }: ReadOptions,
  entry: string,
): Promise<string | Response> {
  const key = findSigner(entry, receiptKeyBefore ? [receiptKey, receiptKeyBefore] : [receiptKey]);
  if (key !== undefined) return issueReceipt(entry, key);
  const { index, kid } = parseEntry(entry).header;
  if (trust.receiptKeys.some(known => known.kid === kid)) {
    const detail = `Entry ${index} names a receipt key that was retired since, so its receipt cannot be issued again. The entry stands in the ledger, and a receipt of it that was kept verifies.`;
    return problem(410, "Receipt key retired", detail);
  }
  // The keys are being replaced, and this part of the edge has not heard of it yet.
  const detail = `Entry ${index} names a receipt key that is not here yet. Ask again soon.`;
  return problem(503, "Receipt key not here yet", detail, { "retry-after": "1" });
}

/** A `.tlog-proof` of the newest receipt of an exchange, under the published checkpoint. */
async function prove(options: ReadOptions, jti: string): Promise<Response> {
  const found = await find(options, jti);
  if (found instanceof Response) return found;
  const get: Get = path => options.archive(`${found.ledger}/${path}`);
  const { index } = parseEntry(found.text).header;
  const note = decoder.decode((await get("checkpoint")) ?? new Uint8Array());
  const size = note === "" ? 0 : parseCheckpoint(parseNote(note).text).size;
  if (index >= size) {
    const detail = `The published tree has ${size} entries and does not reach entry ${index} yet. Ask again soon.`;
    return problem(404, "Not yet included", detail, { "retry-after": "1" });
  }
  const receipt = await issueAgain(options, found.text);
  if (receipt instanceof Response) return receipt;
  const plan = planInclusion(index, size);
  const proof = formatProof({
    extra: encoder.encode(receipt),
    index,
    hashes: plan.prove(await readTiles(get, plan.tiles)),
    checkpoint: note,
  });
  return text("text/plain; charset=utf-8", proof);
}

/** The entry of an exchange's ending or, while there is none, of its newest stage; or the answer that says why not. */
async function find(options: ReadOptions, jti: string): Promise<Found | Response> {
  const unknown = notFound("there is no exchange of this id");
  const began = timeOfJti(jti);
  // A ledger takes no record with another kind of id.
  if (began === undefined) return unknown;
  let unreachable = false;
  for (const [ledger, connect] of options.ledgers) {
    const entries = await within(LEDGER_WAIT_MS, connect().find(jti)).catch(() => undefined);
    if (entries === undefined) unreachable = true;
    const newest = pickNewest(entries ?? []);
    if (newest !== undefined) return { ledger, text: newest };
  }
  for (const ledger of options.ledgers.keys()) {
    if (await options.spool.holds(formatSpoolPrefix(ledger, jti))) return onItsWay();
  }
  if (unreachable) {
    return problem(503, "Not reachable", "A ledger cannot be asked now. Ask again soon.", {
      "retry-after": "1",
    });
  }
  return mayBePromised(options.policy, options.sources.now() - began) ? again(unknown) : unknown;
}

/** Of the entries of one exchange, that of its ending, or else of its newest stage. */
function pickNewest(entries: readonly string[]): string | undefined {
  const stageOf = (text: string) => parseEntry(text).record.stage;
  return (
    entries.findLast(text => isFinal(stageOf(text))) ??
    entries.findLast(text => stageOf(text) !== "control") ??
    entries.at(-1)
  );
}

/** The answer about an exchange whose records wait in the spool. */
function onItsWay(): Response {
  const response = json({ stage: "promised", detail: "The record is durable, and not in the ledger yet." });
  return again(new Response(response.body, { status: 202, headers: response.headers }), "promised");
}

/** An exchange of this age that nobody knows yet may have been let go with a promise that is still to be kept. */
function mayBePromised({ routes }: Policy, ms: number): boolean {
  return routes.some(route => {
    const { assurance, promiseSeconds } = assuranceOf(route);
    return assurance === "promised" && ms >= 0 && ms <= promiseSeconds * 1000;
  });
}

/** The same answer, with the word that asking again may get another. */
function again(response: Response, stage?: string): Response {
  response.headers.set("retry-after", "1");
  if (stage !== undefined) response.headers.set("audit-stage", stage);
  return response;
}

/**
 * Asks again while the answer is only a matter of time, for as long as the client wants to wait (RFC 7240
 * section 4.3). An exchange that is not known is waited for only while it may be promised.
 */
async function untilSettled(request: Request, ask: () => Promise<Response>): Promise<Response> {
  const wanted = /(?:^|[,;\s])wait=(\d{1,4})\b/.exec(request.headers.get("prefer") ?? "")?.[1];
  const seconds = Math.min(Number(wanted ?? "0"), WAIT_SECONDS_MAX);
  const late = AbortSignal.timeout(seconds * 1000);
  for (let stepMs = WAIT_STEP_MIN_MS; ; stepMs = Math.min(stepMs * 2, WAIT_STEP_MAX_MS)) {
    const response = await ask();
    if (!response.headers.has("retry-after") || seconds === 0 || late.aborted) {
      if (wanted !== undefined) response.headers.set("preference-applied", `wait=${seconds}`);
      return response;
    }
    await new Promise(resolve => setTimeout(resolve, stepMs));
  }
}

function readTile(
  options: ReadOptions,
  ledger: string,
  path: string,
  headers: Headers,
): Promise<Response> | Response {
  const tile = (() => {
    try {
      return parseTilePath(path);
    } catch {
      return undefined;
    }
  })();
  if (tile === undefined) return notFound("this is not the path of a tile");
  if (tile.level === "entries" && !isOperator(options, headers)) {
    return notOperator("Entry bundles hold every record; send the operator's bearer token.");
  }
  return readObject(options, ledger, path);
}

async function readObject(
  { policy, archive, ledgers }: ReadOptions,
  ledger: string,
  path: string,
): Promise<Response> {
  if (!policy.ledgers.some(({ name }) => name === ledger)) return notFound(`there is no ledger "${ledger}"`);
  const object = await archive(`${ledger}/${path}`);
  if (object === undefined)
    return (await explainPruned(ledgers, ledger, path)) ?? notFound(`${ledger}/${path} is not published`);
  if (path === "checkpoint") return text("text/plain; charset=utf-8", decoder.decode(object));
  return bytes(
    object,
    "application/octet-stream",
    path.startsWith("tile/entries") ? "private, no-store" : IMMUTABLE,
  );
}

/** What to answer for a bundle whose retention has ended (C2SP tlog-tiles, pruning). */
async function explainPruned(
  ledgers: ReadOptions["ledgers"],
  ledger: string,
  path: string,
): Promise<Response | undefined> {
  if (!path.startsWith("tile/entries/")) return undefined;
  const { n } = parseTilePath(path);
  const { minimum = 0 } = await ledgers.get(ledger)!().status();
  if ((n + 1) * TILE_WIDTH > minimum) return undefined;
  const detail = `pruned: the retention of the entries below index ${minimum} has ended. Every proof still holds.`;
  return problem(410, "Pruned", detail);
}

function json(value: unknown): Response {
  return text("application/json", `${JSON.stringify(value)}\n`);
}

function text(type: string, body: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(body, { headers: { "content-type": type, "cache-control": FRESH, ...headers } });
}

function bytes(body: Uint8Array, type: string, caching = IMMUTABLE): Response {
  return new Response(body as BodyInit, { headers: { "content-type": type, "cache-control": caching } });
}

function notFound(detail: string): Response {
  return problem(404, "Not found", `Nothing found: ${detail}.`);
}

/** What browsers ask before they send `Prefer` for a page of another origin (Fetch, CORS-preflight). */
function preflight(): Response {
  const headers = {
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "Prefer",
    "access-control-max-age": "86400",
  };
  return new Response(null, { status: 204, headers });
}

function notAllowed(): Response {
  return problem(405, "Read only", "Everything below this prefix is read with GET or HEAD.", {
    allow: "GET, HEAD",
  });
}
