// A credential: what a request carries of it, and what checking it can come to. No credential and nothing that
// a client wrote into one gets into a reason: reasons are recorded and answered.
import * as v from "valibot";

/** What a credential that a request carries turned out to be. A request that carries none has no finding. */
export type Finding =
  | {
      readonly is: "valid";
      /** Who the caller is; private. */
      readonly subject: string;
      /** Who says so, where somebody other than the edge does. */
      readonly issuer?: string;
      /** An exchange id that follows from the credential: of one that is good only once. */
      readonly once?: string;
    }
  | { readonly is: "invalid"; readonly why: string; readonly status?: number }
  /** Nobody can tell at present, through no fault of the caller's. */
  | { readonly is: "unverifiable"; readonly why: string };

/** A header field that carries a credential: one that nothing else has a meaning for. */
export const FieldName = v.pipe(
  v.string(),
  v.regex(
    /^(?!(?:audit|x-forwarded)-|(?:host|connection|cookie|cf-connecting-ip|signature|signature-input|content-.*)$)[a-z0-9][a-z0-9-]{0,63}$/,
    "expected the lower-case name of a header field that carries a credential and nothing else",
  ),
);

/**
 * The credential in a field: in Authorization the token of the scheme Bearer, in any other field the whole value.
 * @returns undefined when there is none, and an empty text when there is one of a wrong shape. A field that is
 * there several times has one value with commas, which no credential contains.
 */
export function readCredential(headers: Headers, field: string): string | undefined {
  const value = headers.get(field);
  if (value === null) return undefined;
  if (field !== "authorization") return TOKEN.exec(value)?.[0] ?? "";
  // Another scheme is for the upstream to judge, but not one that hides a bearer token behind it.
  if (!/(?:^|,)\s*bearer(?:\s|,|$)/i.test(value)) return undefined;
  return /^bearer +(.+)$/i.exec(value)?.[1]?.match(TOKEN)?.[0] ?? "";
}

/** RFC 6750 section 2.1 (b64token). */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
