// The ledger that most vectors are about: its keys, its entries and its signed checkpoints.

import {
  COSIGNATURE_ED25519,
  checkpointText,
  makeKey,
  NOTE_ED25519,
  note,
  type SigningKey,
  signText,
  utf8,
  verifierKey,
} from "../note.ts";
import { leafHash, mthOfLeaves } from "../rfc6962.ts";

export const ORIGIN = "ledger.example/audit/main";
export const OTHER_ORIGIN = "ledger.example/audit/other";

export const LOG = makeKey(ORIGIN, NOTE_ED25519, "counterfoil test: log");
/** The ledger's next key: same name, another id. */
export const NEXT_LOG = makeKey(ORIGIN, NOTE_ED25519, "counterfoil test: next log");
export const OTHER_LOG = makeKey(OTHER_ORIGIN, NOTE_ED25519, "counterfoil test: other log");
export const STRANGER = makeKey("stranger.example/log", NOTE_ED25519, "counterfoil test: stranger");

/** Witness number n, from 1. */
export function witness(n: number): SigningKey {
  return makeKey(`witness${n}.example/w`, COSIGNATURE_ED25519, `counterfoil test: witness ${n}`);
}

export const LOG_VKEY = verifierKey(LOG);

/** Entry n of the ledger. */
export function entry(n: number): Uint8Array {
  return utf8(`entry ${n}`);
}

const leavesBySize = new Map<number, Uint8Array[]>();

/** The leaf hashes of the ledger's first `size` entries. */
export function leaves(size: number): Uint8Array[] {
  let list = leavesBySize.get(size);
  if (list === undefined) {
    list = Array.from({ length: size }, (_, n) => leafHash(entry(n)));
    leavesBySize.set(size, list);
  }
  return list;
}

export function rootAt(size: number): Uint8Array {
  return mthOfLeaves(leaves(size));
}

/** The note text of the ledger's checkpoint at `size`. */
export function checkpointAt(size: number, ...extensions: readonly string[]): string {
  return checkpointText(ORIGIN, size, rootAt(size), ...extensions);
}

/** The ledger's signed checkpoint at `size`. */
export function signedCheckpoint(size: number): string {
  const text = checkpointAt(size);
  return note(text, signText(text, LOG));
}
