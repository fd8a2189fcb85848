// The simulator itself, held to: with any one safeguard of the ledger taken out on purpose, it must fail soon.
// The safeguards are taken out of the source text; the product has no switch for it.
import { describe, expect, it } from "vitest";
import {
  ANCHORING,
  CUT_OFF,
  DEPLOYS,
  OVERLAPS,
  type Profile,
  RESTORES,
  SHARED,
  TROUBLE,
  WILD_CLOCKS,
  WITNESSED,
} from "./profile.ts";
import { type Outcome, simulate } from "./simulation.ts";
import { buildSystem, type Change, SMALL_LIMITS } from "./system.ts";

const STEPS_MAX = 10_000;
const STEPS_EACH = 2000;

interface Safeguard {
  readonly changes: readonly Change[];
  /** The faults that it guards against. */
  readonly profile: Profile;
}

/** Simulates seed after seed, with wide tiles and narrow ones in turn, until one fails. */
async function simulateUntilFailure(
  changes: readonly Change[],
  profile?: Profile,
): Promise<{ readonly steps: number; readonly failed?: Outcome }> {
  const systems = [await buildSystem([...SMALL_LIMITS, ...changes]), await buildSystem(changes)];
  let steps = 0;
  for (let seed = 1; steps < STEPS_MAX; seed++) {
    const outcome = await simulate(systems[seed % 2]!, seed, STEPS_EACH, profile);
    steps += outcome.steps;
    if (outcome.failure !== undefined) return { steps, failed: outcome };
  }
  return { steps };
}

