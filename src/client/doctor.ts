// The doctor: what an edge says of its own state, and what a person can do about it.
import * as v from "valibot";
import { readJson } from "../receipt/shape.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Platform } from "./platform.ts";
import type { Answer } from "./print.ts";
import { readUrl } from "./remote.ts";

const Trouble = v.object({ code: v.string(), reason: v.string() });

const HealthSchema = v.object({
  ledgers: v.array(
    v.object({
      name: v.string(),
      state: v.picklist(["open", "halted", "failing", "unreachable"]),
      size: v.optional(v.number()),
      published: v.optional(v.number()),
      halted: v.optional(Trouble),
      trouble: v.optional(Trouble),
      alerts: v.optional(v.array(Trouble)),
    }),
  ),
  anchors: v.object({
    state: v.picklist(["open", "failing", "unreachable"]),
    latest: v.optional(v.number()),
    trouble: v.optional(Trouble),
  }),
});

type Health = v.InferOutput<typeof HealthSchema>;

/** What to do about each code with which a ledger halts, or anchoring stops. */
const WAYS_OUT: Readonly<Record<string, string>> = {
  "rolled-back":
    "restore the storage that was current (or the archive, if it is the archive that is old); or leave this ledger as it is, readable and provable, and name a new one in wrangler.toml",
  forked:
    "two trees contradict each other: find out which copy was altered or restored, put back the one that was anchored, and keep both for whoever investigates",
  missing: "put back what was deleted from the archive or the anchor store, from a copy",
  tampered: "compare the named object with a copy, and put back the bytes that the signed root asks for",
  "unknown-key":
    "a key was replaced that nobody was told of: name the one before in vars.retired_keys, or put it back (docs/operations.md, Keys); or somebody has put an anchor of their own into the bucket (In an anchor's place)",
  "key-not-valid":
    "what stands at the next epoch is signed by a retired key: if somebody has put it there, take it away; if the anchor writer's storage was put back, put the key of that time back (ANCHOR_KEY) until it has caught up, and replace it again",
  "broken-anchor-chain":
    "something stands in the next anchor's place that the edge has not put there: find out who can write to the anchor bucket, take that away from them, and see docs/operations.md, In an anchor's place",
  unavailable:
    "wait, or see to it that the disk has room and the archive can be reached: it is tried again by itself",
};

/** What to do about each alert: records are taken, but a person should know. */
export const ALERTS: Readonly<Record<string, string>> = {
  unfinished:
    "an edge ended while these were under way, or they still are: look at its logs of that time; the records stay as evidence, and the alert ends after 30 days",
  "clock-behind":
    "set the clock right, or wait until it is there if it was ahead before; a ledger whose newest entry is more than 30 days ahead takes nothing before then: name a new one in wrangler.toml",
  spooled: "wait: the ledger enters them by itself; if it does not, look whether the archive can be reached",
  "promise-broken":
    "find out why the ledger does not take them (its state is above): callers hold signed promises that were not kept",
  "set-aside":
    "look at what lies in refused/ in the archive bucket, and move back what should be tried again",
  unopened:
    "an edge ended before it had sent what opens these, or could not: the log of the ledger names them; their callers can open them still, with the seeds that they were given; the alert ends when the values come, or after 30 days",
  unavailable: "see to it that what is named can be reached",
};

/**
 * Reads what an edge says of itself.
 * @throws Undecided when it says nothing, or nothing that can be read.
 */
export async function examine(platform: Platform, prefix: string): Promise<Answer> {
  const { status, body } = await readUrl(platform, `${prefix}health`);
  if (status !== 200 && status !== 503) {
    throw new Undecided(`${prefix}health: no edge answers here`, {
      expected: "status 200 or 503",
      found: `status ${status}`,
    });
  }
  const health = await undecidedIfFaulty(`${prefix}health`, () =>
    readJson(HealthSchema, new TextDecoder().decode(body), "health"),
  );
  const troubles = [...health.ledgers.map(causeOf), health.anchors.trouble].filter(t => t !== undefined);
  const isWell = [...health.ledgers, health.anchors].every(({ state }) => state === "open");
  return {
    outcome: isWell ? "proven" : "wrong",
    rows: [
      isWell ? ["well", "every ledger takes records, and anchors are written"] : ["not well", prefix],
      ...describeHealth(health),
      ...[...new Set(troubles.map(({ code }) => code))].map(
        code => [`what to do`, WAYS_OUT[code] ?? `see docs/architecture.md on "${code}"`] as const,
      ),
      ...health.ledgers.flatMap(describeAlerts),
    ],
    json: { ...health },
  };
}

function describeAlerts({ name, alerts = [] }: Health["ledgers"][number]): (readonly [string, string])[] {
  return alerts.flatMap(({ code, reason }) => [
    ["alert", `ledger ${name} (${code}): ${reason}`] as const,
    ["what to do", ALERTS[code] ?? `see docs/architecture.md on "${code}"`] as const,
  ]);
}

/** Why a ledger takes no records, if it does not. */
function causeOf({ halted, trouble }: Health["ledgers"][number]): v.InferOutput<typeof Trouble> | undefined {
  return halted ?? trouble;
}

function describeHealth({ ledgers, anchors }: Health): (readonly [string, string])[] {
  const { state, latest, trouble } = anchors;
  return [
    ...ledgers.map(ledger => {
      const { name, state, size, published } = ledger;
      const cause = causeOf(ledger);
      const counts = size === undefined ? "" : `, ${size} entries, ${published} published`;
      return [
        `ledger ${name}`,
        cause ? `${state} (${cause.code}): ${cause.reason}` : `${state}${counts}`,
      ] as const;
    }),
    [
      "anchors",
      trouble
        ? `${state} (${trouble.code}): ${trouble.reason}`
        : `${state}, ${latest === undefined ? "none yet" : `newest ${latest}`}`,
    ],
  ];
}
