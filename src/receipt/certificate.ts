// X.509 certificates (RFC 5280), as far as a timestamp needs them: what one says, who issued it, and whether
// a signature is by its key. Algorithms come from a fixed list and have to fit the key; an extension that is
// critical and not known here makes a certificate unusable.
import { verifyEd25519 } from "../tlog/ed25519.ts";
import { Fault } from "../tlog/fault.ts";
import { equalBytes } from "../tlog/tree.ts";
import { contentOf, type Der, itemsOf, numberOf, oidOf, readDer, refuse, TAGS, timeOf } from "./der.ts";

/** The largest certificate that is read, in bytes. */
const CERTIFICATE_BYTES_MAX = 8192;

/** Hash functions by their object identifiers. */
export const HASHES: Readonly<Record<string, string>> = {
  "2.16.840.1.101.3.4.2.1": "SHA-256",
  "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};

const RSA = "1.2.840.113549.1.1.1";
const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";
const EC = "1.2.840.10045.2.1";
const ED25519 = "1.3.101.112";

/** Signature algorithms that name their hash function, with the kind of key that they need. */
const SIGNATURES: Readonly<Record<string, readonly [key: string, hash: string]>> = {
  "1.2.840.113549.1.1.11": [RSA, "SHA-256"],
  "1.2.840.113549.1.1.12": [RSA, "SHA-384"],
  "1.2.840.113549.1.1.13": [RSA, "SHA-512"],
  "1.2.840.10045.4.3.2": [EC, "SHA-256"],
  "1.2.840.10045.4.3.3": [EC, "SHA-384"],
  "1.2.840.10045.4.3.4": [EC, "SHA-512"],
};

const CURVES: Readonly<Record<string, readonly [name: string, bytes: number]>> = {
  "1.2.840.10045.3.1.7": ["P-256", 32],
  "1.3.132.0.34": ["P-384", 48],
};

const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 8192;

const COMMON_NAME = "2.5.4.3";
const KEY_USAGE = "2.5.29.15";
const BASIC_CONSTRAINTS = "2.5.29.19";
const CERTIFICATE_POLICIES = "2.5.29.32";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
const KNOWN_EXTENSIONS = [KEY_USAGE, BASIC_CONSTRAINTS, CERTIFICATE_POLICIES, EXTENDED_KEY_USAGE];

/** Bits of the first octet of a key usage (RFC 5280 section 4.2.1.3). */
const DIGITAL_SIGNATURE = 0x80;
const NON_REPUDIATION = 0x40;
const CERTIFICATE_SIGN = 0x04;

interface Extension {
  readonly isCritical: boolean;
  readonly value: Uint8Array;
}

export interface Certificate {
  readonly bytes: Uint8Array;
  /** Whose it is, in words: the common name of its subject. */
  readonly name: string;
  /** The names and the number in DER: they are compared byte for byte. */
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly serial: Uint8Array;
  /** In ms of Unix time, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** The SubjectPublicKeyInfo. */
  readonly publicKey: Der;
  readonly extensions: ReadonlyMap<string, Extension>;
  /** What its issuer has signed, and how. */
  readonly signed: Uint8Array;
  readonly algorithm: Der;
  readonly signature: Uint8Array;
}

/** Reads a certificate in DER; nothing of it is verified. @throws Fault `malformed` or `too-large`. */
export function parseCertificate(bytes: Uint8Array): Certificate {
  if (bytes.length > CERTIFICATE_BYTES_MAX) {
    throw new Fault("too-large", "certificate: larger than one may be", { found: `${bytes.length} bytes` });
  }
  const what = "certificate";
  const [signed, algorithm, signature] = itemsOf(readDer(bytes, what), TAGS.sequence, what, 3, 3);
  const [version, ...fields] = itemsOf(signed, TAGS.sequence, what, 8);
  if (numberOf(itemsOf(version, TAGS.context(0), `${what}: version`, 1, 1)[0], `${what}: version`) !== 2) {
    refuse(`${what}: version`, "version 3");
  }
  const [serial, inner, issuer, validity, subject, publicKey, ...rest] = fields;
  if (!equalBytes(inner!.bytes, algorithm!.bytes)) refuse(`${what}: algorithm`, "the same one twice");
  const [notBefore, notAfter] = itemsOf(validity, TAGS.sequence, `${what}: validity`, 2, 2);
  itemsOf(publicKey, TAGS.sequence, `${what}: public key`, 2, 2);
  contentOf(serial, TAGS.integer, `${what}: serial number`);
  return {
    bytes,
    name: readName(subject!),
    subject: subject!.bytes,
    issuer: issuer!.bytes,
    serial: serial!.bytes,
    notBefore: timeOf(notBefore, `${what}: validity`),
    notAfter: timeOf(notAfter, `${what}: validity`),
    publicKey: publicKey!,
    extensions: readExtensions(rest.find(({ tag }) => tag === TAGS.context(3))),
    signed: signed!.bytes,
    algorithm: algorithm!,
    signature: bitsOf(signature, `${what}: signature`),
  };
}

/** @throws Fault `key-not-valid` unless the certificate was valid at a moment. */
export function checkValidAt(certificate: Certificate, time: number): void {
  const { name, notBefore, notAfter } = certificate;
  // A validity names whole seconds, and the last of them is part of it.
  if (time >= notBefore && time < notAfter + 1000) return;
  throw new Fault("key-not-valid", `certificate "${name}": was not valid at the time of the timestamp`, {
    expected: `between ${new Date(notBefore).toISOString()} and ${new Date(notAfter).toISOString()}`,
    found: new Date(time).toISOString(),
  });
}

/** @throws Fault `wrong-purpose` unless the certificate is for timestamps and nothing else (RFC 3161 section 2.3). */
export function checkTimestamper(certificate: Certificate): void {
  const extended = certificate.extensions.get(EXTENDED_KEY_USAGE);
  const what = "certificate: extended key usage";
  const purposes = extended && itemsOf(readDer(extended.value, what), TAGS.sequence, what);
  if (!extended?.isCritical || purposes?.length !== 1 || oidOf(purposes[0], what) !== TIME_STAMPING) {
    misused(certificate, "a critical extended key usage of timeStamping alone");
  }
  requireUsage(certificate, DIGITAL_SIGNATURE | NON_REPUDIATION, "digitalSignature");
  requireKnown(certificate);
}

/** @param below how many certificates of authorities stand between this one and the signer's. */
export function checkAuthority(certificate: Certificate, below: number): void {
  const what = "certificate: basic constraints";
  const constraints = certificate.extensions.get(BASIC_CONSTRAINTS);
  const [isAuthority, depth] = constraints
    ? itemsOf(readDer(constraints.value, what), TAGS.sequence, what, 0, 2)
    : [];
  if (isAuthority?.tag !== TAGS.boolean || isAuthority.content[0] !== 0xff) {
    misused(certificate, "a certificate of an authority");
  }
  if (depth !== undefined && numberOf(depth, what) < below) {
    misused(certificate, `at least ${below} authorities below it`);
  }
  requireUsage(certificate, CERTIFICATE_SIGN, "keyCertSign");
  requireKnown(certificate);
}

/** Whether `issuer` has signed a certificate; its name is the one that the certificate gives. */
export async function isIssuedBy(certificate: Certificate, issuer: Certificate): Promise<boolean> {
  const { signed, algorithm, signature } = certificate;
  if (!equalBytes(certificate.issuer, issuer.subject)) return false;
  return isSignedBy(issuer, algorithm, undefined, signed, signature);
}

/**
 * Whether a signature over a message is by a certificate's key.
 * @param hash the hash function that the format names beside the algorithm; the two must agree.
 * @throws Fault `unsupported` for an algorithm or key that is not on the list, `malformed`.
 */
export async function isSignedBy(
  { publicKey }: Certificate,
  algorithm: Der,
  hash: string | undefined,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const what = "signature algorithm";
  const [keyAlgorithm, bits] = publicKey.items;
  const [kind, curve] = itemsOf(keyAlgorithm, TAGS.sequence, "public key", 1, 2);
  const key = oidOf(kind, "public key");
  const [name, parameters] = itemsOf(algorithm, TAGS.sequence, what, 1, 2);
  const scheme = readScheme(oidOf(name, what), parameters, key, hash);
  if (key === ED25519) {
    // RFC 8419 section 3: beside Ed25519, the message digest is by SHA-512.
    if (hash !== undefined && hash !== "SHA-512") unsupported("SHA-512 beside Ed25519", hash);
    return verifyEd25519(bitsOf(bits, "public key"), message, signature);
  }
  if (key === EC) {
    const [curveName, size] = CURVES[oidOf(curve, "public key: curve")] ?? unsupported("P-256 or P-384");
    const raw = readEcdsa(signature, size);
    if (raw === undefined) return false;
    const parameters = { name: "ECDSA", namedCurve: curveName, hash: scheme.hash };
    return verifyWith(publicKey.bytes, parameters, raw, message);
  }
  return verifyWith(publicKey.bytes, scheme, signature, message);
}

type Scheme = { readonly name: string; readonly hash: string; readonly saltLength?: number };

/** What to call for an algorithm identifier. @throws Fault `unsupported`. */
function readScheme(oid: string, parameters: Der | undefined, key: string, hash: string | undefined): Scheme {
  if (oid === ED25519 && key === ED25519 && parameters === undefined) return { name: "Ed25519", hash: "" };
  if (oid === RSA_PSS && key === RSA) return readPss(parameters, hash);
  // RFC 3370 section 3.2: a CMS may name the kind of the key, and then hashes with the digest algorithm.
  const [needed, named] = oid === RSA && hash !== undefined ? [RSA, hash] : (SIGNATURES[oid] ?? []);
  const isPlain = parameters === undefined || (key === RSA && isNull(parameters));
  if (named === undefined || needed !== key || !isPlain || (hash !== undefined && hash !== named)) {
    return unsupported("an algorithm of the list that fits its key and its digest", oid);
  }
  return { name: key === RSA ? "RSASSA-PKCS1-v1_5" : "ECDSA", hash: named };
}

/** RSASSA-PSS (RFC 4055 section 3.1), with one hash function throughout and a salt as long as the hash. */
function readPss(parameters: Der | undefined, hash: string | undefined): Scheme {
  const what = "RSASSA-PSS parameters";
  const [digest, mask, salt, ...rest] = itemsOf(parameters, TAGS.sequence, what, 3);
  const inside = (der: Der | undefined, n: number) => itemsOf(der, TAGS.context(n), what, 1, 1)[0];
  const name = readHash(inside(digest, 0), what);
  const [generator, maskDigest] = itemsOf(inside(mask, 1), TAGS.sequence, what, 2, 2);
  const saltLength = numberOf(inside(salt, 2), what);
  const isOneHash = oidOf(generator, what) === MGF1 && readHash(maskDigest, what) === name;
  if (!isOneHash || rest.length > 0 || saltLength !== Number(name.slice(4)) / 8) {
    return unsupported("one hash function, and a salt of its length");
  }
  if (hash !== undefined && hash !== name) return unsupported(hash, name);
  return { name: "RSA-PSS", hash: name, saltLength };
}

/** The hash function that an algorithm identifier names. @throws Fault `unsupported` or `malformed`. */
export function readHash(der: Der | undefined, what: string): string {
  const [name, parameters] = itemsOf(der, TAGS.sequence, what, 1, 2);
  if (parameters !== undefined && !isNull(parameters)) refuse(what, "no parameters");
  const oid = oidOf(name, what);
  return HASHES[oid] ?? unsupported("SHA-256, SHA-384 or SHA-512", oid);
}

async function verifyWith(
  publicKey: Uint8Array,
  scheme: Scheme & { readonly namedCurve?: string },
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  const copy = (bytes: Uint8Array) => new Uint8Array(bytes);
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("spki", copy(publicKey), scheme, false, ["verify"]);
  } catch {
    return unsupported("a public key that this platform can use");
  }
  const bits = (key.algorithm as { modulusLength?: number }).modulusLength;
  if (bits !== undefined && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)) {
    return unsupported(`an RSA key of ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits`, `${bits} bits`);
  }
  try {
    return await crypto.subtle.verify(scheme, key, copy(signature), copy(message));
  } catch {
    return unsupported("an algorithm that this platform has", `${scheme.name} with ${scheme.hash}`);
  }
}

