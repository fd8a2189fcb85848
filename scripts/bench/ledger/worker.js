// The worker that the ledger's bench measures in workerd: the real ledger and anchor objects, with a way to
// hand a ledger whole batches, to end it, and to ask what its storage holds and what it reads and writes there.
import { LedgerObject as Ledger } from "../../../durable/objects.ts";

export { AnchorObject, VaultObject } from "../../../durable/objects.ts";

const TABLES = ["entry", "node", "partial", "place"];

export class LedgerObject extends Ledger {
  /** What was done to storage since it was last asked for, by the platform's own count. */
  #cursors = [];

  constructor(ctx, env) {
    const { sql } = ctx.storage;
    const exec = sql.exec.bind(sql);
    const cursors = [];
    sql.exec = (...statement) => {
      const cursor = exec(...statement);
      cursors.push(cursor);
      return cursor;
    };
    super(ctx, env);
    this.#cursors = cursors;
  }

  /** Appends records, and says how many were refused and what that cost. */
  async take(records) {
    this.#cursors.length = 0;
    const placements = await this.append(records);
    return { refused: placements.filter(placement => "refused" in placement).length, ...this.#count() };
  }

  /** What the object has read since it was started, how far it is, and what it holds. */
  async look() {
    const status = await this.status();
    const reads = this.#count();
    const { sql } = this.ctx.storage;
    const rows = TABLES.map(table => [
      `${table} rows`,
      sql.exec(`SELECT count(*) AS n FROM ${table}`).one().n,
    ]);
    return { ...status, ...reads, bytes: sql.databaseSize, ...Object.fromEntries(rows) };
  }

  /** Ends this instance: the next call starts another one. */
  end() {
    this.ctx.abort("ended by the bench");
  }

  #count() {
    const sum = of => this.#cursors.reduce((total, cursor) => total + cursor[of], 0);
    const counts = { rowsRead: sum("rowsRead"), rowsWritten: sum("rowsWritten") };
    this.#cursors.length = 0;
    return counts;
  }
}

export default {
  async fetch(request, env) {
    const ledger = env.LEDGER.get(env.LEDGER.idFromName(new URL(request.url).pathname.slice(1)));
    if (request.method === "POST") return Response.json(await ledger.take(await request.json()));
    if (request.method === "GET") return Response.json(await ledger.look());
    await ledger.end().catch(() => {});
    return new Response();
  },
};
