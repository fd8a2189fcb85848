// The operator's side, below the reserved prefix: private values are read, searched and erased here, with the
// operator's bearer token and nothing less. Whatever is read here is told in the ledger before it is given, and
// whatever is erased is told there too: who looks after the values of others is on record like everybody else.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type IRequest, Router } from "itty-router";
import * as v from "valibot";
import { disclose, parseSeed } from "../receipt/disclosure.ts";
import { timeOfJti } from "../receipt/jti.ts";
import type { Opening } from "../receipt/opening.ts";
import type { Control } from "../receipt/record.ts";
import type { Ledger } from "./ledger.ts";
import { problem } from "./problem.ts";
import type { Vault } from "./vault.ts";

export interface OperatorOptions {
  readonly ledgers: ReadonlyMap<string, () => Ledger>;
  /** The vault of each ledger, by the ledger's name. */
  readonly vaults: ReadonlyMap<string, () => Vault>;
  /** Hex SHA-256 of the operator's bearer token; without one nobody is the operator. */
  readonly operatorTokenSha256: string | undefined;
}

/** The longest body that a request of the operator may have, in bytes. */
const BODY_BYTES_MAX = 16 * 1024;

/** The most exchanges that one request may erase: all of them fit one control record. */
const ERASE_JTIS_MAX = 50;

const Jti = v.pipe(
  v.string(),
  v.check(jti => timeOfJti(jti) !== undefined, "expected a lower-case UUIDv7"),
);

const SearchSchema = v.strictObject({
  ledger: v.string(),
  name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.:/-]{1,128}$/, "expected the name of a private field")),
  value: v.union([v.string(), v.number()]),
  before: v.optional(Jti),
});

const EraseSchema = v.strictObject({
  ledger: v.string(),
  jtis: v.pipe(v.array(Jti), v.minLength(1), v.maxLength(ERASE_JTIS_MAX)),
});

/** What a request of the operator's got wrong. */
class BadRequest extends Error {}

const encoder = new TextEncoder();

/** @returns the handler of everything below `<prefix>private/`. */
export function createOperatorSide(
  options: OperatorOptions,
  base: string,
): (request: Request) => Promise<Response> {
  const router = Router<IRequest, []>({ base });
  router
    .all("*", request => (isOperator(options, request.headers) ? undefined : notOperator()))
    .get("/:ledger/:jti", ({ params }) => open(options, params.ledger!, params.jti!))
    .post("/search", async request => search(options, await readBody(SearchSchema, request)))
    .post("/erase", async request => erase(options, await readBody(EraseSchema, request)))
    .all("*", () =>
      problem(404, "Not found", "The operator finds nothing at this address with this method."),
    );
  return async request => {
    try {
      return await router.fetch(request);
    } catch (error) {
      if (error instanceof BadRequest) return problem(400, "Bad request", error.message);
      throw error;
    }
  };
}

/** Whether a request carries the operator's bearer token (RFC 6750 section 2.1). */
export function isOperator(
  { operatorTokenSha256 }: Pick<OperatorOptions, "operatorTokenSha256">,
  headers: Headers,
): boolean {
  const token = /^Bearer ([\x21-\x7e]{16,512})$/.exec(headers.get("authorization") ?? "")?.[1];
  if (token === undefined || operatorTokenSha256 === undefined) return false;
  // Hashes are compared, so how long the comparison takes says nothing about the token.
  return bytesToHex(sha256(encoder.encode(token))) === operatorTokenSha256.toLowerCase();
}

export function notOperator(detail = "Send the operator's bearer token."): Response {
  return problem(401, "For the operator", detail, {
    "www-authenticate": 'Bearer realm="counterfoil operator"',
  });
}

/** The private values of one exchange, each with the disclosure that opens it to anybody. */
async function open(options: OperatorOptions, ledger: string, jti: string): Promise<Response> {
  const opening = await vaultOf(options, ledger).find(jti);
  if (opening === undefined) {
    return problem(404, "Not found", `The vault of "${ledger}" has nothing of exchange ${jti.slice(0, 64)}.`);
  }
  if (opening === "erased") {
    return problem(
      410,
      "Erased",
      `The private values of exchange ${jti} were erased. Every proof still holds.`,
    );
  }
  return (
    (await tell(options, ledger, { type: "private-read", exchange: jti, count: 1 })) ?? json(show(opening))
  );
}

async function search(
  options: OperatorOptions,
  { ledger, ...search }: v.InferOutput<typeof SearchSchema>,
): Promise<Response> {
  const { openings, next } = await vaultOf(options, ledger).search(search);
  // The value that was searched for is private itself: the ledger learns the field, not the value.
  const control = { type: "private-read", field: search.name, count: openings.length };
  return (
    (await tell(options, ledger, control)) ??
    json({ found: openings.map(show), ...(next === undefined ? {} : { next }) })
  );
}

/** Erases, and then tells of it. If telling fails the same request may be made again: nothing is erased twice. */
async function erase(
  options: OperatorOptions,
  { ledger, jtis }: v.InferOutput<typeof EraseSchema>,
): Promise<Response> {
  await vaultOf(options, ledger).erase(jtis);
  return (await tell(options, ledger, { type: "erased", exchanges: jtis })) ?? json({ erased: jtis });
}

/** Puts a control record into the ledger. @returns the problem to answer with, when it could not be. */
async function tell(
  { ledgers }: OperatorOptions,
  name: string,
  control: Control,
): Promise<Response | undefined> {
  const placement = await ledgers.get(name)!().control({ ...control, by: "operator" });
  if (!("refused" in placement)) return undefined;
  const detail = `The ledger "${name}" could not be told of this: ${placement.reason}. Ask again.`;
  return problem(503, "Not recorded", detail, { "retry-after": "1" });
}

function vaultOf({ vaults }: OperatorOptions, ledger: string): Vault {
  const connect = vaults.get(ledger);
  if (connect !== undefined) return connect();
  throw new BadRequest(
    `There is no ledger "${ledger.slice(0, 64)}"; expected one of ${[...vaults.keys()].join(", ")}.`,
  );
}

function show({ jti, seed, fields }: Opening): unknown {
  const bytes = parseSeed(seed);
  const disclosures = Object.entries(fields).map(([name, value]) => disclose(bytes, name, value));
  return { jti, fields, disclosures };
}

/** A request's body, of a length that was announced and is small. @throws BadRequest */
async function readBody<S extends v.GenericSchema>(schema: S, request: Request): Promise<v.InferOutput<S>> {
  const length = request.headers.get("content-length");
  if (length === null || !/^\d{1,9}$/.test(length) || Number(length) > BODY_BYTES_MAX) {
    throw new BadRequest(`The body needs a Content-Length of at most ${BODY_BYTES_MAX} bytes.`);
  }
  const value = await request.json().catch(() => {
    throw new BadRequest("The body is not JSON.");
  });
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new BadRequest(`The body's ${v.getDotPath(issue) ?? "top level"}: ${issue.message}.`);
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    headers: { "content-type": "application/json", "cache-control": "private, no-store" },
  });
}
