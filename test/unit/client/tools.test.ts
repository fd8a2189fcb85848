// What is beside verifying: looking at things, opening private fields, watching, completion, and what codes mean.
import { execFileSync, spawnSync } from "node:child_process";
import { beforeEach, describe, expect, test } from "vitest";
import { explain } from "../../../src/client/advice.ts";
import { UNDECIDED_CODES, type UndecidedCode } from "../../../src/client/outcome.ts";
import { formatProgress, Progress } from "../../../src/client/progress.ts";
import { commitFields } from "../../../src/receipt/disclosure.ts";
import { formatTrust } from "../../../src/receipt/trust.ts";
import { FAULT_CODES, type FaultCode } from "../../../src/tlog/fault.ts";
import { formatVerifierKey } from "../../../src/tlog/note.ts";
import { createWorld, ISSUER, LEDGER, type World } from "../../world.ts";
import { copyOf, flip, grow } from "./archives.ts";
import { Desk } from "./desk.ts";
import { openEdge } from "./edge.ts";

const SEED = new Uint8Array(16).fill(9);

let world: World;
let desk: Desk;

beforeEach(async () => {
  world = await createWorld();
  const { send } = openEdge(world, () => new Response("hello", { headers: { "content-length": "5" } }));
  desk = new Desk(send);
  desk.write("trust.json", formatTrust(world.trust));
});

describe("counterfoil inspect", () => {
  test.each(["receipt", "proof", "anchor", "checkpoint"])(
    "shows a %s, and calls nothing verified",
    async what => {
      const [receipt] = await world.append({});
      await grow(world, 300);
      desk.write("receipt", receipt!);
      desk.write("anchor", world.anchors.objects.get("anchors/0000000000.jws")!);
      desk.write("checkpoint", world.archive.objects.get(`${LEDGER}/checkpoint`)!);
      await desk.run("proof", "receipt", "--trust", "trust.json", "-o", "proof");
      expect(await desk.run("inspect", what)).toBe(0);
      expect(desk.out).toMatch(/^unverified +an? \w+: this is what it says, and nobody has checked it$/m);
      expect(desk.out).not.toMatch(/proven|\bverified|valid/);
      const [name, id] = formatVerifierKey(world.trust.ledgers[0]!.keys[0]!).split("+");
      if (what === "checkpoint")
        expect(desk.out).toMatch(new RegExp(`^signed +in the name of ${name}, key ${id}$`, "m"));
      if (what === "proof") expect(desk.out).toMatch(/^path 1 +\S+ on the left: entries 0$/m);
      const { code, json } = await desk.runJson("inspect", what);
      expect([code, json.outcome]).toEqual([0, "unverified"]);
    },
  );

  test("shows also what is not genuine, and says only what it is", async () => {
    const [receipt] = await world.append({});
    desk.write("receipt", `${receipt!.slice(0, -4)}AAAA`);
    expect(await desk.run("inspect", "receipt")).toBe(0);
    desk.write("receipt", "no receipt at all");
    expect(await desk.run("inspect", "receipt")).toBe(2);
  });
});