const SAFEGUARDS: Readonly<Record<string, Safeguard>> = {
  "the transaction of a commit": {
    changes: [
      {
        file: "durable/ledger.ts",
        find: "const { placed, after } = this.store.transaction(() => {",
        put: "const { placed, after } = (work => work())(() => {",
      },
    ],
    profile: TROUBLE,
  },
  "the look at the places that records have already": {
    changes: [
      { file: "durable/ledger.ts", find: "if (known !== undefined) {", put: "if (known === null) {" },
    ],
    profile: TROUBLE,
  },
  "the look at the places, and the refusal to take a name twice": {
    changes: [
      { file: "durable/ledger.ts", find: "if (known !== undefined) {", put: "if (known === null) {" },
      {
        file: "durable/store.ts",
        find: "INSERT INTO place ${",
        put: "INSERT OR REPLACE INTO place ${",
      },
    ],
    profile: TROUBLE,
  },
  "the reload of the head after a throw": {
    changes: [{ file: "durable/ledger.ts", find: "this.#head = head;", put: "this.#head ??= head;" }],
    profile: TROUBLE,
  },
  "the comparison with the archive after a throw": {
    changes: [
      {
        file: "durable/ledger.ts",
        find: "this.#checking = undefined;\n      for (const { reject }",
        put: "this.#head = this.store.head();\n      for (const { reject }",
      },
    ],
    profile: RESTORES,
  },
  "the memory of what was committed, when storage was put back": {
    changes: [{ file: "durable/ledger.ts", find: "checkFollows(this.#head, head);", put: "{}" }],
    profile: RESTORES,
  },
  "the fence around the head": {
    changes: [
      {
        file: "durable/store.ts",
        find: "WHERE size = ? AND chain = ? RETURNING",
        put: "WHERE ? >= 0 AND ? <> 0 RETURNING",
      },
    ],
    profile: SHARED,
  },
  "the care that time does not run backwards": {
    changes: [
      {
        file: "durable/ledger.ts",
        find: "this.#at = Math.max(before.at, this.#now);",
        put: "this.#at = this.#now;",
      },
    ],
    profile: WILD_CLOCKS,
  },
  "the measure of retention by the ledger's own time": {
    changes: [
      {
        file: "durable/ledger.ts",
        find: "this.store.prune(this.store.head().at - PLACE_RETENTION_MS)",
        put: "this.store.prune(this.#options.now() - PLACE_RETENTION_MS)",
      },
    ],
    profile: WILD_CLOCKS,
  },
  "the check of a cold start": {
    changes: [
      {
        file: "durable/ledger.ts",
        find: "this.#options.recheck(this.store)",
        put: "Promise.resolve(this.store.head())",
      },
    ],
    profile: RESTORES,
  },
  "the check before a publication": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "if (checkpoint.size === before) return reached;",
        put: "return reached;",
      },
    ],
    profile: CUT_OFF,
  },
  "the one step across a change of keys": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "isRetired ? undefined : checkpoint.size",
        put: "checkpoint.size",
      },
    ],
    profile: DEPLOYS,
  },
  "the order of tiles and checkpoint": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "  for (const tile of tiles) {",
        put: "  await putCheckpoint(frontier, present, options);\n  for (const tile of tiles) {",
      },
      {
        file: "durable/publish.ts",
        find: "  await putCheckpoint(frontier, present, options);\n  store.movePublished",
        put: "  store.movePublished",
      },
    ],
    profile: TROUBLE,
  },
  "the order of checkpoint and published size": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "  await putCheckpoint(frontier, present, options);\n  store.movePublished(frontier.size);",
        put: "  store.movePublished(frontier.size);\n  await putCheckpoint(frontier, present, options);",
      },
    ],
    profile: TROUBLE,
  },
  "the look at the head after that at the archive": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "  const head = store.head();\n  const before = store.published();\n",
        put: "",
      },
      {
        file: "durable/publish.ts",
        find: "  const present = await archive.get",
        put: "  const head = store.head();\n  const before = store.published();\n  const present = await archive.get",
      },
    ],
    profile: OVERLAPS,
  },
  "put-if-absent of tiles": {
    changes: [
      {
        file: "durable/archive.ts",
        find: "if (await archive.putIfAbsent(key, bytes)) return;",
        put: `const old = await archive.get(key);
          await (old ? archive.replace(key, bytes, old.version) : archive.putIfAbsent(key, bytes));
          if (bytes !== undefined) return;`,
      },
    ],
    profile: SHARED,
  },
  "the condition on the checkpoint that is replaced": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "archive.replace(key, bytes, present.version)",
        put: "archive.replace(key, bytes, (await archive.get(key))!.version)",
      },
    ],
    profile: OVERLAPS,
  },
  "the note of a partial tile before it is written": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "  store.addPartials(tiles.filter(tile => tile.width < TILE_WIDTH));\n",
        put: "",
      },
    ],
    profile: TROUBLE,
  },
  "the wait for the next publication before partial tiles are deleted": {
    changes: [
      {
        file: "durable/publish.ts",
        find: "store.superseded(before)",
        put: "store.superseded(frontier.size + 1)",
      },
    ],
    profile: OVERLAPS,
  },
  "put-if-absent of anchors": {
    changes: [
      {
        file: "durable/anchor.ts",
        find: "await this.#options.anchors.putIfAbsent(formatAnchorPath(epoch), encoder.encode(text));",
        put: `await (async (anchors, path, bytes) => {
          const old = await anchors.get(path);
          return old ? anchors.replace(path, bytes, old.version) : anchors.putIfAbsent(path, bytes);
        })(this.#options.anchors, formatAnchorPath(epoch), encoder.encode(text));`,
      },
    ],
    profile: CUT_OFF,
  },
  "the intent of an anchor": {
    changes: [
      {
        file: "durable/anchor.ts",
        find: "    if (intent.length === 0) throw",
        put: `    this.#options.sql.all("DELETE FROM anchor WHERE done = 0");
          const put = await this.#options.anchors.putIfAbsent(formatAnchorPath(epoch), encoder.encode(text));
          await this.#take(epoch, put ? text : (await this.#read(epoch))!);
          if (intent.length === 0) throw`,
      },
    ],
    profile: CUT_OFF,
  },
  "the refusal to make an anchor of an epoch that has passed": {
    changes: [
      {
        file: "durable/anchor.ts",
        find: "WHERE ? > (SELECT coalesce(max(epoch), -1) FROM anchor)",
        put: "WHERE ? >= 0",
      },
    ],
    profile: OVERLAPS,
  },
  "the order of a copy and the memory of it": {
    changes: [
      {
        file: "durable/anchor.ts",
        find: `      await putImmutable(archive, formatAnchorPath(epoch), encoder.encode(text));
      sql.all("INSERT OR REPLACE INTO copied VALUES (?, ?)", name, epoch + 1);`,
        put: `      sql.all("INSERT OR REPLACE INTO copied VALUES (?, ?)", name, epoch + 1);
      await putImmutable(archive, formatAnchorPath(epoch), encoder.encode(text));`,
      },
    ],
    profile: ANCHORING,
  },
  "the care that only what stands in the anchor store is copied": {
    changes: [
      {
        file: "durable/anchor.ts",
        find: "    const intent = this.#options.sql.all(",
        put: `    for (const { archive } of this.#options.copies ?? [])
      await putImmutable(archive, formatAnchorPath(epoch), encoder.encode(text)).catch(() => {});
    const intent = this.#options.sql.all(`,
      },
    ],
    profile: ANCHORING,
  },
  "the check of what a witness answers": {
    changes: [
      {
        file: "durable/cosigner.ts",
        find: "await openAnswer(body, note, [witness.key], verify);",
        put: "parseNote([parseNote(note).text, body].join('\\n')).signatures.map(signature => ({ signature }));",
      },
    ],
    profile: WITNESSED,
  },
  "the quorum of witnesses, where one is required": {
    changes: [
      {
        file: "durable/cosigner.ts",
        find: "if (required && !meetsQuorum(policy, cosigners)) {",
        put: "if (required && cosigners === null) {",
      },
    ],
    // Only a third of the runs require one, so it had better misbehave there.
    profile: { ...ANCHORING, witness: 0.9 },
  },
  "the keys before, for what a ledger that starts finds published": {
    changes: [
      {
        file: "src/receipt/trust.ts",
        find: "[...keys, ...retired.map(({ key }) => key)]",
        put: "[...keys]",
      },
    ],
    profile: DEPLOYS,
  },
  "the canary, which is tried in the place of an anchor": {
    changes: [
      {
        file: "durable/lock.ts",
        find: "await bucket.putIfAbsent(key,",
        put: 'await bucket.putIfAbsent("anchors/0000000000.jws",',
      },
      {
        file: "durable/lock.ts",
        find: "bucket.overwrite(key,",
        put: 'bucket.overwrite("anchors/0000000000.jws",',
      },
    ],
    profile: ANCHORING,
  },
};

describe("the simulator", () => {
  it.each(Object.entries(SAFEGUARDS))(
    "fails within 10,000 steps without %s",
    async (_name, { changes, profile }) => {
      const { steps, failed } = await simulateUntilFailure(changes, profile);
      expect(failed).toBeDefined();
      expect(steps).toBeLessThanOrEqual(STEPS_MAX);
    },
  );

  it.each([
    undefined,
    TROUBLE,
    SHARED,
    CUT_OFF,
    OVERLAPS,
    RESTORES,
    WILD_CLOCKS,
    ANCHORING,
    WITNESSED,
    DEPLOYS,
  ])("does not fail with all of them (%#)", async profile => {
    const { steps, failed } = await simulateUntilFailure([], profile);
    expect(failed).toBeUndefined();
    expect(steps).toBeGreaterThanOrEqual(STEPS_MAX);
  });
});
