// One running instance of an object: everything that its code can reach goes through here. An instance can
// die at any moment. Then its memory is gone, nothing that it waits for ever comes, nothing it says is heard,
// and of what it has asked others to do, some is done all the same.
import type { Alarm } from "../../durable/alarm.ts";
import type { Archive } from "../../durable/archive.ts";
import type { SpoolStore } from "../../durable/spool.ts";
import type { Sql, SqlRow, SqlValue } from "../../durable/sql.ts";
import type { Bucket } from "./bucket.ts";
import type { Disk } from "./disk.ts";
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import type { Schedule, Waiter } from "./schedule.ts";

/** Where instances live: chance, time, and what may go wrong at present. */
export interface Surroundings {
  readonly random: Random;
  readonly schedule: Schedule;
  profile: Profile;
  /** Until then, no operation succeeds. */
  outageStep: number;
}

/** What is going to happen to writes of an instance: after so many of them, or to the next commit. */
export interface Sabotage {
  readonly kind: "crash" | "full" | "commit-fails" | "commit-unanswered";
  writes: number;
}

/** What the code of a dead instance gets from its storage; it is on its way to nowhere. */
class Dead extends Error {}

const NEVER: Promise<never> = new Promise(() => {});

export class Instance implements Waiter {
  readonly name: string;
  /** The clock's error, in ms, and the least and the most that it ever was. */
  skewMs = 0;
  skewLeastMs = 0;
  skewMostMs = 0;
  /** Others run over the same storage: then nothing that was committed gets lost when it dies. */
  shares = false;
  sabotage: Sabotage | undefined;
  /** It sleeps until then, as a process does that is not given any time. */
  wakeStep = 0;
  /** Another instance has its place now. */
  givenUp = false;
  /** How many records it was given that it has not answered, and how many they once were. */
  recordsWaiting = 0;
  recordsWaitingMost = 0;
  /** Called when it wrote to storage. */
  onWrite: () => void = () => {};
  /** Its storage. When fenced, it is a copy of its own, and nothing that was written there leaves. */
  #disk: Disk;
  readonly #mourners = new Set<() => void>();
  readonly #around: Surroundings;
  #dead = false;
  #strayed: ((copy: Disk) => boolean) | undefined;
  #faultStep = -1;
  #outpaced = false;

  constructor(name: string, disk: Disk, around: Surroundings) {
    this.name = name;
    this.#disk = disk;
    this.#around = around;
  }

  get dead(): boolean {
    return this.#dead;
  }

  get fenced(): boolean {
    return this.#strayed !== undefined;
  }

  get disk(): Disk {
    return this.#disk;
  }

