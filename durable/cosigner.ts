// Gathering cosignatures: asks witnesses to cosign a checkpoint (C2SP tlog-witness, text of 2026-07-06), each with
// the proof from what it cosigned last. Only cosignatures that verify are kept. A witness that is slow, away or
// wrong costs its own cosignature and a bounded wait; whether the others are enough is for the policy to say.
import type { Checkpoint } from "../src/tlog/checkpoint.ts";
import { makeVerifier } from "../src/tlog/cosignature.ts";
import { Fault } from "../src/tlog/fault.ts";
import { formatNote, type NoteSignature, parseNote } from "../src/tlog/note.ts";
import { meetsQuorum, type Policy, type PolicyWitness } from "../src/tlog/policy.ts";
import type { Get } from "../src/tlog/reader.ts";
import { formatAddCheckpoint, openAnswer, parseTreeSize } from "../src/tlog/witness.ts";
import { ask } from "./ask.ts";
import { proveConsistency } from "./published.ts";
import type { Sql } from "./sql.ts";

export interface CosignerOptions {
  readonly sql: Sql;
  /** The witnesses with their keys and URLs, and how many of them it takes. */
  readonly policy: Policy;
  /** Whether a checkpoint without the policy's quorum may not be anchored. */
  readonly required: boolean;
  /** How long to wait for one answer of a witness, in ms. */
  readonly waitMs: number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

export interface Cosigned {
  /** The checkpoint note, with the cosignatures that were gathered added to it. */
  readonly note: string;
  /** What kept witnesses from cosigning, one sentence each. */
  readonly troubles: readonly string[];
}

/** The longest answer of a witness that is read, in bytes. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** How often a witness is asked anew with the size that it says it cosigned last. */
const CONFLICTS_MAX = 2;

const decoder = new TextDecoder();
const verify = makeVerifier();

export class Cosigner {
  readonly #options: CosignerOptions;

  constructor(options: CosignerOptions) {
    this.#options = options;
    options.sql.all(
      `CREATE TABLE IF NOT EXISTS witnessed (
         witness TEXT NOT NULL, origin TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (witness, origin)
       ) WITHOUT ROWID`,
    );
  }

  /**
   * Has a checkpoint cosigned.
   * @param note the signed checkpoint, which must have been verified. @param get reads the ledger's tiles.
   * @throws Fault `quorum-not-met` when a quorum is required and was not reached.
   */
  async cosign(note: string, checkpoint: Checkpoint, get: Get): Promise<Cosigned> {
    const { policy, required } = this.#options;
    const troubles: string[] = [];
    const asked = policy.witnesses.map(witness =>
      this.#ask(witness, note, checkpoint, get).catch((error: Error) => {
        troubles.push(`witness ${witness.name}: ${error.message}`);
        return [];
      }),
    );
    const answers = await Promise.all(asked);
    const cosigners = policy.witnesses.filter((_, i) => answers[i]!.length > 0).map(({ key }) => key);
    if (required && !meetsQuorum(policy, cosigners)) {
      throw new Fault("quorum-not-met", `${checkpoint.origin}: too few witnesses have cosigned`, {
        expected: `the quorum "${policy.quorum}"`,
        found: troubles.join("; ") || "no witness at all",
      });
    }
    const { text, signatures } = parseNote(note);
    return { note: formatNote({ text, signatures: [...signatures, ...answers.flat()] }), troubles };
  }

  async #ask(
    witness: PolicyWitness,
    note: string,
    checkpoint: Checkpoint,
    get: Get,
  ): Promise<NoteSignature[]> {
    let oldSize = Math.min(this.#witnessed(witness, checkpoint.origin), checkpoint.size);
    for (let conflicts = 0; ; conflicts++) {
      const { status, body } = await this.#post(witness, await formatRequest(note, oldSize, checkpoint, get));
      if (status === 200) {
        const cosignatures = await openAnswer(body, note, [witness.key], verify);
        this.#remember(witness, checkpoint);
        // One counts: with a hundred the note would have more signatures than a note may, and nothing be anchored.
        return cosignatures.slice(0, 1).map(({ signature }) => signature);
      }
      if (status !== 409 || conflicts === CONFLICTS_MAX) {
        throw new Error(`answered with status ${status}: ${body.slice(0, 200).trim()}`);
      }
      // Some witnesses tell no size when it is the right one and the tree of it another.
      const size = body === "" && oldSize === checkpoint.size ? oldSize : parseTreeSize(body);
      if (size > checkpoint.size) {
        throw new Error(`has cosigned a tree of ${size} entries already, this one has ${checkpoint.size}`);
      }
      if (size === oldSize) throw new Error(`has cosigned another tree of ${size} entries than this one`);
      oldSize = size;
    }
  }

  async #post({ url }: PolicyWitness, body: string): Promise<{ status: number; body: string }> {
    if (url === undefined) throw new Error("the policy names no URL for it");
    const { fetch, waitMs } = this.#options;
    const target = `${url.replace(/\/$/, "")}/add-checkpoint`;
    const bounds = { who: "it", waitMs, bytesMax: ANSWER_BYTES_MAX };
    const answer = await ask(settings => fetch(target, { method: "POST", body, ...settings }), bounds);
    return { status: answer.status, body: decoder.decode(answer.body) };
  }

  /** The size of the tree that a witness is known to have cosigned; it may have forgotten, or gone on. */
  #witnessed({ key }: PolicyWitness, origin: string): number {
    const { sql } = this.#options;
    const row = sql.all("SELECT size FROM witnessed WHERE witness = ? AND origin = ?", key.name, origin)[0];
    return (row?.size as number | undefined) ?? 0;
  }

  #remember({ key }: PolicyWitness, { origin, size }: Checkpoint): void {
    this.#options.sql.all("INSERT OR REPLACE INTO witnessed VALUES (?, ?, ?)", key.name, origin, size);
  }
}

async function formatRequest(note: string, oldSize: number, { size }: Checkpoint, get: Get): Promise<string> {
  const proof = await proveConsistency(oldSize, size, get);
  return formatAddCheckpoint({ oldSize, proof, checkpoint: note });
}
