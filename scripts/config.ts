// wrangler.toml, as wrangler understands it: the one configuration, read in one place.
import { resolve } from "node:path";
import { type Unstable_Config, unstable_readConfig } from "wrangler";

export type Config = Unstable_Config;

export const CONFIG_PATH = resolve(import.meta.dirname, "../wrangler.toml");

// Wrangler, here and in the processes started from here, reports nothing and writes no logs.
process.env.WRANGLER_SEND_METRICS = "false";
process.env.WRANGLER_HIDE_BANNER = "true";
process.env.WRANGLER_WRITE_LOGS = "false";

/**
 * What a wrangler.toml says; the repository's own when none is named.
 * @throws Error that says what is wrong with the file, in wrangler's words.
 */
export function readConfig(path = CONFIG_PATH): Config {
  return unstable_readConfig({ config: path });
}
