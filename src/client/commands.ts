// What each command does, from what a person typed to an answer. Nothing here prints or decides exit codes.
import { isPromise, parsePromise } from "../receipt/promise.ts";
import { parseReceipt } from "../receipt/receipt.ts";
import type { AuditRecord } from "../receipt/record.ts";
import type { SeenExchange, Verdict } from "../receipt/verify.ts";
import { parseVerifierKey } from "../tlog/note.ts";
import { type Archive, openFolderArchive, openRemoteArchive } from "./archive.ts";
import { audit } from "./audit.ts";
import { type Capture, readCapture, requireReceipt } from "./capture.ts";
import { examine } from "./doctor.ts";
import { listUncompared, makeExchange, takeReceipt, verifyMade, verifyTrusted } from "./exchange.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Platform, PolicyReading, WireRequest } from "./platform.ts";
import {
  type Answer,
  describeAudit,
  describeBadPolicy,
  describeExplanation,
  describePolicy,
  describeTrust,
  describeVerdict,
} from "./print.ts";
import { redeemPromise } from "./promise.ts";
import { carriedReceipt, fetchConsistency, fetchProof } from "./proof.ts";
import { defaultPrefix, isUrl, parseUrl, possiblePrefixes } from "./remote.ts";
import { fetchTrust, openTrust, readNamedFile, readTrust, type TrustSource } from "./trust.ts";

export interface FetchOptions {
  readonly request?: string;
  readonly header: readonly string[];
  readonly data?: string;
  readonly trust?: string;
  readonly output?: string;
}

/** Sends a request, prints the response's body, and verifies its receipt. */
export async function fetchCommand(
  platform: Platform,
  address: string,
  options: FetchOptions,
): Promise<Answer> {
  const url = parseUrl(address);
  // Before anything is sent: a request may have effects, and a mistyped name of a file should have none.
  const pinned = options.trust === undefined ? undefined : await readTrust(platform, options.trust);
  const request = await makeRequest(platform, url, options);
  const toFile = options.output !== undefined;
  const made = await makeExchange(platform, request, async chunk => {
    if (!toFile) await platform.writeOut(chunk);
  });
  if (toFile) await platform.writeFile(options.output, made.seen.responseBody!);
  const token = takeReceipt(made);
  const source = pinned ?? (await fetchTrust(platform, defaultPrefix(url)));
  const receipt = isPromise(token)
    ? await redeemPromise(platform, token, prefixOf(source), source.trust)
    : token;
  const verdict = await verifyMade(platform, made, receipt, source.trust);
  const uncompared = listUncompared(verdict, made.headers.has("audit-receipt-seed"));
  return describeVerdict(verdict, uncompared, source, addressOf(verdict, source));
}

export interface VerifyOptions {
  readonly trust?: string;
  readonly anchor?: string;
  readonly body?: string;
  readonly url?: string;
  readonly method?: string;
}

/** Verifies what a person has in hand. */
export async function verifyCommand(
  platform: Platform,
  file: string,
  options: VerifyOptions,
): Promise<Answer> {
  const capture = await readCapture(await readInput(platform, file), nameInput(file));
  const { iss } = recordOf(capture, file);
  const source = await findTrust(platform, options.trust, () => parseUrl(iss).href);
  const receipt = await findReceipt(platform, capture, file, source);
  const exchange = await seenExchange(platform, capture, options);
  const anchor = options.anchor === undefined ? undefined : await readAnchor(platform, options.anchor);
  const { proof, seed } = capture;
  if (anchor !== undefined && proof === undefined) {
    throw new Undecided("an anchor says nothing of a receipt without a proof", {
      expected: "a .tlog-proof to verify (counterfoil proof fetches it)",
      found: `a ${capture.kind}`,
    });
  }
  const tiles = openRemoteArchive(platform, prefixOf(source), undefined);
  const consistency = anchor && (await fetchConsistency(tiles.get, proof!, anchor, source.trust));
  const evidence = {
    ...{ receipt, exchange },
    ...(seed && { seed }),
    ...(proof !== undefined && { proof }),
    ...(anchor !== undefined && { anchor }),
    ...(consistency && { consistency }),
  };
  const verdict = await verifyTrusted(evidence, source.trust);
  const uncompared = listUncompared(verdict, seed !== undefined);
  return describeVerdict(verdict, uncompared, source, addressOf(verdict, source));
}

