// The check of a cold start: does what storage holds continue what was published and anchored?
//
// An administrator can rewind an object's storage by days. A ledger that went on from there would give out
// indexes a second time, and its next checkpoint would contradict one that the world has seen. So before the
// first append of an instance, storage is compared with the newest checkpoint and the newest anchor; it costs
// O(log n) tiles and the unpublished tail.
import { openAnchor } from "../src/receipt/anchor.ts";
import type { TrustedKey } from "../src/receipt/key.ts";
import type { TrustedLedger } from "../src/receipt/trust.ts";
import { type Checkpoint, openCheckpoint } from "../src/tlog/checkpoint.ts";
import { Fault } from "../src/tlog/fault.ts";
import { type Get, readTiles } from "../src/tlog/reader.ts";
import { checkConsistency, equalBytes, extend, planConsistency, planRoot, rootOf } from "../src/tlog/tree.ts";
import type { Store } from "./store.ts";

export interface RecheckOptions {
  readonly store: Store;
  readonly ledger: TrustedLedger;
  /** Reads what this ledger has published, by path below its prefix. */
  readonly published: Get;
  /** The newest anchor object, if there is one. */
  readonly newestAnchor: () => Promise<string | undefined>;
  readonly anchorKeys: readonly TrustedKey[];
}

const decoder = new TextDecoder();

/**
 * Compares storage with the archive.
 * @throws Fault `rolled-back` when the world has seen a larger tree than storage holds, `forked` when it has
 * seen another one, `missing` or `tampered` when what was published is damaged.
 */
export async function recheck(options: RecheckOptions): Promise<void> {
  const { store, ledger, published } = options;
  const size = store.head().frontier.size;
  const note = await published("checkpoint");
  const anchored = await newestPin(options);
  if (note === undefined) {
    if (store.published() === 0 && anchored === undefined) return;
    throw new Fault("missing", `${ledger.origin}: its checkpoint is gone from the archive`, {
      expected: `a tree of at least ${Math.max(store.published(), anchored?.size ?? 0)} entries`,
    });
  }
  const { checkpoint } = await openCheckpoint(decoder.decode(note), ledger.keys);
  const newest = Math.max(checkpoint.size, anchored?.size ?? 0);
  if (size < newest) {
    throw new Fault("rolled-back", `${ledger.origin}: storage is older than what was published`, {
      expected: `at least ${newest} entries`,
      found: `${size} entries`,
    });
  }
  if (checkpoint.size < store.published()) {
    throw new Fault("rolled-back", `${ledger.origin}: the archive is older than what storage has published`, {
      expected: `at least ${store.published()} entries`,
      found: `${checkpoint.size} entries`,
    });
  }
  await checkContinues(checkpoint, options);
  if (anchored !== undefined) await checkAnchored(anchored, checkpoint, published);
}

/** Storage's tree must be the published tree with storage's newer leaves added. */
async function checkContinues(
  checkpoint: Checkpoint,
  { store, ledger, published }: RecheckOptions,
): Promise<void> {
  const plan = planRoot(checkpoint.size);
  const tiles = await readTiles(published, plan.tiles);
  if (!equalBytes(plan.root(tiles), checkpoint.root)) {
    throw new Fault("tampered", `${ledger.origin}: the published tiles do not make up the signed root`);
  }
  const { frontier } = store.head();
  const newer = store.hashes(0, checkpoint.size, frontier.size);
  const continued = extend(plan.frontier(tiles), newer);
  if (continued.size === frontier.size && equalBytes(rootOf(continued), rootOf(frontier))) return;
  throw new Fault("forked", `${ledger.origin}: storage does not continue the published tree`, {
    expected: `a continuation of ${checkpoint.size} published entries`,
    found: `${frontier.size} entries of another tree`,
  });
}

async function checkAnchored(anchored: Checkpoint, checkpoint: Checkpoint, published: Get): Promise<void> {
  if (anchored.size > checkpoint.size) {
    throw new Fault("rolled-back", `${checkpoint.origin}: the archive is older than the newest anchor`, {
      expected: `at least ${anchored.size} entries`,
      found: `${checkpoint.size} entries`,
    });
  }
  const plan = planConsistency(anchored.size, checkpoint.size);
  checkConsistency({
    size1: anchored.size,
    root1: anchored.root,
    size2: checkpoint.size,
    root2: checkpoint.root,
    proof: plan.prove(await readTiles(published, plan.tiles)),
  });
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
  return pin && (await openCheckpoint(pin.checkpoint, ledger.keys)).checkpoint;
}
