import { describe, expect, test } from "vitest";
import { type Get, readTiles } from "../../../src/tlog/reader.ts";
import type { Tile } from "../../../src/tlog/tile.ts";
import { faultIn } from "./samples.ts";

const partial: Tile = { level: 0, n: 1, width: 2 };
const full: Tile = { level: 0, n: 0, width: 256 };
const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);

function getFrom(objects: Record<string, Uint8Array>): Get {
  return async path => objects[path];
}

describe("reading tiles", () => {
  test("they come in the order they were asked for", async () => {
    const get = getFrom({ "tile/0/000": bytes(8192, 1), "tile/0/001.p/2": bytes(64, 2) });
    expect(await readTiles(get, [partial, full])).toEqual([bytes(64, 2), bytes(8192, 1)]);
    expect(await readTiles(get, [])).toEqual([]);
  });

  test("a partial tile that is gone is the beginning of the full one", async () => {
    const grown = bytes(8192, 3);
    grown.fill(4, 64);
    expect(await readTiles(getFrom({ "tile/0/001": grown }), [partial])).toEqual([bytes(64, 3)]);
  });

  test("a partial tile that is there is read, even beside the full one", async () => {
    const get = getFrom({ "tile/0/001": bytes(8192, 3), "tile/0/001.p/2": bytes(64, 2) });
    expect(await readTiles(get, [partial])).toEqual([bytes(64, 2)]);
  });

  test("a tile that is nowhere is missing, and the Fault names it", async () => {
    const fault = await faultIn(readTiles(getFrom({ "tile/0/000": bytes(8192, 1) }), [full, partial]));
    expect(fault).toMatchObject({ code: "missing", expected: "tile/0/001.p/2" });
    expect((await faultIn(readTiles(getFrom({}), [full]))).code).toBe("missing");
  });
});
