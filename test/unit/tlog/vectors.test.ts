// The Merkle vectors of transparency-dev, in files named by their mutation, when they lie beside the
// project; and always the tree of eight leaves that they are made of, whose roots are well known.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeBase64 } from "../../../src/tlog/base64.ts";
import {
  checkConsistency,
  checkInclusion,
  emptyFrontier,
  extend,
  leafHash,
  rootOf,
} from "../../../src/tlog/tree.ts";
import { resultOrCode } from "./samples.ts";

interface InclusionVector {
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly root: string;
  readonly leafHash: string;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}

interface ConsistencyVector {
  readonly size1: number;
  readonly size2: number;
  readonly root1: string;
  readonly root2: string;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}

const folder = join(import.meta.dirname, "../../../../shared/vectors/merkle");

function read<T>(kind: string): { readonly name: string; readonly vector: T }[] {
  const root = join(folder, kind);
  if (!existsSync(root)) return [];
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(name =>
    name.endsWith(".json"),
  );
  return names
    .toSorted()
    .map(name => ({ name, vector: JSON.parse(readFileSync(join(root, name), "utf8")) as T }));
}

function decodeAll(hashes: readonly string[] | null): Uint8Array[] {
  return (hashes ?? []).map(hash => decodeBase64(hash));
}

const inclusion = read<InclusionVector>("inclusion");
const consistency = read<ConsistencyVector>("consistency");
const found = `${inclusion.length} inclusion and ${consistency.length} consistency vectors`;

describe("Merkle vectors", () => {
  test(`${existsSync(folder) ? `${found} lie beside the project` : "no vectors lie beside the project: only the built-in ones run"}`, () => {
    expect(inclusion.length > 0 && consistency.length > 0).toBe(existsSync(folder));
  });

  for (const { name, vector } of inclusion) {
    test(`inclusion/${name} is ${vector.wantErr ? "rejected" : "accepted"}`, () => {
      const result = resultOrCode(() =>
        checkInclusion({
          index: vector.leafIdx,
          size: vector.treeSize,
          leaf: decodeBase64(vector.leafHash),
          root: decodeBase64(vector.root),
          proof: decodeAll(vector.proof),
        }),
      );
      if (vector.wantErr) expect(["not-included", "malformed"]).toContain(result);
      else expect(result).toBeUndefined();
    });
  }

  for (const { name, vector } of consistency) {
    test(`consistency/${name} is ${vector.wantErr ? "rejected" : "accepted"}`, () => {
      const result = resultOrCode(() =>
        checkConsistency({
          size1: vector.size1,
          size2: vector.size2,
          root1: decodeBase64(vector.root1),
          root2: decodeBase64(vector.root2),
          proof: decodeAll(vector.proof),
        }),
      );
      if (vector.wantErr) expect(["forked", "malformed"]).toContain(result);
      else expect(result).toBeUndefined();
    });
  }

  test("the trees over the first one to eight of the well-known leaves have the well-known roots", () => {
    const entries = [
      "",
      "00",
      "10",
      "2021",
      "3031",
      "40414243",
      "5051525354555657",
      "606162636465666768696a6b6c6d6e6f",
    ];
    const roots = [
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let frontier = emptyFrontier();
    for (const [i, entry] of entries.entries()) {
      frontier = extend(frontier, [leafHash(new Uint8Array(Buffer.from(entry, "hex")))]);
      expect(Buffer.from(rootOf(frontier)).toString("hex")).toBe(roots[i]);
    }
  });
});
