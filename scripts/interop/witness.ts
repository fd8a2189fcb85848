// The witnesses' part of `npm run interop`. Our client has a witness cosign that nobody here wrote, the omniwitness of
// transparency-dev, and their client asks ours. Both witnesses are processes of their own, on loopback, and remember in
// files; each is asked whatever tells a witness from a server that signs.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { Cosigner } from "../../durable/cosigner.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { encodeBase64 } from "../../src/tlog/base64.ts";
import { parseCheckpoint } from "../../src/tlog/checkpoint.ts";
import { openCosignatures } from "../../src/tlog/cosignature.ts";
import { formatVerifierKey, parseNote, parseVerifierKey } from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { parseAddCheckpoint } from "../../src/tlog/witness.ts";
import { type GrownLedger, getOf, growLedger, requestFor } from "../../test/ledgers.ts";
import { findPort } from "../port.ts";

const MODULE = resolve(import.meta.dirname, "../../test/interop/witness");
const COUNTERFOIL = resolve(import.meta.dirname, "../../src/hosts/counterfoil.mjs");
const THEIRS = "github.com/transparency-dev/witness";
const PROGRAMS = [".", `${THEIRS}/cmd/omniwitness`, `${THEIRS}/cmd/generate_keys`];

const SIZES = [2, 256, 257, 1000, 1200];

interface Running {
  readonly url: string;
  /** The witness's verifier key. */
  readonly key: string;
  readonly child: ChildProcess;
}

/** @returns whether all went as it must; also when it was skipped, which it says. */
export async function checkWitnesses(scratch: string): Promise<boolean> {
  // Apart from building: that a module cannot be fetched is no failure of ours, that it does not build is.
  const fetched = spawnSync("go", ["list", "-deps", ...PROGRAMS], { cwd: MODULE, encoding: "utf8" });
  if (fetched.status !== 0) {
    console.log(`skipped, a witness and a client of others: Go could not fetch them\n${fetched.stderr}`);
    return true;
  }
  const bin = join(scratch, "bin");
  await mkdir(bin);
  const built = spawnSync("go", ["build", "-o", bin, ...PROGRAMS], { cwd: MODULE, stdio: "inherit" });
  if (built.status !== 0) return false;
  const ledger = await growLedger(SIZES);
  const fork = await growLedger(SIZES, 99);
  const ours = await checkOurClient(bin, scratch, ledger, fork);
  const theirs = await checkTheirClient(bin, scratch, ledger, fork);
  return ours && theirs;
}

/** Our client asks a witness that others wrote. */
async function checkOurClient(
  bin: string,
  scratch: string,
  ledger: GrownLedger,
  fork: GrownLedger,
): Promise<boolean> {
  const state = join(scratch, "omniwitness");
  let witness = await startTheirs(bin, state, ledger);
  const key = parseVerifierKey(witness.key);
  let statuses: number[] = [];
  const openCosigner = () =>
    new Cosigner({
      sql: openSqlite(":memory:"),
      policy: parsePolicy(`witness w1 ${witness.key} ${witness.url}\nquorum w1\n`),
      required: false,
      waitMs: 10_000,
      async fetch(url, init) {
        const response = await fetch(url, init);
        statuses.push(response.status);
        return response;
      },
    });
  let cosigner = openCosigner();
  let well = true;
  /** @param expected the statuses that the witness must answer with, the last of them 200 if it cosigns. */
  const check = async (what: string, { world, notes }: GrownLedger, step: number, expected: number[]) => {
    statuses = [];
    const checkpoint = parseCheckpoint(parseNote(notes[step]!).text);
    const { note, troubles } = await cosigner.cosign(notes[step]!, checkpoint, getOf(world));
    const cosigned = await openCosignatures(parseNote(note), [key]);
    const found = `${statuses.join(", ")}: ${cosigned.length === 1 ? "cosigned" : troubles.join("; ")}`;
    const holds = cosigned.length === (expected.at(-1) === 200 ? 1 : 0);
    well = tell(`omniwitness, ${what}`, found, holds && String(statuses) === String(expected)) && well;
  };
  await check("a first checkpoint", ledger, 0, [200]);
  await check("one that extends it", ledger, 1, [200]);
  await check("the same again", ledger, 1, [200]);
  cosigner = openCosigner();
  await check("a client that has forgotten", ledger, 2, [409, 200]);
  await end(witness, "SIGKILL");
  witness = await startTheirs(bin, state, ledger);
  cosigner = openCosigner();
  await check("after kill -9", ledger, 3, [409, 200]);
  await check("a smaller tree than that", ledger, 0, [409]);
  // This version answers as C2SP tlog-witness did before 2026-07-06; since then it is 422.
  await check("another tree of the same size", fork, 3, [409]);
  await check("a tree that does not extend it", fork, 4, [422]);
  await check("one that does, after all that", ledger, 4, [200]);
  await end(witness, "SIGTERM");
  return well;
}

