// Promises that an audit is given: whether the ledger has kept them is told by its entries under a signed root, and
// is left open while the record could be where nobody has looked.
import { beforeEach, describe, expect, test } from "vitest";
import { retire } from "../../../durable/retention.ts";
import { type AuditReport, audit } from "../../../src/client/audit.ts";
import { makeJti } from "../../../src/receipt/jti.ts";
import { issuePromise } from "../../../src/receipt/promise.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { encodeBundle } from "../../../src/tlog/bundle.ts";
import { createWorld, fixedKey, ISSUER, LEDGER, ORIGIN, START_MS, type World } from "../../world.ts";
import { copyOf, type Objects, viewOf } from "./archives.ts";
import { Desk } from "./desk.ts";

const DAY_MS = 24 * 3600 * 1000;

let world: World;
let now: number;

beforeEach(async () => {
  world = await createWorld();
  now = START_MS;
});

function tick(ms: number): void {
  now += ms;
  world.tick(ms);
}

/** A record of the n-th exchange that began at a time. */
function record(n: number, more: object = {}, began = START_MS): string {
  const time = new Date(began).toISOString();
  const jti = makeJti(began, new Uint8Array(16).fill(n));
  return JSON.stringify({
    iss: ISSUER,
    jti,
    iat: Math.floor(began / 1000),
    time,
    stage: "complete",
    ...more,
  });
}

const promiseOf = (text: string, seconds = 60) => issuePromise(text, ORIGIN, seconds, world.receiptKey);
const by = (seconds: number, began = START_MS) => new Date(began + seconds * 1000).toISOString();

async function settle(): Promise<void> {
  await world.publish();
  await world.anchor();
}

interface Sight {
  readonly holdsEntries?: boolean;
  readonly alter?: (objects: Objects) => void;
}

function auditWith(
  promises: readonly string[],
  { holdsEntries = true, alter }: Sight = {},
): Promise<AuditReport> {
  const objects = copyOf(world);
  alter?.(objects);
  return audit({ archive: viewOf(objects, { holdsEntries }), trust: world.trust, promises });
}

const codesOf = ({ problems }: AuditReport) => problems.map(({ fault }) => fault.code);

describe("a promise is kept", () => {
  test("by the entry with its record, taken at the last moment, and whatever the ledger's newest time is", async () => {
    tick(60_000);
    await world.append({}, record(1), {});
    await settle();
    const promise = await promiseOf(record(1));
    const report = await auditWith([promise]);
    expect(report.problems).toEqual([]);
    expect(report.outcome).toBe("proven");
    expect(report.promises).toEqual([
      {
        origin: ORIGIN,
        jti: JSON.parse(record(1)).jti,
        step: "complete",
        by: by(60),
        state: "kept",
        index: 2,
      },
    ]);
    tick(DAY_MS);
    await world.append({});
    await settle();
    expect((await auditWith([promise])).outcome).toBe("proven");
  });

  test("also beside another record of the same exchange", async () => {
    await world.append(record(1, { stage: "received" }), record(1));
    await settle();
    const both = [await promiseOf(record(1)), await promiseOf(record(1, { stage: "received" }))];
    const { outcome, promises } = await auditWith(both);
    expect(outcome).toBe("proven");
    expect(promises.map(({ step, index }) => [step, index])).toEqual([
      ["complete", 2],
      ["received", 1],
    ]);
  });
});

