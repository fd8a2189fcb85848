// The operator's copy of private values: kept once, found again, and gone for good when it shall be.
import { beforeEach, describe, expect, it } from "vitest";
import { KEEP_OPENINGS_MAX, PAGE_OPENINGS_MAX, Vault } from "../../durable/vault.ts";
import { VaultWriter } from "../../durable/vaultwriter.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { firstJti } from "../../src/receipt/jti.ts";
import type { Opening, Page, Search } from "../../src/receipt/opening.ts";
import { START_MS } from "../world.ts";

let vault: Vault;

beforeEach(() => {
  vault = new Vault(openSqlite(":memory:"));
});

function opening(n: number, fields: Opening["fields"] = { sub: null, query: null }): Opening {
  return { jti: firstJti(START_MS + n), seed: `seed-${n}`, fields };
}

/** All pages of a search. */
function searchAll(search: Search): Opening[] {
  const found: Opening[] = [];
  for (let before: string | undefined; ; ) {
    const page: Page = vault.search({ ...search, before });
    found.push(...page.openings);
    if (page.next === undefined) return found;
    before = page.next;
  }
}

describe("the vault", () => {
  it("finds what it keeps, whatever the value is", () => {
    const kept = opening(1, { sub: "älice\u0000\"'", query: null, user_agent: { length: 9, sha256: "x" } });
    vault.keep([kept, opening(2)]);
    expect(vault.find(kept.jti)).toEqual(kept);
    expect(vault.find(firstJti(START_MS + 3))).toBeUndefined();
  });

  it("leaves the first copy of an exchange as it is, if the next has no more to say", () => {
    vault.keep([opening(1, { sub: "alice" })]);
    vault.keep([opening(1, { sub: "mallory" })]);
    expect(vault.find(opening(1).jti)).toEqual(opening(1, { sub: "alice" }));
  });

  it("takes the copy that knows more values, though its fields are the same", () => {
    const [early, late] = [null, "x"].map(value => opening(1, { sub: "alice", "req.digest": value }));
    vault.keep([early!]);
    vault.keep([late!]);
    vault.keep([early!]);
    expect(vault.find(late!.jti)).toEqual(late);
  });

  it("takes the copy that has more fields, whichever comes first", () => {
    const [less, more] = [opening(1, { sub: "alice" }), opening(1, { sub: "alice", "req.path": "/x" })];
    vault.keep([less]);
    vault.keep([more]);
    expect(vault.find(less.jti)).toEqual(more);
    vault.keep([less]);
    expect(vault.find(less.jti)).toEqual(more);
    vault.erase([less.jti]);
    vault.keep([{ ...more, fields: { ...more.fields, other: 1 } }]);
    expect(vault.find(less.jti)).toBe("erased");
  });

  it("knows an erased exchange as erased, and takes no late copy of it", () => {
    vault.keep([opening(1, { sub: "alice" })]);
    vault.erase([opening(1).jti, opening(2).jti]);
    vault.keep([opening(1, { sub: "alice" }), opening(2, { sub: "alice" })]);
    expect(vault.find(opening(1).jti)).toBe("erased");
    expect(vault.find(opening(2).jti)).toBe("erased");
    expect(searchAll({ name: "sub", value: "alice" })).toEqual([]);
    expect(searchAll({ name: "user_agent", value: "alice" })).toEqual([]);
  });

  it.each(["sub", "client_address", "user_agent", 'req.header "x"'.replaceAll('"', "")])(
    "searches %s page by page, the newest first, for exactly that value",
    name => {
      const count = 2 * PAGE_OPENINGS_MAX + 3;
      const wanted = Array.from({ length: count }, (_, n) => opening(2 * n, { [name]: "alice" }));
      const others = Array.from({ length: count }, (_, n) => opening(2 * n + 1, { [name]: "alice " }));
      for (const openings of [wanted, others]) vault.keep(openings);
      expect(vault.search({ name, value: "alice" }).openings).toHaveLength(PAGE_OPENINGS_MAX);
      expect(searchAll({ name, value: "alice" })).toEqual(wanted.toReversed());
    },
  );

  it.each(["sub", "user_agent"])("finds by %s what is long, on pages that can be handed over", name => {
    const long = "x".repeat(1024 * 1024);
    const wanted = Array.from({ length: 12 }, (_, n) => opening(n, { [name]: "alice", query: long }));
    for (const each of wanted) vault.keep([each]);
    const { openings, next } = vault.search({ name, value: "alice" });
    expect(openings.length).toBeGreaterThan(0);
    expect(openings.length).toBeLessThanOrEqual(8);
    expect(next).toBe(openings.at(-1)!.jti);
    expect(searchAll({ name, value: "alice" })).toEqual(wanted.toReversed());
  });

  it("tells numbers from texts", () => {
    vault.keep([opening(1, { size: 5 }), opening(2, { size: "5" })]);
    expect(searchAll({ name: "size", value: 5 })).toEqual([opening(1, { size: 5 })]);
    expect(searchAll({ name: "size", value: "5" })).toEqual([opening(2, { size: "5" })]);
  });

  it("goes on behind what one search may look at when a field has no index", () => {
    const first = opening(0, { query: "needle" });
    vault.keep([first]);
    for (let n = 0; n < 41; n++) {
      vault.keep(Array.from({ length: KEEP_OPENINGS_MAX }, (_, i) => opening(1 + n * KEEP_OPENINGS_MAX + i)));
    }
    expect(vault.search({ name: "query", value: "needle" }).openings).toEqual([]);
    expect(searchAll({ name: "query", value: "needle" })).toEqual([first]);
  });

  it("looks at fewer exchanges at once where these are long, and goes on behind them", () => {
    const first = opening(0, { query: "needle" });
    vault.keep([first]);
    const long = "x".repeat(512 * 1024);
    for (let n = 1; n <= 110; n++) vault.keep([opening(n, { query: long })]);
    const page = vault.search({ name: "query", value: "needle" });
    expect(page.openings).toEqual([]);
    expect(page.next).toBeDefined();
    expect(searchAll({ name: "query", value: "needle" })).toEqual([first]);
  });

  it("lets go of what is older than its retention, erased or not, and of nothing else", () => {
    vault.keep([opening(1), opening(2), opening(3)]);
    vault.erase([opening(1).jti]);
    expect(vault.prune(START_MS + 3)).toBe(false);
    expect([1, 2, 3].map(n => vault.find(opening(n).jti))).toEqual([undefined, undefined, opening(3)]);
    expect(vault.isEmpty()).toBe(false);
    vault.prune(START_MS + 4);
    expect(vault.isEmpty()).toBe(true);
  });

  it("leaves out what is too large for a row, and keeps the others that come with it", () => {
    const large = opening(2, { query: "é".repeat(1024 * 1024) });
    vault.keep([opening(1), large, opening(3)]);
    const jtis = [1, 2, 3].map(n => opening(n).jti);
    expect(vault.missing(jtis)).toEqual([large.jti]);
  });

  it("refuses more than one call may bring", () => {
    const many = Array.from({ length: KEEP_OPENINGS_MAX + 1 }, (_, n) => opening(n));
    expect(() => vault.keep(many)).toThrow("at most 1000");
    expect(vault.isEmpty()).toBe(true);
  });
});

it("a vault that was about to rest lets go of what came at that moment, in its time", async () => {
  let due: number | null = null;
  const waiting: (() => void)[] = [];
  const alarm = {
    get: async () => due,
    set: (at: number) => {
      due = at;
      return new Promise<void>(go => waiting.push(go));
    },
    clear: async () => {
      due = null;
    },
  };
  const writer = new VaultWriter({
    ...{ sql: openSqlite(":memory:"), alarm, now: () => START_MS, retentionMs: 1 },
  });
  const settle = async (work: Promise<unknown>) => {
    let isDone = false;
    work.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      waiting.shift()?.();
      await Promise.resolve();
    }
  };
  // It knows that an alarm is set.
  await settle(writer.keep([]));
  const resting = writer.onAlarm();
  for (const go of waiting.splice(0)) go();
  const kept = writer.keep([opening(1)]);
  await Promise.all([resting, kept].map(settle));
  expect(due).not.toBeNull();
});
