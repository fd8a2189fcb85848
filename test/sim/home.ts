// Where an object lives: its storage, the instance that the platform sends calls to, and at times others that
// the platform has given up but that run on, over the same storage or cut off from it.
import { Disk, type Image } from "./disk.ts";
import { Instance, type Surroundings } from "./instance.ts";

/** An object of any kind that runs. */
export interface Running {
  readonly instance: Instance;
  alarm(): Promise<void>;
}

export interface HomeOptions<O> {
  readonly name: string;
  readonly make: (instance: Instance) => O;
  /** Called when writes became durable. */
  readonly onConfirm: (disk: Disk) => void;
  /** Changes with every write that an instance must not have made alone. */
  readonly mark: (disk: Disk) => number;
}

/** How soon the platform calls an alarm again that has thrown. */
const ALARM_RETRY_MS = 2000;

/** How many alarms run in one instance at once. */
const ALARMS_MAX = 2;

/** How many instances run on that the platform has given up. */
const OTHERS_MAX = 4;

export class Home<O extends Running> {
  disk = new Disk();
  /** The instance whose last alarm came to nothing. */
  troubled: Instance | undefined;
  readonly #options: HomeOptions<O>;
  readonly #around: Surroundings;
  #current: O | undefined;
  #others: O[] = [];
  #instances = 0;
  /** How many alarms run in an instance. */
  readonly #alarmed = new Map<Instance, number>();

  constructor(around: Surroundings, options: HomeOptions<O>) {
    this.#around = around;
    this.#options = options;
    this.#use(this.disk);
  }

  /** The instance that a call reaches: one is started if there is none. @throws when it dies at once. */
  reach(): O {
    const { random, schedule } = this.#around;
    this.#others = this.#others.filter(({ instance }) => !instance.dead);
    const awake = this.#others.filter(({ instance }) => instance.wakeStep <= schedule.step);
    if (awake.length > 0 && random.chance(0.3)) {
      const other = random.pick(awake);
      // One that is cut off ends with the first record that it takes; some shall live longer.
      if (!other.instance.fenced || random.chance(0.1)) return other;
    }
    return this.#present();
  }

  /** All instances that run. */
  running(): O[] {
    return [this.#current, ...this.#others].filter(
      object => object !== undefined && !object.instance.dead,
    ) as O[];
  }

  /** The present instance, if no other runs. */
  get lone(): O | undefined {
    const running = this.running();
    return running.length === 1 && running[0] === this.#current ? running[0] : undefined;
  }

  get alarmIsDue(): boolean {
    const { alarmMs } = this.disk;
    if (alarmMs === undefined || alarmMs > this.#around.schedule.nowMs) return false;
    return this.#current === undefined || !this.#alarmed.has(this.#current.instance);
  }

  /** Whether the present instance is in the middle of its work, or has just failed at it. */
  get exposed(): boolean {
    const instance = this.#current?.instance;
    return instance !== undefined && (this.#alarmed.has(instance) || instance === this.troubled);
  }

  /** The platform calls the alarm. */
  fireAlarm(): void {
    this.disk.alarmMs = undefined;
    try {
      this.ring(this.#present());
    } catch {
      this.#retryAlarm();
    }
  }

  /** Calls the alarm of an instance, whether it is due or not. */
  ring(object: Running): void {
    const { instance } = object;
    if ((this.#alarmed.get(instance) ?? 0) === ALARMS_MAX) return;
    if (instance.wakeStep > this.#around.schedule.step) return;
    this.#around.schedule.note(`${instance.name}: alarm`);
    this.#countAlarms(instance, 1);
    this.troubled = undefined;
    object.alarm().then(
      () => this.#countAlarms(instance, -1),
      () => {
        this.#countAlarms(instance, -1);
        if (!instance.dead) this.#retryAlarm();
      },
    );
  }

  /** One instance loses its memory. */
  crash(): void {
    const running = this.running();
    if (running.length === 0) return;
    this.#crash(this.#around.random.pick(running).instance);
  }

  crashAll(): void {
    for (const { instance } of this.running()) this.#crash(instance);
  }

  /** The platform takes the present instance for dead and will start another, but it lives on. */
  split(fenced: boolean): void {
    const current = this.#current;
    if (current === undefined || current.instance.dead || this.#others.length === OTHERS_MAX) return;
    const { instance } = current;
    this.#current = undefined;
    this.#others.push(current);
    instance.givenUp = true;
    // Often that is why: it has not been heard of for a while, and wakes up later as if nothing were.
    instance.wakeStep = this.#around.schedule.step + this.#around.random.pick([0, 100, 500]);
    // The alarm belongs to whoever has the storage.
    if (this.#alarmed.has(instance)) this.#retryAlarm();
    this.#around.schedule.note(`${instance.name} is given up, ${fenced ? "fenced" : "not fenced"}`);
    if (!fenced) {
      instance.shares = true;
      return;
    }
    const { disk } = this;
    const copy = new Disk(disk.image());
    const mark = this.#options.mark(copy);
    const kept = instance.shares || this.#around.random.chance(0.5);
    if (kept) disk.confirm();
    else disk.forget();
    const strayed = this.#options.mark(disk) !== mark;
    instance.fence(copy, () => strayed || this.#options.mark(copy) !== mark);
  }

  /** Puts the storage back to an old state, which starts the object anew. */
  restore(image: Image): void {
    for (const { instance } of this.running()) if (!instance.fenced) instance.die();
    this.disk = new Disk(image);
    this.#use(this.disk);
    this.disk.alarmMs ??= this.#around.schedule.nowMs;
  }

  /** Puts the storage back to an old state, and whoever runs on it goes on. */
  putBack(image: Image): void {
    this.disk.putBack(image);
    this.disk.alarmMs ??= this.#around.schedule.nowMs;
    for (const { instance } of this.running()) if (!instance.fenced) instance.outpace();
  }

  /** Whatever runs beside the present instance ends. */
  endOthers(): void {
    for (const { instance } of this.#others) instance.die();
    this.#others = [];
  }

  #crash(instance: Instance): void {
    const alarmed = this.#alarmed.delete(instance);
    instance.die();
    if (alarmed) this.#retryAlarm();
  }

  #present(): O {
    if (this.#current === undefined || this.#current.instance.dead) this.#current = this.#start();
    return this.#current;
  }

  #start(): O {
    const instance = new Instance(`${this.#options.name} ${this.#instances++}`, this.disk, this.#around);
    instance.shares = this.#others.some(other => other.instance.disk === this.disk);
    instance.onWrite = () => {
      for (const other of this.running()) {
        if (other.instance !== instance && other.instance.disk === instance.disk) other.instance.outpace();
      }
    };
    this.#around.schedule.note(`${instance.name} starts`);
    try {
      const object = this.#options.make(instance);
      this.disk.confirm();
      return object;
    } catch (error) {
      instance.die();
      throw error;
    }
  }

  #countAlarms(instance: Instance, change: number): void {
    const count = (this.#alarmed.get(instance) ?? 0) + change;
    if (count > 0) this.#alarmed.set(instance, count);
    else this.#alarmed.delete(instance);
  }

  #retryAlarm(): void {
    this.disk.alarmMs ??= this.#around.schedule.nowMs + ALARM_RETRY_MS;
  }

  #use(disk: Disk): void {
    disk.onConfirm = () => this.#options.onConfirm(disk);
  }
}