describe("a promise is broken", () => {
  test("when the ledger has gone on beyond its time without it; the proof names all that it rests on", async () => {
    await world.append(...Array.from({ length: 300 }, () => ({})));
    tick(60_001);
    await world.append({});
    await settle();
    const { outcome, problems, promises } = await auditWith([await promiseOf(record(1))]);
    expect(outcome).toBe("wrong");
    expect(promises).toMatchObject([{ state: "broken" }]);
    expect(problems).toMatchObject([{ ledger: LEDGER, path: `${LEDGER}/checkpoint` }]);
    const { code, message, expected, found } = problems[0]!.fault;
    expect(code).toBe("broken-promise");
    expect(message).toContain(`complete of ${JSON.parse(record(1)).jti} was promised by ${by(60)}`);
    expect(expected).toContain(by(60));
    expect(found).toBe(
      `none in the signed tree of 302 entries, the newest of ${new Date(now).toISOString()}`,
    );
  });

  test("by its record, taken a millisecond late", async () => {
    tick(60_001);
    await world.append(record(1));
    await settle();
    const { outcome, problems } = await auditWith([await promiseOf(record(1))]);
    expect(outcome).toBe("wrong");
    expect(problems[0]!.fault).toMatchObject({ code: "broken-promise", found: new Date(now).toISOString() });
    expect(problems[0]!.fault.message).toContain("taken later than was promised");
    expect(problems[0]!.fault.index).toBe(1);
  });

  test("by another record of the same step, also before its time has come", async () => {
    await world.append(record(1, { ms: 7 }));
    await settle();
    const { problems } = await auditWith([await promiseOf(record(1))]);
    expect(problems[0]!.fault).toMatchObject({ code: "broken-promise", index: 1 });
    expect(problems[0]!.fault.message).toContain("has another record than was promised");
  });

  test("each of several, while others are kept or left open", async () => {
    await world.append(record(1));
    tick(61_000);
    await world.append(record(2));
    await settle();
    const given = [record(1), record(2), record(3)].map(text => promiseOf(text));
    const report = await auditWith(await Promise.all([...given, promiseOf(record(4), 3600)]));
    expect(report.promises.map(({ state }) => state)).toEqual(["kept", "broken", "broken", "undecided"]);
    expect(codesOf(report)).toEqual(["broken-promise", "broken-promise"]);
    expect(report.outcome).toBe("wrong");
  });
});

describe("a promise is left open", () => {
  /** Nothing is wrong, and one promise is undecided. @returns why. */
  function doubtOf({ outcome, problems, promises }: AuditReport) {
    expect(problems).toEqual([]);
    expect(outcome).toBe("undecided");
    expect(promises).toMatchObject([{ state: "undecided" }]);
    return promises[0]!.doubt;
  }

  test("while the newest entry is not later than its time, to the millisecond", async () => {
    tick(60_000);
    await world.append({});
    await settle();
    const promise = await promiseOf(record(1));
    expect(doubtOf(await auditWith([promise]))).toMatchObject({ code: "not-yet-included" });
    tick(1);
    await world.append({});
    // An entry that nobody has signed for counts for nothing.
    expect(doubtOf(await auditWith([promise]))).toMatchObject({ code: "not-yet-included" });
    await world.publish();
    expect(codesOf(await auditWith([promise]))).toEqual(["broken-promise"]);
  });

  test("when the archive does not give its entries out", async () => {
    tick(61_000);
    await world.append({});
    await settle();
    const doubt = doubtOf(await auditWith([await promiseOf(record(1))], { holdsEntries: false }));
    expect(doubt?.reason).toContain("operator's token");
  });

  /** Lets the first bundle of 256 entries go, as its retention has ended. */
  async function prune(): Promise<void> {
    await world.append({});
    await settle();
    tick(42 * DAY_MS);
    await world.append({});
    await settle();
    const options = { ledger: world.ledger, archive: world.archive, name: LEDGER, retentionMs: 40 * DAY_MS };
    for (let more = true; more; await world.publish()) more = await retire(options);
    await settle();
    expect(world.archive.objects.has(`${LEDGER}/tile/entries/000`)).toBe(false);
  }

  test("when its record may be among entries that are pruned", async () => {
    await world.append(record(1), ...Array.from({ length: 299 }, () => ({})));
    await prune();
    const doubt = doubtOf(await auditWith([await promiseOf(record(1))]));
    expect(doubt).toEqual({
      code: "pruned",
      reason: "it may have been among entries 0 to 255, whose retention has ended",
    });
  });

  test("but not when all that is pruned was taken long before the exchange began", async () => {
    await world.append(...Array.from({ length: 300 }, () => ({})));
    const [near, far] = [START_MS + 3_600_000, START_MS + 3_600_001];
    await prune();
    expect(doubtOf(await auditWith([await promiseOf(record(1, {}, near))]))).toMatchObject({
      code: "pruned",
    });
    expect(codesOf(await auditWith([await promiseOf(record(1, {}, far))]))).toEqual(["broken-promise"]);
  });

  test("when an entry that was altered hides what it said, which is a problem of its own", async () => {
    await world.append(record(1), ...Array.from({ length: 299 }, () => ({})));
    tick(61_000);
    await world.append({});
    await settle();
    const path = `${LEDGER}/tile/entries/000`;
    const report = await auditWith([await promiseOf(record(1))], {
      alter: objects => {
        const texts = world.ledger.store.entries(0, 256).map(({ text }) => new TextEncoder().encode(text));
        texts[1] = texts[2]!;
        objects.set(path, encodeBundle(texts));
      },
    });
    expect(report.problems).toMatchObject([{ fault: { code: "tampered" }, path }]);
    expect(report.promises).toMatchObject([{ state: "undecided" }]);
  });

  test.each([
    ["would break it", record(1), record(1, { ms: 7 })],
    ["would keep it", record(2), record(1)],
  ])("when the entry that %s is under no signed root", async (_, signed, shown) => {
    const other = await createWorld();
    await other.append(shown);
    await other.publish();
    await world.append(signed);
    await settle();
    const report = await auditWith([await promiseOf(record(1))], {
      alter: objects => {
        // Entries and their hashes are those of another ledger's storage: nothing but the signed root tells.
        for (const level of ["0", "entries"]) {
          const path = `${LEDGER}/tile/${level}/000.p/2`;
          objects.set(path, other.archive.objects.get(path)!);
        }
      },
    });
    expect(codesOf(report)).toContain("tampered");
    expect(codesOf(report)).not.toContain("broken-promise");
    expect(report.promises).toMatchObject([{ state: "undecided" }]);
  });
});

