// The objects around the writers under simulation, as thin as their models in durable/objects.ts: they hand in what an
// instance can reach, and calls and alarms as they come. Nothing is decided.

import type { Anchorer } from "../../durable/anchor.ts";
import type { AnchorWriter } from "../../durable/anchorwriter.ts";
import type { LedgerWriter } from "../../durable/ledgerwriter.ts";
import type { Lock } from "../../durable/lock.ts";
import type { SigningKey, TrustedKey } from "../../src/receipt/key.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import type { AnchorStatus } from "../../src/receipt/status.ts";
import type { TrustedLedger } from "../../src/receipt/trust.ts";
import type { NoteSigner } from "../../src/tlog/note.ts";
import type { Bucket } from "./bucket.ts";
import { ISSUER } from "./exchanges.ts";
import type { Instance } from "./instance.ts";
import type { System } from "./system.ts";
import { type SimulatedWitness, WITNESS_VKEY } from "./witness.ts";

export const ORIGIN = "api.example.com/audit/main";
export const LEDGER = "main";

const ANCHOR_INTERVAL_MS = 5000;

/** So many new entries do not wait for that. */
const ANCHOR_ENTRIES = 8;

const LOCK_RULES = '{"success":true,"result":{"rules":[{"condition":{"type":"Indefinite"}}]}}';

/** What both objects are given. */
export interface Setting {
  readonly system: System;
  /** The hash of the policy; those that start after a change know the new one. */
  policy: string;
  readonly archive: Bucket;
  readonly anchors: Bucket;
  /** The second store of anchors. */
  readonly copy: Bucket;
  readonly witness: SimulatedWitness;
  /** Whether nothing is pinned without the witness. */
  readonly witnessRequired: boolean;
  /** What the anchor bucket answers to whoever would change or delete an object. @throws Error, always. */
  readonly refuse: (key: string) => never;
  /** The keys; those that start after one was replaced know the new one, and those before it. */
  receiptKey: SigningKey;
  checkpointSigner: NoteSigner;
  anchorKey: SigningKey;
  readonly retired: {
    readonly receipt: TrustedKey[];
    readonly checkpoint: NonNullable<TrustedLedger["retired"]>[number][];
    readonly anchor: TrustedKey[];
  };
  /** The instances that calls reach. */
  readonly ledgerObject: () => LedgerObject;
  readonly anchorObject: () => AnchorObject;
  /** An alarm has come to nothing. */
  readonly failed: (instance: Instance, error: unknown) => void;
}

export class LedgerObject {
  readonly instance: Instance;
  readonly #writer: LedgerWriter;
  #answered = 0;

  constructor(instance: Instance, setting: Setting) {
    this.instance = instance;
    const { system, archive, anchors, anchorKey, anchorObject, checkpointSigner, receiptKey, retired } =
      setting;
    const signer: NoteSigner = {
      key: checkpointSigner.key,
      sign: message => instance.pause("sign").then(() => checkpointSigner.sign(message)),
    };
    this.#writer = new system.LedgerWriter({
      issuer: ISSUER,
      ledger: { name: LEDGER, origin: ORIGIN, keys: [signer.key], retired: [...retired.checkpoint] },
      identity: {
        receipt: receiptKey.kid,
        checkpoint: system.formatVerifierKey(signer.key),
        anchor: anchorKey.kid,
        policy: setting.policy,
      },
      signer,
      receiptKeys: [receiptKey.publicJwk, ...retired.receipt],
      anchorKeys: [anchorKey.publicJwk, ...retired.anchor],
      alerts: { received_seconds: 300, started_seconds: 86_400 },
      sql: instance.sql(),
      sync: () => instance.call("sync", () => {}),
      alarm: instance.alarm(),
      archive: instance.connect(archive),
      spool: instance.connectSpool(archive),
      anchors: instance.connect(anchors),
      anchorWriter: {
        status: () => instance.call("latest anchor", () => anchorObject().status()),
        arm: grown => instance.call("arm the anchor writer", () => anchorObject().arm(grown)),
      },
      now: () => instance.now(),
      random: count => instance.random(count),
      breathe: () => instance.pause("breathe"),
      report: (_, error) => setting.failed(instance, error),
    });
  }

  /** The size of the smallest tree that holds every place it has answered with: so much it knows to be there. */
  get answered(): number {
    return this.#answered;
  }

  /** Whether it has stopped taking records. */
  get halted(): boolean {
    return this.#writer.halted;
  }

  async append(records: string[]): Promise<Placement[]> {
    const placements = await this.#writer.append(records);
    for (const placement of placements) {
      if ("index" in placement) this.#answered = Math.max(this.#answered, placement.index + 1);
    }
    return placements;
  }

  find(jti: string): Promise<string[]> {
    return this.#writer.find(jti);
  }

  wake(): Promise<void> {
    return this.#writer.wake();
  }

  alarm(): Promise<void> {
    return this.#writer.onAlarm();
  }
}

