// An alarm as a timer of this process. It is forgotten when the process ends: whoever starts again calls every alarm.
import type { Alarm } from "../../durable/alarm.ts";

/** How soon an alarm is called again that has thrown, in ms. */
const RETRY_MS = 2000;

/** The longest that is waited for at once, in ms: timers cannot count further than 31 bits. */
const SLEEP_MS_MAX = 24 * 3600 * 1000;

export class Timer implements Alarm {
  readonly #onAlarm: () => Promise<void>;
  #atMs: number | null = null;
  #timeout: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  /** @param onAlarm what is called when it is due; never again before the last call has ended. */
  constructor(onAlarm: () => Promise<void>) {
    this.#onAlarm = onAlarm;
  }

  async get(): Promise<number | null> {
    return this.#atMs;
  }

  /** A change of the clock afterwards changes nothing: it is due after as long as it was then. */
  async set(atMs: number): Promise<void> {
    if (this.#stopped) return;
    this.#forget();
    this.#atMs = atMs;
    this.#sleep(Math.max(0, atMs - Date.now()));
  }

  async clear(): Promise<void> {
    this.#forget();
  }

  /** Calls the alarm if one is set or runs, due or not, and waits for its end; then never again. */
  async flush(): Promise<void> {
    await this.#running;
    if (this.#atMs !== null) this.#call();
    await this.stop();
  }

  /** Calls no alarm any more, and waits for the end of one that runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forget();
    await this.#running;
  }

  #forget(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
    this.#atMs = null;
  }

  #sleep(ms: number): void {
    const now = Math.min(ms, SLEEP_MS_MAX);
    this.#timeout = setTimeout(() => {
      if (ms > now) return this.#sleep(ms - now);
      this.#timeout = undefined;
      // One that runs calls it when it has ended.
      if (this.#running === undefined) this.#call();
    }, now);
  }

  #call(): void {
    this.#forget();
    this.#running = this.#onAlarm()
      .catch(error => {
        console.error("an alarm failed, and is called again:", error);
        return this.set(Math.min(this.#atMs ?? Number.POSITIVE_INFINITY, Date.now() + RETRY_MS));
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#atMs !== null && this.#timeout === undefined) this.#call();
      });
  }
}
