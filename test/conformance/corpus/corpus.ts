// The corpus: every case, each under a name of its own.
import type { Case } from "../case.ts";
import { BODIES } from "./bodies.ts";
import { BREAKS } from "./breaks.ts";
import { FLOWS } from "./flows.ts";
import { MESSAGES } from "./messages.ts";

export const CORPUS: readonly Case[] = [...MESSAGES, ...BODIES, ...FLOWS, ...BREAKS];

const twice = CORPUS.find(({ name }, i) => CORPUS.findIndex(other => other.name === name) !== i);
if (twice !== undefined) throw new Error(`two cases are called "${twice.name}"`);