/** A client that others wrote asks our witness. */
async function checkTheirClient(
  bin: string,
  scratch: string,
  ledger: GrownLedger,
  fork: GrownLedger,
): Promise<boolean> {
  const witness = await startOurs(join(scratch, "ours"), ledger);
  const last = SIZES.length - 1;
  const unsigned = ledger.notes[last]!.replace(/(.{8})=\n$/, "AAAAAAAA=\n");
  const stranger = ledger.notes[last]!.replaceAll("/audit/main", "/audit/other");
  const asks = [
    ["a first checkpoint", ledger, ledger.notes[0]!, 0, "cosigned"],
    ["a client that has forgotten", ledger, ledger.notes[1]!, 0, "stale, it has 2"],
    ["one that extends it", ledger, ledger.notes[1]!, 2, "cosigned"],
    ["the same again", ledger, ledger.notes[1]!, 256, "cosigned"],
    ["a smaller tree than that", ledger, ledger.notes[0]!, 0, "stale, it has 256"],
    ["another tree of the same size", fork, fork.notes[1]!, 256, "invalid proof"],
    ["a tree that does not extend it", fork, fork.notes[2]!, 256, "invalid proof"],
    ["a signature that is not the log's", ledger, unsigned, 256, "no valid signature"],
    ["a log that it does not know", ledger, stranger, 256, "unknown log"],
    ["one that does extend it, after all that", ledger, ledger.notes[last]!, 256, "cosigned"],
  ] as const;
  const lines: string[] = [];
  for (const [, history, note, oldSize] of asks) {
    const { proof } = parseAddCheckpoint(await requestFor(history, note, oldSize));
    lines.push(JSON.stringify({ old: oldSize, proof: proof.map(encodeBase64), checkpoint: note }));
  }
  const client = spawn(join(bin, "witness"), [witness.url, witness.key], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  client.stdin.end(lines.join("\n"));
  const answers = (await text(client.stdout)).split("\n");
  await end(witness, "SIGTERM");
  let well = true;
  for (const [i, [what, , , , expected]] of asks.entries()) {
    const found = answers[i] ?? "no answer";
    well = tell(`counterfoil witness, ${what}`, found, found === expected) && well;
  }
  return well;
}

/** Starts omniwitness, with a key that its own tool makes the first time. */
async function startTheirs(bin: string, state: string, { world }: GrownLedger): Promise<Running> {
  await mkdir(state, { recursive: true });
  const [secret, key, logs] = ["secret", "key", "logs.yaml"].map(name => join(state, name)) as [
    string,
    string,
    string,
  ];
  const made = ["--origin", "witness.example/omni", "--out_priv", secret, "--out_pub", key];
  // It never writes over a key that is there.
  spawnSync(join(bin, "generate_keys"), made);
  const { origin, keys } = world.trust.ledgers[0]!;
  const log = { Origin: origin, PublicKey: formatVerifierKey(keys[0]!), URL: "http://127.0.0.1/" };
  // JSON is YAML.
  await writeFile(logs, JSON.stringify({ Logs: [log] }));
  const address = `127.0.0.1:${await findPort("127.0.0.1")}`;
  const child = spawn(
    join(bin, "omniwitness"),
    [
      ...["--listen", address, "--metrics_listen", "", "--db_file", join(state, "witness.sqlite")],
      ...["--private_key_path", secret, "--additional_logs", logs],
    ],
    { stdio: "ignore" },
  );
  const url = `http://${address}`;
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`omniwitness ended with exit code ${child.exitCode}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  return { url, key: (await readFile(key, "utf8")).trim(), child };
}

/** Starts `counterfoil witness`. */
async function startOurs(state: string, { world }: GrownLedger): Promise<Running> {
  const log = formatVerifierKey(world.trust.ledgers[0]!.keys[0]!);
  const args = ["witness", "--name", "witness.example/ours", "--state", state, "--port", "0", "--log", log];
  const child = spawn(process.execPath, [COUNTERFOIL, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    output += chunk;
    const [, url] = /witness +(\S+)/.exec(output) ?? [];
    const [, key] = /key +(\S+)\n/.exec(output) ?? [];
    if (url !== undefined && key !== undefined) return { url, key, child };
  }
  throw new Error(`counterfoil witness has ended: ${output}`);
}

async function end({ child }: Running, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

function tell(what: string, found: string, well: boolean): boolean {
  console.log(`${what}:`.padEnd(60), well ? found : `FAILED: ${found}`);
  return well;
}
