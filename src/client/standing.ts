// What an anchor has to show besides its own signature and its place in the chain: the lock that it says was in
// force, who has cosigned what it pins, and who has timestamped it. Anchors in a row that show the same are one
// stretch, so that a year of them is a few lines.
import type { Anchor, AnchorPayload } from "../receipt/anchor.ts";
import type { Trust } from "../receipt/trust.ts";
import { openCosignatures } from "../tlog/cosignature.ts";
import { parseNote } from "../tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../tlog/policy.ts";

export interface Standing {
  /** Whether it names the anchor before it. */
  readonly chained: boolean;
  /** The kinds of lock that it has evidence of, and whether they held. */
  readonly locks: readonly string[];
  /** Who of the trusted policy's witnesses has cosigned every ledger that it pins. */
  readonly witnesses: readonly string[];
  /** Whether those are enough for the policy; undefined without one. */
  readonly quorum?: boolean;
  /** Who of the trusted authorities has timestamped it. */
  readonly timestamped?: string;
}

export interface Stretch extends Standing {
  /** The first and the last epoch of it. */
  readonly first: number;
  readonly last: number;
}

/** How many stretches are kept: where anchors differ from one to the next, more would tell nothing. */
const STRETCHES_MAX = 1000;

export class Stretches {
  readonly list: Stretch[] = [];

  add(epoch: number, standing: Standing): void {
    const last = this.list.at(-1);
    const { first: _, last: __, ...before } = last ?? { first: 0, last: 0 };
    if (last?.last === epoch - 1 && JSON.stringify(before) === JSON.stringify(standing)) {
      this.list[this.list.length - 1] = { ...last, last: epoch };
    } else if (this.list.length < STRETCHES_MAX) {
      this.list.push({ first: epoch, last: epoch, ...standing });
    }
  }
}

/**
 * What an anchor has to show. @param timestamped the trusted authority that has timestamped it, if any.
 * @throws Fault `bad-signature` when a cosignature by a trusted witness does not hold.
 */
export async function standingOf(
  { payload }: Anchor,
  chained: boolean,
  timestamped: string | undefined,
  trust: Trust,
): Promise<Standing> {
  const locks = [payload.lock, ...(payload.copies ?? [])].map(describeKind);
  const { witnesses, quorum } = await readWitnesses(payload, trust);
  return {
    ...{ chained, locks, witnesses },
    ...(quorum !== undefined && { quorum }),
    ...(timestamped !== undefined && { timestamped }),
  };
}

async function readWitnesses(
  { ledgers }: AnchorPayload,
  trust: Trust,
): Promise<{ witnesses: string[]; quorum?: boolean }> {
  if (trust.policy === undefined) return { witnesses: [] };
  const policy = parsePolicy(trust.policy);
  const keys = policy.witnesses.map(({ key }) => key);
  let everywhere = policy.witnesses;
  for (const { checkpoint } of ledgers) {
    const found = (await openCosignatures(parseNote(checkpoint), keys)).map(({ key }) => key.id);
    everywhere = everywhere.filter(({ key }) => found.includes(key.id));
  }
  return {
    witnesses: everywhere.map(({ name }) => name),
    quorum: meetsQuorum(
      policy,
      everywhere.map(({ key }) => key),
    ),
  };
}

/** A lock's kind and whether it held, without what differs from one anchor to the next. */
function describeKind(evidence: AnchorPayload["lock"]): string {
  const { kind, mode } = evidence;
  const attempts = [memberOf(evidence.canary, "overwrite"), memberOf(evidence.canary, "removal")];
  // One that was gone before it was tried has no first.
  const canary = attempts.find(outcome => outcome !== undefined && outcome !== "refused") ?? attempts[0];
  const tried = canary === undefined ? "" : `, canary ${canary}`;
  const holds = memberOf(evidence.rules, "holds_seconds");
  const days = typeof holds === "number" ? `for ${holds / 86_400} days` : holds;
  return `${kind}${days === undefined ? "" : ` ${days}`}${typeof mode === "string" ? ` ${mode}` : ""}${tried}`;
}

/** The evidence of a lock in one line, with all that it says of this moment. */
export function describeLock(evidence: AnchorPayload["lock"]): string {
  const { kind, version, until, read_at } = evidence;
  if (kind === "none") return "no evidence of one";
  if (kind === "local") return "none: the anchors lie on the operator's machine";
  const rules = memberOf(evidence.rules, "sha256");
  const day = memberOf(evidence.canary, "day");
  const read = read_at ?? memberOf(evidence.rules, "read_at");
  return [
    `${describeKind(evidence)}${until === undefined ? "" : ` until ${until}`}`,
    ...(version === undefined ? [] : [`version ${version} of epoch ${evidence.epoch}`]),
    ...(rules === undefined ? [] : [`rules ${rules}`]),
    ...(day === undefined ? [] : [`canary of ${day}`]),
    ...(read === undefined ? [] : [`read back ${read}`]),
  ].join(", ");
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
