// Timestamps of an authority that nobody here wrote (`openssl ts`, over HTTP): how they are asked for, verified
// and refused, and how they get into anchors and verdicts.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requestTimestamp } from "../../durable/timestamper.ts";
import { audit } from "../../src/client/audit.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { imprintAnchor, issueAnchor, openAnchor } from "../../src/receipt/anchor.ts";
import { parseReceipt } from "../../src/receipt/receipt.ts";
import {
  formatTimestampRequest,
  parseTimestampResponse,
  trimToken,
  verifyTimestamp,
} from "../../src/receipt/timestamp.ts";
import { formatTrust, parseTrust } from "../../src/receipt/trust.ts";
import { verifyEvidence } from "../../src/receipt/verify.ts";
import { encodeBase64 } from "../../src/tlog/base64.ts";
import { formatProof } from "../../src/tlog/proof.ts";
import { readTiles } from "../../src/tlog/reader.ts";
import { planInclusion } from "../../src/tlog/tree.ts";
import { hasOpenssl, type Kind, makeTsa, removeTsas, serveTsa, type Tsa } from "../tsa.ts";
import { createWorld, fixedKey, LEDGER, MemoryArchive, type World } from "../world.ts";
import { copyOf, grow, viewOf } from "./client/archives.ts";
import { Desk } from "./client/desk.ts";

if (!hasOpenssl) console.warn("openssl is missing: timestamps are not tested against it");

const DIGEST = new Uint8Array(createHash("sha256").update("an anchor").digest());
const NONCE = Uint8Array.of(0, 0x80, 1, 2, 3);
const random = (count: number) => crypto.getRandomValues(new Uint8Array(count));

/** What an authority says of a digest. */
function tokenOf(tsa: Tsa, digest: Uint8Array = DIGEST): Uint8Array {
  const answer = parseTimestampResponse(tsa.reply(formatTimestampRequest(digest, NONCE)));
  if ("refused" in answer) throw new Error(answer.refused);
  return answer.token;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "ok",
    error => error.code ?? error.message,
  );
}

afterAll(removeTsas);

describe.skipIf(!hasOpenssl)("a token of openssl", () => {
  const kinds: [string, Kind][] = [
    ["RSA and SHA-256", { key: "rsa" }],
    ["RSA and SHA-512", { key: "rsa", digest: "sha512" }],
    ["P-256 and SHA-256", { key: "p256" }],
    ["P-384 and SHA-384", { key: "p384", digest: "sha384" }],
  ];
  it.each(kinds)("by %s verifies with the authority's certificate, or with its issuer's", async (_, kind) => {
    const tsa = makeTsa(kind);
    const token = tokenOf(tsa);
    const since = Date.now() - 600_000;
    for (const certificate of [tsa.certificate, tsa.issuer]) {
      const { time, by } = await verifyTimestamp(token, DIGEST, [certificate], NONCE);
      expect(by).toBe("Example TSA");
      expect(Date.parse(time)).toBeGreaterThan(since);
    }
  });

  describe("is refused", () => {
    let tsa: Tsa;
    let token: Uint8Array;
    beforeAll(() => {
      tsa = makeTsa();
      token = tokenOf(tsa);
    });

    it("as of an unknown key, when it leads to another authority", async () => {
      const other = makeTsa();
      expect(await codeOf(verifyTimestamp(token, DIGEST, [other.certificate, other.issuer]))).toBe(
        "unknown-key",
      );
      expect(await codeOf(verifyTimestamp(token, DIGEST, []))).toBe("unknown-key");
    });

    it("as a wrong timestamp, when it is of another digest", async () => {
      const other = DIGEST.map(byte => byte ^ 1);
      expect(await codeOf(verifyTimestamp(token, other, [tsa.issuer]))).toBe("wrong-timestamp");
    });

    it("when it does not answer the request", async () => {
      expect(await codeOf(verifyTimestamp(token, DIGEST, [tsa.issuer], Uint8Array.of(9)))).toBe("malformed");
    });

    const EKU = "extendedKeyUsage=critical,timeStamping\n";
    const misused: [string, string, Kind][] = [
      [
        "after its certificate has expired",
        "key-not-valid",
        { validity: ["20200101000000Z", "20210101000000Z"] },
      ],
      [
        "before its certificate is valid",
        "key-not-valid",
        { validity: ["20900101000000Z", "20950101000000Z"] },
      ],
      [
        "with a certificate that has a critical extension nobody here knows",
        "unsupported",
        {
          extensions: `${EKU}1.2.3.4=critical,DER:0500\n`,
        },
      ],
    ];
    // openssl itself refuses to sign with a certificate for another purpose; the vectors have those.
    it.each(misused)("when it was made %s: %s", async (_, code, kind) => {
      const other = makeTsa(kind);
      expect(await codeOf(verifyTimestamp(tokenOf(other), DIGEST, [other.issuer]))).toBe(code);
    });
  });

  it("keeps the certificates that a verifier needs, and loses the others", async () => {
    const { certificate, ...tsa } = makeTsa();
    const token = tokenOf({ certificate, ...tsa });
    expect(await trimToken(token, [tsa.issuer])).toEqual(token);
    expect((await verifyTimestamp(await trimToken(token, [certificate]), DIGEST, [certificate])).by).toBe(
      "Example TSA",
    );
  });
});

