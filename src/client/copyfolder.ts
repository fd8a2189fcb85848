// The folder of a copy: objects by the paths that they have in the archive, each written whole or not at all.
import type { Platform } from "./platform.ts";
import { OBJECT_BYTES_MAX } from "./remote.ts";

export class CopyFolder {
  readonly #platform: Platform;
  readonly #path: string;
  readonly #made = new Map<string, Promise<void>>();

  constructor(platform: Platform, path: string) {
    this.#platform = platform;
    this.#path = path.replace(/(?<=.)\/+$/, "");
  }

  has(path: string): Promise<boolean> {
    return this.#platform.hasFile(this.pathOf(path));
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return this.#platform.readFile(this.pathOf(path), OBJECT_BYTES_MAX);
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    const whole = this.pathOf(path);
    const parent = whole.slice(0, whole.lastIndexOf("/"));
    if (!this.#made.has(parent)) this.#made.set(parent, this.#platform.makeFolder(parent));
    await this.#made.get(parent);
    await this.#platform.writeFile(whole, bytes);
  }

  /** Where an object lies. */
  pathOf(path: string): string {
    return `${this.#path}/${path}`;
  }
}
