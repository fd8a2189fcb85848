// The policy of a wrangler.toml, for the command line: read by a TOML library, and judged by the edge's own code.
// This is where the two meet, because the client's room knows nothing of the edge.
import { parse, TomlError } from "smol-toml";
import type { PolicyReading } from "../client/platform.ts";
import { explain } from "../edge/explanation.ts";
import { parsePolicy } from "../edge/policy.ts";

/** @throws Error that says what is wrong with the file. */
export function readPolicy(toml: string): PolicyReading {
  const policy = parsePolicy(parseVars(toml));
  const { hash, issuer } = policy;
  return {
    hash,
    issuer,
    routes: policy.routes.map(({ name }) => name),
    explain: (method, url) => explain(policy, method, url),
  };
}

/** The `vars` of a wrangler.toml. @throws Error that says in one line what is wrong, and where: it may be any file. */
export function parseVars(toml: string): unknown {
  try {
    return parse(toml).vars ?? {};
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new Error(`line ${error.line}, column ${error.column}: ${error.message.split("\n", 1)[0]}`);
  }
}
