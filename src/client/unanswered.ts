// Why a request got no answer: nobody was there, or what was there could not show that it is the host. Then nothing was
// sent to it, and a person has something else to do than to try again.
import { Undecided } from "./outcome.ts";

/** How runtimes name what is wrong with a certificate: OpenSSL's names, and one of Node's. */
const UNTRUSTED_CODES: ReadonlySet<string> = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** The words of rustls, which the fetch of Deno has in the place of a code. */
const UNTRUSTED_WORDS = "invalid peer certificate";

/** What to tell of a request to a URL that failed before there was an answer. */
export function unanswered(url: string, error: unknown): Undecided {
  const found = describe(error);
  if (!isUntrusted(error)) return new Undecided(`no answer from ${url}`, { found }, "no-answer");
  const expected = "a certificate for this host, by an authority that this machine trusts";
  return new Undecided(`who answers at ${url} is not trusted`, { expected, found }, "untrusted-host");
}

/** What to tell of an answer that ended before it was whole. @param before what had come by then. */
export function brokenOff(url: string, error: unknown, before = ""): Undecided {
  return new Undecided(
    `the response from ${url} broke off`,
    { found: before + describe(error) },
    "no-answer",
  );
}

/** What is thrown often says little; its cause says why. One that stands for several has no message of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  if (!(error instanceof Error)) return String(error);
  const { message, name, cause } = error;
  const own = message || codeOf(error) || name;
  return cause instanceof Error ? `${own}: ${describe(cause)}` : own;
}

function isUntrusted(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (UNTRUSTED_CODES.has(codeOf(error) ?? "") || error.message.includes(UNTRUSTED_WORDS)) return true;
  return isUntrusted(error.cause);
}

function codeOf(error: Error & { readonly code?: unknown }): string | undefined {
  return typeof error.code === "string" ? error.code : undefined;
}
