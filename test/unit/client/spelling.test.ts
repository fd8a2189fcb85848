// The quick reading of entries against the one at length: what the quick one takes, that one takes as well and reads
// the same in it. What the quick one does not take is read at length, so there it can do no harm.
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { QuickReader } from "../../../src/client/spelling.ts";
import { commitFields } from "../../../src/receipt/disclosure.ts";
import { type EntryHeader, formatEntry, formatHeader, parseEntry } from "../../../src/receipt/entry.ts";
import { STAGES } from "../../../src/receipt/record.ts";
import { Fault } from "../../../src/tlog/fault.ts";
import { leafHash } from "../../../src/tlog/hash.ts";
import { ORIGIN } from "../../world.ts";

const PREV = leafHash(new Uint8Array(3));
const HEADER: EntryHeader = {
  ...{ alg: "Ed25519", kid: "a-key", typ: "audit-receipt+jwt", origin: ORIGIN, index: 41 },
  ...{ prev: Buffer.from(PREV).toString("base64url"), at: "2026-11-21T05:22:22.453Z" },
};
const RECORD = {
  ...{ iss: "https://api.example.com", jti: "019aa4f7-5b38-7000-8000-000000000001", iat: 1795238542 },
  ...{ time: "2026-11-21T05:22:22.441Z", stage: "complete", ms: 12, route: "orders" },
  req: {
    method: "GET",
    path: "/v1/orders/7",
    size: 0,
    digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
  },
  res: { status: 200, size: 3 },
  attempts: [
    { status: 502, ms: 3 },
    { ms: 8.5, error: "gone" },
  ],
  fields: { nothing: null, yes: true },
  ...commitFields(new Uint8Array(16), { sub: "a", query: null, user_agent: "b" }),
};

const bytesOf = (entry: string) => new TextEncoder().encode(entry);
const spell = (header: object, record: object | string) =>
  formatEntry(
    Buffer.from(JSON.stringify(header)).toString("base64url"),
    typeof record === "string" ? record : JSON.stringify(record),
  );

let quick: QuickReader;
beforeEach(() => {
  quick = new QuickReader(ORIGIN);
  quick.learn(parseEntry(formatEntry(formatHeader(HEADER), JSON.stringify(RECORD))));
});

