// What a process did to its files and told its clients, in the order in which it happened: read from what strace has
// written. Every runtime can be watched so, because all of them must ask the system.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/** The system calls that change files or send bytes, as an argument of strace. A `?` stands for: if there is one. */
const CALLS = [
  "openat,?open,?creat,close,?dup,?dup2,?dup3",
  "write,writev,pwrite64,?pwritev,?pwritev2,lseek,mmap,sendto,sendmsg",
  "ftruncate,?truncate,?fallocate,?copy_file_range,?sendfile",
  "fsync,fdatasync,?sync_file_range,?sync,?syncfs,?msync",
  "?link,linkat,?symlink,?symlinkat,?rename,?renameat,?renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir",
].join(",");

/** The longest string that is written out, in bytes: more than anything that is written at once. */
const STRING_BYTES_MAX = 64 * 1024 * 1024;

/** What strace is to be called with, before the command that it runs. @param file where it writes the trace. */
export function straceArgs(file: string): string[] {
  return ["-f", "-y", "-xx", "-s", String(STRING_BYTES_MAX), "-o", file, "-e", `trace=${CALLS}`, "--"];
}

/** A call that has succeeded. Calls of several threads may overlap: `begin` and `end` are places in one order. */
export interface Call {
  readonly name: string;
  /** The arguments, as strace has written them. */
  readonly args: readonly string[];
  readonly result: string;
  readonly begin: number;
  /** Infinity for a call that had not returned when the process died. */
  readonly end: number;
}

/** The calls of a trace, in the order of their beginnings. */
export async function readTrace(path: string): Promise<Call[]> {
  const calls: Call[] = [];
  const open = new Map<string, { name: string; text: string; begin: number }>();
  const close = (begun: { name: string; text: string; begin: number }, rest: string, end: number) => {
    const parsed = parseCall(begun.text + rest);
    if (parsed !== undefined) calls.push({ name: begun.name, ...parsed, begin: begun.begin, end });
  };
  let at = 0;
  for await (const line of createInterface({ input: createReadStream(path, "latin1") })) {
    at++;
    const [, pid, text] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (pid === undefined || text === undefined) throw new Error(`strace: not understood: ${clip(line)}`);
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/s.exec(text);
    if (resumed !== null) {
      const begun = open.get(pid);
      if (begun === undefined || begun.name !== resumed[1])
        throw new Error(`strace: resumes what was not begun: ${clip(line)}`);
      open.delete(pid);
      close(begun, resumed[2]!, at);
      continue;
    }
    const call = /^(\w+)\((.*)$/s.exec(text);
    // Signals, and the ends of threads.
    if (call === null) continue;
    const begun = { name: call[1]!, text: call[2]!, begin: at };
    const unfinished = / ?<unfinished \.\.\.>$/.exec(begun.text);
    if (unfinished === null) close(begun, "", at);
    else open.set(pid, { ...begun, text: begun.text.slice(0, unfinished.index) });
  }
  // What was under way when the process died may have happened, or not.
  for (const begun of open.values()) close(begun, ") = ?", Number.POSITIVE_INFINITY);
  return calls.sort((a, b) => a.begin - b.begin);
}

/** @returns undefined for a call that failed. */
function parseCall(text: string): { args: string[]; result: string } | undefined {
  const end = /\)\s+= ([^=]*)$/.exec(text);
  if (end === null) throw new Error(`strace: not understood: ${clip(text)}`);
  const result = end[1]!.trim();
  if (result.startsWith("-1 ")) return undefined;
  return { args: splitArgs(text.slice(0, end.index).trimEnd()), result };
}

/** Splits arguments at the commas that are in no string, structure or name of a file descriptor. */
function splitArgs(text: string): string[] {
  const args: string[] = [];
  let from = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      // Everything in a string is written as \x and two digits, so nothing else ends it.
      i = text.indexOf('"', i + 1);
      if (i === -1) throw new Error(`strace: a string without an end: ${clip(text)}`);
    } else if ("[{<(".includes(c)) depth++;
    else if ("]}>)".includes(c)) depth--;
    else if (c === "," && depth === 0) {
      args.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  args.push(text.slice(from).trim());
  return args;
}

/** The bytes of every string in an argument, one after the other: those of a buffer, or of a vector of them. */
export function bytesOf(arg: string): Buffer {
  if (arg.includes('"...')) throw new Error("strace: a string was cut off");
  const strings = [...arg.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)];
  return Buffer.concat(strings.map(([, hex]) => Buffer.from(hex!.replaceAll("\\x", ""), "hex")));
}

export function pathOf(arg: string): string {
  return bytesOf(arg).toString();
}

/** A file descriptor, or the folder that a path is relative to, with its path or something like `socket:[1234]`. */
export function descriptorOf(arg: string): { path: string; isDeleted: boolean } {
  const [, name = "", deleted] = /^(?:\d+|AT_FDCWD)(?:<(.*)>(\(deleted\))?)?$/s.exec(arg) ?? [];
  const path = name.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return { path, isDeleted: deleted !== undefined };
}

function clip(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
