// The simulation: one ledger, one anchor writer, their clients and everything that goes wrong around them, in
// an order that follows from a seed alone. After every step the checker has seen all that the step did; now and
// then the faults stop, and whatever was acknowledged must come to be published and anchored soon.
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign } from "node:crypto";
import type { SigningKey } from "../../src/receipt/key.ts";
import { Bucket } from "./bucket.ts";
import { Checker, Violation } from "./checker.ts";
import { Clients } from "./clients.ts";
import type { Image } from "./disk.ts";
import { Home, type Running } from "./home.ts";
import type { Sabotage, Surroundings } from "./instance.ts";
import { AnchorObject, LEDGER, LedgerObject, ORIGIN, type Setting } from "./objects.ts";
import { CALM, drawProfile, type Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { Schedule, settle } from "./schedule.ts";
import type { System } from "./system.ts";
import { SimulatedWitness, WITNESS_KEY } from "./witness.ts";

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  /** What went wrong, with the step and the events that led to it. */
  readonly failure?: { readonly step: number; readonly message: string; readonly events: readonly string[] };
  readonly stats: Readonly<Record<string, number>>;
}

const START_MS = Date.parse("2026-11-21T05:22:22.000Z");

/**
 * How many steps there are between two calms, and how many a calm may take until all is settled: so many, and so
 * many more for each record that waits for its answer when the calm begins. (Clients send about one record a
 * step while other things happen, and a third of one with small limits.)
 */
const CALM_EVERY_STEPS = 4000;
const CALM_STEPS_MAX = 10_000;
const CALM_STEPS_PER_RECORD = 4;
const SNAPSHOTS_MAX = 6;

/** How long after the beginning what a replaced key has signed is believed, in seconds: to the end and beyond. */
const RETIRED_S = 100 * 365 * 86_400;

const LEAPS_MS = [60_000, 3_600_000, 86_400_000, 31 * 86_400_000];

/** Runs one simulation of at least so many steps. The same arguments always give the same outcome. */
export async function simulate(
  system: System,
  seed: number,
  steps: number,
  profile?: Profile,
): Promise<Outcome> {
  const simulation = new Simulation(system, seed, profile);
  try {
    await simulation.run(steps);
  } catch (error) {
    const violation = simulation.violation ?? (error as Error);
    const text = violation instanceof Violation ? violation.message : `${violation.stack}`;
    const message = text.replace(/data:[^\s)]*?(:[0-9]+:[0-9]+)/g, "system$1");
    const { step } = simulation.schedule;
    const failure = { step, message, events: simulation.schedule.events() };
    return { seed, steps: step, failure, stats: simulation.stats };
  }
  return { seed, steps: simulation.schedule.step, stats: simulation.stats };
}

class Simulation {
  readonly schedule: Schedule;
  readonly stats: Record<string, number> = {};
  readonly #random: Random;
  readonly #around: Surroundings;
  readonly #checker: Checker;
  readonly #clients: Clients;
  readonly #ledger: Home<LedgerObject>;
  readonly #anchor: Home<AnchorObject>;
  readonly #setting: Setting;
  readonly #witness: SimulatedWitness;
  /** Until then, the second store of anchors is out of reach. */
  #copyAwayStep = 0;
  readonly #stepMs: number;
  readonly #ledgerSnapshots: { readonly image: Image; readonly size: number }[] = [];
  readonly #anchorSnapshots: Image[] = [];
  /**
   * The state to go back to, and when, while the ledger's storage is an old one; and whether only the instance
   * that runs can know that it is.
   */
  #undo: { readonly image: Image; readonly step: number; readonly fragile: boolean } | undefined;

