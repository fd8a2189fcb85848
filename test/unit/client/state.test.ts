// An audit that goes on from the state of an earlier one: it comes to what an audit of everything comes to, reads
// little again, and finds whatever has been taken away or exchanged since. And what receipts in hand show.
import { beforeAll, describe, expect, test } from "vitest";
import { type AuditOptions, type AuditReport, audit } from "../../../src/client/audit.ts";
import { Endings, parseEndings } from "../../../src/client/endings.ts";
import { ExchangeId } from "../../../src/client/exchangeid.ts";
import { Undecided } from "../../../src/client/outcome.ts";
import { formatState, openState, type State } from "../../../src/client/state.ts";
import { openSqlite } from "../../../src/hosts/sqlite.ts";
import { formatAnchorPath } from "../../../src/receipt/anchor.ts";
import { formatEntry } from "../../../src/receipt/entry.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { decodeBundle } from "../../../src/tlog/bundle.ts";
import { createWorld, fixedKey, LEDGER, ORIGIN, plainJti, type World } from "../../world.ts";
import { copyOf, flip, grow, type Objects, rewrite, signTree, viewOf } from "./archives.ts";
import { Desk } from "./desk.ts";
import { OPERATOR_TOKEN, openEdge } from "./edge.ts";

type Options = Partial<AuditOptions> & Parameters<typeof viewOf>[1];

let world: World;
/** Copies of the archive, as it was after each anchor and each publication beyond it. */
const copies: Objects[] = [];
/** What the anchors pin; after each, some more is published. */
const SIZES = [2, 255, 256, 257, 300, 511, 514, 770, 772, 775];
const BEYOND = [3, 0, 0, 1, 200, 0, 0, 1, 1, 1];

async function auditOf(objects: Objects, options: Options = {}): Promise<AuditReport> {
  return audit({ archive: viewOf(objects, options), trust: world.trust, ...options });
}

/** The state of an audit that has proven a copy. */
async function stateOf(objects: Objects, options: Options = {}): Promise<string> {
  const { state, problems } = await auditOf(objects, options);
  expect(problems).toEqual([]);
  return state!;
}

/** The code and path of the first problem. */
function first({ outcome, problems }: AuditReport): string {
  const problem = problems[0];
  return problem === undefined ? outcome : `${outcome}: ${problem.fault.code} ${problem.path}`;
}

beforeAll(async () => {
  world = await createWorld();
  let size = 1;
  for (const [i, pinned] of SIZES.entries()) {
    await grow(world, pinned - size);
    size = pinned;
    if (BEYOND[i]! > 0) {
      world.tick(1000);
      // One exchange is left open, and the next one closes it.
      const stage = i % 2 === 0 ? "received" : "complete";
      const open = { jti: plainJti(9000 + Math.floor(i / 2)), stage };
      await world.append(open, ...Array.from({ length: BEYOND[i]! - 1 }, () => ({})));
      await world.publish();
      size += BEYOND[i]!;
    }
    copies.push(copyOf(world));
  }
});