describe("a quick reading", () => {
  test("takes what is spelled alike, and reads in it what is there", () => {
    const jti = "019aa4f7-5b38-7000-8000-00000000000f";
    const time = "2026-11-22T23:59:59.999Z";
    const header = { ...HEADER, index: 100, at: "2026-11-23T00:00:00.001Z" };
    const record = { ...RECORD, jti, time, ms: 0, req: { ...RECORD.req, path: "/", size: 123456789012345 } };
    expect(quick.read(bytesOf(spell(header, record)), 100, PREV)).toBe(true);
    expect(quick).toMatchObject({
      stage: "complete",
      jti,
      time: Date.parse(time),
      at: Date.parse(header.at),
    });
  });

  test.each<[string, object, object | string]>([
    ["another index", { ...HEADER, index: 42 }, RECORD],
    ["another entry before it", { ...HEADER, prev: Buffer.alloc(32).toString("base64url") }, RECORD],
    ["another key", { ...HEADER, kid: "b-key" }, RECORD],
    ["another algorithm", { ...HEADER, alg: "ES256" }, RECORD],
    ["another ledger", { ...HEADER, origin: `${ORIGIN}x` }, RECORD],
    ["one member more in the header", { ...HEADER, x: 1 }, RECORD],
    ["a day that there is not", { ...HEADER, at: "2026-02-30T00:00:00.000Z" }, RECORD],
    ["an hour that there is not", { ...HEADER, at: "2026-11-21T24:00:00.000Z" }, RECORD],
    ["a time without milliseconds", HEADER, { ...RECORD, time: "2026-11-21T05:22:22Z" }],
    ["another stage", HEADER, { ...RECORD, stage: "nonsense" }],
    ["an empty id", HEADER, { ...RECORD, jti: "" }],
    ["a long id", HEADER, { ...RECORD, jti: "x".repeat(65) }],
    ["a number where there was a text", HEADER, { ...RECORD, route: 7 }],
    ["a value that needs an escape", HEADER, { ...RECORD, route: '"' }],
    ["a value that is not ASCII", HEADER, { ...RECORD, route: "ü" }],
    ["a digest twice", HEADER, { ...RECORD, _sd: [RECORD._sd[0], RECORD._sd[0], RECORD._sd[2]] }],
    ["another hash", HEADER, { ...RECORD, _sd_alg: "sha-512" }],
    ["a member twice", HEADER, `{"iss":"x",${JSON.stringify(RECORD).slice(1)}`],
    ["white space", HEADER, JSON.stringify(RECORD).replace(",", ", ")],
    ["a leading zero", HEADER, JSON.stringify(RECORD).replace('"ms":12', '"ms":012')],
    ["a fraction", HEADER, JSON.stringify(RECORD).replace('"ms":12', '"ms":1.0')],
    [
      "a time that is no safe integer",
      HEADER,
      JSON.stringify(RECORD).replace("1795238542", "17952385421234567"),
    ],
    ["something behind it", HEADER, `${JSON.stringify(RECORD)} `],
    ["a record that is too long", HEADER, { ...RECORD, route: "x".repeat(4096) }],
  ])("does not take %s", (_, header, record) => {
    expect(quick.read(bytesOf(spell(header, record)), 41, PREV)).toBe(false);
  });

  test("does not take another base64 of the same bytes", () => {
    for (let pad = 0; pad < 3; pad++) {
      const good = spell(HEADER, { ...RECORD, route: "x".repeat(pad) });
      expect(quick.read(bytesOf(good), 41, PREV)).toBe(true);
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n";
      for (const character of alphabet) {
        const other = good.slice(0, -1) + character;
        if (!quick.read(bytesOf(other), 41, PREV)) continue;
        expect(parseEntry(other).record.route).toBe("x".repeat(pad));
      }
      expect(quick.read(bytesOf(`${good}=`), 41, PREV)).toBe(false);
    }
  });

  test("takes no text with one byte changed that a reading at length would not take", () => {
    const [text, header] = [JSON.stringify(RECORD), JSON.stringify(HEADER)];
    let taken = 0;
    for (let at = 0; at < text.length + header.length; at++) {
      for (const byte of [
        0x00, 0x1f, 0x20, 0x22, 0x2c, 0x2e, 0x30, 0x39, 0x5c, 0x61, 0x65, 0x7d, 0x7f, 0x80, 0xff,
      ]) {
        const parts = [Buffer.from(header), Buffer.from(text)] as const;
        if (at < header.length) parts[0][at] = byte;
        else parts[1][at - header.length] = byte;
        const entry = parts.map(part => part.toString("base64url")).join(".");
        if (!quick.read(bytesOf(entry), 41, PREV)) continue;
        taken++;
        const found = parseEntry(entry);
        expect(found.header).toMatchObject({ index: 41, prev: HEADER.prev, origin: ORIGIN });
        expect(quick.at).toBe(Date.parse(found.header.at));
        expect(quick.time).toBe(Date.parse(found.record.time));
        expect(quick.jti).toBe(found.record.jti);
        expect(quick.stage).toBe(found.record.stage);
      }
    }
    expect(taken).toBeGreaterThan(200);
  });

  test("agrees with a reading at length on whatever is done to entries of a kind that it knows", () => {
    // Of the shapes that an edge writes: what is learned is one, what is read is another, altered or not.
    const mostly = <T>(usual: fc.Arbitrary<T>, ...rare: fc.Arbitrary<T>[]) =>
      fc.oneof({ weight: 30, arbitrary: usual }, ...rare.map(arbitrary => ({ weight: 1, arbitrary })));
    const text = mostly(
      fc.stringMatching(/^[ !#-[\]-~]{0,9}$/),
      fc.string({ maxLength: 12 }),
      fc.constantFrom("", "ü", '"', "\\", "\u0000", "é"),
    );
    const count = mostly<number>(fc.nat(), fc.constantFrom(-1, 0.5, 1e15, 2 ** 53, -0, 1e21));
    const time = fc
      .date({ min: new Date(-1e12), max: new Date(4e12), noInvalidDate: true })
      .map(date => date.toISOString());
    const record = fc.record(
      {
        ...{ iss: text, jti: mostly<string>(fc.uuid(), text), iat: count, time: mostly(time, text) },
        stage: mostly<string>(fc.constantFrom("complete", "received", "failed"), fc.constantFrom(...STAGES)),
        ...{ seq: fc.integer({ min: 1, max: 9 }), ms: count, route: text, error: text },
        req: fc.record({ method: text, path: text, size: count, digest: text }, { requiredKeys: ["method"] }),
        res: fc.record({ status: count, size: count }, { requiredKeys: ["status"] }),
        attempts: fc.array(fc.record({ status: count, ms: count }), { maxLength: 2 }),
        fields: fc.dictionary(text, fc.oneof(text, count, fc.boolean(), fc.constant(null)), { maxKeys: 2 }),
        _sd_alg: mostly(fc.constant("sha-256"), fc.constant("sha-512")),
        _sd: mostly(
          fc.subarray(RECORD._sd),
          fc.array(fc.constantFrom(...RECORD._sd, "x".repeat(43)), { maxLength: 3 }),
        ),
      },
      { requiredKeys: ["iss", "jti", "iat", "time", "stage"] },
    );
    const header = fc.record({
      kid: fc.constantFrom("a-key", "b-key", "ü"),
      index: fc.constantFrom(41, 42, 41.5),
      prev: fc.constantFrom(HEADER.prev, Buffer.alloc(32).toString("base64url")),
      at: time,
    });
    /** What happens to the bytes of the JSON, or to those of the entry: a place, what is there then, and how many go. */
    const edit = fc.record({
      part: fc.constantFrom("header", "record", "entry"),
      ...{ at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), cut: fc.nat(2) },
      put: fc.oneof(fc.string({ maxLength: 2 }), fc.string({ unit: "binary", maxLength: 1 })),
    });
    const splice = (bytes: Buffer, { at, cut, put }: { at: number; cut: number; put: string }) => {
      const from = Math.floor(at * bytes.length);
      return Buffer.concat([bytes.subarray(0, from), Buffer.from(put), bytes.subarray(from + cut)]);
    };
    const taken = { altered: 0, whole: 0 };
    const compare = (reader: QuickReader, entry: Buffer, how: keyof typeof taken) => {
      if (!reader.read(entry, 41, PREV)) return;
      taken[how]++;
      const { header, record } = parseEntry(entry.toString("latin1"));
      expect(header).toMatchObject({ alg: "Ed25519", index: 41, prev: HEADER.prev, origin: ORIGIN });
      expect([reader.at, reader.time]).toEqual([Date.parse(header.at), Date.parse(record.time)]);
      expect([reader.jti, reader.stage]).toEqual([record.jti, record.stage]);
      expect(record.control).toBe(undefined);
    };
    const edits = fc.array(fc.array(edit, { minLength: 1, maxLength: 2 }), { minLength: 10, maxLength: 10 });
    fc.assert(
      fc.property(record, record, header, edits, (one, other, own, changes) => {
        const reader = new QuickReader(ORIGIN);
        try {
          reader.learn(parseEntry(spell(HEADER, one)));
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          return;
        }
        compare(reader, Buffer.from(spell({ ...HEADER, ...own }, other)), "whole");
        // With the members of the one that was learned, so that there is something to take.
        const { stage, seq } = one;
        const alike = Object.entries(one).map(([name, value]) => [
          name,
          typeof value === "object" ? value : ((other as Record<string, unknown>)[name] ?? value),
        ]);
        const next = { ...Object.fromEntries(alike), stage, ...(seq !== undefined && { seq }) };
        const parts = [{ ...HEADER, at: own.at }, next].map(part => Buffer.from(JSON.stringify(part)));
        const entryOf = (parts: readonly Buffer[]) =>
          Buffer.from(parts.map(part => part.toString("base64url")).join("."));
        compare(reader, entryOf(parts), "whole");
        for (const change of changes) {
          const altered = change.reduce(
            ([head, body], { part, ...what }) => [
              part === "header" ? splice(head!, what) : head!,
              part === "record" ? splice(body!, what) : body!,
            ],
            parts,
          );
          const onEntry = change.filter(({ part }) => part === "entry");
          compare(reader, onEntry.reduce(splice, entryOf(altered)), "altered");
        }
      }),
      { seed: 20261121, numRuns: 1500 },
    );
    expect(taken.whole).toBeGreaterThan(100);
    expect(taken.altered).toBeGreaterThan(200);
  });

  test("learns no spelling of control and interim records: what they say is read", () => {
    const control = { ...RECORD, stage: "control", control: { type: "pruned", minimum: 0 } };
    const interim = { ...RECORD, stage: "interim", seq: 1 };
    for (const record of [control, interim]) {
      const entry = spell(HEADER, record);
      quick.learn(parseEntry(entry));
      expect(quick.read(bytesOf(entry), 41, PREV)).toBe(false);
    }
  });

  test("knows a bounded number of spellings", () => {
    for (let i = 0; i < 200; i++) quick.learn(parseEntry(spell(HEADER, { ...RECORD, [`x${i}`]: 1 })));
    const known = Array.from({ length: 200 }, (_, i) => spell(HEADER, { ...RECORD, [`x${i}`]: 2 })).filter(
      entry => quick.read(bytesOf(entry), 41, PREV),
    );
    expect(known.length).toBeGreaterThan(100);
    expect(known.length).toBeLessThan(130);
  });
});
