// Trusted timestamps (RFC 3161, RFC 5816): a token by which an independent authority says that bytes of this
// SHA-256 existed at a time. It is checked offline, against certificates that the verifier already trusts.
//
// A token is accepted in one shape: one signer, no unsigned attributes, and no certificate but those on the
// path from the signer's upwards. So nothing in it can be altered without anything noticing.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { Fault } from "../tlog/fault.ts";
import { equalBytes } from "../tlog/tree.ts";
import {
  type Certificate,
  checkAuthority,
  checkTimestamper,
  checkValidAt,
  isIssuedBy,
  isSignedBy,
  parseCertificate,
  readHash,
} from "./certificate.ts";
import {
  contentOf,
  type Der,
  itemsOf,
  numberOf,
  oidOf,
  readDer,
  refuse,
  TAGS,
  timeOf,
  writeDer,
} from "./der.ts";

/** The largest token that is read, in bytes, and the most certificates in it. */
const TOKEN_BYTES_MAX = 16_384;
const CERTIFICATES_MAX = 5;

const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
const CONTENT_TYPE = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST = "1.2.840.113549.1.9.4";
const SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47";

/** AlgorithmIdentifier of SHA-256, without parameters and with NULL as many write it. */
const SHA256_IDENTIFIER = hexToBytes("300b0609608648016503040201");

/** What a token says. */
export interface Timestamp {
  /** The authority's clock, UTC with milliseconds. */
  readonly time: string;
  /** Who says so: the common name of the certificate that signed. */
  readonly by: string;
}

/** A token, taken apart and not yet verified. */
interface Token {
  readonly info: Der;
  readonly infoBytes: Uint8Array;
  readonly hash: string;
  readonly certificates: readonly Certificate[];
  readonly issuer: Uint8Array;
  readonly serial: Uint8Array;
  readonly attributes: ReadonlyMap<string, Der>;
  readonly attributesBytes: Uint8Array;
  readonly algorithm: Der;
  readonly signature: Uint8Array;
}

/**
 * Verifies a token for a SHA-256 digest.
 * @param trusted certificates in DER: of timestamp authorities, or of authorities that issue theirs.
 * @param nonce what the request had, to tell an answer to it from an older one.
 * @throws Fault `unknown-key` when it leads to no trusted certificate, `bad-signature`, `wrong-timestamp` when it
 * is of another digest, `key-not-valid` when a certificate was not valid at its time, `wrong-purpose`,
 * `unsupported`, `malformed` or `too-large`.
 */
export async function verifyTimestamp(
  token: Uint8Array,
  digest: Uint8Array,
  trusted: readonly Uint8Array[],
  nonce?: Uint8Array,
): Promise<Timestamp> {
  const parsed = parseToken(token);
  const anchors = trusted.map(parseCertificate);
  const [path, isWhole] = await findPath(parsed, anchors);
  if (!isWhole) refuse("timestamp: certificates", "only those on the path from the signer's upwards");
  return checkToken(parsed, path, anchors, digest, nonce);
}

/**
 * The same token, without the certificates that lead nowhere. Nobody has signed which ones are in it, and many
 * authorities send more than a verifier needs.
 */
export async function trimToken(token: Uint8Array, trusted: readonly Uint8Array[]): Promise<Uint8Array> {
  const [path] = await findPath(parseToken(token, Infinity), trusted.map(parseCertificate));
  const [type, content] = readDer(token, "timestamp").items;
  const parts = content!.items[0]!.items.flatMap(({ tag, bytes, items }) => {
    if (tag !== TAGS.context(0)) return [bytes];
    const kept = items.filter(item => path.some(certificate => equalBytes(certificate.bytes, item.bytes)));
    return kept.length === 0 ? [] : [writeDer(tag, ...kept.map(item => item.bytes))];
  });
  return writeDer(TAGS.sequence, type!.bytes, writeDer(TAGS.context(0), writeDer(TAGS.sequence, ...parts)));
}

