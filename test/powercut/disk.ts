// A disk under a folder, as far as it promises anything: what may be left of what a process did to the folder when
// the power goes. Of a file, that is what was there when it was last synced, and of what was written since any part,
// in any order, the last of it torn. Of the names in a folder it is the same. Real filesystems keep more of it, and in
// better order; nobody has to count on that.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bytesOf, type Call, descriptorOf, pathOf } from "./trace.ts";

/** A file or a folder, whatever its names are. */
interface Node {
  readonly isFolder: boolean;
  /** What a file had at the beginning. */
  readonly base: Buffer;
  /** What a folder had, and has now as the process sees it. */
  readonly baseNames: Map<string, Node>;
  readonly names: Map<string, Node>;
}

interface Change {
  readonly begin: number;
  readonly end: number;
  /** To have any of these synced makes it last. */
  readonly of: readonly Node[];
  readonly apply: Apply;
}

type Apply =
  | { readonly type: "write"; readonly file: Node; readonly offset: number; readonly bytes: Buffer }
  | { readonly type: "resize"; readonly file: Node; readonly size: number }
  | {
      readonly type: "name";
      readonly names: readonly [folder: Node, name: string, node: Node | undefined][];
    };

/** What a file has, at the beginning of more room. */
interface Content {
  bytes: Buffer;
  length: number;
}

/** A place for a name. */
interface Place {
  readonly folder: Node;
  readonly name: string;
}

/** What becomes of a change that nothing has made last. */
export type Fate = "kept" | "lost" | "torn";

/** How a loss of power goes about it. */
export interface Cut {
  /** The place in the order of calls: whatever begins later does not happen. */
  readonly at: number;
  /** What becomes of each change that was not synced by then, in the order in which they were made. */
  readonly fate: () => Fate;
  /** Whole numbers below `below`, for what remains of a torn write. */
  readonly random: (below: number) => number;
  /** Which files and folders are not synced in truth, by their paths: such a disk is broken, and must be noticed. */
  readonly lies?: (path: string) => boolean;
}

/** A disk writes such a piece whole or not at all, in bytes. */
const SECTOR_BYTES = 512;

/** What changes no file and makes nothing last. */
const IRRELEVANT = new Set(["close", "dup", "dup2", "dup3", "sendto", "sendmsg", "sync_file_range"]);

/** What SQLite shares between processes, in memory as a rule, and makes anew: it is written through no call. */
const SHARED = /-shm$/;

export class Disk {
  readonly #root: string;
  readonly #top: Node;
  readonly #changes: Change[] = [];
  /** When each was synced, and by which path. */
  readonly #syncs = new Map<
    Node,
    { readonly begin: number; readonly end: number; readonly path: string }[]
  >();
  /** How far a descriptor has got in its file, for those that only write. */
  readonly #positions = new Map<string, number>();

  private constructor(root: string, top: Node) {
    this.#root = root;
    this.#top = top;
  }

  /** @param root the real path of the folder, which is all on disk before the process begins. */
  static async open(root: string): Promise<Disk> {
    return new Disk(root, await readNode(root));
  }

  /** Follows what a process did to the folder. */
  follow(calls: readonly Call[]): void {
    // A name is there when the call has returned that made it.
    for (const call of calls.toSorted((a, b) => a.end - b.end || a.begin - b.begin)) this.#follow(call);
  }

  /** How many changes the process has made. */
  get changes(): number {
    return this.#changes.length;
  }

  /** Makes the folder as it may be found when the power is back. */
  async restore(to: string, cut: Cut): Promise<void> {
    const contents = new Map<Node, Content>();
    const names = new Map<Node, Map<string, Node>>();
    for (const change of this.#changes) {
      if (change.begin >= cut.at) continue;
      const fate = this.#lasts(change, cut) ? "kept" : cut.fate();
      if (fate !== "lost") applyTo(contents, names, change.apply, fate === "torn" ? cut.random : undefined);
    }
    await writeNode(to, this.#top, contents, names);
  }

  #lasts(change: Change, { at, lies }: Cut): boolean {
    return change.of.some(node =>
      this.#syncs
        .get(node)
        ?.some(({ begin, end, path }) => begin > change.end && end < at && lies?.(path) !== true),
    );
  }

