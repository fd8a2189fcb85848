// Where a trust document comes from. A copy that was kept from an earlier time is worth most; one fetched
// anew from the operator shows only that the operator agrees with itself, and whoever gets it is told so.
import { parseTrust, type Trust } from "../receipt/trust.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Platform, Sender } from "./platform.ts";
import { isUrl, parseUrl, possiblePrefixes, readUrl } from "./remote.ts";

export interface TrustSource {
  readonly trust: Trust;
  /** The document, byte for byte. */
  readonly bytes: Uint8Array;
  /** The file or URL that it was read from. */
  readonly from: string;
  /** Who it came from: the verifier himself, or those whom it is to check. */
  readonly origin: "given" | "operator" | "folder";
}

/** Reads the trust document that a person named: a file, or a URL. @throws Undecided */
export async function readTrust(platform: Platform, where: string): Promise<TrustSource> {
  if (isUrl(where)) return { ...(await fetchTrust(platform, where)), origin: "given" };
  return openTrust(await readNamedFile(platform, where), where, "given");
}

/** Fetches the trust document of an edge. @param where URL of the API, of the prefix or of the document. */
export async function fetchTrust(sender: Sender, where: string): Promise<TrustSource> {
  const tried: string[] = [];
  for (const prefix of possiblePrefixes(parseUrl(where))) {
    const url = `${prefix}trust`;
    const { status, body } = await readUrl(sender, url);
    if (status === 200) return openTrust(body, url, "operator");
    tried.push(`${url} (status ${status})`);
  }
  throw new Undecided("there is no trust document at this address", {
    expected: "the URL of an API behind Counterfoil, or of its reserved prefix",
    found: tried.join(", "),
  });
}

/** Reads a trust document's bytes. @throws Undecided */
export function openTrust(
  bytes: Uint8Array,
  from: string,
  origin: TrustSource["origin"],
): Promise<TrustSource> {
  return undecidedIfFaulty(from, () => {
    const trust = parseTrust(new TextDecoder().decode(bytes));
    return { trust, bytes, from, origin };
  });
}

/** A file that a person named. @throws Undecided when there is none */
export async function readNamedFile(platform: Platform, path: string): Promise<Uint8Array> {
  if (isUrl(path)) {
    throw new Undecided(`${path}: a file is needed here`, {
      expected: "a file that you have; or counterfoil fetch, which asks there and verifies the answer",
      found: "an address",
    });
  }
  const bytes = await platform.readFile(path);
  if (bytes === undefined) throw new Undecided(`${path}: there is no such file`);
  return bytes;
}
