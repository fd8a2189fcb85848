// How a record becomes durable, and what the client gets for it. Nothing that depends on a record may be
// released before `record` has answered.
import { formatEntry } from "../receipt/entry.ts";
import type { SigningKey } from "../receipt/key.ts";
import { issueReceipt } from "../receipt/receipt.ts";
import type { Exchange } from "./exchange.ts";
import type { Batcher } from "./ledger.ts";
import type { Policy } from "./policy.ts";

/** What comes with each request from the platform. */
export interface Context {
  waitUntil(work: Promise<unknown>): void;
}

export interface RecorderOptions {
  readonly policy: Policy;
  readonly receiptKey: SigningKey;
  /** The way to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, Batcher>;
}

/** The response fields that tell a client what there is on record for it. */
export type Marks = Readonly<Record<string, string>>;

export class Recorder {
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Makes a record of an exchange durable and signs its entry. @throws LedgerFailure */
  async record(exchange: Exchange, record: string, context: Context): Promise<Marks> {
    const { ledgers, policy, receiptKey } = this.#options;
    const ledger = ledgers.get(exchange.route?.ledger ?? policy.ledgers[0]!.name)!;
    const { header } = await ledger.append(record, work => context.waitUntil(work));
    return { "audit-receipt": await issueReceipt(formatEntry(header, record), receiptKey) };
  }
}
