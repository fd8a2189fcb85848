// Trust policies (C2SP tlog-policy, text of 2026-06-22): which logs and witnesses a person trusts, and
// which of the witnesses must have cosigned a checkpoint before it counts. A policy that is cut short or
// ambiguous is turned away rather than read as a weaker one.
import { Fault } from "./fault.ts";
import { ED25519, formatVerifierKey, type NoteKey, parseVerifierKey } from "./note.ts";

const MAX_POLICY_LENGTH = 2 ** 20;

/** The name that stands for "no cosignature is needed". */
const NONE = "none";

export interface PolicyLog {
  readonly key: NoteKey;
  readonly url?: string;
}

export interface PolicyWitness {
  /** Its name within the policy; the key has a name of its own. */
  readonly name: string;
  readonly key: NoteKey;
  readonly url?: string;
}

/** Has witnessed a checkpoint when at least `threshold` of its members have. */
export interface PolicyGroup {
  readonly name: string;
  /** 1 to the number of members. */
  readonly threshold: number;
  /** Names of witnesses and of groups defined before this one. */
  readonly members: readonly string[];
}

export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  readonly groups: readonly PolicyGroup[];
  /** The name of the witness or group that must have witnessed a checkpoint, or "none". */
  readonly quorum: string;
}

/**
 * Reads a policy file. Bytes that are not UTF-8 are read as single characters, so that names made of
 * other bytes stay apart.
 * @throws Fault, naming the line: `malformed` for anything that tlog-policy does not allow, `unsupported` for a
 *   key type that is not known or cannot cosign, `too-large` beyond 1 MiB.
 * @see C2SP tlog-policy
 * @example
 * import { parsePolicy } from "counterfoil/verify";
 *
 * console.log(parsePolicy("# nobody has to cosign\nquorum none\n").quorum); // none
 */
export function parsePolicy(file: string | Uint8Array): Policy {
  const text = typeof file === "string" ? file : decodeOctets(file);
  requirePolicyText(text);
  const draft = new Draft();
  for (const [i, line] of text.split("\n").entries()) {
    const items = line.split(/[ \t]+/).filter(item => item !== "");
    const [keyword] = items;
    if (keyword !== undefined && !keyword.startsWith("#")) draft.add(items, `policy line ${i + 1}`);
  }
  return draft.finish();
}

/**
 * Whether the witnesses that own `cosigners`, the keys of checked cosignatures, make up the quorum.
 * @throws nothing: what the cosigners are worth is for openCosignatures.
 * @see C2SP tlog-policy
 * @example
 * import { meetsQuorum, parsePolicy } from "counterfoil/verify";
 *
 * const policy = parsePolicy("quorum none\n");
 * console.log(meetsQuorum(policy, [])); // true
 */
export function meetsQuorum(policy: Policy, cosigners: readonly NoteKey[]): boolean {
  const cosigned = new Set(cosigners.map(formatVerifierKey));
  const witnessed = new Set([NONE]);
  for (const { name, key } of policy.witnesses) {
    if (cosigned.has(formatVerifierKey(key))) witnessed.add(name);
  }
  // Members are defined before their group, so one pass in order decides them all.
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter(member => witnessed.has(member)).length >= threshold) witnessed.add(name);
  }
  return witnessed.has(policy.quorum);
}

/** A policy as far as it has been read. */
class Draft {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  readonly #groups: PolicyGroup[] = [];
  #quorum: string | undefined;
  readonly #names = new Set<string>();
  readonly #members = new Set<string>();
  readonly #publicKeys = { log: new Set<string>(), witness: new Set<string>() };

  /** Takes in one line, split into its items; `where` names it. */
  add(items: readonly string[], where: string): void {
    const [keyword, ...rest] = items;
    if (keyword === "log") this.#addLog(rest, where);
    else if (keyword === "witness") this.#addWitness(rest, where);
    else if (keyword === "group") this.#addGroup(rest, where);
    else if (keyword === "quorum") this.#setQuorum(rest, where);
    else throw malformed(where, "not a line of a policy", "log, witness, group or quorum", keyword);
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw malformed("policy", "no quorum line");
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #addLog([vkey, url, ...rest]: readonly string[], where: string): void {
    if (vkey === undefined || rest.length > 0) throw malformed(where, "not a log", "log <vkey> [<url>]");
    this.#logs.push({ key: this.#takeKey("log", vkey, where), ...(url === undefined ? {} : { url }) });
  }

