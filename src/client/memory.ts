// Where a client keeps what must outlive it: the trust that it pinned, the checkpoints that it saw, its receipts.
// The caller chooses: a `Map` is a store, so is anything with `get` and `set` (Keyv, a wrapper of a file, of
// localStorage, of a KV namespace). Only trust and checkpoints are ever replaced; evidence has a key of its own.
import { sha256 } from "@noble/hashes/sha2.js";
import { encodeBase64url } from "../tlog/base64.ts";

/** A place for texts by name. Both may answer at once or by a promise; what was set must be there at the next get. */
export interface Store {
  get(key: string): string | null | undefined | Promise<string | null | undefined>;
  set(key: string, value: string): unknown;
}

/** The key of the trust that was pinned at a URL. */
export function trustKey(url: URL): string {
  return `trust/${url.href}`;
}

/** The key of the last checkpoint that was seen of a ledger. */
export function checkpointKey(origin: string): string {
  return `checkpoint/${origin}`;
}

/** The key of evidence: by its hash, so that nothing that a server sends can take the place of what is kept. */
export function evidenceKey(kind: "receipt" | "contradiction", text: string): string {
  return `${kind}/${encodeBase64url(sha256(new TextEncoder().encode(text)))}`;
}
