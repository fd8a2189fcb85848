// npm run apikey -- <id>
//
// Makes an API key: prints the key, which is kept nowhere, for the one who calls, and the entry for wrangler.toml, from
// which nobody can tell the key.
import { randomBytes } from "node:crypto";
import { hashApiKey } from "../src/edge/apikey.ts";

const [id, ...others] = process.argv.slice(2);
if (id === undefined || others.length > 0 || !/^[\w.@-]{1,64}$/.test(id)) {
  console.error("Usage: npm run apikey -- ID, 1 to 64 letters, digits, _, ., @ and - that name the caller");
  process.exit(2);
}
const key = randomBytes(32).toString("base64url");
const salt = randomBytes(16).toString("base64url");
console.log(`The key, for the caller alone:

  ${key}

Its entry among the \`keys\` of an api-key method in wrangler.toml:

  { id = "${id}", salt = "${salt}", sha256 = "${hashApiKey(salt, key)}" },`);