/** The body of a request for a timestamp (RFC 3161 section 2.4.1), which asks for the certificates as well. */
export function formatTimestampRequest(digest: Uint8Array, nonce: Uint8Array): Uint8Array {
  return writeDer(
    TAGS.sequence,
    writeDer(TAGS.integer, Uint8Array.of(1)),
    writeDer(TAGS.sequence, SHA256_IDENTIFIER, writeDer(TAGS.octets, digest)),
    writeDer(TAGS.integer, positive(nonce)),
    writeDer(TAGS.boolean, Uint8Array.of(0xff)),
  );
}

/** An authority's answer (RFC 3161 section 2.4.2): the token, or why there is none. @throws Fault `malformed`. */
export function parseTimestampResponse(
  bytes: Uint8Array,
): { readonly token: Uint8Array } | { readonly refused: string } {
  const what = "timestamp response";
  const [statusInfo, token] = itemsOf(readDer(bytes, what), TAGS.sequence, what, 1, 2);
  const [status, text] = itemsOf(statusInfo, TAGS.sequence, what, 1, 3);
  const code = numberOf(status, `${what}: status`);
  if (code <= 1 && token !== undefined) return { token: token.bytes };
  const words = text?.tag === TAGS.sequence ? text.items.map(({ content }) => decode(content)).join(" ") : "";
  return { refused: `status ${code}${words && `, "${words.slice(0, 200)}"`}` };
}

function parseToken(bytes: Uint8Array, certificatesMax = CERTIFICATES_MAX): Token {
  if (bytes.length > TOKEN_BYTES_MAX) {
    throw new Fault("too-large", "timestamp: larger than one may be", { found: `${bytes.length} bytes` });
  }
  const what = "timestamp";
  const [type, wrapped] = itemsOf(readDer(bytes, what), TAGS.sequence, what, 2, 2);
  if (oidOf(type, what) !== SIGNED_DATA) refuse(what, "CMS signed data");
  const content = itemsOf(wrapped, TAGS.context(0), what, 1, 1)[0];
  const [version, digests, encapsulated, ...rest] = itemsOf(content, TAGS.sequence, what, 4, 5);
  if (numberOf(version, `${what}: version`) !== 3) refuse(`${what}: version`, "version 3");
  const certificates = rest.length === 2 ? itemsOf(rest[0], TAGS.context(0), `${what}: certificates`, 1) : [];
  if (certificates.length > certificatesMax) refuse(`${what}: certificates`, "fewer");
  const [signer] = itemsOf(rest.at(-1), TAGS.set, `${what}: signer`, 1, 1);
  const hash = readHash(itemsOf(digests, TAGS.set, `${what}: digest`, 1, 1)[0], `${what}: digest`);
  const infoBytes = readInfo(encapsulated);
  return {
    infoBytes,
    info: readDer(infoBytes, `${what}: info`),
    certificates: certificates.map(({ bytes }) => parseCertificate(bytes)),
    ...readSigner(signer, hash),
  };
}

function readInfo(encapsulated: Der | undefined): Uint8Array {
  const what = "timestamp: content";
  const [type, content] = itemsOf(encapsulated, TAGS.sequence, what, 2, 2);
  if (oidOf(type, what) !== TST_INFO) refuse(what, "timestamp info");
  return contentOf(itemsOf(content, TAGS.context(0), what, 1, 1)[0], TAGS.octets, what);
}

