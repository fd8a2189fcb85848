// One audit as the command line runs it: what a person named becomes what the auditor takes, and the state that the
// next audit goes on from is kept. An audit that is interrupted has left its progress in a file beside the state.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Trust } from "../receipt/trust.ts";
import { Fault } from "../tlog/fault.ts";
import { type AuditReport, audit } from "./audit.ts";
import { readCapture } from "./capture.ts";
import { openArchive, readAnchor, readPromise, receiptOf } from "./input.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";
import type { Platform } from "./platform.ts";
import { Progress } from "./progress.ts";
import { openState } from "./state.ts";
import { readNamedFile, readTrust, type TrustSource } from "./trust.ts";

export interface AuditCommandOptions {
  readonly trust?: string;
  readonly token?: string;
  /** False when they are not to be read. */
  readonly entries: boolean;
  readonly anchor?: string;
  readonly promise: readonly string[];
  readonly state?: string;
  readonly full?: true;
  readonly receipt: readonly string[];
  /** In seconds. */
  readonly anchoredWithin?: number;
}

/** The file that an auditor keeps from one audit to the next. */
export interface StateFile {
  readonly file: string;
  /** Whether it was not there yet. */
  readonly isFirst: boolean;
  /** Whether an audit that was interrupted was gone on with. */
  readonly isResumed: boolean;
}

/** A file that went into an audit, so that it can be repeated with the same. */
export interface Input {
  readonly what: string;
  readonly file: string;
  /** Of its bytes, in hex. */
  readonly sha256: string;
}

export interface RunAudit {
  readonly report: AuditReport;
  /** The archive that was audited. */
  readonly address: string;
  readonly source: TrustSource;
  readonly state?: StateFile;
  readonly inputs: readonly Input[];
}

/** How often the progress of an audit is written, in ms. */
const KEEP_MS = 3000;

const encoder = new TextEncoder();

/** Runs an audit. @throws Undecided when it cannot be run to its end. */
export async function runAudit(
  platform: Platform,
  where: string,
  options: AuditCommandOptions,
): Promise<RunAudit> {
  const opened = await openArchive(platform, where, options.token, options.entries);
  const { archive, address } = opened;
  const source =
    options.trust === undefined ? await opened.ownTrust() : await readTrust(platform, options.trust);
  const { anchor, full, anchoredWithin } = options;
  const inputs = [inputOf("trust", source.from, source.bytes)];
  const take = async (what: string, file: string) => {
    inputs.push(inputOf(what, file, await readNamedFile(platform, file)));
  };
  for (const file of options.promise) await take("promise", file);
  for (const file of options.receipt) await take("receipt", file);
  if (anchor !== undefined) await take("anchor", anchor);
  const state = await openStateFile(platform, options, source.trust);
  if (state?.text !== undefined) inputs.push(inputOf("state", state.file, encoder.encode(state.text)));
  const progress = new Progress(platform, "auditing", "entries");
  try {
    const report = await audit({
      ...{ archive, trust: source.trust },
      promises: await inOrder(options.promise, name => readPromise(platform, name)),
      receipts: await inOrder(options.receipt, name => readHeldReceipt(platform, name)),
      ...(anchor !== undefined && { keptAnchor: await readAnchor(platform, anchor) }),
      ...(state?.text !== undefined && { state: state.text }),
      ...(full && { full }),
      ...(anchoredWithin !== undefined && { anchoredWithinS: anchoredWithin }),
      progress: progress.report,
      ...(state?.keep && { keep: state.keep }),
    });
    await state?.settle(report.state);
    return { report, address, source, ...(state && { state }), inputs };
  } finally {
    await progress.end();
  }
}

interface OpenedStateFile extends StateFile {
  readonly text?: string;
  readonly keep?: (make: () => string | undefined) => Promise<void>;
  /** Ends an audit that came to its end. @param next undefined when nothing new is proven. */
  settle(next: string | undefined): Promise<void>;
}

async function openStateFile(
  platform: Platform,
  { state: file, full, promise }: AuditCommandOptions,
  trust: Trust,
): Promise<OpenedStateFile | undefined> {
  if (file === undefined) return undefined;
  const text = await readState(platform, file);
  if (text !== undefined)
    await undecidedIfFaulty(`${file}: the state of your last audit`, () => openState(text, trust));
  const settle = async (next: string | undefined) => {
    if (next !== undefined) await platform.writeFile(file, encoder.encode(next));
    await platform.removeFile(progressOf(file));
  };
  const begun = {
    file,
    isFirst: text === undefined,
    isResumed: false,
    settle,
    ...(text !== undefined && { text }),
  };
  // Neither may begin in the middle: one reads everything, and the other waits for what may have come before.
  if (full || promise.length > 0) return begun;
  let written = platform.now();
  const keep = async (make: () => string | undefined) => {
    if (platform.now() - written < KEEP_MS) return;
    const state = make();
    if (state === undefined) return;
    await platform.writeFile(progressOf(file), encoder.encode(state));
    written = platform.now();
  };
  const progress = await readState(platform, progressOf(file));
  const isUsable = progress !== undefined && (await goesBeyond(progress, text, trust));
  return { ...begun, keep, ...(isUsable && { text: progress, isResumed: true }) };
}

function progressOf(file: string): string {
  return `${file}.progress`;
}

/** Whether progress was made from a state on. Where it cannot be told, the audit begins again: that is always right. */
async function goesBeyond(progress: string, state: string | undefined, trust: Trust): Promise<boolean> {
  try {
    const after = await openState(progress, trust);
    if (state === undefined) return true;
    const before = await openState(state, trust);
    const epochOf = ({ anchor }: typeof before) => anchor?.payload.epoch ?? -1;
    const isLess = [...before.ledgers].some(
      ([origin, { tree, start }]) =>
        (after.ledgers.get(origin)?.tree.size ?? -1) < tree.size ||
        (after.ledgers.get(origin)!.start.entries === undefined) !== (start.entries === undefined),
    );
    return epochOf(after) >= epochOf(before) && !isLess;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

function inputOf(what: string, file: string, bytes: Uint8Array): Input {
  return { what, file, sha256: bytesToHex(sha256(bytes)) };
}

async function inOrder<T>(names: readonly string[], read: (name: string) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (const name of names) all.push(await read(name));
  return all;
}

/** The state of an earlier audit, or undefined when there was none. Bytes that are no UTF-8 are no state either. */
async function readState(platform: Platform, file: string): Promise<string | undefined> {
  const bytes = await platform.readFile(file);
  return bytes && new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

async function readHeldReceipt(platform: Platform, file: string): Promise<string> {
  const capture = await readCapture(await readNamedFile(platform, file), file);
  if (capture.promise === undefined) return receiptOf(capture, file);
  throw new Undecided(`${file}: a promise says nothing about an archive`, {
    expected: "a receipt (or --promise, to ask whether it was kept)",
  });
}