  #follow(call: Call): void {
    const { name, begin, end } = call;
    const args = argsOf(call);
    if (name.startsWith("open") || name === "creat") {
      this.#open(this.#place(args[0]!, args[1]!), name === "creat" ? "O_CREAT|O_TRUNC" : args[2]!, call);
    } else if (name === "write" || name === "writev") this.#write(args[0]!, args[1]!, undefined, call);
    else if (name.startsWith("pwrite")) this.#write(args[0]!, args[1]!, Number(args[3]), call);
    else if (name === "lseek") {
      if (this.#positions.has(args[0]!)) this.#positions.set(args[0]!, Number(call.result));
    } else if (name === "ftruncate") {
      const file = this.#nodeOf(args[0]!);
      if (file !== undefined) this.#add(call, [file], { type: "resize", file, size: Number(args[1]) });
    } else if (name === "fsync" || name === "fdatasync") {
      const node = this.#nodeOf(args[0]!);
      const { path } = descriptorOf(args[0]!);
      if (node !== undefined) this.#syncs.set(node, [...(this.#syncs.get(node) ?? []), { begin, end, path }]);
    } else if (name.startsWith("mkdir")) this.#make(this.#place(args[0]!, args[1]!), true, call);
    else if (name.startsWith("link")) this.#link(...this.#places(args), call);
    else if (name.startsWith("rename")) this.#rename(...this.#places(args), call);
    else if (name.startsWith("unlink") || name === "rmdir") {
      this.#unlink(this.#place(args[0]!, args[1]!), call);
    } else if (!isIrrelevant(name, args) && args.some(arg => this.#isInside(descriptorOf(arg).path))) {
      throw new Error(`the model of a disk knows no ${name}`);
    }
  }

  #add({ begin, end }: Call, of: readonly Node[], apply: Apply): void {
    this.#changes.push({ begin, end, of, apply });
  }

  #isInside(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }

  #places(args: readonly string[]): [Place | undefined, Place | undefined] {
    return [this.#place(args[0]!, args[1]!), this.#place(args[2]!, args[3]!)];
  }

  /** The place that a call names; undefined outside the folder. */
  #place(folder: string, arg: string): Place | undefined {
    const named = pathOf(arg);
    const path = named.startsWith("/") ? named : join(descriptorOf(folder).path, named);
    if (!this.#isInside(path) || path === this.#root) return undefined;
    const parent = this.#find(dirname(path));
    if (parent === undefined) throw new Error(`${path}: the model of a disk has no such folder`);
    return { folder: parent, name: path.slice(dirname(path).length + 1) };
  }

  #find(path: string): Node | undefined {
    if (!this.#isInside(path)) return undefined;
    let node: Node | undefined = this.#top;
    for (const part of path.slice(this.#root.length).split("/")) {
      if (part !== "") node = node?.names.get(part);
    }
    return node;
  }

  /** What a descriptor stands for; undefined outside the folder, and for what has no name any more. */
  #nodeOf(arg: string): Node | undefined {
    const { path, isDeleted } = descriptorOf(arg);
    if (isDeleted || !this.#isInside(path)) return undefined;
    const node = this.#find(path);
    if (node === undefined) throw new Error(`${path}: the model of a disk has no such file`);
    return node;
  }

  #open(place: Place | undefined, flags: string, call: Call): void {
    if (place === undefined) return;
    if (flags.includes("O_APPEND")) throw new Error("the model of a disk knows no O_APPEND");
    if (flags.includes("O_WRONLY")) this.#positions.set(call.result, 0);
    else this.#positions.delete(call.result);
    const node = place.folder.names.get(place.name);
    if (node === undefined) {
      if (flags.includes("O_CREAT")) this.#make(place, false, call);
    } else if (flags.includes("O_TRUNC")) {
      this.#add(call, [node], { type: "resize", file: node, size: 0 });
    }
  }

  #write(descriptor: string, data: string, at: number | undefined, call: Call): void {
    const file = this.#nodeOf(descriptor);
    if (file === undefined) return;
    const all = bytesOf(data);
    const bytes = call.end === Number.POSITIVE_INFINITY ? all : all.subarray(0, Number(call.result));
    const offset = at ?? this.#positions.get(descriptor);
    if (offset === undefined) throw new Error("the model of a disk does not know where this is written");
    if (at === undefined) this.#positions.set(descriptor, offset + bytes.length);
    this.#add(call, [file], { type: "write", file, offset, bytes });
  }

  #make(place: Place | undefined, isFolder: boolean, call: Call): void {
    if (place === undefined) return;
    const node = { isFolder, base: Buffer.alloc(0), baseNames: new Map(), names: new Map() };
    this.#name([[place.folder, place.name, node]], call);
  }

  #link(from: Place | undefined, to: Place | undefined, call: Call): void {
    if (from === undefined || to === undefined) return;
    this.#name([[to.folder, to.name, from.folder.names.get(from.name)]], call);
  }

  /** Journalling filesystems do this as one, however many folders it is about. */
  #rename(from: Place | undefined, to: Place | undefined, call: Call): void {
    if (from === undefined || to === undefined) return;
    const node = from.folder.names.get(from.name);
    this.#name(
      [
        [from.folder, from.name, undefined],
        [to.folder, to.name, node],
      ],
      call,
    );
  }

  #unlink(place: Place | undefined, call: Call): void {
    if (place !== undefined) this.#name([[place.folder, place.name, undefined]], call);
  }

  #name(names: readonly [Node, string, Node | undefined][], call: Call): void {
    this.#add(call, [...new Set(names.map(([folder]) => folder))], { type: "name", names });
    for (const [folder, name, node] of names) setName(folder.names, name, node);
  }
}