  #addWitness([name, vkey, url, ...rest]: readonly string[], where: string): void {
    if (name === undefined || vkey === undefined || rest.length > 0) {
      throw malformed(where, "not a witness", "witness <name> <vkey> [<url>]");
    }
    const key = this.#takeKey("witness", vkey, where);
    if (key.type === ED25519) {
      throw new Fault("unsupported", `${where}: this key signs notes, but does not cosign`, { found: vkey });
    }
    this.#define(name, where);
    this.#witnesses.push({ name, key, ...(url === undefined ? {} : { url }) });
  }

  #addGroup([name, needed, ...members]: readonly string[], where: string): void {
    if (name === undefined || needed === undefined || members.length === 0) {
      throw malformed(where, "not a group", "group <name> all|any|<k> <name>...");
    }
    for (const member of members) {
      this.#requireDefined(member, where);
      if (this.#members.has(member)) {
        throw malformed(where, "a name is a member twice", "once in all groups", member);
      }
      this.#members.add(member);
    }
    this.#define(name, where);
    this.#groups.push({ name, threshold: parseThreshold(needed, members.length, where), members });
  }

  #setQuorum([name, ...rest]: readonly string[], where: string): void {
    if (name === undefined || rest.length > 0) throw malformed(where, "not a quorum", "quorum <name>");
    if (this.#quorum !== undefined) throw malformed(where, "a second quorum line");
    if (name !== NONE) this.#requireDefined(name, where);
    this.#quorum = name;
  }

  /** Reads a key, which no other line of its kind may have, under whatever name. */
  #takeKey(kind: "log" | "witness", vkey: string, where: string): NoteKey {
    const key = parseKey(vkey, where);
    const publicKey = key.publicKey.join();
    if (this.#publicKeys[kind].has(publicKey)) throw malformed(where, `the same key as another ${kind}`);
    this.#publicKeys[kind].add(publicKey);
    return key;
  }

  #define(name: string, where: string): void {
    if (name === NONE) throw malformed(where, "the name is reserved", "another name", name);
    if (this.#names.has(name)) throw malformed(where, "the name is taken", "another name", name);
    this.#names.add(name);
  }

  #requireDefined(name: string, where: string): void {
    if (this.#names.has(name)) return;
    throw malformed(where, "no such name", "a name defined on a line above", name);
  }
}

function parseKey(vkey: string, where: string): NoteKey {
  try {
    return parseVerifierKey(vkey);
  } catch (error) {
    if (error instanceof Fault) throw new Fault(error.code, `${where}: ${error.message}`, error);
    throw error;
  }
}

function parseThreshold(needed: string, members: number, where: string): number {
  if (needed === "any") return 1;
  if (needed === "all") return members;
  const threshold = /^[1-9][0-9]*$/.test(needed) ? Number(needed) : 0;
  if (threshold >= 1 && threshold <= members) return threshold;
  throw malformed(where, "not a number of members", `all, any or 1 to ${members}`, needed);
}

function malformed(where: string, what: string, expected?: string, found?: string): Fault {
  return new Fault("malformed", `${where}: ${what}`, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
  });
}

function requirePolicyText(text: string): void {
  if (text.length > MAX_POLICY_LENGTH) {
    throw new Fault("too-large", "policy: larger than any honest one", {
      expected: `at most ${MAX_POLICY_LENGTH} characters`,
    });
  }
  if (!text.isWellFormed() || /[^\t\n -~\u0080-\uffff]/.test(text)) {
    throw malformed(
      "policy",
      "a character that a policy cannot hold",
      "no control characters but tab and newline",
    );
  }
  // A last line without its end may be a longer line cut short, with another meaning.
  if (!text.endsWith("\n")) throw malformed("policy", "the last line does not end");
}

function decodeOctets(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
