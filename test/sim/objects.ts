// The objects around the code under simulation, as thin as their models in durable/objects.ts and with the
// same order of steps: calls come in, alarms are kept, nothing is decided.

import type { Anchorer } from "../../durable/anchor.ts";
import type { Ledger } from "../../durable/ledger.ts";
import type { Lock } from "../../durable/lock.ts";
import type { SigningKey } from "../../src/receipt/key.ts";
import type { Placement } from "../../src/receipt/placement.ts";
import type { TrustedLedger } from "../../src/receipt/trust.ts";
import type { NoteSigner } from "../../src/tlog/note.ts";
import type { Bucket } from "./bucket.ts";
import { ISSUER } from "./exchanges.ts";
import type { Instance } from "./instance.ts";
import type { System } from "./system.ts";
import { type SimulatedWitness, WITNESS_VKEY } from "./witness.ts";

export const ORIGIN = "api.example.com/audit/main";
export const LEDGER = "main";

const PUBLISH_DELAY_MS = 1000;
const RETRY_DELAY_MS = 10_000;
const ANCHOR_INTERVAL_MS = 5000;

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
  readonly receiptKid: string;
  readonly checkpointSigner: NoteSigner;
  readonly anchorKey: SigningKey;
  /** The instance of the anchor writer that calls reach. */
  readonly anchorObject: () => AnchorObject;
  /** An alarm has come to nothing. */
  readonly failed: (instance: Instance, error: unknown) => void;
}

export class LedgerObject {
  readonly instance: Instance;
  readonly #setting: Setting;
  readonly #ledger: Ledger;
  readonly #publish: () => Promise<number>;
  #armed = false;
  #answered = 0;

  constructor(instance: Instance, setting: Setting) {
    this.instance = instance;
    this.#setting = setting;
    const { system, archive, anchorKey, receiptKid } = setting;
    const bucket = instance.connect(archive);
    const published = async (path: string) => (await bucket.get(`${LEDGER}/${path}`))?.bytes;
    const signer: NoteSigner = {
      key: setting.checkpointSigner.key,
      sign: message => instance.pause("sign").then(() => setting.checkpointSigner.sign(message)),
    };
    const trusted: TrustedLedger = { name: LEDGER, origin: ORIGIN, keys: [signer.key] };
    this.#ledger = new system.Ledger({
      sql: instance.sql(),
      issuer: ISSUER,
      origin: ORIGIN,
      identity: {
        receipt: receiptKid,
        checkpoint: system.formatVerifierKey(signer.key),
        policy: setting.policy,
      },
      published,
      now: () => instance.now(),
      random: count => instance.random(count),
      breathe: () => instance.pause("breathe"),
      recheck: store =>
        system.recheck({
          store,
          ledger: trusted,
          published,
          newestAnchor: () => this.#newestAnchor(),
          anchorKeys: [anchorKey.publicJwk],
        }),
    });
    this.#publish = () =>
      system.publish({ store: this.#ledger.store, archive: bucket, name: LEDGER, origin: ORIGIN, signer });
  }

  /** The size of the smallest tree that holds every place it has answered with: so much it knows to be there. */
  get answered(): number {
    return this.#answered;
  }

  /** Whether it has stopped taking records. */
  get halted(): boolean {
    return this.#ledger.halted !== undefined;
  }

  async append(records: string[]): Promise<Placement[]> {
    this.#arm();
    const placements = await this.#ledger.append(records);
    this.#arm();
    for (const placement of placements) {
      if ("index" in placement) this.#answered = Math.max(this.#answered, placement.index + 1);
    }
    return placements;
  }

  find(jti: string): Promise<string[]> {
    return this.#ledger.find(jti);
  }

  async alarm(): Promise<void> {
    const { instance } = this;
    instance.setAlarm(RETRY_DELAY_MS);
    let more: boolean;
    try {
      await this.#ledger.check();
      if (this.#ledger.halted !== undefined) throw this.#ledger.halted;
      await this.#publish();
      more = this.#ledger.prune();
      await instance.call("arm the anchor writer", () => this.#setting.anchorObject().arm());
    } catch (error) {
      if (error instanceof this.#setting.system.Fault) this.#ledger.halt(error);
      this.#setting.failed(instance, error);
      return;
    }
    const { store } = this.#ledger;
    if (!more && store.published() === store.head().frontier.size) {
      this.#armed = false;
      instance.deleteAlarm();
    } else {
      instance.setAlarm(PUBLISH_DELAY_MS);
    }
  }

  #arm(): void {
    const { instance } = this;
    if (this.#armed || instance.dead) return;
    if (!instance.alarmIsSet) instance.setAlarm(PUBLISH_DELAY_MS);
    this.#armed = true;
  }

  async #newestAnchor(): Promise<string | undefined> {
    const { anchorObject, anchors, system } = this.#setting;
    const known = await this.instance.call("latest anchor", () => anchorObject().latest());
    return system.readNewestAnchor(this.instance.connect(anchors), known);
  }
}

export class AnchorObject {
  readonly instance: Instance;
  readonly #setting: Setting;
  readonly #anchorer: Anchorer;

  constructor(instance: Instance, setting: Setting) {
    this.instance = instance;
    this.#setting = setting;
    const { system, archive, anchors, anchorKey, checkpointSigner, copy } = setting;
    const sql = instance.sql();
    this.#anchorer = new system.Anchorer({
      sql,
      archive: instance.connect(archive),
      anchors: instance.connect(anchors),
      issuer: ISSUER,
      ledgers: [{ name: LEDGER, origin: ORIGIN, keys: [checkpointSigner.key] }],
      key: {
        ...anchorKey,
        sign: message => instance.pause("sign").then(() => anchorKey.sign(message)),
      },
      now: () => instance.now(),
      lock: this.#openLock(),
      copies: [{ name: "copy", archive: instance.connect(copy), lock: this.#openCopyLock() }],
      cosigner: new system.Cosigner({
        sql,
        policy: system.parsePolicy(`witness w1 ${WITNESS_VKEY} https://w1.example\nquorum w1\n`),
        required: setting.witnessRequired,
        waitMs: 5000,
        fetch: (_, { body }) =>
          instance
            .call("ask the witness", () => setting.witness.answer(body as string))
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

  arm(): void {
    const { instance } = this;
    if (!instance.alarmIsSet) instance.setAlarm(ANCHOR_INTERVAL_MS);
  }

  /** @throws Error when this instance may no longer speak. */
  latest(): number | undefined {
    const epoch = this.#anchorer.latest();
    if (!this.instance.output()) throw new Error("connection lost");
    return epoch;
  }

  async alarm(): Promise<void> {
    const { instance } = this;
    instance.setAlarm(ANCHOR_INTERVAL_MS);
    try {
      await this.#anchorer.anchor();
    } catch (error) {
      this.#setting.failed(instance, error);
    }
  }
}
