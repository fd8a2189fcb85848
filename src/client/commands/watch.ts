// counterfoil watch: audits again and again, each time from where the last one ended, until something is wrong.
import type { Command } from "commander";
import { type AuditCommandOptions, type RunAudit, runAudit } from "../auditing.ts";
import { describeAudit } from "../auditprint.ts";
import { type CommonOptions, examples, parseCount, parseSeconds, type Run } from "../command.ts";
import { type Outcome, Undecided } from "../outcome.ts";
import type { Platform } from "../platform.ts";
import { type Answer, describeError, escapeText, formatJson } from "../print.ts";
import { parseUrl, readAll } from "../remote.ts";

/** After so many rounds in a row that could not tell, somebody should know. */
const SILENT_ROUNDS_MAX = 3;

/** How often somebody is told, and how long to wait before it is tried again, in ms. */
const TELL_WAITS_MS = [1000, 5000, 25_000] as const;

export function addWatch(program: Command, run: Run): void {
  program
    .command("watch")
    .summary("keep auditing, and exit or call a webhook when something is wrong")
    .description(
      "Audits an archive at an interval, each time from the state of the last. Ends with exit code 1 when something is wrong; with --webhook it tells that address instead, and goes on. One line for each audit; ends with Ctrl-C.",
    )
    .argument("<url|folder>", "the API, or a folder with a copy of what lies below its reserved prefix")
    .requiredOption("--state <file>", "where what was proven is kept from one audit to the next")
    .requiredOption("--trust <file|url>", "whom to believe: a trust document that you kept")
    .option("--every <seconds>", "how long to wait between two audits", parseCount(1, 604_800), 300)
    .option("--webhook <url>", "tell this address by POST of JSON (default: $COUNTERFOIL_WEBHOOK)")
    .option(
      "--token <file>",
      "file with the operator's token, which opens the entries (default: $COUNTERFOIL_TOKEN)",
    )
    .option("--no-entries", "read hashes only")
    .option("--anchored-within <seconds>", "as for audit", parseSeconds)
    .option("--json", "a line of JSON for each audit")
    .addHelpText(
      "after",
      examples("counterfoil watch https://api.example.com --trust trust.json --state audit.json --every 300"),
    )
    .action((where: string, options: WatchOptions & CommonOptions) =>
      run.answer(options, where, true, platform => watchCommand(platform, where, options)),
    );
}

interface WatchOptions extends Pick<AuditCommandOptions, "token" | "entries" | "anchoredWithin"> {
  readonly state: string;
  readonly trust: string;
  readonly every: number;
  readonly webhook?: string;
}

/** What somebody is told: no more than this, and no secret. */
interface Event {
  readonly event: "wrong" | "undecided" | "recovered";
  readonly archive: string;
  readonly time: string;
  readonly code?: string;
  readonly message?: string;
  readonly place?: string;
}

async function watchCommand(
  platform: Platform,
  where: string,
  options: WatchOptions & CommonOptions,
): Promise<Answer> {
  const webhook = options.webhook ?? platform.variable("COUNTERFOIL_WEBHOOK");
  if (webhook !== undefined) parseUrl(webhook);
  /** What was told last; what has not changed is not told again. */
  let told: Event["event"] = "recovered";
  let silent = 0;
  let isFirst = true;
  for (;;) {
    const round = await audit(platform, where, options).catch(error => {
      // What is wrong with the command line itself will not get better by waiting.
      if (isFirst) throw error;
      return describeError(error, where);
    });
    isFirst = false;
    await platform.writeOut(formatRound(platform, round, options));
    silent = round.outcome === "undecided" ? silent + 1 : 0;
    const due = eventOf(round.outcome, silent);
    if (due === "wrong" && webhook === undefined) return round;
    if (due !== undefined && due !== told) {
      const failure =
        webhook === undefined
          ? undefined
          : await tell(platform, webhook, describeEvent(due, round, where, platform.now()));
      // Nobody knows: then it must not go on as if somebody did.
      if (failure !== undefined) return { ...round, rows: [...round.rows, ["webhook", failure]] };
      told = due;
    }
    if (!(await platform.pause(options.every * 1000))) return round;
  }
}

async function audit(platform: Platform, where: string, options: WatchOptions): Promise<Answer> {
  const run: RunAudit = await runAudit(platform, where, { ...options, promise: [], receipt: [] });
  return describeAudit(run);
}

function eventOf(outcome: Outcome, silent: number): Event["event"] | undefined {
  if (outcome === "proven") return "recovered";
  if (outcome === "wrong") return "wrong";
  return silent >= SILENT_ROUNDS_MAX ? "undecided" : undefined;
}

function formatRound(platform: Platform, { outcome, rows, json }: Answer, options: CommonOptions): string {
  const time = new Date(platform.now()).toISOString();
  if (options.json) return `${formatJson({ time, outcome, ...json })}\n`;
  return `${time}  ${outcome}: ${escapeText(rows[0]?.[1] ?? "")}\n`;
}

function describeEvent(event: Event["event"], { rows, json }: Answer, where: string, now: number): Event {
  const [first] =
    (json.problems as readonly { code: string; message: string; path: string }[] | undefined) ?? [];
  const code = first?.code ?? (json.code as string | undefined);
  return {
    ...{ event, archive: withoutSecrets(where), time: new Date(now).toISOString() },
    ...(event !== "recovered" && {
      message: first?.message ?? rows[0]?.[1] ?? "",
      ...(code !== undefined && { code }),
      ...(first !== undefined && { place: first.path }),
    }),
  };
}

/** An address without what may be secret in it. */
function withoutSecrets(where: string): string {
  if (!URL.canParse(where)) return where;
  const { origin, pathname } = new URL(where);
  return origin === "null" ? where : origin + pathname;
}

/** @returns why nobody could be told, or undefined when somebody was. */
async function tell(platform: Platform, webhook: string, event: Event): Promise<string | undefined> {
  const body = new TextEncoder().encode(JSON.stringify(event));
  const host = new URL(webhook).origin;
  let found = "";
  for (const wait of [0, ...TELL_WAITS_MS]) {
    if (wait > 0 && !(await platform.pause(wait))) break;
    const headers = [
      ["content-type", "application/json"],
      ["user-agent", `counterfoil/${platform.version}`],
    ] as const;
    try {
      const response = await platform.send({ method: "POST", url: webhook, headers, body, idleMs: 10_000 });
      await readAll(response.body, host);
      if (response.status >= 200 && response.status < 300) return undefined;
      found = `status ${response.status}`;
    } catch (error) {
      if (!(error instanceof Undecided)) throw error;
      // Its own message names the whole address, which may be as good as a password.
      found = "no answer";
    }
  }
  return `the one at ${host} could not be told: ${found}`;
}
