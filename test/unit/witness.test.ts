// A witness and who asks it: every status of C2SP tlog-witness, races between requests, and a memory that lasts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Cosigner, type CosignerOptions } from "../../durable/cosigner.ts";
import { Witness, type WitnessAnswer } from "../../durable/witness.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { makeVerifier, openCosignatures } from "../../src/tlog/cosignature.ts";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatVerifierKey,
  makeNoteKey,
  type NoteKey,
  parseNote,
  parseSignatureLines,
  signNote,
} from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { type GrownLedger, getOf, growLedger, requestFor } from "../ledgers.ts";
import { fixedKey, ORIGIN, START_MS } from "../world.ts";

async function makeWitness(logs: readonly NoteKey[], path = ":memory:", name = "witness.example/w1") {
  const key = await fixedKey(name);
  const signer = { key: makeNoteKey(name, ED25519_COSIGNATURE, key.publicKey), sign: key.sign };
  const witness = new Witness({ sql: openSqlite(path), signer, logs, now: () => START_MS });
  return { witness, key: signer.key };
}

async function expectCosigned(answer: WitnessAnswer, note: string, key: NoteKey) {
  expect(answer).toMatchObject({ status: 200 });
  const cosigned = { text: parseNote(note).text, signatures: parseSignatureLines(answer.body) };
  const found = await openCosignatures(cosigned, [key]);
  expect(found.map(({ timestamp }) => timestamp)).toEqual([START_MS / 1000]);
}

