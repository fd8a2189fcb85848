// A wrangler.toml for one test: the repository's own, with other vars at its end or in place of its own.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface ConfigFile {
  readonly path: string;
  remove(): Promise<void>;
}

/** @param edit changes the text of the file. */
export async function writeConfig(edit: (toml: string) => string): Promise<ConfigFile> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  const path = join(folder, "wrangler.toml");
  const toml = await readFile("wrangler.toml", "utf8");
  await writeFile(path, edit(toml.replace('main = "src/', `main = "${resolve("src")}/`)));
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Puts routes in the place of the file's own; they are complete but for their ledger. */
export function withRoutes(toml: string, routes: string): string {
  const [before] = toml.split("[[vars.routes]]", 1);
  const after = toml.slice(toml.indexOf("# How many seconds may pass"));
  return `${before}${routes.replaceAll("[[routes]]", '[[vars.routes]]\nledger = "main"')}\n${after}`;
}
