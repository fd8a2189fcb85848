// Trust: what a verifier is told to believe before it looks at any evidence. One JSON document with the
// issuer, each ledger's origin and checkpoint keys, the anchor keys and the receipt keys. Whoever verifies
// keeps a copy; a copy fetched anew from the operator at each check would prove only that the operator
// agrees with itself.
//
// A key that was retired may be in a thief's hands, long after anybody looks after it. So its word counts only as far
// as something that is still good vouches for it: a checkpoint under an anchor, an anchor in the chain of later ones,
// a receipt in the tree.
import * as v from "valibot";
import { decodeBase64, encodeBase64 } from "../tlog/base64.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../tlog/checkpoint.ts";
import { Fault } from "../tlog/fault.ts";
import { formatVerifierKey, type NoteKey, parseVerifierKey, type VerifySignature } from "../tlog/note.ts";
import { parsePolicy } from "../tlog/policy.ts";
import type { TrustedKey } from "./key.ts";
import { readJson } from "./shape.ts";

const KeySchema = v.looseObject({
  kty: v.string(),
  kid: v.pipe(v.string(), v.minLength(1)),
  nbf: v.optional(v.number()),
  exp: v.optional(v.number()),
});

/** A ledger's name is part of URLs, and of the paths of a copy: it must lead to nowhere else. */
const LedgerName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name of a-z, 0-9 and -"),
);

const TrustSchema = v.looseObject({
  v: v.number(),
  issuer: v.string(),
  ledgers: v.array(
    v.looseObject({
      /** The ledger's name in the URLs of its tiles and checkpoint. */
      name: LedgerName,
      origin: v.string(),
      /** C2SP verifier keys that may sign this ledger's checkpoints. */
      keys: v.array(v.string()),
      /** Those that did, until `exp` (seconds of Unix time). */
      retired: v.optional(v.array(v.looseObject({ key: v.string(), exp: v.number() }))),
    }),
  ),
  anchor: v.looseObject({ keys: v.array(KeySchema) }),
  jwks: v.looseObject({ keys: v.array(KeySchema) }),
  policy: v.optional(v.string()),
  timestamp: v.optional(v.looseObject({ certificates: v.pipe(v.array(v.string()), v.maxLength(16)) })),
});

/** A ledger that a verifier knows, and the keys that it accepts for its checkpoints. */
export interface TrustedLedger {
  readonly name: string;
  readonly origin: string;
  readonly keys: readonly NoteKey[];
  /** The keys that signed its checkpoints before; `exp` is when the last of them can be of, in seconds. */
  readonly retired?: readonly { readonly key: NoteKey; readonly exp: number }[];
}

export interface Trust {
  readonly issuer: string;
  readonly ledgers: readonly TrustedLedger[];
  readonly anchorKeys: readonly TrustedKey[];
  readonly receiptKeys: readonly TrustedKey[];
  /** Which witnesses must have cosigned a checkpoint: the text of a C2SP tlog-policy file. */
  readonly policy?: string;
  /** Certificates in DER whose timestamps are believed, or that issue the certificates of those. */
  readonly timestampers?: readonly Uint8Array[];
}

/**
 * The trust document, as JSON.
 * @throws nothing that was made by parseTrust or createTrust makes it fail.
 * @see docs/format.md "Trust"
 * @example
 * import { createTrust, formatTrust } from "counterfoil";
 *
 * const trust = await createTrust("https://api.example.com", { store: new Map() });
 * const document = formatTrust(trust); // to a file, or to somebody else
 * console.log((await createTrust(document)).issuer); // https://api.example.com
 */
export function formatTrust(trust: Trust): string {
  return JSON.stringify(
    {
      v: 1,
      issuer: trust.issuer,
      ledgers: trust.ledgers.map(({ name, origin, keys, retired = [] }) => ({
        name,
        origin,
        keys: keys.map(formatVerifierKey),
        ...(retired.length > 0 && {
          retired: retired.map(({ key, exp }) => ({ key: formatVerifierKey(key), exp })),
        }),
      })),
      anchor: { keys: trust.anchorKeys },
      jwks: { keys: trust.receiptKeys },
      ...(trust.policy === undefined ? {} : { policy: trust.policy }),
      ...(trust.timestampers && { timestamp: { certificates: trust.timestampers.map(encodeBase64) } }),
    },
    null,
    2,
  );
}

/**
 * Reads a trust document.
 * @throws Fault `malformed` naming the member, or `unsupported`.
 * @see docs/format.md "Trust"
 * @example
 * import { parseTrust } from "counterfoil/verify";
 *
 * const response = await fetch("https://api.example.com/.well-known/audit/trust");
 * const trust = parseTrust(await response.text());
 * console.log(trust.ledgers.map(({ origin }) => origin).join(", ")); // api.example.com/audit/main
 */
export function parseTrust(text: string): Trust {
  const {
    v: version,
    issuer,
    ledgers,
    anchor,
    jwks,
    policy,
    timestamp,
  } = readJson(TrustSchema, text, "trust");
  if (version !== 1) {
    throw new Fault("unsupported", "trust: of a version that is not known", {
      expected: "1",
      found: `${version}`,
    });
  }
  if (policy !== undefined) parsePolicy(policy);
  return {
    issuer,
    ledgers: ledgers.map(({ name, origin, keys, retired }) => ({
      name,
      origin,
      keys: keys.map(parseVerifierKey),
      ...(retired && { retired: retired.map(({ key, exp }) => ({ key: parseVerifierKey(key), exp })) }),
    })),
    anchorKeys: anchor.keys as TrustedKey[],
    receiptKeys: jwks.keys as TrustedKey[],
    ...(policy === undefined ? {} : { policy }),
    ...(timestamp && { timestampers: timestamp.certificates.map(readTimestamper) }),
  };
}

/** The DER of a certificate, which is parsed when there is a timestamp to verify. @throws Fault `malformed`. */
function readTimestamper(text: string): Uint8Array {
  return decodeBase64(text, "trust: timestamp: certificate");
}

/** The trusted ledger of an origin. @throws Fault `wrong-origin`. */
export function findLedger(trust: Trust, origin: string): TrustedLedger {
  const ledger = trust.ledgers.find(candidate => candidate.origin === origin);
  if (ledger === undefined) {
    throw new Fault("wrong-origin", "the ledger is not one that you trust", {
      expected: trust.ledgers.map(candidate => candidate.origin).join(" or "),
      found: origin,
    });
  }
  return ledger;
}

/** A checkpoint by a key of its ledger. */
export interface TrustedCheckpoint extends OpenedCheckpoint {
  /** Whether only retired keys have signed it: then something else must vouch for it. */
  readonly isRetired: boolean;
}

/** Opens a checkpoint by the keys of a ledger, retired ones included. @throws Fault as `openCheckpoint`. */
export async function openTrusted(
  note: string | Uint8Array,
  { keys, retired = [] }: TrustedLedger,
  verify?: VerifySignature,
): Promise<TrustedCheckpoint> {
  const opened = await openCheckpoint(note, [...keys, ...retired.map(({ key }) => key)], verify);
  return { ...opened, isRetired: !opened.signatures.some(({ key }) => keys.includes(key)) };
}