describe("an audit that goes on from a state", () => {
  test.each([
    [1, true],
    [1, false],
    [3, true],
  ])(
    "comes to the same, by steps of %i, as one of everything (entries read: %s)",
    async (step, holdsEntries) => {
      let state: string | undefined;
      for (let i = 0; i < copies.length; i += step) {
        const all = await auditOf(copies[i]!, { holdsEntries });
        const more = await auditOf(copies[i]!, { holdsEntries, ...(state !== undefined && { state }) });
        expect(more.problems, `copy ${i}`).toEqual([]);
        // What was read, control records among it, is not the same.
        const { from, entries: read, control: told, clocks: now, ...reached } = more.ledgers[0]!;
        const { from: zero, entries, control, clocks, ...ledger } = all.ledgers[0]!;
        expect([told.count <= control.count, now.length <= clocks.length]).toEqual([true, true]);
        expect(reached).toEqual(ledger);
        expect([zero, more.anchors.newest]).toEqual([0, all.anchors.newest]);
        expect(more.anchors.stretches.every(({ chained }) => chained)).toBe(true);
        expect(more.state).toBe(all.state);
        if (state !== undefined && holdsEntries) expect(read! < entries!, `copy ${i}`).toBe(i > 0);
        state = more.state;
      }
    },
  );

  test("reads no anchor and no entry again that was verified, but for the last ones", async () => {
    const state = await stateOf(copies[7]!);
    const paths: string[] = [];
    const view = viewOf(copies[9]!);
    const get = (path: string) => {
      paths.push(path);
      return view.get(path);
    };
    const archive = { ...view, get };
    const report = await audit({ archive, trust: world.trust, state });
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]).toMatchObject({ from: 768, recomputed: 776, entries: 776 - 771 });
    expect(report.anchors).toMatchObject({ count: 3, newest: { epoch: 9 } });
    // Of what is before, one bundle is looked for: the oldest, which may have been pruned since.
    const older = paths.filter(path => /tile\/(entries|0)\/00[012]/.test(path));
    expect(older).toEqual([`${LEDGER}/tile/entries/000`]);
    const anchors = paths.filter(path => path.startsWith("anchors/"));
    expect(anchors.filter(path => path < formatAnchorPath(7))).toEqual([]);
  });

  test("reads everything again when it is told to, and still holds it against the state", async () => {
    const state = await stateOf(copies[9]!);
    const report = await auditOf(copies[9]!, { state, full: true });
    expect(report.anchors.count).toBe(10);
    expect(report.ledgers[0]).toMatchObject({ from: 0, entries: 776 });
    expect(report.state).toBe(state);
    expect(first(await auditOf(copies[8]!, { state, full: true }))).toBe(
      `wrong: rolled-back ${LEDGER}/checkpoint`,
    );
  });

  test("does not mind an anchor that pins less than was already published", async () => {
    const late = await createWorld();
    await grow(late, 3, 300);
    // The anchor writer has looked at the ledger, and is slow: meanwhile more is published and audited.
    await late.append({}, {});
    await late.publish();
    const view = (objects: Objects) => ({ archive: viewOf(objects), trust: late.trust });
    await late.anchor();
    const anchor = late.anchors.objects.get(formatAnchorPath(2))!;
    await late.append(...Array.from({ length: 300 }, () => ({})));
    await late.publish();
    const before = copyOf(late);
    before.delete(formatAnchorPath(2));
    const { state } = await audit(view(before));
    const after = before.set(formatAnchorPath(2), anchor);
    expect(first(await audit({ ...view(after), state: state! }))).toBe("proven");
  });

  test("tells of exchanges that began before it and ended since", async () => {
    const [open, closed] = [await auditOf(copies[0]!), await auditOf(copies[3]!)];
    expect([open, closed].map(({ ledgers }) => ledgers[0]!.open.length)).toEqual([1, 1]);
    const report = await auditOf(copies[3]!, { state: open.state! });
    expect(report.ledgers[0]!.open).toEqual(closed.ledgers[0]!.open);
  });

  test("audits a ledger from its beginning that the trust document did not name the last time", async () => {
    const state = await audit({
      archive: viewOf(copies[3]!),
      trust: { ...world.trust, ledgers: [] },
    });
    expect(state.unnamedOrigins).toHaveLength(1);
    const report = await auditOf(copies[5]!, { state: state.state! });
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]).toMatchObject({ from: 0, entries: 511, recomputed: 511, anchored: 511 });
  });
});

