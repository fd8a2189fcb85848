// The doctor: what an edge says of its own state, and what a person can do about it.
import * as v from "valibot";
import { readJson } from "../receipt/shape.ts";
import { ALERTS, adviseOperator, WAYS_OUT } from "./advice.ts";
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
        code => ["what to do", adviseOperator(WAYS_OUT, code)] as const,
      ),
      ...health.ledgers.flatMap(describeAlerts),
    ],
    json: { ...health },
  };
}

function describeAlerts({ name, alerts = [] }: Health["ledgers"][number]): (readonly [string, string])[] {
  return alerts.flatMap(({ code, reason }) => [
    ["alert", `ledger ${name} (${code}): ${reason}`] as const,
    ["what to do", adviseOperator(ALERTS, code)] as const,
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