  constructor(system: System, seed: number, given?: Profile) {
    this.#random = new Random(seed);
    this.schedule = new Schedule(this.#random, START_MS);
    const profile = given ?? drawProfile(this.#random);
    this.#around = { random: this.#random, schedule: this.schedule, profile, outageStep: 0 };
    this.#stepMs = this.#random.pick([50, 150, 500]);
    const [receipt, checkpoint, anchor] = ["receipt", "checkpoint", "anchor"].map(makeKey) as [Key, Key, Key];
    const signer = { key: system.makeNoteKey(ORIGIN, 1, checkpoint.publicKey), sign: checkpoint.sign };
    const witnessRequired = this.#random.chance(0.3);
    const checker = new Checker({
      witnessKey: WITNESS_KEY,
      witnessRequired,
      origin: ORIGIN,
      ledger: LEDGER,
      tileWidth: system.TILE_WIDTH,
      receiptKids: new Set([receipt.kid]),
      checkpointKeys: new Map([[system.formatVerifierKey(signer.key), checkpoint.publicObject]]),
      anchorKeys: [anchor.publicObject],
    });
    this.#checker = checker;
    const archive = new Bucket(checker.watchArchive);
    const anchors = new Bucket(checker.watchAnchors);
    const copy = new Bucket(checker.watchCopy);
    copy.reach = () => {
      if (this.schedule.step < this.#copyAwayStep) throw new Error("the second store is away");
    };
    checker.archive = archive;
    checker.anchors = anchors;
    this.#witness = new SimulatedWitness(this.#around, checker);
    const setting: Setting = {
      system,
      policy: "1f3870be",
      archive,
      anchors,
      copy,
      witness: this.#witness,
      witnessRequired,
      refuse: checker.refuse,
      receiptKey: receipt,
      checkpointSigner: signer,
      anchorKey: anchor,
      retired: { receipt: [], checkpoint: [], anchor: [] },
      ledgerObject: () => this.#ledger.reach(),
      anchorObject: () => this.#anchor.reach(),
      failed: (instance, error) => {
        (instance.name.startsWith("ledger") ? this.#ledger : this.#anchor).troubled = instance;
        if (!(error instanceof system.Fault) || instance.dead || instance.fenced) return;
        if (checker.restoredSize !== undefined && instance.name.startsWith("ledger")) return;
        checker.fail(`${instance.name}: a false alarm: ${error.stack}`);
      },
    };
    this.#setting = setting;
    this.#ledger = new Home(this.#around, {
      name: "ledger",
      make: instance => new LedgerObject(instance, setting),
      onConfirm: disk => checker.confirmed(disk),
      // It may publish what it holds, over and over: that is the archive's to refuse.
      mark: disk => (disk.read("SELECT size FROM head")[0]?.size as number | undefined) ?? 0,
    });
    this.#anchor = new Home(this.#around, {
      name: "anchor",
      make: instance => new AnchorObject(instance, setting),
      onConfirm: () => {},
      mark: disk =>
        disk.read("SELECT count(*) + total(epoch) + total(done) AS mark FROM anchor")[0]!.mark as number,
    });
    this.#clients = new Clients(this.#around, checker, system, () => this.#ledger.reach());
  }

  get violation(): Violation | undefined {
    return this.#checker.violation;
  }