describe("a second ending of an exchange", () => {
  const JTI = plainJti(700);

  /** An archive in which somebody who has the ledger's storage has had an exchange end again, after so many others. */
  async function endTwice(
    others: number,
  ): Promise<{ ended: Objects; twice: Objects; trust: World["trust"] }> {
    const sql = openSqlite(":memory:");
    const late = await createWorld({ sql });
    await late.append({ jti: JTI });
    await grow(late, others);
    const ended = copyOf(late);
    await expect(late.append({ jti: JTI, stage: "failed" })).rejects.toThrow("at index 1");
    sql.all("DELETE FROM place WHERE jti = ?", JTI);
    await late.append({ jti: JTI, stage: "failed" });
    await grow(late, 1);
    return { ended, twice: copyOf(late), trust: late.trust };
  }

  test.each([
    ["at length", 3],
    ["after others, in quick reading", 300],
  ])("is wrong, read %s, and so it is when the first was seen by an earlier audit", async (_, others) => {
    const { ended, twice, trust } = await endTwice(others);
    const { state } = await audit({ archive: viewOf(ended), trust });
    for (const known of [{}, { state: state! }]) {
      const report = await audit({ archive: viewOf(twice), trust, ...known });
      expect([report.outcome, report.problemCount, report.state]).toEqual(["wrong", 1, undefined]);
      const { code, message, expected, found, index } = report.problems[0]!.fault;
      expect({ code, expected, found, index }).toEqual({
        code: "ended-twice",
        expected: "one ending: complete, at index 1",
        found: `failed, at index ${others + 2}`,
        index: others + 2,
      });
      expect(message).toContain(JTI);
    }
  });

  test("is held against the last endings that a state has, which are bounded, and read strictly", () => {
    const endings = new Endings();
    const id = new ExchangeId();
    const take = (jti: string) => id.read(new TextEncoder().encode(jti));
    const count = 2 ** 15 + 5;
    for (let i = 0; i < count; i++) {
      // One in the middle is no UUID, and has its place all the same.
      take(i === count - 9 ? "an id" : `019aa4c7-7c10-7000-8000-${i.toString(16).padStart(12, "0")}`);
      endings.add(id, i % 2 === 0 ? "rejected" : "complete", 2 ** 33 + i);
    }
    const text = endings.format();
    expect(text.length).toBeLessThan(1_010_000);
    const again = new Endings(text);
    expect(again.format()).toBe(text);
    take("an id");
    expect(again.find(id)).toEqual({ index: 2 ** 33 + count - 9, stage: "rejected" });
    take("019aa4c7-7c10-7000-8000-00000000000a");
    expect(again.find(id)).toEqual({ index: 2 ** 33 + 10, stage: "rejected" });
    for (const other of [
      "019AA4C7-7C10-7000-8000-00000000000A",
      "019aa4c7-7c10-7000-8000-000000000004",
      "",
    ]) {
      take(other);
      expect(again.find(id), other).toBeUndefined();
    }
  });

  test("is found among a hundred thousand others, whatever has come before those", () => {
    const endings = new Endings();
    const id = new ExchangeId();
    // As random as ids are, and the same in every run.
    const take = (n: number) => {
      for (let word = 0; word < 4; word++)
        id.words[word] = Math.imul(n * 4 + word + 1, 0x9e3779b1) ^ (n << 7);
    };
    const count = 700_000;
    for (let n = 0; n < count; n++) {
      take(n);
      endings.add(id, "complete", n);
    }
    for (let n = count - 100_000; n < count; n++) {
      take(n);
      if (endings.find(id)?.index !== n) throw new Error(`ending ${n} is forgotten`);
    }
    take(0);
    expect(endings.find(id)).toBeUndefined();
  });

  test("is held against no endings that are not as they were written", () => {
    const endings = new Endings();
    const id = new ExchangeId();
    for (let i = 0; i < 3; i++) {
      id.read(new TextEncoder().encode(plainJti(i)));
      endings.add(id, "complete", i);
    }
    const text = endings.format();
    expect(parseEndings(text, 3).map(({ index }) => index)).toEqual([0, 1, 2]);
    const bytes = Buffer.from(text, "base64url");
    const many = Buffer.alloc((2 ** 15 + 1) * 23);
    for (let i = 0; i <= 2 ** 15; i++) many.writeUInt32BE(i, i * 23 + 18);
    const swapped = Buffer.concat([bytes.subarray(23, 46), bytes.subarray(0, 23), bytes.subarray(46)]);
    const staged = Buffer.from(bytes).fill(4, 22, 23);
    for (const altered of [swapped, staged, many, bytes.subarray(1), Buffer.concat([bytes, bytes])])
      expect(() => parseEndings(altered.toString("base64url"))).toThrow("not as they were written");
    for (const altered of [`${text}A`, ` ${text}`]) expect(() => parseEndings(altered)).toThrow("base64url");
    expect(() => parseEndings(text, 2)).toThrow("not as they were written");
  });
});

