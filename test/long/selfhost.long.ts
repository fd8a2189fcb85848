// The edge in a plain `workerd serve`, from the folder that `npm run selfhost` writes: archive and anchors in S3
// buckets, here stand-ins in a process of their own, and the ledgers in files.
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONFIG_PATH } from "../../scripts/config.ts";
import { findPort } from "../../scripts/port.ts";
import { checkReceipt, pullChecked, read } from "../e2e/copy.ts";
import { eventually, send, startUpstream, type Upstream } from "../e2e/upstream.ts";

const [SELFHOST, COUNTERFOIL, WORKERD] = [
  "scripts/selfhost.ts",
  "src/hosts/counterfoil.mjs",
  "node_modules/workerd/bin/workerd",
].map(path => resolve(path)) as [string, string, string];

const BUCKET_KEYS = Object.fromEntries(
  ["ARCHIVE", "ANCHOR"].flatMap(name => [
    [`${name}_S3_KEY_ID`, "AK"],
    [`${name}_S3_SECRET`, "SK"],
  ]),
);

let folder: string;
let out: string;
let config: string;
let upstream: Upstream;
let buckets: ChildProcess;
let workerd: ChildProcess;
let edge: Parameters<typeof pullChecked>[0];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterfoil-selfhost-"));
  out = join(folder, "out");
  config = join(folder, "wrangler.toml");
  upstream = await startUpstream((request, response) => void response.end(`you asked for ${request.url}`));
  buckets = fork(resolve(import.meta.dirname, "../s3process.ts"));
  const [[archive, anchors]] = (await once(buckets, "message")) as [[string, string]];
  const port = await findPort("127.0.0.1");
  const url = `http://127.0.0.1:${port}`;
  const ours = readFileSync(CONFIG_PATH, "utf8")
    .replace('main = "', `main = "${resolve(".")}/`)
    .replace(/^issuer = .*$/m, `issuer = "${url}"`)
    .replace(/^upstream = .*$/m, `upstream = "${upstream.url}"`)
    .replace(/^client_address = .*$/m, 'client_address = "none"')
    .replace("interval_seconds = 60", "interval_seconds = 1");
  writeFileSync(
    config,
    `${ours}
[vars.archive.s3]
url = "${archive}"
[vars.anchor.s3]
url = "${anchors}"
retention_days = 1
role = "store"
`,
  );
  selfhost("--out", out, "--config", config, "--listen", `127.0.0.1:${port}`);
  const token = readFile(join(out, "operator-token"), "utf8");
  edge = { url, operatorToken: async () => (await token).trim() } as typeof edge;
  await serve();
}, 60_000);

afterAll(async () => {
  workerd?.kill();
  buckets?.disconnect();
  upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

function selfhost(...args: string[]): string {
  return execFileSync(process.execPath, [SELFHOST, ...args], { encoding: "utf8", stdio: "pipe" });
}

async function serve(): Promise<void> {
  const secrets = parseEnv(readFileSync(join(out, "secrets.env"), "utf8")) as NodeJS.ProcessEnv;
  workerd = spawn(WORKERD, ["serve", "config.capnp"], {
    cwd: out,
    env: { ...secrets, ...BUCKET_KEYS },
    stdio: ["ignore", "inherit", "inherit"],
  });
  await eventually(() => send(`${edge.url}/.well-known/audit/trust`).catch(() => undefined));
}

describe("a plain workerd", () => {
  it("keeps what it has given receipts for, also when it is killed", async () => {
    const receipts: string[] = [];
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => send(`${edge.url}/${round}/${n}`)),
      );
      for (const { status, body, headers } of answers) {
        expect([status, body.toString()]).toEqual([200, expect.stringMatching(/^you asked for \/\d\/\d+$/)]);
        receipts.push(String(headers["audit-receipt"]));
      }
      workerd.kill("SIGKILL");
      await once(workerd, "exit");
      await serve();
    }
    const { keys } = JSON.parse((await read(edge, "trust")).toString()).jwks;
    const copy = await pullChecked(edge, receipts.length + 1);
    const indexes = receipts.map(receipt => checkReceipt(receipt, copy, keys));
    expect(new Set(indexes).size).toBe(receipts.length);
  });

  it("passes its audit, with anchors under Object Lock", () => {
    const args = [COUNTERFOIL, "audit", edge.url, "--token", join(out, "operator-token")];
    const report = execFileSync(process.execPath, args, { encoding: "utf8" });
    expect(report).toContain("s3-object-lock");
    expect(report).toMatch(/ledger main +6\d entries published, 6\d recomputed to a signed root/);
  });

  it("has its secrets in a file of its own, for its owner alone", () => {
    const secrets = parseEnv(readFileSync(join(out, "secrets.env"), "utf8"));
    const text = readFileSync(join(out, "config.capnp"), "utf8");
    const key = JSON.parse(secrets.RECEIPT_KEY!) as { d: string };
    expect(text).toContain('(name = "RECEIPT_KEY", fromEnvironment = "RECEIPT_KEY")');
    expect(text).not.toContain(key.d);
    expect(statSync(join(out, "secrets.env")).mode & 0o777).toBe(0o600);
  });

  it("goes on with its keys when its folder is made again", async () => {
    const before = readFileSync(join(out, "secrets.env"), "utf8");
    chmodSync(join(out, "secrets.env"), 0o644);
    selfhost("--out", out, "--config", config, "--listen", new URL(edge.url).host);
    expect(readFileSync(join(out, "secrets.env"), "utf8")).toBe(before);
    expect(statSync(join(out, "secrets.env")).mode & 0o777).toBe(0o600);
  });

  it.each([
    ["client_address", 'client_address = "none"', 'client_address = "cf-connecting-ip"'],
    ["archive.s3", /\[vars\.archive\.s3\]\nurl = .*\n/, ""],
    ["anchor.s3", 'role = "store"', 'role = "copy"'],
  ])("is not set up with a vars.%s that it cannot keep", (name, from, to) => {
    const other = join(folder, "other.toml");
    writeFileSync(other, readFileSync(config, "utf8").replace(from, to));
    expect(() => selfhost("--out", join(folder, "other"), "--config", other)).toThrow(`vars.${name}`);
  });
});

describe("a plain workerd with TLS", () => {
  it("serves with a certificate of files beside its folder", async () => {
    const tls = join(folder, "tls");
    const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"];
    execFileSync("openssl", [...args, "-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")], {
      stdio: "ignore",
    });
    const port = await findPort("127.0.0.1");
    const files = ["--tls-cert", "../cert.pem", "--tls-key", "../key.pem"];
    selfhost("--out", tls, "--config", config, "--listen", `127.0.0.1:${port}`, ...files);
    const secrets = parseEnv(readFileSync(join(out, "secrets.env"), "utf8")) as NodeJS.ProcessEnv;
    const served = spawn(WORKERD, ["serve", "config.capnp"], {
      cwd: tls,
      env: { ...secrets, ...BUCKET_KEYS },
    });
    try {
      const curl = ["-sS", "--cacert", join(folder, "cert.pem"), "--retry", "20", "--retry-connrefused"];
      const url = `https://localhost:${port}/.well-known/audit/trust`;
      const answer = execFileSync("curl", [...curl, "--retry-delay", "1", url], { encoding: "utf8" });
      expect(JSON.parse(answer)).toHaveProperty("jwks.keys");
    } finally {
      served.kill();
    }
  });
});