  async run(steps: number): Promise<void> {
    let calmStep = CALM_EVERY_STEPS;
    while (this.schedule.step < steps) {
      await this.#step(() => this.#disturb() || this.#proceed());
      if (this.schedule.step < calmStep) continue;
      await this.#calm();
      calmStep = this.schedule.step + CALM_EVERY_STEPS;
    }
    await this.#calm();
    this.#checker.checkWhole();
    this.#count("entries", this.#checker.entries.length);
    this.#count("published", this.#checker.checkpointSize);
    this.#count("anchors", (this.#checker.newestAnchor?.epoch ?? -1) + 1);
    this.#count("cosigned-pins", this.#checker.cosignedPins);
    this.#count("canaries", this.#checker.canaries);
    for (const [name, count] of Object.entries(this.#witness.stats)) this.#count(`witness-${name}`, count);
    for (const [name, count] of Object.entries(this.#clients.stats)) this.#count(name, count);
  }

  /** One event happens, and all that follows from it without another. */
  async #step(event: () => void): Promise<void> {
    this.schedule.step++;
    this.schedule.nowMs += this.#random.below(2 * this.#stepMs);
    event();
    await settle();
    if (this.violation !== undefined) throw this.violation;
  }

  /** Something happens that is nobody's fault. */
  #proceed(): void {
    const random = this.#random;
    const due = [this.#ledger, this.#anchor].filter(home => home.alarmIsDue);
    if (random.chance(this.#around.profile.fresh)) this.#ask();
    else if (due.length > 0 && random.chance(0.2)) random.pick(due).fireAlarm();
    else if (!this.schedule.happen()) this.#ask();
  }

  #ask(): void {
    if (this.#around.profile === CALM || this.#random.chance(0.2)) this.#clients.retry();
    else this.#clients.act();
  }

  /** Something goes wrong, perhaps. @returns whether it did. */
  #disturb(): boolean {
    const random = this.#random;
    const { profile } = this.#around;
    if (profile.restore > 0 && random.chance(0.005)) this.#snapshot();
    if (this.#undo !== undefined && this.schedule.step >= this.#undo.step) return this.#undoRestore();
    if (this.#undo?.fragile) return false;
    const home: Home<Running> = random.chance(0.7) ? this.#ledger : this.#anchor;
    if (random.chance(profile.crash / 20)) return this.#note("deploy", () => this.#deploy());
    if (random.chance(profile.crash)) return this.#note("crash", () => home.crash());
    if (random.chance(profile.sabotage)) return this.#note("sabotage", () => this.#sabotage(home));
    if (random.chance(home.exposed ? 3 * profile.split : profile.split / 3))
      return this.#note("split", () => home.split(random.chance(profile.fenced)));
    if (random.chance(profile.alarm)) return this.#note("alarm", () => this.#ring(home));
    if (random.chance(profile.jump)) return this.#note("jump", () => this.#jump(home));
    if (random.chance(profile.leap)) {
      return this.#note("leap", () => {
        this.schedule.nowMs += random.pick(LEAPS_MS);
      });
    }
    if (random.chance(profile.outage)) {
      return this.#note("outage", () => {
        this.#around.outageStep = this.schedule.step + random.between(1, 100);
      });
    }
    if (random.chance(profile.copy)) {
      return this.#note("copy-away", () => {
        this.#copyAwayStep = this.schedule.step + random.between(1, 500);
      });
    }
    if (random.chance(profile.witness / 100)) {
      return this.#note("witness-away", () => {
        this.#witness.awayStep = this.schedule.step + random.between(1, 300);
      });
    }
    if (random.chance(profile.restore))
      return home === this.#anchor
        ? this.#restoreAnchor()
        : random.chance(0.5)
          ? this.#restore()
          : this.#putBack();
    return false;
  }

  #sabotage(home: Home<Running>): void {
    const random = this.#random;
    const kinds: Sabotage["kind"][] = ["crash", "full", "commit-fails", "commit-unanswered"];
    for (const { instance } of home.running()) {
      instance.sabotage = { kind: random.pick(kinds), writes: random.below(random.pick([2, 10, 100])) };
    }
  }

  /** Everything is started anew, with another policy, and now and then another key. */
  #deploy(): void {
    for (const home of [this.#ledger, this.#anchor]) home.crashAll();
    this.#setting.policy = this.#random.pick(["1f3870be", "00000001", "00000002"]);
    if (this.#random.chance(0.5)) this.#replaceKey(this.#random.pick(["receipt", "checkpoint", "anchor"]));
  }

  #replaceKey(use: "receipt" | "checkpoint" | "anchor"): void {
    // Anchors of the key before that the writer's storage does not know, nobody would answer for.
    if (use === "anchor" && !this.#knowsAnchors()) return;
    const setting = this.#setting;
    const { options } = this.#checker;
    const exp = START_MS / 1000 + RETIRED_S;
    const key = makeKey(`${use} ${setting.retired[use].length + 1}`);
    this.#count(`replaced-${use}`, 1);
    if (use === "receipt") {
      setting.retired.receipt.unshift({ ...setting.receiptKey.publicJwk, exp });
      setting.receiptKey = key;
      options.receiptKids.add(key.kid);
    } else if (use === "checkpoint") {
      setting.retired.checkpoint.unshift({ key: setting.checkpointSigner.key, exp });
      const signer = { key: setting.system.makeNoteKey(ORIGIN, 1, key.publicKey), sign: key.sign };
      setting.checkpointSigner = signer;
      options.checkpointKeys.set(setting.system.formatVerifierKey(signer.key), key.publicObject);
    } else {
      this.#anchorSnapshots.length = 0;
      setting.retired.anchor.unshift({ ...setting.anchorKey.publicJwk, exp });
      setting.anchorKey = key;
      options.anchorKeys.push(key.publicObject);
    }
  }

  /** Whether the anchor writer's storage knows of all anchors: where it was put back, it has to catch up first. */
  #knowsAnchors(): boolean {
    const { newestAnchor } = this.#checker;
    const { disk } = this.#anchor;
    if (newestAnchor === undefined) return true;
    if (disk.read("SELECT 1 FROM sqlite_schema WHERE name = 'anchor'").length === 0) return false;
    return (
      disk.read("SELECT max(epoch) AS epoch FROM anchor WHERE done = 1")[0]!.epoch === newestAnchor.epoch
    );
  }

  #ring(home: Home<Running>): void {
    const running = home.running();
    const givenUp = running.filter(
      ({ instance }) => instance.givenUp && instance.wakeStep <= this.schedule.step,
    );
    const objects = givenUp.length > 0 && this.#random.chance(0.5) ? givenUp : running;
    if (objects.length > 0) home.ring(this.#random.pick(objects));
  }

  #jump(home: Home<Running>): void {
    const random = this.#random;
    const most = this.#around.profile.jumpMaxMs;
    for (const { instance } of home.running()) {
      instance.skewMs = random.chance(0.3) ? 0 : random.between(-most, most);
      instance.skewLeastMs = Math.min(instance.skewLeastMs, instance.skewMs);
      instance.skewMostMs = Math.max(instance.skewMostMs, instance.skewMs);
      this.schedule.note(`${instance.name}: its clock is ${instance.skewMs} ms ahead`);
    }
  }

  #snapshot(): void {
    const { disk } = this.#ledger;
    if (this.#undo === undefined && !disk.unconfirmed) {
      keep(this.#ledgerSnapshots, { image: disk.image(), size: this.#checker.entries.length }, this.#random);
    }
    if (!this.#anchor.disk.unconfirmed) keep(this.#anchorSnapshots, this.#anchor.disk.image(), this.#random);
  }

  /**
   * Puts the ledger's storage back to an old state: one that the archive is ahead of, which the ledger must
   * notice, or one that has lost no entry, which it must not mind. (That entries are lost which were
   * acknowledged and not yet published, no ledger can notice by itself.)
   */
  #restore(): boolean {
    const { checkpointSize, entries } = this.#checker;
    const fit = this.#ledgerSnapshots.filter(({ size }) => size < checkpointSize || size === entries.length);
    if (fit.length === 0 || this.#undo !== undefined) return false;
    const { image, size } = this.#random.pick(fit);
    for (const { instance } of this.#ledger.running()) if (!instance.fenced) instance.die();
    // What the dying instance left unconfirmed may have made the present state a newer one.
    if (size >= checkpointSize && size !== entries.length) return true;
    this.#count("restore");
    if (size < checkpointSize) this.#restored(size);
    this.#ledger.restore(image);
    return true;
  }

  /**
   * Puts the ledger's storage back to an old state while an instance runs on it and goes on: one that has lost no
   * entry, which it must not mind, or one that has lost places which the instance has given out itself. Those it
   * must remember, published or not. (One that had stood still since that old state could notice nothing.)
   */
  #putBack(): boolean {
    const { entries } = this.#checker;
    const lone = this.#ledger.lone;
    const known = lone === undefined || lone.instance.fenced ? 0 : lone.answered;
    const fit = this.#ledgerSnapshots.filter(
      ({ size }) => size > 0 && (size < known || size === entries.length),
    );
    if (fit.length === 0 || this.#undo !== undefined) return false;
    const { image, size } = this.#random.pick(fit);
    this.#ledger.disk.confirm();
    // What was not confirmed yet may have made the present state a newer one.
    if (size >= known && size !== entries.length) return true;
    this.#count("put-back");
    if (size < entries.length) this.#restored(size, lone);
    this.#ledger.putBack(image);
    return true;
  }

  /**
   * The ledger's storage is about to become an old one, for a while.
   * @param witness the instance that runs on, if one does: unless the archive has seen more, only it can tell.
   */
  #restored(size: number, witness?: LedgerObject): void {
    const fragile = size >= this.#checker.checkpointSize;
    if (fragile) witness!.instance.sabotage = undefined;
    const steps = this.#random.between(20, fragile ? 150 : 600);
    this.schedule.note(`the ledger's storage is put back to ${size} entries`);
    this.#undo = { image: this.#ledger.disk.image(), step: this.schedule.step + steps, fragile };
    this.#checker.restoredSize = size;
  }

  #undoRestore(): boolean {
    const { image } = this.#undo!;
    this.#undo = undefined;
    this.schedule.note("the ledger's storage is put back to what it was");
    for (const { instance } of this.#ledger.running()) if (!instance.fenced) instance.die();
    this.#checker.restoredSize = undefined;
    this.#ledger.restore(image);
    return true;
  }

  #restoreAnchor(): boolean {
    if (this.#anchorSnapshots.length === 0) return false;
    this.#count("restore-anchor");
    this.schedule.note("the anchor writer's storage is put back");
    this.#checker.anchorsRestored();
    this.#anchor.restore(this.#random.pick(this.#anchorSnapshots));
    return true;
  }

  /** The faults stop. Now everything that was acknowledged must be published and anchored before long. */
  async #calm(): Promise<void> {
    const { profile } = this.#around;
    const checker = this.#checker;
    this.schedule.note("the faults stop");
    this.#around.profile = CALM;
    this.#around.outageStep = 0;
    this.#copyAwayStep = 0;
    this.#witness.awayStep = 0;
    if (this.#undo !== undefined) this.#undoRestore();
    for (const home of [this.#ledger, this.#anchor]) {
      home.endOthers();
      for (const { instance } of home.running()) {
        instance.sabotage = undefined;
        instance.skewMs = 0;
      }
    }
    this.schedule.nowMs = Math.max(this.schedule.nowMs, checker.lastAtMs);
    const stepsMax = CALM_STEPS_MAX + CALM_STEPS_PER_RECORD * this.#clients.waiting;
    const lastStep = this.schedule.step + stepsMax;
    while (!this.#settled()) {
      if (this.schedule.step >= lastStep) checker.fail(`not settled in ${stepsMax} steps: ${this.#state()}`);
      await this.#step(() => this.#proceed());
    }
    checker.checkStorage(this.#ledger.disk);
    // An old state, or an instance that is cut off, does not know of all that others have written.
    if (profile.split === 0 && profile.restore === 0) checker.checkPartials(this.#ledger.disk);
    this.#around.profile = profile;
  }

  #settled(): boolean {
    const { entries, checkpointSize, newestAnchor } = this.#checker;
    return (
      this.#clients.waiting === 0 &&
      this.schedule.length === 0 &&
      checkpointSize === entries.length &&
      (newestAnchor?.size ?? 0) === checkpointSize &&
      this.#checker.copied === (newestAnchor?.epoch ?? -1) + 1
    );
  }

  #state(): string {
    const { entries, checkpointSize, newestAnchor } = this.#checker;
    return `${this.#clients.waiting} records are unsettled, ${entries.length} are in the ledger, ${checkpointSize} published, ${newestAnchor?.size} anchored; anchor ${newestAnchor?.epoch} is the newest, ${this.#checker.copied} are in the second store`;
  }

  #note(what: string, run: () => void): true {
    this.#count(what);
    this.schedule.note(what);
    run();
    return true;
  }

  #count(name: string, count = 1): void {
    this.stats[name] = (this.stats[name] ?? 0) + count;
  }
}

function keep<T>(items: T[], item: T, random: Random): void {
  if (items.length < SNAPSHOTS_MAX) items.push(item);
  else items[random.below(SNAPSHOTS_MAX)] = item;
}

interface Key extends SigningKey {
  readonly publicObject: KeyObject;
}

/** An Ed25519 key whose seed is the hash of its label. */
function makeKey(label: string): Key {
  const der = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    hash("sha256", label, "buffer"),
  ]);
  const privateObject = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const publicObject = createPublicKey(privateObject);
  const x = publicObject.export({ format: "jwk" }).x!;
  const kid = hash("sha256", JSON.stringify({ crv: "Ed25519", kty: "OKP", x }), "base64url");
  return {
    kid,
    publicKey: new Uint8Array(Buffer.from(x, "base64url")),
    publicJwk: { kty: "OKP", crv: "Ed25519", x, kid, alg: "Ed25519", use: "sig" },
    sign: async message => new Uint8Array(sign(null, message, privateObject)),
    publicObject,
  };
}