describe("an audit that goes on finds", () => {
  /** What an audit with the state of one copy says of another one that was altered. */
  async function findings(
    seen: number,
    shown: number,
    alter: (objects: Objects) => unknown,
    options: Options = {},
  ) {
    const objects = new Map([...copies[shown]!].map(([path, bytes]) => [path, bytes.slice()]));
    await alter(objects);
    return first(await auditOf(objects, { state: await stateOf(copies[seen]!), ...options }));
  }

  test("an archive that was put back to any earlier state", async () => {
    for (let earlier = 0; earlier < 9; earlier++) {
      expect(await findings(9, earlier, () => {}), `copy ${earlier}`).toBe(
        `wrong: rolled-back ${LEDGER}/checkpoint`,
      );
    }
  });

  test.each([5, 255, 256, 400, 513, 769, 770])(
    "a ledger that was made anew from entry %i on, behind the state, with the ledger's own key",
    async index => {
      expect(await findings(7, 9, objects => rewrite(objects, index))).toBe(
        `wrong: forked ${LEDGER}/checkpoint`,
      );
      const anchorless = async (objects: Objects) => {
        await rewrite(objects, index);
        for (const epoch of [8, 9]) objects.delete(formatAnchorPath(epoch));
      };
      expect(await findings(7, 9, anchorless)).toBe(`wrong: forked ${LEDGER}/checkpoint`);
    },
  );

  test("a ledger of the same size with another root", async () => {
    const replace = async (objects: Objects) => {
      objects.set(
        `${LEDGER}/checkpoint`,
        await signTree(776, btoa(String.fromCharCode(...new Uint8Array(32)))),
      );
    };
    expect(await findings(9, 9, replace)).toBe(`wrong: forked ${LEDGER}/checkpoint`);
  });

  test("a ledger that was made anew after the state, and contradicts the anchors since", async () => {
    expect(await findings(7, 9, objects => rewrite(objects, 771))).toBe(
      `wrong: forked ${formatAnchorPath(8)}`,
    );
  });

  test("an altered entry, tile and anchor after the state", async () => {
    for (const [path, at] of [
      [`${LEDGER}/tile/entries/003.p/8`, 4000],
      [`${LEDGER}/tile/0/003.p/8`, 200],
      [formatAnchorPath(9), 500],
    ] as const) {
      expect(await findings(7, 9, objects => flip(objects, path, at))).toMatch(
        new RegExp(`^wrong: (tampered|bad-signature|malformed) ${path}$`),
      );
    }
  });

  test("a hash behind the state that would be needed to show that the tree goes on", async () => {
    const path = `${LEDGER}/tile/1/000.p/1`;
    expect(await findings(3, 9, objects => flip(objects, path, 5))).toMatch(/^wrong: tampered main/);
    expect(await findings(3, 9, objects => objects.delete(path))).toBe(`wrong: missing ${path}`);
  });

  test("a tail of entries and tiles that was cut off", async () => {
    const cut = (objects: Objects) => {
      for (const path of objects.keys()) if (/\/(entries|0)\/003/.test(path)) objects.delete(path);
    };
    expect(await findings(4, 9, cut)).toMatch(/^wrong: truncated main\/tile\/(entries|0)\/003\.p\/8$/);
    expect(await findings(9, 9, cut)).toMatch(/^wrong: (truncated|missing) main/);
  });

  test("a checkpoint that is gone, of a ledger that no anchor pins as well", async () => {
    const gone = (objects: Objects) => objects.delete(`${LEDGER}/checkpoint`);
    expect(await findings(9, 9, gone)).toBe(`wrong: missing ${LEDGER}/checkpoint`);
    const young = await createWorld();
    await young.append({});
    await young.publish();
    const { state } = await audit({ archive: viewOf(copyOf(young)), trust: young.trust });
    const report = await audit({ archive: viewOf(new Map()), trust: young.trust, state: state! }).catch(
      e => e,
    );
    expect(first(report)).toBe(`wrong: missing ${LEDGER}/checkpoint`);
  });

  test("anchors that were exchanged, replaced or put in another order", async () => {
    const swap = (a: number, b: number) => (objects: Objects) => {
      const [left, right] = [a, b].map(epoch => objects.get(formatAnchorPath(epoch))!);
      objects.set(formatAnchorPath(a), right!).set(formatAnchorPath(b), left!);
    };
    expect(await findings(5, 9, swap(7, 8))).toBe(`wrong: broken-anchor-chain ${formatAnchorPath(7)}`);
    expect(await findings(5, 9, swap(5, 8))).toBe(`wrong: forked ${formatAnchorPath(5)}`);
    const other = await grow(
      await createWorld({ receiptKey: await fixedKey("another") }),
      1,
      ...SIZES.slice(1).map((size, i) => size - SIZES[i]!),
    );
    for (const epoch of [5, 6, 9]) {
      const path = formatAnchorPath(epoch);
      const report = await findings(5, 9, objects => objects.set(path, other.anchors.objects.get(path)!));
      expect(report).toMatch(epoch === 5 ? /^wrong: forked/ : /^wrong: broken-anchor-chain/);
    }
  });
});

