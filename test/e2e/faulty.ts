// The worker with ledgers that can be made to fail: everything in it is the real thing, but for what a test says.
//
//   down   no call reaches a ledger, and none of its alarms
//   slow   a ledger takes records, but answers later than anybody waits
//   busy   its pool is full: filled with what it refuses, by calls that come just before every other
//   full   its storage takes no rows

import { APPEND_RECORDS_MAX, POOL_RECORDS_MAX } from "../../durable/ledger.ts";
import { LedgerObject as RealLedgerObject } from "../../durable/objects.ts";
import worker from "../../src/hosts/cloudflare.ts";

export { AnchorObject, VaultObject } from "../../durable/objects.ts";

export const FAULTS = ["none", "down", "slow", "busy", "full"] as const;
type Fault = (typeof FAULTS)[number];
type Env = ConstructorParameters<typeof RealLedgerObject>[1];

/** How much later than anybody waits a slow ledger answers, in ms. */
const SLOW_MS = 2500;

/** Filling the pool: as many records as it holds. */
const FILLER = Array.from({ length: APPEND_RECORDS_MAX }, () => "{}");

export class LedgerObject extends RealLedgerObject {
  #fault: Fault = "none";

  constructor(ctx: DurableObjectState, env: Env) {
    const { sql } = ctx.storage;
    const exec = (statement: string, ...values: SqlStorageValue[]) => {
      if (this.#fault === "full" && /^(INSERT|UPDATE)/.test(statement)) {
        throw new Error("database or disk is full: SQLITE_FULL");
      }
      return sql.exec(statement, ...values);
    };
    Object.defineProperty(ctx.storage, "sql", { value: { exec } });
    super(ctx, env);
  }

  async setFault(fault: Fault): Promise<void> {
    this.#fault = fault;
  }

  override async append(records: string[]) {
    await this.#reach();
    if (this.#fault === "slow") await scheduler.wait(SLOW_MS);
    if (this.#fault === "busy") {
      for (let filled = 0; filled < POOL_RECORDS_MAX; filled += FILLER.length) {
        this.ctx.waitUntil(super.append(FILLER));
      }
    }
    return super.append(records);
  }

  override async find(jti: string) {
    await this.#reach();
    return super.find(jti);
  }

  override async status() {
    await this.#reach();
    return super.status();
  }

  override async wake() {
    await this.#reach();
    return super.wake();
  }

  override async alarm() {
    await this.#reach();
    return super.alarm();
  }

  async #reach(): Promise<void> {
    if (this.#fault === "down") throw new Error("Network connection lost.");
  }
}

export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/.fault") return worker.fetch!(request, env as never, context);
    const namespace = env.LEDGER as unknown as DurableObjectNamespace<LedgerObject>;
    await namespace.get(namespace.idFromName("main")).setFault(searchParams.get("is") as Fault);
    return new Response("set\n");
  },
} satisfies ExportedHandler<Env>;