/** ECDSA's two numbers side by side, as WebCrypto takes them; undefined when they are not of that curve. */
function readEcdsa(signature: Uint8Array, size: number): Uint8Array | undefined {
  const numbers = itemsOf(readDer(signature, "ECDSA signature"), TAGS.sequence, "ECDSA signature", 2, 2);
  const raw = new Uint8Array(2 * size);
  for (const [i, number] of numbers.entries()) {
    const content = contentOf(number, TAGS.integer, "ECDSA signature");
    const isPadded = content.length > 1 && content[0] === 0 && content[1]! > 0x7f;
    const digits = isPadded ? content.subarray(1) : content;
    if (digits.length === 0 || digits.length > size || content[0]! > 0x7f) return undefined;
    if (content[0] === 0 && !isPadded) return undefined;
    raw.set(digits, (i + 1) * size - digits.length);
  }
  return raw;
}

function readName(subject: Der): string {
  for (const set of itemsOf(subject, TAGS.sequence, "certificate: subject")) {
    for (const attribute of itemsOf(set, TAGS.set, "certificate: subject", 1)) {
      const [type, value] = itemsOf(attribute, TAGS.sequence, "certificate: subject", 2, 2);
      if (oidOf(type, "certificate: subject") === COMMON_NAME)
        return new TextDecoder().decode(value!.content);
    }
  }
  return "no common name";
}

