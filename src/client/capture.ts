// What a person has in hand: a receipt, a proof file, or a response as `curl -i` prints it. Reading it says
// what it is; whether it is true is for the verifier. What is none of these, or was cut off, is no evidence
// either way.
import { parseSeed } from "../receipt/disclosure.ts";
import { isPromise } from "../receipt/promise.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";

export interface Capture {
  readonly kind: "receipt" | "promise" | "proof" | "response";
  /** A compact JWS. A proof carries its own. */
  readonly receipt?: string;
  /** In place of a receipt: a compact JWS that promises one. */
  readonly promise?: string;
  /** A `.tlog-proof`. */
  readonly proof?: string;
  readonly seed?: Uint8Array;
  /** Of a response: its status, its body when one was captured, and its head. */
  readonly status?: number;
  readonly body?: Uint8Array;
  readonly headers?: Headers;
}

const PROOF_LINE = "c2sp.org/tlog-proof@";
const JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/;
const FIELD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/;

/** Larger than any receipt, proof or head, in bytes: the text at the beginning of a capture. */
const TEXT_BYTES_MAX = 1024 * 1024;

/**
 * Reads a capture.
 * @param what names it in errors.
 * @throws Undecided when it is none, or cut off.
 */
export async function readCapture(bytes: Uint8Array, what: string): Promise<Capture> {
  const text = new TextDecoder().decode(bytes.subarray(0, TEXT_BYTES_MAX));
  if (/^HTTP\/[\d.]+ \d{3}/.test(text)) return readResponse(bytes, what);
  if (FIELD.test(text) && /^audit-(receipt|promise):/im.test(text)) return readFields(text, what);
  if (text.startsWith(PROOF_LINE)) return { kind: "proof", proof: requireWholeProof(text, what) };
  const receipt = requireReceipt(text, what);
  return isPromise(receipt) ? { kind: "promise", promise: receipt } : { kind: "receipt", receipt };
}

/** The longest name that a file can have. */
const NAME_LENGTH_MAX = 255;

/** Whether a text is a receipt or promise, or its header field, by its form: whole, or too long for a file's name. */
export function isReceipt(text: string): boolean {
  const receipt = text.replace(/^audit-(receipt|promise): */i, "");
  if (!receipt.startsWith("eyJ")) return false;
  return JWS.test(receipt) || (text.length > NAME_LENGTH_MAX && !text.includes("/"));
}

/** The text of a receipt, which is the whole of `text`. @throws Undecided when it is none, or cut off */
export function requireReceipt(text: string, what: string): string {
  const receipt = text.trim();
  if (JWS.test(receipt)) return receipt;
  const dots = receipt.split(".").length - 1;
  // Every receipt begins with the base64url of `{"`.
  const isBegun = receipt.startsWith("eyJ");
  const isCutOff = dots < 2 || (dots === 2 && receipt.length - receipt.lastIndexOf(".") < 87);
  if (isBegun && !isCutOff) return receipt;
  const detail = {
    expected: "a receipt, a .tlog-proof, or a response as `curl -si` prints it",
    found: describeText(receipt),
  };
  const trouble = isBegun ? "the receipt is cut off" : "there is no evidence in it";
  throw new Undecided(`${what}: ${trouble}`, detail, "wrong-input");
}

function requireWholeProof(text: string, what: string): string {
  const signatures = text.lastIndexOf("\n\n— ");
  if (text.endsWith("\n") && text.indexOf("\n\n") < signatures) return text;
  throw new Undecided(`${what}: the proof is cut off`, {
    expected: "a checkpoint after the first empty line, and its signatures after the second",
    found: `${text.length} characters`,
  });
}