function readSigner(signer: Der | undefined, digest: string) {
  const what = "timestamp: signer";
  // Unsigned attributes would be a seventh.
  const [version, id, hashed, attributes, algorithm, signature] = itemsOf(signer, TAGS.sequence, what, 6, 6);
  if (numberOf(version, what) !== 1) refuse(what, "version 1");
  const [issuer, serial] = itemsOf(id, TAGS.sequence, what, 2, 2);
  const hash = readHash(hashed, what);
  if (hash !== digest) refuse(what, `the digest ${digest}`, hash);
  return {
    hash,
    issuer: issuer!.bytes,
    serial: serial!.bytes,
    attributes: readAttributes(itemsOf(attributes, TAGS.context(0), what, 3)),
    // RFC 5652 section 5.4: what is signed is a SET, whatever tag it is carried under.
    attributesBytes: writeDer(TAGS.set, attributes!.content),
    algorithm: algorithm!,
    signature: contentOf(signature, TAGS.octets, what),
  };
}

/** The signed attributes by type, each with its one value. */
function readAttributes(items: readonly Der[]): Map<string, Der> {
  const what = "timestamp: signed attributes";
  const attributes = new Map<string, Der>();
  for (const item of items) {
    const [type, values] = itemsOf(item, TAGS.sequence, what, 2, 2);
    const oid = oidOf(type, what);
    if (attributes.has(oid)) refuse(what, "each attribute once", oid);
    attributes.set(oid, itemsOf(values, TAGS.set, what, 1, 1)[0]!);
  }
  return attributes;
}

/**
 * The certificates from the signer's upwards: those that the token carries, then a trusted one.
 * @returns the path, and whether all that the token carries are on it.
 * @throws Fault `unknown-key` when nobody has the signer's certificate.
 */
async function findPath(token: Token, trusted: readonly Certificate[]): Promise<[Certificate[], boolean]> {
  const candidates = [...token.certificates, ...trusted];
  const signer = candidates.find(
    ({ issuer, serial, bytes }) =>
      equalBytes(issuer, token.issuer) && equalBytes(serial, token.serial) && isNamed(token, bytes),
  );
  if (signer === undefined) return unknownSigner(trusted, "a signer whose certificate nobody has");
  const path = [signer];
  for (let last = signer; path.length <= CERTIFICATES_MAX && !equalBytes(last.issuer, last.subject); ) {
    const issuer = await findIssuer(last, candidates);
    if (issuer === undefined) break;
    path.push(issuer);
    last = issuer;
  }
  const isOnPath = ({ bytes }: Certificate) => path.some(certificate => equalBytes(certificate.bytes, bytes));
  const top = path.at(-1)!;
  const isSelfSigned = equalBytes(top.issuer, top.subject);
  const isSound = !isSelfSigned || isAmong(top, trusted) || (await isIssuedBy(top, top));
  return [path, isSound && token.certificates.every(isOnPath)];
}

async function findIssuer(
  certificate: Certificate,
  candidates: readonly Certificate[],
): Promise<Certificate | undefined> {
  for (const candidate of candidates) {
    if (await isIssuedBy(certificate, candidate)) return candidate;
  }
  return undefined;
}

async function checkToken(
  token: Token,
  path: readonly Certificate[],
  trusted: readonly Certificate[],
  digest: Uint8Array,
  nonce: Uint8Array | undefined,
): Promise<Timestamp> {
  const [signer, ...authorities] = path as [Certificate, ...Certificate[]];
  const depth = path.findIndex(certificate => isAmong(certificate, trusted));
  if (depth === -1) return unknownSigner(trusted, signer.name);
  const { algorithm, hash, attributesBytes, signature } = token;
  if (!(await isSignedBy(signer, algorithm, hash, attributesBytes, signature))) {
    throw new Fault("bad-signature", "timestamp: the signature does not fit the bytes", {
      expected: `a signature by "${signer.name}"`,
    });
  }
  await checkContent(token);
  const { imprint, time } = readTstInfo(token.info, nonce);
  if (!equalBytes(imprint, digest)) {
    throw new Fault("wrong-timestamp", "timestamp: is of other bytes", {
      expected: bytesToHex(digest),
      found: bytesToHex(imprint),
    });
  }
  checkTimestamper(signer);
  for (const certificate of path.slice(0, depth + 1)) checkValidAt(certificate, time);
  authorities.slice(0, depth).forEach(checkAuthority);
  return { time: new Date(time).toISOString(), by: signer.name };
}

