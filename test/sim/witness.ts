// A witness as the simulation sees it from the inside (C2SP tlog-witness). It holds whatever it is asked about against
// the one ledger that there may be, and shares no code with the system. At times it forgets what it has cosigned, or
// answers what is no cosignature.

import { base64, COSIGNATURE_ED25519, cosignText, makeKey, verifierKey } from "../reference/note.ts";
import { proofOfLeaves } from "../reference/rfc6962.ts";
import type { Checker } from "./checker.ts";
import type { Surroundings } from "./instance.ts";

export const WITNESS_KEY = makeKey("witness.example/w1", COSIGNATURE_ED25519, "witness");
export const WITNESS_VKEY = verifierKey(WITNESS_KEY);

export interface Answered {
  readonly status: number;
  readonly body: string;
}

export class SimulatedWitness {
  /** Until then, it is out of reach. */
  awayStep = 0;
  readonly stats = { cosigned: 0, conflict: 0 };
  readonly #around: Surroundings;
  readonly #checker: Checker;
  #size = 0;

  constructor(around: Surroundings, checker: Checker) {
    this.#around = around;
    this.#checker = checker;
  }

  /** Answers an add-checkpoint request. @throws Error while it is away. */
  answer(body: string): Answered {
    const { random, schedule, profile } = this.#around;
    if (schedule.step < this.awayStep) throw new Error("the witness is away");
    if (random.chance(profile.witness / 4)) this.#size = random.below(this.#size + 1);
    const end = body.indexOf("\n\n");
    const [first, ...proof] = body.slice(0, end).split("\n");
    const oldSize = Number(/^old (0|[1-9][0-9]*)$/.exec(first!)![1]);
    const note = body.slice(end + 2);
    const size = this.#checker.checkPublished(note);
    if (oldSize > size) this.#checker.fail(`the witness is asked from ${oldSize} to ${size}`);
    if (oldSize !== this.#size) {
      this.stats.conflict++;
      return { status: 409, body: `${this.#size}\n` };
    }
    const { leaves } = this.#checker.tree;
    const expected = oldSize === 0 ? [] : proofOfLeaves(oldSize, leaves, size).map(base64);
    if (String(proof) !== String(expected)) {
      this.#checker.fail(`the witness gets a proof from ${oldSize} to ${size} that is none`);
    }
    this.#size = size;
    this.stats.cosigned++;
    const text = note.slice(0, note.indexOf("\n\n") + 1);
    const seconds = Math.floor(schedule.nowMs / 1000);
    const line = cosignText(text, WITNESS_KEY, seconds);
    if (random.chance(profile.witness / 4)) return { status: 200, body: this.#spoil(line) };
    return { status: 200, body: line };
  }

  /** A cosignature with another signature. */
  #spoil(line: string): string {
    const [dash, name, data] = line.trimEnd().split(" ");
    const bytes = Buffer.from(data!, "base64");
    bytes[bytes.length - 1 - this.#around.random.below(64)]! ^= 1;
    return `${dash} ${name} ${bytes.toString("base64")}\n`;
  }
}
