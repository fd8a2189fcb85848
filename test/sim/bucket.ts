// An object store as the simulation sees it from the inside: every object with its version, and an observer
// that is told of everything before it happens.
import type { Versioned } from "../../durable/archive.ts";

export interface BucketObserver {
  /** Somebody tries to write an object that must not be there yet. */
  onTry(key: string, bytes: Uint8Array): void;
  /** An object is written, over another one or where there was none. */
  onPut(key: string, bytes: Uint8Array, present: Uint8Array | undefined): void;
  onDelete(key: string): void;
}

export class Bucket {
  /** @throws Error while it is out of reach. */
  reach: () => void = () => {};
  readonly #objects = new Map<string, { readonly bytes: Uint8Array; readonly version: number }>();
  readonly #observer: BucketObserver;
  #versions = 0;

  constructor(observer: BucketObserver) {
    this.#observer = observer;
  }

  get(key: string): Versioned | undefined {
    this.reach();
    const object = this.#objects.get(key);
    return object && { bytes: object.bytes.slice(), version: String(object.version) };
  }

  putIfAbsent(key: string, bytes: Uint8Array): boolean {
    this.reach();
    this.#observer.onTry(key, bytes);
    if (this.#objects.has(key)) return false;
    this.#put(key, bytes);
    return true;
  }

  replace(key: string, bytes: Uint8Array, version: string): boolean {
    if (String(this.#objects.get(key)?.version) !== version) return false;
    this.#put(key, bytes);
    return true;
  }

  delete(keys: readonly string[]): void {
    for (const key of keys) {
      this.#observer.onDelete(key);
      this.#objects.delete(key);
    }
  }

  /** The first keys below a prefix. */
  list(prefix: string, count: number): string[] {
    const keys = [...this.#objects.keys()].filter(key => key.startsWith(prefix));
    return keys.sort().slice(0, count);
  }

  /** The bytes themselves, for the checker. */
  peek(key: string): Uint8Array | undefined {
    return this.#objects.get(key)?.bytes;
  }

  keys(): Iterable<string> {
    return this.#objects.keys();
  }

  #put(key: string, bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#observer.onPut(key, copy, this.peek(key));
    this.#objects.set(key, { bytes: copy, version: ++this.#versions });
  }
}