  /** Its alarm, told and taken by its own clock: that of the platform goes right. */
  alarm(): Alarm {
    return {
      get: async () => {
        const { alarmMs } = this.#disk;
        return alarmMs === undefined ? null : alarmMs + this.skewMs;
      },
      set: async atMs => {
        if (!this.#dead) this.#disk.alarmMs = this.#around.schedule.nowMs + atMs - this.now();
      },
      // It is the platform's: one that it has given up cannot take it from the one that has its place.
      clear: async () => {
        if (!this.#dead && !this.givenUp) this.#disk.alarmMs = undefined;
      },
    };
  }

  now(): number {
    return Math.floor(this.#around.schedule.nowMs) + this.skewMs;
  }

  random(count: number): Uint8Array {
    return this.#around.random.bytes(count);
  }

  /**
   * From now on it runs on a copy of its storage, because another instance has taken its place. The platform
   * ends it with the first word that depends on a write of its own.
   * @param strayed whether the copy has become another one than the original, by a write that matters.
   */
  fence(copy: Disk, strayed: (copy: Disk) => boolean): void {
    this.#disk = copy;
    this.#strayed = strayed;
  }

  /** Another instance has written to the same storage: what this one remembers may be old. */
  outpace(): void {
    this.#outpaced = true;
  }

  /** Something that failed here, failed because of the simulation. */
  fault(): void {
    this.#faultStep = this.#around.schedule.step;
  }

  /** The last step in which something failed here because of the simulation. */
  get faultStep(): number {
    return this.#faultStep;
  }

  /** Whether there is a reason for something that began at `step` to have failed. */
  excused(step: number): boolean {
    if (this.#faultStep >= step) return true;
    const outpaced = this.#outpaced;
    this.#outpaced = false;
    if (outpaced) this.fault();
    return outpaced;
  }

  /** Takes so many records in. @returns what to call once they are answered. @param lost called if that never happens. */
  accept(count: number, lost: () => void): () => void {
    this.recordsWaiting += count;
    this.recordsWaitingMost = Math.max(this.recordsWaitingMost, this.recordsWaiting);
    this.#mourners.add(lost);
    return () => {
      this.recordsWaiting -= count;
      this.#mourners.delete(lost);
    };
  }

  die(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#around.schedule.note(`${this.name} dies`);
    // In the middle of a transaction, its end will take care of that.
    if (!this.#disk.inTransaction) this.#leave();
    for (const mourn of this.#mourners) mourn();
  }

  /** Has something said to the outside: what it depends on is made durable first. @returns false when it must not. */
  output(): boolean {
    if (this.#dead) return false;
    if (this.#strayed !== undefined) {
      if (!this.#strayed(this.#disk)) return true;
      this.die();
      return false;
    }
    this.#disk.confirm();
    return true;
  }

  /** An operation outside of this instance. Chance decides when it happens, and what becomes of it. */
  call<T>(what: string, apply: () => T | Promise<T>): Promise<T> {
    const { random, schedule } = this.#around;
    if (!this.output()) return NEVER;
    return new Promise((resolve, reject) => {
      const answer = (text: string, settle: () => void) => {
        const say = () => {
          if (!this.#dead) settle();
        };
        if (random.chance(0.2)) schedule.add(`${this.name}: ${text}`, say, 0, this);
        else say();
      };
      const fail = () =>
        answer(`${what}: fails`, () => {
          this.fault();
          reject(new Error(`${what}: out of reach`));
        });
      const happen = async () => {
        // What a dead instance has asked for may never have been sent.
        if (this.#dead && random.chance(0.5)) return;
        const { twice } = this.#around.profile;
        const failure = schedule.step < this.#around.outageStep ? 1.5 : this.#around.profile.failure;
        if (random.chance(failure / 2)) return fail();
        try {
          let result = await apply();
          if (random.chance(failure / 2)) return fail();
          if (random.chance(twice)) result = await apply();
          answer(`${what}: answered`, () => resolve(result));
        } catch (error) {
          answer(`${what}: fails: ${error}`, () => {
            this.fault();
            reject(error);
          });
        }
      };
      schedule.add(`${this.name}: ${what}`, happen, this.#delay(), this);
    });
  }

  /** Time passes: anything else may happen meanwhile. */
  pause(what: string): Promise<void> {
    const { schedule } = this.#around;
    return new Promise(resolve => {
      const end = () => {
        if (!this.#dead) resolve();
      };
      schedule.add(`${this.name}: ${what}`, end, this.#delay(), this);
    });
  }

  #delay(): number {
    const { random, profile } = this.#around;
    return random.chance(profile.slow) ? random.between(20, 300) : 0;
  }

  connect(bucket: Bucket): Archive {
    return {
      get: key => this.call(`get ${key}`, () => bucket.get(key)),
      putIfAbsent: (key, bytes) => this.call(`put ${key}`, () => bucket.putIfAbsent(key, bytes)),
      replace: (key, bytes, version) =>
        this.call(`replace ${key} ${version}`, () => bucket.replace(key, bytes, version)),
      delete: keys => this.call(`delete ${keys.join(" ")}`, () => bucket.delete(keys)),
    };
  }

  connectSpool(bucket: Bucket): SpoolStore {
    const { putIfAbsent, delete: remove } = this.connect(bucket);
    return {
      list: (prefix, count) => this.call(`list ${prefix}`, () => bucket.list(prefix, count)),
      read: (key, bytesMax) => this.call(`read ${key}`, () => bucket.get(key)?.bytes.subarray(0, bytesMax)),
      putIfAbsent,
      delete: remove,
    };
  }

  sql(): Sql {
    return {
      all: (statement, ...values) => this.#run(statement, values),
      transaction: work => this.#transact(work),
    };
  }

  #run(statement: string, values: SqlValue[]): SqlRow[] {
    if (this.#dead) throw new Dead();
    if (statement.startsWith("SELECT")) return this.#disk.read(statement, ...values);
    this.#beforeWrite();
    const rows = this.#disk.write(statement, ...values);
    this.onWrite();
    return rows;
  }

  #beforeWrite(): void {
    const kind = this.sabotage?.kind;
    if (kind !== "crash" && kind !== "full") return;
    if (this.sabotage!.writes-- > 0) return;
    this.sabotage = undefined;
    if (kind === "crash") {
      this.die();
      throw new Dead();
    }
    this.#around.schedule.note(`${this.name}: storage is full`);
    this.fault();
    throw new Error("database or disk is full");
  }

  #transact<T>(work: () => T): T {
    if (this.#dead) throw new Dead();
    const disk = this.#disk;
    disk.begin();
    let result: T;
    try {
      result = work();
      this.#beforeCommit("commit-fails");
    } catch (error) {
      disk.rollback();
      if (this.#dead) this.#leave();
      throw error;
    }
    disk.commit();
    this.#beforeCommit("commit-unanswered");
    return result;
  }

  #beforeCommit(kind: Sabotage["kind"]): void {
    if (this.sabotage?.kind !== kind) return;
    this.sabotage = undefined;
    this.#around.schedule.note(`${this.name}: ${kind}`);
    this.fault();
    throw new Error(`storage: ${kind}`);
  }

  #leave(): void {
    if (this.fenced) return;
    if (this.shares || this.#around.random.chance(0.5)) this.#disk.confirm();
    else this.#disk.forget();
  }
}
