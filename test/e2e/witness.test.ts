// `counterfoil witness` as a process of its own: over real HTTP, through kill -9, on one state folder.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cosigner } from "../../durable/cosigner.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { openCosignatures } from "../../src/tlog/cosignature.ts";
import { formatVerifierKey, parseNote, parseVerifierKey } from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { type GrownLedger, getOf, growLedger, requestFor, sizeOf } from "../ledgers.ts";

const PROGRAM = resolve("src/hosts/counterfoil.mjs");
const NAME = "witness.example/w1";
const SIZES = [2, 3, 4, 5, 7, 8, 9, 16, 17, 40, 255, 256, 257, 300];

let folder: string;
let ledger: GrownLedger;
/** Another history of the same log, signed with the same key: what a witness is there to catch. */
let fork: GrownLedger;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-witness-"));
  ledger = await growLedger(SIZES);
  fork = await growLedger(SIZES, 2);
});

afterAll(() => rm(folder, { recursive: true }));

interface Running {
  readonly url: string;
  readonly key: string;
  readonly child: ChildProcess;
}

async function start(state: string, name = NAME): Promise<Running> {
  const logs = ledger.world.trust.ledgers[0]!.keys.flatMap(key => ["--log", formatVerifierKey(key)]);
  const args = [PROGRAM, "witness", "--name", name, "--state", join(folder, state), "--port", "0", ...logs];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const ended = once(child, "exit");
  const told = new Promise<void>(resolve => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        if (output.includes("cosigns")) resolve();
      });
    }
  });
  const exit = await Promise.race([told, ended]);
  if (exit !== undefined) throw new Error(output);
  return {
    url: /witness +(\S+)/.exec(output)![1]!,
    key: /key +(\S+)/.exec(output)![1]!,
    child,
  };
}

async function end({ child }: Running, signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child, "exit");
  child.kill(signal);
  return (await ended)[0];
}

function ask({ url }: Running, body: string): Promise<Response> {
  return fetch(`${url}/add-checkpoint`, { method: "POST", body });
}

describe("a witness as a process", () => {
  it("cosigns over HTTP, remembers it, and ends in good order", async () => {
    const first = await start("plain");
    const answer = await ask(first, await requestFor(ledger, ledger.notes[0]!, 0));
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
    expect(await end(first, "SIGTERM")).toBe(0);

    const second = await start("plain");
    expect(second.key).toBe(first.key);
    const conflict = await ask(second, await requestFor(ledger, ledger.notes[1]!, 0));
    expect([conflict.status, conflict.headers.get("content-type")]).toEqual([409, "text/x.tlog.size"]);
    expect(await conflict.text()).toBe("2\n");
    const about = await (await fetch(second.url)).text();
    expect(about.split("\n")).toEqual([second.key, ledger.world.trust.ledgers[0]!.origin, ""]);
    await end(second, "SIGTERM");
  });

  it("keeps the name that its folder began with", async () => {
    await end(await start("named"), "SIGTERM");
    await expect(start("named", "witness.example/w2")).rejects.toThrow('is called "witness.example/w1"');
  });

  it("refuses what is no request to it", async () => {
    const witness = await start("plain");
    const statuses = [
      (await fetch(`${witness.url}/other`)).status,
      (await fetch(`${witness.url}/add-checkpoint`)).status,
      (await ask(witness, "old 0\n")).status,
      (await ask(witness, "x".repeat(2 ** 20 + 1))).status,
    ];
    expect(statuses).toEqual([404, 405, 400, 413]);
    await end(witness, "SIGTERM");
  });

  it("never cosigns two histories, however often it is killed while it is asked about both", async () => {
    const cosigned: { history: GrownLedger; size: number }[] = [];
    for (let round = 0; round < 8; round++) {
      const witness = await start("killed");
      const asked = [ledger, fork].map(history => askOn(witness, history, cosigned));
      // Killed after some answers have come, at whatever moment that is.
      while (cosigned.length < round + 1) await new Promise(resolve => setImmediate(resolve));
      await end(witness, "SIGKILL");
      await Promise.all(asked);
    }
    const witness = await start("killed");
    const { history } = cosigned[0]!;
    expect(cosigned.filter(one => one.history !== history)).toEqual([]);
    const known = await (await ask(witness, await requestFor(history, history.notes[0]!, 0))).text();
    expect(Number(known)).toBeGreaterThanOrEqual(Math.max(...cosigned.map(({ size }) => size)));
    await end(witness, "SIGTERM");
  });

  it("is asked by the cosigner over HTTP, and its cosignatures hold", async () => {
    const witness = await start("cosigner");
    const policy = parsePolicy(`witness w1 ${witness.key} ${witness.url}\nquorum w1\n`);
    const cosigner = new Cosigner({
      sql: openSqlite(":memory:"),
      policy,
      required: true,
      waitMs: 60_000,
      fetch: (url, init) => fetch(url, init),
    });
    for (const note of [ledger.notes[0]!, ledger.notes.at(-1)!, ledger.notes.at(-1)!]) {
      const cosigned = await cosigner.cosign(
        note,
        parseCheckpoint(parseNote(note).text),
        getOf(ledger.world),
      );
      expect(cosigned.troubles).toEqual([]);
      const keys = [parseVerifierKey(witness.key)];
      expect(await openCosignatures(parseNote(cosigned.note), keys)).toHaveLength(1);
    }
    await end(witness, "SIGTERM");
  });
});

/** Asks for one checkpoint of a history after the other, from wherever the witness says it is, until it is gone. */
async function askOn(
  witness: Running,
  history: GrownLedger,
  cosigned: { history: GrownLedger; size: number }[],
): Promise<void> {
  let oldSize = 0;
  try {
    for (;;) {
      const note = history.notes.find(note => sizeOf(note) > oldSize) ?? history.notes.at(-1)!;
      const answer = await ask(witness, await requestFor(history, note, oldSize));
      if (answer.status === 409) {
        oldSize = Number(await answer.text());
        continue;
      }
      await answer.text();
      if (answer.status !== 200) continue;
      oldSize = sizeOf(note);
      cosigned.push({ history, size: oldSize });
    }
  } catch {
    // The witness is gone.
  }
}
