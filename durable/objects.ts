// The Durable Object shells: they hand the platform's storage, alarms and buckets to the writers, and calls and
// alarms as they come. Nothing is decided here.
import { DurableObject } from "cloudflare:workers";
import type { Ledger as EdgeLedger } from "../src/edge/ledger.ts";
import { parsePolicy } from "../src/edge/policy.ts";
import type { Vault as EdgeVault } from "../src/edge/vault.ts";
import { openLock } from "../src/hosts/buckets.ts";
import { type Environment, openEnvironment, SECRET_NAMES, type Secrets } from "../src/hosts/environment.ts";
import { openAnchorWriter, openLedgerWriter, openVaultWriter } from "../src/hosts/parts.ts";
import { bucketArchive, bucketSpool, lockedBucket, objectAlarm, objectSql } from "../src/hosts/stores.ts";
import type { Opening, Page, Search } from "../src/receipt/opening.ts";
import type { Placement } from "../src/receipt/placement.ts";
import type { Control } from "../src/receipt/record.ts";
import type { AnchorStatus, LedgerStatus } from "../src/receipt/status.ts";
import type { AnchorWriter } from "./anchorwriter.ts";
import type { LedgerWriter } from "./ledgerwriter.ts";
import type { VaultWriter } from "./vaultwriter.ts";

/** The bindings of wrangler.toml. */
interface Bindings {
  readonly LEDGER: DurableObjectNamespace<LedgerObject>;
  readonly ANCHOR: DurableObjectNamespace<AnchorObject>;
  readonly VAULT: DurableObjectNamespace<VaultObject>;
  /** Not there where the policy names other buckets, and nowhere else: `readEnvironment` sees to that. */
  readonly ARCHIVE: R2Bucket;
  readonly ANCHORS: R2Bucket;
}

/** The bindings and the secrets. Everything else in the environment is policy. */
export interface Env extends Bindings, Secrets {}

/** The names of what is no policy; the compiler sees to it that no binding is left out. */
const NO_POLICY = new Set([
  ...SECRET_NAMES,
  ...Object.keys({
    LEDGER: true,
    ANCHOR: true,
    VAULT: true,
    ARCHIVE: true,
    ANCHORS: true,
  } satisfies Record<keyof Bindings, true>),
]);

/** What the environment says, checked. @throws as openEnvironment, and for what is missing or cannot be done here. */
export async function readEnvironment(env: Env): Promise<Environment> {
  const environment = await openEnvironment(varsOf(env), env);
  const { archive, anchor, client_address } = environment.policy;
  if (!env.ARCHIVE && archive.s3 === undefined) {
    throw new Error("there is no bucket ARCHIVE: expected an R2 bucket of this name, or vars.archive.s3");
  }
  if (!env.ANCHORS && anchor.s3?.role !== "store") {
    throw new Error(
      'there is no bucket ANCHORS: expected an R2 bucket of this name, or vars.anchor.s3 with role = "store"',
    );
  }
  if (client_address === "peer") {
    throw new Error(
      'vars.client_address: a worker does not see who connects: expected "cf-connecting-ip", "x-forwarded-for" or "none", found "peer"',
    );
  }
  return environment;
}

function varsOf(env: Env): Record<string, unknown> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !NO_POLICY.has(name)));
}

/** The one object that writes anchors. */
export function anchorObject(env: Env): DurableObjectStub<AnchorObject> {
  return env.ANCHOR.get(env.ANCHOR.idFromName("anchors"));
}

/** One ledger. Its name is the ledger's name in the policy. */
export class LedgerObject extends DurableObject<Env> implements EdgeLedger {
  #writer!: LedgerWriter;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name!;
    ctx.blockConcurrencyWhile(async () => {
      this.#writer = openLedgerWriter(await readEnvironment(env), name, {
        sql: objectSql(ctx.storage),
        sync: () => ctx.storage.sync(),
        alarm: objectAlarm(ctx.storage),
        archive: bucketArchive(env.ARCHIVE),
        spool: bucketSpool(env.ARCHIVE),
        anchors: bucketArchive(env.ANCHORS),
        anchorWriter: {
          // A fresh stub for each call: one that has thrown is never used again.
          status: () => anchorObject(env).status(),
          arm: grown => anchorObject(env).arm(grown),
        },
        vault: () => env.VAULT.get(env.VAULT.idFromName(name)),
        breathe: () => scheduler.wait(0),
      });
    });
  }

  append(records: string[]): Promise<Placement[]> {
    return this.#writer.append(records);
  }

  control(control: Control): Promise<Placement> {
    return this.#writer.control(control);
  }

  find(jti: string): Promise<string[]> {
    return this.#writer.find(jti);
  }

  status(): Promise<LedgerStatus> {
    return this.#writer.status();
  }

  wake(): Promise<void> {
    return this.#writer.wake();
  }

  override alarm(): Promise<void> {
    return this.#writer.onAlarm();
  }
}

/** The one anchor writer. */
export class AnchorObject extends DurableObject<Env> {
  #writer!: AnchorWriter;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      const environment = await readEnvironment(env);
      const sql = objectSql(ctx.storage);
      this.#writer = openAnchorWriter(environment, {
        sql,
        alarm: objectAlarm(ctx.storage),
        archive: bucketArchive(env.ARCHIVE),
        spool: bucketSpool(env.ARCHIVE),
        anchors: bucketArchive(env.ANCHORS),
        lock: openLock(environment, lockedBucket(env.ANCHORS), sql),
        wake: name => env.LEDGER.get(env.LEDGER.idFromName(name)).wake(),
      });
    });
  }

  arm(grown?: { readonly ledger: string; readonly published: number }): Promise<void> {
    return this.#writer.arm(grown);
  }

  status(): Promise<AnchorStatus> {
    return this.#writer.status();
  }

  override alarm(): Promise<void> {
    return this.#writer.onAlarm();
  }
}

/** One vault. Its name is the name of the ledger whose private values it keeps. */
export class VaultObject extends DurableObject<Env> implements EdgeVault {
  readonly #writer: VaultWriter;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#writer = openVaultWriter(parsePolicy(varsOf(env)), {
      sql: objectSql(ctx.storage),
      alarm: objectAlarm(ctx.storage),
    });
  }

  keep(openings: Opening[]): Promise<void> {
    return this.#writer.keep(openings);
  }

  find(jti: string): Promise<Opening | "erased" | undefined> {
    return this.#writer.find(jti);
  }

  missing(jtis: string[]): Promise<string[]> {
    return this.#writer.missing(jtis);
  }

  search(search: Search): Promise<Page> {
    return this.#writer.search(search);
  }

  erase(jtis: string[]): Promise<void> {
    return this.#writer.erase(jtis);
  }

  override alarm(): Promise<void> {
    return this.#writer.onAlarm();
  }
}
