// Readable pictures of what people have in hand. They show what is written there, verified by nobody.
import { formatAnchorPath, parseAnchor } from "../receipt/anchor.ts";
import { parseDisclosure } from "../receipt/disclosure.ts";
import type { Entry } from "../receipt/entry.ts";
import { timeOfJti } from "../receipt/jti.ts";
import { parsePromise } from "../receipt/promise.ts";
import { parseReceipt } from "../receipt/receipt.ts";
import type { AuditRecord } from "../receipt/record.ts";
import { encodeBase64 } from "../tlog/base64.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { formatId, parseNote } from "../tlog/note.ts";
import { parseProof } from "../tlog/proof.ts";
import { type Row, showText } from "./print.ts";
import { describeLock } from "./standing.ts";

export interface Picture {
  readonly what: string;
  readonly rows: readonly Row[];
  readonly json: Readonly<Record<string, unknown>>;
}

/** @param disclosures those behind it, in an SD-JWT. */
export function pictureReceipt(text: string, disclosures: readonly string[]): Picture {
  const { entry } = parseReceipt(text);
  const opened = disclosures.map(parseDisclosure);
  return {
    what: disclosures.length === 0 ? "a receipt" : `a receipt with ${disclosures.length} disclosures`,
    rows: [
      ...rowsOfEntry(entry),
      ...rowsOfRecord(entry.record),
      ...opened.map(({ name, value }): Row => ["disclosed", `${name}: ${JSON.stringify(value)}`]),
      ["leaf hash", encodeBase64(entry.leaf)],
    ],
    json: { header: entry.header, record: entry.record, leaf: encodeBase64(entry.leaf), disclosed: opened },
  };
}

export function picturePromise(text: string): Picture {
  const { header, record } = parsePromise(text);
  return {
    what: "a promise",
    rows: [
      ["ledger", header.origin],
      ["promised", `the record below, to be in the ledger by ${header.promise}`],
      ["key", header.kid],
      ...rowsOfRecord(record),
    ],
    json: { header, record },
  };
}

export function pictureProof(text: string): Picture {
  const { extra, index, hashes, checkpoint } = parseProof(text);
  const tree = pictureCheckpoint(checkpoint);
  const size = Number(tree.json.size);
  const path = pathOf(index, size, hashes.map(encodeBase64));
  const receipt =
    extra === undefined ? undefined : pictureReceipt(new TextDecoder("latin1").decode(extra), []);
  return {
    what: "a proof",
    rows: [
      ["claims", `that entry ${index} is in the tree of ${size} entries below`],
      ...(receipt?.rows ?? [["receipt", "none in it"] as const]),
      ...path.map(
        ({ side, covers, hash }, i): Row => [`path ${i + 1}`, `${hash} on the ${side}: entries ${covers}`],
      ),
      ...tree.rows,
    ],
    json: { index, path, checkpoint: tree.json, ...(receipt && { receipt: receipt.json }) },
  };
}

export function pictureCheckpoint(text: string): Picture {
  const note = parseNote(text);
  const { origin, size, root, extensions } = parseCheckpoint(note.text);
  const signatures = note.signatures.map(({ name, id }) => ({ name, id }));
  return {
    what: "a checkpoint",
    rows: [
      ["ledger", origin],
      ["tree", `${size} entries`],
      ["root", encodeBase64(root)],
      ...extensions.map((line): Row => ["extension", line]),
      ...signatures.map(({ name, id }): Row => ["signed", `in the name of ${name}, key ${formatId(id)}`]),
    ],
    json: { origin, size, root: encodeBase64(root), extensions, signatures },
  };
}

export function pictureAnchor(text: string): Picture {
  const { payload, header, digest } = parseAnchor(text);
  const { epoch, time, iss, prev, ledgers, refused = [], lock, copies = [], timestamp } = payload;
  return {
    what: "an anchor",
    rows: [
      ["epoch", `${epoch} (${formatAnchorPath(epoch)})`],
      ["time", time],
      ["issuer", iss],
      ["key", header.kid],
      ["before it", prev],
      ["its digest", digest],
      ...ledgers.flatMap(({ origin, size, root, head, checkpoint }): Row[] => [
        ["pins", `${origin}: ${size} entries`],
        ["root", root],
        ["chain head", head],
        [
          "signatures",
          parseNote(checkpoint)
            .signatures.map(({ name }) => name)
            .join(", "),
        ],
      ]),
      ...refused.map(({ origin, code, reason }): Row => ["refuses", `${origin} (${code}): ${reason}`]),
      ...[lock, ...copies].map((evidence): Row => ["lock", describeLock(evidence)]),
      ["timestamp", timestamp === undefined ? "none" : "one, of RFC 3161"],
    ],
    json: { header, payload, digest },
  };
}

function rowsOfEntry({ header }: Entry): Row[] {
  return [
    ["ledger", `${header.origin}, index ${header.index}`],
    ["taken at", `${header.at} by the ledger's clock`],
    ["before it", header.prev],
    ["key", `${header.kid} (${header.alg})`],
  ];
}

function rowsOfRecord(record: AuditRecord): Row[] {
  const {
    iss,
    jti,
    time,
    stage,
    ms,
    route,
    upstream,
    policy,
    req,
    res,
    auth,
    error,
    private: hidden,
    _sd,
    control,
  } = record;
  const made = timeOfJti(jti);
  const optional: (readonly [string, string | undefined])[] = [
    [
      "route",
      route &&
        `${route}${upstream === undefined ? "" : ` to ${upstream}`}${policy === undefined ? "" : `, policy ${policy}`}`,
    ],
    [
      "request",
      req &&
        `${showText(req.method)} ${req.host === undefined ? "" : showText(req.host)}${showText(req.path)}`,
    ],
    ["its body", req?.digest && `${req.size ?? "?"} bytes, ${req.digest}`],
    ["response", res && `status ${res.status ?? "(private)"}`],
    ["its body", res?.digest && `${res.size ?? "?"} bytes, ${res.digest}`],
    ["caller", auth && `known by ${auth.by}${auth.iss === undefined ? "" : ` of ${auth.iss}`}`],
    ["error", error],
    ["control", control && JSON.stringify(control)],
    ["private", hidden?.join(", ")],
    ["digests", _sd && `${_sd.length} private fields are committed to`],
  ];
  return [
    ["exchange", `${jti}${made === undefined ? "" : `, begun ${new Date(made).toISOString()}`}`],
    ["issuer", iss],
    ["time", `${time} by the edge's clock`],
    ["stage", `${stage}${ms === undefined ? "" : ` after ${ms} ms`}`],
    ...optional.filter((row): row is readonly [string, string] => row[1] !== undefined),
  ];
}

/** The way from a leaf up to the root (RFC 9162 section 2.1.3.2): on which side each hash stands, and what it is of. */
function pathOf(
  index: number,
  size: number,
  hashes: readonly string[],
): { side: "left" | "right"; covers: string; hash: string }[] {
  let [start, end] = [0, size];
  const ranges: { side: "left" | "right"; covers: string }[] = [];
  while (end - start > 1) {
    let half = 1;
    while (half * 2 < end - start) half *= 2;
    const middle = start + half;
    const [side, from, to] =
      index < middle ? (["right", middle, end] as const) : (["left", start, middle] as const);
    ranges.push({ side, covers: to - from === 1 ? `${from}` : `${from} to ${to - 1}` });
    if (index < middle) end = middle;
    else start = middle;
  }
  const known = ranges.reverse();
  return hashes.map((hash, i) => ({
    ...(known[i] ?? { side: "left", covers: "none: it is one too many" }),
    hash,
  }));
}
