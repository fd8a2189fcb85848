// The monitor remembers the newest checkpoint that it has seen of each ledger, and has every newer one proven to
// continue it. An operator who shows one tree to one client and another to the next, or goes back behind what was
// shown, must do so for ever after, for everybody who remembers: the first one who compares holds both signatures.
import {
  findLedger,
  openTrusted,
  type Trust,
  type TrustedCheckpoint,
  type TrustedLedger,
} from "../receipt/trust.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import type { Checkpoint } from "../tlog/checkpoint.ts";
import { Fault, type FaultCode } from "../tlog/fault.ts";
import type { Get } from "../tlog/reader.ts";
import { openRemoteArchive } from "./archive.ts";
import { checkpointKey, evidenceKey, type Store } from "./memory.ts";
import { describeFailure, Undecided, undecidedIfFaulty } from "./outcome.ts";
import { continues } from "./prefix.ts";
import { type NetworkOptions, prefixOf, requireTrust, wrongInput } from "./sdk.ts";
import { sendBy } from "./sender.ts";

export interface MonitorOptions extends Omit<NetworkOptions, "signal"> {
  readonly trust: Trust;
  /** Where the checkpoints are remembered. What is lost there cannot be missed: keep it out of the operator's reach. */
  readonly store: Store;
}

/** A ledger's published checkpoint, found to continue the remembered one. */
export interface Sighting {
  readonly checkpoint: Checkpoint;
  /** The size of the tree that was remembered; undefined when there was none. */
  readonly before: number | undefined;
}

export interface Monitor {
  /** Looks at every ledger once. @throws as createMonitor says */
  check(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly Sighting[]>;
}

/**
 * Makes a monitor of all ledgers that a trust document names. It asks when it is told to: call `check` as often as a
 * fork should be noticed. Every ledger is looked at, and what continues is remembered, before `check` throws.
 *
 * @returns a monitor; `check` resolves with the published checkpoint of each ledger, verified.
 * @throws From `check`: Fault `forked` when a checkpoint does not continue the remembered one, `rolled-back` when it is
 *   of a smaller tree, `missing` when it or its tiles are gone, `bad-signature` or `tampered`. Then both checkpoints are in
 *   the store under `contradiction/…`, as JSON with `remembered` and `found`, and the remembered one stays. Undecided
 *   `no-answer`, `untrusted-host`, `unknown-key`, `malformed` and the like, when it cannot be told. The reason of the signal.
 *   From createMonitor: Undecided `wrong-input`.
 * @see RFC 6962 section 2.1.2 (consistency), C2SP tlog-checkpoint and tlog-tiles
 * @example
 * import { createMonitor, createTrust } from "counterfoil";
 *
 * const store = new Map();
 * const trust = await createTrust("https://api.example.com", { store });
 * const monitor = createMonitor({ trust, store });
 * for (const { checkpoint, before } of await monitor.check()) {
 *   console.log(checkpoint.origin, checkpoint.size > (before ?? 0)); // api.example.com/audit/main true
 * }
 */
export function createMonitor(options: MonitorOptions): Monitor {
  const trust = requireTrust(options?.trust);
  const { store, fetch = globalThis.fetch } = options;
  if (typeof store?.get !== "function" || typeof store.set !== "function") {
    throw wrongInput("a store with `get` and `set` (a Map is one)", typeof store);
  }
  const prefix = prefixOf(trust, options);
  return {
    async check({ signal } = {}) {
      const archive = openRemoteArchive(sendBy(fetch, signal), prefix, undefined);
      const looks = trust.ledgers.map(({ name, origin }) =>
        look(findLedger(trust, origin), path => archive.get(`${name}/${path}`), store),
      );
      const results = await Promise.allSettled(looks);
      const failures = results.flatMap(result => (result.status === "rejected" ? [result.reason] : []));
      // What is wrong counts for more than what could not be told.
      const worst = failures.find(error => describeFailure(error).outcome === "wrong") ?? failures[0];
      if (worst !== undefined) throw worst;
      return results.flatMap(result => (result.status === "fulfilled" ? [result.value] : []));
    },
  };
}

/** Looks at one ledger, and remembers what continues. */
async function look(ledger: TrustedLedger, get: Get, store: Store): Promise<Sighting> {
  const { origin } = ledger;
  const key = checkpointKey(origin);
  const remembered = (await store.get(key)) ?? undefined;
  const older = remembered === undefined ? undefined : await openRemembered(remembered, ledger);
  const bytes = await get("checkpoint");
  if (bytes === undefined && older === undefined) {
    throw new Undecided(`${origin}: there is no checkpoint yet`, {}, "not-yet-included");
  }
  if (bytes === undefined) throw new Fault("missing", `${origin}: there is no checkpoint any more`);
  const found = new TextDecoder().decode(bytes);
  const { checkpoint, isRetired } = await openPublished(bytes, ledger);
  try {
    if (older !== undefined) await requireContinued(get, checkpoint, older);
  } catch (error) {
    if (error instanceof Fault) {
      const both = JSON.stringify({ remembered, found });
      await store.set(evidenceKey("contradiction", both), both);
    }
    throw error;
  }
  if (isRetired && checkpoint.size > (older?.size ?? 0)) {
    const reason = `${origin}: only a retired key has signed its checkpoint, so it is not remembered; look again soon`;
    throw new Undecided(reason, {}, "unknown-key");
  }
  await store.set(key, found);
  return { checkpoint, before: older?.size };
}

/** @throws Fault `rolled-back` or `forked`; and when the tiles that would tell are not there, or not those of the tree */
async function requireContinued(get: Get, newer: Checkpoint, older: Checkpoint): Promise<void> {
  const { origin } = older;
  const fail = (code: FaultCode, message: string) => {
    const describe = ({ size, root }: Checkpoint) => `${size} entries with root ${encodeBase64(root)}`;
    throw new Fault(code, `${origin}: ${message}`, { expected: describe(older), found: describe(newer) });
  };
  if (newer.size < older.size) fail("rolled-back", "a smaller tree is published than was before");
  if (!(await continues(get, newer, older))) {
    fail("forked", `the published tree does not continue the one of ${older.size} entries`);
  }
}

/** A checkpoint that has come over the network: something else altogether says nothing against the ledger. */
async function openPublished(bytes: Uint8Array, ledger: TrustedLedger): Promise<TrustedCheckpoint> {
  const { origin } = ledger;
  try {
    return await openTrusted(bytes, ledger);
  } catch (error) {
    if (!(error instanceof Fault) || !["malformed", "too-large"].includes(error.code)) throw error;
    throw new Undecided(`${origin}: what is published is no checkpoint: ${error.message}`, error, error.code);
  }
}

async function openRemembered(text: string, ledger: TrustedLedger): Promise<Checkpoint> {
  return undecidedIfFaulty(
    `the remembered checkpoint of ${ledger.origin}`,
    async () => (await openTrusted(text, ledger)).checkpoint,
  );
}
