// The check of a cold start: does what storage holds continue what was published and anchored?
//
// An administrator can rewind an object's storage by days. A ledger that went on from there would give out
// indexes a second time, and its next checkpoint would contradict one that the world has seen. So before the
// first append of an instance, and after every commit that failed, storage is compared with the newest checkpoint
// and the newest anchor; it costs O(log n) tiles and the unpublished tail.
import { openAnchor } from "../src/receipt/anchor.ts";
import type { TrustedKey } from "../src/receipt/key.ts";
import { openTrusted, type TrustedLedger } from "../src/receipt/trust.ts";
import type { Checkpoint } from "../src/tlog/checkpoint.ts";
import { Fault } from "../src/tlog/fault.ts";
import type { Get } from "../src/tlog/reader.ts";
import { equalBytes, extend, type Frontier, rootOf } from "../src/tlog/tree.ts";
import { checkExtends, lostCheckpoint, readTree } from "./published.ts";
import type { Head, Store } from "./store.ts";

export interface RecheckOptions {
  readonly store: Store;
  readonly ledger: TrustedLedger;
  /** Reads what this ledger has published, by path below its prefix. */
  readonly published: Get;
  /** The newest anchor object, if there is one. */
  readonly newestAnchor: () => Promise<string | undefined>;
  readonly anchorKeys: readonly TrustedKey[];
}

/** How many leaf hashes of storage are in memory at once. */
const LEAVES_AT_ONCE = 4096;

const decoder = new TextDecoder();

/**
 * Compares storage with the archive.
 * @returns storage's head as it was compared.
 * @throws Fault `rolled-back` when the world has seen a larger tree than storage holds, `forked` when it has
 * seen another one, `missing` or `tampered` when what was published is damaged.
 */
export async function recheck(options: RecheckOptions): Promise<Head> {
  const { store, ledger, published } = options;
  const { origin } = ledger;
  // The ledger may grow meanwhile, written by an instance that has not ended. So what must be behind is read
  // before what must be ahead of it: published size, anchor, checkpoint, size.
  const before = store.published();
  const anchored = await newestPin(options);
  const note = await published("checkpoint");
  if (note === undefined) {
    const least = Math.max(before, anchored?.size ?? 0);
    if (least > 0) throw lostCheckpoint(origin, least);
    return store.head();
  }
  // By a retired key as well: the one before was in force until this instance began.
  const { checkpoint } = await openTrusted(decoder.decode(note), ledger);
  checkNoOlder(checkpoint, before);
  const tree = await readTree(checkpoint, published);
  if (anchored !== undefined && anchored.size <= tree.size) {
    await checkExtends(anchored, checkpoint, published);
  }
  // Published anew meanwhile: of what this tree lacks, storage may have let go. A newer checkpoint is there now.
  if (store.published() > tree.size) return recheck(options);
  // Nothing waits from here on: the head that is returned is the one that was compared.
  const head = store.head();
  checkContinues(head.frontier, tree, store, origin, anchored?.size);
  if (anchored === undefined || anchored.size <= tree.size) return head;
  throw new Fault("rolled-back", `${origin}: the archive is older than the newest anchor`, {
    expected: `at least ${anchored.size} entries`,
    found: `${tree.size} entries`,
  });
}

/** @throws Fault `rolled-back` when storage had published more before the checkpoint was read. */
export function checkNoOlder({ origin, size }: Checkpoint, before: number): void {
  if (size >= before) return;
  throw new Fault("rolled-back", `${origin}: the archive is older than what storage has published`, {
    expected: `at least ${before} entries`,
    found: `${size} entries`,
  });
}

/**
 * A tree of storage's must be the published one with storage's newer leaves added. Those must be there: no newer
 * tree may have been published.
 * @param anchored the size of a tree that the world has seen besides.
 */
export function checkContinues(
  frontier: Frontier,
  tree: Frontier,
  store: Store,
  origin: string,
  anchored = 0,
): void {
  const newest = Math.max(tree.size, anchored);
  if (frontier.size < newest) {
    throw new Fault("rolled-back", `${origin}: storage is older than what was published`, {
      expected: `at least ${newest} entries`,
      found: `${frontier.size} entries`,
    });
  }
  const continued = continueTo(frontier.size, tree, store);
  if (continued.size === frontier.size && equalBytes(rootOf(continued), rootOf(frontier))) return;
  throw new Fault("forked", `${origin}: storage does not continue the published tree`, {
    expected: `a continuation of ${tree.size} published entries`,
    found: `${frontier.size} entries of another tree`,
  });
}

/** A tree with storage's newer leaves added, up to a size if storage has them: in pieces, for memory is bounded. */
function continueTo(size: number, tree: Frontier, store: Store): Frontier {
  let continued = tree;
  while (continued.size < size) {
    const leaves = store.hashes(0, continued.size, Math.min(size, continued.size + LEAVES_AT_ONCE));
    if (leaves.length === 0) break;
    continued = extend(continued, leaves);
  }
  return continued;
}

async function newestPin({
  ledger,
  newestAnchor,
  anchorKeys,
}: RecheckOptions): Promise<Checkpoint | undefined> {
  const text = await newestAnchor();
  if (text === undefined) return undefined;
  const { payload } = await openAnchor(text, anchorKeys);
  const pin = payload.ledgers.find(({ origin }) => origin === ledger.origin);
  return pin && (await openTrusted(pin.checkpoint, ledger)).checkpoint;
}
