// The auditor, on archives of the real writer: what is whole is proven, and whatever was altered, removed,
// replaced or signed anew is found and named.
import { beforeAll, describe, expect, test } from "vitest";
import { type AuditReport, audit } from "../../../src/client/audit.ts";
import { concatenate } from "../../../src/client/remote.ts";
import {
  digestAnchor,
  FIRST_ANCHOR_PREV,
  formatAnchorPath,
  issueAnchor,
  openAnchor,
} from "../../../src/receipt/anchor.ts";
import { formatHeader, parseEntry } from "../../../src/receipt/entry.ts";
import { encodeBase64 } from "../../../src/tlog/base64.ts";
import { decodeBundle, encodeBundle } from "../../../src/tlog/bundle.ts";
import { parseCheckpoint } from "../../../src/tlog/checkpoint.ts";
import { ED25519, makeNoteKey, parseNote } from "../../../src/tlog/note.ts";
import { formatTilePath, TILE_WIDTH, tilesBetween } from "../../../src/tlog/tile.ts";
import { emptyFrontier, extend, leafHash, rootOf } from "../../../src/tlog/tree.ts";
import { createWorld, fixedKey, LEDGER, ORIGIN, plainJti, type World } from "../../world.ts";
import { copyOf, flip, grow, hashLevels, type Objects, rewrite, signTree, viewOf } from "./archives.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the anchors pin; then comes what is published and not anchored. */
const SIZES = [2, 20, 270, 300, 530, 532];
const SIZE = 560;

let world: World;
/** All that it has published. */
let whole: Objects;

beforeAll(async () => {
  const genesis = 1;
  world = await grow(await createWorld(), ...SIZES.map((size, i) => size - (SIZES[i - 1] ?? genesis)));
  await world.append(...Array.from({ length: SIZE - SIZES.at(-1)! }, () => ({})));
  await world.publish();
  whole = copyOf(world);
});

type View = Parameters<typeof viewOf>[1];

/** Audits a copy of the archive after altering it. */
async function auditAltered(alter: (objects: Objects) => unknown, view: View = {}): Promise<AuditReport> {
  const objects = copyOf(world);
  await alter(objects);
  return audit({ archive: viewOf(objects, view), trust: world.trust });
}

/** The code and path of the first problem. */
function first({ outcome, problems }: AuditReport): string {
  const problem = problems[0];
  return problem === undefined ? outcome : `${outcome}: ${problem.fault.code} ${problem.path}`;
}

describe("an archive that nobody altered", () => {
  test("is proven, up to its newest entry, with every anchor", async () => {
    const report = await auditAltered(() => {});
    expect(report.problems).toEqual([]);
    expect(report.outcome).toBe("proven");
    expect(report.anchors).toMatchObject({
      count: 6,
      newest: { epoch: 5, time: expect.any(String) },
      locks: [{ kind: "none" }],
      stretches: [{ first: 0, last: 5, chained: true, locks: ["none"], witnesses: [] }],
    });
    expect(report.ledgers).toMatchObject([
      {
        name: LEDGER,
        origin: ORIGIN,
        published: SIZE,
        recomputed: SIZE,
        anchored: 532,
        entries: SIZE,
        open: [],
      },
    ]);
  });

  test("is proven without its entries, and the report says that they were not read", async () => {
    const report = await auditAltered(() => {}, { holdsEntries: false });
    expect(first(report)).toBe("proven");
    expect(report.ledgers).toMatchObject([{ recomputed: SIZE, anchored: 532, entries: undefined }]);
  });

  test("is proven when the archive tells of an older newest anchor than it has", async () => {
    expect((await auditAltered(() => {}, { latest: 2 })).anchors.newest?.epoch).toBe(5);
  });

  test("is proven when partial objects are gone of which there are full ones, and when they are still there", async () => {
    // The publisher lets those of a publication before go; this is what it looks like before and after.
    const report = await auditAltered(async objects => {
      for (const level of ["0", "entries"]) {
        const full = objects.get(`${LEDGER}/tile/${level}/001`)!;
        const start =
          level === "0" ? full.subarray(0, 44 * 32) : encodeBundle(decodeBundle(full, 256).slice(0, 44));
        objects.set(`${LEDGER}/tile/${level}/001.p/44`, start);
      }
    });
    expect(first(report)).toBe("proven");
    expect([...whole.keys()]).not.toContain(`${LEDGER}/tile/0/001.p/44`);
  });

  test("is tampered with when such a partial object is there and wrong", async () => {
    const path = `${LEDGER}/tile/0/001.p/44`;
    const report = await auditAltered(objects => {
      objects.set(path, objects.get(`${LEDGER}/tile/0/001`)!.slice(0, 44 * 32));
      flip(objects, path, 0);
    });
    expect(first(report)).toBe(`wrong: tampered ${path}`);
  });

  test("is proven when nothing was published since the last anchor", async () => {
    const small = await grow(await createWorld(), 255, 256);
    const report = await audit({ archive: viewOf(copyOf(small)), trust: small.trust });
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]).toMatchObject({ recomputed: 512, anchored: 512 });
  });

  test("is proven before there is an anchor", async () => {
    const young = await createWorld();
    await young.append({}, {});
    await young.publish();
    const report = await audit({ archive: viewOf(copyOf(young)), trust: young.trust });
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]).toMatchObject({ recomputed: 3, anchored: 0 });
  });
});