function isIrrelevant(name: string, args: readonly string[]): boolean {
  if (name !== "mmap") return IRRELEVANT.has(name);
  const [, , protection, flags, descriptor] = args as [string, string, string, string, string];
  const isWritten = protection.includes("PROT_WRITE") && flags.includes("MAP_SHARED");
  return !isWritten || SHARED.test(descriptorOf(descriptor).path);
}

/** The arguments of a call, with the folder that a path is relative to also where the call takes none. */
function argsOf({ name, args }: Call): readonly string[] {
  if (/^(open|creat|mkdir|unlink|rmdir)$/.test(name)) return ["AT_FDCWD", ...args];
  if (/^(link|rename)$/.test(name)) return ["AT_FDCWD", args[0]!, "AT_FDCWD", args[1]!];
  return args;
}

function applyTo(
  contents: Map<Node, Content>,
  names: Map<Node, Map<string, Node>>,
  change: Apply,
  tear: ((below: number) => number) | undefined,
): void {
  if (change.type === "name") {
    for (const [folder, name, node] of change.names) {
      if (!names.has(folder)) names.set(folder, new Map(folder.baseNames));
      setName(names.get(folder)!, name, node);
    }
    return;
  }
  const content = contents.get(change.file) ?? {
    bytes: Buffer.from(change.file.base),
    length: change.file.base.length,
  };
  contents.set(change.file, content);
  if (change.type === "resize") {
    resize(content, change.size);
    return;
  }
  const { offset, bytes } = change;
  if (bytes.length === 0) return;
  resize(content, Math.max(content.length, offset + bytes.length));
  for (const [from, to] of piecesOf(offset, bytes.length, tear)) {
    bytes.copy(content.bytes, offset + from, from, to);
  }
}

/** The parts of a write that arrive: all of it, or what is left of its sectors. */
function piecesOf(
  offset: number,
  length: number,
  tear: ((below: number) => number) | undefined,
): [from: number, to: number][] {
  if (tear === undefined) return [[0, length]];
  const pieces: [number, number][] = [];
  const isPrefix = tear(2) === 0;
  const sectors = Math.ceil((offset + length) / SECTOR_BYTES) - Math.floor(offset / SECTOR_BYTES);
  const kept = tear(sectors + 1);
  for (let from = 0, n = 0; from < length; n++) {
    const to = Math.min(length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES));
    if (isPrefix ? n < kept : tear(2) === 0) pieces.push([from, to]);
    from = to;
  }
  return pieces;
}

function resize(content: Content, size: number): void {
  if (size > content.bytes.length) {
    const more = Buffer.alloc(2 * size);
    content.bytes.copy(more);
    content.bytes = more;
  }
  // What is cut off does not come back when the file grows again.
  if (size < content.length) content.bytes.fill(0, size, content.length);
  content.length = size;
}

function setName(names: Map<string, Node>, name: string, node: Node | undefined): void {
  if (node === undefined) names.delete(name);
  else names.set(name, node);
}

async function readNode(path: string): Promise<Node> {
  const names = new Map<string, Node>();
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const at = join(path, entry.name);
    if (entry.isDirectory()) names.set(entry.name, await readNode(at));
    else
      names.set(entry.name, {
        isFolder: false,
        base: await readFile(at),
        baseNames: new Map(),
        names: new Map(),
      });
  }
  return { isFolder: true, base: Buffer.alloc(0), baseNames: new Map(names), names };
}

async function writeNode(
  path: string,
  node: Node,
  contents: ReadonlyMap<Node, Content>,
  names: ReadonlyMap<Node, ReadonlyMap<string, Node>>,
): Promise<void> {
  if (!node.isFolder) {
    const content = contents.get(node);
    return writeFile(path, content?.bytes.subarray(0, content.length) ?? node.base, { mode: 0o600 });
  }
  await mkdir(path, { mode: 0o700 });
  for (const [name, child] of names.get(node) ?? node.baseNames) {
    if (!SHARED.test(name)) await writeNode(join(path, name), child, contents, names);
  }
}