describe("a witness", () => {
  it("cosigns a first checkpoint, one that extends it, and the same one again", async () => {
    const ledger = await growLedger([3, 300]);
    const { witness, key } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    await expectCosigned(
      await witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0)),
      ledger.notes[0]!,
      key,
    );
    await expectCosigned(
      await witness.addCheckpoint(await requestFor(ledger, ledger.notes[1]!, 3)),
      ledger.notes[1]!,
      key,
    );
    await expectCosigned(
      await witness.addCheckpoint(await requestFor(ledger, ledger.notes[1]!, 300)),
      ledger.notes[1]!,
      key,
    );
  });

  it("answers 409 with the size that it cosigned last when asked from another one", async () => {
    const ledger = await growLedger([3, 300]);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    const conflict = (size: number) => ({ status: 409, type: "text/x.tlog.size", body: `${size}\n` });
    expect(await witness.addCheckpoint(await requestFor(ledger, ledger.notes[1]!, 3))).toEqual(conflict(0));
    await witness.addCheckpoint(await requestFor(ledger, ledger.notes[1]!, 0));
    expect(await witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 3))).toEqual(conflict(300));
    expect(await witness.addCheckpoint(await requestFor(ledger, ledger.notes[1]!, 0))).toEqual(conflict(300));
  });

  it("answers 422 to another tree of the same size", async () => {
    const ledger = await growLedger([3]);
    const fork = await growLedger([3], 2);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    await witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0));
    const answer = await witness.addCheckpoint(await requestFor(fork, fork.notes[0]!, 3));
    expect(answer).toMatchObject({ status: 422 });
    expect(witness.cosigned(ORIGIN).size).toBe(3);
  });

  it("answers 422 to a tree of no entries that is not the empty one", async () => {
    const key = await fixedKey("log");
    const log = makeNoteKey(ORIGIN, ED25519, key.publicKey);
    const { witness } = await makeWitness([log]);
    const text = `${ORIGIN}\n0\n${Buffer.alloc(32, 1).toString("base64")}\n`;
    const signatures = [await signNote(text, { key: log, sign: key.sign })];
    const body = `old 0\n\n${formatNote({ text, signatures })}`;
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 422 });
  });

  it("answers 422 when the proof does not lead from the one tree to the other", async () => {
    const ledger = await growLedger([3, 300]);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    await witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0));
    const request = await requestFor(ledger, ledger.notes[1]!, 3);
    const lines = request.split("\n");
    const other = Buffer.alloc(32, 1).toString("base64");
    const wrong = [lines[0], other, ...lines.slice(2)].join("\n");
    const short = [lines[0], ...lines.slice(2)].join("\n");
    for (const body of [wrong, short])
      expect(await witness.addCheckpoint(body)).toMatchObject({ status: 422 });
    expect(witness.cosigned(ORIGIN).size).toBe(3);
  });

  it("answers 422 to a first checkpoint that comes with a proof", async () => {
    const ledger = await growLedger([3]);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    const hash = Buffer.alloc(32).toString("base64");
    const body = `old 0\n${hash}\n\n${ledger.notes[0]}`;
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 422 });
  });

  it("answers 404 for a log that it does not know, 403 when no known key has signed", async () => {
    const ledger = await growLedger([3]);
    const strange = await makeWitness([makeNoteKey("other.example/log", ED25519, new Uint8Array(32))]);
    const body = await requestFor(ledger, ledger.notes[0]!, 0);
    expect(await strange.witness.addCheckpoint(body)).toMatchObject({ status: 404 });
    const nobody = await makeWitness([]);
    expect(await nobody.witness.addCheckpoint(body)).toMatchObject({ status: 404 });

    const otherKey = await fixedKey("another key");
    const renamed = await makeWitness([makeNoteKey(ORIGIN, ED25519, otherKey.publicKey)]);
    expect(await renamed.witness.addCheckpoint(body)).toMatchObject({ status: 403 });

    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    const { text } = parseNote(ledger.notes[0]!);
    const [ours] = ledger.world.trust.ledgers[0]!.keys;
    const forged = await signNote(text, { key: ours!, sign: otherKey.sign });
    const forgedNote = formatNote({ text, signatures: [forged] });
    expect(await witness.addCheckpoint(`old 0\n\n${forgedNote}`)).toMatchObject({ status: 403 });
    expect(witness.cosigned(ORIGIN).size).toBe(0);
  });

  it.each([
    ["nothing", ""],
    ["no checkpoint", "old 0\n\n"],
    ["an old size that is no number", "old x\n\n"],
    ["more than a checkpoint may be", `old 0\n\n${"x".repeat(2 ** 21)}`],
  ])("answers 400 to %s", async (_, body) => {
    const { witness } = await makeWitness([]);
    expect(await witness.addCheckpoint(body)).toMatchObject({ status: 400 });
  });

  it("answers 400 to an old size beyond the checkpoint's", async () => {
    const ledger = await growLedger([3]);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    expect(await witness.addCheckpoint(`old 4\n\n${ledger.notes[0]}`)).toMatchObject({ status: 400 });
  });

  it("cosigns only one of many that race from the same size", async () => {
    const ledger = await growLedger([3, 10, 20, 30]);
    const { witness } = await makeWitness(ledger.world.trust.ledgers[0]!.keys);
    await witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0));
    const racing = await Promise.all(ledger.notes.slice(1).map(note => requestFor(ledger, note, 3)));
    const answers = await Promise.all(racing.map(body => witness.addCheckpoint(body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    const winner = answers.findIndex(({ status }) => status === 200);
    expect(witness.cosigned(ORIGIN).size).toBe([10, 20, 30][winner]);
  });

  it("cosigns only one of two that race through two processes on one storage", async () => {
    const folder = mkdtempSync(join(tmpdir(), "counterfoil-witness-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const ledger = await growLedger([3, 10]);
    const fork = await growLedger([3], 2);
    const one = await makeWitness(ledger.world.trust.ledgers[0]!.keys, join(folder, "witness.sqlite"));
    const two = await makeWitness(ledger.world.trust.ledgers[0]!.keys, join(folder, "witness.sqlite"));
    const answers = await Promise.all([
      one.witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0)),
      two.witness.addCheckpoint(await requestFor(fork, fork.notes[0]!, 0)),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(two.witness.cosigned(ORIGIN)).toEqual(one.witness.cosigned(ORIGIN));
  });
});

describe("the cosigner", () => {
  /** Witnesses that answer at made-up URLs, and a cosigner that asks them. */
  async function setUp(
    { world }: GrownLedger,
    count: number,
    options: Partial<CosignerOptions> & { quorum?: string } = {},
  ) {
    const witnesses = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        makeWitness(world.trust.ledgers[0]!.keys, ":memory:", `witness.example/w${i}`),
      ),
    );
    const names = witnesses.map((_, i) => `w${i}`);
    const policy = parsePolicy(
      [
        ...witnesses.map(({ key }, i) => `witness w${i} ${formatVerifierKey(key)} https://w${i}.example`),
        `group some ${options.quorum ?? "any"} ${names.join(" ")}`,
        "quorum some",
        "",
      ].join("\n"),
    );
    const asked: string[] = [];
    const answer = async (url: string, init: RequestInit): Promise<Response> => {
      asked.push(`${url} ${String(init.body).split("\n")[0]}`);
      const { witness } = witnesses[Number(/w(\d+)\.example/.exec(url)![1])]!;
      const { status, body, type } = await witness.addCheckpoint(String(init.body));
      return new Response(body, { status, headers: { "content-type": type } });
    };
    const cosigner = new Cosigner({
      sql: openSqlite(":memory:"),
      policy,
      required: false,
      waitMs: 60_000,
      fetch: answer,
      ...options,
    });
    const cosign = (note: string) =>
      cosigner.cosign(note, parseCheckpoint(parseNote(note).text), getOf(world));
    return { witnesses, asked, answer, cosign };
  }

  it("adds a cosignature of every witness, and asks each from where it was", async () => {
    const ledger = await growLedger([3, 300]);
    const { witnesses, asked, cosign } = await setUp(ledger, 2);
    for (const note of ledger.notes) {
      const { note: cosigned, troubles } = await cosign(note);
      expect(troubles).toEqual([]);
      const keys = witnesses.map(({ key }) => key);
      expect(await openCosignatures(parseNote(cosigned), keys, makeVerifier())).toHaveLength(2);
    }
    expect(asked.map(line => line.split(" ").slice(1).join(" "))).toEqual([
      "old 0",
      "old 0",
      "old 3",
      "old 3",
    ]);
  });

  it("takes one cosignature of each witness, however many it answers with", async () => {
    const ledger = await growLedger([3]);
    const honest = await setUp(ledger, 2);
    const fetch = async (url: string, init: RequestInit) => {
      const body = await (await honest.answer(url, init)).text();
      return new Response(url.includes("w0") ? body.repeat(100) : body);
    };
    const keys = honest.witnesses.map(({ key }) => key);
    const { cosign } = await setUp(ledger, 2, { fetch });
    const { note, troubles } = await cosign(ledger.notes[0]!);
    expect(troubles).toEqual([]);
    expect(await openCosignatures(parseNote(note), keys, makeVerifier())).toHaveLength(2);
  });

  it("follows a witness that has gone on, or has forgotten", async () => {
    const ledger = await growLedger([3, 300]);
    const { witnesses, cosign } = await setUp(ledger, 1);
    await witnesses[0]!.witness.addCheckpoint(await requestFor(ledger, ledger.notes[0]!, 0));
    expect((await cosign(ledger.notes[1]!)).troubles).toEqual([]);
    expect((await cosign(ledger.notes[0]!)).troubles).toEqual([
      "witness w0: has cosigned a tree of 300 entries already, this one has 3",
    ]);
  });

  it("keeps no cosignature that does not verify, and says why", async () => {
    const ledger = await growLedger([3]);
    const [body, status] = ["— witness.example/w0 AAAAAAAA\n", 200];
    const { cosign } = await setUp(ledger, 1, { fetch: async () => new Response(body, { status }) });
    const { note, troubles } = await cosign(ledger.notes[0]!);
    expect(note).toBe(ledger.notes[0]);
    expect(troubles).toEqual([expect.stringContaining("witness w0")]);
  });

  it.each([
    ["is away", () => Promise.reject(new Error("connection refused")), "connection refused"],
    ["answers with something else", async () => new Response("no", { status: 500 }), "status 500"],
    ["answers without an end", async () => new Response("x".repeat(100_000)), "more than 65536 bytes"],
    ["sends it elsewhere", async () => Response.redirect("https://elsewhere.example", 302), "status 302"],
    ["never comes to a size", async () => new Response("1\n", { status: 409 }), "another tree of 1 entries"],
    [
      "tells no size of another tree, as omniwitness",
      async (_: string, { body }: RequestInit) =>
        new Response(`${body}`.startsWith("old 0\n") ? "3\n" : "", { status: 409 }),
      "another tree of 3 entries",
    ],
  ])("does without a witness that %s, unless a quorum is required", async (_, fetch, message) => {
    const ledger = await growLedger([3]);
    const { cosign } = await setUp(ledger, 1, { fetch });
    const { note, troubles } = await cosign(ledger.notes[0]!);
    expect([note, troubles.join()]).toEqual([ledger.notes[0], expect.stringContaining(message)]);
    const strict = await setUp(ledger, 1, { fetch, required: true });
    await expect(strict.cosign(ledger.notes[0]!)).rejects.toMatchObject({ code: "quorum-not-met" });
  });

  it("gives up on a witness that never answers", async () => {
    const ledger = await growLedger([3]);
    const fetch = (_: string, { signal }: RequestInit) =>
      new Promise<Response>((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
    const { cosign } = await setUp(ledger, 1, { fetch, waitMs: 1 });
    expect((await cosign(ledger.notes[0]!)).troubles).toEqual([expect.stringContaining("witness w0")]);
  });

  it("is content with the quorum when one is required", async () => {
    const ledger = await growLedger([3]);
    const both = await setUp(ledger, 2, { required: true, quorum: "all" });
    const oneIsAway = async (url: string, init: RequestInit) => {
      if (url.includes("w1")) throw new Error("connection refused");
      return both.answer(url, init);
    };
    const any = await setUp(ledger, 2, { required: true, quorum: "any", fetch: oneIsAway });
    expect((await any.cosign(ledger.notes[0]!)).troubles).toHaveLength(1);
    const all = await setUp(ledger, 2, { required: true, quorum: "all", fetch: oneIsAway });
    await expect(all.cosign(ledger.notes[0]!)).rejects.toMatchObject({ code: "quorum-not-met" });
  });
});
