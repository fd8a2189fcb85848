// What clients get, and what is on record afterwards, when the ledger is out of reach, slow, busy or full: for each
// setting of a route, under load, in real workerd.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parseEntry } from "../../src/receipt/entry.ts";
import { timeOfJti } from "../../src/receipt/jti.ts";
import { checkKept, parsePromise, verifyPromise } from "../../src/receipt/promise.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import { isFinal } from "../../src/receipt/record.ts";
import { parseTrust, type Trust } from "../../src/receipt/trust.ts";
import { checkReceipt, pullChecked, read } from "./copy.ts";
import { type Edge, startEdge } from "./edge.ts";
import { type Answer, eventually, send, startUpstream, type Upstream } from "./upstream.ts";

/** The routes, and the marks that their responses may bear while the ledger fails. */
const ROUTES = {
  closed: { keys: "", marks: ["receipt", "refused"] },
  spool: { keys: 'on_ledger_failure = "spool"', marks: ["receipt", "promise"] },
  open: { keys: 'on_ledger_failure = "open"', marks: ["receipt", "gap"] },
  promised: { keys: 'assurance = "promised"', marks: ["promise"] },
  ahead: { keys: 'assurance = "write-ahead"', marks: ["receipt", "refused"] },
  "ahead-spool": {
    keys: 'assurance = "write-ahead"\non_ledger_failure = "spool"',
    marks: ["receipt", "promise"],
  },
  "ahead-open": {
    keys: 'assurance = "write-ahead"\non_ledger_failure = "open"',
    marks: ["receipt", "gap"],
  },
} as const;
type RouteName = keyof typeof ROUTES;

const PER_ROUTE = 12;
const AT_ONCE = 14;

interface Seen {
  readonly route: RouteName;
  readonly path: string;
  readonly mark: string;
  readonly answer: Answer;
  readonly jti: string;
}

let folder: string;
let upstream: Upstream;
let edge: Edge;
let trust: Trust;
let keys: JsonWebKey[];
const called = new Set<string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  upstream = await startUpstream((request, response) => {
    called.add(request.url!);
    const body = `you asked for ${request.url}`;
    // Every third is of unknown length, so that it is not held back.
    if (Number(request.url!.split("/").at(-1)) % 3 !== 0) {
      return response.writeHead(200, { "content-length": body.length }).end(body);
    }
    response.write(body.slice(0, 5));
    return setImmediate(() => response.end(body.slice(5)));
  });
  const toml = await readFile("wrangler.toml", "utf8");
  const routes = Object.entries(ROUTES).map(
    ([name, { keys }]) =>
      `[[vars.routes]]\nname = "${name}"\nmatch = "/${name}/*"\nupstream = "${upstream.url}"\nledger = "main"\nledger_wait_ms = 500\n${keys}\n`,
  );
  routes.push(
    `[[vars.routes]]\nname = "brief"\nmatch = "/brief/*"\nupstream = "${upstream.url}"\nledger = "main"\nassurance = "promised"\npromise_seconds = 10\n`,
  );
  await writeFile(
    join(folder, "wrangler.toml"),
    toml
      .replace(/interval_seconds = \d+/, "interval_seconds = 1")
      .replace(/main = "src[^"]*"/, `main = "${process.cwd()}/test/e2e/faulty.ts"`)
      .replace(/\[\[vars\.routes\]\][^[]*/, `${routes.join("\n")}\n`),
  );
  edge = await startEdge({
    upstream: upstream.url,
    state: join(folder, "state"),
    args: ["--config", join(folder, "wrangler.toml")],
  });
  trust = parseTrust((await read(edge, "trust")).toString());
  keys = JSON.parse((await read(edge, "jwks.json")).toString()).keys;
});

