import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BodyDigest, pump } from "../../src/edge/body.ts";

/** A source of bytes that fills whatever buffer it is given. */
function sourceOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const view = controller.byobRequest!.view as Uint8Array;
      const piece = bytes.subarray(at, at + view.length);
      at += piece.length;
      view.set(piece);
      if (piece.length === 0) controller.close();
      controller.byobRequest!.respond(piece.length);
    },
  });
}

test("a chunk's buffer is left alone until its write has resolved, however late that is", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 300_000 }),
      fc.infiniteStream(fc.nat(3)),
      async (s, length, delays) => {
        const sent = Uint8Array.from({ length }, (_, i) => (i * 31) >>> 7);
        const taken: Uint8Array[] = [];
        const sink = new WritableStream<Uint8Array>({
          async write(chunk) {
            for (let turns = delays.next().value; turns > 0; turns--) await s.schedule(Promise.resolve());
            taken.push(chunk.slice());
          },
        });
        const seen = new BodyDigest(sha256);
        const ended = pump(sourceOf(sent), sink, seen, new AbortController().signal, () => {});
        expect(await s.waitFor(ended)).toBe("whole");
        expect(Buffer.concat(taken).equals(sent)).toBe(true);
        expect(seen.read().size).toBe(length);
      },
    ),
    { numRuns: 30 },
  );
});

test("a body of which the end may have got lost has a size and no digest, if all of it had passed", () => {
  const whole = new BodyDigest(sha256);
  whole.update(new Uint8Array(3));
  whole.doubt();
  whole.end();
  expect(whole.read().digest).toBeDefined();
  whole.doubt();
  expect(whole.read()).toEqual({ size: 3 });
});
