// Client certificates as runtimes tell of them, in the words of the edge and the spelling of Cloudflare's front: so a
// caller is the same subject on every host. The subject is read from the certificate itself, since each runtime spells
// it in a way of its own.
import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate } from "../edge/certificate.ts";
import { type Der, readDer, TAGS } from "../receipt/der.ts";

/** @returns undefined when the client presented none. */
export function readCertificate(socket: TLSSocket): ClientCertificate | undefined {
  const bytes = socket.getPeerX509Certificate()?.raw;
  if (bytes === undefined) return undefined;
  return {
    verified: socket.authorized,
    fingerprint: createHash("sha256").update(bytes).digest("hex"),
    subject: formatSubject(bytes),
  };
}

/** Types as OpenSSL calls them, in an order without meaning; those of RFC 2253 section 2.3 among them. */
const TYPES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "2.5.4.43": "initials",
  "2.5.4.46": "dnQualifier",
  "2.5.4.97": "organizationIdentifier",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** How the texts of names are encoded, by their tags. */
const ENCODINGS: Readonly<Record<number, string>> = {
  12: "utf-8", // UTF8String
  18: "latin1", // NumericString
  19: "latin1", // PrintableString
  20: "latin1", // TeletexString, as OpenSSL takes it
  22: "latin1", // IA5String
  30: "utf-16be", // BMPString
};

/**
 * The subject of a certificate as RFC 2253 writes a distinguished name: the last part first, bytes beyond ASCII
 * escaped, and as DER what is no text or has a type without a name.
 * @throws Fault `malformed` when it is no certificate.
 */
function formatSubject(certificate: Uint8Array): string {
  const parts = readDer(certificate, "the client certificate").items[0]?.items ?? [];
  // Before it are the serial number, the signature's algorithm, the issuer, the validity, and where there is one the version.
  const subject = parts[parts[0]?.tag === TAGS.context(0) ? 5 : 4];
  const sets = subject?.items.map(({ items }) => items.map(formatPart).reverse().join("+")) ?? [];
  return sets.reverse().join(",");
}

function formatPart({ items: [type, value] }: Der): string {
  const oid = type?.oid ?? "";
  const name = TYPES[oid];
  const encoding = ENCODINGS[value?.tag ?? 0];
  if (name === undefined || encoding === undefined || value === undefined) {
    return `${name ?? oid}=#${Buffer.from(value?.bytes ?? [])
      .toString("hex")
      .toUpperCase()}`;
  }
  return `${name}=${escapeText(new TextDecoder(encoding, { ignoreBOM: true }).decode(value.content))}`;
}

/** RFC 2253 section 2.4, and as OpenSSL does it control characters as bytes too. */
function escapeText(text: string): string {
  return text
    .replace(/[,+"\\<>;]/g, "\\$&")
    .replace(/^[# ]|(?<=.) $/gs, "\\$&")
    .replace(/\p{Cc}|[^\p{ASCII}]+/gu, run =>
      Buffer.from(run).toString("hex").toUpperCase().replace(/../g, "\\$&"),
    );
}
