// A witness (C2SP tlog-witness, text of 2026-07-06): it cosigns a log's checkpoint only if that extends the
// checkpoint of the log that it cosigned before. What it has cosigned is durable before anybody hears of it, and
// moves from the size that a proof begins at to the size that it ends at in one statement, so two requests at
// once, or two processes on one storage, never cosign two trees that do not extend each other.
import { openCheckpoint, parseCheckpoint } from "../src/tlog/checkpoint.ts";
import { cosign } from "../src/tlog/cosignature.ts";
import { Fault, type FaultCode } from "../src/tlog/fault.ts";
import { formatSignatureLines, type NoteKey, type NoteSigner, parseNote } from "../src/tlog/note.ts";
import { checkConsistency, emptyRoot, equalBytes, type Hash } from "../src/tlog/tree.ts";
import { type AddCheckpoint, formatTreeSize, parseAddCheckpoint } from "../src/tlog/witness.ts";
import type { Sql } from "./sql.ts";

export interface WitnessOptions {
  readonly sql: Sql;
  /** The cosigning key, of signature type 0x04. */
  readonly signer: NoteSigner;
  /** The keys of the logs that it cosigns for; a key's name is its log's origin. */
  readonly logs: readonly NoteKey[];
  /** The witness's clock, in milliseconds of Unix time. */
  readonly now: () => number;
}

/** What add-checkpoint is answered with. */
export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly type: "text/plain; charset=utf-8" | "text/x.tlog.size";
  readonly body: string;
}

/** The tree that was cosigned last; no tree counts as the empty one. */
interface Cosigned {
  readonly size: number;
  readonly root: Hash;
}

const TEXT = "text/plain; charset=utf-8";

/** The status that tells of a fault in a checkpoint's signature; any other is one in its form. */
const STATUS_OF: Partial<Record<FaultCode, WitnessAnswer["status"]>> = {
  "wrong-origin": 404,
  "unknown-key": 403,
  "bad-signature": 403,
};

export class Witness {
  readonly #options: WitnessOptions;

  constructor(options: WitnessOptions) {
    this.#options = options;
    options.sql.all(
      "CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL) WITHOUT ROWID",
    );
  }

  /** Answers a request for a cosignature. @param body the request's body. */
  async addCheckpoint(body: string): Promise<WitnessAnswer> {
    const { logs, signer, now } = this.#options;
    let request: AddCheckpoint;
    let origin: string;
    let after: Cosigned;
    try {
      request = parseAddCheckpoint(body);
      ({ origin, ...after } = parseCheckpoint(parseNote(request.checkpoint).text));
      if (!logs.some(({ name }) => name === origin)) {
        throw new Fault("wrong-origin", `${origin}: is no log that this witness cosigns for`);
      }
      await openCheckpoint(request.checkpoint, logs);
    } catch (error) {
      return refuse(error, STATUS_OF);
    }
    const before = this.cosigned(origin);
    if (request.oldSize !== before.size) return conflict(before);
    try {
      checkConsistency({
        size1: before.size,
        root1: before.root,
        size2: after.size,
        root2: after.root,
        proof: request.proof,
      });
    } catch (error) {
      return refuse(error, { malformed: 422, forked: 422 });
    }
    if (!this.#move(origin, before, after)) return conflict(this.cosigned(origin));
    const cosignature = await cosign(parseNote(request.checkpoint).text, Math.floor(now() / 1000), signer);
    return { status: 200, type: TEXT, body: formatSignatureLines([cosignature]) };
  }

  /** The tree of a log that was cosigned last. */
  cosigned(origin: string): Cosigned {
    const row = this.#options.sql.all("SELECT size, root FROM cosigned WHERE origin = ?", origin)[0];
    return row === undefined
      ? { size: 0, root: emptyRoot() }
      : { size: row.size as number, root: row.root as Uint8Array };
  }

  /** @returns false, and changes nothing, when `before` is no longer what was cosigned last. */
  #move(origin: string, before: Cosigned, after: Cosigned): boolean {
    return this.#options.sql.transaction(() => {
      const now = this.cosigned(origin);
      if (now.size !== before.size || !equalBytes(now.root, before.root)) return false;
      this.#options.sql.all(
        "INSERT OR REPLACE INTO cosigned VALUES (?, ?, ?)",
        origin,
        after.size,
        after.root,
      );
      return true;
    });
  }
}

function conflict({ size }: Cosigned): WitnessAnswer {
  return { status: 409, type: "text/x.tlog.size", body: formatTreeSize(size) };
}

function refuse(
  error: unknown,
  statusOf: Partial<Record<FaultCode, WitnessAnswer["status"]>>,
): WitnessAnswer {
  if (!(error instanceof Fault)) throw error;
  return { status: statusOf[error.code] ?? 400, type: TEXT, body: `${error.message}\n` };
}
