// A program with types, as somebody writes it who has only the package.
import { createTrust, Fault, type Verdict, verifyReceipt, withReceipts } from "counterfoil";
import { type Checkpoint, checkInclusion } from "counterfoil/tlog";
import { verifyEvidence } from "counterfoil/verify";

export async function main(): Promise<Checkpoint | undefined> {
  const trust = await createTrust("https://api.example.com", { store: new Map<string, string>() });
  const onReport = ({ outcome }: { outcome: "proven" | "wrong" | "undecided" }) => console.log(outcome);
  const api: typeof fetch = withReceipts(fetch, { trust, mode: "report", onReport });
  const { headers } = await api("https://api.example.com/v1/orders");
  const verdict: Verdict = await verifyReceipt(headers.get("audit-receipt"), trust);
  console.log(
    verdict.receipt.entry.header.index,
    new Fault("forked", "x").code,
    verifyEvidence,
    checkInclusion,
  );
  return verdict.checkpoint;
}