afterAll(async () => {
  await edge?.stop();
  upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

async function setFault(fault: string): Promise<void> {
  await send(`${edge.url}/.fault?is=${fault}`);
}

/** Sends requests to every route, so many at a time. */
async function load(what: string): Promise<Seen[]> {
  const paths = Array.from({ length: PER_ROUTE }, (_, n) =>
    (Object.keys(ROUTES) as RouteName[]).map(route => [route, `/${route}/${what}/${n}`] as const),
  ).flat();
  const seen: Seen[] = [];
  const client = async () => {
    for (let next = paths.shift(); next !== undefined; next = paths.shift()) {
      const [route, path] = next;
      const answer = await send(`${edge.url}${path}`);
      seen.push({ route, path, mark: markOf(answer), answer, jti: answer.headers["audit-id"] as string });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  return seen;
}

/** The one documented mark of a response; a response with none, or with two, has a name that no test expects. */
function markOf({ status, headers, body }: Answer): string {
  const marks = ["receipt", "promise", "gap"].filter(name => headers[`audit-${name}`] !== undefined);
  const isProblem = headers["content-type"] === "application/problem+json";
  if (status === 503 && isProblem && !body.includes("you asked")) marks.push("refused");
  return marks.join(" and ") || `nothing, status ${status}`;
}

/** The final receipt of an exchange, as soon as it can be had. */
function finalReceipt(jti: string): Promise<string> {
  return eventually(async () => {
    const { status, headers, body } = await send(`${edge.url}/.well-known/audit/receipts/${jti}`, {
      headers: { prefer: "wait=5" },
    });
    if (status === 200 && headers["audit-stage"] === undefined) return body.toString();
    expect(headers["retry-after"], `${status} ${body}`).toBeDefined();
    return undefined;
  });
}

/** Everything that is on record once the spool has been drained, after at least so many entries. */
async function pullAll(atLeast: string): Promise<readonly string[]> {
  const { index } = parseReceipt(atLeast).entry.header;
  return (await pullChecked(edge, index + 1)).entries;
}

/** What the edge says of itself, well or not. */
async function readHealth() {
  const { status, body } = await send(`${edge.url}/.well-known/audit/health`);
  return { status, ...JSON.parse(body.toString()) };
}

describe.each(["down", "slow", "busy", "full"])("a ledger that is %s", fault => {
  let seen: Seen[];
  let entries: readonly string[];
  let records: ReturnType<typeof parseEntry>[];

  beforeAll(async () => {
    await setFault(fault);
    seen = await load(fault);
    if (fault === "full") {
      const { status, ledgers } = await readHealth();
      expect([status, ledgers[0].state]).toEqual([503, "failing"]);
    }
    await setFault("none");
    // Nobody helps: the next request is an ordinary one, and the rest is waited for.
    const after = await eventually(async () => {
      const { headers } = await send(`${edge.url}/open/after-${fault}/1`);
      return headers["audit-receipt"] as string | undefined;
    });
    const settled = seen.filter(({ mark }) => mark === "promise").map(({ jti }) => finalReceipt(jti));
    const receipts = await Promise.all(settled);
    await eventually(async () => {
      const { ledgers } = JSON.parse((await read(edge, "health")).toString());
      return ledgers[0].alerts.some(({ code }: { code: string }) => code === "spooled") ? undefined : true;
    });
    const last = await send(`${edge.url}/closed/last-${fault}/1`);
    const newest = [...receipts, after, last.headers["audit-receipt"] as string]
      .map(receipt => ({ receipt, index: parseReceipt(receipt).entry.header.index }))
      .reduce((a, b) => (a.index > b.index ? a : b));
    entries = await pullAll(newest.receipt);
    records = entries.map(entry => parseEntry(entry));
  });

  test.each(Object.keys(ROUTES) as RouteName[])("leaves no response of route %s unmarked", route => {
    const marks = seen.filter(one => one.route === route).map(({ mark }) => mark);
    expect(marks).toHaveLength(PER_ROUTE);
    for (const mark of marks) expect(ROUTES[route].marks).toContain(mark);
  });

  test("really fails: no route that may say so gives receipts only", () => {
    for (const route of ["closed", "spool", "open", "ahead"] as const) {
      const failed = seen.filter(one => one.route === route && one.mark !== "receipt");
      expect(failed.length, route).toBeGreaterThan(0);
    }
  });

  test("does not let a request of a write-ahead route through before it is on record", () => {
    const refused = seen.filter(({ route, mark }) => route === "ahead" && mark === "refused");
    for (const { path, jti } of refused) {
      // One that got through was on record as received, and failed later.
      const stages = records.filter(({ record }) => record.jti === jti).map(({ record }) => record.stage);
      if (called.has(path)) expect(stages[0], path).toBe("received");
      else expect(stages, path).not.toContain("complete");
    }
  });

  test("has every receipt on record that it gave", () => {
    const copy = { entries, anchored: entries.length };
    for (const { answer, mark } of seen) {
      if (mark === "receipt") checkReceipt(answer.headers["audit-receipt"] as string, copy, keys);
    }
  });

  test("keeps every promise, byte for byte and in time", async () => {
    for (const { answer, mark } of seen) {
      if (mark !== "promise") continue;
      const promise = parsePromise(answer.headers["audit-promise"] as string);
      await verifyPromise(promise, trust.receiptKeys);
      const { jti, stage } = promise.record;
      const entry = records.find(({ record }) => record.jti === jti && record.stage === stage);
      expect(entry, `${stage} of ${jti}`).toBeDefined();
      checkKept(promise, entry!);
    }
  });

  test("tells of what it let go without a record", () => {
    const let_go = seen.filter(({ mark }) => mark === "gap").length;
    const controls = records.flatMap(({ record }) => (record.control === undefined ? [] : [record.control]));
    const gaps = controls.filter(({ type }) => type === "gap") as unknown as {
      from: string;
      to: string;
      count: number;
      spooled: number;
      begun: string;
    }[];
    expect(let_go).toBeGreaterThan(0);
    const from = seen
      .filter(({ mark }) => mark === "gap")
      .map(({ jti }) => jti)
      .sort()[0]!;
    const own = gaps.filter(({ begun }) => begun > from);
    expect(own.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThanOrEqual(let_go);
    // The object store could be reached all the time, so the records themselves are there as well.
    for (const { jti, mark } of seen) {
      if (mark !== "gap") continue;
      expect(
        records.some(({ record }) => record.jti === jti && isFinal(record.stage)),
        jti,
      ).toBe(true);
    }
  });

  test("has exactly one ending of every exchange, and in its order", () => {
    const stages = new Map<string, string[]>();
    for (const { record } of records) {
      if (record.stage === "control") continue;
      stages.set(record.jti, [...(stages.get(record.jti) ?? []), record.stage]);
    }
    for (const [jti, found] of stages) {
      expect(
        found.filter(stage => isFinal(stage)),
        `${jti}: ${found}`,
      ).toHaveLength(1);
      expect(isFinal(found.at(-1)!), `${jti}: ${found}`).toBe(true);
    }
    for (const { jti, route } of seen) {
      // Of an exchange that was refused before anything was recorded, there may be nothing.
      if (route !== "closed" && route !== "ahead") expect(stages.has(jti), `${route} ${jti}`).toBe(true);
    }
  });
});

describe("an edge that is killed between the call of the upstream and the record of its answer", () => {
  test("has the request on record under write-ahead, and raises an alert about it", async () => {
    const state = await mkdtemp(join(tmpdir(), "counterfoil-"));
    onTestFinished(() => rm(state, { recursive: true, force: true }));
    const arrived = Promise.withResolvers<string>();
    const slow = await startUpstream(request => arrived.resolve(request.headers["audit-id"] as string));
    onTestFinished(() => slow.close());
    const config = join(state, "wrangler.toml");
    const toml = await readFile("wrangler.toml", "utf8");
    await writeFile(
      config,
      toml
        .replace(/interval_seconds = \d+/, "interval_seconds = 1")
        .replace(/main = "src/, `main = "${process.cwd()}/src`)
        .replace(/\[\[vars\.routes\]\]/, '$&\nassurance = "write-ahead"')
        .replace(/received_seconds = \d+/, "received_seconds = 1"),
    );
    const options = { upstream: slow.url, state: join(state, "state"), args: ["--config", config] };
    const first = await startEdge(options);
    onTestFinished(() => first.stop());
    const answer = send(`${first.url}/order`).catch(() => "cut off");
    const jti = await arrived.promise;
    await first.killServing();
    expect(await answer).toBe("cut off");

    const second = await startEdge(options);
    onTestFinished(() => second.stop());
    const alert = await eventually(async () => {
      const { ledgers } = JSON.parse((await read(second, "health")).toString());
      return ledgers[0].alerts.find(({ code }: { code: string }) => code === "unfinished");
    });
    expect(alert.reason).toContain(new Date(timeOfJti(jti)!).toISOString());
    expect(alert.reason).not.toContain(jti);
    const response = await send(`${second.url}/.well-known/audit/receipts/${jti}`);
    expect(parseReceipt(response.body.toString()).entry.record).toMatchObject({
      stage: "received",
      req: { method: "GET", path: "/order" },
    });
    expect(response.headers["audit-stage"]).toBe("open");
  });
});

describe("a promise in a person's hands", () => {
  /** Runs the command line on a file with this text. @returns its exit code and output. */
  async function run(text: string, ...args: string[]): Promise<[number, string]> {
    const file = join(folder, "promise.txt");
    await writeFile(file, text);
    return runWith("verify", file, ...args);
  }

  async function runWith(...args: string[]): Promise<[number, string]> {
    const child = spawn(process.execPath, ["src/hosts/counterfoil.mjs", ...args]);
    const output = Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
    const [code] = (await once(child, "exit")) as [number];
    return [code, (await output).flat().join("")];
  }

  test("is exchanged for the receipt that keeps it, and is not proven while there is none", async () => {
    const path = "/promised/hands/1";
    const { headers, body } = await send(`${edge.url}${path}`);
    const promise = headers["audit-promise"] as string;
    const response = ["HTTP/1.1 200 OK", `audit-promise: ${promise}`, "", body.toString()].join("\r\n");
    await finalReceipt(headers["audit-id"] as string);
    const [code, output] = await run(response, "--url", `${edge.url}${path}`);
    expect([code, output]).toEqual([0, expect.stringContaining("signed, matched")]);
    const other = response.replace("you asked", "you begged");
    expect(await run(other)).toEqual([1, expect.stringContaining("mismatched")]);

    await setFault("down");
    const late = (await send(`${edge.url}${path}`)).headers["audit-promise"] as string;
    expect(await run(late)).toEqual([2, expect.stringContaining("not in the ledger yet")]);
    await setFault("none");
    const forged = `${late.slice(0, -9)}${late.at(-9) === "A" ? "B" : "A"}${late.slice(-8)}`;
    expect(await run(forged)).toEqual([1, expect.stringContaining("bad-signature")]);
  });

  test("that is broken raises an alert while its record waits, and is proven broken once that is on record", async () => {
    const kept = (await send(`${edge.url}/promised/hands/2`)).headers;
    await finalReceipt(kept["audit-id"] as string);
    await setFault("full");
    const broken = (await send(`${edge.url}/brief/hands/1`)).headers;
    const { record, header } = parsePromise(broken["audit-promise"] as string);
    const alert = await eventually(async () => {
      const { ledgers } = await readHealth();
      return ledgers[0].alerts?.find(({ code }: { code: string }) => code === "promise-broken");
    });
    expect(alert.reason).toContain(header.promise);
    await setFault("none");
    const receipt = await finalReceipt(record.jti);
    const { index } = parseReceipt(receipt).entry.header;

    const token = join(folder, "token.txt");
    await writeFile(token, await edge.operatorToken());
    const files = [kept, broken].map((_, i) => join(folder, `promise-${i}.jws`));
    for (const [i, headers] of [kept, broken].entries()) {
      await writeFile(files[i]!, headers["audit-promise"] as string);
    }
    // The control record comes right after the late one.
    const { entries } = await pullChecked(edge, index + 2);
    const told = entries.map(entry => parseEntry(entry).record).filter(({ jti }) => jti === record.jti);
    expect(told).toMatchObject([
      { stage: "complete" },
      { stage: "control", control: { type: "entered-late", step: "complete", promise: header.promise } },
    ]);
    const audit = ["audit", edge.url, "--token", token];
    expect(await runWith(...audit, "--promise", files[0]!)).toEqual([
      0,
      expect.stringContaining(": kept by entry"),
    ]);
    const [code, output] = await runWith(...audit, "--promise", files[0]!, "--promise", files[1]!);
    expect([code, output]).toEqual([1, expect.stringContaining("broken-promise")]);
    expect(output).toContain(`entry ${index} was taken later than was promised`);
  });
});