export interface ProofOptions {
  readonly url?: string;
  readonly trust?: string;
  readonly output?: string;
  /** In seconds. */
  readonly wait: number;
}

/** Fetches the proof for a receipt, checks it, and writes it. */
export async function proofCommand(
  platform: Platform,
  input: string,
  options: ProofOptions,
): Promise<Answer> {
  const { address, receipt } = await findExchange(platform, input, options.url);
  const source = await findTrust(platform, options.trust, () => address);
  const { bytes, verdict } = await fetchProof(platform, address, receipt, source.trust, options.wait);
  if (options.output === undefined) await platform.writeOut(bytes);
  else await platform.writeFile(options.output, bytes);
  return describeVerdict(verdict, [], source, address);
}

export interface AuditCommandOptions {
  readonly trust?: string;
  readonly token?: string;
  readonly anchor?: string;
  readonly promise: readonly string[];
  readonly state?: string;
  readonly full?: true;
  readonly receipt: readonly string[];
  /** In seconds. */
  readonly anchoredWithin?: number;
}

/** Audits a running edge or a folder. */
export async function auditCommand(
  platform: Platform,
  where: string,
  options: AuditCommandOptions,
): Promise<Answer> {
  const { archive, address, ownTrust } = isUrl(where)
    ? await openUrl(platform, where, options.token)
    : await openFolder(platform, where);
  const source = options.trust === undefined ? await ownTrust() : await readTrust(platform, options.trust);
  const { anchor, state: file, full, anchoredWithin } = options;
  const state = file === undefined ? undefined : await readState(platform, file);
  const promises: string[] = [];
  for (const name of options.promise) promises.push(await readPromise(platform, name));
  const report = await audit({
    ...{ archive, trust: source.trust, promises },
    receipts: await Promise.all(options.receipt.map(name => readHeldReceipt(platform, name))),
    ...(anchor !== undefined && { keptAnchor: await readAnchor(platform, anchor) }),
    ...(state !== undefined && { state }),
    ...(full && { full }),
    ...(anchoredWithin !== undefined && { anchoredWithinS: anchoredWithin }),
  });
  if (file === undefined) return describeAudit(report, address, source);
  if (report.state !== undefined) await platform.writeFile(file, new TextEncoder().encode(report.state));
  return describeAudit(report, address, source, { file, isFirst: state === undefined });
}