describe("one byte changed", () => {
  /** Places spread over an object: its ends, its middle, and some between. */
  const spread = (length: number): number[] => [0, length >> 2, length >> 1, length - 1];

  test.each([true, false])(
    "in any stored object is found and named by its path (entries read: %s)",
    async holdsEntries => {
      const small = await grow(await createWorld(), 1, 2, 254, 8);
      for (const count of [2, 1, 3]) {
        await small.append(...Array.from({ length: count }, () => ({})));
        await small.publish();
      }
      for (const [path, { length }] of copyOf(small)) {
        if (!holdsEntries && path.includes("/entries/")) continue;
        for (const at of new Set(spread(length))) {
          const objects = copyOf(small);
          flip(objects, path, at);
          const report = await audit({ archive: viewOf(objects, { holdsEntries }), trust: small.trust });
          // The name of another key might be that of a new one, which this trust document is too old for.
          const isUnknown = report.problems[0]?.fault.code === "unknown-key";
          expect(
            [report.outcome, report.problems.map(problem => problem.path)],
            `${path}, byte ${at}`,
          ).toEqual([isUnknown ? "undecided" : "wrong", [path]]);
        }
      }
    },
    60_000,
  );

  test("in an entry is tampering at that entry's index, and at no other's", async () => {
    const path = `${LEDGER}/tile/entries/001`;
    const offset = decodeBundle(whole.get(path)!, 256)[5]!.byteOffset + 200;
    const { problems } = await auditAltered(objects => flip(objects, path, offset));
    expect(problems.map(({ fault, path, ledger }) => [fault.code, fault.index, path, ledger])).toEqual([
      ["tampered", 261, path, LEDGER],
    ]);
  });

  test("in a level-0 tile is tampering in the tile, and the entry stays unsuspected", async () => {
    const { problems } = await auditAltered(objects => flip(objects, `${LEDGER}/tile/0/001`, 32 * 7));
    expect(problems.map(({ fault, path }) => [fault.code, fault.index, path])).toEqual([
      ["tampered", 263, `${LEDGER}/tile/0/001`],
    ]);
  });

  test("in a tile above is tampering in that tile", async () => {
    const { problems } = await auditAltered(objects => flip(objects, `${LEDGER}/tile/1/000.p/2`, 33));
    expect(problems.map(({ fault, path }) => [fault.code, fault.index, path])).toEqual([
      ["tampered", 256, `${LEDGER}/tile/1/000.p/2`],
    ]);
  });

  test("in the signature of the checkpoint is a bad signature", async () => {
    const path = `${LEDGER}/checkpoint`;
    const report = await auditAltered(objects => flip(objects, path, objects.get(path)!.length - 10));
    expect(first(report)).toBe(`wrong: bad-signature ${path}`);
    expect(report.ledgers[0]).toMatchObject({ published: undefined, recomputed: 532, anchored: 532 });
  });

  test("in the payload of an anchor is a bad signature", async () => {
    const text = decoder.decode(whole.get(formatAnchorPath(3)));
    const report = await auditAltered(objects =>
      flip(objects, formatAnchorPath(3), text.lastIndexOf(".") - 40),
    );
    expect(first(report)).toBe(`wrong: bad-signature ${formatAnchorPath(3)}`);
    expect(report.problems[0]!.epoch).toBe(3);
  });
});