test("an anchor from before the state that the auditor kept as well must still be there", async () => {
  const state = await stateOf(copies[6]!);
  const path = formatAnchorPath(2);
  const keptAnchor = new TextDecoder().decode(copies[9]!.get(path));
  expect(first(await auditOf(copies[9]!, { state, keptAnchor }))).toBe("proven");
  const replaced = new Map(copies[9]).set(path, copies[9]!.get(formatAnchorPath(3))!);
  expect(first(await auditOf(replaced, { state, keptAnchor }))).toBe(`wrong: forked ${path}`);
  replaced.delete(path);
  expect(first(await auditOf(replaced, { state, keptAnchor }))).toBe(`wrong: missing ${path}`);
});

describe("any 1, 2 or 5 anchors in a row that are deleted", () => {
  const runs = [1, 2, 5].flatMap(count =>
    Array.from({ length: SIZES.length - count + 1 }, (_, at) => ({
      epochs: Array.from({ length: count }, (_, i) => at + i),
    })),
  );

  // A ledger of few entries: many audits of it are made here.
  let small: World;
  const shown: Objects[] = [];
  let newest: string;

  beforeAll(async () => {
    small = await createWorld();
    for (const _ of SIZES) {
      small.tick(1000);
      newest = (await small.append({}, {})).at(-1)!;
      await small.publish();
      await small.anchor();
      shown.push(copyOf(small));
    }
  });

  const auditSmall = (objects: Objects, options: Options = {}) =>
    audit({ archive: viewOf(objects, options), trust: small.trust, ...options });

  const seen = async (epoch: number) => (await auditSmall(shown[epoch]!)).state!;

  function without(objects: Objects, epochs: readonly number[]): Objects {
    const left = new Map(objects);
    for (const epoch of epochs) left.delete(formatAnchorPath(epoch));
    return left;
  }

  test("are found in a copy by an audit that has seen a later state", async () => {
    const state = await seen(9);
    for (const { epochs } of runs) {
      const code = epochs.includes(9) ? "truncated" : "missing";
      const objects = without(shown[9]!, epochs);
      for (const full of [false, true]) {
        expect(first(await auditSmall(objects, { state, full, isFolder: true })), `epochs ${epochs}`).toBe(
          `wrong: ${code} ${formatAnchorPath(epochs[0]!)}`,
        );
      }
    }
  });

  test("are found by an audit that has seen an earlier state, unless the newest are among them", async () => {
    const state = await seen(4);
    for (const { epochs } of runs) {
      const report = await auditSmall(without(shown[9]!, epochs), { state, isFolder: true });
      const isHidden = epochs[0]! > 4 && epochs.includes(9);
      expect(first(report), `epochs ${epochs}`).toBe(
        isHidden ? "proven" : `wrong: missing ${formatAnchorPath(epochs[0]!)}`,
      );
    }
  });

  test("are found in an archive that lists none, from the newest one that was seen on", async () => {
    const state = await seen(6);
    for (const { epochs } of runs.filter(({ epochs }) => !epochs.includes(9))) {
      const report = await auditSmall(without(shown[9]!, epochs), { state });
      const gone = epochs.find(epoch => epoch >= 6);
      expect(first(report), `epochs ${epochs}`).toBe(
        gone === undefined ? "proven" : `wrong: missing ${formatAnchorPath(gone)}`,
      );
    }
  });

  test("are found by an audit that holds a receipt which only the newest of them covers", async () => {
    small.tick(3600_000);
    await small.append({});
    await small.publish();
    const whole = copyOf(small);
    const held = { trust: small.trust, receipts: [newest] };
    for (const { epochs } of runs) {
      const archive = viewOf(without(whole, epochs), { isFolder: true });
      const isTail = epochs.includes(9);
      const path = formatAnchorPath(epochs[0]!);
      const report = await audit({ archive, ...held, anchoredWithinS: 600 });
      expect(first(report), `epochs ${epochs}`).toBe(`wrong: ${isTail ? "truncated" : "missing"} ${path}`);
      // Without a bound nothing is alleged; but nothing is proven either.
      if (isTail) expect(first(await audit({ archive, ...held }))).toBe("undecided");
    }
    expect(first(await audit({ archive: viewOf(whole), ...held, anchoredWithinS: 600 }))).toBe("proven");
  });
});