describe("a promise says nothing", () => {
  test.each<[string, () => Promise<string>, string]>([
    [
      "when a stranger has signed it",
      async () => issuePromise(record(1), ORIGIN, 1, await fixedKey("stranger")),
      "unknown-key",
    ],
    [
      "when it was altered",
      async () =>
        (await promiseOf(record(1), 1)).replace(
          /.(.{8})$/,
          (last, rest) => (last[0] === "A" ? "B" : "A") + rest,
        ),
      "bad-signature",
    ],
    [
      "about a ledger that the trust document does not name",
      () => issuePromise(record(1), "api.example.com/audit/other", 1, world.receiptKey),
      "wrong-origin",
    ],
  ])("%s", async (_, make, code) => {
    tick(61_000);
    await world.append({});
    await settle();
    await expect(auditWith([await make()])).rejects.toMatchObject({ name: "Undecided", code });
  });
});

describe("counterfoil audit --promise", () => {
  test("says what became of each, from a file with the promise or the response that it came with", async () => {
    await world.append(record(1));
    tick(61_000);
    await world.append({});
    await settle();
    const desk = new Desk();
    for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
    desk.write("copy/trust", formatTrust(world.trust));
    desk.write("kept.jws", await promiseOf(record(1)));
    desk.write("open.jws", await promiseOf(record(3), 3600));
    const response = `HTTP/1.1 200 OK\r\naudit-promise: ${await promiseOf(record(2))}\r\n\r\nhello`;
    desk.write("response.txt", response);

    expect(await desk.run("audit", "copy", "--promise", "kept.jws")).toBe(0);
    expect(desk.out).toMatch(/^promise +complete of \S+, by \S+: kept by entry 1$/m);
    expect(await desk.run("audit", "copy", "--promise", "kept.jws", "--promise", "open.jws")).toBe(2);
    expect(desk.out).toMatch(/^undecided +all that was read holds together, but not whether 1 of 2 promises/);
    expect(desk.out).toMatch(/^promise .*: undecided \(not-yet-included\): it may still come in time/m);
    const { code, json } = await desk.runJson("audit", "copy", "--promise", "response.txt");
    expect(code).toBe(1);
    expect(json).toMatchObject({
      outcome: "wrong",
      promises: [{ state: "broken", by: by(60) }],
      problems: [{ code: "broken-promise" }],
    });
  });

  test("cannot tell of a file without a promise", async () => {
    const [receipt] = await world.append(record(1));
    await settle();
    const desk = new Desk();
    for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
    desk.write("copy/trust", formatTrust(world.trust));
    desk.write("receipt.jws", receipt!);
    expect(await desk.run("audit", "copy", "--promise", "receipt.jws")).toBe(2);
    expect(desk.err).toContain("there is no promise in it");
  });
});