/** The state of an earlier audit, or undefined when there was none. Bytes that are no UTF-8 are no state either. */
async function readState(platform: Platform, file: string): Promise<string | undefined> {
  const bytes = await platform.readFile(file);
  return bytes && new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

async function readHeldReceipt(platform: Platform, file: string): Promise<string> {
  const capture = await readCapture(await readNamedFile(platform, file), file);
  if (capture.promise === undefined) return receiptOf(capture, file);
  throw new Undecided(`${file}: a promise says nothing about an archive`, {
    expected: "a receipt (or --promise, to ask whether it was kept)",
  });
}

/** Says how an edge is, and what to do about it. */
export async function doctorCommand(platform: Platform, where: string): Promise<Answer> {
  return examine(platform, await findPrefix(platform, where));
}

/** Fetches a trust document, so that it can be kept. */
export async function trustCommand(
  platform: Platform,
  where: string,
  options: { readonly output?: string },
): Promise<Answer> {
  const source = await fetchTrust(platform, where);
  if (options.output === undefined) await platform.writeOut(source.bytes);
  else await platform.writeFile(options.output, source.bytes);
  return describeTrust(source.trust, source);
}

export interface WitnessCommandOptions {
  readonly name: string;
  readonly state: string;
  readonly log: readonly string[];
  readonly trust: readonly string[];
  readonly host: string;
  readonly port: number;
}

/** Runs a witness until it is told to end. */
export async function witnessCommand(platform: Platform, options: WitnessCommandOptions): Promise<Answer> {
  const given = await undecidedIfFaulty("--log", () => options.log.map(parseVerifierKey));
  const trusted = await Promise.all(options.trust.map(where => readTrust(platform, where)));
  const logs = [...given, ...trusted.flatMap(({ trust }) => trust.ledgers.flatMap(({ keys }) => keys))];
  if (logs.length === 0) {
    throw new Undecided("there is no ledger to cosign for", { expected: "--log or --trust" });
  }
  const { name, state, host, port } = options;
  await platform.runWitness({ name, state, logs, host, port }, ({ url, key }) => {
    const origins = [...new Set(logs.map(log => log.name))].map(origin => `cosigns    ${origin}\n`);
    return platform.writeOut(`witness    ${url}\nkey        ${key}\n${origins.join("")}`);
  });
  return { outcome: "proven", rows: [["ended", `what it cosigned is kept in ${state}`]], json: { state } };
}

async function makeRequest(platform: Platform, url: URL, options: FetchOptions): Promise<WireRequest> {
  const { data } = options;
  const body = data === undefined ? undefined : await readData(platform, data);
  const given = options.header.map(parseHeaderLine);
  const defaults: (readonly [string, string])[] = [
    ["user-agent", `counterfoil/${platform.version}`],
    ["accept", "*/*"],
    // The receipt covers the bytes on the wire: asking for none makes them the ones that people expect.
    ["accept-encoding", "identity"],
    ...(body === undefined ? [] : [["content-type", "application/x-www-form-urlencoded"] as const]),
  ];
  const isGiven = (name: string) => given.some(([other]) => other.toLowerCase() === name);
  const target = new URL(url);
  target.hash = "";
  return {
    method: options.request ?? (body === undefined ? "GET" : "POST"),
    url: target.href,
    headers: [...defaults.filter(([name]) => !isGiven(name)), ...given],
    ...(body && { body }),
  };
}

function readData(platform: Platform, data: string): Uint8Array | Promise<Uint8Array> {
  return data.startsWith("@") ? readInput(platform, data.slice(1)) : new TextEncoder().encode(data);
}

function parseHeaderLine(line: string): readonly [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(line);
  if (match === null)
    throw new Undecided("this is not a header field", { expected: "'Name: value'", found: line });
  return [match[1]!, match[2]!];
}

function readInput(platform: Platform, file: string): Promise<Uint8Array> {
  return file === "-" ? platform.readInput() : readNamedFile(platform, file);
}

function nameInput(file: string): string {
  return file === "-" ? "standard input" : file;
}

function receiptOf(capture: Capture, what: string): string {
  return capture.receipt ?? carriedReceipt(capture.proof!, what);
}

/** The record that a capture is about. */
function recordOf(capture: Capture, what: string): AuditRecord {
  const { promise } = capture;
  return promise === undefined
    ? parseReceipt(receiptOf(capture, what)).entry.record
    : parsePromise(promise).record;
}

/** The receipt of a capture; when it has a promise instead, the receipt that keeps it. */
async function findReceipt(
  platform: Platform,
  capture: Capture,
  what: string,
  source: TrustSource,
): Promise<string> {
  const { promise } = capture;
  return promise === undefined
    ? receiptOf(capture, what)
    : redeemPromise(platform, promise, prefixOf(source), source.trust);
}

async function readAnchor(platform: Platform, file: string): Promise<string> {
  return requireReceipt(new TextDecoder().decode(await readNamedFile(platform, file)), file);
}

/** The promise in a file: alone, or in the response that came with it. */
async function readPromise(platform: Platform, file: string): Promise<string> {
  const { kind, promise } = await readCapture(await readInput(platform, file), nameInput(file));
  if (promise !== undefined) return promise;
  throw new Undecided(`${nameInput(file)}: there is no promise in it`, {
    expected: "a promise, or a response with Audit-Promise as `curl -si` prints it",
    found: `a ${kind} without one`,
  });
}

/** The trust document that was named; else the operator's own. */
function findTrust(
  platform: Platform,
  named: string | undefined,
  operator: () => string,
): Promise<TrustSource> {
  return named === undefined ? fetchTrust(platform, operator()) : readTrust(platform, named);
}

async function seenExchange(
  platform: Platform,
  capture: Capture,
  options: VerifyOptions,
): Promise<SeenExchange> {
  const { url, method } = options;
  const body = options.body === undefined ? capture.body : await readInput(platform, options.body);
  return {
    ...(method !== undefined && { method }),
    ...(url !== undefined && { url: parseUrl(url).href }),
    ...(capture.status !== undefined && { status: capture.status }),
    ...(body && { responseBody: body }),
  };
}

/** The reserved prefix that goes with a trust document. */
function prefixOf({ from, trust }: TrustSource): string {
  return isUrl(from) ? from.replace(/trust$/, "") : defaultPrefix(parseUrl(trust.issuer));
}

/** Where a verified receipt is given out again. */
function addressOf({ receipt }: Verdict, source: TrustSource): string {
  return `${prefixOf(source)}receipts/${encodeURIComponent(receipt.entry.record.jti)}`;
}

/** The address of an exchange's receipt: the one that was given, or the one that a receipt leads to. */
async function findExchange(
  platform: Platform,
  input: string,
  api: string | undefined,
): Promise<{ address: string; receipt?: string }> {
  if (isUrl(input)) {
    const { origin, pathname } = parseUrl(input);
    if (/\/receipts\/[^/]+(\/proof)?$/.test(pathname)) return { address: origin + pathname };
    throw new Undecided("this is not the address of a receipt", {
      expected: ".../receipts/<id>",
      found: input,
    });
  }
  const capture = await readCapture(await readInput(platform, input), nameInput(input));
  const { iss, jti } = recordOf(capture, input);
  const address = `${await findPrefix(platform, api ?? iss)}receipts/${encodeURIComponent(jti)}`;
  // A promise leads to its exchange, and there is no receipt yet that the proof must be about.
  return capture.promise === undefined ? { address, receipt: receiptOf(capture, input) } : { address };
}

async function findPrefix(platform: Platform, where: string): Promise<string> {
  const [first, ...others] = possiblePrefixes(parseUrl(where));
  return others.length === 0 ? first! : prefixOf(await fetchTrust(platform, where));
}

interface OpenedArchive {
  readonly archive: Archive;
  readonly address: string;
  ownTrust(): Promise<TrustSource>;
}

async function openUrl(
  platform: Platform,
  where: string,
  tokenFile: string | undefined,
): Promise<OpenedArchive> {
  const address = await findPrefix(platform, where);
  const archive = openRemoteArchive(platform, address, await readToken(platform, tokenFile));
  return { archive, address, ownTrust: () => fetchTrust(platform, address) };
}

/** The operator's token comes from a file or the environment; other users can see a command line. */
async function readToken(platform: Platform, file: string | undefined): Promise<string | undefined> {
  const text = file === undefined ? platform.variable("COUNTERFOIL_TOKEN") : await readText(platform, file);
  const token = text?.trim();
  if (token === undefined || (token === "" && file === undefined)) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Undecided("this is not a bearer token", { expected: "visible ASCII, without spaces" });
}

async function readText(platform: Platform, file: string): Promise<string> {
  return new TextDecoder().decode(await readNamedFile(platform, file));
}

async function openFolder(platform: Platform, folder: string): Promise<OpenedArchive> {
  if ((await platform.listFolder(folder)) === undefined) {
    throw new Undecided("there is no such folder", { expected: "a folder, or a URL", found: folder });
  }
  const ownTrust = async (): Promise<TrustSource> => {
    for (const path of [`${folder}/trust`, `${folder}/trust.json`]) {
      const bytes = await platform.readFile(path);
      if (bytes !== undefined) return openTrust(bytes, path, "folder");
    }
    throw new Undecided("there is no trust document in this folder", {
      expected: `--trust, ${folder}/trust or ${folder}/trust.json`,
    });
  };
  return { archive: openFolderArchive(platform, folder), address: folder, ownTrust };
}

export interface PolicyOptions {
  readonly config: string;
}

/** Checks a policy, and says what would become of a request by it. */
export async function policyCommand(
  platform: Platform,
  asked: { readonly method: string; readonly address: string } | undefined,
  { config }: PolicyOptions,
): Promise<Answer> {
  const file = await platform.readFile(config);
  if (file === undefined) throw new Undecided("there is no such file", { found: config });
  let policy: PolicyReading;
  try {
    policy = platform.readPolicy(new TextDecoder().decode(file));
  } catch (error) {
    return describeBadPolicy((error as Error).message, config);
  }
  if (asked === undefined) return describePolicy(policy, config);
  const url = URL.parse(asked.address, policy.issuer);
  if (url === null) throw new Undecided("the address is no URL", { found: asked.address });
  try {
    return describeExplanation(policy, policy.explain(asked.method, url), `${asked.method} ${url}`);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Undecided("such a request cannot be made", { found: `${asked.method} ${url}` });
  }
}