describe("a receipt in hand", () => {
  let young: World;
  let receipt: string;

  beforeAll(async () => {
    young = await grow(await createWorld(), 2, 3);
    young.tick(1000);
    [receipt] = (await young.append({})) as [string];
  });

  const auditHeld = (objects: Objects, options: Partial<AuditOptions> = {}, holdsEntries = true) =>
    audit({
      archive: viewOf(objects, { holdsEntries }),
      trust: young.trust,
      receipts: [receipt],
      ...options,
    });

  test("is no alarm while the archive shows no later time, however far anchors may lag", async () => {
    const unpublished = copyOf(young);
    await young.publish();
    const published = copyOf(young);
    for (const [objects, coverage] of [
      [unpublished, "unpublished"],
      [published, "published"],
    ] as const) {
      const report = await auditHeld(objects, { anchoredWithinS: 0 });
      expect([report.outcome, report.problems, report.state]).toEqual(["undecided", [], undefined]);
      expect(report.holdings).toMatchObject([{ index: 6, coverage }]);
    }
  });

  test("is an alarm when the archive goes on for longer than anchors may lag", async () => {
    young.tick(60_000);
    const [later] = (await young.append({})) as [string];
    await young.publish();
    const objects = copyOf(young);
    expect(first(await auditHeld(objects, { anchoredWithinS: 60 }))).toBe("undecided");
    expect(first(await auditHeld(objects, { anchoredWithinS: 59 }))).toBe(
      `wrong: truncated ${formatAnchorPath(2)}`,
    );
    // Without the entries, what shows the archive's time is another receipt that is in it.
    expect(first(await auditHeld(objects, { anchoredWithinS: 59 }, false))).toBe("undecided");
    const both = { anchoredWithinS: 59, receipts: [receipt, later] };
    expect(first(await auditHeld(objects, both, false))).toBe(`wrong: truncated ${formatAnchorPath(2)}`);
  });

  test("is under an anchor once there is one, also for an audit that goes on", async () => {
    const { state } = await audit({ archive: viewOf(copyOf(young)), trust: young.trust });
    await young.anchor();
    for (const options of [{}, { state: state! }]) {
      const report = await auditHeld(copyOf(young), { ...options, anchoredWithinS: 0 });
      expect(first(report)).toBe("proven");
      expect(report.holdings).toMatchObject([{ coverage: "anchored" }]);
    }
  });

  test("is forked when the archive has another entry there", async () => {
    const objects = copyOf(young);
    await rewrite(objects, 6);
    for (const epoch of [2]) objects.delete(formatAnchorPath(epoch));
    const report = await auditHeld(objects);
    expect(first(report)).toBe(`wrong: forked ${LEDGER}/checkpoint`);
    expect(report.problems[0]!.fault.index).toBe(6);
  });

  test("cannot be told of when it is not genuine", async () => {
    const altered = `${receipt.slice(0, -3)}AAA`;
    await expect(auditHeld(copyOf(young), { receipts: [altered] })).rejects.toThrow(Undecided);
  });
});