/** The signed attributes must be about this very content (RFC 5652 section 5.4). */
async function checkContent({ attributes, infoBytes, hash }: Token): Promise<void> {
  const what = "timestamp: signed attributes";
  if (oidOf(attributes.get(CONTENT_TYPE), what) !== TST_INFO) refuse(what, "the type of the content");
  const found = contentOf(attributes.get(MESSAGE_DIGEST), TAGS.octets, what);
  const digest = new Uint8Array(await crypto.subtle.digest(hash, new Uint8Array(infoBytes)));
  if (equalBytes(digest, found)) return;
  throw new Fault("bad-signature", "timestamp: the signature is of another content", {
    expected: bytesToHex(digest),
    found: bytesToHex(found),
  });
}

/** Whether the signed attributes name this certificate as the signer's, by its SHA-256 (RFC 5816, RFC 5035). */
function isNamed({ attributes }: Token, certificate: Uint8Array): boolean {
  const what = "timestamp: signing certificate";
  const [list] = itemsOf(attributes.get(SIGNING_CERTIFICATE_V2), TAGS.sequence, what, 1, 2);
  const [first] = itemsOf(list, TAGS.sequence, what, 1);
  const parts = itemsOf(first, TAGS.sequence, what, 1, 3);
  // SHA-256 is the default; DER leaves it out, and some write it all the same.
  const isDefault = parts[0]!.tag === TAGS.octets;
  if (!isDefault && readHash(parts[0], what) !== "SHA-256") refuse(what, "a SHA-256 of the certificate");
  return equalBytes(contentOf(parts[isDefault ? 0 : 1], TAGS.octets, what), sha256(certificate));
}

/** The info (RFC 3161 section 2.4.2). */
function readTstInfo(info: Der, nonce: Uint8Array | undefined): { imprint: Uint8Array; time: number } {
  const what = "timestamp: info";
  const [version, policy, imprint, serial, time, ...rest] = itemsOf(info, TAGS.sequence, what, 5);
  if (numberOf(version, what) !== 1) refuse(what, "version 1");
  oidOf(policy, `${what}: policy`);
  contentOf(serial, TAGS.integer, `${what}: serial number`);
  const [algorithm, hash] = itemsOf(imprint, TAGS.sequence, `${what}: imprint`, 2, 2);
  if (readHash(algorithm, `${what}: imprint`) !== "SHA-256") refuse(`${what}: imprint`, "a SHA-256");
  const echoed = rest.find(({ tag }) => tag === TAGS.integer)?.content;
  if (nonce !== undefined && !(echoed !== undefined && equalBytes(echoed, positive(nonce)))) {
    refuse(`${what}: nonce`, bytesToHex(positive(nonce)), echoed === undefined ? "none" : bytesToHex(echoed));
  }
  return {
    imprint: contentOf(hash, TAGS.octets, `${what}: imprint`),
    time: timeOf(time, `${what}: time`),
  };
}

function isAmong({ bytes }: Certificate, trusted: readonly Certificate[]): boolean {
  return trusted.some(certificate => equalBytes(certificate.bytes, bytes));
}

function unknownSigner(trusted: readonly Certificate[], found: string): never {
  throw new Fault("unknown-key", "timestamp: by an authority that you do not trust", {
    expected: trusted.map(({ name }) => name).join(" or ") || "no timestamp authority is trusted",
    found,
  });
}

/** The content of an INTEGER that is not negative, in as few bytes as DER asks for. */
function positive(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex(byte => byte !== 0);
  const digits = first === -1 ? Uint8Array.of(0) : bytes.subarray(first);
  return digits[0]! > 0x7f ? Uint8Array.of(0, ...digits) : digits;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
