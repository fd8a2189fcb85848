// The corpus: every case, each under a name of its own.
import type { Case } from "../case.ts";
import { MESSAGES } from "./messages.ts";

export const CORPUS: readonly Case[] = [...MESSAGES];

const twice = CORPUS.find(({ name }, i) => CORPUS.findIndex(other => other.name === name) !== i);
if (twice !== undefined) throw new Error(`two cases are called "${twice.name}"`);
