// The report that an auditor hands in, and audits that are interrupted.
import { beforeEach, describe, expect, test } from "vitest";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { createWorld, LEDGER, plainJti, type World } from "../../world.ts";
import { copyOf, flip, grow } from "./archives.ts";
import { Desk } from "./desk.ts";

let world: World;
let desk: Desk;

beforeEach(async () => {
  world = await createWorld();
  desk = new Desk();
  desk.write("trust.json", formatTrust(world.trust));
});

function keepCopy(): void {
  for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
}

const audit = (...more: string[]) => desk.run("audit", "copy", "--trust", "trust.json", ...more);

describe("counterfoil audit --report", () => {
  test("writes one page that loads nothing, with all that the JSON has", async () => {
    await grow(world, 20, 30);
    await world.append({ jti: plainJti(900), stage: "started", time: "2026-11-21T05:22:20.000Z" });
    await world.ledger.control({ type: "private-read", by: "operator" });
    await grow(world, 10);
    keepCopy();
    expect(await audit("--report", "out.html", "--json")).toBe(0);
    const page = desk.read("out.html");
    expect(page).toContain("default-src &#39;none&#39;".replaceAll("&#39;", "'"));
    expect(page).not.toMatch(/<script|<img|<link|@import|url\(|\son\w+=|https?:\/\/(?!api\.example\.com)/);
    const json = JSON.parse(desk.out) as {
      inputs: { sha256: string }[];
      ledgers: { control: { count: number }; clocks: object[]; open: number }[];
      anchors: { points: { time: string }[] };
    };
    expect(json.ledgers[0]).toMatchObject({ open: 1, control: { count: 2 } });
    expect(json.ledgers[0]!.clocks.length).toBeGreaterThan(0);
    for (const text of [
      ...[json.inputs[0]!.sha256, json.anchors.points[0]!.time, plainJti(900), "private-read"],
      ...["counterfoil audit copy --trust trust.json", "Proven: all that was read holds together", "<svg"],
    ])
      expect(page).toContain(text);
  });

  test("tells the verdict of an audit whose page could not be written", async () => {
    await grow(world, 3);
    keepCopy();
    desk.unwritable.add("no/out.html");
    expect(await audit("--report", "no/out.html")).toBe(2);
    expect(desk.out).toMatch(
      /^undecided +the report could not be written: no\/out\.html: cannot be written\nproven /,
    );
    flip(desk.files as Map<string, Uint8Array>, `copy/${LEDGER}/tile/entries/000.p/4`, 60);
    expect(await audit("--report", "no/out.html")).toBe(1);
    expect(desk.out).toMatch(/^wrong +tampered: .*\nnote +the report could not be written: /s);
  });

  test("takes no exchange for open that ended before it began", async () => {
    await world.append({ jti: plainJti(901), stage: "rejected" });
    await world.append({ jti: plainJti(901), stage: "received" });
    await grow(world, 1);
    keepCopy();
    expect(await audit()).toBe(0);
    expect(desk.out).not.toContain("no ending");
  });

  test("has every problem with what it means", async () => {
    await grow(world, 20, 30);
    keepCopy();
    flip(desk.files as Map<string, Uint8Array>, `copy/${LEDGER}/tile/entries/000.p/21`, 60);
    desk.files.delete("copy/anchors/0000000000.jws");
    expect(await audit("--report", "out.html")).toBe(1);
    expect(desk.out).toMatch(/^report +out\.html$/m);
    for (const text of [
      "Something is wrong",
      "<code>missing</code>",
      "that the archive must hold is not there",
    ]) {
      expect(desk.read("out.html")).toContain(text);
    }
  });

  test("shows what is hostile as text", async () => {
    const hostile = `</style><script>alert(1)</script>"'&\u202e\u0000`;
    await grow(world, 1);
    world.tick(5000);
    expect(await world.ledger.control({ type: hostile, says: hostile })).toHaveProperty("index");
    await grow(world, 3);
    keepCopy();
    expect(await audit("--report", "out.html")).toBe(0);
    const page = desk.read("out.html");
    expect(page).toContain("&#60;script&#62;alert(1)");
    expect(page).not.toContain("<script");
    for (const character of ["\u202e", "\u0000"]) expect(page).not.toContain(character);
    expect(page.match(/<\/style>/g)).toHaveLength(1);
  });
});

describe("an audit that was interrupted", () => {
  /** Runs an audit that breaks off when it comes to an anchor. Enough time goes by between two reads to keep progress. */
  async function interrupt(epoch: string): Promise<void> {
    const { files } = desk;
    const get = files.get.bind(files);
    let reads = 0;
    files.get = path => {
      desk.nowMs += 5000;
      // The newest anchor is looked at before all others, and read again when its turn comes.
      if (path === `copy/anchors/${epoch}.jws` && ++reads === 2) throw new Error("killed");
      return get(path);
    };
    expect(await audit("--state", "audit.json")).toBe(2);
    files.get = get;
  }

  test("is gone on with from the last anchor that it had come to", async () => {
    await grow(world, 300, 300, 300, 300);
    keepCopy();
    await interrupt("0000000003");
    expect(desk.files.has("audit.json.progress")).toBe(true);
    expect(desk.files.has("audit.json")).toBe(false);
    const { code, json } = await desk.runJson(
      "audit",
      "copy",
      "--trust",
      "trust.json",
      "--state",
      "audit.json",
    );
    expect(code).toBe(0);
    expect(json.state).toMatchObject({ isResumed: true, isSaved: true });
    const [ledger] = json.ledgers as { from: number; entries: number; recomputed: number }[];
    expect(ledger!.from).toBeGreaterThanOrEqual(512);
    expect(ledger!.entries).toBeLessThan(500);
    expect(ledger!.recomputed).toBe(1201);
    expect(desk.files.has("audit.json.progress")).toBe(false);
    expect(desk.files.has("audit.json")).toBe(true);
  });

  test("still finds what was altered after the place where it was interrupted", async () => {
    await grow(world, 300, 300, 300, 300);
    keepCopy();
    await interrupt("0000000003");
    flip(desk.files as Map<string, Uint8Array>, `copy/${LEDGER}/tile/entries/003`, 700);
    expect(await audit("--state", "audit.json")).toBe(1);
    expect(desk.files.has("audit.json")).toBe(false);
    expect(desk.files.has("audit.json.progress")).toBe(false);
  });

  test("begins again when its progress is damaged, or goes less far than the state", async () => {
    await grow(world, 300, 300);
    keepCopy();
    await interrupt("0000000001");
    const progress = desk.read("audit.json.progress");
    desk.write("audit.json.progress", progress.replace('"v":1', '"v":2'));
    expect(await audit("--state", "audit.json")).toBe(0);
    expect(desk.out).toContain("was not there, so nothing was held against an earlier audit");
    desk.write("audit.json.progress", progress);
    expect(await audit("--state", "audit.json")).toBe(0);
    expect(desk.out).toContain("went on from audit.json");
  });
});
