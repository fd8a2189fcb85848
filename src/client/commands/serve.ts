// counterfoil serve: runs an edge as a process of its own.
import type { Command } from "commander";
import { examples, parsePort, parseSeconds, type Run } from "../command.ts";
import { Undecided } from "../outcome.ts";
import type { EdgeSettings, Platform } from "../platform.ts";
import type { Answer } from "../print.ts";

export function addServe(program: Command, run: Run): void {
  program
    .command("serve")
    .summary("run an edge on this machine")
    .description(
      "Runs the edge as one process, on Node, Deno or Bun, whichever this program runs on. It is configured by the [vars] of a wrangler.toml; whatever it must not lose is in one state folder, which one process has at a time. Secrets are the environment's RECEIPT_KEY, CHECKPOINT_KEY and ANCHOR_KEY, or else are made in the state folder. SIGTERM and Ctrl-C end it in good order, a second one at once.",
    )
    .requiredOption(
      "--state <folder>",
      "where keys, ledgers, archive and anchors are kept; keep it safe, and keep it",
    )
    .option("--config <file>", "the configuration", "wrangler.toml")
    .option("--host <address>", "serve at this address", "127.0.0.1")
    .option("--port <port>", "serve at this port; 0 is a free one", parsePort, 8787)
    .option(
      "--tls-cert <file>",
      "serve HTTPS with this certificate, and those that lead to its authority (PEM)",
    )
    .option("--tls-key <file>", "the key of that certificate (PEM)")
    .option("--tls-client-ca <file>", "ask clients for certificates of these authorities (PEM)")
    .option(
      "--drain-notice <seconds>",
      "when told to end, go on for so long while <prefix>ready answers 503",
      parseSeconds,
      0,
    )
    .option(
      "--drain-wait <seconds>",
      "how long what has begun may take then, before it is broken off",
      parseSeconds,
      20,
    )
    .addHelpText(
      "after",
      examples(
        "counterfoil serve --state /var/lib/counterfoil",
        "counterfoil serve --config api.toml --state ./state --host :: --port 443 --tls-cert api.pem --tls-key api.key",
        "deno run -A node_modules/counterfoil/src/hosts/counterfoil.mjs serve --state ./state",
      ),
    )
    .action((options: ServeCommandOptions) =>
      run.answer({}, undefined, false, platform => serveCommand(platform, options)),
    );
}

interface ServeCommandOptions {
  readonly config: string;
  readonly state: string;
  readonly host: string;
  readonly port: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly drainNotice: number;
  readonly drainWait: number;
}

/** Runs an edge until it is told to end. */
async function serveCommand(platform: Platform, options: ServeCommandOptions): Promise<Answer> {
  const { config, state, host, port, drainNotice, drainWait } = options;
  const settings: EdgeSettings = {
    ...{ config, state, host, port },
    tls: tlsOf(options),
    noticeMs: drainNotice * 1000,
    finishMs: drainWait * 1000,
  };
  await platform.runEdge(settings, ({ url, issuer, prefix, runtime, adopted }) => {
    const taken =
      adopted?.ledgers.map(({ name, size }) => `adopted    ledger ${name}, ${size} entries\n`) ?? [];
    const aside = adopted === undefined ? "" : `set aside  ${adopted.aside}\n`;
    return platform.writeOut(
      `edge       ${url}\nissuer     ${issuer}\ntrust      ${issuer}${prefix}trust\n${taken.join("")}${aside}runtime    ${runtime}\n`,
    );
  });
  return { outcome: "proven", rows: [["ended", `what is on record is kept in ${state}`]], json: { state } };
}

/** @throws Undecided for a part of it without the others. */
function tlsOf({ tlsCert: cert, tlsKey: key, tlsClientCa: clientCa }: ServeCommandOptions) {
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa };
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  throw new Undecided("TLS cannot be served", { expected: "both --tls-cert and --tls-key" });
}