/** The last response of a capture: interim ones, redirects that were followed and proxies come before it. */
async function readResponse(bytes: Uint8Array, what: string): Promise<Capture> {
  let rest = bytes;
  for (;;) {
    const { status, headers, end } = readHead(rest, what);
    rest = rest.subarray(end);
    const isNext = /^HTTP\/[\d.]+ \d{3}/.test(new TextDecoder("latin1").decode(rest.subarray(0, 20)));
    const receipt = headers.get("audit-receipt") ?? headers.get("audit-promise");
    if (isNext && (status < 200 || receipt === null)) continue;
    if (isNext && status >= 300 && status < 400) {
      // Its body may have been made to look like a response with a receipt of another exchange.
      throw new Undecided(
        `${what}: a redirect with a receipt of its own, and something like a response after it`,
        {
          expected: "one response (curl without -L)",
        },
      );
    }
    if (receipt === null) {
      throw new Undecided(`${what}: the response carries no receipt`, {
        expected: "a header field Audit-Receipt",
        found: `status ${status} with ${[...headers.keys()].length} header fields`,
      });
    }
    return {
      kind: "response",
      ...readToken(headers, what),
      ...(await readSeed(headers, what)),
      status,
      headers,
      ...readBody(rest, headers, what),
    };
  }
}

/** Some fields of a response, as somebody copies them who has looked for the receipt. */
async function readFields(text: string, what: string): Promise<Capture> {
  const headers = parseFields(text.trim().split(/\r?\n/), what);
  const token = readToken(headers, what);
  return { kind: "receipt" in token ? "receipt" : "promise", ...token, ...(await readSeed(headers, what)) };
}

async function readSeed(headers: Headers, what: string): Promise<{ seed?: Uint8Array }> {
  const seed = headers.get("audit-receipt-seed");
  if (seed === null) return {};
  return { seed: await undecidedIfFaulty(`${what}: Audit-Receipt-Seed`, () => parseSeed(seed)) };
}

/** The receipt of a response, or the promise in place of it. */
function readToken(headers: Headers, what: string): { receipt: string } | { promise: string } {
  const receipt = headers.get("audit-receipt");
  return receipt === null
    ? { promise: requireReceipt(headers.get("audit-promise")!, `${what}: Audit-Promise`) }
    : { receipt: requireReceipt(receipt, `${what}: Audit-Receipt`) };
}

/** Reads a response head. Lines may end in CRLF or in LF. */
function readHead(bytes: Uint8Array, what: string): { status: number; headers: Headers; end: number } {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, TEXT_BYTES_MAX));
  const blank = /\r?\n\r?\n/.exec(text);
  if (blank === null) {
    throw new Undecided(`${what}: the head of the response is cut off`, {
      expected: "an empty line at its end",
    });
  }
  const [first, ...lines] = text.slice(0, blank.index).split(/\r?\n/);
  const headers = parseFields(lines, what);
  return { status: Number(/ (\d{3})/.exec(first!)![1]), headers, end: blank.index + blank[0].length };
}

function parseFields(lines: readonly string[], what: string): Headers {
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (!FIELD.test(line)) {
      throw new Undecided(`${what}: a line in the head of the response is no header field`, { found: line });
    }
    // What a header may not hold is in no field that is read here.
    headers.append(line.slice(0, colon), line.slice(colon + 1).replace(/[^\t -~]/g, "?"));
  }
  return headers;
}

/** The captured body. Without a byte of it, only Content-Length tells an empty body from none. */
function readBody(body: Uint8Array, headers: Headers, what: string): { body?: Uint8Array } {
  const length = headers.get("content-length");
  if (body.length === 0) return length === "0" ? { body } : {};
  if (headers.has("content-encoding") && length !== null && body.length !== Number(length)) {
    throw new Undecided(`${what}: the body seems to be decoded; the receipt is for the bytes on the wire`, {
      expected: `${length} bytes of ${headers.get("content-encoding")} (curl without --compressed)`,
      found: `${body.length} bytes`,
    });
  }
  if (length !== null && /^\d+$/.test(length) && body.length < Number(length)) {
    throw new Undecided(`${what}: the body of the response is cut off`, {
      expected: `${length} bytes`,
      found: `${body.length} bytes`,
    });
  }
  return { body };
}

function describeText(text: string): string {
  if (text === "") return "nothing: it is empty";
  if (/^[[{"]/.test(text)) return `JSON: ${text}`;
  if (text.startsWith("<")) return `markup: ${text}`;
  return text;
}
