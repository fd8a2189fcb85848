// TLS client certificates. The front that ends TLS has verified them, and tells the host beside the request: what
// a header field says of a certificate is never believed.
import * as v from "valibot";
import type { Finding } from "./credential.ts";

/** A certificate that a client presented, as the front saw it. */
export interface ClientCertificate {
  /** The front found it issued by an authority that it was told to accept, in force and not revoked. */
  readonly verified: boolean;
  /** SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  /** The subject's distinguished name (RFC 2253). */
  readonly subject: string;
}

export const CertificateSchema = v.strictObject({ by: v.literal("mtls") });

/** @returns undefined when the client presented no certificate. */
export function checkCertificate(certificate: ClientCertificate | undefined): Finding | undefined {
  if (certificate === undefined) return undefined;
  const { verified, fingerprint, subject } = certificate;
  if (!verified || !/^[0-9a-f]{64}$/i.test(fingerprint)) {
    return { is: "invalid", why: "the client certificate is not one that is accepted" };
  }
  return { is: "valid", subject: `${subject};sha256=${fingerprint.toLowerCase()}` };
}
