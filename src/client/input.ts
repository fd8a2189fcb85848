// What a person names on a command line: files, standard input, addresses, archives, and whom to believe.
import { parsePromise } from "../receipt/promise.ts";
import { parseReceipt } from "../receipt/receipt.ts";
import type { AuditRecord } from "../receipt/record.ts";
import type { Verdict } from "../receipt/verify.ts";
import { type Archive, openFolderArchive, openRemoteArchive } from "./archive.ts";
import { type Capture, isReceipt, readCapture, requireReceipt } from "./capture.ts";
import { Undecided } from "./outcome.ts";
import type { Platform } from "./platform.ts";
import { redeemPromise } from "./promise.ts";
import { carriedReceipt } from "./proof.ts";
import { defaultPrefix, isUrl, parseUrl, possiblePrefixes, receiptUrl } from "./remote.ts";
import { fetchTrust, openTrust, readNamedFile, readTrust, type TrustSource } from "./trust.ts";

/** What a person has in hand: a file, standard input, or a receipt in place of the name of a file. */
export async function readInput(platform: Platform, file: string): Promise<Uint8Array> {
  if (file === "-") return platform.readInput();
  return isReceipt(file) ? new TextEncoder().encode(file) : readNamedFile(platform, file);
}

export function nameInput(file: string): string {
  if (file === "-") return "standard input";
  return isReceipt(file) ? "the receipt that was given" : file;
}

export async function readText(platform: Platform, file: string): Promise<string> {
  return new TextDecoder().decode(await readNamedFile(platform, file));
}

export function receiptOf(capture: Capture, what: string): string {
  return capture.receipt ?? carriedReceipt(capture.proof!, what);
}

/** The record that a capture is about. */
export function recordOf(capture: Capture, what: string): AuditRecord {
  const { promise } = capture;
  return promise === undefined
    ? parseReceipt(receiptOf(capture, what)).entry.record
    : parsePromise(promise).record;
}

/** The receipt of a capture; when it has a promise instead, the receipt that keeps it. */
export async function findReceipt(
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

export async function readAnchor(platform: Platform, file: string): Promise<string> {
  return requireReceipt(new TextDecoder().decode(await readNamedFile(platform, file)), file);
}

/** The promise in a file: alone, or in the response that came with it. */
export async function readPromise(platform: Platform, file: string): Promise<string> {
  const { kind, promise } = await readCapture(await readInput(platform, file), nameInput(file));
  if (promise !== undefined) return promise;
  throw new Undecided(`${nameInput(file)}: there is no promise in it`, {
    expected: "a promise, or a response with Audit-Promise as `curl -si` prints it",
    found: `a ${kind} without one`,
  });
}

/** The trust document that was named; else the operator's own. */
export function findTrust(
  platform: Platform,
  named: string | undefined,
  operator: () => string,
): Promise<TrustSource> {
  return named === undefined ? fetchTrust(platform, operator()) : readTrust(platform, named);
}

/** The reserved prefix that goes with a trust document. */
export function prefixOf({ from, trust }: TrustSource): string {
  return isUrl(from) ? from.replace(/trust$/, "") : defaultPrefix(parseUrl(trust.issuer));
}

/** Where a verified receipt is given out again. */
export function addressOf({ receipt }: Verdict, source: TrustSource): string {
  return receiptUrl(prefixOf(source), receipt.entry.record.jti);
}

/** The address of an exchange's receipt: the one that was given, or the one that a receipt leads to. */
export async function findExchange(
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
  const address = receiptUrl(await findPrefix(platform, api ?? iss), jti);
  // A promise leads to its exchange, and there is no receipt yet that the proof must be about.
  return capture.promise === undefined ? { address, receipt: receiptOf(capture, input) } : { address };
}

export async function findPrefix(platform: Platform, where: string): Promise<string> {
  const [first, ...others] = possiblePrefixes(parseUrl(where));
  return others.length === 0 ? first! : prefixOf(await fetchTrust(platform, where));
}

export interface OpenedArchive {
  readonly archive: Archive;
  readonly address: string;
  ownTrust(): Promise<TrustSource>;
}

/** Opens the archive that was named: a running edge's, or a folder's. @param holdsEntries whether to read entries. */
export function openArchive(
  platform: Platform,
  where: string,
  tokenFile: string | undefined,
  holdsEntries = true,
): Promise<OpenedArchive> {
  return isUrl(where)
    ? openUrl(platform, where, tokenFile, holdsEntries)
    : openFolder(platform, where, holdsEntries);
}

async function openUrl(
  platform: Platform,
  where: string,
  tokenFile: string | undefined,
  holdsEntries: boolean,
): Promise<OpenedArchive> {
  const address = await findPrefix(platform, where);
  const token = holdsEntries ? await readToken(platform, tokenFile) : undefined;
  const archive = openRemoteArchive(platform, address, token);
  return { archive, address, ownTrust: () => fetchTrust(platform, address) };
}

/** The operator's token comes from a file or the environment; other users can see a command line. */
export async function readToken(platform: Platform, file: string | undefined): Promise<string | undefined> {
  const text = file === undefined ? platform.variable("COUNTERFOIL_TOKEN") : await readText(platform, file);
  const token = text?.trim();
  if (token === undefined || (token === "" && file === undefined)) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Undecided("this is not a bearer token", { expected: "visible ASCII, without spaces" });
}

async function openFolder(platform: Platform, folder: string, holdsEntries: boolean): Promise<OpenedArchive> {
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
  return { archive: openFolderArchive(platform, folder, holdsEntries), address: folder, ownTrust };
}