describe.skipIf(!hasOpenssl)("the client of an authority", () => {
  let tsa: Tsa;
  beforeAll(() => {
    tsa = makeTsa();
  });

  async function request(answer?: Parameters<typeof serveTsa>[1], certificates = [tsa.issuer]) {
    const { url, close } = await serveTsa(tsa, answer);
    try {
      return await requestTimestamp(DIGEST, { url, certificates, random, fetch, waitMs: 2000 });
    } finally {
      close();
    }
  }

  it("returns a token that verifies", async () => {
    expect((await verifyTimestamp(await request(), DIGEST, [tsa.issuer])).by).toBe("Example TSA");
  });

  const replay = () => tsa.reply(formatTimestampRequest(DIGEST, Uint8Array.of(1)));
  const rejection = Uint8Array.from([0x30, 5, 0x30, 3, 2, 1, 2]);
  it.each<[string, Parameters<typeof serveTsa>[1], RegExp]>([
    ["another status than 200", () => ({ status: 503, body: new Uint8Array() }), /status 503/],
    ["a redirect", () => ({ status: 302, body: new Uint8Array() }), /status 302|opaque|status 0/],
    ["another content type", reply => ({ type: "text/html", body: reply() }), /text\/html/],
    ["more bytes than a token has", () => ({ body: new Uint8Array(100_000) }), /more than/],
    ["a rejection", () => ({ body: rejection }), /refused: status 2/],
    ["an answer to another request", () => ({ body: replay() }), /nonce/],
    ["bytes that are no answer", () => ({ body: Uint8Array.of(1, 2, 3) }), /timestamp response/],
    ["no answer in time", () => undefined, /time/i],
  ])("refuses %s", async (_, answer, message) => {
    await expect(request(answer)).rejects.toThrow(message);
  });

  it("refuses a token of an authority that is not the configured one", async () => {
    expect(await codeOf(request(undefined, [makeTsa().issuer]))).toBe("unknown-key");
  });
});

/** A world whose anchors are timestamped by `stamp`. */
function stamped(
  tsa: Tsa,
  options: { every?: number; required?: boolean; stamp?: (digest: Uint8Array) => Promise<Uint8Array> } = {},
  more: Parameters<typeof createWorld>[0] = {},
): Promise<World> {
  const stamp = options.stamp ?? (async digest => tokenOf(tsa, digest));
  return createWorld({
    timestamps: { every: options.every ?? 1, required: options.required ?? false, stamp },
    timestampers: [tsa.issuer],
    ...more,
  });
}

const anchorText = ({ anchors }: World, epoch: number) =>
  new TextDecoder().decode(anchors.objects.get(`anchors/${String(epoch).padStart(10, "0")}.jws`));

async function proofOf(world: World, receipt: string): Promise<string> {
  const get = async (path: string) => world.archive.objects.get(`${LEDGER}/${path}`);
  const { index } = parseReceipt(receipt).entry.header;
  const plan = planInclusion(index, world.ledger.store.published());
  const checkpoint = new TextDecoder().decode(await get("checkpoint"));
  return formatProof({
    extra: new TextEncoder().encode(receipt),
    index,
    hashes: plan.prove(await readTiles(get, plan.tiles)),
    checkpoint,
  });
}