function readExtensions(der: Der | undefined): Map<string, Extension> {
  const what = "certificate: extensions";
  const extensions = new Map<string, Extension>();
  const list = der === undefined ? [] : itemsOf(itemsOf(der, der.tag, what, 1, 1)[0], TAGS.sequence, what);
  for (const item of list) {
    const [name, ...rest] = itemsOf(item, TAGS.sequence, what, 2, 3);
    const oid = oidOf(name, what);
    const isCritical = rest.length === 2 && contentOf(rest[0], TAGS.boolean, what)[0] !== 0;
    if (extensions.has(oid)) refuse(what, "each extension once", oid);
    extensions.set(oid, { isCritical, value: contentOf(rest.at(-1), TAGS.octets, what) });
  }
  return extensions;
}

function requireUsage(certificate: Certificate, bits: number, expected: string): void {
  const usage = certificate.extensions.get(KEY_USAGE);
  if (usage === undefined) return;
  const [first = 0] = bitsOf(readDer(usage.value, "certificate: key usage"), "certificate: key usage", true);
  if ((first & bits) === 0) misused(certificate, `a key usage of ${expected}`);
}

function requireKnown(certificate: Certificate): void {
  for (const [oid, { isCritical }] of certificate.extensions) {
    if (isCritical && !KNOWN_EXTENSIONS.includes(oid))
      unsupported("no critical extension but known ones", oid);
  }
}

/** The octets of a bit string. */
function bitsOf(der: Der | undefined, what: string, isRagged = false): Uint8Array {
  const content = contentOf(der, TAGS.bits, what);
  if (content.length < 1 || content[0]! > (isRagged ? 7 : 0)) refuse(what, "a bit string of whole octets");
  return content.subarray(1);
}

function isNull({ tag, content }: Der): boolean {
  return tag === TAGS.null && content.length === 0;
}

function misused({ name }: Certificate, expected: string): never {
  throw new Fault("wrong-purpose", `certificate "${name}": was not issued for this`, { expected });
}

function unsupported(expected: string, found?: string): never {
  throw new Fault("unsupported", "timestamp: of a kind that is not on the fixed list", {
    expected,
    ...(found !== undefined && { found }),
  });
}