describe("a state", () => {
  test("that was altered or cut off anywhere opens nowhere", async () => {
    const state = await stateOf(copies[3]!);
    await expect(openState(state, world.trust)).resolves.toBeDefined();
    const opened: string[] = [];
    // Of the endings, which are most of it, not every character.
    const [first, last] = [
      state.indexOf('"endings"') + 20,
      state.indexOf('"', state.indexOf('"endings"') + 20),
    ];
    for (let at = 0; at < state.length; at += at > first && at < last ? 16 : 1) {
      const flipped = String.fromCharCode(state.charCodeAt(at) ^ 1);
      for (const damaged of [state.slice(0, at), state.slice(0, at) + flipped + state.slice(at + 1)]) {
        const isOpen = await openState(damaged, world.trust).then(
          () => true,
          () => false,
        );
        if (isOpen) opened.push(damaged);
      }
    }
    expect(opened).toEqual([]);
  });

  test("that is damaged leaves the audit undecided, and begins nothing anew", async () => {
    const state = await stateOf(copies[3]!);
    for (const damaged of ["", "{}", state.slice(1), `${state}\n`, state.replace(/"epoch"|"edge"/, '"e"')]) {
      await expect(auditOf(copies[3]!, { state: damaged })).rejects.toThrow(Undecided);
      await expect(auditOf(copies[3]!, { state: damaged, full: true })).rejects.toThrow(Undecided);
    }
  });

  describe("that somebody has edited, digest and all", () => {
    type Told = { read?: number; pruned: number; told?: string };
    type Edited = State & { ledgers: { edge: string[][]; head: string; entries: Told }[] };

    /** The state of copy 4, edited; it is of a tree of 500 entries. */
    async function edited(edit: (ledger: Edited["ledgers"][number]) => void): Promise<string> {
      const { digest, v, ...state } = JSON.parse(await stateOf(copies[4]!)) as Edited &
        Record<string, unknown>;
      edit(state.ledgers[0]!);
      return formatState(state as State);
    }

    /** An entry by which a ledger tells that those before it may be gone. */
    function toldAt(index: number, origin = ORIGIN): string {
      const [header, record] = copiedEntry(index).split(".") as [string, string];
      const control = { ...readJson(record), stage: "control", control: { type: "pruned", minimum: index } };
      return formatEntry(encodeJson({ ...readJson(header), origin }), JSON.stringify(control));
    }

    const readJson = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as object;
    const encodeJson = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    function copiedEntry(index: number): string {
      const bundle = copies[9]!.get(
        `${LEDGER}/tile/entries/${String(Math.floor(index / 256)).padStart(3, "0")}`,
      )!;
      return new TextDecoder().decode(decodeBundle(bundle, 256)[index % 256]);
    }

    test("excuses no entry from being read, and none from being there, that came after it", async () => {
      const objects = new Map(copies[9]!);
      for (const n of [0, 1]) objects.delete(`${LEDGER}/tile/entries/00${n}`);
      for (const edit of [
        (entries: Told) => Object.assign(entries, { told: toldAt(767) }),
        (entries: Told) => Object.assign(entries, { told: toldAt(400, `${ORIGIN}x`) }),
        (entries: Told) => Object.assign(entries, { told: copiedEntry(400) }),
        (entries: Told) => Object.assign(entries, { pruned: 512 }),
        (entries: Told) => Object.assign(entries, { told: toldAt(400), pruned: 512 }),
        (entries: Told) => Object.assign(entries, { read: 768 }),
      ]) {
        const state = await edited(({ entries }) => edit(entries));
        await expect(auditOf(objects, { state })).rejects.toThrow(Undecided);
      }
      // What it may tell of is what it has seen: that much it is believed.
      const state = await edited(({ entries }) => Object.assign(entries, { told: toldAt(400), pruned: 256 }));
      expect(first(await auditOf(objects, { state }))).toBe(`wrong: missing ${LEDGER}/tile/entries/001`);
    });

    test.each([
      [
        "tree",
        { edge: [[Buffer.alloc(32, 7).toString("base64url")]] },
        `wrong: tampered ${LEDGER}/tile/entries/000`,
      ],
      ["beginning", { edge: [] }, "proven"],
      ["entry before", { head: Buffer.alloc(32, 7).toString("base64url") }, "proven"],
    ])("leads to no other tree than the signed ones, with another %s", async (_, change, found) => {
      const state = await edited(ledger => Object.assign(ledger, change));
      expect(first(await auditOf(copies[9]!, { state }))).toBe(found);
    });
  });

  test("of another issuer, or of keys that are not trusted, leaves the audit undecided", async () => {
    const state = await stateOf(copies[3]!);
    const strangers = [
      { ...world.trust, issuer: "https://other.example.com" },
      { ...world.trust, anchorKeys: [(await fixedKey("stranger")).publicJwk] },
      { ...world.trust, ledgers: [] },
    ];
    for (const trust of strangers) {
      await expect(auditOf(copies[3]!, { state, trust })).rejects.toThrow(Undecided);
    }
  });

  test("does not go from an audit with entries to one without, nor back", async () => {
    for (const holdsEntries of [true, false]) {
      const state = await stateOf(copies[3]!, { holdsEntries });
      const options = { state, holdsEntries: !holdsEntries };
      await expect(auditOf(copies[4]!, options)).rejects.toThrow(/entries of/);
      expect(first(await auditOf(copies[4]!, { ...options, full: true }))).toBe("proven");
    }
  });

  test("is given only when all that was read is proven", async () => {
    const objects = new Map(copies[3]);
    objects.delete(formatAnchorPath(2));
    expect((await auditOf(objects)).state).toBeUndefined();
  });

  test("stays small however long the ledger is: a few hashes for each level of the tree", async () => {
    const sizes = [3, 9].map(
      // The last endings are bounded by their number.
      async i => (await stateOf(copies[i]!)).replace(/"endings":"[^"]*"/, "").length,
    );
    expect((await sizes[1]!) - (await sizes[0]!)).toBeLessThan(1000);
  });
});

