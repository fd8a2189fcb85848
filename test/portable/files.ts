// The vectors of test/vectors as the portable suite takes them: one list, in one order.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Vector } from "./vectors.ts";

const FOLDER = resolve(import.meta.dirname, "../vectors");

export function readVectors(): Vector[] {
  return list(FOLDER).flatMap(format =>
    list(join(FOLDER, format)).map(file => {
      const vector = JSON.parse(readFileSync(join(FOLDER, format, file), "utf8"));
      return { ...(vector as Omit<Vector, "format" | "file">), format, file };
    }),
  );
}

function list(folder: string): string[] {
  return readdirSync(folder).toSorted();
}
