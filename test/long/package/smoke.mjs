// A program with the package, wherever JavaScript runs: every entry point, with something that it verifies.
import { createMonitor, createTrust, Fault, fetchProof, verifyReceipt, withReceipts } from "counterfoil";
import { checkInclusion, leafHash, Fault as SameFault } from "counterfoil/tlog";
import { parseTrust, Fault as StillTheSame, verifyEvidence } from "counterfoil/verify";

/** @param isPage whether this is a page, which may not read what an API of another origin answers. */
export async function smoke({ url, document, receipt, isPage }) {
  const trust = await createTrust(document);
  const altered = `${receipt.slice(0, -20)}${receipt.at(-20) === "A" ? "B" : "A"}${receipt.slice(-19)}`;
  const { verdict } = await fetchProof(receipt, trust);
  const leaf = leafHash(new TextEncoder().encode("an entry"));
  checkInclusion({ index: 0, size: 1, leaf, root: leaf, proof: [] });
  return {
    verified: (await verifyEvidence({ receipt }, parseTrust(document))).rungs,
    altered: await verifyReceipt(altered, trust).then(
      () => "verified",
      error => error instanceof Fault && error.code,
    ),
    proven: verdict.rungs,
    isOneClass: Fault === SameFault && Fault === StillTheSame,
    grown: (await createMonitor({ trust, store: new Map() }).check()).length,
    ...(!isPage && (await callApi(url))),
  };
}

async function callApi(url) {
  const store = new Map();
  const trust = await createTrust(url, { store });
  const api = withReceipts(fetch, { trust, store });
  const held = await api(`${url}/orders`, { method: "POST", body: '{"item":"tea"}' });
  const redirected = await api(`${url}/redirect`, { redirect: "follow" });
  const refused = await api(`${url}/redirect`).then(
    () => "followed",
    error => error.code,
  );
  const streamed = await api(`${url}/events`);
  // A server may pack what nobody asked it to. Most runtimes undo that; Deno leaves it as it is.
  const packed = await api(`${url}/gzip`).then(
    () => "verified",
    error => error.code,
  );
  return {
    held: (await held.text()).includes("tea"),
    redirected: new URL(redirected.url).pathname,
    refused,
    streamed: (await streamed.text()).length > 0,
    packed,
    kept: store.size,
  };
}