describe("counterfoil audit --state", () => {
  let desk: Desk;

  function show(objects: Objects): void {
    for (const path of [...desk.files.keys()]) if (path.startsWith("copy/")) desk.files.delete(path);
    for (const [path, bytes] of objects) desk.write(`copy/${path}`, bytes);
  }

  const run = (...more: string[]) =>
    desk.run("audit", "copy", "--trust", "trust.json", "--state", "audit.json", ...more);

  beforeAll(async () => {
    desk = new Desk();
    desk.write("trust.json", formatTrust(world.trust));
  });

  test("says that it begins, then that it goes on, and keeps what it has proven", async () => {
    show(copies[6]!);
    expect(await run()).toBe(0);
    expect(desk.out).toMatch(
      /^state +audit\.json was not there, so nothing .*; what was proven now is kept there$/m,
    );
    show(copies[9]!);
    expect(await run()).toBe(0);
    expect(desk.out).toMatch(/^state +went on from audit\.json; what was proven now is kept there$/m);
    expect(desk.out).toMatch(/^ledger main +read from index 512 on; what is before was verified earlier$/m);
    expect(desk.read("audit.json")).toBe(await stateOf(copies[9]!));
  });

  test("finds the newest anchor gone, and leaves the state as it was", async () => {
    const before = desk.read("audit.json");
    const objects = new Map(copies[9]);
    objects.delete(formatAnchorPath(9));
    show(objects);
    expect(await run()).toBe(1);
    expect(desk.out).toMatch(/^wrong +truncated: anchors\/0000000009\.jws/m);
    expect(desk.out).toMatch(/^state +went on from audit\.json; it stays as it was$/m);
    expect(desk.read("audit.json")).toBe(before);
  });

  test("cannot tell with a damaged state, and leaves it as it was", async () => {
    const whole = desk.read("audit.json");
    show(copies[9]!);
    for (const damaged of [whole.slice(0, 500), whole.replace("main", "mein"), ""]) {
      desk.write("audit.json", damaged);
      expect(await run()).toBe(2);
      expect(desk.err).toMatch(/^undecided +malformed: \S+: the state of your last audit: state/m);
      expect(await run("--full")).toBe(2);
      expect(desk.read("audit.json")).toBe(damaged);
    }
    desk.write("audit.json", new Uint8Array([0xff, 0xfe]));
    expect(await run()).toBe(2);
  });

  test("goes on at a running edge, and takes receipts from any capture", async () => {
    const live = await grow(await createWorld(), 3, 4);
    const online = new Desk(openEdge(live, () => new Response("")).send);
    online.variables.set("COUNTERFOIL_TOKEN", OPERATOR_TOKEN);
    online.write("trust.json", formatTrust(live.trust));
    const args = ["audit", live.trust.issuer, "--trust", "trust.json", "--state", "audit.json"];
    expect((await online.runJson(...args)).json).toMatchObject({ state: { isFirst: true, isSaved: true } });
    const [receipt] = await live.append({});
    await live.publish();
    online.write("receipt.jws", receipt!);
    const lagging = await online.runJson(...args, "--receipt", "receipt.jws", "--anchored-within", "60");
    expect(lagging).toMatchObject({
      code: 2,
      json: { outcome: "undecided", receipts: [{ coverage: "published" }], state: { isSaved: false } },
    });
    await live.anchor();
    expect(await online.run(...args, "--receipt", "receipt.jws")).toBe(0);
    expect(online.out).toMatch(/^receipt +index 8 of .*: under an anchor$/m);
  });
});
