// The exchange id: a UUIDv7 (RFC 9562 section 5.7). Its first 48 bits are the time it was made, so a ledger can
// tell an id that is new from one that it may have forgotten.
import { v7 } from "uuid";

const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** How much later than the `at` of an entry its exchange's id may have been made, in ms: clocks differ. */
export const JTI_AHEAD_MS = 3600 * 1000;

/** A new id. @param ms Unix time in milliseconds. @param random 16 random bytes. */
export function makeJti(ms: number, random: Uint8Array): string {
  return v7({ msecs: ms, random });
}

/** The smallest id of a moment: every id made earlier sorts before it. */
export function firstJti(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/** When an id was made, in milliseconds of Unix time, or undefined when it is no UUIDv7. */
export function timeOfJti(jti: string): number | undefined {
  const parts = UUID_V7.exec(jti);
  return parts === null ? undefined : Number.parseInt(`${parts[1]}${parts[2]}`, 16);
}