describe("what is missing", () => {
  test("is named for every object whose absence nothing makes up for", async () => {
    for (const path of whole.keys()) {
      const tile = /^main\/(tile\/.*)\.p\/\d+$/.exec(path)?.[1];
      if (path === formatAnchorPath(5) || (tile !== undefined && whole.has(`${LEDGER}/${tile}`))) continue;
      const report = await auditAltered(objects => objects.delete(path));
      expect([report.outcome, report.problems[0]?.path], path).toEqual(["wrong", path]);
      expect(["missing", "truncated"], path).toContain(report.problems[0]?.fault.code);
    }
  });

  test("in the middle is missing", async () => {
    for (const level of ["0", "entries"]) {
      const path = `${LEDGER}/tile/${level}/001`;
      expect(first(await auditAltered(objects => objects.delete(path)))).toBe(`wrong: missing ${path}`);
    }
  });

  test("from some entry on is a truncated tail", async () => {
    const report = await auditAltered(objects => {
      for (const path of objects.keys()) if (/\/(entries|0)\/00[12]/.test(path)) objects.delete(path);
    });
    const found = report.problems.map(({ fault, path }) => `${fault.code} ${fault.index} ${path}`);
    expect(found.sort()).toEqual([
      `truncated 256 ${LEDGER}/tile/0/001`,
      `truncated 256 ${LEDGER}/tile/entries/001`,
    ]);
    expect(report.ledgers[0]).toMatchObject({ recomputed: 20 });
  });

  test.each([
    [[2], "missing"],
    [[1, 2, 3, 4], "missing"],
    [[0], "missing"],
    [[0, 1, 2, 3, 4], "missing"],
  ])("among the anchors, %j, is %s", async (epochs, code) => {
    const report = await auditAltered(objects => {
      for (const epoch of epochs) objects.delete(formatAnchorPath(epoch));
    });
    expect(first(report)).toBe(`wrong: ${code} ${formatAnchorPath(epochs[0]!)}`);
    expect(report.problemCount).toBe(1);
    expect(report.anchors.count).toBe(6 - epochs.length);
  });

  test("at the end of the anchors is truncated when the archive tells of a newer one", async () => {
    const cut = (objects: Objects) => [4, 5].map(epoch => objects.delete(formatAnchorPath(epoch)));
    expect(first(await auditAltered(cut, { latest: 5 }))).toBe(`wrong: truncated ${formatAnchorPath(4)}`);
  });

  test("at the end of the anchors is truncated when the auditor kept a newer one", async () => {
    const objects = copyOf(world);
    const keptAnchor = decoder.decode(objects.get(formatAnchorPath(4)));
    for (const epoch of [3, 4, 5]) objects.delete(formatAnchorPath(epoch));
    const report = await audit({ archive: viewOf(objects), trust: world.trust, keptAnchor });
    expect(first(report)).toBe(`wrong: truncated ${formatAnchorPath(3)}`);
  });

  test("behind a gap of anchors wider than anything that is probed is found by what the archive tells", async () => {
    const far = await signAnchor(30, {});
    const report = await auditAltered(objects => objects.set(formatAnchorPath(30), far), { latest: 30 });
    expect(first(report)).toBe(`wrong: missing ${formatAnchorPath(6)}`);
    expect(report.problems[0]!.fault.message).toContain("up to epoch 29");
  });

  test("is not gone through one by one for an epoch that no archive has reached", async () => {
    const report = await auditAltered(() => {}, { latest: Number.MAX_SAFE_INTEGER });
    expect(first(report)).toBe(`wrong: truncated ${formatAnchorPath(6)}`);
  });
});

