// A promise that a person has in hand: verified, and exchanged for the receipt that keeps it.
import { checkKept, nameStep, parsePromise, verifyPromise } from "../receipt/promise.ts";
import { parseReceipt, verifySignature } from "../receipt/receipt.ts";
import { findLedger, type Trust } from "../receipt/trust.ts";
import { requireReceipt } from "./capture.ts";
import { Undecided } from "./outcome.ts";
import type { Sender } from "./platform.ts";
import { readUrl, receiptUrl } from "./remote.ts";

/** How long to wait for the receipt, in seconds. */
const RECEIPT_WAIT_S = 10;

/**
 * Fetches the receipt of an exchange that came with a promise. It is the newest of the exchange: if it is about the same
 * stage, it must have the record that was promised, taken in time.
 * @param prefix the reserved prefix of the edge to ask.
 * @throws Fault when the promise is not genuine or was broken; Undecided when nothing is on record yet.
 */
export async function redeemPromise(
  sender: Sender,
  text: string,
  prefix: string,
  trust: Trust,
): Promise<string> {
  const promise = parsePromise(text);
  await verifyPromise(promise, trust.receiptKeys);
  findLedger(trust, promise.header.origin);
  const address = receiptUrl(prefix, promise.record.jti);
  const answer = await readUrl(sender, address, { prefer: `wait=${RECEIPT_WAIT_S}` });
  if (answer.status !== 200) {
    throw new Undecided("the promise is genuine, and the record that it promises is not in the ledger yet", {
      expected: `a receipt at ${address}, by ${promise.header.promise}`,
      found: `status ${answer.status}`,
    });
  }
  const receipt = requireReceipt(new TextDecoder().decode(answer.body), address);
  const { entry, ...rest } = parseReceipt(receipt);
  // Whether the operator says so is nothing to hold against him before his signature was checked.
  await verifySignature({ entry, ...rest }, trust.receiptKeys);
  if (nameStep(entry.record) === nameStep(promise.record)) checkKept(promise, entry);
  return receipt;
}