describe("counterfoil disclose", () => {
  beforeEach(async () => {
    const fields = { sub: "alice", client_address: null, user_agent: null, query: "page=2" };
    const [receipt] = await world.append(commitFields(SEED, fields));
    desk.write("receipt", receipt!);
    desk.write("seed", Buffer.from(SEED).toString("base64url"));
    desk.write("opening", JSON.stringify({ seed: Buffer.from(SEED).toString("base64url"), fields }));
  });

  test("opens the chosen field and nothing else, to somebody who can check it", async () => {
    const open = ["disclose", "receipt", "--seed", "seed", "--trust", "trust.json"];
    expect(await desk.run(...open, "--field", "query=page=2", "-o", "opened")).toBe(0);
    expect(desk.read("opened").split("~").length).toBe(3);
    const { code, json } = await desk.runJson("disclose", "opened", "--trust", "trust.json");
    expect([code, json.disclosed]).toEqual([0, [{ name: "query", value: "page=2" }]]);
    expect(JSON.stringify(json)).not.toContain("alice");
  });

  test("lists what can be opened, and what is provably absent", async () => {
    expect(await desk.run("disclose", "receipt", "--opening", "opening", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/^sub +can be opened: "alice"$/m);
    expect(desk.out).toMatch(/^client_address +absent, provably$/m);
    await desk.run("disclose", "receipt", "--seed", "seed", "--trust", "trust.json");
    expect(desk.out).toMatch(/^sub +open it with its value/m);
  });

  test("opens nothing that the receipt does not commit to", async () => {
    const open = ["disclose", "receipt", "--seed", "seed", "--trust", "trust.json", "--field"];
    expect(await desk.run(...open, "sub=bob")).toBe(1);
    expect(desk.err).toContain("not-disclosed");
    expect(desk.out).toBe("");
    await desk.run(...open, "query=page=2", "-o", "opened");
    const [receipt, one] = desk.read("opened").split("~");
    const other = Buffer.from(JSON.stringify([Buffer.alloc(16).toString("base64url"), "sub", "eve"]));
    desk.write("forged", `${receipt}~${one}~${other.toString("base64url")}~`);
    expect(await desk.run("disclose", "forged", "--trust", "trust.json")).toBe(1);
    desk.write("twice", `${receipt}~${one}~${one}~`);
    expect(await desk.run("disclose", "twice", "--trust", "trust.json")).toBe(1);
    desk.write("cut", `${receipt}~${one}`);
    expect(await desk.run("disclose", "cut", "--trust", "trust.json")).toBe(2);
  });
});

describe("counterfoil watch", () => {
  const watch = (...more: string[]) =>
    desk.run("watch", "copy", "--trust", "trust.json", "--state", "audit.json", "--every", "60", ...more);
  const keepCopy = () => {
    for (const [path, bytes] of copyOf(world)) desk.write(`copy/${path}`, bytes);
  };

  test("goes on from state to state until it is told to end", async () => {
    await grow(world, 300);
    keepCopy();
    desk.pauses = 3;
    expect(await watch()).toBe(0);
    expect(desk.out.match(/ {2}proven: /g)).toHaveLength(4);
    expect(desk.files.has("audit.json")).toBe(true);
  });

  test("ends with 1 when something is wrong, and says what", async () => {
    await grow(world, 300);
    keepCopy();
    flip(desk.files as Map<string, Uint8Array>, `copy/${LEDGER}/tile/entries/000`, 900);
    desk.pauses = 3;
    expect(await watch()).toBe(1);
    expect(desk.err).toMatch(/^wrong +tampered/);
  });

  test("tells a webhook once, and again when it is well, without a secret", async () => {
    await grow(world, 300);
    keepCopy();
    const path = `copy/${LEDGER}/tile/entries/000`;
    const good = desk.files.get(path)!.slice();
    flip(desk.files as Map<string, Uint8Array>, path, 900);
    const told: Record<string, unknown>[] = [];
    let calls = 0;
    desk.send = async ({ url, body }) => {
      expect(url).toBe("https://hooks.example.com/secret?key=secret");
      // It fails the first time.
      if (calls++ === 0) return { status: 500, headers: new Headers(), body: new Blob([""]).stream() };
      told.push(JSON.parse(new TextDecoder().decode(body)));
      if (told.length === 1) desk.write(path, good);
      return { status: 204, headers: new Headers(), body: new Blob([""]).stream() };
    };
    desk.pauses = 5;
    expect(await watch("--webhook", "https://hooks.example.com/secret?key=secret")).toBe(0);
    expect(told).toMatchObject([
      { event: "wrong", archive: "copy", code: "tampered", place: `${LEDGER}/tile/entries/000` },
      { event: "recovered" },
    ]);
    expect(desk.out + desk.err + JSON.stringify(told)).not.toContain("secret");
  });

  test("does not go on when nobody could be told", async () => {
    await grow(world, 300);
    keepCopy();
    flip(desk.files as Map<string, Uint8Array>, `copy/${LEDGER}/tile/entries/000`, 900);
    desk.send = async () => ({ status: 500, headers: new Headers(), body: new Blob([""]).stream() });
    desk.pauses = 20;
    expect(await watch("--webhook", "https://hooks.example.com/secret")).toBe(1);
    expect(desk.err).toContain("the one at https://hooks.example.com could not be told: status 500");
  });

  test("ends at once when it cannot begin", async () => {
    expect(await watch()).toBe(2);
    expect(desk.err).toContain("there is no such folder");
  });
});

describe("counterfoil completion", () => {
  test("completes commands, their words and their options in bash", async () => {
    expect(await desk.run("completion", "bash")).toBe(0);
    const complete = (...words: string[]) => {
      const line = `${desk.out}\nCOMP_WORDS=(counterfoil ${words.map(word => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _counterfoil; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync("bash", ["-c", line], { encoding: "utf8", cwd: "/" }).trim().split("\n");
    };
    expect(complete("aud")).toEqual(["audit"]);
    expect(complete("policy", "")).toContain("check");
    expect(complete("audit", "--anch")).toEqual(["--anchor", "--anchored-within"]);
    expect(complete("audit", "/et")).toContain("/etc");
    expect(complete("policy", "check", "--con")).toEqual(["--config"]);
  });

  test.each(["zsh", "fish"])("prints a script for %s that names every command", async shell => {
    expect(await desk.run("completion", shell)).toBe(0);
    for (const command of ["audit", "records", "check", "--anchored-within"]) {
      expect(desk.out).toContain(command.replace(shell === "fish" ? /^--/ : /^$/, ""));
    }
    const checked = spawnSync(shell, ["-n", "/dev/stdin"], { input: desk.out, encoding: "utf8" });
    // Where there is no such shell, the script was at least printed.
    if (checked.error === undefined) expect(checked.stderr).toBe("");
  });

  test("knows no other shell", async () => {
    expect(await desk.run("completion", "cmd")).toBe(2);
    expect(desk.err).toContain("Allowed choices are bash, zsh, fish");
  });
});

describe("every code of a verdict", () => {
  test.each([...Object.keys(FAULT_CODES), ...Object.keys(UNDECIDED_CODES)] as (FaultCode | UndecidedCode)[])(
    "%s says what it means and what to do next",
    code => {
      const { meaning, advice } = explain(code);
      for (const sentence of [meaning, advice]) expect(sentence).toMatch(/^[A-Z].{20,}[.]$/s);
      expect(advice).not.toBe(meaning);
    },
  );

  test("says something of its own", () => {
    const advice = Object.keys(FAULT_CODES).map(code => explain(code as FaultCode).advice);
    expect(new Set(advice).size).toBe(advice.length);
  });
});

describe("progress", () => {
  test("says how much is done, how fast, and how long it will take", () => {
    expect(formatProgress("auditing", "entries", 250_000, 1_000_000, 50_000)).toBe(
      "auditing  [######------------------] 25%  250,000 of 1,000,000 entries  50,000 entries/s  15 s left",
    );
    expect(formatProgress("copying", "objects", 1200, undefined, 10)).toBe(
      "copying  1,200 objects  10 objects/s",
    );
  });

  test("is shown on a terminal alone, after a second, and taken away", async () => {
    let [now, shown] = [0, ""];
    const platform = (err: boolean) => ({
      isTerminal: { out: err, err },
      now: () => now,
      writeErr: async (text: string) => {
        shown += text;
      },
    });
    for (const [isTerminal, expected] of [
      [false, ""],
      [true, "<start>30%<end><start><end>"],
    ] as const) {
      [now, shown] = [0, ""];
      const progress = new Progress(platform(isTerminal), "auditing", "entries");
      progress.report(10, 100);
      now = 900;
      progress.report(20, 100);
      expect(shown).toBe("");
      now = 1100;
      progress.report(30, 100);
      await progress.end();
      const plain = shown.replaceAll("\r", "<start>").replaceAll("\u001b[K", "<end>");
      expect(plain.replace(/auditing.*(30%)[^<]*/, "$1")).toBe(expected);
    }
  });
});

test("a receipt alone leads to a verdict in one command", async () => {
  const [receipt] = await world.append({});
  await world.publish();
  desk.write("receipt.jws", receipt!);
  expect(await desk.run("verify", "receipt.jws")).toBe(0);
  expect(desk.out).toMatch(/^proven +signed$/m);
  expect(desk.out).toContain(`${ISSUER}/.well-known/audit/trust, fetched just now from the operator itself`);
});