describe.skipIf(!hasOpenssl)("a timestamped anchor", () => {
  let tsa: Tsa;
  beforeAll(() => {
    tsa = makeTsa();
  });

  it("proves the rung, and says who has timestamped it and when", async () => {
    const world = await stamped(tsa);
    const [receipt] = await world.append({});
    await world.publish();
    await world.anchor();
    const evidence = { proof: await proofOf(world, receipt!), anchor: anchorText(world, 0) };
    const trust = parseTrust(formatTrust(world.trust));
    const verdict = await verifyEvidence(evidence, trust);
    expect(verdict.rungs).toEqual(["signed", "included", "anchored", "timestamped"]);
    expect(verdict.timestamp).toMatchObject({
      by: "Example TSA",
      time: expect.stringMatching(/^20\d\d-.*Z$/),
    });

    const { timestampers: _, ...untold } = trust;
    expect((await verifyEvidence(evidence, untold)).rungs).toEqual(["signed", "included", "anchored"]);
    const others = { ...trust, timestampers: [makeTsa().issuer] };
    expect((await verifyEvidence(evidence, others)).rungs).toEqual(["signed", "included", "anchored"]);
  });

  it("is printed by verify and by audit", async () => {
    const world = await stamped(tsa);
    const [receipt] = await world.append({});
    await world.publish();
    await world.anchor();
    const desk = new Desk();
    desk.write("trust.json", formatTrust(world.trust));
    desk.write("a.tlog-proof", await proofOf(world, receipt!));
    desk.write("anchor.jws", anchorText(world, 0));
    for (const [path, bytes] of copyOf(world)) desk.write(`archive/${path}`, bytes);
    expect(await desk.run("verify", "a.tlog-proof", "--trust", "trust.json", "--anchor", "anchor.jws")).toBe(
      0,
    );
    expect(desk.out).toMatch(/proven +signed, included, anchored, timestamped\n/);
    expect(desk.out).toMatch(/timestamped +at 20\S+Z by Example TSA\n/);
    expect(await desk.run("audit", "archive", "--trust", "trust.json")).toBe(0);
    expect(desk.out).toMatch(/timestamps +1 hold, the newest of 20\S+Z by Example TSA, on epoch 0\n/);
    const trusted = new Desk(async ({ url }) => ({
      status: url.endsWith("/trust") ? 200 : 404,
      headers: new Headers(),
      body: new Response(formatTrust(world.trust)).body!,
    }));
    expect(await trusted.run("trust", "https://api.example.com", "-o", "trust.json")).toBe(0);
    const fingerprint = createHash("sha256").update(tsa.issuer).digest("hex");
    expect(trusted.out + trusted.err).toContain(fingerprint);
  });

  it.each([
    [
      "a time long before its token",
      -3_600_000,
      "later",
      /^note +anchor 0 says \S+, and its timestamp \S+: .*dated back$/m,
    ],
    [
      "a time long after its token",
      3_600_000,
      "earlier",
      /^note +anchor 0 says \S+, and its timestamp \S+: .*clock is wrong$/m,
    ],
    ["about the time of its token", 0, undefined, undefined],
  ])("is judged by the clock of its authority when it claims %s", async (_, offMs, off, note) => {
    const world = await stamped(tsa, {}, { startMs: Date.now() + offMs });
    const [receipt] = await world.append({});
    await world.publish();
    await world.anchor();
    const desk = new Desk();
    desk.write("trust.json", formatTrust(world.trust));
    desk.write("a.tlog-proof", await proofOf(world, receipt!));
    desk.write("anchor.jws", anchorText(world, 0));
    for (const [path, bytes] of copyOf(world)) desk.write(`archive/${path}`, bytes);
    // No contradiction: a clock that is wrong breaks nothing, but an auditor is to know.
    expect(await desk.run("audit", "archive", "--trust", "trust.json", "--report", "out.html")).toBe(0);
    if (note === undefined) expect(desk.out).not.toContain("and its timestamp");
    else expect(desk.out).toMatch(note);
    expect(desk.read("out.html").includes("and its timestamp")).toBe(note !== undefined);
    // One receipt is judged by the same rule, in the same words.
    const told = desk.out
      .split("\n")
      .find(line => line.includes("and its timestamp"))
      ?.replace(/^note +/, "");
    const verify = ["verify", "a.tlog-proof", "--trust", "trust.json", "--anchor", "anchor.jws"];
    expect(await desk.run(...verify)).toBe(0);
    expect(/^note +(.*and its timestamp.*)$/m.exec(desk.out)?.[1]).toBe(told);
    expect((await desk.runJson(...verify)).json.timestamp).toMatchObject({ ...(off && { off }) });
    const { timestamp } = await verifyEvidence(
      { proof: desk.read("a.tlog-proof"), anchor: desk.read("anchor.jws") },
      parseTrust(desk.read("trust.json")),
    );
    expect(timestamp?.off).toBe(off);
  });

  it("comes every so many epochs, and again at once after one that could not be had", async () => {
    let isDown = false;
    const stamp = async (digest: Uint8Array) => {
      if (isDown) throw new Error("the authority is down");
      return tokenOf(tsa, digest);
    };
    const world = await stamped(tsa, { every: 3, stamp });
    await grow(world, 1, 1, 1);
    isDown = true;
    await grow(world, 1);
    isDown = false;
    await grow(world, 1, 1);
    const have = [0, 1, 2, 3, 4, 5].map(epoch => {
      const payload = JSON.parse(
        Buffer.from(anchorText(world, epoch).split(".")[1]!, "base64url").toString(),
      );
      return payload.timestamp !== undefined;
    });
    expect(have).toEqual([true, false, false, false, true, false]);
    const report = await audit({ archive: viewOf(copyOf(world)), trust: world.trust });
    expect(report.problems).toEqual([]);
    expect(report.anchors.timestamps).toMatchObject({ count: 2, unknown: 0, newest: { epoch: 4 } });
  });

  it("is not written without one when the policy requires it, and nothing is lost by that", async () => {
    let isDown = true;
    const stamp = async (digest: Uint8Array) => {
      if (isDown) throw new Error("the authority is down");
      return tokenOf(tsa, digest);
    };
    const world = await stamped(tsa, { required: true, stamp });
    await world.append({});
    await world.publish();
    await expect(world.anchor()).rejects.toThrow("the authority is down");
    expect(world.anchors.objects.size).toBe(0);
    isDown = false;
    expect(await world.anchor()).toBe(0);
    expect((await openAnchor(anchorText(world, 0), world.trust.anchorKeys)).timestamp).toBeDefined();
  });

  it("keeps its bytes over a crash: no second token is asked for", async () => {
    class Flaky extends MemoryArchive {
      failures = 1;
      override async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
        if (this.failures-- > 0) throw new Error("no answer");
        return super.putIfAbsent(key, bytes);
      }
    }
    let asked = 0;
    const stamp = async (digest: Uint8Array) => {
      asked++;
      return tokenOf(tsa, digest);
    };
    const anchorSql = openSqlite(":memory:");
    const world = await stamped(tsa, { stamp }, { anchors: new Flaky(), anchorSql });
    await world.append({});
    await world.publish();
    await expect(world.anchor()).rejects.toThrow("no answer");
    const intent = anchorSql.all("SELECT text FROM anchor")[0]!.text;
    expect(await world.anchor()).toBe(0);
    expect(anchorText(world, 0)).toBe(intent);
    expect(asked).toBe(1);
  });

  it("is a problem of its own in an audit when its token is of another anchor", async () => {
    const world = await stamped(tsa);
    await grow(world, 1, 1);
    const objects = copyOf(world);
    const key = await fixedKey("anchor");
    const [first, second] = await Promise.all(
      [0, 1].map(epoch => openAnchor(anchorText(world, epoch), world.trust.anchorKeys)),
    );
    const payload = { ...second!.payload, timestamp: first!.payload.timestamp };
    objects.set("anchors/0000000001.jws", new TextEncoder().encode(await issueAnchor(payload, key)));
    const { problems, anchors } = await audit({ archive: viewOf(objects), trust: world.trust });
    expect(problems.map(({ fault, epoch }) => [fault.code, epoch])).toEqual([["wrong-timestamp", 1]]);
    expect(anchors.timestamps).toMatchObject({ count: 1, newest: { epoch: 0 } });
  });

  it("must have its timestamp last, where anybody can cut it off", async () => {
    const world = await stamped(tsa);
    await grow(world, 1);
    const { timestamp, ...rest } = (await openAnchor(anchorText(world, 0), world.trust.anchorKeys)).payload;
    const text = await issueAnchor({ timestamp, ...rest }, await fixedKey("anchor"));
    expect(await codeOf(openAnchor(text, world.trust.anchorKeys))).toBe("malformed");
    expect(encodeBase64(imprintAnchor(rest))).toBe(
      createHash("sha256").update(JSON.stringify(rest)).digest("base64"),
    );
  });
});
