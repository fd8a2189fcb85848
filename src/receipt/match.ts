// A receipt held against the caller's own view of its exchange, part by part: against what the record shows, or against
// what it commits to where that is private.
import { Fault } from "../tlog/fault.ts";
import { type Body, digestOf } from "./digest.ts";
import { matchesField, type PrivateChoice } from "./disclosure.ts";
import type { Receipt } from "./receipt.ts";
import { type AuditRecord, fitLike, type Text } from "./record.ts";

/**
 * The caller's own view of an exchange. Everything is optional: what is not given is not compared.
 * Bodies are the bytes that crossed the wire, content coding included.
 */
export interface SeenExchange {
  readonly method?: string;
  /** The absolute URL that was asked for. */
  readonly url?: string;
  readonly requestBody?: Body;
  readonly status?: number;
  readonly responseBody?: Body;
}

/**
 * Compares a receipt with the caller's own view of the exchange.
 * @param seed opens what is private; without it, that is not compared.
 * @returns the names of the parts that were compared.
 * @throws Fault `mismatched` naming the first part that differs, `malformed` for a URL that is none.
 */
export function matchExchange({ entry }: Receipt, seen: SeenExchange, seed?: Uint8Array): string[] {
  const { record } = entry;
  const { req, res } = record;
  const url = readUrl(seen.url);
  const comparison = new Comparison(record, seed);
  comparison.addText("method", "req.method", req?.method, seen.method);
  comparison.addText("host", "req.host", req?.host, url?.host);
  comparison.addText("path", "req.path", req?.path, url?.pathname);
  if (url !== undefined) comparison.addQuery(url.search);
  const { requestBody, responseBody } = seen;
  comparison.addMember("request body", "req.digest", req?.digest, requestBody && digestOf(requestBody));
  comparison.addMember("status", "res.status", res?.status, seen.status);
  comparison.addMember("response body", "res.digest", res?.digest, responseBody && digestOf(responseBody));
  return comparison.matched;
}

function readUrl(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  if (URL.canParse(text)) return new URL(text);
  throw new Fault("malformed", "the URL to compare with is not one", {
    expected: "an absolute URL",
    found: text,
  });
}

/** A comparison throws at the first part that differs. What is not known on either side is left out. */
class Comparison {
  /** The parts that were compared. */
  readonly matched: string[] = [];
  readonly #record: AuditRecord;
  readonly #seed: Uint8Array | undefined;

  constructor(record: AuditRecord, seed: Uint8Array | undefined) {
    this.#record = record;
    this.#seed = seed;
  }

  /** Compares a text, of which the record may hold only length and hash. */
  addText(part: string, name: PrivateChoice, shown: Text | undefined, text: string | undefined): void {
    const found = text === undefined || shown === undefined ? text : fitLike(shown, text);
    this.addMember(part, name, shown, found);
  }

  /** Compares a member of the record, or what the record commits to instead. */
  addMember(part: string, name: PrivateChoice, shown: unknown, found: unknown): void {
    const [record, seed] = [this.#record, this.#seed];
    if (shown !== undefined || !record.private?.includes(name)) {
      this.#add(part, shown, found);
    } else if (found !== undefined && seed && !matchesField(record, seed, name, null)) {
      // What was not known yet when the record was made is committed to as null.
      this.#add(part, true, matchesField(record, seed, name, found));
    }
  }

  /** Compares a query, which is always private. @param search as a URL has it. */
  addQuery(search: string): void {
    const [record, seed] = [this.#record, this.#seed];
    if (seed === undefined || record._sd === undefined) return;
    this.#add("query", true, matchesField(record, seed, "query", search === "" ? null : search.slice(1)));
  }

  #add(part: string, recorded: unknown, found: unknown): void {
    if (found === undefined || recorded === undefined) return;
    const [expected, actual] = [JSON.stringify(recorded), JSON.stringify(found)];
    if (expected !== actual) {
      const what = `the ${part} is not the one that the receipt is for`;
      throw new Fault("mismatched", what, { expected, found: actual });
    }
    this.matched.push(part);
  }
}