describe("a ledger that was rewritten by someone who has the checkpoint key", () => {
  test("is forked at the first anchor that pins the old one", async () => {
    const report = await auditAltered(objects => rewrite(objects, 150));
    expect(first(report)).toBe(`wrong: forked ${formatAnchorPath(2)}`);
    expect(report.problems.map(({ epoch }) => epoch)).toEqual([2, 3, 4, 5]);
  });

  test("is forked without its entries, too", async () => {
    const report = await auditAltered(objects => rewrite(objects, 150), { holdsEntries: false });
    expect(first(report)).toBe(`wrong: forked ${formatAnchorPath(2)}`);
  });

  test("is rolled back when its checkpoint is smaller than the anchored tree", async () => {
    const report = await auditAltered(async objects => {
      objects.set(`${LEDGER}/checkpoint`, await signTree(531, (await openPin(4)).root));
    });
    expect(first(report)).toBe(`wrong: rolled-back ${LEDGER}/checkpoint`);
    expect(report.problems[0]!.fault).toMatchObject({
      expected: "at least 532 entries",
      found: "531 entries",
    });
  });

  test("is forked when its checkpoint has another root at the anchored size", async () => {
    const report = await auditAltered(async objects => {
      objects.set(`${LEDGER}/checkpoint`, await signTree(532, (await openPin(4)).root));
    });
    expect(first(report)).toBe(`wrong: forked ${LEDGER}/checkpoint`);
  });
});

describe("a ledger that was rewritten by someone who has no key", () => {
  test("does not lead to any signed root, from the last good one on", async () => {
    const report = await auditAltered(async objects => {
      const checkpoint = objects.get(`${LEDGER}/checkpoint`)!;
      await rewrite(objects, 350);
      objects.set(`${LEDGER}/checkpoint`, checkpoint);
    });
    expect(first(report)).toBe(`wrong: tampered ${formatAnchorPath(4)}`);
    expect(report.problems[0]!.fault.index).toBe(300);
    expect(report.ledgers[0]).toMatchObject({ recomputed: 300 });
  });
});

describe("entries that the ledger itself committed to", () => {
  const cases = [
    ["broken-chain", { prev: "A".repeat(43) }],
    ["misplaced", { index: 7 }],
    ["wrong-origin", { origin: "api.example.com/audit/other" }],
    ["back-dated", { at: "2020-01-01T00:00:00.000Z" }],
  ] as const;

  test.each(cases)("are %s when their header says so", async (code, change) => {
    const report = await auditAltered(objects =>
      rewrite(objects, 542, entry => {
        const [header, record] = entry.split(".") as [string, string];
        const changed = formatHeader({ ...parseEntry(entry).header, ...change });
        return header === changed ? entry : `${changed}.${record}`;
      }),
    );
    expect(report.problems[0]).toMatchObject({ fault: { code, index: 542 }, ledger: LEDGER });
    expect(report.problems[0]!.path).toBe(`${LEDGER}/tile/entries/002.p/48`);
  });

  test("are malformed when they are no entries", async () => {
    const report = await auditAltered(objects => rewrite(objects, 542, () => "what is this?"));
    expect(report.problems[0]).toMatchObject({ fault: { code: "malformed", index: 542 } });
  });
});

