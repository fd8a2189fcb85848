// The independent checker. It watches what leaves the system under simulation (answers, objects in the archive
// and among the anchors) and what its storage makes durable, and holds all of it against a plain model of the
// one ledger that there may be. It shares no code with the system: node:crypto, JSON and arithmetic only.
import { createPublicKey, hash, type KeyObject, verify } from "node:crypto";
import type { Placement } from "../../src/receipt/placement.ts";
import { cosignedText, type SigningKey } from "../reference/note.ts";
import { mthOfLeaves, mthOfRange } from "../reference/rfc6962.ts";
import type { Bucket, BucketObserver } from "./bucket.ts";
import type { Disk } from "./disk.ts";
import { leafHash, PlainTree } from "./tree.ts";

type Bytes = Uint8Array;

/** What the system has done that it must never do. */
export class Violation extends Error {}

export interface CheckerOptions {
  readonly origin: string;
  readonly ledger: string;
  readonly tileWidth: number;
  /** All keys that have been in force: those of checkpoints by their verifier keys. */
  readonly receiptKids: Set<string>;
  readonly checkpointKeys: Map<string, KeyObject>;
  readonly anchorKeys: KeyObject[];
  readonly witnessKey: SigningKey;
  /** Whether nothing may be pinned that the witness has not cosigned. */
  readonly witnessRequired: boolean;
}

interface Entry {
  readonly text: string;
  readonly name: string;
  readonly record: string;
  readonly atMs: number;
}

interface Pinned {
  readonly epoch: number;
  readonly size: number;
  readonly digest: string;
}

const FIRST_PREV = Buffer.alloc(32).toString("base64url");

export class Checker {
  readonly entries: Entry[] = [];
  readonly tree = new PlainTree();
  /** The index of each jti and stage. */
  readonly places = new Map<string, number>();
  /** The first violation. */
  violation: Violation | undefined;
  /** The size of the old state that the ledger's storage was put back to, while it is. */
  restoredSize: number | undefined;
  /** The size in the newest checkpoint in the archive, and the root of every checkpoint there ever was. */
  checkpointSize = 0;
  readonly #roots = new Map<number, Bytes>();
  readonly #notes = new Map<number, string>();
  newestAnchor: Pinned | undefined;
  /** What was deleted from the archive, once or more. */
  readonly #deleted = new Set<string>();
  readonly options: CheckerOptions;
  /** The receipt key in force, as the ledger tells, and the checkpoint keys with the sizes from which on they are. */
  #receiptKid = "";
  readonly #checkpointKeys: { readonly from: number; readonly vkey: string }[] = [];
  readonly #exchanges = new Map<string, readonly number[]>();
  readonly #submitted = new Map<string, Set<string>>();
  /** Each anchor that was tried to be put. Unknown once the anchor writer has forgotten what it did. */
  #intents: Map<string, string> | undefined = new Map();
  archive!: Bucket;
  anchors!: Bucket;
  /** How many anchors the second store has. */
  copied = 0;
  /** How many pins the witness has cosigned. */
  cosignedPins = 0;
  /** How often a canary was tried. */
  canaries = 0;

  constructor(options: CheckerOptions) {
    this.options = options;
  }

  get lastAtMs(): number {
    return this.entries.at(-1)?.atMs ?? 0;
  }

  /** Notes a violation and stops whatever led to it. */
  fail(message: string): never {
    const violation = new Violation(message);
    this.violation ??= violation;
    throw violation;
  }

  /** For errors that nobody else would hear of. */
  readonly caught = (error: unknown): void => {
    this.violation ??=
      error instanceof Violation ? error : new Violation(`${(error as Error).stack ?? error}`);
  };

  /** A client is going to send this record: it may come to be in the ledger. */
  submitted(name: string, record: string): void {
    const records = this.#submitted.get(name);
    if (records === undefined) this.#submitted.set(name, new Set([record]));
    else records.add(record);
  }

