// counterfoil fetch: sends a request, and verifies the receipt of its response.
import type { Command } from "commander";
import { isPromise } from "../../receipt/promise.ts";
import { type CommonOptions, collect, examples, type Run, TRUST_HELP } from "../command.ts";
import { listUncompared, makeExchange, takeReceipt, verifyMade } from "../exchange.ts";
import { addressOf, prefixOf, readInput } from "../input.ts";
import { Undecided } from "../outcome.ts";
import type { Platform, WireRequest } from "../platform.ts";
import { type Answer, describeVerdict } from "../print.ts";
import { redeemPromise } from "../promise.ts";
import { defaultPrefix, parseUrl } from "../remote.ts";
import { makeTraceparent, TRACE_BYTES } from "../seen.ts";
import { fetchTrust, readTrust } from "../trust.ts";

export function addFetch(program: Command, run: Run): void {
  program
    .command("fetch")
    .summary("send a request, and verify the receipt of its response")
    .description(
      "Sends a request like curl, prints the response's body, and verifies the receipt against what was sent and seen. The verdict goes to standard error.",
    )
    .argument("<url>", "what to ask for")
    .option("-X, --request <method>", "the method (default: GET, or POST with -d)")
    .option("-H, --header <line>", "a header field, 'Name: value'; may be repeated", collect, [])
    .option("-d, --data <data>", "the request body, or @FILE, or @- for standard input; sent as it is")
    .option("--trust <file|url>", TRUST_HELP)
    .option("-o, --output <file>", "write the body there instead of standard output")
    .option("--json", "the verdict as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil fetch https://api.example.com/v1/orders --trust trust.json",
        "counterfoil fetch https://api.example.com/v1/orders -H 'content-type: application/json' -d @order.json",
      ),
    )
    .action((url: string, options: FetchOptions & CommonOptions) =>
      run.answer(options, url, true, platform => fetchCommand(platform, url, options)),
    );
}

interface FetchOptions {
  readonly request?: string;
  readonly header: readonly string[];
  readonly data?: string;
  readonly trust?: string;
  readonly output?: string;
}

/** Sends a request, prints the response's body, and verifies its receipt. */
async function fetchCommand(platform: Platform, address: string, options: FetchOptions): Promise<Answer> {
  const url = parseUrl(address);
  // Before anything is sent: a request may have effects, and a mistyped name of a file should have none.
  const pinned = options.trust === undefined ? undefined : await readTrust(platform, options.trust);
  const request = await makeRequest(platform, url, options);
  const toFile = options.output !== undefined;
  const made = await makeExchange(platform, request, async chunk => {
    if (!toFile) await platform.writeOut(chunk);
  });
  if (toFile) await platform.writeFile(options.output, made.seen.responseBody!);
  const token = takeReceipt(made);
  const source = pinned ?? (await fetchTrust(platform, defaultPrefix(url)));
  const receipt = isPromise(token)
    ? await redeemPromise(platform, token, prefixOf(source), source.trust)
    : token;
  const verdict = await verifyMade(platform, made, receipt, source.trust);
  const uncompared = listUncompared(verdict, made.headers.has("audit-receipt-seed"));
  return describeVerdict(verdict, uncompared, source, addressOf(verdict, source));
}

async function makeRequest(platform: Platform, url: URL, options: FetchOptions): Promise<WireRequest> {
  const { data } = options;
  const body = data === undefined ? undefined : await readData(platform, data);
  const given = options.header.map(parseHeaderLine);
  const defaults: (readonly [string, string])[] = [
    ["user-agent", `counterfoil/${platform.version}`],
    ["accept", "*/*"],
    // The receipt covers the bytes on the wire: asking for none makes them the ones that people expect.
    ["accept-encoding", "identity"],
    // By which its record is no other request's.
    ["traceparent", makeTraceparent(platform.random(TRACE_BYTES))],
    ...(body === undefined ? [] : [["content-type", "application/x-www-form-urlencoded"] as const]),
  ];
  const isGiven = (name: string) => given.some(([other]) => other.toLowerCase() === name);
  const target = new URL(url);
  target.hash = "";
  return {
    method: options.request ?? (body === undefined ? "GET" : "POST"),
    url: target.href,
    headers: [...defaults.filter(([name]) => !isGiven(name)), ...given],
    ...(body && { body }),
  };
}

function readData(platform: Platform, data: string): Uint8Array | Promise<Uint8Array> {
  return data.startsWith("@") ? readInput(platform, data.slice(1)) : new TextEncoder().encode(data);
}

function parseHeaderLine(line: string): readonly [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(line);
  if (match === null)
    throw new Undecided("this is not a header field", { expected: "'Name: value'", found: line });
  return [match[1]!, match[2]!];
}