export class AnchorObject {
  readonly instance: Instance;
  readonly #setting: Setting;
  readonly #writer: AnchorWriter;

  constructor(instance: Instance, setting: Setting) {
    this.instance = instance;
    this.#setting = setting;
    const { system, archive, ledgerObject } = setting;
    const anchorer = this.#openAnchorer();
    this.#writer = new system.AnchorWriter({
      anchorer,
      intervalMs: ANCHOR_INTERVAL_MS,
      entries: ANCHOR_ENTRIES,
      ledgers: [LEDGER],
      spool: instance.connectSpool(archive),
      wake: () => instance.call("wake the ledger", () => ledgerObject().wake()),
      alarm: instance.alarm(),
      now: () => instance.now(),
      report: (_, error) => {
        // What it lives with is no failure.
        if (!anchorer.troubles.includes(error as Error)) setting.failed(instance, error);
      },
    });
  }

  #openAnchorer(): Anchorer {
    const { instance } = this;
    const { system, archive, anchors, anchorKey, checkpointSigner, copy, retired, witness, witnessRequired } =
      this.#setting;
    const sql = instance.sql();
    return new system.Anchorer({
      sql,
      archive: instance.connect(archive),
      anchors: instance.connect(anchors),
      issuer: ISSUER,
      ledgers: [
        { name: LEDGER, origin: ORIGIN, keys: [checkpointSigner.key], retired: [...retired.checkpoint] },
      ],
      key: {
        ...anchorKey,
        sign: message => instance.pause("sign").then(() => anchorKey.sign(message)),
      },
      retired: [...retired.anchor],
      now: () => instance.now(),
      lock: this.#openLock(),
      copies: [{ name: "copy", archive: instance.connect(copy), lock: this.#openCopyLock() }],
      cosigner: new system.Cosigner({
        sql,
        policy: system.parsePolicy(`witness w1 ${WITNESS_VKEY} https://w1.example\nquorum w1\n`),
        required: witnessRequired,
        waitMs: 5000,
        fetch: (_, { body }) =>
          instance
            .call("ask the witness", () => witness.answer(body as string))
            .then(({ status, body }) => new Response(body, { status })),
      }),
    });
  }

  /** The lock of the anchor bucket: its rules, and a canary. */
  #openLock(): Lock {
    const { instance } = this;
    const { system, anchors, refuse } = this.#setting;
    const { putIfAbsent } = instance.connect(anchors);
    return new system.BucketLock({
      sql: instance.sql(),
      bucket: {
        putIfAbsent,
        overwrite: key => instance.call(`overwrite ${key}`, () => refuse(key)),
        delete: key => instance.call(`delete ${key}`, () => refuse(key)),
      },
      ...{ rulesUrl: "https://api.example/lock", token: "token" },
      retentionSeconds: Number.POSITIVE_INFINITY,
      now: () => instance.now(),
      fetch: () => instance.call("read the lock rules", () => LOCK_RULES).then(text => new Response(text)),
    });
  }

  #openCopyLock(): Lock {
    const report = { evidence: { kind: "none" as const }, troubles: [] };
    return { look: () => this.instance.call("look at the copy's lock", () => report) };
  }

  arm(grown?: { readonly ledger: string; readonly published: number }): Promise<void> {
    return this.#writer.arm(grown);
  }

  /** @throws Error when this instance may no longer speak. */
  async status(): Promise<AnchorStatus> {
    const status = await this.#writer.status();
    if (!this.instance.output()) throw new Error("connection lost");
    return status;
  }

  alarm(): Promise<void> {
    return this.#writer.onAlarm();
  }
}
