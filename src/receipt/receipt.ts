// The receipt: an entry plus its signature, as a compact JWS (RFC 7515).
// Issuing adds nothing to the entry but a signature over exactly its bytes, so receipt and counterfoil
// match byte for byte, and a lost receipt can be issued again, bit for bit.
import { Fault } from "../tlog/fault.ts";
import { ENTRY_BYTES_MAX, type Entry, namesKey, parseEntry } from "./entry.ts";
import { type Jws, type SigningKey, signJws, splitJws, type TrustedKey, verifyJws } from "./key.ts";

export interface Receipt {
  readonly jws: Jws;
  readonly entry: Entry;
}

/**
 * Signs an entry that the ledger has made durable.
 * @throws Error when the entry names another key: such a receipt would read as tampered with.
 */
export async function issueReceipt(entry: string, key: SigningKey): Promise<string> {
  if (!namesKey(entry, key.kid)) throw new Error(`entry: names another receipt key than ${key.kid}`);
  return signJws(entry, key);
}

/** Of some keys, the one that an entry names. */
export function findSigner(entry: string, keys: readonly SigningKey[]): SigningKey | undefined {
  return keys.find(({ kid }) => namesKey(entry, kid));
}

/**
 * Reads a receipt without verifying it.
 * @throws Fault `malformed` or `too-large`.
 * @see RFC 7515 section 7.1, docs/format.md "Receipt"
 * @example
 * import { parseReceipt } from "counterfoil/verify";
 *
 * const { headers } = await fetch("https://api.example.com/v1/orders/7");
 * const { header, record } = parseReceipt(headers.get("audit-receipt")).entry;
 * console.log(header.origin, record.req.method, record.res.status); // api.example.com/audit/main GET 200
 */
export function parseReceipt(text: string): Receipt {
  if (text.length > ENTRY_BYTES_MAX + 100) {
    throw new Fault("too-large", "receipt: larger than a receipt may be", { found: `${text.length} bytes` });
  }
  const jws = splitJws(text, "receipt");
  return { jws, entry: parseEntry(jws.input) };
}

/**
 * Verifies the signature of a receipt.
 * @returns the key that signed.
 * @throws Fault `unknown-key`, `unsupported`, `key-not-valid` or `bad-signature`.
 */
export function verifySignature(receipt: Receipt, keys: readonly TrustedKey[]): Promise<TrustedKey> {
  return verifyJws(receipt.jws, receipt.entry.header, keys, receipt.entry.header.at, "receipt");
}