describe("an anchor by someone who has the anchor key", () => {
  test("breaks the chain when it names another before it", async () => {
    const report = await auditAltered(async objects =>
      objects.set(formatAnchorPath(5), await signAnchor(5, { prev: "A".repeat(43) })),
    );
    expect(first(report)).toBe(`wrong: broken-anchor-chain ${formatAnchorPath(5)}`);
  });

  test("breaks the chain where the one before it was replaced", async () => {
    const report = await auditAltered(async objects =>
      objects.set(formatAnchorPath(3), await signAnchor(3, { time: "2026-11-21T06:00:00.000Z" })),
    );
    expect(first(report)).toBe(`wrong: broken-anchor-chain ${formatAnchorPath(4)}`);
  });

  test("breaks the chain when it stands at another epoch's place", async () => {
    const report = await auditAltered(objects =>
      objects.set(formatAnchorPath(2), whole.get(formatAnchorPath(3))!),
    );
    expect(first(report)).toBe(`wrong: broken-anchor-chain ${formatAnchorPath(2)}`);
  });

  test("is forked when it is not the one that the auditor kept", async () => {
    const objects = copyOf(world);
    const keptAnchor = decoder.decode(objects.get(formatAnchorPath(5)));
    objects.set(formatAnchorPath(5), await signAnchor(5, { time: "2026-11-21T06:00:00.000Z" }));
    const report = await audit({ archive: viewOf(objects), trust: world.trust, keptAnchor });
    expect(first(report)).toBe(`wrong: forked ${formatAnchorPath(5)}`);
  });

  test.each([
    ["another size than its checkpoint", { size: 531 }, "malformed"],
    ["another chain head than the last entry", { head: "A".repeat(43) }, "broken-chain"],
  ])("is found out when it pins %s", async (_, change, code) => {
    const report = await auditAltered(async objects => {
      const pin = { ...(await openPin(5)), ...change };
      objects.set(formatAnchorPath(5), await signAnchor(5, { ledgers: [pin] }));
    });
    expect(first(report)).toBe(`wrong: ${code} ${formatAnchorPath(5)}`);
  });

  test("is rolled back when it pins a smaller tree than the one before it", async () => {
    const report = await auditAltered(async objects =>
      objects.set(formatAnchorPath(5), await signAnchor(5, { ledgers: [await openPin(2)] })),
    );
    expect(first(report)).toBe(`wrong: rolled-back ${formatAnchorPath(5)}`);
  });

  test("is of the wrong origin when it names another issuer", async () => {
    const report = await auditAltered(async objects =>
      objects.set(formatAnchorPath(5), await signAnchor(5, { iss: "https://other.example.com" })),
    );
    expect(first(report)).toBe(`wrong: wrong-origin ${formatAnchorPath(5)}`);
  });

  test("may pin a ledger that the trust document does not name, which is told and not audited", async () => {
    const report = await auditAltered(async objects => {
      const { root, size } = await openPin(5);
      const origin = "api.example.com/audit/new";
      const checkpoint = decoder.decode(await signTree(size, root, origin));
      const other = { ...(await openPin(5)), origin, checkpoint };
      objects.set(formatAnchorPath(5), await signAnchor(5, { ledgers: [await openPin(5), other] }));
    });
    expect(first(report)).toBe("proven");
    expect(report.unnamedOrigins).toEqual(["api.example.com/audit/new"]);
  });
});

describe("what is no contradiction", () => {
  test("an exchange without an ending is told, with its newest stage", async () => {
    const small = await createWorld();
    const [a, b, c] = [plainJti(1), plainJti(2), plainJti(3)];
    await small.append(
      { jti: a, stage: "received" },
      { jti: b, stage: "received" },
      { jti: a, stage: "started" },
      { jti: c, stage: "received" },
      { jti: c, stage: "failed" },
    );
    await small.publish();
    await small.append({ jti: b, stage: "complete" });
    await small.publish();
    const report = await audit({ archive: viewOf(copyOf(small)), trust: small.trust });
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]!.open).toEqual([{ jti: a, stage: "started", index: 3, at: expect.any(String) }]);
  });

  test("a trust document about somebody else leaves everything undecided", async () => {
    const [anchor, checkpoint] = await Promise.all([fixedKey("x"), fixedKey("y")]);
    const trust = {
      ...world.trust,
      anchorKeys: [anchor.publicJwk],
      ledgers: [{ name: LEDGER, origin: ORIGIN, keys: [makeNoteKey(ORIGIN, ED25519, checkpoint.publicKey)] }],
    };
    expect((await audit({ archive: viewOf(whole), trust })).outcome).toBe("undecided");
  });

  test("an empty archive is nothing to audit", async () => {
    const nothing = audit({ archive: viewOf(new Map()), trust: world.trust });
    await expect(nothing).rejects.toMatchObject({ name: "Undecided", message: "there is nothing to audit" });
  });
});

