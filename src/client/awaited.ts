// The records that an audit awaits in one ledger, because a person holds promises of them. A promise is judged by
// entries under a signed root alone: kept by the one with its record, taken in time; broken by one of the same
// step with another record, or taken late, or when the ledger has gone on beyond the promised time without it.
// While the record could be where nobody has looked, it is undecided.
import type { Entry } from "../receipt/entry.ts";
import { JTI_AHEAD_MS, timeOfJti } from "../receipt/jti.ts";
import { type AuditPromise, checkKept, nameStep } from "../receipt/promise.ts";
import { formatStep } from "../receipt/record.ts";
import { Fault, type FaultCode } from "../tlog/fault.ts";
import type { Findings, Place } from "./findings.ts";
import { pickDetail } from "./outcome.ts";

/** What became of a promise. */
export interface PromiseReport {
  readonly origin: string;
  readonly jti: string;
  readonly step: string;
  /** The time by which the record was promised to be in the ledger. */
  readonly by: string;
  /** Of a broken one, the problem says how. */
  readonly state: "kept" | "broken" | "undecided";
  /** The entry that keeps it. */
  readonly index?: number;
  /** Why it is undecided, with the code that fits where one does. */
  readonly doubt?: Doubt;
}

interface Doubt {
  readonly code?: FaultCode;
  readonly reason: string;
}

/** What an audit has found out about the ledger as a whole. */
export interface Reach {
  /** The largest tree under a signed root that was recomputed equal. */
  readonly size: number;
  /** How many entries are gone that may be. */
  readonly pruned: number;
  /** Whether the archive gives entries out. */
  readonly holdsEntries: boolean;
}

/** One promise, and what the entries of its step have shown: where it is kept, or else how it is broken. */
interface Awaited {
  readonly promise: AuditPromise;
  kept?: number;
  broken?: { readonly index: number; readonly fault: Fault };
}

export class AwaitedRecords {
  readonly #all: readonly Awaited[];
  readonly #bySteps = new Map<string, Awaited[]>();
  /** The first entry that was read, how many were, and the newest `at` among them. */
  #first: { readonly index: number; readonly at: string } | undefined;
  #count = 0;
  #newestAt = "";

  /** @param promises those about one ledger, verified. */
  constructor(promises: readonly AuditPromise[]) {
    this.#all = promises.map(promise => ({ promise }));
    for (const one of this.#all) {
      const name = nameStep(one.promise.record);
      this.#bySteps.set(name, [...(this.#bySteps.get(name) ?? []), one]);
    }
  }

  /** Whether nothing is awaited: then no entry needs to be shown. */
  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** Looks at the entry that stands at `index`. They come in order, each once. */
  see(entry: Entry, index: number): void {
    if (this.#all.length === 0) return;
    const { at } = entry.header;
    this.#first ??= { index, at };
    this.#count++;
    if (at > this.#newestAt) this.#newestAt = at;
    for (const one of this.#bySteps.get(nameStep(entry.record)) ?? []) compare(one, entry, index);
  }

  /** Judges every promise, once all entries were seen. A broken one becomes a finding at `place`. */
  judge(reach: Reach, place: Place, findings: Findings): PromiseReport[] {
    return this.#all.map(one => {
      const { header, record } = one.promise;
      const about = { origin: header.origin, jti: record.jti, step: formatStep(record), by: header.promise };
      if (one.kept !== undefined && one.kept < reach.size) {
        return { ...about, state: "kept", index: one.kept };
      }
      const fault = one.broken !== undefined && one.broken.index < reach.size ? one.broken.fault : undefined;
      const doubt = fault === undefined ? this.#doubt(one.promise, reach) : undefined;
      if (doubt !== undefined) return { ...about, state: "undecided", doubt };
      const what = `${nameStep(record)} was promised by ${header.promise}`;
      const { message, ...detail } = fault
        ? { message: fault.message, ...pickDetail(fault) }
        : this.#describeAbsence(header.promise, reach.size);
      findings.add("broken-promise", place, `${place.path}: ${what}: ${message}`, detail);
      return { ...about, state: "broken" };
    });
  }

  #describeAbsence(by: string, size: number): { message: string; expected: string; found: string } {
    return {
      message: `it is in none of the entries up to ${this.#newestAt}`,
      expected: `an entry with the promised record, taken by ${by}`,
      found: `none in the signed tree of ${size} entries, the newest of ${this.#newestAt}`,
    };
  }

  /** Why an absent record may yet be there, or may yet come in time; undefined when it can be neither. */
  #doubt({ header, record }: AuditPromise, { size, pruned, holdsEntries }: Reach): Doubt | undefined {
    if (!holdsEntries) {
      return { reason: "the entries were not read: only the operator's token opens them (--token FILE)" };
    }
    const first = this.#first;
    if (first === undefined || this.#newestAt <= header.promise) {
      const newest = this.#newestAt || "none that was read";
      return { code: "not-yet-included", reason: `it may still come in time: the newest entry is ${newest}` };
    }
    if (this.#count !== size - first.index) {
      return { reason: "it may be among the entries that could not be read, or are under no signed root" };
    }
    if (first.index === 0 || isBefore(first.at, record.jti)) return undefined;
    const unread = `entries 0 to ${first.index - 1}`;
    return pruned > 0
      ? { code: "pruned", reason: `it may have been among ${unread}, whose retention has ended` }
      : { reason: `it may be among ${unread}, which were not read` };
  }
}

function compare(one: Awaited, entry: Entry, index: number): void {
  try {
    checkKept(one.promise, entry);
    one.kept ??= index;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // An entry of another ledger has no place in this one, and is reported as that.
    if (error.code === "broken-promise") one.broken ??= { index, fault: error };
  }
}

/** Whether a ledger that took an entry at `at` could not have taken this exchange before that. */
function isBefore(at: string, jti: string): boolean {
  const made = timeOfJti(jti);
  return made !== undefined && Date.parse(at) < made - JTI_AHEAD_MS;
}
