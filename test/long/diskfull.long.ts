// A disk that is full: nothing is released that is not on record, nothing that was acknowledged is lost, and it goes
// on by itself when there is room again. The disk is a small one in memory, which only root may make.
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { audit, startOn, writeConfig } from "../../scripts/edges.ts";
import { answer, ask, checkHeld, ITEM, type Known, newKnown } from "../../scripts/held.ts";
import { RUNTIMES } from "../../scripts/runtimes.ts";
import { type Reached, read } from "../e2e/copy.ts";
import { eventually, send, startUpstream } from "../e2e/upstream.ts";

const DISK = "6m";
const CLIENTS = 8;

const folder = mkdtempSync(join(tmpdir(), "counterfoil-full-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function mount(path: string): boolean {
  mkdirSync(path);
  return spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK},mode=700`, "none", path]).status === 0;
}

const canMount = mount(join(folder, "probe"));
if (canMount) spawnSync("umount", [join(folder, "probe")]);
else {
  rmSync(folder, { recursive: true });
  console.log("a full disk is not tried: no file system can be mounted here (it takes root)");
}

/** Takes all the room that is left. @returns what gives it back. */
function fill(disk: string): () => void {
  const filler = join(disk, "filler");
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) appendFileSync(filler, Buffer.alloc(size));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
    }
  }
  return () => rmSync(filler);
}

/** Asks until it was refused so often; whatever was answered otherwise has its receipt. */
async function askUntilRefused(edge: Reached, known: Known, refusals: number): Promise<void> {
  const until = known.refused + refusals;
  const client = async (id: number) => {
    for (let n = 0; known.refused < until; n++)
      await ask(edge, `${ITEM}full/${id}/${known.held.length}/${n}`, known);
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)));
}

/** How often the log complains of the ledger, and of how many exchanges in all. */
function readComplaints(output: string): { lines: number; exchanges: number } {
  const lines = [...output.matchAll(/^ledger "main" could not be reached, for (?:(\d+) more|\S+:)/gm)];
  return { lines: lines.length, exchanges: lines.reduce((sum, [, more]) => sum + Number(more ?? 1), 0) };
}

describe.runIf(canMount)("on a full disk", () => {
  test.each(RUNTIMES)(
    "an edge on %s refuses, loses nothing, and goes on when there is room",
    async runtime => {
      const disk = join(folder, runtime);
      expect(mount(disk)).toBe(true);
      onTestFinished(() => void spawnSync("umount", ["-l", disk]));
      const upstream = await startUpstream(answer);
      onTestFinished(() => upstream.close());
      mkdirSync(join(folder, `${runtime}-config`));
      const config = await writeConfig(join(folder, `${runtime}-config`), upstream.url);
      const state = join(disk, "state");
      const known = newKnown();
      let edge = await startOn({ runtime, config, state });
      onTestFinished(() => edge.stop());
      for (let n = 0; n < 50; n++) await ask(edge, `${ITEM}before/${n}`, known);
      const { receipt } = known.held[0]!;

      const free = fill(disk);
      await askUntilRefused(edge, known, 40);
      // What a refusal looks like, and that reading goes on.
      const refused = await send(`${edge.url}${ITEM}refused`);
      expect([refused.status, refused.headers["content-type"]]).toEqual([503, "application/problem+json"]);
      expect(refused.headers["audit-receipt"]).toBeUndefined();
      expect(refused.body.toString()).not.toMatch(/you asked for/);
      // The state is told to everybody, and where the files of this machine lie to its log alone.
      const health = await send(`${edge.url}/.well-known/audit/health`);
      const [ledger] = JSON.parse(health.body.toString()).ledgers;
      expect([health.status, ledger.state, ledger.trouble.code]).toEqual([503, "failing", "unavailable"]);
      expect(`${refused.body}${health.body}`).not.toContain(disk);
      expect(edge.output).toContain(`${join(disk, "state/ledgers/main.sqlite")}: database or disk is full`);
      const jti = JSON.parse(Buffer.from(receipt.split(".")[1]!, "base64url").toString()).jti;
      expect((await read(edge, `receipts/${jti}`)).toString()).toBe(receipt);

      free();
      await eventually(async () =>
        (await send(`${edge.url}${ITEM}room`)).status === 200 ? true : undefined,
      );
      for (let n = 0; n < 50; n++) await ask(edge, `${ITEM}after/${n}`, known);
      await checkHeld(edge, known);
      // The log counts each exchange that was refused, and yet does not grow with them.
      const { refused: count } = known;
      const { lines } = await eventually(async () => {
        const complaints = readComplaints(edge.output);
        return complaints.exchanges >= count ? complaints : undefined;
      });
      expect(lines).toBeLessThan(count / 2);

      // Full again, and killed.
      const freeAgain = fill(disk);
      await askUntilRefused(edge, known, 40);
      process.kill(edge.pid, "SIGKILL");
      await edge.ended;
      const started = await startOn({ runtime, config, state }).catch((error: Error) => error);
      if (started instanceof Error) expect(started.message).toMatch(new RegExp(`${state}.*(ENOSPC|full)`));
      else await started.stop();
      freeAgain();
      edge = await startOn({ runtime, config, state });
      for (let n = 0; n < 50; n++) await ask(edge, `${ITEM}again/${n}`, known);
      await checkHeld(edge, known);
      await audit(edge);
    },
  );
});