describe("a tree with a full tile of level 1", () => {
  const size = 2 * TILE_WIDTH ** 2 + 3 * TILE_WIDTH + 9;
  let objects: Objects;

  beforeAll(async () => {
    objects = await makeTiles(size);
  });

  const auditTiles = (altered: Objects) =>
    audit({ archive: viewOf(altered, { holdsEntries: false }), trust: world.trust });

  test("is proven from its tiles alone", async () => {
    const report = await auditTiles(objects);
    expect(first(report)).toBe("proven");
    expect(report.ledgers[0]!.recomputed).toBe(size);
  });

  test("is gone on with from within it, by its tiles alone", async () => {
    const older = TILE_WIDTH ** 2 + 44;
    const before = await makeTiles(older);
    const anchor = await pinTree(before, 0, older);
    before.set(formatAnchorPath(0), anchor);
    const view = (objects: Objects) => ({
      archive: viewOf(objects, { holdsEntries: false }),
      trust: world.trust,
    });
    const { state } = await audit(view(before));
    const after = new Map([...before, ...objects]);
    after.set(formatAnchorPath(1), await pinTree(after, 1, size, digestAnchor(decoder.decode(anchor))));
    const report = await audit({ ...view(after), state: state! });
    expect(report.problems).toEqual([]);
    expect(report.ledgers[0]).toMatchObject({ from: TILE_WIDTH ** 2, recomputed: size, anchored: size });
    expect(report.state).toBe((await audit(view(after))).state);
  }, 20_000);

  test.each([
    "tile/0/000",
    "tile/0/300",
    "tile/0/515.p/9",
    "tile/1/000",
    "tile/1/001",
    "tile/1/002.p/3",
    "tile/2/000.p/2",
  ])(
    "is tampered with where a byte of %s was changed",
    async path => {
      const altered = new Map([...objects].map(([name, bytes]) => [name, bytes.slice()]));
      flip(altered, `${LEDGER}/${path}`, 40);
      const { problems } = await auditTiles(altered);
      expect(problems.map(problem => [problem.fault.code, problem.path])).toEqual([
        ["tampered", `${LEDGER}/${path}`],
      ]);
    },
    20_000,
  );
});

/** The pin of an anchor of the world. */
async function openPin(epoch: number) {
  const text = decoder.decode(whole.get(formatAnchorPath(epoch)));
  return (await openAnchor(text, world.trust.anchorKeys)).payload.ledgers[0]!;
}

/** An anchor like the world's last one, but for some members, signed with the anchor key. */
async function signAnchor(epoch: number, members: object): Promise<Uint8Array> {
  const text = decoder.decode(whole.get(formatAnchorPath(Math.min(epoch, 5))));
  const { payload } = await openAnchor(text, world.trust.anchorKeys);
  return encoder.encode(await issueAnchor({ ...payload, epoch, ...members }, await fixedKey("anchor")));
}

/** An anchor that pins the tree of `makeTiles`. */
async function pinTree(objects: Objects, epoch: number, size: number, prev = FIRST_ANCHOR_PREV) {
  const checkpoint = decoder.decode(objects.get(`${LEDGER}/checkpoint`));
  const { root } = parseCheckpoint(parseNote(checkpoint).text);
  const head = Buffer.from(leafHash(encoder.encode(String(size - 1)))).toString("base64url");
  const pin = { origin: ORIGIN, size, root: encodeBase64(root), head, checkpoint };
  const time = `2026-11-21T06:00:0${epoch}.000Z`;
  const lock = { kind: "none" };
  const payload = { v: 1, iss: world.trust.issuer, epoch, time, prev, ledgers: [pin], lock };
  return encoder.encode(await issueAnchor(payload, await fixedKey("anchor")));
}

/** The hash tiles and the checkpoint of a tree of leaves that are nobody's entries. */
async function makeTiles(size: number): Promise<Objects> {
  const leaves = Array.from({ length: size }, (_, i) => leafHash(encoder.encode(String(i))));
  const levels = hashLevels(leaves);
  const made: Objects = new Map();
  for (const tile of tilesBetween(0, size)) {
    if (tile.level === "entries") continue;
    const hashes = levels[tile.level]!.slice(tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width);
    made.set(`${LEDGER}/${formatTilePath(tile)}`, concatenate(hashes));
  }
  const root = encodeBase64(rootOf(extend(emptyFrontier(), leaves)));
  return made.set(`${LEDGER}/checkpoint`, await signTree(size, root));
}
