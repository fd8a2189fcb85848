// What a ledger's control records mean to those who verify: which entries it may have let go of, and which private
// values it has erased. So neither reads as tampering; and neither is believed without such a record.
//
//   pruned   `minimum`: entries below it may be gone from the archive. It is the minimum index of C2SP tlog-tiles
//            (text of 2026-02-05); hash tiles stay, so every proof can still be made.
//   erased   `exchanges`: the ids of exchanges whose private values and seeds are erased.
import * as v from "valibot";
import { Fault } from "../tlog/fault.ts";
import type { Entry } from "./entry.ts";
import type { AuditRecord } from "./record.ts";
import { Count } from "./shape.ts";

const PrunedSchema = v.looseObject({ type: v.literal("pruned"), minimum: Count });
const ErasedSchema = v.looseObject({ type: v.literal("erased"), exchanges: v.array(v.string()) });

/**
 * The minimum index that an entry tells of, if it does.
 * @throws Fault `malformed` when there is none in it, or one beyond the entry itself.
 */
export function readMinimum({ header, record }: Entry): number | undefined {
  if (!isControl(record, "pruned")) return undefined;
  const result = v.safeParse(PrunedSchema, record.control);
  if (result.success && result.output.minimum <= header.index) return result.output.minimum;
  throw new Fault("malformed", `entry ${header.index}: tells of no minimum index that it could tell of`, {
    expected: `minimum: a number up to ${header.index}`,
    found: JSON.stringify(record.control),
    index: header.index,
  });
}

/** The exchanges whose private values an entry says are erased. @throws Fault `malformed`. */
export function readErased({ header, record }: Pick<Entry, "header" | "record">): readonly string[] {
  if (!isControl(record, "erased")) return [];
  const result = v.safeParse(ErasedSchema, record.control);
  if (result.success) return result.output.exchanges;
  throw new Fault("malformed", `entry ${header.index}: does not say which exchanges were erased`, {
    expected: "exchanges: a list of ids",
    found: JSON.stringify(record.control),
    index: header.index,
  });
}

/**
 * Judges an entry that the archive does not give out.
 * @param told the entry of a control record that its caller has verified, if there is one.
 * @throws Fault always: `pruned` when the entry may be gone, else `missing`.
 */
export function judgeAbsent(index: number, told: Entry | undefined): never {
  const minimum = told && readMinimum(told);
  if (minimum === undefined || index >= minimum) {
    throw new Fault("missing", `entry ${index}: is not in the archive`, {
      expected: minimum === undefined ? "the entry" : `every entry from index ${minimum} on`,
      index,
    });
  }
  throw new Fault("pruned", `entry ${index}: its retention has ended`, {
    found: `a minimum index of ${minimum}, told by entry ${told!.header.index}`,
    index,
  });
}

function isControl({ stage, control }: AuditRecord, type: string): boolean {
  return stage === "control" && control?.type === type;
}
