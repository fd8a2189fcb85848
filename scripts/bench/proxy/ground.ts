// What the subjects of a bench stand on: an upstream and a load generator as processes of their own, and a folder on the
// disk of the checkout. Whatever was started ends with the bench, however that ends.
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { untilToldToEnd } from "../../../src/hosts/signals.ts";
import { HOST } from "./exchanges.ts";
import type { Subject } from "./turns.ts";

/** What a system keeps temporary files on may be memory, where durability is free. */
const STATE = join(import.meta.dirname, "../../../.counterfoil");

export interface Ground {
  /** The URL of the upstream. */
  readonly upstream: string;
  readonly load: ChildProcess;
  /** Removed at the end. */
  readonly folder: string;
  /** What is started for the bench, and stopped at its end. */
  keep<T extends Stoppable>(started: T): T;
}

interface Stoppable {
  stop(): Promise<unknown>;
}

export interface Started extends Subject, Stoppable {}

/** Does something with an upstream and a load generator, and leaves nothing behind. */
export async function onGround<T>(work: (ground: Ground) => Promise<T>): Promise<T> {
  await mkdir(STATE, { recursive: true });
  const folder = await mkdtemp(join(STATE, "bench-"));
  const kept: Stoppable[] = [{ stop: () => rm(folder, { recursive: true, force: true }) }];
  const keep: Ground["keep"] = started => {
    kept.push(started);
    return started;
  };
  const prepare = async () => {
    const upstream = keep(startProcess(join(import.meta.dirname, "upstream.ts"))).child;
    const [port] = (await once(upstream, "message")) as [number];
    const load = keep(startProcess(join(import.meta.dirname, "load.ts"))).child;
    return work({ upstream: `http://${HOST}:${port}`, load, folder, keep });
  };
  // In a terminal, Ctrl-C is not for all that was started.
  const interrupted = untilToldToEnd().then(() => {
    throw new Error("interrupted");
  });
  try {
    return await Promise.race([prepare(), interrupted]);
  } finally {
    for (const { stop } of kept.reverse()) await stop();
  }
}

/** A program of this repository as a process that ends when it is left alone. */
export function startProcess(file: string): Stoppable & { child: ChildProcess } {
  const child = fork(file);
  return { child, stop: async () => void (child.connected && child.disconnect()) };
}

/** What a command says of its version; undefined when it does not run. */
export function askVersion(command: string, flag: string): string | undefined {
  const { status, stdout, stderr } = spawnSync(command, [flag], { encoding: "utf8" });
  return status === 0 ? /\d[\d.-]*\d/.exec(stdout + stderr)?.[0] : undefined;
}

/** A server that was spawned, when it answers. @throws Error when it ends before that. */
export async function untilServing(child: ChildProcess, url: string): Promise<Started> {
  const ended = once(child, "exit").then(([code, signal]) => `${signal ?? `exit code ${code}`}`);
  const stop = async () => {
    child.kill();
    await ended;
  };
  for (;;) {
    const answer = await Promise.race([fetch(url).catch(() => undefined), ended]);
    if (typeof answer === "string") throw new Error(`${child.spawnargs.join(" ")}: ended with ${answer}`);
    if (answer !== undefined) return { url, pid: child.pid, stop };
    await wait(50);
  }
}
