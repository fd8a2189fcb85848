// The simulator itself, held to: with any one safeguard of the ledger taken out on purpose, it must fail soon.
// The safeguards are taken out of the source text; the product has no switch for it.
import { describe, expect, it } from "vitest";
import { type Outcome, simulate } from "./simulation.ts";
import { buildSystem, type Change, SMALL_LIMITS } from "./system.ts";

const STEPS_MAX = 10_000;
const STEPS_EACH = 2000;

/** Simulates seed after seed until one fails. */
async function simulateUntilFailure(changes: readonly Change[]): Promise<Outcome | undefined> {
  const systems = [await buildSystem([...SMALL_LIMITS, ...changes]), await buildSystem(changes)];
  for (let seed = 1; seed <= STEPS_MAX / STEPS_EACH; seed++) {
    const outcome = await simulate(systems[seed % 2]!, seed, STEPS_EACH);
    if (outcome.failure !== undefined) return outcome;
  }
  return undefined;
}

const SAFEGUARDS: Record<string, readonly Change[]> = {
  "the transaction of a commit": [
    {
      file: "durable/ledger.ts",
      find: "const { placed, after } = this.store.transaction(() => {",
      put: "const { placed, after } = (work => work())(() => {",
    },
  ],
  "the look at the places that records have already": [
    { file: "durable/ledger.ts", find: "if (known !== undefined) {", put: "if (known === -1) {" },
  ],
  "the refusal to take a name twice": [
    { file: "durable/ledger.ts", find: "if (known !== undefined) {", put: "if (known === -1) {" },
    { file: "durable/store.ts", find: "INSERT INTO place VALUES", put: "INSERT OR REPLACE INTO place VALUES" },
  ],
  "the reload of the head after a throw": [
    { file: "durable/ledger.ts", find: "this.#head = undefined;", put: "" },
  ],
  "the fence around the head": [
    { file: "durable/store.ts", find: "WHERE size = ? RETURNING size", put: "WHERE ? >= 0 RETURNING size" },
  ],
  "the order of tiles and checkpoint": [
    {
      file: "durable/publish.ts",
      find: "  for (const tile of tilesBetween(before, frontier.size)) {",
      put: "  await putCheckpoint(frontier, present, options);\n  for (const tile of tilesBetween(before, frontier.size)) {",
    },
    {
      file: "durable/publish.ts",
      find: "  await putCheckpoint(frontier, present, options);\n  store.movePublished",
      put: "  store.movePublished",
    },
  ],
  "the order of checkpoint and published size": [
    {
      file: "durable/publish.ts",
      find: "  await putCheckpoint(frontier, present, options);\n  store.movePublished(frontier.size);",
      put: "  store.movePublished(frontier.size);\n  await putCheckpoint(frontier, present, options);",
    },
  ],
  "put-if-absent of tiles": [
    {
      file: "durable/archive.ts",
      find: "if (await archive.putIfAbsent(key, bytes)) return;",
      put: "const old = await archive.get(key); if (old) { await archive.replace(key, bytes, old.version); return; } await archive.putIfAbsent(key, bytes);",
    },
  ],
  "the condition on the checkpoint that is replaced": [
    {
      file: "durable/publish.ts",
      find: "await archive.replace(key, bytes, present.version)",
      put: "await archive.replace(key, bytes, (await archive.get(key))!.version)",
    },
  ],
  "put-if-absent of anchors": [
    {
      file: "durable/anchor.ts",
      find: "const put = await this.#options.anchors.putIfAbsent(formatAnchorPath(epoch), encoder.encode(text));",
      put: "const { anchors } = this.#options; const path = formatAnchorPath(epoch); const old = await anchors.get(path); const put = old ? await anchors.replace(path, encoder.encode(text), old.version) : await anchors.putIfAbsent(path, encoder.encode(text));",
    },
  ],
  "the check of a cold start": [
    {
      file: "durable/ledger.ts",
      find: "this.#options.recheck(this.store)",
      put: "Promise.resolve()",
    },
  ],
  "the check before a publication": [
    { file: "durable/publish.ts", find: "if (checkpoint.size <= size) return;", put: "return;" },
  ],
  "the intent of an anchor": [
    {
      file: "durable/anchor.ts",
      find: "    if (intent.length === 0) throw",
      put: "    this.#options.sql.all('DELETE FROM anchor WHERE epoch = ?', epoch);\n    await this.#take(epoch, (await this.#options.anchors.putIfAbsent(formatAnchorPath(epoch), encoder.encode(text))) ? text : (await this.#read(epoch))!);\n    if (intent.length === 0) throw",
    },
  ],
};

describe("the simulator", () => {
  it.each(Object.entries(SAFEGUARDS))("fails within 10,000 steps without %s", async (name, changes) => {
    const outcome = await simulateUntilFailure(changes);
    console.log(name, outcome?.seed, outcome?.failure?.step, outcome?.failure?.message.slice(0, 200));
    expect(outcome?.failure).toBeDefined();
  });
});
