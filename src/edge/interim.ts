// Interim records: how far a long exchange is, told again after so many bytes or seconds.
//
// At most one is on its way at a time; what passes meanwhile is in the next one. Each says all that those before
// it said and more, so none of them is needed to understand the last. While nothing passes, nothing is told.

export interface InterimLimits {
  readonly seconds: number;
  readonly bytes: number;
}

export class Interim {
  readonly #limits: InterimLimits;
  readonly #tell: (seq: number) => Promise<unknown>;
  readonly #fail: (error: Error) => void;
  /** Belongs to the request whose exchange it is, as platforms want it. */
  readonly #timer: ReturnType<typeof setInterval>;
  /** How many bytes have passed since the newest record was made. */
  #untold = 0;
  #seq = 0;
  #telling: Promise<void> | undefined;

  /** @param tell Makes the record of a number durable. @param fail Hears of the first one that could not be. */
  constructor(limits: InterimLimits, tell: (seq: number) => Promise<unknown>, fail: (error: Error) => void) {
    this.#limits = limits;
    this.#tell = tell;
    this.#fail = fail;
    this.#timer = setInterval(() => this.#next(1), limits.seconds * 1000);
  }

  /** Notes that so many bytes more have passed. */
  add(bytes: number): void {
    this.#untold += bytes;
    this.#next(this.#limits.bytes);
  }

  /** No more records: whatever is told after this is the ending. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    this.#untold = Number.NEGATIVE_INFINITY;
    await this.#telling;
  }

  /** Tells how far it is, if at least so many bytes have passed and nothing is being told. */
  #next(bytes: number): void {
    if (this.#telling !== undefined || this.#untold < bytes) return;
    this.#untold = 0;
    this.#telling = this.#tell(++this.#seq).then(
      () => {
        this.#telling = undefined;
        this.#next(this.#limits.bytes);
      },
      error => this.#fail(error),
    );
  }
}