  /** What the ledger's storage has made durable must be the model and more. */
  confirmed(disk: Disk): void {
    const [head] = disk.read("SELECT size, frontier, chain, at, published FROM head");
    if (head === undefined) return;
    if (this.restoredSize !== undefined) {
      if (head.size !== this.restoredSize) {
        this.fail(`appended ${head.size} over storage that is older than the archive (${this.restoredSize})`);
      }
      return;
    }
    const rows = disk.read(
      "SELECT idx, text, leaf FROM entry WHERE idx >= ? ORDER BY idx",
      this.entries.length,
    );
    for (const { idx, text, leaf } of rows) {
      if (idx !== this.entries.length) this.fail(`entry ${idx} follows entry ${this.entries.length - 1}`);
      this.#add(text as string, leaf as Bytes);
    }
    const { size } = this.tree;
    if (head.size !== size) this.fail(`storage says that it has ${head.size} entries, it has ${size}`);
    this.#same(head.frontier as Bytes, Buffer.concat(this.tree.edge(size)), `the frontier at ${size}`);
    this.#same(
      head.chain as Bytes,
      this.tree.leaves[size - 1] ?? Buffer.alloc(32),
      `the chain head at ${size}`,
    );
    if (head.at !== this.lastAtMs) this.fail(`the head says ${head.at}, its newest entry ${this.lastAtMs}`);
    if ((head.published as number) > this.checkpointSize) {
      this.fail(`storage says that ${head.published} are published, the archive ${this.checkpointSize}`);
    }
  }

  #add(text: string, leaf: Bytes): void {
    const index = this.entries.length;
    const what = `entry ${index}`;
    this.#same(leaf, leafHash(text), `the leaf hash of ${what}`);
    const [headerPart, recordPart] = text.split(".") as [string, string];
    const header = JSON.parse(decode(headerPart));
    const record = decode(recordPart);
    const { jti, stage, control } = JSON.parse(record);
    const { origin } = this.options;
    if (stage === "control") this.#hearKeys(control, index);
    const kid = this.#receiptKid;
    const prev = index === 0 ? FIRST_PREV : base64url(this.tree.leaves[index - 1]!);
    const expected = { alg: "Ed25519", kid, typ: "audit-receipt+jwt", origin, index, prev };
    if (JSON.stringify(header) !== JSON.stringify({ ...expected, at: header.at })) {
      this.fail(`${what}: header ${JSON.stringify(header)}, expected ${JSON.stringify(expected)}`);
    }
    const atMs = Date.parse(header.at);
    if (!(atMs >= this.lastAtMs)) this.fail(`${what}: time runs backwards, to ${header.at}`);
    const name = `${jti} ${stage}`;
    const before = this.places.get(name);
    if (before !== undefined) this.fail(`${what}: ${name} is at ${before} already`);
    if ((index === 0) !== (control?.type === "genesis"))
      this.fail(`${what}: genesis is not at the beginning`);
    if (stage !== "control" && !this.#submitted.get(name)?.has(record)) {
      this.fail(`${what}: a record that nobody has sent: ${record}`);
    }
    this.entries.push({ text, name, record, atMs });
    this.places.set(name, index);
    this.#exchanges.set(jti, [...(this.#exchanges.get(jti) ?? []), index]);
    this.tree.add(leaf);
  }

  /** What the ledger tells of its keys: only of those that were put in force. */
  #hearKeys(control: Record<string, string>, index: number): void {
    const { receiptKids, checkpointKeys } = this.options;
    const added = control.type === "key-added" && { [control.use!]: control.key };
    const { receipt, checkpoint } = control.type === "genesis" ? control : { ...added };
    if (receipt !== undefined) {
      if (!receiptKids.has(receipt)) this.fail(`entry ${index}: a receipt key that never was`);
      this.#receiptKid = receipt;
    }
    if (checkpoint !== undefined) {
      if (!checkpointKeys.has(checkpoint)) this.fail(`entry ${index}: a checkpoint key that never was`);
      this.#checkpointKeys.push({ from: index + 1, vkey: checkpoint });
    }
  }

  /** The entries of one exchange, in the order of the ledger. */
  entriesOf(jti: string): string[] {
    return (this.#exchanges.get(jti) ?? []).map(index => this.entries[index]!.text);
  }

  /** An answer has left: it must be the place of exactly this record. */
  acknowledged(record: string, { index, header }: Extract<Placement, { index: number }>): void {
    if (this.entries[index]?.text !== `${header}.${base64url(Buffer.from(record))}`) {
      this.fail(`acknowledged at ${index} and not durable there: ${record}`);
    }
  }

  /** The observer of the archive. */
  readonly watchArchive: BucketObserver = {
    onTry: () => {},
    onPut: (key, bytes, present) => {
      const { ledger } = this.options;
      if (key === `${ledger}/checkpoint`) return this.#onCheckpoint(Buffer.from(bytes).toString());
      if (present !== undefined) this.fail(`${key} is written again`);
      const expected = this.#tile(key.slice(ledger.length + 1));
      if (expected === undefined) this.fail(`${key} is put, there can be no such object`);
      this.#same(bytes, expected, key);
    },
    onDelete: key => {
      this.#deleted.add(key);
      const partial = /^(.*)\.p\/[0-9]+$/.exec(key);
      if (partial === null) this.fail(`${key} is deleted`);
      if (this.archive.peek(partial[1]!) === undefined) this.fail(`${key} is deleted before it is full`);
    },
  };

  /** The observer of the anchor store. */
  readonly watchAnchors: BucketObserver = {
    onTry: (key, bytes) => {
      if (isCanary(key)) return;
      const text = Buffer.from(bytes).toString();
      const before = this.#intents?.get(key);
      this.#intents?.set(key, text);
      if (before !== undefined && before !== text) this.fail(`${key}: two anchors were made for one epoch`);
    },
    onPut: (key, bytes, present) => {
      if (present !== undefined) this.fail(`${key} is written again`);
      if (isCanary(key)) return;
      this.#onAnchor(key, Buffer.from(bytes).toString());
    },
    onDelete: key => this.fail(`${key} is deleted`),
  };

  /** The observer of the second store of anchors: it gets the same objects, in the same order. */
  readonly watchCopy: BucketObserver = {
    onTry: (key, bytes) =>
      this.#same(bytes, this.anchors.peek(key) ?? new Uint8Array(), `the copy of ${key}`),
    onPut: (key, _bytes, present) => {
      const expected = `anchors/${String(this.copied).padStart(10, "0")}.jws`;
      if (present !== undefined || key !== expected) this.fail(`${key} is copied, expected ${expected}`);
      this.copied++;
    },
    onDelete: key => this.fail(`the copy of ${key} is deleted`),
  };

  /** The lock on the anchors: whoever tries it out may do so with a canary and nothing else. @throws Error, always. */
  readonly refuse = (key: string): never => {
    if (!isCanary(key)) this.fail(`${key} would be overwritten or deleted`);
    this.canaries++;
    throw new Error(`${key}: ObjectLockedByBucketPolicy (10069)`);
  };

  /** A signed checkpoint that leaves the system must be one that is published, or was. @returns its size. */
  checkPublished(note: string): number {
    const size = Number(note.split("\n")[1]);
    if (this.#notes.get(size) !== note) this.fail(`a checkpoint that never was, of ${size}: ${note}`);
    return size;
  }

  /** The anchor writer's storage was put back: from now on it may make another anchor of an epoch, and fail. */
  anchorsRestored(): void {
    this.#intents = undefined;
  }

  #onCheckpoint(note: string): void {
    const { origin, checkpointKeys } = this.options;
    const [text, lines] = note.split("\n\n") as [string, string];
    const [name, sizeText, root] = text.split("\n");
    const size = Number(sizeText);
    const signature = Buffer.from(lines.split(" ")[2]!, "base64").subarray(4);
    // By the key that the records of this very tree say is in force, and by no other.
    const { vkey } = this.#checkpointKeys.findLast(({ from }) => from <= size)!;
    if (name !== origin || !verify(null, Buffer.from(`${text}\n`), checkpointKeys.get(vkey)!, signature)) {
      this.fail(`a checkpoint that is not by the key in force: ${note}`);
    }
    if (size < this.checkpointSize)
      this.fail(`the checkpoint shrinks from ${this.checkpointSize} to ${size}`);
    if (size > this.tree.size) this.fail(`a checkpoint of ${size}, only ${this.tree.size} are durable`);
    this.#same(Buffer.from(root!, "base64"), this.tree.root(size), `the root of the checkpoint of ${size}`);
    for (const path of this.#tilePaths(this.checkpointSize, size)) {
      const key = `${this.options.ledger}/${path}`;
      if (this.archive.peek(key) ?? this.archive.peek(key.replace(/\.p\/[0-9]+$/, ""))) continue;
      this.fail(`a checkpoint of ${size} without ${path}`);
    }
    this.checkpointSize = size;
    this.#roots.set(size, this.tree.root(size));
    this.#notes.set(size, note);
  }

  #onAnchor(key: string, jws: string): void {
    const [header, payload, signature] = jws.split(".") as [string, string, string];
    const { typ } = JSON.parse(decode(header));
    const { epoch, prev, ledgers, refused = [] } = JSON.parse(decode(payload));
    const input = Buffer.from(`${header}.${payload}`);
    const { anchorKeys } = this.options;
    if (!anchorKeys.some(anchorKey => verify(null, input, anchorKey, Buffer.from(signature, "base64url")))) {
      this.fail(`${key}: not signed by an anchor key`);
    }
    const before = this.newestAnchor;
    const expected = before === undefined ? 0 : before.epoch + 1;
    if (
      typ !== "audit-anchor+jwt" ||
      epoch !== expected ||
      key !== `anchors/${String(epoch).padStart(10, "0")}.jws`
    )
      this.fail(`${key}: epoch ${epoch}, expected ${expected}`);
    if (prev !== (before?.digest ?? FIRST_PREV)) this.fail(`${key}: does not follow the anchor before it`);
    for (const { code, reason } of refused) {
      if (code === "quorum-not-met" && this.options.witnessRequired) continue;
      this.fail(`${key}: refuses a ledger that is whole: ${code}: ${reason}`);
    }
    const digest = hash("sha256", jws, "base64url");
    // Before the first tree is pinned, there may be anchors that say why none is, or that follow because of their key.
    const isDue = before !== undefined || refused.length === 1;
    if (isDue && (before?.size ?? 0) === 0 && ledgers.length === 0) {
      this.newestAnchor = { epoch, size: 0, digest };
      return;
    }
    const [{ origin, size, root, head, checkpoint }] = ledgers;
    if (ledgers.length !== 1 || origin !== this.options.origin) this.fail(`${key}: pins another ledger`);
    if (size < (before?.size ?? 0)) this.fail(`${key}: pins ${size} after ${before!.size}`);
    const cosigned = this.#checkCosigned(checkpoint, size, key);
    if (this.options.witnessRequired && !cosigned) this.fail(`${key}: pins ${size} without the witness`);
    this.#same(Buffer.from(root, "base64"), this.tree.root(size), `${key}: root of ${size}`);
    this.#same(Buffer.from(head, "base64url"), this.tree.leaves[size - 1]!, `${key}: head of ${size}`);
    this.newestAnchor = { epoch, size, digest };
  }

  /** A checkpoint that is pinned is a published one and nothing else but cosignatures. @returns whether it has one. */
  #checkCosigned(checkpoint: string, size: number, what: string): boolean {
    const note = this.#notes.get(size);
    if (note === undefined || !checkpoint.startsWith(note)) {
      this.fail(`${what}: pins a checkpoint that never was, of ${size}`);
    }
    const lines = checkpoint.slice(note.length).split("\n").slice(0, -1);
    const { name, id, publicKey } = this.options.witnessKey;
    for (const line of lines) {
      const [, data] = line.split(`— ${name} `);
      const bytes = Buffer.from(data ?? "", "base64");
      const time = bytes.subarray(4, 12);
      const text = cosignedText(note.slice(0, note.indexOf("\n\n") + 1), time.readBigUInt64BE());
      const x = base64url(publicKey);
      const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
      const holds = verify(null, Buffer.from(text), key, bytes.subarray(12));
      if (!holds || Buffer.compare(bytes.subarray(0, 4), id) !== 0) {
        this.fail(`${what}: pins a cosignature that does not hold: ${line}`);
      }
      this.cosignedPins++;
    }
    return lines.length > 0;
  }

  /** The bytes that an object must have, if there may be one at this path now. */
  #tile(path: string): Bytes | undefined {
    const match = /^tile\/(entries|[0-9]+)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]+))?$/.exec(path);
    if (match === null) return undefined;
    const { tileWidth } = this.options;
    const width = match[3] === undefined ? tileWidth : Number(match[3]);
    const from = Number(match[2]!.replace(/[x/]/g, "")) * tileWidth;
    if (width < 1 || width > tileWidth) return undefined;
    if (match[1] === "entries") {
      const entries = this.entries.slice(from, from + width);
      return entries.length === width ? bundle(entries) : undefined;
    }
    const height = Number(match[1]) * Math.log2(tileWidth);
    const hashes = this.tree.subtrees(height, from, from + width);
    return hashes.length === width ? Buffer.concat(hashes) : undefined;
  }

  /** The paths of the tiles and bundles of the tree of `size` that the tree of `before` does not have. */
  *#tilePaths(before: number, size: number): Generator<string> {
    const { tileWidth } = this.options;
    for (let level = 0; tileWidth ** level <= size; level++) {
      const span = tileWidth ** level;
      const [was, is] = [Math.floor(before / span), Math.floor(size / span)];
      for (let n = Math.floor(was / tileWidth); n * tileWidth < is; n++) {
        const width = Math.min(tileWidth, is - n * tileWidth);
        for (const kind of level === 0 ? ["entries", "0"] : [String(level)]) {
          yield `tile/${kind}/${position(n)}${width === tileWidth ? "" : `.p/${width}`}`;
        }
      }
    }
  }

  /** What is kept in storage must be the model's, row by row. */
  checkStorage(disk: Disk): void {
    const [head] = disk.read("SELECT size FROM head");
    if (head === undefined) return;
    for (const { idx, text } of disk.read("SELECT idx, text FROM entry")) {
      if (this.entries[idx as number]?.text !== text) this.fail(`entry ${idx} has changed in storage`);
    }
    for (const { level, n, hash } of disk.read("SELECT level, n, hash FROM node")) {
      const height = (level as number) * Math.log2(this.options.tileWidth);
      const [expected] = this.tree.subtrees(height, n as number, (n as number) + 1);
      this.#same(hash as Bytes, expected ?? new Uint8Array(), `the stored hash ${level}/${n}`);
    }
    for (const { jti, stage, idx, leaf } of disk.read("SELECT jti, stage, idx, leaf FROM place")) {
      if (this.places.get(`${jti} ${stage}`) !== idx) this.fail(`storage has ${jti} ${stage} at ${idx}`);
      this.#same(leaf as Bytes, this.tree.leaves[idx as number]!, `the leaf hash kept with ${jti} ${stage}`);
    }
  }

  /**
   * Every partial tile in the archive must be known to storage, or it will stay there for ever. Except one that came
   * after it had been deleted: its writer had died meanwhile, and nobody can tell when such a write arrives.
   */
  checkPartials(disk: Disk): void {
    const known = new Set(
      disk
        .read("SELECT level, n, width FROM partial")
        .map(
          ({ level, n, width }) => `${this.options.ledger}/tile/${level}/${position(n as number)}.p/${width}`,
        ),
    );
    for (const key of this.archive.keys()) {
      if (key.includes(".p/") && !known.has(key) && !this.#deleted.has(key))
        this.fail(`${key} was forgotten`);
    }
  }

  /** Everything once more, with the reference implementation of the tree and from nothing but the entries. */
  checkWhole(): void {
    const leaves = this.entries.map(({ text }) => leafHash(text));
    const root = mthOfLeaves(leaves);
    this.#same(root, this.tree.root(leaves.length), "the model's root");
    for (const [size, signed] of this.#roots)
      this.#same(signed, mthOfRange(leaves, 0, size), `root of ${size}`);
    const { ledger, tileWidth } = this.options;
    for (const key of this.archive.keys()) {
      const bytes = this.archive.peek(key)!;
      if (key === `${ledger}/checkpoint`) continue;
      this.#same(bytes, this.#tile(key.slice(ledger.length + 1)) ?? new Uint8Array(), key);
      const [, level, rest, width] = /\/tile\/([0-9]+)\/(.*?)(?:\.p\/([0-9]+))?$/.exec(key) ?? [];
      if (level === undefined) continue;
      const n = Number(rest!.replace(/[x/]/g, ""));
      const span = tileWidth ** Number(level);
      const hashes = Array.from({ length: Number(width ?? tileWidth) }, (_, i) =>
        mthOfRange(leaves, (n * tileWidth + i) * span, (n * tileWidth + i + 1) * span),
      );
      this.#same(bytes, Buffer.concat(hashes), `${key}, by the reference`);
    }
    for (const path of this.#tilePaths(0, this.checkpointSize)) {
      const key = `${ledger}/${path}`;
      if (this.archive.peek(key) ?? this.archive.peek(key.replace(/\.p\/[0-9]+$/, ""))) continue;
      this.fail(`${path} of the newest checkpoint is gone`);
    }
  }

  #same(found: Bytes, expected: Bytes, what: string): void {
    if (Buffer.compare(found, expected) === 0) return;
    this.fail(`${what}: is ${shorten(found)}, expected ${shorten(expected)}`);
  }
}

function isCanary(key: string): boolean {
  return key.startsWith("canary/");
}

function shorten(bytes: Bytes): string {
  return `${Buffer.from(bytes.subarray(0, 40)).toString("hex")} (${bytes.length} bytes)`;
}

function bundle(entries: readonly Entry[]): Bytes {
  const parts = entries.flatMap(({ text }) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(text.length);
    return [length, Buffer.from(text)];
  });
  return Buffer.concat(parts);
}

/** C2SP tlog-tiles: groups of three digits, all but the last after an x. */
function position(n: number): string {
  const digits = String(n).padStart(3 * Math.ceil(String(n).length / 3), "0");
  const groups = digits.match(/.../g)!;
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
}

function decode(part: string): string {
  return Buffer.from(part, "base64url").toString();
}

function base64url(bytes: Bytes): string {
  return Buffer.from(bytes).toString("base64url");
}
