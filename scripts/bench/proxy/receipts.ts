// What a proxy that gives receipts must stand up to in a bench: the receipts that were sampled are for exactly what was
// asked and answered, and a turn is over when all of its records are published.
import { setTimeout as wait } from "node:timers/promises";
import { parseSeed } from "../../../src/receipt/disclosure.ts";
import { parseTrust, type Trust } from "../../../src/receipt/trust.ts";
import { verifyEvidence } from "../../../src/receipt/verify.ts";
import { ANSWER, makeExchange, type Outcome, type Sample } from "./exchanges.ts";
import type { Subject } from "./turns.ts";

/**
 * The edge at a URL as a subject.
 * @param prefix of its own URLs, as the policy has it.
 */
export async function receipted(url: string, prefix: string): Promise<Required<Omit<Subject, "pid">>> {
  const trust = parseTrust(await read(`${url}${prefix}trust`));
  return {
    url,
    settle: () => untilPublished(`${url}${prefix}health`),
    check: ({ samples }) => requireReceipts(samples, url, trust),
  };
}

async function requireReceipts(samples: Outcome["samples"], url: string, trust: Trust): Promise<void> {
  if (samples.length === 0) throw new Error(`${url}: no answer was sampled`);
  for (const sample of samples) await verifySample(sample, url, trust);
}

/** @throws Fault unless the receipt is signed and for exactly what was asked and answered. */
async function verifySample({ n, receipt, seed }: Sample, url: string, trust: Trust): Promise<void> {
  const { method, path, body } = makeExchange(n);
  const exchange = {
    method,
    url: `${url}${path}`,
    requestBody: body ?? new Uint8Array(),
    status: 200,
    responseBody: ANSWER,
  };
  // Node's process messages turn bytes into something else, so the bodies are those of the exchange's number.
  await verifyEvidence({ receipt: receipt ?? "", seed: parseSeed(seed ?? ""), exchange }, trust);
}

/** How often to ask whether all is published, in ms. The answer is counted as well, and takes as long as five bare exchanges. */
const PUBLISHED_LOOK_MS = 250;

/** Waits until the ledger has nothing left to publish. */
async function untilPublished(health: string): Promise<void> {
  for (;;) {
    const { ledgers } = JSON.parse(await read(health));
    if (ledgers[0].state !== "open") throw new Error(`the ledger is ${JSON.stringify(ledgers[0])}`);
    if (ledgers[0].size === ledgers[0].published) return;
    await wait(PUBLISHED_LOOK_MS);
  }
}

async function read(url: string): Promise<string> {
  const response = await fetch(url);
  const text = await response.text();
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${text}`);
  return text;
}
