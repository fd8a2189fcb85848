// The one source of chance in a simulation: xoshiro128** (Blackman and Vigna), seeded by splitmix32. The same
// seed gives the same numbers on every machine.

export class Random {
  readonly #state = new Uint32Array(4);

  /** @param seed a 32-bit number. */
  constructor(seed: number) {
    let s = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      s = (s + 0x9e3779b9) >>> 0;
      let word = s;
      word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
      this.#state[i] = word ^ (word >>> 15);
    }
  }

  /** 32 random bits, as a number. */
  word(): number {
    const s = this.#state;
    const scrambled = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const carry = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= carry;
    s[3] = rotate(s[3]!, 11);
    return scrambled;
  }

  /** A whole number from 0 up to, not including, `end`, which is at most 2^32. */
  below(end: number): number {
    return Math.floor((this.word() / 2 ** 32) * end);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.word() / 2 ** 32 < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
