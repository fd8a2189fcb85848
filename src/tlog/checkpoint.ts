// Checkpoints (C2SP tlog-checkpoint, text of 2026-07-11): the text of a signed note in which a log says
// "at this size, this was my root". A checkpoint that was only parsed is nobody's word; `openCheckpoint`
// gives the word of the log whose keys it was given.
import { formatDecimal, parseDecimal } from "./decimal.ts";
import { Fault } from "./fault.ts";
import { formatHash, type Hash, parseHash } from "./hash.ts";
import {
  type Note,
  type NoteKey,
  openNote,
  parseNote,
  type VerifiedSignature,
  type VerifySignature,
} from "./note.ts";

export interface Checkpoint {
  /** The name of the log. */
  readonly origin: string;
  /** The number of leaves. */
  readonly size: number;
  readonly root: Hash;
  /** Lines of any meaning, none of them empty; usually there are none. */
  readonly extensions: readonly string[];
}

/**
 * Reads the text of a checkpoint note.
 * @throws Fault `malformed` unless it is three or more non-empty lines: origin, size, root, extensions;
 *   `too-large` for a size beyond 2^53 - 1.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  if (lines.pop() !== "") {
    throw new Fault("malformed", "checkpoint: the last line does not end", { found: text });
  }
  const [origin, size, root, ...extensions] = lines;
  if (origin === undefined || size === undefined || root === undefined || lines.includes("")) {
    throw new Fault("malformed", "checkpoint: not a checkpoint", {
      expected: "at least three lines, none of them empty",
      found: text,
    });
  }
  return {
    origin,
    size: parseDecimal(size, "checkpoint size"),
    root: parseHash(root, "checkpoint root"),
    extensions,
  };
}

/**
 * Writes the text of a checkpoint note.
 * @throws Fault `malformed` when it could not be read back.
 * @example
 * import { emptyRoot, formatCheckpoint, parseCheckpoint } from "counterfoil/tlog";
 *
 * const text = formatCheckpoint({ origin: "log.example.com", size: 0, root: emptyRoot(), extensions: [] });
 * console.log(text.split("\n").length, parseCheckpoint(text).origin); // 4 log.example.com
 */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  for (const line of [origin, ...extensions]) {
    if (line === "" || line.includes("\n")) {
      throw new Fault("malformed", "checkpoint: origin and extensions are one non-empty line each", {
        found: line,
      });
    }
  }
  const lines = [
    origin,
    formatDecimal(size, "checkpoint size"),
    formatHash(root, "checkpoint root"),
    ...extensions,
  ];
  return lines.map(line => `${line}\n`).join("");
}

/** A checkpoint that a log has signed, with the note it came in. */
export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  /** The signatures by the log's keys, at least one. */
  readonly signatures: readonly VerifiedSignature[];
}

/**
 * Reads a signed checkpoint and checks the log's signatures. `keys` are keys of one or more logs; only
 * those named like the checkpoint's origin count. `verify` as in `openNote`.
 * @throws Fault `malformed`, `too-large` as in `parseNote` and `parseCheckpoint`; `wrong-origin` when
 *   none of the keys is of that log; `unknown-key`, `bad-signature` as in `openNote`.
 * @see C2SP tlog-checkpoint
 * @example
 * import { openCheckpoint, parseTrust } from "counterfoil/verify";
 *
 * const trust = parseTrust(await (await fetch("https://api.example.com/.well-known/audit/trust")).text());
 * const published = await fetch("https://api.example.com/.well-known/audit/main/checkpoint");
 * const { checkpoint } = await openCheckpoint(await published.text(), trust.ledgers[0].keys);
 * console.log(checkpoint.origin, checkpoint.size > 0); // api.example.com/audit/main true
 */
export async function openCheckpoint(
  note: string | Uint8Array,
  keys: readonly NoteKey[],
  verify?: VerifySignature,
): Promise<OpenedCheckpoint> {
  const parsed = parseNote(note);
  const checkpoint = parseCheckpoint(parsed.text);
  const logKeys = keys.filter(({ name }) => name === checkpoint.origin);
  if (logKeys.length === 0 && keys.length > 0) {
    throw new Fault("wrong-origin", "checkpoint: of another log", {
      expected: [...new Set(keys.map(({ name }) => name))].join(", "),
      found: checkpoint.origin,
    });
  }
  return { checkpoint, note: parsed, signatures: await openNote(parsed, logKeys, verify) };
}
