// counterfoil policy check: what a policy is, and what it would do with a request.
import type { Command } from "commander";
import { type CommonOptions, examples, type Run } from "../command.ts";
import { Undecided } from "../outcome.ts";
import type { Platform, PolicyExplanation, PolicyReading } from "../platform.ts";
import type { Answer, Row } from "../print.ts";

export function addPolicy(program: Command, run: Run): void {
  program
    .command("policy")
    .summary("check a wrangler.toml, and say which route a request would take")
    .command("check")
    .description(
      "Checks the policy in a wrangler.toml as the edge does when it starts. With a method and an address, says which route such a request would take, why the ones before do not take it, and what its settings are. Exit 1 when the policy is wrong or refuses the request.",
    )
    .argument("[method]", "the method of a request")
    .argument("[url]", "its URL, or its path at the issuer")
    .option("--config <file>", "the file", "wrangler.toml")
    .option("--json", "the answer as JSON")
    .addHelpText(
      "after",
      examples(
        "counterfoil policy check",
        "counterfoil policy check GET https://api.example.com/v1/orders/7",
      ),
    )
    .action(
      (method: string | undefined, address: string | undefined, options: PolicyOptions & CommonOptions) =>
        run.answer(options, options.config, false, async platform => {
          if (method === undefined) return policyCommand(platform, undefined, options);
          if (address === undefined) throw new Undecided("a method needs the URL that it is for");
          return policyCommand(platform, { method, address }, options);
        }),
    );
}

interface PolicyOptions {
  readonly config: string;
}

/** Checks a policy, and says what would become of a request by it. */
async function policyCommand(
  platform: Platform,
  asked: { readonly method: string; readonly address: string } | undefined,
  { config }: PolicyOptions,
): Promise<Answer> {
  const file = await platform.readFile(config);
  if (file === undefined) {
    throw new Undecided(`${config}: there is no such file`, { expected: "a configuration (--config FILE)" });
  }
  let policy: PolicyReading;
  try {
    policy = platform.readPolicy(new TextDecoder().decode(file));
  } catch (error) {
    return describeBadPolicy((error as Error).message, config);
  }
  if (asked === undefined) return describePolicy(policy, config);
  const url = URL.parse(asked.address, policy.issuer);
  if (url === null) throw new Undecided("the address is no URL", { found: asked.address });
  try {
    return describeExplanation(policy, policy.explain(asked.method, url), `${asked.method} ${url}`);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Undecided("such a request cannot be made", { found: `${asked.method} ${url}` });
  }
}

function describeBadPolicy(message: string, file: string): Answer {
  return {
    outcome: "wrong",
    rows: [
      ["wrong", message],
      ["where", file],
    ],
    json: { message, where: file },
  };
}

function describePolicy({ hash, routes }: PolicyReading, file: string): Answer {
  const rows: Row[] = [
    ["valid", file],
    ["hash", hash],
    ["routes", routes.join(", ")],
  ];
  return { outcome: "proven", rows, json: { file, hash, routes } };
}

/** A request that would be refused is a wrong outcome: what was asked is whether the policy lets it in. */
function describeExplanation(
  { hash }: PolicyReading,
  explanation: PolicyExplanation,
  request: string,
): Answer {
  const { passed, route, target, refusal, readings, isOwn } = explanation;
  const rows: Row[] = [
    [refusal ? "refused" : "passes", request],
    ...(isOwn ? [["answer", "by Counterfoil itself: it is below the reserved prefix"] as const] : []),
    ...(refusal ? [["answer", `${refusal.status}: ${refusal.error}`] as const] : []),
    ...(route ? [["route", route.name] as const] : []),
    ...(target === undefined ? [] : [["sent to", target] as const]),
    ...passed.map(({ route, why }): Row => ["not", `${route}: another ${why}`]),
    ...(readings ?? []).map((path): Row => ["read as", path]),
    ...Object.entries(route ?? {})
      .filter(([name]) => name !== "name")
      .map(([name, value]): Row => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ["policy", hash],
  ];
  return { outcome: refusal ? "wrong" : "proven", rows, json: { request, policy: hash, ...explanation } };
}
