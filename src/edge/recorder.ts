// How a record becomes durable, and what the client gets for it. Nothing that depends on a record may be
// released before `record` has answered.
import { formatEntry } from "../receipt/entry.ts";
import type { SigningKey } from "../receipt/key.ts";
import type { Opening } from "../receipt/opening.ts";
import type { Placement } from "../receipt/placement.ts";
import { issueReceipt } from "../receipt/receipt.ts";
import type { ClientCertificate } from "./certificate.ts";
import type { Exchange } from "./exchange.ts";
import { type Batcher, LedgerFailure } from "./ledger.ts";
import type { Policy } from "./policy.ts";

/** What comes with each request from the platform. */
export interface Context {
  waitUntil(work: Promise<unknown>): void;
  /** The certificate that the client presented to the front that ends TLS, if it did. */
  readonly certificate?: ClientCertificate | undefined;
}

export interface RecorderOptions {
  readonly policy: Policy;
  readonly receiptKey: SigningKey;
  /** The way to each ledger, by name. */
  readonly ledgers: ReadonlyMap<string, Batcher<string, Placement>>;
  /** The way to the vault of each ledger, by the ledger's name; empty when nothing is kept for the operator. */
  readonly vaults: ReadonlyMap<string, Batcher<Opening, void>>;
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
    const ledger = this.#options.ledgers.get(this.#ledgerOf(exchange))!;
    const placement = await ledger.append(record, work => context.waitUntil(work));
    if ("refused" in placement) throw new LedgerFailure(`the ledger refused the record: ${placement.reason}`);
    const entry = formatEntry(placement.header, record);
    return { "audit-receipt": await issueReceipt(entry, this.#options.receiptKey) };
  }

  /**
   * Keeps what opens an exchange for the operator. Nobody waits for it, and an exchange does not fail with it: the
   * caller has the same from the response, and the record stands without it.
   */
  keep(exchange: Exchange, context: Context): void {
    const vault = this.#options.vaults.get(this.#ledgerOf(exchange));
    const kept = vault?.append(exchange.opening, work => context.waitUntil(work));
    if (kept === undefined) return;
    context.waitUntil(
      kept.catch(error =>
        console.error(`exchange ${exchange.jti} cannot be opened by the operator: ${error}`),
      ),
    );
  }

  #ledgerOf({ route }: Exchange): string {
    return route?.ledger ?? this.#options.policy.ledgers[0]!.name;
  }
}
