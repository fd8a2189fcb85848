// The least that could be called a receipt, as naive code makes it: both bodies held and digested, four private fields
// committed to, a record put into a chain and a tree that a Durable Object stores, and a signature over the entry. It
// refuses nothing, passes all fields as they come, waits for an upstream for ever, keeps no way to open a private field,
// takes a record twice if it comes twice, publishes and anchors nothing and forgets its ledger when it is idle. What an
// edge takes beyond it is what those duties cost.

import { DurableObject } from "cloudflare:workers";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** How long a batch gathers, and how long a request waits for it at most, in ms. */
const GATHER_MS = 3;
const WAIT_MS = 5000;

const sha256 = bytes => createHash("sha256").update(bytes).digest();
const encode = bytes => Buffer.from(bytes).toString("base64url");

let signing;
let batch;

export default {
  async fetch(request, env, context) {
    const { pathname, search } = new URL(request.url);
    const { method } = request;
    const sent = request.body && (await request.bytes());
    const init = { method, headers: request.headers, body: sent, redirect: "manual" };
    const answer = await fetch(`${env.UPSTREAM_URL}${pathname}${search}`, init);
    const body = await answer.bytes();
    const record = JSON.stringify({
      iss: env.UPSTREAM_URL,
      jti: crypto.randomUUID(),
      time: new Date().toISOString(),
      stage: "complete",
      req: { method, path: pathname, ...describe(sent ?? new Uint8Array()) },
      res: { status: answer.status, ...describe(body) },
      _sd_alg: "sha-256",
      _sd: commit({
        sub: null,
        client_address: null,
        user_agent: request.headers.get("user-agent"),
        query: search,
      }),
    });
    const entry = `${await append(record, env, context)}.${encode(record)}`;
    signing ??= await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    const signature = await crypto.subtle.sign("Ed25519", signing.privateKey, Buffer.from(entry));
    const headers = new Headers(answer.headers);
    headers.set("audit-receipt", `${entry}.${encode(signature)}`);
    return new Response(body, { status: answer.status, headers });
  },
};

function describe(body) {
  return { size: body.length, digest: `sha-256=:${Buffer.from(sha256(body)).toString("base64")}:` };
}

function commit(fields) {
  const disclosures = Object.entries(fields).map(field =>
    encode(JSON.stringify([crypto.randomUUID(), ...field])),
  );
  return disclosures.map(disclosure => encode(sha256(disclosure)));
}

/** Appends a record with those of the requests that come at the same time. @returns the header of its entry. */
async function append(record, env, context) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const waiting = { record, resolve, reject };
  if (batch === undefined) {
    batch = [waiting];
    context.waitUntil(send(batch, env));
  } else {
    batch.push(waiting);
  }
  const timer = setTimeout(() => reject(new Error("the ledger does not answer")), WAIT_MS);
  const header = await promise;
  clearTimeout(timer);
  return header;
}

async function send(sending, env) {
  await new Promise(resolve => setTimeout(resolve, GATHER_MS));
  batch = undefined;
  const ledger = env.LEDGER.get(env.LEDGER.idFromName("main"));
  const headers = await ledger.append(sending.map(({ record }) => record));
  for (const [i, { resolve }] of sending.entries()) resolve(headers[i]);
}

export class LedgerObject extends DurableObject {
  #size = 0;
  #prev = encode(new Uint8Array(32));
  /** The hashes of the full subtrees on the right edge of the tree (RFC 6962 section 2.1), by level. */
  #edge = [];

  constructor(context, env) {
    super(context, env);
    context.storage.sql.exec(`DROP TABLE IF EXISTS entry; DROP TABLE IF EXISTS node;
      CREATE TABLE entry (n INTEGER PRIMARY KEY, text TEXT, leaf BLOB);
      CREATE TABLE node (level INTEGER, n INTEGER, hash BLOB, PRIMARY KEY (level, n)) WITHOUT ROWID`);
  }

  append(records) {
    return records.map(record => this.#append(record));
  }

  #append(record) {
    const { sql } = this.ctx.storage;
    const at = new Date().toISOString();
    const header = encode(
      JSON.stringify({ alg: "Ed25519", typ: "audit-receipt+jwt", index: this.#size, prev: this.#prev, at }),
    );
    const text = `${header}.${encode(record)}`;
    let hash = sha256(Buffer.from(`\0${text}`));
    this.#prev = encode(hash);
    sql.exec("INSERT INTO entry VALUES (?, ?, ?)", this.#size, text, hash);
    let level = 0;
    for (let n = this.#size; n % 2 === 1; n = (n - 1) / 2) {
      hash = sha256(Buffer.concat([Buffer.of(1), this.#edge[level], hash]));
      level++;
      sql.exec("INSERT INTO node VALUES (?, ?, ?)", level, (n - 1) / 2, hash);
    }
    this.#edge[level] = hash;
    this.#size++;
    return header;
  }
}
