// The ledger's bench in workerd: the Durable Object as it is deployed, which publishes into a bucket and prunes
// on its alarms meanwhile. It is driven with whole batches over HTTP through `worker.js`, so its times have a
// request and a call of the object in them. Rows read and written are what the platform counts, and bills.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { openKeySet } from "../../../src/hosts/keys.ts";
import { readConfig } from "../../config.ts";
import { findPort } from "../../port.ts";
import { startWorkerd } from "../../workerd.ts";
import type { Table } from "../measure.ts";
import {
  type Append,
  compareBatches,
  formatPower,
  makeRecord,
  SIZES,
  SMALL,
  SMALL_LEDGERS,
} from "./batches.ts";

const ISSUER = "https://api.example.com";
const HOST = "127.0.0.1";

/** What `worker.js` says of a ledger. */
interface Look {
  readonly size: number;
  readonly published: number;
  readonly halted?: { readonly reason: string };
  /** Since the ledger was started, or since it was last asked. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** The size of its database. */
  readonly bytes: number;
  readonly "entry rows": number;
  readonly "node rows": number;
  readonly "partial rows": number;
  readonly "place rows": number;
}

export async function benchWorkerd(): Promise<Table[]> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-bench-"));
  const port = await findPort(HOST);
  const config = { ...readConfig(), main: join(import.meta.dirname, "worker.js") };
  const names = ["large", "small", ...Array.from({ length: SMALL_LEDGERS }, (_, n) => `small-${n}`)];
  const workerd = await startWorkerd({
    config,
    bindings: {
      issuer: ISSUER,
      ledgers: names.map(name => ({ name, origin: `localhost/audit/${name}` })),
      routes: [{ name: "all", match: "/*", upstream: "https://orders.internal", ledger: "large" }],
      ...(await openKeySet(folder)),
    },
    host: HOST,
    port,
    storage: join(folder, "storage"),
  });
  const at = (name: string) => `http://${HOST}:${port}/${name}`;
  try {
    const storage = [];
    for (const size of SIZES) storage.push(rowOfStorage(await grow(at("large"), size)));
    await grow(at("small"), SMALL);
    const starts = [await measureStart(at("small")), await measureStart(at("large"))];
    const openSmall = async (n: number): Promise<Append> => {
      await grow(at(`small-${n}`), SMALL);
      return count => append(at(`small-${n}`), count);
    };
    const durability =
      "the Durable Object in workerd: behind its output gate, answered once it is on disk; the large ledger is " +
      "published meanwhile, a small one mostly afterwards, which the sums show";
    const appending = await compareBatches(durability, openSmall, count => append(at("large"), count));
    return [appending, tableOfStorage(storage), tableOfStarts(starts)];
  } finally {
    await workerd.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Calls the worker for the ledger at a URL. */
async function call(ledger: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(ledger, init);
  if (!response.ok) throw new Error(`${ledger}: ${response.status} ${await response.text()}`);
  return response;
}

async function look(ledger: string): Promise<Look> {
  const seen = (await (await call(ledger)).json()) as Look;
  if (seen.halted !== undefined) throw new Error(`${ledger}: ${seen.halted.reason}`);
  return seen;
}

async function append(ledger: string, count: number) {
  const now = Date.now();
  const body = JSON.stringify(Array.from({ length: count }, () => makeRecord(ISSUER, now)));
  const start = performance.now();
  const response = await call(ledger, { method: "POST", body });
  const { refused, rowsRead, rowsWritten } = (await response.json()) as Look & { refused: number };
  const ms = performance.now() - start;
  if (refused > 0) throw new Error(`${ledger}: refused ${refused} records`);
  return { ms, "rows read": rowsRead, "rows written": rowsWritten };
}

/** Lets a ledger grow to so many entries, and waits until its alarm has published them. */
async function grow(ledger: string, size: number): Promise<Look> {
  let seen = await look(ledger);
  while (seen.size < size) {
    await append(ledger, Math.min(1000, size - seen.size));
    seen = await look(ledger);
  }
  while (seen.published < seen.size) {
    await wait(200);
    seen = await look(ledger);
  }
  return seen;
}

function rowOfStorage(seen: Look) {
  const { size, bytes } = seen;
  return {
    entries: formatPower(size),
    "entry rows": seen["entry rows"],
    "node rows": seen["node rows"],
    "partial rows": seen["partial rows"],
    "place rows": seen["place rows"],
    bytes,
    "bytes per entry": Math.round(bytes / size),
  };
}

function tableOfStorage(rows: Table["rows"]): Table {
  return {
    what: "what the object's database holds once everything is published: rows, and its size with places",
    rows,
  };
}

/** Ends a ledger's instance, and looks at what the next one has read when it is ready. */
async function measureStart(ledger: string) {
  await call(ledger, { method: "DELETE" });
  const start = performance.now();
  const { size, rowsRead, rowsWritten } = await look(ledger);
  const ms = Math.round(performance.now() - start);
  return { entries: formatPower(size), "rows read": rowsRead, "rows written": rowsWritten, ms };
}

function tableOfStarts(rows: Table["rows"]): Table {
  return {
    what: "a cold start of the object, everything being published: until it has compared itself with the archive",
    rows,
  };
}
